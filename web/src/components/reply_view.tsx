/** An answer: thinking folded, text, how it ended, and what it took. Used by the chat and side by side. */
import { useState } from 'preact/hooks';
import { endThinking, type ErrorKind } from '../api.ts';
import { errorTitle } from '../errors.ts';
import { formatMs, formatNumber, t } from '../i18n.ts';
import { contextUsed, isThinking, type Reply, reasoningTokenCount, tokenCount, tokensPerSecond } from '../reply.ts';
import { apiKey, findModel } from '../store.ts';
import { BusyWait } from './busy_wait.tsx';
import { MarkdownView } from './markdown_view.tsx';

// What the server says besides is the same again, in English.
const SAY_ALL: readonly ErrorKind[] = ['auth', 'loading', 'shutdown', 'deadline', 'network'];

function finishNote(reply: Reply): string {
  const reason = reply.finishReason;
  if (fillsContext(reply)) return t('finishContext');
  if (reason === 'length') return t('finishLength');
  if (reason === 'loop') return t('finishLoop');
  return reason === 'deadline' ? t('finishDeadline') : '';
}

/** Why the answer is not complete; nothing where it is. What the server says may name the model. */
function Ending({ reply, anonymous }: { reply: Reply; anonymous: boolean }) {
  if (reply.error) {
    return (
      <p class="ending bad">
        <strong>{errorTitle(reply.error)}</strong>{' '}
        {!anonymous && !SAY_ALL.includes(reply.error.kind) && <span>{reply.error.message}</span>}
      </p>
    );
  }
  const note =
    reply.state === 'stopped' ? t('stopped') : reply.state === 'interrupted' ? t('interrupted') : finishNote(reply);
  return note === '' ? null : <p class="ending">{note}</p>;
}

function Thinking({ reply, anonymous }: { reply: Reply; anonymous: boolean }) {
  const [open, setOpen] = useState(false);
  const thinks = isThinking(reply);
  const elapsedMs = reply.thoughtMs ?? reply.arrivalsMs.at(-1) ?? 0;
  const values = { time: formatMs(elapsedMs), tokens: formatNumber(reasoningTokenCount(reply)) };
  return (
    <details class={thinks ? 'thinking live' : 'thinking'} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{anonymous ? t(thinks ? 'thinkingBlind' : 'thoughtBlind') : t(thinks ? 'thinking' : 'thought', values)}</summary>
      {open && <MarkdownView text={reply.reasoning} />}
    </details>
  );
}

/** Has the server end the thinking of the answers of these ids. */
export function AnswerNow({ ids }: { ids: readonly string[] }) {
  const [state, setState] = useState<'idle' | 'asked' | { failure: string }>('idle');
  const ask = () => {
    setState('asked');
    Promise.all(ids.map((id) => endThinking(id, apiKey.value))).catch((error: Error) => setState({ failure: error.message }));
  };
  return (
    <p class="row">
      <button type="button" aria-disabled={state === 'asked'} onClick={() => state !== 'asked' && ask()}>
        {t(state === 'asked' ? 'answerNowAsked' : 'answerNow')}
      </button>
      {typeof state === 'object' && (
        <span class="bad" role="alert">
          {t('answerNowFailed', { reason: state.failure })}
        </span>
      )}
    </p>
  );
}

interface ReplyBodyProps {
  reply: Reply;
  onStop: () => void;
  /** Without what would tell the model: its speed, its name in an error. */
  anonymous?: boolean;
  /** Another tab of the browser writes it. */
  elsewhere?: boolean;
}

export function ReplyBody({ reply, onStop, anonymous = false, elsewhere = false }: ReplyBodyProps) {
  const isEmpty = reply.content === '' && reply.reasoning === '';
  return (
    <>
      {reply.reasoning !== '' && <Thinking reply={reply} anonymous={anonymous} />}
      {reply.id !== undefined && isThinking(reply) && <AnswerNow key={reply.id} ids={[reply.id]} />}
      {reply.content !== '' && <MarkdownView text={reply.content} />}
      {reply.state === 'streaming' && reply.wait && <BusyWait waits={[reply.wait]} onCancel={onStop} />}
      {isEmpty && reply.state === 'streaming' && !reply.wait && <p class="waiting">{t('waiting')}</p>}
      {elsewhere ? <p class="waiting live">{t('writtenElsewhere')}</p> : <Ending reply={reply} anonymous={anonymous} />}
    </>
  );
}

/** Whether the answer ended because the model's context did: it cannot go on. */
export function fillsContext(reply: Reply): boolean {
  const total = findModel(reply.model)?.contextTokens;
  return reply.finishReason === 'length' && total !== undefined && (contextUsed(reply) ?? 0) >= total;
}

/** Tokens, rate, time to the first token, context. */
export function ReplyStats({ reply }: { reply: Reply }) {
  const parts: string[] = [];
  const count = tokenCount(reply);
  const rate = tokensPerSecond(reply);
  const used = contextUsed(reply);
  const total = findModel(reply.model)?.contextTokens;
  const cached = reply.usage?.prompt_tokens_details?.cached_tokens ?? 0;
  if (count > 0) parts.push(t('statTokens', { tokens: formatNumber(count) }));
  if (rate !== undefined) parts.push(t('statRate', { rate: formatNumber(rate, rate < 100 ? 1 : 0) }));
  if (reply.arrivalsMs[0] !== undefined) parts.push(t('statTtft', { time: formatMs(reply.arrivalsMs[0]) }));
  if (used !== undefined) {
    parts.push(
      total === undefined
        ? t('statContextUsed', { used: formatNumber(used) })
        : t('statContext', { used: formatNumber(used), total: formatNumber(total) }),
    );
  }
  if (cached > 0) parts.push(t('statCached', { tokens: formatNumber(cached) }));
  return parts.length === 0 ? null : (
    <p class="stats">
      {parts.map((part) => (
        <span key={part}>{part}</span>
      ))}
    </p>
  );
}
