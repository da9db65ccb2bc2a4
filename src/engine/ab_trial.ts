/**
 * Compares two values of a setting while requests run: some steps with the one, some with the other, by turns, so that a load
 * that changes meanwhile falls on both. Only steps of the same kind are compared, by their medians.
 *
 * @module
 */
import { median } from "./median.ts";

/** Steps with one value before the other has its turn. */
const turnSteps = 6;
/** Steps of a kind that are needed with each value. */
const samplesLeast = 12;
/** Steps after which a trial ends in any case. */
const stepsMost = 600;

/** What a trial came to: how long steps take with the new value, as a share of what they take with the old. */
export interface Verdict {
  /** Below 1: the new value is faster. */
  readonly ratio: number;
  /** Steps that were compared. */
  readonly steps: number;
}

/** One comparison. */
export class AbTrial {
  readonly from: number;
  readonly to: number;
  readonly #apply: (value: number) => void;
  readonly #arms: readonly [Map<string, number[]>, Map<string, number[]>] = [new Map(), new Map()];
  #arm: 0 | 1 = 1;
  #turn = 0;
  #steps = 0;

  /** Begins with the new value; `apply` sets it for the steps to come. */
  constructor(from: number, to: number, apply: (value: number) => void) {
    this.from = from;
    this.to = to;
    this.#apply = apply;
    apply(to);
  }

  /** Records the cost of a step of a kind, in milliseconds or milliseconds a token; returns the verdict, once there is one. */
  record(kind: string, cost: number): Verdict | undefined {
    // The first step of a turn may still show the value before.
    if (this.#turn++ > 0) {
      const costs = this.#arms[this.#arm].get(kind);
      if (costs) costs.push(cost);
      else this.#arms[this.#arm].set(kind, [cost]);
    }
    if (this.#turn > turnSteps) {
      this.#turn = 0;
      this.#arm = this.#arm === 0 ? 1 : 0;
      this.#apply(this.#arm === 0 ? this.from : this.to);
    }
    const isOver = ++this.#steps >= stepsMost;
    if (!isOver && this.#steps % (2 * (turnSteps + 1)) !== 0) return undefined;
    const verdict = this.#compare();
    return verdict.steps >= 4 * samplesLeast || isOver ? verdict : undefined;
  }

  /** Sets the old value again. */
  revert(): void {
    this.#apply(this.from);
  }

  /** Compares the medians of each kind that both values have seen, weighted by the time that its steps took. */
  #compare(): Verdict {
    let sum = 0;
    let weights = 0;
    let steps = 0;
    for (const [kind, before] of this.#arms[0]) {
      const after = this.#arms[1].get(kind) ?? [];
      if (Math.min(before.length, after.length) < samplesLeast) continue;
      const [old, fresh] = [median(before), median(after)];
      if (!(old > 0 && fresh > 0)) continue;
      const weight = old * Math.min(before.length, after.length);
      sum += Math.log(fresh / old) * weight;
      weights += weight;
      steps += before.length + after.length;
    }
    return { ratio: weights > 0 ? Math.exp(sum / weights) : 1, steps };
  }
}
