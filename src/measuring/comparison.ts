/**
 * How far a model is from a reference on a text: another model that reads it too, or what one said of it earlier (`base_file.ts`).
 * Walking two vocabularies takes milliseconds a row: that is done in slices.
 *
 * @module
 */
import { inSlices, type Sliceable } from "../options/sliced.ts";
import { baseFloor } from "./base_file.ts";
import { logarithmOfSum } from "./log_probabilities.ts";
import { inTurn, type Perplexity, type PerplexityOptions } from "./perplexity.ts";
import type { ReadRows } from "./types.ts";
import type { MeasuredWindow } from "./window.ts";

/**
 * How far a model is from another one, the reference, on a text.
 *
 * @example
 * ```ts
 * import { type Comparison, LightGPT } from "@lightgpt/lightgpt";
 *
 * await using small = await LightGPT.load("model-q4_0.gguf");
 * await using exact = await LightGPT.load("model-f32.gguf");
 * const { divergence, sameWhereSure }: Comparison = await small.accuracy({
 *   reference: exact,
 *   text: "Once upon a time, there was a girl.",
 * });
 * console.log(divergence, sameWhereSure);
 * ```
 */
export interface Comparison extends Perplexity {
  /** The perplexity of the reference. */
  readonly reference: number;
  /** Perplexity over that of the reference. */
  readonly ratio: number;
  /** Mean Kullback-Leibler divergence from the reference's probabilities, in nats. */
  readonly divergence: number;
  /** What that divergence is at most at 99 of 100 positions, in nats. */
  readonly divergence99: number;
  /** The share of positions at which both find the same token likeliest. */
  readonly same: number;
  /** Positions at which the reference's best two tokens differ by more than 0.1 in probability. */
  readonly sure: number;
  /** {@link Comparison.same} among these. */
  readonly sameWhereSure: number;
}

/** By how much the best token must be ahead of the second for a model to be sure. */
const sureMargin = 0.1;

/** What a model is compared with. */
export interface Reference {
  readonly read: ReadRows;
  /** Whether rows are log probabilities of a base file. */
  readonly isBase: boolean;
}

/**
 * Measures windows with a model and its reference. Both are read part by part, so that a few rows of logits are kept.
 *
 * @param vocabulary tokens that both have
 * @throws {CancelledError} once the signal is aborted
 */
export async function compareWindows(
  windows: readonly MeasuredWindow[],
  vocabulary: number,
  read: ReadRows,
  reference: Reference,
  { signal, onProgress }: Pick<PerplexityOptions, "signal" | "onProgress">,
): Promise<Comparison> {
  const sums: Sums = { nll: 0, reference: 0, divergences: [], same: 0, sure: 0, sameWhereSure: 0 };
  const { isBase } = reference;
  for await (const { tokens, first } of inTurn(windows, onProgress)) {
    const part = tokens.subarray(0, -1);
    for await (const [mine, exact] of inPairs(read(part, first, signal), reference.read(part, first, signal))) {
      const next = tokens.subarray(mine.position + 1, mine.position + 1 + mine.rows.length / vocabulary);
      await inSlices(addRows(sums, { mine: mine.rows, exact: exact.rows, isBase }, next, vocabulary), signal);
    }
  }
  return comparisonOf(sums);
}

function comparisonOf({ nll, divergences, sure, ...sums }: Sums): Comparison {
  const tokens = divergences.length;
  const [perplexity, reference] = [Math.exp(nll / tokens), Math.exp(sums.reference / tokens)];
  return {
    perplexity,
    tokens,
    nll,
    reference,
    ratio: perplexity / reference,
    divergence: divergences.reduce((sum, divergence) => sum + divergence, 0) / tokens,
    divergence99: percentile(Float64Array.from(divergences).sort(), 0.99),
    same: sums.same / tokens,
    sure,
    sameWhereSure: sure === 0 ? 1 : sums.sameWhereSure / sure,
  };
}

/** A value that `share` of those in order are below; between two of them by their distances. */
function percentile(sorted: Float64Array, share: number): number {
  const place = share * (sorted.length - 1);
  const [below, above] = [Math.floor(place), Math.ceil(place)];
  return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}

/** What two sequences of as many parts give, part by part. Where one fails or is given up, the other is ended. */
async function* inPairs<T>(left: AsyncGenerator<T, void, void>, right: AsyncGenerator<T, void, void>) {
  try {
    for (;;) {
      const [one, other] = await Promise.all([left.next(), right.next()]);
      if (one.done || other.done) return;
      yield [one.value, other.value] as const;
    }
  } finally {
    await Promise.all([left.return(), right.return()]);
  }
}

/** What positions came to so far. */
interface Sums {
  nll: number;
  reference: number;
  readonly divergences: number[];
  same: number;
  sure: number;
  sameWhereSure: number;
}

/** Rows of both, [rows][vocabulary]. */
interface RowPair {
  readonly mine: Float32Array;
  readonly exact: Float32Array;
  readonly isBase: boolean;
}

function* addRows(
  sums: Sums,
  { mine, exact, isBase }: RowPair,
  next: Uint32Array,
  vocabulary: number,
): Sliceable<void> {
  for (let row = 0; row < next.length; row++) {
    const of = (rows: Float32Array) => rows.subarray(row * vocabulary, (row + 1) * vocabulary);
    yield* addPosition(sums, { mine: of(mine), exact: of(exact), isBase }, next[row]);
  }
}

function* addPosition(sums: Sums, { mine, exact, isBase }: RowPair, next: number): Sliceable<void> {
  const p = isBase ? 0 : logarithmOfSum(exact);
  // A base file has no more of what is below.
  const floor = isBase ? baseFloor : -Infinity;
  yield;
  const q = logarithmOfSum(mine);
  yield;
  let divergence = 0;
  let [best, second] = [-Infinity, -Infinity];
  let choice = 0;
  let mineBest = 0;
  for (let token = 0; token < exact.length; token++) {
    const logit = exact[token] - p;
    if (logit > floor) divergence += Math.exp(logit) * (logit - (mine[token] - q));
    if (logit > best) {
      second = best;
      best = logit;
      choice = token;
    } else if (logit > second) second = logit;
    if (mine[token] > mine[mineBest]) mineBest = token;
  }
  const same = choice === mineBest ? 1 : 0;
  const sure = Math.exp(best) - Math.exp(second) > sureMargin;
  sums.nll += q - mine[next];
  sums.reference += p - exact[next];
  sums.divergences.push(divergence);
  sums.same += same;
  yield;
  if (!sure) return;
  sums.sure++;
  sums.sameWhereSure += same;
}
