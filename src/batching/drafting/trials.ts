/**
 * Whether guesses pay where several sequences share a step: found out by turns. What a guess more costs there, in rows, in breaks
 * between steps and in looking ahead, no sum says well enough, and a wrong one would keep itself alive: steps that are not run are
 * not measured. So both ways are run, the slower one for a few steps now and then, and what each chose in its time is compared.
 *
 * @module
 */

/** Steps of a trial: of the way that was slower the last time. */
const trialSteps = 6;
/** Steps of the other way between two trials; doubled each time that it turns out to be faster again. */
const holdLeast = 16;
const holdMost = 256;
/** What older steps count beside the newest. */
const memory = 0.9;
/** Guesses pay where steps with them choose so many times as many tokens a millisecond: those without any wait longer for them. */
const gainLeast = 1.05;

/** Tokens that steps chose, and the milliseconds that it took. */
interface Pace {
  chosen: number;
  ms: number;
}

/** What is known of steps of about as many sequences. */
interface Trial {
  /** With guesses, and without. */
  readonly paces: { guessed: Pace; bare: Pace };
  /** Whether guesses paid the last time that was compared, and whether they are made now. */
  pays: boolean;
  isGuessing: boolean;
  /** Steps until the next turn, and of the next hold. */
  left: number;
  hold: number;
}

/** Trials of guesses, for each number of sequences, roughly. */
export class Trials {
  readonly #trials: Trial[] = [];

  /** Whether a step of so many sequences may have guesses. */
  isGuessing(sequences: number): boolean {
    return sequences < 2 || this.#of(sequences).isGuessing;
  }

  /** A step of so many sequences, with guesses or without, has chosen so many tokens in `ms`. */
  record(sequences: number, hadGuesses: boolean, chosen: number, ms: number): void {
    if (sequences < 2) return;
    const trial = this.#of(sequences);
    const pace = trial.paces[hadGuesses ? "guessed" : "bare"];
    pace.chosen = pace.chosen * memory + chosen;
    pace.ms = pace.ms * memory + ms;
    // Where there was nothing to guess, a step shows nothing of guesses.
    if (hadGuesses === trial.isGuessing && --trial.left <= 0) turn(trial);
  }

  #of(sequences: number): Trial {
    return this.#trials[31 - Math.clz32(sequences)] ??= {
      paces: { guessed: { chosen: 0, ms: 0 }, bare: { chosen: 0, ms: 0 } },
      pays: false,
      isGuessing: false,
      left: trialSteps,
      hold: holdLeast,
    };
  }
}

/** The turn is the other way's, for a trial; or, where this was one, the faster way's. */
function turn(trial: Trial): void {
  const { paces } = trial;
  if (trial.isGuessing === trial.pays) {
    trial.isGuessing = !trial.pays;
    trial.left = trialSteps;
    paces[trial.isGuessing ? "guessed" : "bare"] = { chosen: 0, ms: 0 };
    return;
  }
  const { guessed, bare } = paces;
  const pays = guessed.chosen * bare.ms > gainLeast * bare.chosen * guessed.ms;
  trial.hold = pays === trial.pays ? Math.min(holdMost, 2 * trial.hold) : holdLeast;
  trial.pays = pays;
  trial.isGuessing = pays;
  trial.left = trial.hold;
}
