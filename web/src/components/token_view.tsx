/** Each token of an answer with its probability; alternatives and forks for the chosen one. */
import { useState } from 'preact/hooks';
import { forkReply } from '../chat.ts';
import type { AssistantMessage } from '../conversation.ts';
import { formatNumber, formatPercent, t } from '../i18n.ts';
import type { Token } from '../reply.ts';
import { entropyBits } from '../stats.ts';

const TOKENS_SHOWN_MAX = 3_000;

/** Spaces and line ends made visible. */
function visibleToken(text: string): string {
  return text.replace(/\n/g, '⏎').replace(/\t/g, '⇥').replace(/^ | $/g, '␣') || '∅';
}

/** 0 (certain) to 5 (improbable): the shade. */
function shadeOf(logprob: number): number {
  const p = Math.exp(logprob);
  return [0.95, 0.8, 0.5, 0.2, 0.05].findIndex((least) => p >= least) + 1 || 6;
}

function percent(logprob: number): string {
  const p = Math.exp(logprob);
  return formatPercent(p, p < 0.01 ? 3 : 1);
}

function TokenDetail({ message, token, index }: { message: AssistantMessage; token: Token; index: number }) {
  const others = token.alternatives.filter((alternative) => alternative.text !== token.text);
  return (
    <div class="token-detail">
      <p>
        <code>{visibleToken(token.text)}</code> {t('tokenProbability', { p: percent(token.logprob) })}
        {token.alternatives.length > 1 && (
          <> · {t('tokenEntropy', { bits: formatNumber(entropyBits(token.alternatives.map((one) => one.logprob)), 2) })}</>
        )}
        {token.part === 'reasoning' && <> · {t('tokenThinking')}</>}
      </p>
      <div class="row" role="group" aria-label={t('alternatives')}>
        <button type="button" onClick={() => void forkReply(message, index)}>
          {t('forkHere')}
        </button>
        {others.map((alternative, rank) => (
          <button
            key={rank}
            type="button"
            class="quiet"
            aria-label={t('forkWith', { token: visibleToken(alternative.text), p: percent(alternative.logprob) })}
            onClick={() => void forkReply(message, index, alternative)}
          >
            <code>{visibleToken(alternative.text)}</code> {percent(alternative.logprob)}
          </button>
        ))}
      </div>
    </div>
  );
}

export function TokenView({ message }: { message: AssistantMessage }) {
  const [chosen, setChosen] = useState(0);
  const { tokens } = message.reply;
  const shown = tokens.slice(0, TOKENS_SHOWN_MAX);
  const token = shown[chosen];
  const optionId = (index: number) => `token-${message.id}-${index}`;
  const move = (event: KeyboardEvent) => {
    const steps: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -10, ArrowDown: 10, Home: -shown.length, End: shown.length };
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    setChosen(Math.max(0, Math.min(shown.length - 1, chosen + step)));
  };
  return (
    <section class="token-view">
      <p class="hint">{t('tokenHint')}</p>
      <div
        class="token-list"
        role="listbox"
        tabIndex={0}
        aria-label={t('tokenView')}
        aria-activedescendant={optionId(chosen)}
        onKeyDown={move}
      >
        {shown.map((one, index) => (
          <span
            key={index}
            id={optionId(index)}
            role="option"
            aria-selected={index === chosen}
            class={`token shade-${shadeOf(one.logprob)} ${one.part}`}
            title={percent(one.logprob)}
            onClick={() => setChosen(index)}
          >
            {visibleToken(one.text)}
          </span>
        ))}
      </div>
      {tokens.length > shown.length && <p class="hint">{t('tokensMore', { count: formatNumber(tokens.length - shown.length) })}</p>}
      {token && <TokenDetail message={message} token={token} index={chosen} />}
    </section>
  );
}
