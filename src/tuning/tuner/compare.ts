/**
 * Whether one setting is faster than another, from times that were taken in pairs, one beside the other, so that what
 * disturbs the machine for longer than a pair disturbs both. The logarithms of the ratios are winsorised: the fifth at each
 * end counts as the nearest of the rest, so that a few disturbed pairs, or a lucky one, decide nothing. The interval is
 * Yuen's (The two-sample trimmed t for unequal population variances, Biometrika 61, 1974), for one sample of differences.
 *
 * @module
 */

/** How much faster a candidate is than the value it was paired with; 0.1 is 10 %. */
export interface TimeComparison {
  /** The estimate. */
  readonly gain: number;
  /** The lower end of the interval. */
  readonly low: number;
  /** The upper end. */
  readonly high: number;
  /** Pairs that were measured. */
  readonly pairs: number;
}

/** The share at each end that is winsorised. */
const endShare = 0.2;
/** Clocks and loops are no more exact than this. */
const leastDeviation = 0.004;

/** Compares times of a candidate with those of what it would replace; the times of one index are a pair. */
export function compareTimes(base: readonly number[], candidate: readonly number[]): TimeComparison {
  const ratios = base.map((ms, index) => Math.log(ms / (candidate[index] as number)))
    .filter(Number.isFinite).sort((a, b) => a - b);
  const pairs = ratios.length;
  if (pairs < 2) return { gain: 0, low: -Infinity, high: Infinity, pairs };
  const ends = Math.floor(endShare * pairs);
  const [least, most] = [ratios[ends] as number, ratios[pairs - 1 - ends] as number];
  const inner = ratios.slice(ends, pairs - ends);
  const middle = mean(inner);
  const winsorised = ratios.map((ratio) => Math.min(most, Math.max(least, ratio)));
  const centre = mean(winsorised);
  const variance = winsorised.reduce((sum, ratio) => sum + (ratio - centre) ** 2, 0) / (pairs - 1);
  const deviation = Math.max(leastDeviation, Math.sqrt(variance));
  const error = deviation / ((inner.length / pairs) * Math.sqrt(pairs));
  const reach = quantile(inner.length - 1) * error;
  return { gain: Math.expm1(middle), low: Math.expm1(middle - reach), high: Math.expm1(middle + reach), pairs };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Student's t for 99.5 %, within a tenth for 2 degrees of freedom and more; looking again after each pair asks for a high one. */
function quantile(freedom: number): number {
  return freedom < 2 ? 30 : 2.6 + 3 / freedom + 22 / freedom ** 2;
}
