/**
 * Perplexity of a text: how surprised the model is by each next token. It is a report, and no result depends on it; so it
 * uses `Math.exp` and `Math.log`, in double precision. Walking a vocabulary takes milliseconds a row: that is done in slices.
 *
 * @module
 */
import { InvalidArgumentError } from "../../ffi/errors.ts";
import { assertNotAborted, checkText } from "../options/checks.ts";
import { abortSignal, callback, type FieldsOf, given, readOptions } from "../options/schema.ts";
import type { LogitRows } from "../batching/read_logits.ts";
import { inSlices, type Sliceable } from "../machine/sliced.ts";
import { headOf, windowField, windowOf } from "./window.ts";
import type { Tokenizer } from "../text/tokenizer/tokenizer.ts";

/**
 * Options for measuring perplexity.
 *
 * @example
 * ```ts
 * import { LightGPT, type PerplexityOptions } from "@lightgpt/lightgpt";
 *
 * const options: PerplexityOptions = { window: 128, onProgress: (done, all) => console.error(done, "of", all) };
 * await using lm = await LightGPT.load();
 * console.log(await lm.perplexity("Once upon a time, there was a little girl.", options));
 * ```
 */
export interface PerplexityOptions {
  /**
   * Tokens that are read together, the one that begins a text included.
   * @default {256, or the context if that is less}
   */
  readonly window?: number;
  /** Called with how many tokens have been read, of how many. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Ends the measurement. */
  readonly signal?: AbortSignal;
}

/** The schema of {@link PerplexityOptions}. */
export const perplexityFields = {
  window: windowField,
  onProgress: callback<(done: number, total: number) => void>({
    about: "Called with how many tokens have been read, of how many.",
  }),
  signal: abortSignal("Ends the measurement."),
} as const satisfies FieldsOf<PerplexityOptions>;

/**
 * A measured perplexity.
 *
 * @example
 * ```ts
 * import { LightGPT, type Perplexity } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * const { perplexity, tokens }: Perplexity = await lm.perplexity("Once upon a time, there was a little girl.");
 * console.log(perplexity, "over", tokens, "tokens");
 * ```
 */
export interface Perplexity {
  /** exp(nll / tokens). */
  readonly perplexity: number;
  /** How many tokens were predicted. */
  readonly tokens: number;
  /** The sum of the negative logarithms of their probabilities. */
  readonly nll: number;
}

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
  /** The share of positions at which both find the same token likeliest. */
  readonly same: number;
  /** Positions at which the reference's best two tokens differ by more than 0.1 in probability. */
  readonly sure: number;
  /** {@link Comparison.same} among these. */
  readonly sameWhereSure: number;
}

/** Reads tokens and gives the logits after each, part by part. */
export type ReadRows = (tokens: Uint32Array, signal: AbortSignal | undefined) => AsyncGenerator<LogitRows, void, void>;

/** What reads a text: a vocabulary and a context. */
export interface Reader {
  /** Turns the text into tokens. */
  readonly tokenizer: Tokenizer;
  /** The most tokens of a window. */
  readonly context: number;
}

/**
 * Measures a text in consecutive windows. Each begins with the token that begins a text, where the file wants one.
 *
 * @throws {CancelledError} once the signal is aborted
 * @throws {InvalidArgumentError} if the text has no token that can be predicted
 */
export async function measurePerplexity(
  reader: Reader,
  read: ReadRows,
  text: string,
  options: PerplexityOptions,
): Promise<Perplexity> {
  const { vocabularySize } = reader.tokenizer;
  let nll = 0;
  let tokens = 0;
  for await (const part of windows(reader, text, options)) {
    for await (const { rows, position } of read(part, options.signal)) {
      const next = part.subarray(position + 1, position + 1 + rows.length / vocabularySize);
      nll += await inSlices(surprises(rows, next, vocabularySize), options.signal);
      tokens += next.length;
    }
  }
  return { perplexity: Math.exp(nll / tokens), tokens, nll };
}

/** The sum of the surprises at the token that comes after each row; the last row of a window predicts what is not there. */
function* surprises(rows: Float32Array, next: Uint32Array, vocabulary: number): Sliceable<number> {
  let sum = 0;
  for (let row = 0; row < next.length; row++) {
    sum += surprise(rows.subarray(row * vocabulary, (row + 1) * vocabulary), next[row]);
    yield;
  }
  return sum;
}

/** By how much the best token must be ahead of the second for a model to be sure. */
const sureMargin = 0.1;

/**
 * Measures a text with two models that have one vocabulary. Both read it part by part, so that a few rows of logits are kept.
 *
 * @param reader the vocabulary, and a context that both have
 * @throws {CancelledError} once the signal is aborted
 */
export async function comparePerplexity(
  reader: Reader,
  read: { readonly model: ReadRows; readonly reference: ReadRows },
  text: string,
  options: PerplexityOptions,
): Promise<Comparison> {
  const { vocabularySize } = reader.tokenizer;
  const sums = { nll: 0, reference: 0, divergence: 0, same: 0, sure: 0, sameWhereSure: 0, tokens: 0 };
  for await (const part of windows(reader, text, options)) {
    for await (const [mine, exact] of inPairs(read.model(part, options.signal), read.reference(part, options.signal))) {
      const next = part.subarray(mine.position + 1, mine.position + 1 + mine.rows.length / vocabularySize);
      await inSlices(addRows(sums, mine.rows, exact.rows, next, vocabularySize), options.signal);
    }
  }
  const { nll, tokens, sure } = sums;
  const [perplexity, reference] = [Math.exp(nll / tokens), Math.exp(sums.reference / tokens)];
  return {
    perplexity,
    tokens,
    nll,
    reference,
    ratio: perplexity / reference,
    divergence: sums.divergence / tokens,
    same: sums.same / tokens,
    sure,
    sameWhereSure: sure === 0 ? 1 : sums.sameWhereSure / sure,
  };
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

type Sums = Omit<{ -readonly [Key in keyof Comparison]: number }, "perplexity" | "ratio">;

function* addRows(
  sums: Sums,
  mine: Float32Array,
  exact: Float32Array,
  next: Uint32Array,
  vocabulary: number,
): Sliceable<void> {
  for (let row = 0; row < next.length; row++) {
    const of = (rows: Float32Array) => rows.subarray(row * vocabulary, (row + 1) * vocabulary);
    yield* addPosition(sums, of(mine), of(exact), next[row]);
  }
}

function* addPosition(sums: Sums, mine: Float32Array, exact: Float32Array, next: number): Sliceable<void> {
  const p = logarithmOfSum(exact);
  yield;
  const q = logarithmOfSum(mine);
  yield;
  let divergence = 0;
  let [best, second] = [-Infinity, -Infinity];
  let choice = 0;
  let mineBest = 0;
  for (let token = 0; token < exact.length; token++) {
    const logit = exact[token] - p;
    divergence += Math.exp(logit) * (logit - (mine[token] - q));
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
  sums.divergence += divergence;
  sums.same += same;
  sums.tokens++;
  yield;
  if (!sure) return;
  sums.sure++;
  sums.sameWhereSure += same;
}

/** The tokens of each window of a text in turn, those with a token to predict. */
async function* windows(
  { tokenizer, context }: Reader,
  text: string,
  options: PerplexityOptions,
): AsyncGenerator<Uint32Array, void, void> {
  checkText("text", text);
  const read = readOptions(perplexityFields, options);
  const { signal } = read;
  assertNotAborted(signal);
  const window = windowOf(read.window, context);
  const ids = await tokenizer.encodeAsync(text, { addSpecial: false, ...given({ signal }) });
  const head = headOf(tokenizer);
  const step = window - head.length;
  if (ids.length + head.length < 2) {
    throw new InvalidArgumentError("text: expected at least one token to predict, got none.", {
      what: "too short a text",
      where: "text",
    });
  }
  options.onProgress?.(0, ids.length);
  for (let begin = 0; begin < ids.length; begin += step) {
    const part = Uint32Array.of(...head, ...ids.subarray(begin, begin + step));
    if (part.length < 2) break;
    yield part;
    options.onProgress?.(Math.min(begin + step, ids.length), ids.length);
  }
}

/**
 * The surprise at a token: the negative logarithm of the probability that logits give to it.
 *
 * @param logits of all tokens
 * @returns the surprise, in nats
 */
export function surprise(logits: Float32Array, token: number): number {
  return logarithmOfSum(logits) - logits[token];
}

/** ln(sum(exp(logits))). */
function logarithmOfSum(logits: Float32Array): number {
  let most = -Infinity;
  for (const logit of logits) if (logit > most) most = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - most);
  return Math.log(sum) + most;
}
