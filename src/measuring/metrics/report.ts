/**
 * All figures of a batcher and its model at one moment, as an object, put together from what the batcher and the cache count.
 *
 * @module
 */
import { native } from "../../../ffi/native.ts";
import { node } from "../../../ffi/runtime/builtins.ts";
import { currentRuntime } from "../../../ffi/runtime/pick.ts";
import { type Batcher, partsOf } from "../../batching/batcher.ts";
import { type Histogram, histogramBoundsMs, type Percentiles } from "../../batching/stats.ts";
import type { Model } from "../../model/model.ts";
import type { Comparison } from "../comparison.ts";

/**
 * Times, counted by their length.
 *
 * @example
 * ```ts
 * import { type HistogramReport, LightGPT } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * await lm.complete("Once upon a time");
 * const { p95, buckets }: HistogramReport = lm.metrics.report().betweenTokensMs;
 * for (const { mostMs, count } of buckets) console.log(`at most ${mostMs} ms: ${count}`);
 * console.log(p95);
 * ```
 */
export interface HistogramReport extends Percentiles {
  /** How many times there were since the beginning. */
  readonly count: number;
  /** Their sum in milliseconds. */
  readonly sumMs: number;
  /** Each bucket counts the times up to `mostMs` that are longer than those of the bucket before; the last has no end. */
  readonly buckets: readonly { readonly mostMs: number; readonly count: number }[];
}

/**
 * The memory of the process by its use, in bytes. The prefix cache is a part of `kv`.
 *
 * @example
 * ```ts
 * import { LightGPT, type MemoryReport } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * const { weights, kv, resident }: MemoryReport = lm.metrics.report().memory;
 * console.log(weights, kv, resident);
 * ```
 */
export interface MemoryReport {
  /** Weights of this model, as they lie in memory. */
  readonly weights: number;
  /** KV pages whose memory is in use. */
  readonly kv: number;
  /** Those of them that the prefix cache keeps; absent without one. */
  readonly prefixCache?: number;
  /** Reserved for the work of steps; the system gives it when it is first used. */
  readonly scratch: number;
  /** JavaScript's heap. */
  readonly javascript: number;
  /** Resident memory of the whole process, as the system counts it. */
  readonly resident: number;
}

/**
 * All metrics at one moment.
 *
 * @example
 * ```ts
 * import { LightGPT, type MetricsReport } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * await lm.complete("Once upon a time");
 * const { tokensPerSecond, memory, compression }: MetricsReport = lm.metrics.report();
 * console.log(tokensPerSecond, memory.resident, compression.f32);
 * ```
 */
export interface MetricsReport {
  /** Tokens chosen. */
  readonly tokens: number;
  /** Tokens of prompts read in chunks. */
  readonly promptTokens: number;
  /** Tokens a second over the last 256. */
  readonly tokensPerSecond: number;
  /** Requests that have ended, by how; refused ones were never begun. */
  readonly requests: {
    readonly finished: number;
    readonly cancelled: number;
    readonly failed: number;
    readonly refused: number;
  };
  /** Requests a second over the last 256 that ended. */
  readonly requestsPerSecond: number;
  /** Milliseconds from a request to its first token. */
  readonly firstTokenMs: HistogramReport;
  /** Milliseconds from a token to the next one of the same request. */
  readonly betweenTokensMs: HistogramReport;
  /** Milliseconds that requests waited for a place in the batch. */
  readonly queueMs: Omit<HistogramReport, keyof Percentiles>;
  /** Milliseconds from a place to the first token. */
  readonly prefillMs: Omit<HistogramReport, keyof Percentiles>;
  /** Milliseconds from the first token to the last, of requests that have finished. */
  readonly decodeMs: Omit<HistogramReport, keyof Percentiles>;
  /** Steps. */
  readonly steps: number;
  /** Milliseconds that they took. */
  readonly stepMs: number;
  /** How full the last 1024 steps were, from 0 to 1; NaN before the first step. */
  readonly batchFill: number;
  /** Requests without a place. */
  readonly queued: number;
  /** Requests with a place in the batch. */
  readonly running: number;
  /** Requests that keep their pages while their reader does not ask. */
  readonly paused: number;
  /** How often a request had to give up its pages for another. */
  readonly preemptions: number;
  /** Tokens that were guessed and verified, and those of them that were kept. */
  readonly drafts: { readonly guessed: number; readonly kept: number };
  /** KV pages: all, how many may be held, how many are held, and the share of these. */
  readonly kv: { readonly pages: number; readonly limit: number; readonly held: number; readonly use: number };
  /** The prefix cache; absent without one. */
  readonly cache?: {
    readonly hitRate: number;
    readonly tokensAsked: number;
    readonly tokensSaved: number;
    readonly evictions: number;
    readonly states: number;
    readonly bytes: number;
    readonly bytesMax: number;
  };
  /** Memory by its use. */
  readonly memory: MemoryReport;
  /** How many times as much the weights would take as F32 and as F16. */
  readonly compression: { readonly f32: number; readonly f16: number };
  /** The result of the last measurement of accuracy; absent before the first. */
  readonly accuracy?: Comparison;
}

/** Reads all figures. */
export function readMetrics(model: Model, batcher: Batcher, accuracy: Comparison | undefined): MetricsReport {
  const { pages: _, cache, firstTokenMs, betweenTokensMs, ...stats } = batcher.stats();
  const { meter, store } = partsOf(batcher).scheduler;
  const { size, limit, held, resident } = store.pool;
  const { parameters } = model.plan;
  return {
    ...stats,
    promptTokens: meter.promptTokens,
    stepMs: meter.stepMs,
    requests: { ...meter.ended, refused: meter.refused },
    requestsPerSecond: meter.requestsPerSecond,
    firstTokenMs: { ...firstTokenMs, ...histogram(meter.firstTokenHistogram) },
    betweenTokensMs: { ...betweenTokensMs, ...histogram(meter.betweenTokensHistogram) },
    queueMs: histogram(meter.queueHistogram),
    prefillMs: histogram(meter.prefillHistogram),
    decodeMs: histogram(meter.decodeHistogram),
    kv: { pages: size, limit, held, use: held / size },
    ...(cache
      ? {
        cache: {
          hitRate: cache.hits / (cache.hits + cache.misses),
          tokensAsked: cache.tokensAsked,
          tokensSaved: cache.tokensSaved,
          evictions: cache.evictions,
          states: cache.states,
          bytes: cache.bytes,
          bytesMax: cache.bytesMax,
        },
      }
      : {}),
    memory: {
      weights: model.residentBytes,
      kv: resident * store.pageBytes,
      ...(cache ? { prefixCache: (cache.pages + cache.states * store.statePages) * store.pageBytes } : {}),
      scratch: native().memory().scratch,
      javascript: node("node:process").memoryUsage().heapUsed,
      resident: currentRuntime().resident(),
    },
    compression: { f32: 4 * parameters / model.residentBytes, f16: 2 * parameters / model.residentBytes },
    ...(accuracy ? { accuracy } : {}),
  };
}

function histogram({ count, sum, counts }: Histogram): Pick<HistogramReport, "count" | "sumMs" | "buckets"> {
  const buckets = [...counts].map((count, index) => ({ mostMs: histogramBoundsMs[index] ?? Infinity, count }));
  return { count, sumMs: sum, buckets };
}
