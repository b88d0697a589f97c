/** Side by side: one prompt to two models at once. */
import { useState } from 'preact/hooks';
import {
  arenaStreaming,
  blind,
  namesShown,
  round,
  servedContenders,
  setContender,
  startRound,
  stopRound,
} from '../arena.ts';
import { t } from '../i18n.ts';
import type { Reply } from '../reply.ts';
import { intervals, quantile } from '../stats.ts';
import { connection, models, shortName } from '../store.ts';
import { Composer } from './composer.tsx';
import { DiffView } from './diff_view.tsx';
import { IconButton } from './icon.tsx';
import { ModelChoice } from './model_choice.tsx';
import { Parameters } from './parameters.tsx';
import { ReplyBody, ReplyStats } from './reply_view.tsx';
import { TimingBars } from './timing_bars.tsx';
import { TallyView, VotePanel } from './vote_panel.tsx';

/** One scale for both: the longer of the 99th percentiles, so that one stall does not flatten the rest. */
function commonScaleMs(replies: readonly Reply[]): number {
  return Math.max(1, ...replies.map((reply) => 1.2 * (quantile(intervals(reply.arrivalsMs), 0.99) ?? 0)));
}

function AnswerColumn({ letter, reply, scaleMs }: { letter: 'A' | 'B'; reply: Reply; scaleMs: number }) {
  const label = t(letter === 'A' ? 'answerA' : 'answerB');
  // Speed would give a blind round away.
  const shown = namesShown.value;
  return (
    <section class="answer" aria-label={label} aria-busy={reply.state === 'streaming'}>
      <h2>
        <span class="letter">{letter}</span>
        {shown && <span class="answer-name">{shortName(reply.model)}</span>}
      </h2>
      <ReplyBody reply={reply} onStop={stopRound} anonymous={!shown} />
      {shown && <ReplyStats reply={reply} />}
      {shown && reply.arrivalsMs.length > 1 && (
        <TimingBars arrivalsMs={reply.arrivalsMs} count={reply.arrivalsMs.length} scaleMs={scaleMs} />
      )}
    </section>
  );
}

function RoundView() {
  const current = round.value;
  if (!current) return <p class="empty">{t('arenaEmpty')}</p>;
  const [a, b] = current.replies;
  const scaleMs = commonScaleMs(current.replies);
  const ended = !arenaStreaming.value;
  return (
    <>
      <p class="bubble prompt" dir="auto">
        {current.prompt}
      </p>
      <div class="answers">
        <AnswerColumn letter="A" reply={a} scaleMs={scaleMs} />
        <AnswerColumn letter="B" reply={b} scaleMs={scaleMs} />
      </div>
      {ended && current.replies.some((reply) => reply.state === 'failed' || reply.state === 'interrupted') && (
        <p class="row">
          <button type="button" class="primary" disabled={connection.value !== 'ready'} onClick={() => void startRound(current.prompt)}>
            {t('retry')}
          </button>
        </p>
      )}
      {ended && a.content !== '' && b.content !== '' && (
        <>
          <VotePanel key={current.prompt + a.startedMs} />
          <details class="panel">
            <summary>{t('diff')}</summary>
            <DiffView before={a.content} after={b.content} />
          </details>
        </>
      )}
    </>
  );
}

export function ArenaView() {
  const [parametersOpen, setParametersOpen] = useState(false);
  const [left, right] = servedContenders();
  return (
    <div class="arena-frame">
      <main class="arena">
        <div class="toolbar">
          <ModelChoice label={t('modelA')} value={left} onChange={(id) => setContender(0, id)} />
          <ModelChoice label={t('modelB')} value={right} onChange={(id) => setContender(1, id)} />
          <IconButton
            icon="sliders"
            label={t('parameters')}
            expanded={parametersOpen}
            opens="parameters"
            onClick={() => setParametersOpen(!parametersOpen)}
          />
        </div>
        {models.value.length === 1 && <p class="hint">{t('arenaOneModel')}</p>}
        <Composer
          draft="arena"
          label={t('arenaPrompt')}
          placeholder={t('arenaPlaceholder')}
          sendLabel={t('arenaRun')}
          busy={arenaStreaming.value}
          disabled={connection.value !== 'ready'}
          keepsText
          onSend={(text) => void startRound(text)}
          onStop={stopRound}
        />
        <label class="check">
          <input type="checkbox" checked={blind.value} onChange={(event) => (blind.value = event.currentTarget.checked)} />
          <span>{t('arenaBlind')}</span>
        </label>
        <RoundView />
        <TallyView />
      </main>
      {parametersOpen && <Parameters model={left} onClose={() => setParametersOpen(false)} />}
    </div>
  );
}
