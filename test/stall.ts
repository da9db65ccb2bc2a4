/**
 * How long a piece of work holds the event loop, and measures that the collector of garbage may spoil.
 *
 * @module
 */
import { workedMs } from "./worked.ts";

/** What is the work's own is there at every try; what the collector of garbage causes, in a process of many tests, is not. */
const tries = 6;

/** Of a few tries the least figure; once it is below `enough` no more is tried. */
export async function leastOf(measure: () => Promise<number>, enough: number): Promise<number> {
  let least = Infinity;
  for (let attempt = 0; attempt < tries && least >= enough; attempt++) least = Math.min(least, await measure());
  return least;
}

/**
 * The longest time for which the event loop had no turn while `work` was done, in milliseconds of the process's own work: a
 * machine that does other things too does not count; of a few tries the least.
 */
export function longestStall(work: () => Promise<unknown>, enough: number): Promise<number> {
  return leastOf(() => stallOf(work), enough);
}

async function stallOf(work: () => Promise<unknown>): Promise<number> {
  let longest = 0;
  let last = workedMs();
  const note = () => {
    const now = workedMs();
    longest = Math.max(longest, now - last);
    last = now;
  };
  const timer = setInterval(note, 1);
  await work().finally(() => clearInterval(timer));
  note();
  return longest;
}
