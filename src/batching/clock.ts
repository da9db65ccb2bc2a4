/**
 * Time as a scheduler sees it. The simulation of the scheduler has a clock of its own.
 *
 * @module
 */
import { turn } from "../../ffi/runtime/builtins.ts";

/** Time, as a scheduler sees it. */
export interface Clock {
  /** Milliseconds since some moment. */
  now(): number;
  /** Calls `callback` after `ms` milliseconds; returns a function that cancels this. */
  after(ms: number, callback: () => void): () => void;
  /** Lets the event loop run: timers, files, sockets, and readers that ask for their next token. */
  turn(): Promise<void>;
}

/** The clock on the wall. */
export const wallClock: Clock = {
  now: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, Math.min(ms, 0x7fff_ffff));
    return () => clearTimeout(timer);
  },
  turn,
};

/** Waits `ms` milliseconds. */
export async function pause(clock: Clock, ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  clock.after(ms, resolve);
  await promise;
}

/** Calls `act` every `ms` milliseconds; returns a function that ends this. */
export function every(clock: Clock, ms: number, act: () => void): () => void {
  let cancel = clock.after(ms, function again() {
    act();
    cancel = clock.after(ms, again);
  });
  return () => cancel();
}
