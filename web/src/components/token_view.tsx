/** Each token of an answer with its probability; alternatives and forks for the chosen one. */
import { useMemo, useState } from 'preact/hooks';
import { forkReply } from '../chat.ts';
import type { AssistantMessage } from '../conversation.ts';
import { formatNumber, formatPercent, t } from '../i18n.ts';
import type { Alternative, Token } from '../reply.ts';
import { entropyBits } from '../stats.ts';
import { isSameToken, labelAlternative, labelTokens, type TokenLabel } from '../token_text.ts';

const TOKENS_SHOWN_MAX = 3_000;

/** 0 (certain) to 5 (improbable): the shade. */
function shadeOf(logprob: number): number {
  const p = Math.exp(logprob);
  return [0.95, 0.8, 0.5, 0.2, 0.05].findIndex((least) => p >= least) + 1 || 6;
}

function percent(logprob: number): string {
  const p = Math.exp(logprob);
  return formatPercent(p, p < 0.01 ? 3 : 1);
}

interface TokenDetailProps {
  message: AssistantMessage;
  token: Token;
  label: TokenLabel;
  index: number;
}

function Other({ message, label, index, alternative }: Omit<TokenDetailProps, 'token'> & { alternative: Alternative }) {
  const { text, isWhole } = labelAlternative(alternative, label);
  const p = percent(alternative.logprob);
  // A request carries text, which cannot end inside a character.
  return (
    <button
      type="button"
      class="quiet"
      disabled={!isWhole}
      aria-label={t('forkWith', { token: text, p })}
      onClick={() => void forkReply(message, index, alternative)}
    >
      <code>{text}</code> {p}
    </button>
  );
}

function TokenDetail({ message, token, label, index }: TokenDetailProps) {
  const others = token.alternatives.filter((alternative) => !isSameToken(alternative, token));
  return (
    <div class="token-detail">
      <p>
        <code>{label.text}</code> {label.part !== '' && <>{t('tokenPart', { part: label.part })} · </>}
        {t('tokenProbability', { p: percent(token.logprob) })}
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
          <Other key={rank} message={message} label={label} index={index} alternative={alternative} />
        ))}
      </div>
    </div>
  );
}

export function TokenView({ message }: { message: AssistantMessage }) {
  const [chosen, setChosen] = useState(0);
  const { tokens } = message.reply;
  const shown = tokens.slice(0, TOKENS_SHOWN_MAX);
  const labels = useMemo(() => labelTokens(tokens), [tokens, tokens.length]);
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
            {labels[index]!.text}
            {labels[index]!.part !== '' && <sub>{labels[index]!.part}</sub>}
          </span>
        ))}
      </div>
      {tokens.length > shown.length && <p class="hint">{t('tokensMore', { count: formatNumber(tokens.length - shown.length) })}</p>}
      {token && <TokenDetail message={message} token={token} label={labels[chosen]!} index={chosen} />}
    </section>
  );
}
