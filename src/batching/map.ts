/**
 * Many prompts, one result each. So many run at once as keep the batch full, also behind an answer that takes long; the rest
 * stays where it comes from, so that a million prompts take no more memory than a few thousand.
 *
 * @module
 */
import { CancelledError, LightGPTError, QueueFullError } from "../../ffi/errors.ts";
import { assertNotAborted, cancelledBy, guarded, refuseOption } from "../options/checks.ts";
import { pickOptions, readOptions, type Resolved } from "../options/schema.ts";
import type { Completion } from "./completion.ts";
import {
  eachFields,
  type mapFields,
  type MapOptions,
  type MapProgress,
  type MapRequest,
  mapRequestFields,
  type MapResult,
  type MapSource,
} from "./map_options.ts";
import type { GenerateOptions, Prompt } from "./request_options.ts";
import type { ConversationOptions } from "../text/chat/options.ts";

type EachOptions = GenerateOptions & ConversationOptions;

/** Completes one prompt or conversation. */
export type CompleteOne = (request: MapRequest) => Promise<Completion>;

/** Another try of a request with such an error would fail as well. */
const finalCodes: readonly string[] = ["invalidArgument", "unsupported", "modelFormat", "closed"];

/** Runs `complete` over all prompts; `options` are what the caller gave, `read` what they come to. */
export async function* mapPrompts(
  complete: CompleteOne,
  source: MapSource,
  options: MapOptions,
  read: Resolved<typeof mapFields> & { readonly ahead: number },
): AsyncGenerator<MapResult, void, void> {
  assertNotAborted(read.signal);
  const run = new MapRun(complete, source, pickOptions<EachOptions>(eachFields, options), read);
  try {
    for (;;) {
      run.begin();
      for (const progress of run.progress.splice(0)) read.onProgress?.(progress);
      const result = run.take();
      if (result) yield result;
      else if (run.isOver) return run.assertWhole();
      else await run.changed();
    }
  } finally {
    await run.end();
  }
}

interface MapLimits {
  readonly ahead: number;
  readonly bufferMax: number;
  readonly order: "given" | "finished";
  readonly retries: number;
}

/** The requests of one `map`: those that run, and the results that were not handed over yet. */
class MapRun {
  /** What has become known since it was last looked at. */
  readonly progress: MapProgress[] = [];
  readonly #complete: CompleteOne;
  readonly #source: AsyncIterator<Prompt | MapRequest> | Iterator<Prompt | MapRequest>;
  readonly #each: EachOptions;
  readonly #limits: MapLimits;
  readonly #ending = new AbortController();
  readonly #signal: AbortSignal;
  readonly #running = new Set<Promise<void>>();
  /** Results by index, in the order in which they were finished. */
  readonly #finished = new Map<number, MapResult>();
  /** Waits for the source. */
  #isPulling = false;
  /** Why no more prompts come: the source is at its end, or has failed. */
  #sourceEnd: { readonly error?: unknown } | undefined;
  #index = 0;
  #handedOver = 0;
  /** The first index without a result. */
  #firstOpen = 0;
  #done = 0;
  #failed = 0;
  #wake = () => {};
  #isNews = false;
  readonly #onAbort = () => this.#tell();

  constructor(
    complete: CompleteOne,
    source: MapSource,
    each: EachOptions,
    limits: MapLimits,
  ) {
    this.#complete = complete;
    this.#source = iterate(source);
    this.#each = each;
    this.#limits = limits;
    this.#signal = each.signal ? AbortSignal.any([each.signal, this.#ending.signal]) : this.#ending.signal;
    each.signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  get #isCut(): boolean {
    return this.#each.signal?.aborted === true;
  }

  /** Whether there is nothing left to wait for or to hand over. */
  get isOver(): boolean {
    return this.#running.size === 0 && this.#finished.size === 0 && (this.#isCut || this.#sourceEnd !== undefined);
  }

  /** Begins as many prompts as there is room for. */
  begin(): void {
    while (!this.#isPulling && !this.#signal.aborted && this.#sourceEnd === undefined && this.#hasRoom()) {
      let next: IteratorResult<Prompt | MapRequest> | Promise<IteratorResult<Prompt | MapRequest>>;
      try {
        next = this.#source.next();
      } catch (error) {
        this.#sourceEnd = { error };
        return;
      }
      if (!("then" in next)) {
        this.#start(next);
        continue;
      }
      this.#isPulling = true;
      next.then((next) => this.#start(next), (error) => this.#sourceEnd = { error }).finally(() => {
        this.#isPulling = false;
        this.#tell();
      });
    }
  }

  /** The next result to hand over, where there is one. */
  take(): MapResult | undefined {
    const index = this.#nextIndex();
    if (index === undefined) return undefined;
    const result = this.#finished.get(index);
    this.#finished.delete(index);
    this.#handedOver = index + 1;
    return result;
  }

  #nextIndex(): number | undefined {
    if (this.#limits.order === "finished") return this.#finished.keys().next().value;
    if (this.#handedOver < this.#firstOpen) return this.#handedOver;
    // After an abort no result fills the gaps.
    if (!this.#isCut || this.#running.size > 0 || this.#finished.size === 0) return undefined;
    return Math.min(...this.#finished.keys());
  }

  /** Resolves when a result or a prompt has come. */
  async changed(): Promise<void> {
    if (!this.#isNews) await new Promise<void>((resolve) => this.#wake = resolve);
    this.#isNews = false;
  }

  /** Throws where not all prompts were completed: what ended them. */
  assertWhole(): void {
    if (this.#each.signal?.aborted) throw cancelledBy(this.#each.signal);
    if (this.#sourceEnd && "error" in this.#sourceEnd) throw this.#sourceEnd.error;
  }

  /** Ends all that runs, and the source. */
  async end(): Promise<void> {
    this.#each.signal?.removeEventListener("abort", this.#onAbort);
    this.#ending.abort(new CancelledError("The results were not wanted any more.", { what: "cancelled" }));
    await Promise.all(this.#running);
    if (this.#sourceEnd !== undefined) return;
    const returned = this.#source.return?.();
    // A source that is waited for ends when it has given what it was asked for, which may take as long as it likes.
    if (this.#isPulling) void Promise.resolve(returned).catch(() => {});
    else await returned;
  }

  #hasRoom(): boolean {
    const { ahead, bufferMax, order } = this.#limits;
    const ready = order === "given" ? this.#firstOpen - this.#handedOver : this.#finished.size;
    return this.#running.size < ahead && ready < ahead && this.#finished.size < bufferMax;
  }

  #start(next: IteratorResult<Prompt | MapRequest>): void {
    if (next.done) {
      this.#sourceEnd = {};
      return;
    }
    const work = this.#one(this.#index++, next.value).then((result) => {
      this.#running.delete(work);
      if (result) this.#finish(result);
      this.#tell();
    });
    this.#running.add(work);
  }

  #finish(result: MapResult): void {
    this.#finished.set(result.index, result);
    while (this.#finished.has(this.#firstOpen)) this.#firstOpen++;
    if (result.error !== undefined) this.#failed++;
    this.progress.push({ done: ++this.#done, failed: this.#failed });
  }

  /** Never rejects: an error is a result; undefined where the end of all is why it failed. */
  async #one(index: number, item: Prompt | MapRequest): Promise<MapResult | undefined> {
    let name: Pick<MapResult, "index" | "id"> = { index };
    let own: AbortSignal | undefined;
    for (let tries = 0;;) {
      try {
        const { id, ...request } = guarded("request", () => ({ ...requestOf(item) }));
        if (id !== undefined) name = { index, id };
        readOptions(mapRequestFields, request, "request", "");
        const { signal } = request;
        own = signal;
        assertNotAborted(signal);
        const signals = signal ? AbortSignal.any([signal, this.#signal]) : this.#signal;
        // Behind all that a reader waits for, unless told otherwise.
        return {
          ...name,
          completion: await this.#complete({ priority: 0, ...this.#each, ...request, signal: signals }),
        };
      } catch (error) {
        if (this.#signal.aborted) return undefined;
        // Where the queue is full of others, the request waits for as long as that says.
        if (error instanceof QueueFullError) await new Promise((resolve) => setTimeout(resolve, error.retryAfterMs));
        else if (tries++ >= this.#limits.retries || isFinal(error) || own?.aborted) return { ...name, error };
      }
    }
  }

  /** Something has come: the batch stays full also while the results are being read. */
  #tell(): void {
    this.begin();
    this.#isNews = true;
    this.#wake();
  }
}

function isFinal(error: unknown): boolean {
  return error instanceof LightGPTError && finalCodes.includes(error.code);
}

function requestOf(item: Prompt | MapRequest): MapRequest {
  if (typeof item === "string") return { prompt: item };
  if (item === null || typeof item !== "object") refuseOption("prompt", "a text, token ids or a request", item);
  return "length" in item ? { prompt: item } : item;
}

function iterate(
  source: MapSource,
): AsyncIterator<Prompt | MapRequest> | Iterator<Prompt | MapRequest> {
  return guarded("prompts", () => {
    // Of a typed array the elements are numbers, and no prompts.
    if (typeof source === "object" && source !== null && !ArrayBuffer.isView(source)) {
      if (Symbol.asyncIterator in source) return source[Symbol.asyncIterator]();
      if (Symbol.iterator in source) return source[Symbol.iterator]();
    }
    return refuseOption("prompts", "an iterable or an async iterable of prompts", source);
  });
}
