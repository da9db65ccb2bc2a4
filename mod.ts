/**
 * LightGPT runs GGUF language models on the CPU inside a Deno, Bun or Node program.
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
export type { AccuracyOptions, ReferenceModel } from "./src/measuring/accuracy.ts";
export { type ChatMessage, ChatTemplate, type JsonValue } from "./src/text/chat/template.ts";
export type { ConversationOptions, RenderOptions } from "./src/text/chat/options.ts";
export {
  type Gguf,
  Metadata,
  MetadataArray,
  type MetadataValue,
  type NumberRules,
  readGguf,
  type Tensor,
} from "./src/files/gguf/read.ts";
export { type DownloadProgress, fetchModel, type FetchModelOptions } from "./src/files/model_file.ts";
export { type Answer, type AnswerOptions, type AnswerPiece } from "./src/lightgpt/answer_options.ts";
export { runTools, type RunToolsOptions, type ToolRun } from "./src/lightgpt/run_tools.ts";
export type { CallOptions, ReasoningOptions, ToolChoice } from "./src/tools/options.ts";
export {
  Tool,
  tool,
  type ToolCall,
  type ToolContext,
  type ToolOptions,
  type Tools,
  toolsOf,
} from "./src/tools/tool.ts";
export { toolResult } from "./src/tools/tool_result.ts";
export type { ArgumentsFormat, FormatPart, FormatPattern, ToolFormat, ValueType } from "./src/tools/types.ts";
export { LightGPT } from "./src/lightgpt/lightgpt.ts";
export type { ObjectOptions, ObjectPart, ObjectResult } from "./src/lightgpt/object_options.ts";
export type { FitOptions, Fitted } from "./src/lightgpt/fit_options.ts";
export { Session, type Turn } from "./src/lightgpt/session.ts";
export type {
  OnContextFull,
  SessionAnswer,
  SessionData,
  SessionOptions,
  SessionReply,
} from "./src/lightgpt/session_options.ts";
export type { ChatOptions, InfillOptions, LightGPTOptions, LogitsOptions } from "./src/lightgpt/options.ts";
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
} from "./src/measuring/metrics/metrics.ts";
export type { Comparison } from "./src/measuring/comparison.ts";
export type { Perplexity, PerplexityOptions } from "./src/measuring/perplexity.ts";
export type { LogitsContext, LogitsProcessor } from "./src/sampling/logits_processor.ts";
export { loadTokenizer } from "./src/text/tokenizer/load.ts";
export type { StreamDecoder } from "./src/text/tokenizer/stream.ts";
export type {
  DecodeOptions,
  EncodeAsyncOptions,
  EncodeOptions,
  Tokenizer,
  TokenizerOptions,
} from "./src/text/tokenizer/types.ts";
export type { TextRun } from "./src/text/types.ts";
export { Embedder } from "./src/embedding/embedder.ts";
export type { EmbedInput, EmbedSource, RankedDocument } from "./src/embedding/types.ts";
export type { Embeddings } from "./src/embedding/embeddings.ts";
export type { EmbedderOptions, EmbedOptions, EmbedProgress, RerankOptions } from "./src/embedding/options.ts";
