/**
 * How many threads a short step runs on. To hand work over and wait for its end costs some microseconds for each product of
 * each layer; with a small model one thread is done before the others have begun. How small differs between machines by a
 * factor of two, so it is measured: steps of a kind run in turn with one thread and with all (`ab_trial.ts`), and the faster
 * way stays. Results do not depend on it.
 *
 * @module
 */
import { AbTrial } from "./ab_trial.ts";

/** Milliseconds: a longer step runs on all threads, and is too long for a trial. */
const shortMs = 2;
/** Steps of a kind before the first trial, and between two trials; after a trial that changed nothing, these double. */
const firstTrial = 12;
const holdLeast = 2000;
const holdMost = 128_000;
/** The other way replaces the present one if it takes less than this share of the time. */
const better = 0.97;
/** A trial ends when `slowMost` steps in a row take more than `hopeless` times as long as those before it. */
const slowMost = 4;
const hopeless = 2;

/** Steps of about one size, of prompts or not. */
interface Kind {
  isAlone: boolean;
  /** Milliseconds of the latest steps with one thread, and with all; undefined before the first. */
  readonly ms: { alone: number | undefined; all: number | undefined };
  steps: number;
  nextTrial: number;
  hold: number;
  trial: AbTrial | undefined;
  /** Steps in a row of the trial that took far longer than those before it. */
  slow: number;
}

/** Chooses the threads of an engine's steps by what earlier ones took. */
export class StepThreads {
  readonly #kinds = new Map<number, Kind>();
  #current: Kind | undefined;

  /**
   * Threads of the step that comes, `most` at most; `isShort`: what to think of its kind before anything was measured.
   * {@link StepThreads.record} tells how long it took.
   */
  threads(tokens: number, isPrompt: boolean, most: number, isShort: boolean): number {
    this.#current = undefined;
    if (most < 2) return most;
    const name = 2 * (31 - Math.clz32(tokens)) + Number(isPrompt);
    let kind = this.#kinds.get(name);
    if (!kind) {
      const ms = { alone: undefined, all: undefined };
      kind = { isAlone: isShort, ms, steps: 0, nextTrial: firstTrial, hold: holdLeast, trial: undefined, slow: 0 };
      this.#kinds.set(name, kind);
    }
    this.#current = kind;
    return kind.isAlone ? 1 : most;
  }

  /** Whether both ways are compared for the step that came last. */
  get isTrying(): boolean {
    return this.#current?.trial !== undefined;
  }

  /** That step took `ms`. */
  record(ms: number): void {
    const kind = this.#current;
    if (!kind) return;
    kind.steps++;
    if (kind.trial) return this.#try(kind, kind.trial, ms);
    const way = kind.isAlone ? "alone" : "all";
    const known = kind.ms[way];
    // A single step that was disturbed changes little.
    kind.ms[way] = known === undefined ? ms : known + (Math.min(ms, 2 * known) - known) / 8;
    const { alone = Infinity, all = Infinity } = kind.ms;
    if (kind.isAlone && alone >= shortMs) kind.isAlone = false;
    else if (kind.steps >= kind.nextTrial && Math.min(alone, all) < shortMs) {
      const [from, to] = kind.isAlone ? [1, Infinity] : [Infinity, 1];
      kind.trial = new AbTrial(from, to, (threads) => kind.isAlone = threads === 1);
    }
  }

  #try(kind: Kind, trial: AbTrial, ms: number): void {
    // With many cores, one thread may take many times as long: such a trial must not run to its verdict.
    const isNew = kind.isAlone === (trial.to === 1);
    const before = (trial.from === 1 ? kind.ms.alone : kind.ms.all) ?? ms;
    if (isNew) kind.slow = ms > hopeless * before ? kind.slow + 1 : 0;
    const verdict = trial.record("", ms);
    if (!verdict && kind.slow < slowMost) return;
    const isBetter = verdict !== undefined && verdict.ratio < better;
    kind.isAlone = (isBetter ? trial.to : trial.from) === 1;
    kind.hold = isBetter ? holdLeast : Math.min(holdMost, 2 * kind.hold);
    kind.nextTrial = kind.steps + kind.hold;
    kind.trial = undefined;
    kind.slow = 0;
  }
}
