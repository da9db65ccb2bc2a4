/**
 * A clock for tests of the scheduler: time passes when it is told to, and all that waits for it goes on in a known order.
 *
 * @module
 */
import type { Clock } from "../src/batching/clock.ts";

/** Time that passes when `tick` is called. */
export class FakeClock implements Clock {
  #now = 0;
  readonly #timers = new Map<number, { at: number; callback: () => void }>();
  #turns: (() => void)[] = [];
  #nextTimer = 0;

  now(): number {
    return this.#now;
  }

  after(ms: number, callback: () => void): () => void {
    const id = this.#nextTimer++;
    this.#timers.set(id, { at: this.#now + ms, callback });
    return () => this.#timers.delete(id);
  }

  turn(): Promise<void> {
    return new Promise((resolve) => this.#turns.push(resolve));
  }

  sleep(ms: number): Promise<void> {
    return ms === 0 ? Promise.resolve() : new Promise((resolve) => this.after(ms, resolve));
  }

  /** Timers that somebody still waits for. */
  get timers(): number {
    return this.#timers.size;
  }

  /** Lets time pass until something is done. */
  async until(work: Promise<unknown>): Promise<void> {
    let isDone = false;
    const done = work.finally(() => isDone = true);
    while (!isDone) await this.tick();
    await done;
  }

  /** A millisecond passes. */
  async tick(): Promise<void> {
    this.#now++;
    for (const [id, { at, callback }] of this.#timers) {
      if (at > this.#now || !this.#timers.delete(id)) continue;
      callback();
    }
    for (const resolve of this.#turns.splice(0)) resolve();
    for (let round = 0; round < 12; round++) await undefined; // whoever waits for one of these goes on
  }
}
