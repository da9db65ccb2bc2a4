/**
 * LightGPT's vectors for LangChain: what its vector stores and retrievers take.
 *
 * @module
 */
import { Embeddings, type EmbeddingsParams } from "@langchain/core/embeddings";
import type { EmbedOptions } from "../../embedding/options.ts";
import { checkObject } from "../../options/checks.ts";
import { type EmbeddingSource, sourceOf } from "./embedding_source.ts";

/**
 * Options for LangChain's vectors.
 *
 * @example
 * ```ts
 * import { LightGPT } from "@lightgpt/lightgpt";
 * import { LightGPTEmbeddings, type LightGPTEmbeddingsOptions } from "@lightgpt/lightgpt/langchain";
 *
 * await using lm = await LightGPT.load();
 * const options: LightGPTEmbeddingsOptions = { model: lm, embed: { pooling: "mean" }, query: { prompt: "query: " } };
 * console.log((await new LightGPTEmbeddings(options).embedQuery("a fox")).length);
 * ```
 */
export interface LightGPTEmbeddingsOptions extends EmbeddingsParams {
  /** An `Embedder`, or a model that generates. It stays the program's. */
  readonly model: EmbeddingSource;
  /**
   * What each text has: how rows are pooled, how many dimensions stay.
   * @default {nothing}
   */
  readonly embed?: EmbedOptions;
  /**
   * What a query has besides, such as a prompt of its own.
   * @default {nothing}
   */
  readonly query?: EmbedOptions;
}

/**
 * Vectors of texts for LangChain.
 *
 * @example
 * ```ts
 * import { LightGPT } from "@lightgpt/lightgpt";
 * import { LightGPTEmbeddings } from "@lightgpt/lightgpt/langchain";
 *
 * await using lm = await LightGPT.load();
 * const embeddings = new LightGPTEmbeddings({ model: lm, embed: { pooling: "mean" } });
 * console.log((await embeddings.embedDocuments(["a fox", "a hen"])).length); // 2
 * ```
 */
export class LightGPTEmbeddings extends Embeddings {
  readonly #model: EmbeddingSource;
  readonly #embed: EmbedOptions;
  readonly #query: EmbedOptions;

  /** Takes a model that is loaded. */
  constructor(options: LightGPTEmbeddingsOptions) {
    checkObject("options", options);
    super(options);
    const { model, embed = {}, query = {} } = options;
    this.#model = sourceOf("model", model);
    checkObject("embed", embed);
    checkObject("query", query);
    this.#embed = embed;
    this.#query = query;
  }

  /**
   * Vectors of documents.
   *
   * @param documents the texts
   * @returns a vector for each
   */
  override async embedDocuments(documents: string[]): Promise<number[][]> {
    return Array.from(await this.#model.embed(documents, this.#embed), (vector) => Array.from(vector));
  }

  /**
   * The vector of a query.
   *
   * @param query the text
   * @returns its vector
   */
  override async embedQuery(query: string): Promise<number[]> {
    return Array.from((await this.#model.embed(query, { ...this.#embed, ...this.#query })).row(0));
  }
}
