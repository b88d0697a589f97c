/** Where a message is written: Enter sends, Shift+Enter breaks the line, Esc stops the answer. */
import { activeId } from '../chat.ts';
import { isComposing, useDraft } from '../drafts.ts';
import { t } from '../i18n.ts';
import { Icon } from './icon.tsx';

// Finding the direction of a longer text at each key halts the page.
const DIRECTED_CHARACTERS_MAX = 20_000;

export function focusComposer(): void {
  document.querySelector<HTMLElement>('.composer textarea')?.focus();
}

/** Shows an empty chat, ready to be written in. */
export function beginChat(): void {
  activeId.value = '';
  // When it is drawn, and no list lies over it any more.
  requestAnimationFrame(focusComposer);
}

interface ComposerProps {
  /** Under which name the text is kept until it is sent. */
  draft: string;
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

export function Composer(props: ComposerProps) {
  const { draft, label, placeholder, sendLabel, busy, disabled, keepsText = false, onSend, onStop } = props;
  const [text, setText] = useDraft(draft, '');
  const canSend = !busy && !disabled && text.trim() !== '';
  const send = (event: Event) => {
    event.preventDefault();
    if (!canSend) return;
    // First, since sending the first message of a chat gives it a name of its own.
    if (!keepsText) setText(undefined);
    onSend(text);
  };
  // Who double-clicks Send means it once: the second click meets Stop in its place.
  const stop = (event: MouseEvent) => event.detail > 1 || onStop();
  const onKeyDown = (event: KeyboardEvent) => {
    if (isComposing(event)) return;
    if (event.key === 'Escape' && busy) onStop();
    if (event.key === 'Enter' && !event.shiftKey) send(event);
  };
  return (
    <form class="composer" onSubmit={send}>
      <textarea
        aria-label={label}
        placeholder={placeholder}
        title={t('sendHint')}
        rows={1}
        dir={text.length > DIRECTED_CHARACTERS_MAX ? undefined : 'auto'}
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={onKeyDown}
      />
      {/* Keys keep them two buttons: one that turned from Stop into Send under the finger would send. */}
      {busy ? (
        <button key="stop" type="button" class="primary round" aria-label={t('stop')} title={t('stop')} onClick={stop}>
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
