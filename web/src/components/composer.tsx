/** Where a message is written: Enter sends, Shift+Enter breaks the line, Esc stops the answer. */
import { useState } from 'preact/hooks';
import { t } from '../i18n.ts';
import { Icon } from './icon.tsx';

interface ComposerProps {
  label: string;
  placeholder: string;
  sendLabel: string;
  busy: boolean;
  disabled: boolean;
  /** The text stays after sending, to be sent again. */
  keepsText?: boolean;
  onSend: (text: string) => void;
  onStop: () => void;
}

export function Composer({ label, placeholder, sendLabel, busy, disabled, keepsText = false, onSend, onStop }: ComposerProps) {
  const [text, setText] = useState('');
  const canSend = !busy && !disabled && text.trim() !== '';
  const send = (event: Event) => {
    event.preventDefault();
    if (!canSend) return;
    onSend(text);
    if (!keepsText) setText('');
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'Escape' && busy) onStop();
    // While an input method composes, Enter chooses a word.
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) send(event);
  };
  return (
    <form class="composer" onSubmit={send}>
      <textarea
        aria-label={label}
        placeholder={placeholder}
        title={t('sendHint')}
        rows={1}
        dir="auto"
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={onKeyDown}
      />
      {/* Keys keep them two buttons: one that turned from Stop into Send under the finger would send. */}
      {busy ? (
        <button key="stop" type="button" class="primary round" aria-label={t('stop')} title={t('stop')} onClick={onStop}>
          <Icon name="stop" />
        </button>
      ) : (
        <button key="send" type="submit" class="primary round" aria-label={sendLabel} title={sendLabel} disabled={!canSend}>
          <Icon name="send" />
        </button>
      )}
    </form>
  );
}
