/**
 * Long work in JavaScript, cut into slices: between two of them the event loop has its turn and a signal is checked. The work is
 * a generator that yields at least every few milliseconds; its caller decides whether it is sliced or done at once.
 *
 * @module
 */
import { turn } from "../../ffi/runtime/builtins.ts";
import { cancelledBy } from "../options/checks.ts";

/** Work that yields where it may pause. */
export type Sliceable<T> = Generator<void, T, void>;

/** How long a slice lasts, in milliseconds: a tenth of the time within which a signal ends work. */
const sliceMs = 10;

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
 * Does the work in slices; a short one is done before the event loop has its turn.
 *
 * @param signal ends the work between two slices
 * @returns what the work returns
 * @throws {CancelledError} once the signal is aborted
 */
export async function inSlices<T>(work: Sliceable<T>, signal?: AbortSignal): Promise<T> {
  for (let begin = performance.now();;) {
    if (signal?.aborted) throw cancelledBy(signal);
    const { done, value } = work.next();
    if (done) return value;
    if (performance.now() - begin < sliceMs) continue;
    await turn();
    begin = performance.now();
  }
}
