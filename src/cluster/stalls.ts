/**
 * Jobs that no worker is handed although rows are free. A server of NATS that was killed may have written down less of a stream than of
 * its consumers, or more: such a consumer passes over jobs, or answers no pull, and says nothing of it. So it is told by what is seen
 * from outside: silence for a time in which at each look a worker had a row free. What is done about it is `Hub`'s part.
 *
 * @module
 */
import type { Registry } from "./registry.ts";
import { placeText } from "./subjects.ts";
import type { Place } from "./types.ts";

/** How long a job is silent beside free rows until its place counts as stalled, in milliseconds: a free worker looks four times a second. */
const stalledMs = 12_000;

/** A job that is silent. */
export interface SilentJob {
  readonly fingerprint: string;
  readonly place: Place;
  readonly heardAt: number;
  /** How often it was put into the queue again: each time it is waited for twice as long. */
  readonly copies: number;
}

/** Which places are stalled. */
export class Stalls {
  readonly #registry: Pick<Registry, "workers">;
  /** When no worker of a model had a row free last. */
  readonly #fullAt = new Map<string, number>();
  /** When a place was told to be stalled last. */
  readonly #toldAt = new Map<string, number>();

  /** Nothing is known yet. */
  constructor(registry: Pick<Registry, "workers">) {
    this.#registry = registry;
  }

  /** Looks whether a worker has a row free, for each model of which there are jobs. */
  look(fingerprints: ReadonlySet<string>, now: number): void {
    for (const fingerprint of fingerprints) {
      const workers = this.#registry.workers(fingerprint);
      const hasRoom = workers.some(({ isDraining, running, rows }) => !isDraining && running < rows);
      if (!hasRoom) this.#fullAt.set(fingerprint, now);
    }
  }

  /** Whether the place of a job is stalled; told once, for its other jobs then have as much time again. */
  isStalled({ fingerprint, place, heardAt, copies }: SilentJob, now: number): boolean {
    const key = `${fingerprint} ${placeText(place)}`;
    const since = Math.max(heardAt, this.#fullAt.get(fingerprint) ?? 0, this.#toldAt.get(key) ?? 0);
    if (now - since < stalledMs * 2 ** copies) return false;
    this.#toldAt.set(key, now);
    return true;
  }
}
