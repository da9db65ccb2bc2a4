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
export * from "./exports/batcher.ts";
export * from "./exports/cache.ts";
export * from "./exports/optimizer.ts";
export * from "./exports/quantizer.ts";
export * from "./exports/sampler.ts";
export { ROLES } from "./ffi/abi.ts";
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
export type { AccuracyOptions } from "./src/accuracy.ts";
export {
  type Hyperparameters,
  type LayerParameters,
  type ModelPlan,
  planModel,
  type PlannedTensor,
  type PlanOptions,
} from "./src/architectures.ts";
export type { Role } from "./src/architectures/tensors.ts";
export { type ChatMessage, ChatTemplate, type JsonValue, type RenderOptions } from "./src/chat.ts";
export type { ConversationOptions } from "./src/conversation.ts";
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
export {
  type HistogramReport,
  type InstrumentOptions,
  type MemoryReport,
  type MetricEvent,
  type MetricName,
  Metrics,
  type MetricsReport,
  type ObservableInstrument,
  type ObservableResult,
  type OpenTelemetryMeter,
} from "./src/metrics.ts";
export type { Comparison, Perplexity, PerplexityOptions } from "./src/perplexity.ts";
export type { LogitsContext, LogitsProcessor } from "./src/logits.ts";
export {
  type DecodeOptions,
  type EncodeOptions,
  loadTokenizer,
  type StreamDecoder,
  type Tokenizer,
  type TokenizerOptions,
} from "./src/tokenizer/mod.ts";
