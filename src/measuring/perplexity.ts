/**
 * Perplexity of a text: how surprised the model is by each next token. A report, not a result that anything depends on, so
 * it uses `Math.exp` and `Math.log`, in double precision.
 *
 * @module
 */
import { InvalidArgumentError } from "../../ffi/errors.ts";
import { assertNotAborted, checkText } from "../options/checks.ts";
import { abortSignal, callback, type FieldsOf, readOptions } from "../options/schema.ts";
import { windowField, windowOf } from "./window.ts";
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
   * @default 256, or the context if that is less
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
 * const { divergence, sameWhereSure }: Comparison = await small.compare(exact, "Once upon a time, there was a girl.");
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

/** Reads `tokens` and hands over the logits at each position; `position` is that of the first row. */
export type ReadLogits = (
  tokens: Uint32Array,
  receive: (rows: Float32Array, position: number) => void,
  signal: AbortSignal | undefined,
) => Promise<void>;

/** Measures a text in consecutive windows, each begun with the token that begins a text, where there is one. */
export async function measurePerplexity(
  read: ReadLogits,
  tokenizer: Tokenizer,
  context: number,
  text: string,
  options: PerplexityOptions,
): Promise<Perplexity> {
  let nll = 0;
  let tokens = 0;
  await inWindows(tokenizer, context, text, options, async (part) => {
    await read(part, (rows, position) => {
      const vocabulary = tokenizer.vocabularySize;
      for (let row = 0; row < rows.length / vocabulary; row++) {
        const next = part[position + row + 1];
        if (next === undefined) break; // the last row predicts what is not there
        nll += surprise(rows.subarray(row * vocabulary, (row + 1) * vocabulary), next);
        tokens++;
      }
    }, options.signal);
  });
  return { perplexity: Math.exp(nll / tokens), tokens, nll };
}

/** By how much the best token must be ahead of the second for a model to be sure. */
const sureMargin = 0.1;

/** Measures a text with two models that have one vocabulary; the second is the reference. */
export async function comparePerplexity(
  read: ReadLogits,
  readReference: ReadLogits,
  tokenizer: Tokenizer,
  context: number,
  text: string,
  options: PerplexityOptions,
): Promise<Comparison> {
  const vocabulary = tokenizer.vocabularySize;
  const sums = { nll: 0, reference: 0, divergence: 0, same: 0, sure: 0, sameWhereSure: 0, tokens: 0 };
  await inWindows(tokenizer, context, text, options, async (part) => {
    const all = [read, readReference].map(async (model) => {
      const logits = new Float32Array(part.length * vocabulary);
      await model(part, (rows, position) => logits.set(rows, position * vocabulary), options.signal);
      return logits;
    });
    const [mine, exact] = await Promise.all(all);
    for (let position = 0; position + 1 < part.length; position++) {
      const row = (logits: Float32Array) => logits.subarray(position * vocabulary, (position + 1) * vocabulary);
      addPosition(sums, row(mine), row(exact), part[position + 1]);
    }
  });
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

type Sums = Omit<{ -readonly [Key in keyof Comparison]: number }, "perplexity" | "ratio">;

function addPosition(sums: Sums, mine: Float32Array, exact: Float32Array, next: number): void {
  const p = logarithmOfSum(exact);
  const q = logarithmOfSum(mine);
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
  if (!sure) return;
  sums.sure++;
  sums.sameWhereSure += same;
}

/** Calls `measure` with the tokens of each window in turn. */
async function inWindows(
  tokenizer: Tokenizer,
  context: number,
  text: string,
  options: PerplexityOptions,
  measure: (tokens: Uint32Array) => Promise<void>,
): Promise<void> {
  checkText("text", text);
  const read = readOptions(perplexityFields, options);
  assertNotAborted(read.signal);
  const window = windowOf(read.window, context);
  const ids = tokenizer.encode(text, { addSpecial: false });
  const head = tokenizer.bos === undefined ? [] : [tokenizer.bos];
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
    await measure(part);
    options.onProgress?.(Math.min(begin + step, ids.length), ids.length);
  }
}

/** The negative logarithm of the probability that logits give to one token. */
export function surprise(logits: Float32Array, token: number): number {
  return logarithmOfSum(logits) - logits[token];
}

function logarithmOfSum(logits: Float32Array): number {
  let most = -Infinity;
  for (const logit of logits) if (logit > most) most = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - most);
  return Math.log(sum) + most;
}
