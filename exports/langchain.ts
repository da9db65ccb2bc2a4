/**
 * LightGPT for LangChain (`@langchain/core` 1): a chat model and vectors, in this process, without a server.
 *
 * @example
 * ```ts
 * import { LightGPT } from "@lightgpt/lightgpt";
 * import { ChatLightGPT, LightGPTEmbeddings } from "@lightgpt/lightgpt/langchain";
 *
 * await using lm = await LightGPT.load();
 * const model = new ChatLightGPT({ model: lm, chat: { maxTokens: 100 } });
 * const embeddings = new LightGPTEmbeddings({ model: lm, embed: { pooling: "mean" } });
 * console.log(model._llmType(), (await embeddings.embedQuery("a fox")).length);
 * ```
 *
 * @module
 */
export {
  ChatLightGPT,
  type ChatLightGPTCallOptions,
  type ChatLightGPTOptions,
} from "../src/lightgpt/frameworks/langchain.ts";
export { LightGPTEmbeddings, type LightGPTEmbeddingsOptions } from "../src/lightgpt/frameworks/langchain_embeddings.ts";
export type { EmbeddingSource } from "../src/lightgpt/frameworks/embedding_source.ts";
