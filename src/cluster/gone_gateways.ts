/**
 * Which gateways are gone, as a worker finds it out: by questions that are not answered, and by what gateways announce. Jobs of one that
 * is gone keep rows from all others, so it is waited for no longer than it takes to be sure.
 *
 * @module
 */
import type { Clock } from "../batching/clock.ts";
import { goneMs, type Registry } from "./registry.ts";
import type { Transport } from "./types.ts";

/** How long a gateway may answer nothing until it is gone: one that is announced, and one that is announced no more. */
const silentMs = 10_000;
const unannouncedMs = 1000;
/** Silence counts as one only if it is asked into this often. */
const askedMs = 3000;

/** What gateways are watched with. */
export interface WatchParts {
  readonly transport: Pick<Transport, "isConnected">;
  readonly registry: Pick<Registry, "gateways">;
  readonly clock: Pick<Clock, "now">;
}

/** Gateways that do not answer. */
export class GoneGateways {
  readonly #parts: WatchParts;
  readonly #silent = new Map<string, { since: number; last: number }>();
  /** Without a connection nothing is heard of any gateway, which says nothing of them. */
  #lostAt: number;

  /** All are there. */
  constructor(parts: WatchParts) {
    this.#parts = parts;
    this.#lostAt = parts.clock.now();
  }

  /** A gateway has answered. */
  answered(gateway: string): void {
    this.#silent.delete(gateway);
  }

  /** A gateway has not answered a question in time; says whether it is gone. */
  unanswered(gateway: string): boolean {
    const { transport, registry, clock } = this.#parts;
    const now = clock.now();
    if (!transport.isConnected) {
      this.#lostAt = now;
      this.#silent.clear();
      return false;
    }
    const before = this.#silent.get(gateway);
    const silence = before === undefined || now - before.last > askedMs ? { since: now, last: now } : before;
    silence.last = now;
    this.#silent.set(gateway, silence);
    const isAnnounced = now - this.#lostAt <= goneMs || registry.gateways().has(gateway);
    return now - silence.since >= (isAnnounced ? silentMs : unannouncedMs);
  }
}
