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
import { type FieldsOf, given, other, readOptions, type Resolved, text } from "../options/schema.ts";
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
  /**
   * What to compare with: the path or `file:` URL of a GGUF file, which is loaded for it and freed again, or a model that runs,
   * such as another `LightGPT`. It must have the same vocabulary.
   */
  readonly reference: string | URL | ReferenceModel;
  /** The text that both read: the longer, the surer the figures. */
  readonly text: string;
}

/**
 * A model that runs, to compare with.
 *
 * @example
 * ```ts
 * import { LightGPT, type ReferenceModel } from "@lightgpt/lightgpt";
 *
 * await using exact = await LightGPT.load("model-f32.gguf");
 * const reference: ReferenceModel = exact;
 * await using lm = await LightGPT.load("model-q4_0.gguf");
 * console.log((await lm.accuracy({ reference, text: "Once upon a time there was a fox." })).divergence);
 * ```
 */
export interface ReferenceModel {
  /** The model. */
  readonly model: Model;
  /** What runs its requests. */
  readonly batcher: Batcher;
}

/** The schema of {@link AccuracyOptions}. */
export const accuracyFields = {
  ...perplexityFields,
  reference: other<string | URL | ReferenceModel, string | ReferenceModel>()(
    { about: "What to compare with.", expected: "a GGUF file or a model that runs", required: true },
    (value, name) => isRunning(value) ? value : pathOf(name, value, "a GGUF file, or a model that runs"),
  ),
  text: text({ about: "The text that both read.", required: true }),
} as const satisfies FieldsOf<AccuracyOptions>;

function isRunning(value: unknown): value is ReferenceModel {
  if (value === null || typeof value !== "object") return false;
  const { model, batcher } = value as Partial<ReferenceModel>;
  return model instanceof Model && batcher instanceof Batcher;
}

/**
 * Measures how near a model is to a reference; a file is loaded for it and freed again.
 *
 * @param batcher runs `model`, as it would be served
 * @throws {InvalidArgumentError} if the reference has another vocabulary
 */
export async function measureAccuracy(model: Model, batcher: Batcher, options: AccuracyOptions): Promise<Comparison> {
  const { reference, text, ...perplexity } = readOptions(accuracyFields, options);
  if (typeof reference !== "string") {
    const context = Math.min(model.context, reference.model.context);
    return await compare({ model, batcher }, reference, text, { ...perplexity, context });
  }
  const window = windowOf(perplexity.window, model.context);
  const { signal } = perplexity;
  await using exact = await Model.load(reference, { context: window, ...given({ signal }) });
  assertSameVocabulary(model, exact);
  await using runner = new Batcher(exact, { threads: batcher.threads, kv: "f32", cache: false });
  const other = { model: exact, batcher: runner };
  return await compare({ model, batcher }, other, text, { ...perplexity, window, context: window });
}

async function compare(
  { model, batcher }: ReferenceModel,
  reference: ReferenceModel,
  text: string,
  { context, ...options }: Resolved<typeof perplexityFields> & { readonly context: number },
): Promise<Comparison> {
  assertSameVocabulary(model, reference.model);
  const { tokenizer } = model;
  const rowsOf = (batcher: Batcher): ReadRows => (tokens, signal) =>
    readRows(schedulerOf(batcher), tokens, tokenizer.vocabularySize, signal);
  const rows = { model: rowsOf(batcher), reference: rowsOf(reference.batcher) };
  return await comparePerplexity({ tokenizer, context }, rows, text, given(options));
}

function assertSameVocabulary({ tokenizer }: Model, { tokenizer: other }: Model): void {
  if (other.vocabularySize === tokenizer.vocabularySize && other.bos === tokenizer.bos) return;
  const expected = `a model with the same vocabulary of ${tokenizer.vocabularySize}`;
  refuseOption("reference", expected, other.vocabularySize);
}
