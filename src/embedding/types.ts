/**
 * What the parts of embedding say to one another, and what callers give and get.
 *
 * @module
 */
import type { TextResult, TokenText } from "../engine/text_engine.ts";
import type { Model } from "../model/model.ts";

/**
 * A text to embed: a string, or the ids of all its tokens, with those that the model wants at its ends.
 *
 * @example
 * ```ts
 * import { Embedder, type EmbedInput } from "@lightgpt/lightgpt/embedding";
 *
 * const inputs: EmbedInput[] = ["a text", [1, 75, 102]];
 * await using embedder = await Embedder.load("model.gguf");
 * console.log((await embedder.embed(inputs, { pooling: "mean" })).count); // 2
 * ```
 */
export type EmbedInput = string | ArrayLike<number>;

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

/** What reading texts needs of a model; the weights may be elsewhere. */
export type TextModel = Pick<Model, "gguf" | "plan" | "tokenizer">;

/** What a step gave. */
export interface StepBlock {
  readonly texts: readonly TokenText[];
  /** The numbers of its texts, one after the other. */
  readonly data: Float32Array;
}

/** Where a step's numbers go, and what it asks for. */
export interface StepOrder {
  readonly result: TextResult;
  /** Numbers of a vector, or of a row. */
  readonly width: number;
  /** Gives the memory of so many numbers. */
  readonly place: (floats: number) => Float32Array;
  readonly signal: AbortSignal | undefined;
}

/** What computes texts: an engine of this process, or others elsewhere. A text's numbers are the same wherever it is computed. */
export interface TextRunner {
  /** The blocks of `texts` in their order. */
  run(texts: AsyncIterable<TokenText>, order: StepOrder): AsyncGenerator<StepBlock, void, void>;
}

/** Texts that are to be computed: plain data, which can cross to another machine. */
export interface TextsOrder extends Pick<StepOrder, "result"> {
  readonly texts: readonly TokenText[];
}
