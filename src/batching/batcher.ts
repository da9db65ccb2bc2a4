/**
 * Many requests as one stream of work over a model: they share steps, pages and prefixes. Who runs when is decided in
 * `scheduler.ts`; here is what a program says and hears.
 *
 * @module
 */
import { ClosedError } from "../../ffi/errors.ts";
import { kvCodec } from "./codec.ts";
import { KvStore } from "./kv_store.ts";
import { type MapOptions, mapPrompts, type MapResult, type Prompt } from "./map.ts";
import { Scheduler } from "./scheduler.ts";
import { BatchSettings } from "./settings.ts";
import { engineSizes, sequencesDefault } from "./engine_sizes.ts";
import type { Percentiles } from "./stats.ts";
import { PieceStream } from "./stream.ts";
import type { CacheStats, TokenCache } from "../cache/token_cache.ts";
import { evictionPolicies, type EvictionPolicy } from "../cache/evict.ts";
import { StepThreads } from "../engine/threads.ts";
import { Engine, pageBytes } from "../engine/engine.ts";
import {
  type Completion,
  generateOptionNames,
  type GenerateOptions,
  Generation,
  type Host,
  type Piece,
  prepareRequest,
} from "./generation.ts";
import type { Model } from "../model/model.ts";
import { threadsOption } from "../machine/machine.ts";
import { checkKeys, choiceOption, integerOption, refuseOption } from "../options/checks.ts";
import { chunkMost, StepTimes } from "../engine/step_times.ts";

/**
 * What may be said about the prefix cache.
 *
 * @example
 * ```ts
 * import { LightGPT, type PrefixCacheOptions } from "@lightgpt/lightgpt";
 *
 * const cache: PrefixCacheOptions = { bytesMax: 256 * 2 ** 20, policy: "lru" };
 * await using lm = await LightGPT.load("model.gguf", { cache });
 * ```
 */
export interface PrefixCacheOptions {
  /** Bytes of KV pages that may be kept for later. Default: all that no running request needs. */
  readonly bytesMax?: number;
  /** What is evicted first: the least recently used, the least often used, or what is worth least. Default `lru`, which won the measured trace. */
  readonly policy?: EvictionPolicy;
  /** Bits of the index hash, 1 to 32: fewer than 32 cost time, never a wrong result; that is what they test. */
  readonly hashBits?: number;
}

/**
 * What may be said about how requests are run.
 *
 * @example
 * ```ts
 * import { Batcher, type BatcherOptions, Model } from "@lightgpt/lightgpt";
 *
 * const options: BatcherOptions = { threads: 4, queueMax: 100, tenants: { paying: 4, trial: 1 } };
 * await using model = await Model.load("model.gguf");
 * await using batcher = new Batcher(model, options);
 * ```
 */
export interface BatcherOptions {
  /**
   * Threads that compute, never more than the processors that the process may use. Default: as many as they, within its
   * control group's quota, and one for steps that are so short that it is faster alone, which is measured on the way.
   */
  readonly threads?: number;
  /** How keys and values are stored. Default `f16`. */
  readonly kv?: "f16" | "f32" | "q8_0";
  /** How activations are rounded before products with quantized weights. Default `int8`. */
  readonly activations?: "int8" | "int16";
  /** Bytes for the keys and values of all requests and of the cache; one context must fit. Default: 16 contexts, within 1 GiB. */
  readonly kvBytesMax?: number;
  /** Positions of a KV page; results do not depend on it. Default 32. */
  readonly pageSize?: 16 | 32 | 64;
  /** Tokens of a prompt that one step reads; results do not depend on it. Default: as many as take about 50 ms. */
  readonly chunkTokens?: number;
  /** Sequences that share a step at most; results do not depend on it. Default 16. */
  readonly batchSequences?: number;
  /** Whether keys and values of prefixes are kept for later requests, and how; results do not depend on it. Default: yes. */
  readonly cache?: boolean | PrefixCacheOptions;
  /** Requests that may be open without running; more are refused with a `QueueFullError`. Default 1024. */
  readonly queueMax?: number;
  /** How long an idle batcher waits for more requests before it begins, in milliseconds. Default 0. */
  readonly maxWaitMs?: number;
  /** Steps after which a request that waits goes first, whatever its priority. Default 512. */
  readonly patienceSteps?: number;
  /** Shares of the work for tenants by name, above 0; others have 1. */
  readonly tenants?: Readonly<Record<string, number>>;
}

/** The names of {@link BatcherOptions}. */
export const batcherOptionNames = [
  "threads",
  "kv",
  "kvBytesMax",
  "activations",
  "pageSize",
  "chunkTokens",
  "batchSequences",
  "cache",
  "queueMax",
  "maxWaitMs",
  "patienceSteps",
  "tenants",
] as const satisfies readonly (keyof BatcherOptions)[];

/**
 * A request: a prompt and what is said about it.
 *
 * @example
 * ```ts
 * import { type BatchRequest, LightGPT } from "@lightgpt/lightgpt";
 *
 * const request: BatchRequest = { prompt: "Once upon a time", maxTokens: 50, tenant: "trial", priority: 3, deadlineMs: 5000 };
 * await using lm = await LightGPT.load();
 * for await (const { text } of lm.batcher.submit(request)) console.log(text);
 * ```
 */
export interface BatchRequest extends GenerateOptions {
  /** A text or token ids. */
  readonly prompt: Prompt;
  /** Pieces that are made before they are read. Default 4. */
  readonly readAhead?: number;
}

/**
 * What a batcher is doing, and has done.
 *
 * @example
 * ```ts
 * import { type BatcherStats, LightGPT } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * await lm.complete("Once upon a time");
 * const { tokensPerSecond, firstTokenMs, batchFill }: BatcherStats = lm.batcher.stats();
 * console.log(tokensPerSecond, firstTokenMs.p95, batchFill);
 * ```
 */
export interface BatcherStats {
  /** Requests without a place. */
  readonly queued: number;
  /** Requests with a place in the batch. */
  readonly running: number;
  /** Requests that keep their pages while their reader does not ask. */
  readonly paused: number;
  /** Tokens chosen so far. */
  readonly tokens: number;
  /** Tokens a second over the last 256. */
  readonly tokensPerSecond: number;
  /** From a request to its first token, of the last 1024. */
  readonly firstTokenMs: Percentiles;
  /** From a token to the next one of the same request, of the last 1024. */
  readonly betweenTokensMs: Percentiles;
  /** Steps so far. */
  readonly steps: number;
  /** How full the last 1024 steps were, 0 to 1; NaN before the first. */
  readonly batchFill: number;
  /** How often a request had to give up its pages for another. */
  readonly preemptions: number;
  /** KV pages, and those that somebody, the cache included, holds. */
  readonly pages: { readonly total: number; readonly held: number };
  /** What the prefix cache did; absent where there is none. */
  readonly cache?: CacheStats;
}

/** The keys and values that are kept for later requests. Its salt is the tenant. */
export type PrefixCache = Pick<TokenCache<unknown>, "stats" | "clear" | "pin" | "save" | "load">;

/** The most sequences of a step. */
const sequencesMost = 1024;
const readAheadDefault = 4;

/** The scheduler of a batcher. */
export let schedulerOf: (batcher: Batcher) => Scheduler;
/** What can be changed of a batcher while it runs. */
export let settingsOf: (batcher: Batcher) => BatchSettings;

/**
 * Runs many requests over one model.
 *
 * @example
 * ```ts
 * import { Batcher, Model } from "@lightgpt/lightgpt";
 *
 * await using model = await Model.load("model.gguf");
 * await using batcher = new Batcher(model);
 * await Promise.all(["The fox", "The hen", "The owl"].map(async (prompt) => {
 *   for await (const { text } of batcher.submit({ prompt, maxTokens: 50 })) console.log(prompt, text);
 * }));
 * ```
 */
export class Batcher {
  static {
    schedulerOf = (batcher) => batcher.#scheduler;
    settingsOf = (batcher) => batcher.#settings;
  }
  /** What is kept of prefixes; undefined where nothing is. */
  readonly cache: PrefixCache | undefined;
  /** Threads that compute. */
  readonly threads: number;
  readonly #model: Model;
  readonly #scheduler: Scheduler;
  readonly #settings: BatchSettings;
  #disposed: Promise<void> | undefined;

  /** Takes memory for pages. The model stays the caller's, who disposes of it afterwards. */
  constructor(model: Model, options: BatcherOptions = {}) {
    const { settings, kvBytesMax, sequences, chunk, cache, scheduling } = resolveBatcherOptions(options);
    const sizes = engineSizes(model, { ...settings, kvBytesMax, sequences });
    // A number of threads that the caller gives is what every step gets.
    const stepThreads = options.threads === undefined ? new StepThreads() : undefined;
    const engine = new Engine(model, { ...settings, ...sizes }, stepThreads);
    const bytes = pageBytes(model.plan.hyperparameters, settings.kv, settings.pageSize);
    const codec = kvCodec({ model, engine, scheduler: () => this.#scheduler });
    const store = new KvStore(engine, bytes, cache && { ...cache, codec });
    this.#model = model;
    this.threads = settings.threads;
    const times = new StepTimes(model.residentBytes, chunk);
    this.#scheduler = new Scheduler(engine, store, times, scheduling);
    this.#settings = new BatchSettings(engine, times, this.#scheduler);
    this.cache = store.cache as PrefixCache | undefined;
  }

  /**
   * Begins a request at once and gives its pieces; the last value is its completion. Throws a `QueueFullError` where too many
   * wait already. `break`, `return()` or the signal ends it, before the next step.
   */
  submit(request: BatchRequest): AsyncGenerator<Piece, Completion, void> {
    if (request === null || typeof request !== "object") refuseOption("request", "an object", request);
    const { prompt, readAhead, ...options } = request;
    const ahead = integerOption("readAhead", readAhead, 1, 1 << 16, readAheadDefault);
    const prepared = prepareRequest(this.#host(), checkPrompt(prompt), options);
    this.#scheduler.assertRoom();
    return new PieceStream(new Generation(() => prepared), ahead);
  }

  /** Pieces as they are asked for: nothing happens before the first is, and none is made ahead. */
  generate(prompt: Prompt, options: GenerateOptions = {}): AsyncGenerator<Piece, Completion, void> {
    checkPrompt(prompt);
    return new Generation(() => prepareRequest(this.#host(), prompt, options));
  }

  /** The whole of a completion at its end. */
  async complete(prompt: Prompt, options: GenerateOptions = {}): Promise<Completion> {
    const pieces = this.generate(prompt, options);
    for (;;) {
      const { done, value } = await pieces.next();
      if (done) return value;
    }
  }

  /**
   * Completes many prompts and gives the results in their order; one that fails has its error as result. Prompts are taken
   * from their source as there is room, so that there may be any number of them.
   */
  map(
    prompts: Iterable<Prompt> | AsyncIterable<Prompt>,
    options: MapOptions = {},
  ): AsyncGenerator<MapResult, void, void> {
    checkKeys("options", options, [...generateOptionNames, "ahead", "onProgress"]);
    return mapPrompts(
      (prompt, options) => this.complete(prompt, options),
      prompts,
      options,
      2 * this.#settings.sequences,
    );
  }

  /** What it is doing, and has done. */
  stats(): BatcherStats {
    const { meter, store, queued, placed, paused } = this.#scheduler;
    return {
      queued,
      running: placed - paused,
      paused,
      tokens: meter.tokens,
      tokensPerSecond: meter.tokensPerSecond,
      firstTokenMs: meter.firstToken.percentiles(),
      betweenTokensMs: meter.betweenTokens.percentiles(),
      steps: meter.steps,
      batchFill: meter.batchFill.mean,
      preemptions: meter.preemptions,
      pages: { total: store.pool.size, held: store.pool.held },
      ...(store.cache ? { cache: store.cache.stats() } : {}),
    };
  }

  /** Ends all requests with an error of the code `closed` and frees the pages. Again is fine. */
  dispose(): Promise<void> {
    return this.#disposed ??= this.#scheduler.dispose();
  }

  /** {@link Batcher.dispose}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  #host(): Host {
    if (this.#disposed) {
      throw new ClosedError("LightGPT was used after it was disposed.", {
        what: "used after it was disposed",
        where: "LightGPT",
      });
    }
    const { tokenizer, context, loadMs } = this.#model;
    return { scheduler: this.#scheduler, tokenizer, context, loadMs };
  }
}

function checkPrompt(prompt: Prompt): Prompt {
  if (typeof prompt !== "string" && (prompt === null || typeof prompt !== "object")) {
    refuseOption("prompt", "a string or an array of token ids", prompt);
  }
  return prompt;
}

/** Checks options and fills in what was not said. */
export function resolveBatcherOptions(options: BatcherOptions) {
  checkKeys("options", options, batcherOptionNames);
  const settings = {
    kv: choiceOption("kv", options.kv, ["f16", "f32", "q8_0"], "f16"),
    pageSize: choiceOption("pageSize", options.pageSize, [16, 32, 64], 32),
    threads: threadsOption(options.threads),
    activationBits: choiceOption("activations", options.activations, ["int8", "int16"], "int8") === "int8" ? 8 : 16,
  } as const;
  const kvBytesMax = options.kvBytesMax === undefined
    ? undefined
    : integerOption("kvBytesMax", options.kvBytesMax, 1, Number.MAX_SAFE_INTEGER, 0);
  const chunk = options.chunkTokens === undefined
    ? undefined
    : integerOption("chunkTokens", options.chunkTokens, 1, chunkMost, chunkMost);
  const cache = cacheOptions(options.cache);
  const scheduling = {
    queueMax: integerOption("queueMax", options.queueMax, 1, 1 << 24, 1024),
    maxWaitMs: integerOption("maxWaitMs", options.maxWaitMs, 0, 60_000, 0),
    patience: integerOption("patienceSteps", options.patienceSteps, 1, 1 << 24, 512),
    weights: tenantWeights(options.tenants),
  };
  const sequences = integerOption("batchSequences", options.batchSequences, 1, sequencesMost, sequencesDefault);
  return { settings, kvBytesMax, sequences, chunk, cache, scheduling };
}

function cacheOptions(cache: boolean | PrefixCacheOptions = true): PrefixCacheOptions | undefined {
  if (typeof cache === "boolean") return cache ? {} : undefined;
  checkKeys("cache", cache, ["bytesMax", "policy", "hashBits"]);
  const { bytesMax, policy, hashBits } = cache;
  return {
    ...(bytesMax === undefined ? {} : { bytesMax: integerOption("bytesMax", bytesMax, 0, Number.MAX_SAFE_INTEGER, 0) }),
    policy: choiceOption("policy", policy, evictionPolicies, "lru"),
    hashBits: integerOption("hashBits", hashBits, 1, 32, 32),
  };
}

function tenantWeights(tenants: Readonly<Record<string, number>> = {}): Map<string, number> {
  if (tenants === null || typeof tenants !== "object") refuseOption("tenants", "an object", tenants);
  return new Map(
    Object.entries(tenants).map(([name, weight]) => {
      if (!(typeof weight === "number" && weight > 0 && Number.isFinite(weight))) {
        refuseOption(`tenants.${name}`, "a number above 0", weight);
      }
      return [name, weight];
    }),
  );
}
