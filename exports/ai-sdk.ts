/**
 * LightGPT as a provider for Vercel's AI SDK 7 (`ai`): the model runs in this process, without a server.
 *
 * @example
 * ```ts
 * import { LightGPT } from "@lightgpt/lightgpt";
 * import { languageModel } from "@lightgpt/lightgpt/ai-sdk";
 *
 * await using lm = await LightGPT.load();
 * const model = languageModel(lm);
 * console.log(model.provider); // const { text } = await generateText({ model, prompt: "Why is the sky blue?" })
 * ```
 *
 * @module
 */
export {
  type AiSdkModel,
  type AiSdkModelOptions,
  type AiSdkProvider,
  createProvider,
  languageModel,
} from "../src/lightgpt/frameworks/ai_sdk.ts";
export {
  type AiSdkEmbeddingCall,
  type AiSdkEmbeddingModel,
  type AiSdkEmbeddingOptions,
  embeddingModel,
} from "../src/lightgpt/frameworks/ai_sdk_embedding.ts";
export type {
  AiSdkCall,
  AiSdkContent,
  AiSdkFinish,
  AiSdkMessage,
  AiSdkPart,
  AiSdkResult,
  AiSdkStreamPart,
  AiSdkTool,
  AiSdkWarning,
} from "../src/lightgpt/frameworks/ai_sdk_types.ts";
export type { EmbeddingSource } from "../src/lightgpt/frameworks/embedding_source.ts";
