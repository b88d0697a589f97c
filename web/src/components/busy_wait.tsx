/** A reply that waits for a busy server: for how long, and what can be done meanwhile. */
import { useEffect, useState } from 'preact/hooks';
import { endWait } from '../generate.ts';
import { formatNumber, t } from '../i18n.ts';
import type { Wait } from '../reply.ts';
import { announcement } from '../store.ts';

const TICK_MS = 250;

function secondsLeft(wait: Wait): string {
  return formatNumber(Math.max(0, Math.ceil((wait.untilMs - performance.now()) / 1000)));
}

export function BusyWait({ wait, onCancel }: { wait: Wait; onCancel: () => void }) {
  const [, redraw] = useState(0);
  useEffect(() => {
    // Once; the seconds that pass are only to be seen.
    announcement.value = t('busyWait', { seconds: secondsLeft(wait) });
    const timer = setInterval(() => redraw((count) => count + 1), TICK_MS);
    return () => clearInterval(timer);
  }, [wait.id]);
  return (
    <div class="busy-wait">
      <p role="timer">{t('busyWait', { seconds: secondsLeft(wait) })}</p>
      <div class="row">
        <button type="button" class="primary" onClick={() => endWait(wait.id)}>
          {t('retryNow')}
        </button>
        <button type="button" onClick={onCancel}>
          {t('cancel')}
        </button>
      </div>
    </div>
  );
}
