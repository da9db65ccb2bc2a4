/**
 * What makes vectors for frameworks: a model made for it, or one that generates.
 *
 * @module
 */
import { Embedder } from "../../embedding/embedder.ts";
import { refuseOption } from "../../options/checks.ts";
import { LightGPT } from "../lightgpt.ts";

/**
 * An `Embedder`, or a model that generates, whose rows need the option `pooling`.
 *
 * @example
 * ```ts
 * import { LightGPT } from "@lightgpt/lightgpt";
 * import { embeddingModel, type EmbeddingSource } from "@lightgpt/lightgpt/ai-sdk";
 *
 * const source: EmbeddingSource = await LightGPT.load();
 * console.log(embeddingModel(source).modelId);
 * await source.dispose();
 * ```
 */
export type EmbeddingSource = Embedder | LightGPT;

/** The source, which a program without types may have got wrong. */
export function sourceOf(name: string, source: EmbeddingSource): EmbeddingSource {
  if (!(source instanceof Embedder) && !(source instanceof LightGPT)) {
    refuseOption(name, "an Embedder or a LightGPT", source);
  }
  return source;
}
