/** The vote on two answers, and the tally of all votes. */
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { deleteVotes, keepsVotes, round, unreadVotes, vote, votes } from '../arena.ts';
import { useDraft } from '../drafts.ts';
import { formatNumber, formatPercent, t, type WordKey } from '../i18n.ts';
import { downloadText } from '../storage.ts';
import { shortName } from '../store.ts';
import { isExpectedNumber, preferenceSuite, questionSuite, tallyVotes, type Tally, type Verdict, VERDICTS } from '../votes.ts';

const CHOICES: Record<Verdict, WordKey> = { first: 'voteA', second: 'voteB', tie: 'voteTie', bad: 'voteBad' };

export function VotePanel() {
  const [expected, setExpected] = useDraft('expected', '');
  const current = round.value;
  const isGiven = current?.verdict !== undefined;
  const wasGiven = useRef(isGiven);
  const result = useRef<HTMLParagraphElement>(null);
  // The buttons are gone, and this is what they were pressed for.
  useLayoutEffect(() => {
    if (isGiven && !wasGiven.current) result.current!.focus();
  }, [isGiven]);
  if (!current) return null;
  if (isGiven) {
    const [a, b] = current.replies;
    return (
      <p class="vote-result" role="status" tabIndex={-1} ref={result}>
        {t('voted', { a: shortName(a.model), b: shortName(b.model) })}
      </p>
    );
  }
  const number = expected.trim();
  const isBad = number !== '' && !isExpectedNumber(number);
  return (
    <section class="vote" aria-label={t('voteTitle')}>
      <h3>{t('voteTitle')}</h3>
      <div class="row">
        {VERDICTS.map((verdict) => (
          <button key={verdict} type="button" class="choice" disabled={isBad} onClick={() => void vote(verdict, number)}>
            {t(CHOICES[verdict])}
          </button>
        ))}
      </div>
      <label class="field wide">
        <span>{t('voteExpected')}</span>
        <input
          autocomplete="off"
          value={expected}
          aria-invalid={isBad}
          aria-describedby={isBad ? 'expected-bad' : undefined}
          onInput={(event) => setExpected(event.currentTarget.value)}
        />
        {isBad && <small class="bad" id="expected-bad" role="status">{t('voteExpectedBad')}</small>}
      </label>
    </section>
  );
}

/** What the votes say: an interval that holds one half says nothing. */
function conclusion({ models, interval: [low, high] }: Tally): string {
  if (low > 0.5) return t('tallyBetter', { name: shortName(models[0]) });
  return high < 0.5 ? t('tallyBetter', { name: shortName(models[1]) }) : t('tallyUndecided');
}

function TallyRow({ tally }: { tally: Tally }) {
  const [low, high] = tally.interval;
  return (
    <tr>
      <th scope="row" class="tally-models">
        {shortName(tally.models[0])} · {shortName(tally.models[1])}
      </th>
      <td>{tally.wins.map((wins) => formatNumber(wins)).join(' : ')}</td>
      <td>{formatNumber(tally.ties)}</td>
      <td>{formatNumber(tally.bad)}</td>
      <td>
        {tally.share === undefined ? '–' : `${formatPercent(tally.share)} [${formatPercent(low)}, ${formatPercent(high)}]`}, {conclusion(tally)}
      </td>
    </tr>
  );
}

export function TallyView() {
  const tallies = tallyVotes(votes.value);
  const [confirms, setConfirms] = useState(false);
  return (
    <section class="panel" aria-label={t('tally')}>
      <h2>{t('tally')}</h2>
      {tallies.length === 0 ? (
        <p class="hint">{t('tallyEmpty')}</p>
      ) : (
        <div class="scroll" tabIndex={0} role="region" aria-label={t('tally')}>
          <table>
            <thead>
              <tr>
                {(['tallyPair', 'tallyWins', 'tallyTies', 'tallyBad', 'tallyShare'] as const).map((word) => (
                  <th key={word} scope="col">
                    {t(word)}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {tallies.map((tally) => (
                <TallyRow key={tally.models.join('\n')} tally={tally} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {!keepsVotes.value && <p class="ending" role="status">{t('votesNotKept')}</p>}
      {unreadVotes.value > 0 && <p class="ending">{t('keptUnread', { count: unreadVotes.value })}</p>}
      {votes.value.length > 0 && (
        <div class="row">
          {votes.value.some((one) => one.verdict === 'first' || one.verdict === 'second') && (
            <button type="button" onClick={() => downloadText('votes.jsonl', preferenceSuite(votes.value), 'application/jsonl')}>
              {t('exportPreferences')}
            </button>
          )}
          {votes.value.some((one) => one.expected !== undefined) && (
            <button type="button" onClick={() => downloadText('questions.jsonl', questionSuite(votes.value), 'application/jsonl')}>
              {t('exportQuestions')}
            </button>
          )}
          <button
            type="button"
            class={confirms ? 'danger' : 'quiet'}
            onBlur={() => setConfirms(false)}
            onClick={() => {
              if (confirms) void deleteVotes();
              setConfirms(!confirms);
            }}
          >
            {t(confirms ? 'deleteReally' : 'deleteVotes')}
          </button>
        </div>
      )}
    </section>
  );
}
