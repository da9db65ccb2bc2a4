/**
 * How long a piece of work holds the event loop.
 *
 * @module
 */
import { workedMs } from "./worked.ts";

/** A stall of the work's own is there at every try; one that the collector of garbage causes, in a process of many tests, is not. */
const tries = 3;

/**
 * The longest time for which the event loop had no turn while `work` was done, in milliseconds of the process's own work: a
 * machine that does other things too does not count. Of a few tries the least; once it is below `enough` no more is tried.
 */
export async function longestStall(work: () => Promise<unknown>, enough: number): Promise<number> {
  let least = Infinity;
  for (let attempt = 0; attempt < tries && least >= enough; attempt++) least = Math.min(least, await stallOf(work));
  return least;
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
