/**
 * Many requests as one stream of work over a model: they share steps, pages and prefixes. Which request runs when is decided in
 * `scheduler.ts`; here is what a program says and hears.
 *
 * @module
 */
import { ClosedError } from "../../ffi/errors.ts";
import { kvCodec } from "./codec.ts";
import { KvStore } from "./kv_store.ts";
import { DraftModels } from "./drafting/draft_models.ts";
import { Drafting } from "./drafting/drafting.ts";
import { mapFields, type MapOptions, type MapRequest, type MapResult, type MapSource } from "./map_options.ts";
import { type BatcherOptions, resolveBatcherOptions } from "./options.ts";
import { Scheduler } from "./scheduler.ts";
import { BatchSettings } from "./settings.ts";
import { windowsOf } from "./windows.ts";
import { engineSizes } from "./memory_budget.ts";
import type { Percentiles } from "./stats.ts";
import { PieceStream } from "./stream.ts";
import type { CacheStats, TokenCache } from "../cache/token_cache.ts";
import type { CacheIdentity } from "../cache/types.ts";
import { StepThreads } from "../engine/threads.ts";
import { Engine, kvSizes } from "../engine/engine.ts";
import type { Host } from "./answer.ts";
import type { Completion, Piece } from "./completion.ts";
import { Generation, prepareRequest } from "./generation.ts";
import {
  type BatchRequest,
  checkPrompt,
  generateFields,
  type GenerateOptions,
  type Prompt,
  requestFields,
} from "./request_options.ts";
import { factsOf, Model } from "../model/model.ts";
import { checkInstance, refuseOption } from "../options/checks.ts";
import { showAsLine } from "../options/inspect.ts";
import { pickOptions, readOptions } from "../options/schema.ts";
import { Conversations } from "../text/chat/conversation.ts";
import { conversationFields } from "../text/chat/options.ts";
import { StepTimes } from "../engine/step_times.ts";

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
  /** Tokens that were guessed and verified, and those of them that the sampler chose too. */
  readonly drafts: { readonly guessed: number; readonly kept: number };
  /** How often a request had to give up its pages for another. */
  readonly preemptions: number;
  /**
   * KV pages, and those that sequences or the cache hold; of these, those with what windowed layers keep: they give that back
   * once no query sees it.
   */
  readonly pages: { readonly total: number; readonly held: number; readonly windowed: number };
  /** What the prefix cache did; absent where there is none. */
  readonly cache?: CacheStats;
}

/**
 * The keys and values that are kept for later requests. Its salt is the tenant.
 *
 * @example
 * ```ts
 * import { LightGPT, type PrefixCache } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * await lm.complete("Once upon a time");
 * const cache: PrefixCache | undefined = lm.cache;
 * console.log(cache?.stats().pages);
 * cache?.clear();
 * ```
 */
export type PrefixCache = Pick<TokenCache<unknown>, "stats" | "clear" | "pin" | "listen" | "save" | "load">;

/** What the rooms above see of a batcher, beside what users do. */
export interface BatcherParts {
  readonly scheduler: Scheduler;
  /** What can be changed while it runs. */
  readonly settings: BatchSettings;
  /** All that its keys and values depend on beside the tokens, and so all that its choices do. */
  identity(): Promise<CacheIdentity>;
}

/** The parts of a batcher. */
export let partsOf: (batcher: Batcher) => BatcherParts;

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
    partsOf = (batcher) => batcher.#parts;
    showAsLine(Batcher, (batcher) => {
      const { running, queued } = batcher.stats();
      return { ...factsOf(batcher.#model), threads: batcher.threads, running, queued };
    });
  }
  /** What is kept of prefixes; undefined where nothing is. */
  readonly cache: PrefixCache | undefined;
  /** Threads that compute. */
  readonly threads: number;
  readonly #model: Model;
  readonly #parts: BatcherParts;
  readonly #drafting: Drafting;
  readonly #draftModels: DraftModels;
  #conversations: Conversations | undefined;
  #disposed: Promise<void> | undefined;

  /** Takes memory for pages. The model stays the caller's, which disposes of it afterwards. */
  constructor(model: Model, options: BatcherOptions = {}) {
    checkInstance("model", model, Model, "a Model");
    const { settings, kvBytesMax, sequences, chunk, cache, scheduling } = resolveBatcherOptions(options);
    const sizes = engineSizes(model, { ...settings, kvBytesMax, sequences });
    // A number of threads that the caller gives is what every step gets.
    const stepThreads = options.threads === undefined ? new StepThreads() : undefined;
    const engine = new Engine(model, { ...settings, ...sizes }, stepThreads);
    const sizesOfPages = kvSizes(model.plan, settings.kv, settings.pageSize);
    const codec = kvCodec({ model, engine, scheduler: () => this.#parts.scheduler });
    const windows = windowsOf(model.plan.hyperparameters.perLayer, sizesOfPages);
    const { weightMost } = sizes;
    const store = new KvStore(engine, { ...sizesOfPages, windows, weightMost }, cache && { ...cache, codec });
    this.#model = model;
    this.threads = settings.threads;
    const times = new StepTimes(model.residentBytes, chunk, model.plan.hyperparameters.layers);
    this.#drafting = new Drafting(model.vocabulary);
    this.#draftModels = new DraftModels(model, { ...settings, sequences });
    const scheduled = { ...scheduling, adapters: model.adapters.usual, drafting: this.#drafting };
    const scheduler = new Scheduler(engine, store, times, scheduled);
    this.#parts = { scheduler, settings: new BatchSettings(engine, times, scheduler), identity: codec.identity };
    this.cache = store.cache as PrefixCache | undefined;
  }

  /**
   * Begins a request at once and gives its pieces; the last value is its completion. Throws a `QueueFullError` where too many
   * wait already. `break`, `return()` or the signal ends it, before the next step.
   */
  submit(request: BatchRequest): AsyncGenerator<Piece, Completion, void> {
    const { prompt, readAhead, ...options } = readOptions(requestFields, request, "request", "");
    const prepared = prepareRequest(this.#host(), prompt, options);
    this.#parts.scheduler.assertRoom();
    return new PieceStream(new Generation(() => prepared), readAhead);
  }

  /** Continues `prompt`, piece by piece: nothing happens before the first is asked for. */
  generate(prompt: Prompt, options: GenerateOptions = {}): AsyncGenerator<Piece, Completion, void> {
    checkPrompt(prompt);
    return new Generation(() => prepareRequest(this.#host(), prompt, readOptions(generateFields, options)));
  }

  /** Continues `prompt` and gives the whole at its end. */
  async complete(prompt: Prompt, options: GenerateOptions = {}): Promise<Completion> {
    const pieces = this.generate(prompt, options);
    for (;;) {
      const { done, value } = await pieces.next();
      if (done) return value;
    }
  }

  /**
   * Completes many prompts or conversations; one that fails has its error as result. Prompts are taken from their source as
   * there is room, so that there may be any number of them. Where the signal or an error of the source ends it, what is
   * finished is handed over first.
   *
   * @param prompts texts, token ids, or requests with options and ids of their own.
   * @returns the results, in the order of the prompts unless `order` says otherwise.
   */
  map(prompts: MapSource, options: MapOptions = {}): AsyncGenerator<MapResult, void, void> {
    const { ahead = 2 * this.#parts.settings.sequences, ...read } = readOptions(mapFields, options);
    const complete = (request: MapRequest) => this.#completeOne(request);
    return (async function* () {
      const { mapPrompts } = await import("./map.ts");
      return yield* mapPrompts(complete, prompts, options, { ...read, ahead });
    })();
  }

  async #completeOne({ prompt, messages, ...options }: MapRequest): Promise<Completion> {
    const generating = pickOptions<GenerateOptions>(generateFields, options);
    if (messages === undefined) {
      if (prompt === undefined) refuseOption("prompt", "a text or token ids, or messages in its place", prompt);
      return await this.complete(prompt, generating);
    }
    if (prompt !== undefined) refuseOption("prompt", "none beside messages", prompt);
    const { tokenizer } = this.#host();
    this.#conversations ??= new Conversations(this.#model.gguf.metadata, tokenizer);
    const ids = await this.#conversations.tokens(messages, pickOptions(conversationFields, options));
    return await this.complete(ids, generating);
  }

  /** What it is doing, and has done. */
  stats(): BatcherStats {
    const { meter, store, queued, placed, paused } = this.#parts.scheduler;
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
      drafts: { guessed: this.#drafting.drafted, kept: this.#drafting.kept },
      preemptions: meter.preemptions,
      pages: { total: store.pool.size, held: store.pool.held, windowed: store.pool.windowed },
      ...(store.cache ? { cache: store.cache.stats() } : {}),
    };
  }

  /** Ends all requests with an error of the code `closed` and frees the pages. Again is fine. */
  dispose(): Promise<void> {
    return this.#disposed ??= this.#parts.scheduler.dispose().finally(() => this.#draftModels.dispose());
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
    const { tokenizer, context, adapters, loadMs } = this.#model;
    const [scheduler, draftModels] = [this.#parts.scheduler, this.#draftModels];
    return { scheduler, draftModels, tokenizer, context, adapters, loadMs };
  }
}
