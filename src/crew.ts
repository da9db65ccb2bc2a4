/**
 * How many threads a short step is worth. Handing work over and waiting for its end costs some microseconds for each product
 * of each layer: of a small model one thread is done before others have begun, on one machine up to twice the work that it is
 * on another. So it is measured: steps of a kind run with one thread and with all by turns (`trial.ts`), and the faster way
 * stays. Results do not depend on it.
 *
 * @module
 */
import { Trial } from "./trial.ts";

/** Longer steps are worth all threads, and too long to try another number. */
const shortMs = 2;
/** Steps of a kind before the first trial, and between a trial and the next; that doubles where nothing changed. */
const firstTrial = 12;
const holdLeast = 2000;
const holdMost = 128_000;
/** The other way must be so much faster. */
const better = 0.97;

/** Steps of about one size, of prompts or not. */
interface Kind {
  isAlone: boolean;
  /** Of late, without those of trials. */
  ms: number | undefined;
  steps: number;
  nextTrial: number;
  hold: number;
  trial: Trial | undefined;
}

/** What is known of the steps of one engine. */
export class Crew {
  readonly #kinds = new Map<number, Kind>();
  #current: Kind | undefined;

  /**
   * Threads of the step that comes, `most` at most; `isShort`: what to think of its kind before anything was measured.
   * {@link Crew.record} tells how long it took.
   */
  threads(tokens: number, isPrompt: boolean, most: number, isShort: boolean): number {
    this.#current = undefined;
    if (most < 2) return most;
    const name = 2 * (31 - Math.clz32(tokens)) + Number(isPrompt);
    let kind = this.#kinds.get(name);
    if (!kind) {
      kind = { isAlone: isShort, ms: undefined, steps: 0, nextTrial: firstTrial, hold: holdLeast, trial: undefined };
      this.#kinds.set(name, kind);
    }
    this.#current = kind;
    return kind.isAlone ? 1 : most;
  }

  /** That step took `ms`. */
  record(ms: number): void {
    const kind = this.#current;
    if (!kind) return;
    kind.steps++;
    if (kind.trial) return this.#try(kind, kind.trial, ms);
    kind.ms = kind.ms === undefined ? ms : (kind.ms + ms) / 2;
    if (kind.ms >= shortMs) kind.isAlone = false;
    else if (kind.steps >= kind.nextTrial) {
      const [from, to] = kind.isAlone ? [1, Infinity] : [Infinity, 1];
      kind.trial = new Trial(from, to, (threads) => kind.isAlone = threads === 1);
    }
  }

  #try(kind: Kind, trial: Trial, ms: number): void {
    const verdict = trial.record("", ms);
    if (!verdict) return;
    const isBetter = verdict.ratio < better;
    kind.isAlone = (isBetter ? trial.to : trial.from) === 1;
    kind.hold = isBetter ? holdLeast : Math.min(holdMost, 2 * kind.hold);
    kind.nextTrial = kind.steps + kind.hold;
    kind.trial = undefined;
    kind.ms = undefined;
  }
}
