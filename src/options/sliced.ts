/**
 * Long work in JavaScript, cut into slices: between two of them the event loop has its turn and a signal is heard. The work is
 * a generator that yields at least every few milliseconds; its caller decides whether it is sliced or done at once. Of many
 * works at once, all together have one slice in a turn of the event loop.
 *
 * @module
 */
import { turn } from "../../ffi/runtime/builtins.ts";
import { assertNotAborted, cancelledBy } from "./checks.ts";

/** Work that yields where it may pause. */
export type Sliceable<T> = Generator<void, T, void>;

/** How long the event loop waits for sliced work, in milliseconds: a tenth of the time within which a signal ends work. */
const sliceMs = 10;
/** Milliseconds of sliced work since the event loop had its turn. */
let spentMs = 0;
/** The turn that the last of those that wait for their slice will have. */
let line: Promise<void> = Promise.resolve();

/**
 * Does the work at once.
 *
 * @returns what the work returns
 */
export function atOnce<T>(work: Sliceable<T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}

/**
 * Does the work in slices; short work is done before the event loop has its turn.
 *
 * @param signal ends the work between two slices
 * @returns what the work returns
 * @throws {CancelledError} once the signal is aborted
 */
export async function inSlices<T>(work: Sliceable<T>, signal?: AbortSignal): Promise<T> {
  for (;;) {
    if (spentMs >= sliceMs) await (line = line.then(turn));
    if (signal?.aborted) throw cancelledBy(signal);
    const { done, value } = doSlice(work);
    if (done) return value;
  }
}

/** What a function gives, or the signal's error where that comes first: what others wait for too goes on. */
export async function untilAborted<T>(run: () => T | Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = () => reject(cancelledBy(signal));
  signal.addEventListener("abort", abort, { once: true });
  try {
    assertNotAborted(signal);
    return await Promise.race([run(), promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

function doSlice<T>(work: Sliceable<T>): IteratorResult<void, T> {
  if (spentMs === 0) void turn().then(() => spentMs = 0);
  const left = sliceMs - spentMs;
  const begin = performance.now();
  try {
    for (;;) {
      const result = work.next();
      if (result.done || performance.now() - begin >= left) return result;
    }
  } finally {
    // Never 0: the next slice of this turn would count anew.
    spentMs += Math.max(performance.now() - begin, Number.MIN_VALUE);
  }
}

/**
 * Work whose result several works need: each that waits for it does a part of it, and none loses it where another is given up.
 */
export class SharedWork<T> {
  readonly #work: Sliceable<T>;
  #end: { readonly value: T } | { readonly error: unknown } | undefined;

  /** Nothing is done before the result is asked for. */
  constructor(work: Sliceable<T>) {
    this.#work = work;
  }

  /**
   * Does what is left of the work.
   *
   * @returns what the work returns
   */
  *get(): Sliceable<T> {
    for (;;) {
      if (this.#end !== undefined) {
        if ("error" in this.#end) throw this.#end.error;
        return this.#end.value;
      }
      try {
        const { done, value } = this.#work.next();
        if (done) this.#end = { value };
      } catch (error) {
        this.#end = { error };
      }
      yield;
    }
  }
}
