/**
 * How near a model is to a reference: the file that it was made from, or its F32. Both read the same text, as it would be
 * served; the reference keeps its keys and values as F32.
 *
 * @module
 */
import { Batcher, schedulerOf } from "../batching/batcher.ts";
import { readRows } from "../batching/read_logits.ts";
import { Model } from "../model/model.ts";
import { refuseOption } from "../options/checks.ts";
import { pathOf } from "../options/paths.ts";
import { type FieldsOf, given, other, readOptions, text } from "../options/schema.ts";
import {
  comparePerplexity,
  type Comparison,
  perplexityFields,
  type PerplexityOptions,
  type ReadRows,
} from "./perplexity.ts";
import { windowOf } from "./window.ts";

/**
 * Options for measuring accuracy: against which file, and on which text.
 *
 * @example
 * ```ts
 * import { type AccuracyOptions, LightGPT } from "@lightgpt/lightgpt";
 *
 * const options: AccuracyOptions = { reference: "model-f32.gguf", text: "Once upon a time there was a fox." };
 * await using lm = await LightGPT.load("model-q4_0.gguf");
 * const { divergence, same, sameWhereSure, ratio } = await lm.accuracy(options);
 * console.log(divergence, same, sameWhereSure, ratio);
 * ```
 */
export interface AccuracyOptions extends PerplexityOptions {
  /** The path or `file:` URL of the GGUF file to compare with; it must have the same vocabulary. */
  readonly reference: string | URL;
  /** The text that both read: the longer, the surer the figures. */
  readonly text: string;
}

/** The schema of {@link AccuracyOptions}. */
export const accuracyFields = {
  ...perplexityFields,
  reference: other<string | URL, string>()(
    { about: "The GGUF file to compare with.", expected: "the path or file: URL of a GGUF file", required: true },
    (value, name) => pathOf(name, value, "a GGUF file"),
  ),
  text: text({ about: "The text that both read.", required: true }),
} as const satisfies FieldsOf<AccuracyOptions>;

/**
 * Measures how near a model is to a reference, which is loaded for it and freed again.
 *
 * @param batcher runs `model`, as it would be served
 * @throws {InvalidArgumentError} if the reference has another vocabulary
 */
export async function measureAccuracy(model: Model, batcher: Batcher, options: AccuracyOptions): Promise<Comparison> {
  const { reference, text, ...perplexity } = readOptions(accuracyFields, options);
  const { tokenizer, context } = model;
  const window = windowOf(perplexity.window, context);
  const { signal } = perplexity;
  await using exact = await Model.load(reference, { context: window, ...given({ signal }) });
  const other = exact.tokenizer;
  if (other.vocabularySize !== tokenizer.vocabularySize || other.bos !== tokenizer.bos) {
    const expected = `a model with the same vocabulary of ${tokenizer.vocabularySize}`;
    refuseOption("reference", expected, other.vocabularySize);
  }
  await using runner = new Batcher(exact, { threads: batcher.threads, kv: "f32", cache: false });
  const rowsOf = (batcher: Batcher): ReadRows => (tokens, signal) =>
    readRows(schedulerOf(batcher), tokens, tokenizer.vocabularySize, signal);
  return await comparePerplexity(
    { tokenizer, context: window },
    {
      model: rowsOf(batcher),
      reference: rowsOf(runner),
    },
    text,
    {
      ...given(perplexity),
      window,
    },
  );
}
