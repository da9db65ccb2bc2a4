/**
 * Texts to vectors, and documents by how well they answer a query: a model and an engine that keeps nothing in one object. Calls that
 * run at the same time take turns, step by step.
 *
 * @module
 */
import { ClosedError } from "../../ffi/errors.ts";
import { accumulationContract, kvSizes } from "../engine/engine.ts";
import { TextEngine } from "../engine/text_engine.ts";
import { threadsOption } from "../engine/threads_option.ts";
import { activationBits } from "../engine/types.ts";
import { factsOf, loadFields, Model } from "../model/model.ts";
import { weightsSum } from "../model/weights_sum.ts";
import { checkInstance } from "../options/checks.ts";
import { showAsLine } from "../options/inspect.ts";
import { pickOptions, readOptions, type Resolved } from "../options/schema.ts";
import type { Embeddings } from "./embeddings.ts";
import { embedderFields, type EmbedderOptions, type EmbedOptions, type RerankOptions } from "./options.ts";
import { Steps, stepTexts, stepTokens } from "./steps.ts";
import { dimensionsOf, textContext, TextReader } from "./text_reader.ts";
import type { EmbedInput, EmbedSource, RankedDocument, TextRunner } from "./types.ts";

/** What the rooms above see of an embedder, beside what users do. */
export interface EmbedderParts {
  readonly runner: TextRunner;
  /** All that its numbers depend on beside the tokens. */
  identity(): Promise<Readonly<Record<string, string | number>>>;
}

/** The parts of an embedder. */
export let partsOfEmbedder: (embedder: Embedder) => EmbedderParts;

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
    partsOfEmbedder = (embedder) => embedder.#parts;
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
  readonly #parts: EmbedderParts;
  readonly #reader: TextReader;
  #disposed: Promise<void> | undefined;

  private constructor(model: Model, options: Resolved<typeof embedderFields>, ownsModel: boolean) {
    this.model = model;
    this.#ownsModel = ownsModel;
    this.context = textContext(model.plan, options.context);
    this.threads = threadsOption(options.threads);
    const settings = {
      batchTokens: Math.max(stepTokens, this.context),
      sequences: stepTexts,
      threads: this.threads,
      activationBits: activationBits[options.activations],
    };
    this.#engine = new TextEngine(model, settings, kvSizes(model.plan, "f32", 16).statePages);
    const runner = new Steps(this.#engine);
    const identity = async () => ({
      values: "texts",
      weights: await weightsSum(model.gguf),
      activationBits: settings.activationBits,
      accumulationContract,
    });
    this.#parts = { runner, identity };
    this.#reader = new TextReader({ model, context: this.context, runner });
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
    return dimensionsOf(this.model.plan);
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
    this.#assertOpen();
    return await this.#reader.embed(inputs, options);
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
    this.#assertOpen();
    yield* this.#reader.embedParts(inputs, options);
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
    this.#assertOpen();
    return await this.#reader.rerank(query, documents, options);
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

  #assertOpen(): void {
    if (this.#disposed === undefined) return;
    throw new ClosedError("The embedder was used after it was disposed.", { where: "embedder" });
  }
}
