/** System prompt and sampling parameters, with the model's defaults where nothing is set. */
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { isComposing } from '../drafts.ts';
import { t } from '../i18n.ts';
import { NO_SETTINGS, type Parameter, PARAMETERS, type ParameterName, parseParameter } from '../parameters.ts';
import { findModel, settings } from '../store.ts';
import { IconButton } from './icon.tsx';

function setValue(name: ParameterName, value: number | undefined): void {
  const values = { ...settings.value.values };
  if (value === undefined) delete values[name];
  else values[name] = value;
  settings.value = { ...settings.value, values };
}

function NumberField({ parameter, model }: { parameter: Parameter & { name: ParameterName }; model: string }) {
  const value = settings.value.values[parameter.name];
  // What is typed, "0." on the way to "0.7" included.
  const [text, setText] = useState(value === undefined ? '' : String(value));
  const refused = parseParameter(parameter, text) === null;
  const standard = findModel(model)?.defaults[parameter.name];
  const onInput = (typed: string) => {
    setText(typed);
    const parsed = parseParameter(parameter, typed);
    if (parsed !== null) setValue(parameter.name, parsed);
  };
  return (
    <label class="field">
      <span>{parameter.name}</span>
      <input
        inputMode="decimal"
        autocomplete="off"
        placeholder={standard === undefined ? t('modelDefault') : String(standard)}
        value={text}
        aria-invalid={refused}
        aria-describedby={refused ? `range-${parameter.name}` : undefined}
        onInput={(event) => onInput(event.currentTarget.value)}
      />
      {refused && <small class="bad" id={`range-${parameter.name}`} role="status">{t('parameterRange', { min: parameter.min, max: parameter.max })}</small>}
    </label>
  );
}

export function Parameters({ model, onClose }: { model: string; onClose: () => void }) {
  // A new key draws the fields afresh.
  const [resets, setResets] = useState(0);
  const close = useRef<HTMLButtonElement>(null);
  // From the button that opens them all messages lie between.
  useLayoutEffect(() => close.current!.focus(), []);
  // Who leaves them where they lie over the page would be on something that cannot be seen.
  const onFocusOut = (event: FocusEvent) => {
    const { currentTarget, relatedTarget } = event;
    if (!(relatedTarget instanceof Node) || (currentTarget as Element).contains(relatedTarget)) return;
    if (matchMedia('(max-width: 60rem)').matches) onClose();
  };
  const current = settings.value;
  return (
    <aside
      class="parameters"
      data-opened-by="parameters"
      onFocusOut={onFocusOut}
      aria-label={t('parameters')}
      onKeyDown={(event) => event.key === 'Escape' && !isComposing(event) && onClose()}
    >
      <header class="row spread">
        <h2>{t('parameters')}</h2>
        <IconButton icon="close" label={t('close')} onClick={onClose} button={close} />
      </header>
      <label class="field wide">
        <span>{t('system')}</span>
        <textarea
          rows={3}
          dir="auto"
          value={current.system}
          onInput={(event) => (settings.value = { ...current, system: event.currentTarget.value })}
        />
      </label>
      <div class="fields" key={resets}>
        {PARAMETERS.map((parameter) => (
          <NumberField key={parameter.name} parameter={parameter} model={model} />
        ))}
      </div>
      <label class="field wide">
        <span>{t('stopStrings')}</span>
        <textarea
          rows={2}
          value={current.stop.join('\n')}
          onInput={(event) => {
            const text = event.currentTarget.value;
            settings.value = { ...current, stop: text === '' ? [] : text.split('\n') };
          }}
        />
      </label>
      <label class="check">
        <input
          type="checkbox"
          checked={current.logprobs}
          onChange={(event) => (settings.value = { ...current, logprobs: event.currentTarget.checked })}
        />
        <span>
          {t('recordTokens')}
          <small>{t('recordTokensHint')}</small>
        </span>
      </label>
      <button
        type="button"
        onClick={() => {
          settings.value = NO_SETTINGS;
          setResets(resets + 1);
        }}
      >
        {t('reset')}
      </button>
    </aside>
  );
}
