/**
 * Perplexity of a text: how surprised the model is by each next token. Walking a vocabulary takes milliseconds a row: that is
 * done in slices. `window.ts` says which tokens are counted.
 *
 * @module
 */
import { assertNotAborted, checkText, refuseOption } from "../options/checks.ts";
import { pathOf } from "../options/paths.ts";
import { abortSignal, callback, type FieldsOf, given, other, readOptions, type Resolved } from "../options/schema.ts";
import { inSlices, type Sliceable } from "../options/sliced.ts";
import { BaseWriter } from "./base_file.ts";
import { surprise } from "./log_probabilities.ts";
import type { Reader, ReadRows } from "./types.ts";
import {
  fullWindows,
  halfWindows,
  headOf,
  type MeasuredWindow,
  methodField,
  wholeWindows,
  windowField,
  windowOf,
} from "./window.ts";

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
   * Which tokens are counted. `full`: all, in windows that each begin with the token that begins a text. `llama.cpp`: as
   * llama-perplexity does, whose figure it equals: the second half of each window, so that every token has some context.
   * @default {"full", or "llama.cpp" with klDivergenceBase}
   */
  readonly method?: "full" | "llama.cpp";
  /**
   * Tokens that are read together, the one that begins a text included.
   * @default {256, or 512 of the method "llama.cpp", or the context if that is less}
   */
  readonly window?: number;
  /**
   * A file for the log probabilities of all tokens in the format of llama-perplexity's option of that name: other models are
   * compared with it later, by {@link LightGPT.accuracy} or by `llama-perplexity --kl-divergence`. It belongs to the method
   * "llama.cpp", and takes about two bytes for each counted token and token of the vocabulary.
   * @default {no file is written}
   */
  readonly klDivergenceBase?: string | URL;
  /** Called with how many tokens have been read, of how many. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Ends the measurement. */
  readonly signal?: AbortSignal;
}

/** The schema of {@link PerplexityOptions}. */
export const perplexityFields = {
  method: methodField,
  window: windowField,
  klDivergenceBase: other<string | URL, string>()(
    {
      about: "A file for the log probabilities of all tokens, as llama-perplexity writes it.",
      expected: "the path of a file",
      flag: { value: "FILE", about: "write what the model says of each token, as llama-perplexity does" },
    },
    (value, name) => pathOf(name, value, "a file of log probabilities"),
  ),
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
 * Measures a text.
 *
 * @throws {CancelledError} once the signal is aborted
 * @throws {InvalidArgumentError} if the text has no token that can be predicted, or too few for the method
 */
export async function measurePerplexity(
  reader: Reader,
  read: ReadRows,
  text: string,
  options: PerplexityOptions,
): Promise<Perplexity> {
  const settings = readOptions(perplexityFields, options);
  const { signal, klDivergenceBase } = settings;
  const { vocabularySize } = reader.tokenizer;
  const { windows, whole, window } = await cutText(reader, text, settings);
  using base = klDivergenceBase === undefined
    ? undefined
    : new BaseWriter(klDivergenceBase, { window, vocabulary: vocabularySize, tokens: whole });
  let nll = 0;
  let tokens = 0;
  for await (const { tokens: part, first } of inTurn(windows, options.onProgress)) {
    // What follows the last token is not there to be predicted.
    for await (const { rows, position } of read(part.subarray(0, -1), first, signal)) {
      const next = part.subarray(position + 1, position + 1 + rows.length / vocabularySize);
      nll += await inSlices(surprises(rows, next, vocabularySize, base), signal);
      tokens += next.length;
    }
  }
  base?.finish();
  return { perplexity: Math.exp(nll / tokens), tokens, nll };
}

/** The sum of the surprises at the token that comes after each row, which a base file gets too. */
function* surprises(
  rows: Float32Array,
  next: Uint32Array,
  vocabulary: number,
  base: BaseWriter | undefined,
): Sliceable<number> {
  let sum = 0;
  for (let row = 0; row < next.length; row++) {
    const logits = rows.subarray(row * vocabulary, (row + 1) * vocabulary);
    sum += surprise(logits, next[row]);
    yield;
    if (base !== undefined) yield* base.write(logits);
  }
  return sum;
}

/** How a text was cut. */
export interface CutText {
  readonly windows: readonly MeasuredWindow[];
  readonly window: number;
  /** The tokens of all windows as the text has them; only the method "llama.cpp" uses whole windows. */
  readonly whole: Uint32Array;
}

/**
 * Cuts a text by a method.
 *
 * @throws {CancelledError} once the signal is aborted
 * @throws {InvalidArgumentError} if the text has no token that can be predicted, or too few for the method
 */
export async function cutText(
  { tokenizer, context }: Reader,
  text: string,
  settings: Pick<Resolved<typeof perplexityFields>, "method" | "window" | "signal" | "klDivergenceBase">,
): Promise<CutText> {
  checkText("text", text);
  const { signal, klDivergenceBase, method = klDivergenceBase === undefined ? "full" : "llama.cpp" } = settings;
  assertNotAborted(signal);
  if (method === "full" && klDivergenceBase !== undefined) {
    refuseOption("method", '"llama.cpp", whose windows a file of log probabilities has', method);
  }
  const window = windowOf(settings.window, context, method);
  const ids = await tokenizer.encodeAsync(text, { addSpecial: false, ...given({ signal }) });
  const head = headOf(tokenizer);
  if (method === "full") return { windows: fullWindows(ids, head, window), window, whole: ids };
  const whole = wholeWindows(ids, head, window);
  return { windows: halfWindows(whole, head, window), window, whole };
}

/** Windows one after the other; how many of their tokens have been predicted is told. */
export async function* inTurn(
  windows: readonly MeasuredWindow[],
  onProgress: PerplexityOptions["onProgress"],
): AsyncGenerator<MeasuredWindow, void, void> {
  const counted = ({ tokens, first }: MeasuredWindow) => tokens.length - 1 - first;
  const total = windows.reduce((sum, window) => sum + counted(window), 0);
  let done = 0;
  onProgress?.(0, total);
  for (const window of windows) {
    yield window;
    onProgress?.(done += counted(window), total);
  }
}
