/**
 * LightGPT runs GGUF language models on the CPU inside a Deno or Bun program.
 *
 * @example
 * ```ts
 * import { LightGPT } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load(); // the small model that comes with it, or a path: "model.gguf"
 * for await (const piece of lm.generate("Once upon a time", { maxTokens: 100 })) {
 *   console.log(piece.text);
 * }
 * ```
 *
 * @module
 */
export { ROLES, SAMPLING_METHODS } from "./ffi/abi.ts";
export {
  CancelledError,
  ClosedError,
  type ErrorCode,
  type ErrorDetail,
  InvalidArgumentError,
  LightGPTError,
  type ModelFormatDetail,
  ModelFormatError,
  OutOfMemoryError,
  QueueFullError,
  UnsupportedError,
} from "./ffi/errors.ts";
export { prepare } from "./ffi/library.ts";
export {
  type Hyperparameters,
  type LayerParameters,
  type ModelPlan,
  planModel,
  type PlannedTensor,
  type PlanOptions,
} from "./src/architectures.ts";
export type { Role } from "./src/architectures/tensors.ts";
export {
  Batcher,
  type BatcherOptions,
  type BatcherStats,
  type BatchRequest,
  type PrefixCache,
  type PrefixCacheOptions,
} from "./src/batcher.ts";
export type { MapOptions, MapProgress, MapResult, Prompt } from "./src/batcher/map.ts";
export type { Percentiles } from "./src/batcher/stats.ts";
export {
  type CacheHit,
  type CacheScope,
  type CacheStats,
  type CacheTransfer,
  type Pin,
  TokenCache,
  type TokenCacheOptions,
  type ValueCodec,
} from "./src/cache.ts";
export type { EvictionPolicy } from "./src/cache/evict.ts";
export type { CacheIdentity } from "./src/cache/persist.ts";
export { type ChatMessage, ChatTemplate, type JsonValue, type RenderOptions } from "./src/chat.ts";
export type { ConversationOptions } from "./src/conversation.ts";
export { type Completion, type GenerateOptions, Piece } from "./src/generation.ts";
export {
  type Gguf,
  Metadata,
  MetadataArray,
  type MetadataValue,
  type NumberRules,
  readGguf,
  type StringTable,
  type Tensor,
} from "./src/gguf.ts";
export { type ChatOptions, LightGPT, type LightGPTOptions, type LogitsOptions } from "./src/lightgpt.ts";
export { type LoadOptions, type LoadProgress, Model } from "./src/model.ts";
export type { Comparison, Perplexity, PerplexityOptions } from "./src/perplexity.ts";
export {
  type OutlierOptions,
  type ProductOptions,
  type QuantizationError,
  type QuantizedFormat,
  QuantizedTensor,
  type QuantizeOptions,
  Quantizer,
  type QuantizerOptions,
  type SplitOutliers,
} from "./src/quantizer.ts";
export { quantizeFile, type QuantizeFileOptions } from "./src/quantize.ts";
export type { QuantizeFileReport, TensorReport } from "./src/quantizer/file.ts";
export type { TensorRule } from "./src/quantizer/mixes.ts";
export type { LogitsContext, LogitsProcessor } from "./src/logits.ts";
export { type Candidate, Sampler } from "./src/sampler.ts";
export { type Diversity, diversity } from "./src/sampler/diversity.ts";
export { TokenMask } from "./src/sampler/mask.ts";
export type { Dry, Penalties, SamplingMethod, SamplingOptions } from "./src/sampler/options.ts";
export type { MethodReport } from "./src/sampler/report.ts";
export type { Choice, TokenLogprob } from "./src/sampler/state.ts";
export {
  type DecodeOptions,
  type EncodeOptions,
  loadTokenizer,
  type StreamDecoder,
  type Tokenizer,
  type TokenizerOptions,
} from "./src/tokenizer/mod.ts";
