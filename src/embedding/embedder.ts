/**
 * Texts to vectors, and documents by how well they answer a query: a model and an engine that keeps nothing in one object. Calls that
 * run at the same time take turns, step by step.
 *
 * @module
 */
import { ClosedError, InvalidArgumentError, LightGPTError, UnsupportedError } from "../../ffi/errors.ts";
import { LIMITS } from "../../ffi/wire.ts";
import { kvSizes } from "../engine/engine.ts";
import { TextEngine, type TextResult, type TokenText } from "../engine/text_engine.ts";
import { threadsOption } from "../engine/threads_option.ts";
import { activationBits } from "../engine/types.ts";
import { factsOf, loadFields, Model } from "../model/model.ts";
import { checkInstance, checkText, guarded, refuseOption } from "../options/checks.ts";
import { showAsLine } from "../options/inspect.ts";
import { pickOptions, readOptions, type Resolved } from "../options/schema.ts";
import { Embeddings } from "./embeddings.ts";
import { type EmbedInput, Inputs, type Reading } from "./inputs.ts";
import {
  embedderFields,
  type EmbedderOptions,
  embedFields,
  type EmbedOptions,
  rerankFields,
  type RerankOptions,
} from "./options.ts";
import { Pairs } from "./pairs.ts";
import { type StepBlock, Steps, stepTexts, stepTokens } from "./steps.ts";

/**
 * Many texts, all there or one by one.
 *
 * @example
 * ```ts
 * import { Embedder, type EmbedSource } from "@lightgpt/lightgpt/embedding";
 *
 * const texts: EmbedSource = new Set(["a cat", "a kitten"]);
 * await using embedder = await Embedder.load("model.gguf");
 * console.log((await embedder.embed(texts, { pooling: "mean" })).count); // 2
 * ```
 */
export type EmbedSource = Iterable<EmbedInput> | AsyncIterable<EmbedInput>;

/**
 * A document and how well it answers.
 *
 * @example
 * ```ts
 * import { Embedder, type RankedDocument } from "@lightgpt/lightgpt/embedding";
 *
 * async function answer(ranker: Embedder, query: string, documents: string[]): Promise<string | undefined> {
 *   const [best]: RankedDocument[] = await ranker.rerank(query, documents);
 *   return best?.document;
 * }
 * console.log(answer);
 * ```
 */
export interface RankedDocument {
  /** Its place in the list that was given. */
  readonly index: number;
  /** The document. */
  readonly document: string;
  /** The model's number: the larger, the better. */
  readonly score: number;
}

const POOLINGS = { none: "rows", mean: "mean", cls: "first", last: "last" } as const;
/** Most tokens of a text unless more are asked for. */
const contextUsual = 8192;

/**
 * A model that makes vectors of texts, or ranks documents.
 *
 * @example
 * ```ts
 * import { Embedder, similarity } from "@lightgpt/lightgpt/embedding";
 *
 * await using embedder = await Embedder.load("model.gguf");
 * const vectors = await embedder.embed(["a cat on a mat", "a kitten on a rug"], { pooling: "mean" });
 * console.log(similarity(vectors.row(0), vectors.row(1)));
 * ```
 */
export class Embedder {
  static {
    showAsLine(Embedder, ({ model, dimensions, context }) => ({ ...factsOf(model), dimensions, context }));
  }
  /** The model: metadata, sizes, vocabulary. */
  readonly model: Model;
  /** Most tokens of a text. */
  readonly context: number;
  /** Threads that compute. */
  readonly threads: number;
  readonly #ownsModel: boolean;
  readonly #engine: TextEngine;
  readonly #steps: Steps;
  readonly #inputs: Inputs;
  readonly #pairs: Pairs;
  #disposed: Promise<void> | undefined;

  private constructor(model: Model, options: Resolved<typeof embedderFields>, ownsModel: boolean) {
    const { positions, context } = model.plan.hyperparameters;
    this.model = model;
    this.#ownsModel = ownsModel;
    const most = positions > 0 ? positions : options.context ?? Math.min(context, contextUsual);
    const limit = Math.min(positions > 0 ? positions : Infinity, LIMITS.batchTokensMax);
    if ((options.context ?? 0) > limit) {
      refuseOption("context", `at most ${limit}, for a text is read in one step`, options.context);
    }
    this.context = Math.min(most, options.context ?? most, limit);
    this.threads = threadsOption(options.threads);
    const settings = {
      batchTokens: Math.max(stepTokens, this.context),
      sequences: stepTexts,
      threads: this.threads,
      activationBits: activationBits[options.activations],
    };
    this.#engine = new TextEngine(model, settings, kvSizes(model.plan, "f32", 16).statePages);
    this.#steps = new Steps(this.#engine);
    this.#inputs = new Inputs(model);
    this.#pairs = new Pairs(model, this.#inputs);
  }

  /**
   * Loads a GGUF file, by its path, its `file:` URL or a model's name, which is fetched once.
   *
   * @param model the file
   * @param options threads, and how to load
   * @returns the embedder
   */
  static async load(model: string | URL, options: EmbedderOptions = {}): Promise<Embedder> {
    const read = readOptions(embedderFields, options);
    const { context: _, ...loading } = pickOptions<EmbedderOptions>(loadFields, options);
    const loaded = await Model.load(model, loading);
    try {
      return new Embedder(loaded, read, true);
    } catch (error) {
      loaded.dispose();
      throw error;
    }
  }

  /** Makes vectors with a model that is loaded already and stays its owner's. */
  static over(model: Model, options: EmbedderOptions = {}): Embedder {
    checkInstance("model", model, Model, "a Model");
    return new Embedder(model, readOptions(embedderFields, options), false);
  }

  /** Numbers of a vector that is not cut. */
  get dimensions(): number {
    const { denseWidth, embedding } = this.model.plan.hyperparameters;
    return denseWidth > 0 ? denseWidth : embedding;
  }

  /**
   * Makes a vector of each text. A text's vector does not depend on the others.
   *
   * @param inputs a text, or many: strings, or arrays of token ids; a list, or what gives one text after the other
   * @param options the prompt in front, and what vectors are like
   * @returns the vectors in one block, in the order of the texts
   * @throws {InvalidArgumentError} for an empty text, or one that is too long without `truncate`
   */
  async embed(inputs: EmbedInput | EmbedSource, options: EmbedOptions = {}): Promise<Embeddings> {
    const read = readOptions(embedFields, options);
    const result = this.#resultOf(read);
    const width = read.dimensions ?? this.#widthOf(result);
    const source = sourceOf(inputs);
    const total = Array.isArray(source) ? source.length : undefined;
    const block = new Block(result.pooling === "rows" || total === undefined ? 0 : total * width);
    const layout = new Layout(result, width);
    const place = (floats: number) => block.take(floats);
    for await (const { texts } of this.#run(source, read, result, width, place)) {
      layout.add(texts);
      read.onProgress?.({ done: layout.starts.length - 1, total, tokens: layout.tokens });
    }
    return new Embeddings(block.data, width, layout.starts, layout.tokens);
  }

  /**
   * The same step by step, for more texts than should lie in memory: each part is computed when it is asked for, and the source is
   * read no further than one step ahead.
   *
   * @param inputs many texts
   * @param options the prompt in front, and what vectors are like
   * @returns parts of the vectors, in the order of the texts
   */
  async *embedParts(inputs: EmbedSource, options: EmbedOptions = {}): AsyncGenerator<Embeddings, void, void> {
    const read = readOptions(embedFields, options);
    const result = this.#resultOf(read);
    const width = read.dimensions ?? this.#widthOf(result);
    const source = sourceOf(inputs);
    const total = Array.isArray(source) ? source.length : undefined;
    let [done, tokens] = [0, 0];
    const place = (floats: number) => new Float32Array(floats);
    for await (const { texts, data } of this.#run(source, read, result, width, place)) {
      const layout = new Layout(result, width);
      layout.add(texts);
      done += texts.length;
      tokens += layout.tokens;
      read.onProgress?.({ done, total, tokens });
      yield new Embeddings(data, width, layout.starts, layout.tokens);
    }
  }

  /**
   * Scores how well each document answers a query, by a reranking model.
   *
   * @param query the question
   * @param documents what may answer it
   * @param options how many are wanted
   * @returns the documents, the best first; of equal scores, the earlier document
   * @throws {UnsupportedError} where the model has no head for it
   */
  async rerank(query: string, documents: readonly string[], options: RerankOptions = {}): Promise<RankedDocument[]> {
    const { top, truncate, signal, onProgress } = readOptions(rerankFields, options);
    const { texts: { rankPooling }, hyperparameters: { rankScores, architecture } } = this.model.plan;
    this.#assertOpen();
    if (rankScores === 0) {
      throw new UnsupportedError(
        `The model (${architecture}) has no head that ranks (no tensor cls.weight or cls.output.weight); ` +
          "expected a reranking model, or `embed` and `similarity`.",
        { what: "a model without a head that ranks", where: architecture, expected: "a reranking model" },
      );
    }
    checkText("query", query);
    if (query === "") refuseOption("query", "a text with at least one character", query);
    if (!Array.isArray(documents)) refuseOption("documents", "an array of strings", documents);
    const reading: Reading = { prompt: "", truncate, most: this.context, signal };
    const pairs = this.#pairs;
    const texts = async function* (): AsyncGenerator<TokenText, void, void> {
      for (const [index, document] of documents.entries()) {
        yield await pairs.read(`documents[${index}]`, query, document, reading);
      }
    };
    const result: TextResult = { pooling: rankPooling, ranks: true, levels: false, dimensions: 0, normalises: false };
    const ranked: RankedDocument[] = [];
    let tokens = 0;
    const place = (floats: number) => new Float32Array(floats);
    for await (const block of this.#steps.run(texts(), { result, width: rankScores, place, signal })) {
      block.texts.forEach((text, row) => {
        const index = ranked.length;
        tokens += text.tokens.length;
        const score = block.data[row * rankScores] as number;
        ranked.push({ index, document: documents[index] as string, score });
      });
      onProgress?.({ done: ranked.length, total: documents.length, tokens });
    }
    return ranked.sort((a, b) => b.score - a.score || a.index - b.index).slice(0, top);
  }

  /** Ends all calls with an error and frees all memory. Again is fine. */
  dispose(): Promise<void> {
    return this.#disposed ??= this.#engine.dispose().finally(() => {
      if (this.#ownsModel) this.model.dispose();
    });
  }

  /** {@link Embedder.dispose}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  /** Numbers of what a result has, uncut. */
  #widthOf({ pooling }: TextResult): number {
    return pooling === "rows" ? this.model.plan.hyperparameters.embedding : this.dimensions;
  }

  #run(
    source: EmbedSource,
    { prompt = "", truncate, signal }: Resolved<typeof embedFields>,
    result: TextResult,
    width: number,
    place: (floats: number) => Float32Array,
  ): AsyncGenerator<StepBlock, void, void> {
    const reading: Reading = { prompt, truncate, most: this.context, signal };
    const inputs = this.#inputs;
    const texts = async function* (): AsyncGenerator<TokenText, void, void> {
      let index = 0;
      for await (const input of readable(source)) yield await inputs.read(`inputs[${index++}]`, input, reading);
    };
    return this.#steps.run(texts(), { result, width, place, signal });
  }

  /** What is asked of each text. */
  #resultOf({ pooling, dimensions, normalize }: Resolved<typeof embedFields>): TextResult {
    this.#assertOpen();
    const { texts } = this.model.plan;
    const stated = texts.pooling;
    const kind = pooling === undefined ? stated : POOLINGS[pooling];
    if (kind === undefined || kind === "rank") {
      const what = kind === "rank" ? "the model ranks documents (`rerank`)" : "the model's file names none";
      throw new LightGPTError("invalidArgument", `pooling: expected mean, cls, last or none, for ${what}.`, {
        what: "no pooling",
        where: "pooling",
        expected: "mean, cls, last or none",
      });
    }
    const isRows = kind === "rows";
    if (isRows && normalize) refuseOption("normalize", "none, or false, with the pooling none", normalize);
    if (isRows && dimensions !== undefined) refuseOption("dimensions", "none with the pooling none", dimensions);
    if (dimensions !== undefined && dimensions > this.dimensions) {
      refuseOption("dimensions", `at most ${this.dimensions}, the length of the model's vectors`, dimensions);
    }
    return {
      pooling: kind,
      ranks: false,
      levels: texts.levelsBeforeCut && dimensions !== undefined && dimensions < this.dimensions,
      dimensions: dimensions ?? 0,
      normalises: !isRows && normalize !== false,
    };
  }

  #assertOpen(): void {
    if (this.#disposed === undefined) return;
    throw new ClosedError("The embedder was used after it was disposed.", { where: "embedder" });
  }
}

/** Where the numbers of each text begin, one text behind the other. */
class Layout {
  /** The end of the last one included. */
  readonly starts = [0];
  /** Tokens of all of them. */
  tokens = 0;
  readonly #result: TextResult;
  readonly #width: number;

  constructor(result: TextResult, width: number) {
    this.#result = result;
    this.#width = width;
  }

  add(texts: readonly TokenText[]): void {
    for (const { tokens: { length } } of texts) {
      this.tokens += length;
      const rows = this.#result.pooling === "rows" ? length : 1;
      this.starts.push((this.starts.at(-1) as number) + rows * this.#width);
    }
  }
}

/** Numbers of all texts, in one piece of memory; where it is not known how many come, it grows. */
class Block {
  #memory: Float32Array;
  #used = 0;

  constructor(floats: number) {
    this.#memory = new Float32Array(checkedFloats(floats));
  }

  /** Room for so many numbers behind those before. */
  take(floats: number): Float32Array {
    const end = this.#used + floats;
    if (end > this.#memory.length) {
      const larger = new Float32Array(checkedFloats(Math.max(end, 2 * this.#memory.length)));
      larger.set(this.#memory.subarray(0, this.#used));
      this.#memory = larger;
    }
    const room = this.#memory.subarray(this.#used, end);
    this.#used = end;
    return room;
  }

  get data(): Float32Array {
    return this.#memory.subarray(0, this.#used);
  }
}

function checkedFloats(floats: number): number {
  if (floats * 4 < 2 ** 32) return floats;
  throw new LightGPTError("limit", `${floats} numbers of vectors are more than 4 GiB; read them with \`embedParts\`.`);
}

/** The texts of a source; what it throws is the caller's, and says so. */
async function* readable(source: EmbedSource): AsyncGenerator<EmbedInput, void, void> {
  try {
    yield* source;
  } catch (error) {
    if (error instanceof LightGPTError) throw error;
    throw new InvalidArgumentError("inputs: expected texts that can be read, got what throws.", {
      what: "texts that throw while they are read",
      where: "inputs",
      expected: "texts that can be read",
    }, { cause: error });
  }
}

/** What gives the texts; a single text is one of a list. */
function sourceOf(inputs: EmbedInput | EmbedSource): EmbedSource {
  if (typeof inputs === "string") return [inputs];
  const expected = "a text, an array of token ids, or a list of such";
  if (inputs === null || typeof inputs !== "object") refuseOption("inputs", expected, inputs);
  return guarded("inputs", () => {
    if (ArrayBuffer.isView(inputs) || (Array.isArray(inputs) && typeof inputs[0] === "number")) {
      return [inputs as EmbedInput];
    }
    if (Symbol.asyncIterator in inputs || Symbol.iterator in inputs) return inputs as EmbedSource;
    refuseOption("inputs", expected, inputs);
  });
}
