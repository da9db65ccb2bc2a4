/**
 * Perplexity of a text: how surprised the model is by each next token. A report, not a result that anything depends on, so
 * it uses `Math.exp` and `Math.log`, in double precision.
 *
 * @module
 */
import { InvalidArgumentError } from "../ffi/errors.ts";
import { checkFunction, checkKeys, checkSignal, integerOption, refuseOption } from "./options.ts";
import type { Tokenizer } from "./tokenizer/mod.ts";

/**
 * What may be said about a measurement of perplexity.
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
  /** Tokens that are read together, the one that begins a text included. Default 256, or the context if that is less. */
  readonly window?: number;
  /** Hears how many tokens have been read, of how many. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Ends the measurement. */
  readonly signal?: AbortSignal;
}

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
  if (typeof text !== "string") refuseOption("text", "a string", text);
  checkKeys("options", options, ["window", "onProgress", "signal"]);
  checkFunction("onProgress", options.onProgress);
  checkSignal(options.signal);
  const window = integerOption("window", options.window, 2, context, Math.min(256, context));
  const ids = tokenizer.encode(text, { addSpecial: false });
  const head = tokenizer.bos === undefined ? [] : [tokenizer.bos];
  let nll = 0;
  let tokens = 0;
  options.onProgress?.(0, ids.length);
  for (let begin = 0; begin < ids.length; begin += window - head.length) {
    const part = Uint32Array.of(...head, ...ids.subarray(begin, begin + window - head.length));
    if (part.length < 2) break;
    await read(part, (rows, position) => {
      const vocabulary = tokenizer.vocabularySize;
      for (let row = 0; row < rows.length / vocabulary; row++) {
        const next = part[position + row + 1];
        if (next === undefined) break; // the last row predicts what is not there
        nll += surprise(rows.subarray(row * vocabulary, (row + 1) * vocabulary), next);
        tokens++;
      }
    }, options.signal);
    options.onProgress?.(Math.min(begin + window - head.length, ids.length), ids.length);
  }
  if (tokens === 0) {
    throw new InvalidArgumentError("text: expected at least one token to predict, got none.", {
      what: "too short a text",
      where: "text",
    });
  }
  return { perplexity: Math.exp(nll / tokens), tokens, nll };
}

/** The negative logarithm of the probability that logits give to one token. */
export function surprise(logits: Float32Array, token: number): number {
  let most = -Infinity;
  for (const logit of logits) if (logit > most) most = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - most);
  return Math.log(sum) + most - logits[token];
}
