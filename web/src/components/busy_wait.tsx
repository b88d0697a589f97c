/** Replies that wait for a busy server: for how long, and what can be done meanwhile. */
import { useEffect, useState } from 'preact/hooks';
import { endWait } from '../generate.ts';
import { formatNumber, t } from '../i18n.ts';
import type { Wait } from '../reply.ts';
import { announcement } from '../store.ts';

const TICK_MS = 250;

/** Until the first of them is over. */
function secondsLeft(waits: readonly Wait[]): string {
  const untilMs = Math.min(...waits.map((wait) => wait.untilMs));
  return formatNumber(Math.max(0, Math.ceil((untilMs - performance.now()) / 1000)));
}

export function BusyWait({ waits, onCancel }: { waits: readonly Wait[]; onCancel: () => void }) {
  const [, redraw] = useState(0);
  useEffect(() => {
    // Once; the seconds that pass are only to be seen.
    announcement.value = t('busyWait', { seconds: secondsLeft(waits) });
    const timer = setInterval(() => redraw((count) => count + 1), TICK_MS);
    return () => clearInterval(timer);
  }, [waits.map((wait) => wait.id).join()]);
  return (
    <div class="busy-wait">
      <p role="timer">{t('busyWait', { seconds: secondsLeft(waits) })}</p>
      <div class="row">
        <button type="button" class="primary" onClick={() => waits.forEach((wait) => endWait(wait.id))}>
          {t('retryNow')}
        </button>
        <button type="button" onClick={onCancel}>
          {t('cancel')}
        </button>
      </div>
    </div>
  );
}
