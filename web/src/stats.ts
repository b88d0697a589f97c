/** Statistics that the page shows. */

const Z_95 = 1.959963984540054;

/** Wilson's 95 % interval for a proportion; [0, 1] where nothing was observed. */
export function wilsonInterval(successes: number, count: number): [number, number] {
  if (count === 0) return [0, 1];
  const p = successes / count;
  const z2 = Z_95 * Z_95;
  const center = (p + z2 / (2 * count)) / (1 + z2 / count);
  const half = (Z_95 / (1 + z2 / count)) * Math.sqrt((p * (1 - p)) / count + z2 / (4 * count * count));
  return [Math.max(0, center - half), Math.min(1, center + half)];
}

/** The q-quantile (0 to 1) by linear interpolation; undefined for no values. */
export function quantile(values: readonly number[], q: number): number | undefined {
  if (values.length === 0) return undefined;
  const sorted = [...values].sort((a, b) => a - b);
  const position = q * (sorted.length - 1);
  const below = Math.floor(position);
  const low = sorted[below]!;
  const high = sorted[Math.min(below + 1, sorted.length - 1)]!;
  return low + (high - low) * (position - below);
}

/**
 * Entropy in bits of a distribution of which only the most likely outcomes are known. The rest counts as one outcome, so
 * this is a lower bound.
 */
export function entropyBits(logprobs: readonly number[]): number {
  let known = 0;
  let bits = 0;
  for (const logprob of logprobs) {
    const p = Math.exp(logprob);
    known += p;
    if (p > 0) bits -= (p * logprob) / Math.LN2;
  }
  const rest = 1 - known;
  return rest > 1e-9 ? bits - rest * Math.log2(rest) : bits;
}

/** Times between consecutive arrivals, in the unit of the arrivals. */
export function intervals(arrivals: readonly number[]): number[] {
  return arrivals.slice(1).map((arrival, i) => arrival - arrivals[i]!);
}
