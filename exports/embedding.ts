/**
 * Texts to vectors, documents by how well they answer a query, and how near vectors are to one another.
 *
 * @example
 * ```ts
 * import { Embedder, similarity } from "@lightgpt/lightgpt/embedding";
 *
 * await using embedder = await Embedder.load("model.gguf");
 * const vectors = await embedder.embed(["a cat", "a kitten"], { pooling: "mean" });
 * console.log(similarity(vectors.row(0), vectors.row(1)));
 * ```
 *
 * @module
 */
export { Embedder } from "../src/embedding/embedder.ts";
export type { EmbedInput, EmbedSource, RankedDocument } from "../src/embedding/types.ts";
export { Embeddings } from "../src/embedding/embeddings.ts";
export { type SearchHit, VectorIndex } from "../src/embedding/vector_index.ts";
export type { IndexLoadOptions, SearchOptions, VectorIndexOptions } from "../src/embedding/index_options.ts";
export type { EmbedderOptions, EmbedOptions, EmbedProgress, RerankOptions } from "../src/embedding/options.ts";
export {
  binarySimilarity,
  int8Similarity,
  type Int8Vector,
  similarity,
  toBinary,
  toInt8,
} from "../src/embedding/compact.ts";
