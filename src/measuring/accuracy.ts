/**
 * How near a model is to a reference: the file that it was made from, or its F32. Both read the same text, as it would be
 * served; the reference keeps its keys and values as F32.
 *
 * @module
 */
import { Batcher, partsOf } from "../batching/batcher.ts";
import { type LogitRows, readRows, rowsAtOnce } from "../batching/read_logits.ts";
import { inSlices } from "../options/sliced.ts";
import { Model } from "../model/model.ts";
import { assertNotAborted, refuseOption } from "../options/checks.ts";
import { pathOrName } from "../files/model_file.ts";
import { type FieldsOf, given, other, readOptions, type Resolved, text } from "../options/schema.ts";
import { BaseReader, checkBase } from "./base_file.ts";
import { compareWindows, type Comparison } from "./comparison.ts";
import { cutText, perplexityFields, type PerplexityOptions } from "./perplexity.ts";
import type { ReadRows } from "./types.ts";
import { countedOf, halfWindows, headOf, wholeWindows, windowOf } from "./window.ts";

/**
 * Options for measuring accuracy: against which file, and on which text; or against what a model said earlier.
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
   * @default {what klDivergenceBase names; one of the two must be given}
   */
  readonly reference?: string | URL | ReferenceModel;
  /**
   * The text that both read: the longer, the surer the figures. With `klDivergenceBase`, the text that it should have been made of.
   * @default {that of klDivergenceBase}
   */
  readonly text?: string;
  /**
   * A file that {@link LightGPT.perplexity} or llama-perplexity wrote, in place of a reference: it has the text's tokens and what
   * the model that wrote it said of them.
   * @default {none; then there must be a reference}
   */
  readonly klDivergenceBase?: string | URL;
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
    {
      about: "What to compare with.",
      expected: "a GGUF file or a model that runs",
      otherwise: "what klDivergenceBase names",
    },
    (value, name) => isRunning(value) ? value : pathOrName(name, value, "a GGUF file, or a model that runs"),
  ),
  text: text({ about: "The text that both read.", otherwise: "that of klDivergenceBase" }),
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
 * @throws {InvalidArgumentError} if the reference has another vocabulary, or a base file another window or text
 */
export async function measureAccuracy(model: Model, batcher: Batcher, options: AccuracyOptions): Promise<Comparison> {
  const settings = readOptions(accuracyFields, options);
  const { reference, klDivergenceBase } = settings;
  if (klDivergenceBase !== undefined) {
    if (reference !== undefined) refuseOption("reference", "none beside klDivergenceBase", reference);
    return await compareWithBase({ model, batcher }, klDivergenceBase, settings);
  }
  if (reference === undefined) refuseOption("reference", "a GGUF file or a model that runs", reference);
  if (typeof reference !== "string") {
    const context = Math.min(model.context, reference.model.context);
    return await compare({ model, batcher }, reference, { ...settings, context });
  }
  const window = windowOf(settings.window, model.context, settings.method);
  const { signal } = settings;
  await using exact = await Model.load(reference, { context: window, ...given({ signal }) });
  assertSameVocabulary(model, exact);
  await using runner = new Batcher(exact, { threads: batcher.threads, kv: "f32", cache: false });
  const other = { model: exact, batcher: runner };
  return await compare({ model, batcher }, other, { ...settings, window, context: window });
}

type Settings = Resolved<typeof accuracyFields>;

async function compare(
  { model, batcher }: ReferenceModel,
  reference: ReferenceModel,
  { context, ...settings }: Settings & { readonly context: number },
): Promise<Comparison> {
  assertSameVocabulary(model, reference.model);
  const { tokenizer } = model;
  const { windows } = await cutText({ tokenizer, context }, textIn(settings), settings);
  const exact = { read: rowsOf(reference.batcher, tokenizer), isBase: false };
  return await compareWindows(windows, tokenizer.vocabularySize, rowsOf(batcher, tokenizer), exact, given(settings));
}

/** Compares with what another model said earlier of each token. */
async function compareWithBase(
  { model, batcher }: ReferenceModel,
  path: string,
  { text, method, window, signal, onProgress }: Settings,
): Promise<Comparison> {
  if (method === "full") refuseOption("method", '"llama.cpp", whose windows a base file has', method);
  assertNotAborted(signal);
  using base = new BaseReader(path);
  const { tokenizer, context } = model;
  const vocabulary = tokenizer.vocabularySize;
  const use = { vocabulary, context, window };
  checkBase(path, base, { ...use, tokens: undefined });
  const head = headOf(tokenizer);
  if (text !== undefined) {
    const ids = await tokenizer.encodeAsync(text, { addSpecial: false, ...given({ signal }) });
    checkBase(path, base, { ...use, tokens: wholeWindows(ids, head, base.window) });
  }
  const { count } = countedOf(base.window);
  let done = 0;
  async function* read(tokens: Uint32Array, first: number): AsyncGenerator<LogitRows, void, void> {
    const most = rowsAtOnce(count, vocabulary);
    for (let position = first; position < tokens.length; position += most) {
      const rows = new Float32Array(Math.min(most, tokens.length - position) * vocabulary);
      await inSlices(base.rows(done, rows), signal);
      done += rows.length / vocabulary;
      yield { position, rows };
    }
  }
  const windows = halfWindows(base.tokens, head, base.window);
  const reference = { read, isBase: true };
  return await compareWindows(
    windows,
    vocabulary,
    rowsOf(batcher, tokenizer),
    reference,
    given({ signal, onProgress }),
  );
}

function textIn({ text }: Settings): string {
  return text ?? refuseOption("text", "a string", text);
}

function rowsOf(batcher: Batcher, { vocabularySize }: Model["tokenizer"]): ReadRows {
  return (tokens, first, signal) => readRows(partsOf(batcher).scheduler, tokens, first, vocabularySize, signal);
}

function assertSameVocabulary({ tokenizer }: Model, { tokenizer: other }: Model): void {
  if (other.vocabularySize === tokenizer.vocabularySize && other.bos === tokenizer.bos) return;
  const expected = `a model with the same vocabulary of ${tokenizer.vocabularySize}`;
  refuseOption("reference", expected, other.vocabularySize);
}
