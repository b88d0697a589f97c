/** Time between tokens, one bar a token, both answers on one scale. */
import { useEffect, useRef } from 'preact/hooks';
import { formatMs, t } from '../i18n.ts';
import { intervals, quantile } from '../stats.ts';

const HEIGHT_PIXELS = 44;
// A bar and the gap beside it.
const BAR_PIXELS = 3;

/** The longest interval in each of at most `count` runs of neighbours: a stall stays visible however many tokens there are. */
export function bucketMaxima(values: readonly number[], count: number): number[] {
  const size = Math.max(1, Math.ceil(values.length / count));
  const maxima: number[] = [];
  for (let begin = 0; begin < values.length; begin += size) maxima.push(Math.max(...values.slice(begin, begin + size)));
  return maxima;
}

function drawBars(canvas: HTMLCanvasElement, values: readonly number[], scaleMs: number): void {
  const context = canvas.getContext('2d');
  const width = canvas.clientWidth;
  if (!context || width === 0) return;
  const ratio = devicePixelRatio;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(HEIGHT_PIXELS * ratio);
  context.scale(ratio, ratio);
  context.fillStyle = getComputedStyle(canvas).color;
  bucketMaxima(values, Math.floor(width / BAR_PIXELS)).forEach((value, index) => {
    const height = Math.max(1, Math.min(1, value / scaleMs) * HEIGHT_PIXELS);
    context.fillRect(index * BAR_PIXELS, HEIGHT_PIXELS - height, BAR_PIXELS - 1, height);
  });
}

interface TimingBarsProps {
  arrivalsMs: readonly number[];
  /** How many there are: the array itself grows in place. */
  count: number;
  scaleMs: number;
}

export function TimingBars({ arrivalsMs, count, scaleMs }: TimingBarsProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const values = intervals(arrivalsMs);
  useEffect(() => drawBars(canvas.current!, values, scaleMs), [count, scaleMs]);
  const median = quantile(values, 0.5) ?? 0;
  const p95 = quantile(values, 0.95) ?? 0;
  const max = quantile(values, 1) ?? 0;
  const words = { median: formatMs(median), p95: formatMs(p95), max: formatMs(max) };
  return (
    <figure class="timing">
      <canvas ref={canvas} role="img" aria-label={t('timingLabel', words)} />
      <figcaption>
        {t('timing')}: {t('timingSummary', words)}
      </figcaption>
    </figure>
  );
}
