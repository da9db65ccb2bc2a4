/**
 * Speculative decoding: guesses of what a sequence goes on with take part in its step, which verifies them all in one pass. The
 * sampler chooses in their places as it would without them, and what it chooses otherwise ends them; so tokens, log
 * probabilities and seeds are the same, and only times differ. How much is guessed is decided here, before each step.
 *
 * @module
 */
import { LIMITS } from "../../../ffi/wire.ts";
import type { StepResult, StepSequence } from "../../engine/step.ts";
import { StepCosts } from "../../engine/step_costs.ts";
import type { SamplerState } from "../../sampling/state.ts";
import type { Member } from "../plan_step.ts";
import type { Sequence } from "../sequence.ts";
import { draftLengths, likelyLength } from "./lengths.ts";
import { Trials } from "./trials.ts";
import { draftsMost, type DraftSource, type Guesser, type Guessing } from "./types.ts";

/** The guess of a sequence whose guesser does not weigh what steps cost goes on while it is right so likely. */
const likelyLeast = 0.25;

/** What a step has room for beside its members. */
export interface DraftRoom {
  /** Tokens that the engine takes in a step, and rows of logits. */
  readonly batchTokens: number;
  readonly logitRows: number;
  /** Pages that hold the state of a sequence; of a model that has any, a step takes few drafts. */
  readonly statePages: number;
  /** Milliseconds that a step should not exceed while others wait for it. */
  readonly stepMs: number | undefined;
}

/** A step, and what came of it. */
export interface StepDone {
  readonly steps: readonly StepSequence[];
  /** Whose part each is. */
  readonly members: readonly Member<Sequence>[];
  readonly results: readonly StepResult[];
  readonly ms: number;
  /** Milliseconds with what guessing for it took. Default: `ms`. */
  readonly spentMs?: number;
}

/** The guesses of the members of a step that have any. */
export type Drafts = ReadonlyMap<Sequence, readonly number[]>;

/** A member that may bring guesses. */
interface Candidate {
  readonly sequence: Sequence;
  readonly guesser: Guesser;
  /** Tokens of a text that its constraint leaves no choice about, and how many of the first are themselves certain. */
  readonly forced: readonly number[];
  readonly certain: number;
  readonly chances: readonly number[];
}

const none: Drafts = new Map();

/** Guesses for the sequences of one scheduler. */
export class Drafting {
  /** Tokens guessed, and those of them that were kept. */
  drafted = 0;
  kept = 0;
  readonly #costs = new StepCosts();
  readonly #trials = new Trials();
  readonly #vocabulary: number;

  /** Guesses tokens of a vocabulary of so many. */
  constructor(vocabulary: number) {
    this.#vocabulary = vocabulary;
  }

  /**
   * Guesses for a step; pages are taken for them, and whatever has no page is not guessed. Where guessing fails, the sequences
   * that it was for end with the error.
   */
  async guess(members: readonly Member<Sequence>[], room: DraftRoom): Promise<Drafts> {
    const asking = members.filter(({ sequence, count }) => sequence.options.guesser !== undefined && count === 1);
    if (asking.length === 0) return none;
    try {
      return await this.#guess(this.#candidates(asking, members.length), members, room);
    } catch (error) {
      for (const { sequence } of asking) sequence.fail(error);
      return none;
    }
  }

  async #guess(
    candidates: readonly Candidate[],
    members: readonly Member<Sequence>[],
    room: DraftRoom,
  ): Promise<Drafts> {
    if (candidates.length === 0) return none;
    const lengths = this.#lengths(candidates, members, room);
    const guesses = await guessesOf(candidates, lengths);
    const drafts = new Map<Sequence, readonly number[]>();
    for (const [index, { sequence }] of candidates.entries()) {
      const guess = this.#fitting(sequence, guesses[index] ?? []);
      if (guess.length > 0) drafts.set(sequence, guess);
    }
    return drafts;
  }

  /** Whether guesses for the next step of these members would pay. */
  expects(members: readonly Member<Sequence>[], room: DraftRoom): boolean {
    const candidates = this.#candidates(members, members.length);
    return candidates.length > 0 && this.#lengths(candidates, members, room).some((length) => length > 0);
  }

  /** A step has ended after `ms`. */
  record(done: StepDone): void {
    const { steps, members, results, ms } = done;
    this.#costs.record(steps.reduce((sum, { tokens }) => sum + tokens.length, 0), ms);
    this.#compare(done);
    steps.forEach(({ drafts = 0 }, index) => {
      if (drafts === 0) return;
      const kept = Math.max(0, (results[index]?.choices?.length ?? 0) - 1);
      this.drafted += drafts;
      this.kept += kept;
      members[index]?.sequence.options.guesser?.verified(drafts, kept);
    });
  }

  /** A step in which all have chosen says whether guesses pay. */
  #compare({ steps, members, results, ms, spentMs = ms }: StepDone): void {
    if (!members.every(({ count }) => count === 1) || !members.some(isOnTrial)) return;
    const hadGuesses = members.some((member, index) => isOnTrial(member) && (steps[index]?.drafts ?? 0) > 0);
    const chosen = results.reduce((sum, { choices = [] }) => sum + choices.length, 0);
    this.#trials.record(members.length, hadGuesses, chosen, spentMs);
  }

  /** The candidates among some members of a step of so many. */
  #candidates(members: readonly Member<Sequence>[], sequences: number): Candidate[] {
    const isGuessing = this.#trials.isGuessing(sequences);
    return members.flatMap((member) => isGuessing || !isOnTrial(member) ? this.#candidateOf(member.sequence) : []);
  }

  /** A sequence as a candidate, where its next step chooses a token and more may follow. */
  #candidateOf(sequence: Sequence): Candidate[] {
    const { guesser, positions } = sequence.options;
    if (guesser === undefined || sequence.unread !== 1 || sequence.choices === 0) return [];
    const { tokens } = sequence;
    const most = positions - tokens.length;
    const chances = guesser.chances(tokens, most);
    const ahead = samplerOf(sequence).lookahead(this.#vocabulary)?.forced(Math.min(most, draftsMost), likelyLeast);
    const certain = ahead?.chances.findIndex((chance) => chance < 1) ?? -1;
    // A model of its own knows better how a text is spelled.
    const length = guesser.model && certain >= 0 ? certain : ahead?.tokens.length ?? 0;
    const forced = ahead?.tokens.slice(0, length) ?? [];
    if (forced.length === 0) return chances.length > 0 ? [{ sequence, guesser, forced, certain: 0, chances }] : [];
    // What is guessed behind forced tokens counts only where they were guessed too.
    const agrees = guesser.model === undefined && chances.length > forced.length &&
      guesser.guesses(forced.length).every((token, index) => token === forced[index]);
    const own = ahead?.chances.slice(0, length) ?? [];
    return [{
      sequence,
      guesser,
      forced,
      certain: certain < 0 ? length : certain,
      chances: agrees ? [...own, ...chances.slice(length)] : own,
    }];
  }

  /** Those of the guesses, from the first on, that may come and that there are pages for. */
  #fitting(sequence: Sequence, guesses: readonly number[]): readonly number[] {
    const { table, state } = sequence;
    // A model took its time to guess; the sequence may have ended meanwhile.
    if (guesses.length === 0 || table === undefined || state !== "running") return [];
    const allowed = samplerOf(sequence).lookahead(this.#vocabulary)?.follow(guesses) ?? guesses.length;
    const certain = sequence.tokens.length;
    table.cover(certain + allowed);
    return guesses.slice(0, Math.max(0, Math.min(allowed, table.capacity - certain)));
  }

  #lengths(
    candidates: readonly Candidate[],
    members: readonly Member<Sequence>[],
    { batchTokens, logitRows, statePages, stepMs = Infinity }: DraftRoom,
  ): number[] {
    let tokens = 0;
    let rows = 0;
    let chosen = 0;
    for (const { sequence, count } of members) {
      tokens += count;
      rows += sequence.wantsAllRows ? count : 1;
      if (count === sequence.unread) chosen++;
    }
    let left = Math.max(
      0,
      Math.min(batchTokens - tokens, logitRows - rows, statePages > 0 ? LIMITS.stateDraftsMax : Infinity),
    );
    // What is certain pays in any case for a sequence alone; beside others, which wait for it, it is weighed, too.
    const isShared = members.length > 1;
    const lengths = candidates.map(({ guesser, chances, certain }) => {
      const sure = isShared && guesser.model === undefined ? 0 : certain;
      const length = Math.min(left, guesser.isWeighed ? sure : likelyLength(chances, likelyLeast));
      left -= length;
      return length;
    });
    const weighed = candidates.map(({ guesser, chances }, index) => ({
      chances: guesser.isWeighed ? chances.slice(lengths[index]) : [],
      msOfGuess: guesser.model?.msOfGuess ?? 0,
    }));
    const before = lengths.reduce((sum, length) => sum + length, 0);
    const more = draftLengths(weighed, {
      tokens: tokens + before,
      chosen: chosen + before,
      expect: (count) => this.#costs.expect(count),
      draftsMost: left,
      msMost: members.length > 1 ? stepMs : Infinity,
    });
    return lengths.map((length, index) => length + (more[index] as number));
  }
}

/** Whether trials say if guesses are made for it: it looks them up where that pays. */
function isOnTrial({ sequence: { options: { guesser } } }: Member<Sequence>): boolean {
  return guesser?.isWeighed === true && guesser.model === undefined;
}

function samplerOf({ options: { sample } }: Sequence): SamplerState {
  if (sample === undefined) throw new Error("A sequence that chooses nothing was to be drafted.");
  return sample.sampler;
}

/** The guesses of each candidate: forced ones first; those of a model for all its sequences at once. */
async function guessesOf(candidates: readonly Candidate[], lengths: readonly number[]): Promise<(readonly number[])[]> {
  const guesses = candidates.map(({ guesser, forced }, index): readonly number[] => {
    const length = lengths[index] as number;
    if (forced.length > 0 && (length <= forced.length || guesser.model)) return forced.slice(0, length);
    return guesser.model ? [] : guesser.guesses(length);
  });
  const asked = new Map<DraftSource, { at: number; wanted: Guessing }[]>();
  candidates.forEach(({ guesser: { model, states }, sequence, forced }, index) => {
    const count = lengths[index] as number;
    if (!model || count === 0 || forced.length > 0) return;
    const of = asked.get(model) ?? [];
    of.push({ at: index, wanted: { seat: sequence, tokens: sequence.tokens, count, states } });
    asked.set(model, of);
  });
  for (const [model, list] of asked) {
    const found = await model.guess(list.map(({ wanted }) => wanted));
    list.forEach(({ at }, index) => guesses[at] = found[index] ?? []);
  }
  return guesses;
}
