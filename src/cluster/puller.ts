/**
 * Which job a worker takes next: it looks where it heard of a new one, and now and then everywhere, for a job may come back. Of the
 * places with jobs those of high priority go first, then those that the worker owns; the others it leaves to their owners for a moment.
 *
 * @module
 */
import type { Clock } from "../batching/clock.ts";
import type { Registry } from "./registry.ts";
import { ownedShards, shardCount } from "./routing.ts";
import { newSubject, placeText, readPlace } from "./subjects.ts";
import type { Delivery, Place, Transport, WorkQueue } from "./types.ts";

/** How long a job of another's shard is left to its owner. */
const leftMs = 20;
/** Places of others that it takes from at once. */
const strangeAtOnce = 2;
/** How often an idle worker looks everywhere. */
const lookMs = 250;

/** What a puller is made with. */
export interface PullerParts {
  readonly id: string;
  readonly fingerprint: string;
  readonly transport: Transport;
  readonly registry: Registry;
  readonly clock: Clock;
  /** How many jobs may be taken. */
  readonly room: () => number;
  readonly take: (delivery: Delivery) => void;
  readonly troubled: (error: unknown) => void;
}

/** A place where there may be jobs, and when that was heard. */
interface Hint {
  readonly place: Place;
  readonly at: number;
}

/** Takes jobs while there is room. */
export class Puller {
  readonly #parts: PullerParts;
  readonly #hints = new Map<string, Hint>();
  #owned: { readonly names: string; readonly shards: ReadonlySet<number> } | undefined;
  #wake: (() => void) | undefined;
  #isStopped = false;
  #lookedAt = -Infinity;
  /** Of places that are the same to it, workers begin at different ones. */
  readonly #first: number;
  #loop: Promise<void> | undefined;
  #unsubscribe: (() => void) | undefined;

  /** Nothing is taken yet. */
  constructor(parts: PullerParts) {
    this.#parts = parts;
    this.#first = [...parts.id].reduce((sum, character) => sum + character.charCodeAt(0), 0) % shardCount;
  }

  /** Begins to take jobs. */
  async start(): Promise<void> {
    const { transport, fingerprint, clock } = this.#parts;
    const queue = await transport.queue(fingerprint);
    this.#unsubscribe = transport.subscribe(newSubject(fingerprint), (text) => {
      if (!this.#hints.has(text)) this.#hints.set(text, { place: readPlace(text), at: clock.now() });
      this.wake();
    });
    this.#loop = this.#run(queue);
  }

  /** Something has changed: there is room, or a job. */
  wake(): void {
    this.#wake?.();
  }

  /** Takes no more; resolves when none is on its way. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#unsubscribe?.();
    this.wake();
    await this.#loop;
  }

  async #run(queue: WorkQueue): Promise<void> {
    while (!this.#isStopped) {
      let waitMs = lookMs;
      try {
        if (this.#parts.room() > 0) waitMs = await this.#takeSome(queue);
      } catch (error) {
        this.#parts.troubled(error); // without a connection: it tries again
      }
      if (waitMs > 0 && !this.#isStopped) await this.#pause(waitMs);
    }
  }

  /** Takes jobs, if there are some, of as many places at once as there is room for; says how long to wait until the next. */
  async #takeSome(queue: WorkQueue): Promise<number> {
    const { clock, fingerprint, registry, room } = this.#parts;
    // What is known of is not kept waiting for it.
    if (clock.now() - this.#lookedAt >= lookMs) void this.#look(queue);
    const others = registry.workers(fingerprint).filter(({ isDraining }) => !isDraining);
    const owned = this.#ownedBeside(others.map(({ worker }) => worker).sort());
    const rank = ({ priority, shard }: Place) => 2 * priority + (owned.has(shard) ? 0 : 1);
    const turn = ({ shard }: Place) => (shard + this.#first) % shardCount;
    const hints = [...this.#hints].sort(([, a], [, b]) =>
      rank(a.place) - rank(b.place) || turn(a.place) - turn(b.place)
    );
    const leftFor = ({ place, at }: Hint) => owned.has(place.shard) ? 0 : at + leftMs - clock.now();
    const due = hints.filter(([, hint]) => leftFor(hint) <= 0);
    for (let index = 0; index < due.length;) {
      // What a dead worker has left is shared by those that take a few at a time, each from another place on.
      const some = due.slice(index, index + room());
      const own = some.findIndex(([, { place }]) => !owned.has(place.shard));
      some.length = own < 0 ? some.length : own > 0 ? own : Math.min(some.length, strangeAtOnce);
      index += some.length;
      const taken = await Promise.allSettled(some.map(([key, hint]) => this.#takeFrom(queue, key, hint)));
      for (const one of taken) if (one.status === "rejected") throw one.reason;
      if (taken.some((one) => one.status === "fulfilled" && one.value)) return 0;
    }
    return Math.min(lookMs, ...hints.map(([, hint]) => leftFor(hint)).filter((ms) => ms > 0));
  }

  /** Takes a job of a place; says whether there was one. */
  async #takeFrom(queue: WorkQueue, key: string, hint: Hint): Promise<boolean> {
    // What is heard from here on is news.
    this.#hints.delete(key);
    const delivery = await queue.take(hint.place);
    if (delivery === undefined) return false;
    this.#hints.set(key, hint);
    this.#parts.take(delivery);
    return true;
  }

  /** The shards that are this worker's, found anew when others come or go. */
  #ownedBeside(others: readonly string[]): ReadonlySet<number> {
    const names = others.join();
    if (this.#owned?.names !== names) this.#owned = { names, shards: ownedShards(this.#parts.id, others) };
    return this.#owned.shards;
  }

  /** Looks where there are jobs, those at work included. */
  async #look(queue: WorkQueue): Promise<void> {
    this.#lookedAt = this.#parts.clock.now();
    try {
      for (const { place } of await queue.counts()) this.#hints.set(placeText(place), { place, at: -Infinity });
      this.wake();
    } catch (error) {
      this.#parts.troubled(error); // without a connection: it looks again
    }
  }

  async #pause(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const cancel = this.#parts.clock.after(ms, resolve);
    await promise;
    cancel();
    this.#wake = undefined;
  }
}
