/**
 * The time that tuning may take, by a clock that is handed in, and the times of what is measured. A clock that runs
 * backwards gives no time: the sample is thrown away, and after a few of them tuning ends, for nothing it says can be trusted.
 *
 * @module
 */

import { cancelledBy } from "../../options/checks.ts";

/** So many samples without a valid time end tuning. */
const faultsMost = 8;

/** A share of time. */
export class Budget {
  readonly #now: () => number;
  readonly #signal: AbortSignal | undefined;
  readonly #limitMs: number;
  #spentMs = 0;
  #faults = 0;
  #whole: Budget | undefined;
  #last: number;

  /** `ms` from now on. */
  constructor(ms: number, now: () => number, signal?: AbortSignal) {
    this.#limitMs = ms;
    this.#now = now;
    this.#signal = signal;
    this.#last = now();
  }

  /** A part of it, whose faults count for the whole. */
  share(ms: number): Budget {
    const part = new Budget(Math.min(ms, this.leftMs), this.#now, this.#signal);
    part.#whole = this;
    return part;
  }

  /** Milliseconds that were spent. */
  get spentMs(): number {
    this.#pass();
    return this.#spentMs;
  }

  /** Milliseconds that are left. */
  get leftMs(): number {
    return Math.max(0, this.#limitMs - this.spentMs);
  }

  /** Whether the clock was wrong too often to be trusted. */
  get isClockBroken(): boolean {
    return this.#faults >= faultsMost || (this.#whole?.isClockBroken ?? false);
  }

  /** Whether nothing that takes `ms` should begin. */
  isOver(ms = 0): boolean {
    if (this.#signal?.aborted) throw cancelledBy(this.#signal);
    return this.isClockBroken || this.leftMs <= ms;
  }

  /** Milliseconds that something took; undefined where the clock cannot be right. */
  async time(work: () => Promise<void>): Promise<number | undefined> {
    const begin = this.#now();
    await work();
    const ms = this.#now() - begin;
    this.#pass();
    if (ms > 0 && Number.isFinite(ms)) return ms;
    this.#fault();
    return undefined;
  }

  #fault(): void {
    this.#faults++;
    if (this.#whole) this.#whole.#fault();
  }

  #pass(): void {
    const now = this.#now();
    const ms = now - this.#last;
    this.#last = now;
    if (ms >= 0 && Number.isFinite(ms)) this.#spentMs += ms;
    else this.#fault();
  }
}
