/**
 * Time: the clock on the wall, which the simulation of the scheduler replaces by one of its own.
 *
 * @module
 */
import { turn } from "../../ffi/runtime/builtins.ts";

/** Time, as a scheduler sees it. */
export interface Clock {
  /** Milliseconds since some moment. */
  now(): number;
  /** Calls back after `ms`; the function it returns calls that off. */
  after(ms: number, callback: () => void): () => void;
  /** The event loop's turn: timers, files and sockets, and readers that ask for their next token. */
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
