/** Side by side: one prompt to two models at once. */
import { useState } from 'preact/hooks';
import {
  arenaStreaming,
  blind,
  heldBack,
  namesShown,
  round,
  roundComplete,
  servedContenders,
  setContender,
  startRound,
  stopRound,
} from '../arena.ts';
import { t } from '../i18n.ts';
import { isThinking, type Reply } from '../reply.ts';
import { intervals, quantile } from '../stats.ts';
import { connection, models, shortName } from '../store.ts';
import { BusyWait } from './busy_wait.tsx';
import { Composer } from './composer.tsx';
import { DiffView } from './diff_view.tsx';
import { IconButton } from './icon.tsx';
import { ModelChoice } from './model_choice.tsx';
import { Parameters } from './parameters.tsx';
import { AnswerNow, ReplyBody, ReplyStats } from './reply_view.tsx';
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
  const held = heldBack.value;
  return (
    <section class="answer" aria-label={label} aria-busy={held || reply.state === 'streaming'}>
      <h2>
        <span class="letter">{letter}</span>
        {shown && <span class="answer-name">{shortName(reply.model)}</span>}
      </h2>
      {held ? <p class="waiting live">{t('writing')}</p> : <ReplyBody reply={reply} onStop={stopRound} anonymous={!shown} />}
      {shown && <ReplyStats reply={reply} />}
      {shown && reply.arrivalsMs.length > 1 && (
        <TimingBars arrivalsMs={reply.arrivalsMs} count={reply.arrivalsMs.length} scaleMs={scaleMs} />
      )}
    </section>
  );
}

/** Why nothing is shown yet, and what can be done about both answers alike. */
function HeldBack({ replies }: { replies: readonly Reply[] }) {
  const waits = replies.flatMap((reply) => reply.wait ?? []);
  const thinking = replies.flatMap((reply) => (isThinking(reply) && reply.id !== undefined ? [reply.id] : []));
  return (
    <div class="held-back">
      <p>{t('arenaHeldBack')}</p>
      {waits.length > 0 && <BusyWait waits={waits} onCancel={stopRound} />}
      {thinking.length > 0 && <AnswerNow key={thinking.join()} ids={thinking} />}
    </div>
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
      {heldBack.value && <HeldBack replies={current.replies} />}
      <div class="answers">
        <AnswerColumn letter="A" reply={a} scaleMs={scaleMs} />
        <AnswerColumn letter="B" reply={b} scaleMs={scaleMs} />
      </div>
      {ended && !roundComplete.value && (
        <p class="row">
          <span>{t('arenaIncomplete')}</span>
          <button type="button" class="primary" disabled={connection.value !== 'ready'} onClick={() => void startRound(current.prompt)}>
            {t('retry')}
          </button>
        </p>
      )}
      {roundComplete.value && <VotePanel key={current.prompt + a.startedMs} />}
      {ended && a.content !== '' && b.content !== '' && (
        <details class="panel">
          <summary>{t('diff')}</summary>
          <DiffView before={a.content} after={b.content} />
        </details>
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
