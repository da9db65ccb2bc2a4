/**
 * Which job a worker takes next: it looks where it heard of a new one, and now and then everywhere, for a job may come back. Of the
 * places with jobs those of high priority go first, then those that the worker owns; the others it leaves to their owners for a moment.
 *
 * @module
 */
import type { Clock } from "../batching/clock.ts";
import type { Registry } from "./registry.ts";
import { ownedShards } from "./routing.ts";
import { newSubject, placeText, readPlace } from "./subjects.ts";
import type { Delivery, Place, Transport, WorkQueue } from "./types.ts";

/** How long a job of another's shard is left to its owner. */
const leftMs = 20;
/** How often an idle worker looks everywhere. */
const lookMs = 250;

/** What a puller is made with. */
export interface PullerParts {
  readonly id: string;
  readonly fingerprint: string;
  readonly transport: Transport;
  readonly registry: Registry;
  readonly clock: Clock;
  readonly hasRoom: () => boolean;
  readonly take: (delivery: Delivery) => void;
  readonly troubled: (error: unknown) => void;
}

/** Takes jobs while there is room. */
export class Puller {
  readonly #parts: PullerParts;
  /** Places where there may be jobs, and when that was heard. */
  readonly #hints = new Map<string, { readonly place: Place; readonly at: number }>();
  #owned: { readonly names: string; readonly shards: ReadonlySet<number> } | undefined;
  #wake: (() => void) | undefined;
  #isStopped = false;
  #lookedAt = -Infinity;
  #loop: Promise<void> | undefined;
  #unsubscribe: (() => void) | undefined;

  /** Nothing is taken yet. */
  constructor(parts: PullerParts) {
    this.#parts = parts;
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
        if (this.#parts.hasRoom()) waitMs = await this.#takeOne(queue);
      } catch (error) {
        this.#parts.troubled(error); // without a connection: it tries again
      }
      if (waitMs > 0 && !this.#isStopped) await this.#pause(waitMs);
    }
  }

  /** Takes a job, if there is one; says how long to wait until the next. */
  async #takeOne(queue: WorkQueue): Promise<number> {
    const { clock, fingerprint, registry, take } = this.#parts;
    // What is known of is not kept waiting for it.
    if (clock.now() - this.#lookedAt >= lookMs) void this.#look(queue);
    const others = registry.workers(fingerprint).filter(({ isDraining }) => !isDraining);
    const owned = this.#ownedBeside(others.map(({ worker }) => worker).sort());
    const rank = ({ priority, shard }: Place) => 2 * priority + (owned.has(shard) ? 0 : 1);
    const hints = [...this.#hints].sort(([, a], [, b]) => rank(a.place) - rank(b.place));
    let waitMs = lookMs;
    for (const [key, { place, at }] of hints) {
      const leftFor = at + leftMs - clock.now();
      if (!owned.has(place.shard) && leftFor > 0) {
        waitMs = Math.min(waitMs, leftFor);
        continue;
      }
      // What is heard from here on is news.
      this.#hints.delete(key);
      const delivery = await queue.take(place);
      if (delivery === undefined) continue;
      this.#hints.set(key, { place, at });
      take(delivery);
      return 0;
    }
    return waitMs;
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
