/**
 * The models of a server by name. One that is loaded on demand is loaded once for all that wait for it, counts the requests
 * that use it, and is disposed of when none has for a while, or when another needs its memory. Whether there is memory is
 * decided where models are loaded (`memory` of `LightGPT.load`): a load that does not fit is tried again once another model
 * is gone. A model in use is never taken away, and loads go one after the other, in the order in which they were asked for.
 *
 * @module
 */
import { OutOfMemoryError } from "../../ffi/errors.ts";
import type { Embedder } from "../embedding/embedder.ts";
import { LightGPT } from "../lightgpt/lightgpt.ts";
import { Conversations } from "../text/chat/conversation.ts";
import { refuseModel } from "./failure.ts";
import { isModel, type ServedModelOptions, type ServerOptions } from "./options.ts";
import { nowSeconds } from "./openai.ts";
import { LocalBackend } from "./backend.ts";
import type { Lease, Listed, ModelPool, Served } from "./types.ts";

/** One model: there, coming, or only known. */
class Entry {
  readonly name: string;
  readonly template: string | undefined;
  readonly source: ServedModelOptions | undefined;
  readonly created: number = nowSeconds();
  served: Served | undefined;
  loading: Promise<Served> | undefined;
  users = 0;
  /** When it was released last, and when it was loaded. */
  idleSince = 0;
  loadedAt = 0;
  /** Requests wait for this while it is to go once those that use it have ended. */
  leaving: PromiseWithResolvers<void> | undefined;
  timer: ReturnType<typeof setTimeout> | undefined;

  constructor(name: string, model: LightGPT | Embedder | ServedModelOptions, template: string | undefined) {
    this.name = name;
    const isThere = isModel(model);
    this.source = isThere ? undefined : model;
    this.template = this.source?.template ?? template;
    if (isThere) this.served = this.#serve(model);
  }

  #serve(lm: LightGPT | Embedder): Served {
    const { name, template } = this;
    const { model } = lm;
    const backend = lm instanceof LightGPT ? new LocalBackend(lm) : undefined;
    return servedOf({ name, model, backend, lm, reading: () => lm, template });
  }

  async load(): Promise<Served> {
    this.served = this.#serve(await (this.source as ServedModelOptions).load());
    this.loadedAt = performance.now();
    return this.served;
  }
}

/** A model with what renders conversations for it. */
export function servedOf(parts: Omit<Served, "talk">): Served {
  const { gguf, tokenizer } = parts.model;
  return { ...parts, talk: new Conversations(gguf.metadata, tokenizer) };
}

/** The models that a server runs in this process. */
export class Models implements ModelPool {
  readonly #entries: ReadonlyMap<string, Entry>;
  readonly #first: Entry;
  /** The loads, one after the other. */
  #loads: Promise<unknown> = Promise.resolve();
  /** Called when a model is released. */
  readonly #waiting = new Set<() => void>();

  constructor(models: ServerOptions["models"], template: string | undefined) {
    const entries = Object.entries(models).map(([name, model]) => new Entry(name, model, template));
    this.#entries = new Map(entries.map((entry) => [entry.name, entry]));
    this.#first = entries[0];
  }

  get list(): Listed[] {
    return [...this.#entries.values()];
  }

  get isReady(): boolean {
    const entries = [...this.#entries.values()];
    return entries.some(({ served }) => served) || entries.every(({ source }) => source !== undefined);
  }

  async take(name: unknown): Promise<Lease> {
    const entry = this.#find(name);
    while (entry.leaving) await entry.leaving.promise;
    entry.users++;
    clearTimeout(entry.timer);
    try {
      const served = entry.served ?? await (entry.loading ??= this.#load(entry));
      return { served, release: () => this.#release(entry) };
    } catch (error) {
      this.#release(entry);
      throw error;
    }
  }

  async close(): Promise<void> {
    for (const entry of this.#entries.values()) {
      clearTimeout(entry.timer);
      await this.#dispose(entry);
    }
  }

  #find(name: unknown): Entry {
    if (name === undefined || name === null) return this.#first;
    // Clients of Ollama put a tag behind a name that has none.
    const entry = typeof name === "string"
      ? this.#entries.get(name) ?? this.#entries.get(name.replace(/:latest$/, ""))
      : undefined;
    if (entry !== undefined) return entry;
    return refuseModel(name, this.list);
  }

  #load(entry: Entry): Promise<Served> {
    const load = this.#loads.catch(() => {}).then(() => this.#loadWithRoom(entry));
    this.#loads = load;
    return load.finally(() => entry.loading = undefined);
  }

  async #loadWithRoom(entry: Entry): Promise<Served> {
    for (;;) {
      try {
        return await entry.load();
      } catch (error) {
        if (!(error instanceof OutOfMemoryError) || !(await this.#makeRoom(entry))) throw error;
      }
    }
  }

  /**
   * Disposes of the model that was idle longest, or waits for one to be; false where none can be. Where all are used, the one that
   * was loaded first takes no more requests until there is room: else those that keep coming would keep others out for good.
   */
  async #makeRoom(asking: Entry): Promise<boolean> {
    let leaving: Entry | undefined;
    try {
      for (;;) {
        const others = [...this.#entries.values()].filter((entry) => entry !== asking && entry.source && entry.served);
        if (others.length === 0) return false;
        const [victim] = others.filter(({ users }) => users === 0).sort((a, b) => a.idleSince - b.idleSince);
        if (victim !== undefined) {
          await this.#dispose(victim);
          return true;
        }
        leaving ??= others.reduce((first, other) => other.loadedAt < first.loadedAt ? other : first);
        leaving.leaving ??= Promise.withResolvers<void>();
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#waiting.add(resolve);
        await promise;
      }
    } finally {
      leaving?.leaving?.resolve();
      if (leaving) leaving.leaving = undefined;
    }
  }

  #release(entry: Entry): void {
    entry.users--;
    if (entry.users > 0) return;
    entry.idleSince = performance.now();
    for (const wake of [...this.#waiting]) wake();
    this.#waiting.clear();
    const { source } = entry;
    if (source === undefined || entry.served === undefined || source.idleMs === Infinity) return;
    entry.timer = setTimeout(() => void this.#dispose(entry), source.idleMs);
    // A process that has nothing else to do need not wait for it.
    (entry.timer as { unref?: () => void }).unref?.();
  }

  async #dispose(entry: Entry): Promise<void> {
    const { served, source } = entry;
    if (served === undefined || source === undefined) return;
    entry.served = undefined;
    await served.lm?.dispose();
  }
}
