/**
 * How many tokens are drafted for each sequence of a step: so many that the step chooses the most tokens a millisecond. A step
 * with drafts takes longer for all of its sequences, so they are weighed together.
 *
 * @module
 */

/** What may be drafted of one sequence. */
export interface Prospect {
  /** The chance of each next token to be guessed right, given that those before it are. */
  readonly chances: readonly number[];
  /** Milliseconds that each of its guesses takes beside the step itself. */
  readonly msOfGuess: number;
}

/** The step as it would be without drafts. */
export interface BareStep {
  /** Tokens that it reads. */
  readonly tokens: number;
  /** Tokens that it chooses. */
  readonly chosen: number;
  /** Expected milliseconds of a step of so many tokens. */
  expect(tokens: number): number;
  /** Drafts that there is room for. */
  readonly draftsMost: number;
  /** Milliseconds that the step should not exceed. */
  readonly msMost: number;
}

/** The drafts of each prospect, in their order. Of all sequences the likeliest guesses go first. */
export function draftLengths(prospects: readonly Prospect[], step: BareStep): number[] {
  const taken = prospects.map(() => 0);
  /** The chance that the next guess of each is reached and right. */
  const next = prospects.map(({ chances }) => chances[0] ?? 0);
  let best = { rate: step.chosen / step.expect(step.tokens), lengths: taken.slice() };
  let chosen = step.chosen;
  let guessMs = 0;
  for (let drafts = 1; drafts <= step.draftsMost; drafts++) {
    const likeliest = next.reduce((most, chance, index) => chance > (next[most] as number) ? index : most, 0);
    const chance = next[likeliest] ?? 0;
    if (chance <= 0) break;
    const { chances, msOfGuess } = prospects[likeliest] as Prospect;
    const length = ++taken[likeliest];
    next[likeliest] = chance * (chances[length] ?? 0);
    chosen += chance;
    guessMs += msOfGuess;
    const ms = step.expect(step.tokens + drafts) + guessMs;
    if (ms > step.msMost) break;
    if (chosen / ms > best.rate) best = { rate: chosen / ms, lengths: taken.slice() };
  }
  return best.lengths;
}

/** How many guesses are at least as likely as `least` to be reached and right. */
export function likelyLength(chances: readonly number[], least: number): number {
  let chance = 1;
  let length = 0;
  while (length < chances.length && (chance *= chances[length] as number) >= least) length++;
  return length;
}
