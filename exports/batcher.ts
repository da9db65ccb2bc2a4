/**
 * Many requests on one model: priorities, deadlines, tenants, and a map over any number of prompts.
 *
 * @example
 * ```ts
 * import { Batcher, Model } from "@lightgpt/lightgpt/batcher";
 *
 * await using model = await Model.load("model.gguf");
 * await using batcher = new Batcher(model);
 * for await (const { index, completion } of batcher.map(["The fox", "The hen"], { maxTokens: 20 })) {
 *   console.log(index, completion?.text);
 * }
 * ```
 *
 * @module
 */
export { Batcher, type BatcherStats, type PrefixCache } from "../src/batching/batcher.ts";
export type { BatcherOptions, PrefixCacheOptions } from "../src/batching/options.ts";
export type { BatchRequest, GenerateOptions, Prompt, RequestCacheOptions } from "../src/batching/request_options.ts";
export type { ResumeOptions } from "../src/batching/resume.ts";
export type { DraftModelOptions, DraftOption } from "../src/batching/drafting/options.ts";
export type { KvType } from "../src/engine/types.ts";
export type { MapOptions, MapProgress, MapRequest, MapResult, MapSource } from "../src/batching/map_options.ts";
export type { Percentiles } from "../src/batching/stats.ts";
export { type Completion, Piece, type ToldChoice } from "../src/batching/completion.ts";
export type { AdapterOptions } from "../src/model/adapter_options.ts";
export { type LoadOptions, type LoadProgress, Model } from "../src/model/model.ts";
export type { PackedOptions, PackedUse } from "../src/model/packed/options.ts";
