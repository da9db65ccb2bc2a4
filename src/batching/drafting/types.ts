/**
 * What guesses the next tokens of a sequence. A guess costs a row of a step and changes no result: it is kept where the sampler
 * chooses it.
 *
 * @module
 */

import type { States } from "./states.ts";

/** The most tokens that are guessed of one sequence in a step: with the one that is certain, four tiles of eight. */
export const draftsMost = 31;

/** Guesses the next tokens of one sequence. */
export interface Guesser {
  /** Whether steps' times decide how much is guessed, or only how much was right so far. */
  readonly isWeighed: boolean;
  /** What computes its guesses, where that takes steps of another model; without, {@link Guesser.guesses} knows them. */
  readonly model?: DraftSource;
  /** Keeps what the model's last norm gives after each token, where its guesses are made from that. */
  readonly states?: States;
  /**
   * The chance of each of the next tokens to be guessed right, given that those before it are; at most `most`, none where there
   * is nothing to guess from.
   *
   * @param tokens all tokens of the sequence so far; those that came since the last call tell how good the guesses were.
   */
  chances(tokens: Uint32Array, most: number): readonly number[];
  /** The first `count` guesses, of those whose chances were told last. */
  guesses(count: number): readonly number[];
  /** So many guesses were verified, and so many of them kept. */
  verified(guessed: number, kept: number): void;
}

/** A sequence for which a model is to guess. */
export interface Guessing {
  /** Stands for the sequence. */
  readonly seat: object;
  /** All tokens so far. */
  readonly tokens: Uint32Array;
  /** How many guesses are wanted. */
  readonly count: number;
  /** What the model itself gave after its tokens, where guesses are made from that. */
  readonly states?: States | undefined;
}

/** A model that guesses for several sequences at once. */
export interface DraftSource {
  /** Milliseconds that a guess takes. */
  readonly msOfGuess: number;
  /** Guesses for each sequence, as many as are wanted or fewer. */
  guess(wanted: readonly Guessing[]): Promise<(readonly number[])[]>;
  /** A sequence has ended. */
  leave(seat: object): void;
}
