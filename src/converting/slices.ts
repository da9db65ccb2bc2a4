/**
 * Long work in slices: native calls over a caller's memory must end before the event loop gets its turn (native code keeps
 * no JavaScript memory), so a large tensor is done in pieces of a few milliseconds, on all threads, with a turn of the
 * loop after each.
 *
 * @module
 */
import { turn } from "../../ffi/runtime/builtins.ts";
import { cancelledBy } from "../options/checks.ts";

/** How long a slice may take. */
const sliceMs = 4;
/** Values of the first slice; later ones follow the time that those before took. */
const firstValues = 1 << 17;

/**
 * Calls `work(begin, end)` over `count` units of `values` values each, slice by slice; a slice is a multiple of `step`
 * units. Throws a CancelledError between slices.
 */
export async function inSlices(
  count: number,
  values: number,
  step: number,
  signal: AbortSignal | undefined,
  work: (begin: number, end: number) => void,
): Promise<void> {
  let size = sized(firstValues / values, step);
  let begin = 0;
  while (begin < count) {
    if (signal?.aborted) throw cancelledBy(signal);
    const start = performance.now();
    const end = Math.min(count, begin + size);
    work(begin, end);
    begin = end;
    if (begin === count) return;
    const took = performance.now() - start;
    size = sized(size * Math.min(2, Math.max(0.25, sliceMs / Math.max(took, 0.1))), step);
    await turn();
  }
}

function sized(units: number, step: number): number {
  return Math.max(step, Math.floor(units / step) * step);
}
