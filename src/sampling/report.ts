/**
 * How often each method of a sampler removed tokens. This helps to choose settings: a method that never removes a token, or
 * always all but one, has a wrong setting.
 *
 * @module
 */
import { MARKS } from "../../ffi/wire.ts";
import type { Sampled } from "../../ffi/wire_calls.ts";
import type { SamplingMethod } from "./options.ts";
import type { Step } from "./resolve.ts";

/**
 * What one method of a chain did.
 *
 * @example
 * ```ts
 * import { type MethodReport, Sampler } from "@lightgpt/lightgpt";
 *
 * const sampler = new Sampler({ topK: 2, topP: 1, seed: 1 });
 * sampler.sample(Float32Array.of(1, 2, 3));
 * const [topK]: MethodReport[] = sampler.report();
 * console.log(topK); // { method: "topK", runs: 1, effective: 1, removed: 1, left: 2 }
 * ```
 */
export interface MethodReport {
  /** The method. */
  readonly method: SamplingMethod;
  /** Choices for which it ran. Where only the greatest logit can be chosen, methods that always keep it do not run. */
  readonly runs: number;
  /** Choices in which it removed at least one token. */
  readonly effective: number;
  /** Tokens that it removed, over all choices. */
  readonly removed: number;
  /** Tokens that it left, over all choices. */
  readonly left: number;
}

/** Counts what the methods of one chain do. */
export class Report {
  readonly #steps: readonly Step[];
  /** [steps][4]: runs, effective, removed, left. */
  #sums: Float64Array;
  /** The same of choices that their reader did not get yet, the oldest first. */
  #ahead: Float64Array[] = [];

  /** Counts for a chain of these steps. */
  constructor(steps: readonly Step[]) {
    this.#steps = steps;
    this.#sums = new Float64Array(4 * steps.length);
  }

  /** Counts a choice out of `vocabulary` tokens, once {@link Report.tell} is called for it. */
  add(sampled: Sampled, vocabulary: number): void {
    const sums = new Float64Array(this.#sums.length);
    this.#ahead.push(sums);
    let before = vocabulary;
    for (let step = 0; step < this.#steps.length; step++) {
      const kept = sampled.kept(step);
      if (kept === MARKS.notRun) continue;
      const base = 4 * step;
      sums[base] = 1;
      sums[base + 1] = kept < before ? 1 : 0;
      sums[base + 2] = before - kept;
      sums[base + 3] = kept;
      before = kept;
    }
  }

  /** Counts the oldest choice that was not told yet, where there is one. */
  tell(): void {
    const told = this.#ahead.shift();
    if (told) this.#sums.forEach((sum, index) => this.#sums[index] = sum + (told[index] as number));
  }

  /** The counts so far, in the order of the chain. */
  read(): MethodReport[] {
    return this.#steps.map(({ method }, index) => {
      const [runs, effective, removed, left] = this.#sums.subarray(4 * index, 4 * index + 4);
      return { method, runs, effective, removed, left };
    });
  }

  /** A copy that changes independently. */
  clone(): Report {
    const copy = new Report(this.#steps);
    copy.#sums = this.#sums.slice();
    copy.#ahead = this.#ahead.map((sums) => sums.slice());
    return copy;
  }
}
