/**
 * Guesses by a model, for one sequence: how many are wanted, what was kept of the last ones says.
 *
 * @module
 */
import { States } from "./states.ts";
import { draftsMost, type DraftSource, type Guesser } from "./types.ts";

/** What a guess is believed to be worth before any was verified, as if so many had been. */
const prior = 0.7;
const priorWeight = 6;
/** What older guesses count beside the newest. */
const memory = 0.95;
/** Steps without guesses before they are tried again; doubled each time that is in vain. */
const holdLeast = 16;
const holdMost = 256;

/** Guesses by a model for one sequence: how many, what was kept of them says. */
export class ModelGuesser implements Guesser {
  readonly isWeighed: boolean = true;
  readonly model: DraftSource;
  readonly states?: States;
  #right = prior * priorWeight;
  #seen = priorWeight;
  #idle = 0;
  #hold = holdLeast;

  /** Has `model` guess, which reads states of so many floats, if any. */
  constructor(model: DraftSource, stateFloats = 0) {
    this.model = model;
    if (stateFloats > 0) this.states = new States(stateFloats);
  }

  /** See {@link Guesser}. */
  chances(_tokens: Uint32Array, most: number): readonly number[] {
    if (++this.#idle > this.#hold) {
      this.#hold = Math.min(holdMost, 2 * this.#hold);
      this.#right = prior * priorWeight;
      this.#seen = priorWeight;
      this.#idle = 0;
    }
    return new Array<number>(Math.max(0, Math.min(most, draftsMost))).fill(this.#right / this.#seen);
  }

  /** Only the model knows them. */
  guesses(): readonly number[] {
    return [];
  }

  /** See {@link Guesser}. */
  verified(guessed: number, kept: number): void {
    // The guesses behind the first that was wrong say nothing.
    const seen = Math.min(guessed, kept + 1);
    const faded = memory ** seen;
    this.#right = this.#right * faded + kept;
    this.#seen = this.#seen * faded + seen;
    this.#idle = 0;
    if (kept > 0) this.#hold = holdLeast;
  }
}
