/**
 * The option `threads` of all that compute: how many, and no more than there are processors.
 *
 * @module
 */
import { LIMITS } from "../../ffi/wire.ts";
import { usableProcessors, usableThreads } from "../machine/machine.ts";
import { integer } from "../options/schema.ts";

let reckoned = 0;

/** For tests of many threads on a small machine: counts as if there were `count` processors; returns the count before. */
export function reckonProcessors(count: number): number {
  const before = reckoned;
  reckoned = count;
  return before;
}

/** The option `threads`, as all that compute have it. */
export const threadsField = integer({
  about: "Threads that compute.",
  least: 1,
  most: LIMITS.threadsMax,
  otherwise: "the processors that may be used",
  flag: { value: "N", about: "compute with N threads" },
});

/**
 * The number of threads that compute: `asked`, or as many as this process can run at once; at most one for each processor.
 * With two on a core, threads that wait for their turn hold the others up: decoding ran at 0.75 of its speed, with eight
 * at 0.38.
 */
export function threadsOption(asked: number = Math.min(LIMITS.threadsMax, usableThreads())): number {
  return Math.min(asked, Math.max(usableProcessors(), reckoned));
}
