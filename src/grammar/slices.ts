/**
 * Masks that take long, made in slices: work is broken off once it has found out new things for a few milliseconds, and done anew
 * from its beginning when it goes on. What it had found is kept, so it soon comes to where it was; nothing depends on where it
 * was broken off.
 *
 * @module
 */

/** How long a slice looks for what is not known, in milliseconds: less than half of what the event loop waits for in a turn. */
const sliceMs = 4;

/** What is found between two looks at the clock, less one: each takes a microsecond or a few. */
const ticksBetween = 15;

/** Thrown where a slice ends. */
const interrupted = new Error("The work goes on in the next slice.");

/** Breaks off the work of one grammar. */
export class Slices {
  #isSliced = false;
  #ticks = 0;
  /** When the slice ends; nothing yet where all is known so far. */
  #until: number | undefined;

  /** Does work, for a slice at most; returns whether it is done. */
  attempt(work: () => void): boolean {
    this.#isSliced = true;
    this.#until = undefined;
    try {
      work();
      return true;
    } catch (error) {
      if (error !== interrupted) throw error;
      return false;
    } finally {
      this.#isSliced = false;
    }
  }

  /** Something was found that was not known, and is kept: so each slice comes further. No state may be half changed. */
  tick(): void {
    if (!this.#isSliced || (++this.#ticks & ticksBetween) !== 0) return;
    const now = performance.now();
    this.#until ??= now + sliceMs;
    if (now >= this.#until) throw interrupted;
  }
}
