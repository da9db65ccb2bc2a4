/**
 * Runs what a plan says: a step, or a chain of them, in which native code goes on by itself with the tokens that it chose. What
 * each round came to is accounted for and given to the sequences while the next one runs. A chain ends where something is to be
 * decided again: a sequence ends, another wants to take part, drafts would pay, or readers stopped. A sequence whose tokens
 * JavaScript chooses, or whose reader is asked for each, pauses in a chain after each of its rounds; the others wait for none.
 *
 * @module
 */
import { LIMITS } from "../../ffi/wire.ts";
import type { Round, StepResult, StepRunner, StepSequence } from "../engine/step.ts";
import type { StepTimes } from "../engine/step_times.ts";
import { inSlices, type Sliceable } from "../options/sliced.ts";
import type { SamplerState } from "../sampling/state.ts";
import { canChoose } from "./can_choose.ts";
import type { Clock } from "./clock.ts";
import type { Drafting, DraftRoom } from "./drafting/drafting.ts";
import type { Fairness } from "./fairness.ts";
import type { KvStore } from "./kv_store.ts";
import type { Member } from "./plan_step.ts";
import type { Sequence } from "./sequence.ts";
import type { Meter } from "./stats.ts";

/** Options for running steps: what they work with. */
export interface StepsOptions {
  readonly runner: StepRunner;
  readonly store: KvStore;
  readonly times: StepTimes;
  readonly meter: Meter;
  readonly fairness: Fairness;
  readonly clock: Clock;
  readonly drafting: Drafting | undefined;
  /** Sequences that have a place and want a token. */
  readonly running: ReadonlySet<Sequence>;
}

/** The sequences of a step, and what each does in it. */
interface Part {
  readonly members: readonly Member<Sequence>[];
  readonly steps: readonly StepSequence[];
  /** The most sequences that it could have had. */
  readonly most: number;
}

/** How long JavaScript takes between two tokens of a sequence that pauses: of late, and since when it does. */
interface Pause {
  ms: number;
  since: number | undefined;
}

/**
 * The share of a step's time from which on the others do not wait for such a sequence. One that pauses and comes too late for a round
 * has a token in every second one, so a little is waited for.
 */
const pauseShare = 1 / 8;

/** Runs the steps of one scheduler. */
export class Steps {
  /** Steps so far, each round of a chain among them. */
  count = 0;
  readonly #with: StepsOptions;
  /** The members of the chain in flight, and whether each pauses; and whether it is to end. */
  #chained: ReadonlyMap<Sequence, boolean> | undefined;
  #isHalted = false;
  readonly #pauses = new WeakMap<Sequence, Pause>();

  /** Runs none yet. */
  constructor(options: StepsOptions) {
    this.#with = options;
  }

  /** Has the chain in flight end with the round in flight; a `sequence` that is one of its members goes on in it. */
  halt(sequence?: Sequence): void {
    if (sequence) this.#endPause(sequence);
    const pauses = sequence && this.#chained?.get(sequence);
    if (sequence && pauses) this.#goOn(sequence);
    if (!this.#chained || this.#isHalted || pauses !== undefined) return;
    this.#isHalted = true;
    this.#with.runner.haltChain();
  }

  /** Runs a step of these members, of `most` that there could be, and those that can follow it natively. */
  async run(planned: readonly Member<Sequence>[], most: number): Promise<void> {
    for (const { sequence } of planned) {
      const made = making(sequence);
      if (made) await made;
    }
    const { drafting, clock } = this.#with;
    const begin = clock.now();
    const drafts = await drafting?.guess(planned, this.#draftRoom);
    // While masks were made, or a model guessed, a sequence may have ended.
    const members = planned.filter(({ sequence }) => sequence.state === "running" && canChoose(sequence));
    if (members.length === 0) return;
    const rounds = drafts && drafts.size > 0 ? 1 : this.#rounds(members);
    try {
      if (rounds > 1) await this.#runChain(members, most, rounds);
      else {
        const steps = members.map(({ sequence, count }) => sequence.prepare(count, drafts?.get(sequence)));
        await this.#runOne({ members, steps, most }, clock.now() - begin);
      }
    } catch (error) {
      // The step as a whole was refused; which sequence it was for can't be told.
      for (const { sequence } of members) sequence.fail(error);
    }
  }

  /** Runs a step for which guessing took `guessMs`. */
  async #runOne(part: Part, guessMs: number): Promise<void> {
    const { runner, times, clock } = this.#with;
    const tokens = tokensOf(part.steps);
    const begin = clock.now();
    const results = await runner.run(part.steps, times.isInline(tokens));
    this.#record(part, results, clock.now() - begin, guessMs);
    part.members.forEach((member, index) => {
      if (!isChained(member)) this.#beginPause(member.sequence);
      member.sequence.accept(part.steps[index] as StepSequence, results[index] as StepResult);
    });
  }

  #beginPause(sequence: Sequence): void {
    const pause = this.#pauses.get(sequence) ?? { ms: 0, since: undefined };
    pause.since = this.#with.clock.now();
    this.#pauses.set(sequence, pause);
  }

  /** A sequence is asked for a token. */
  #endPause(sequence: Sequence): void {
    const pause = this.#pauses.get(sequence);
    if (pause?.since === undefined) return;
    pause.ms = (pause.ms + this.#with.clock.now() - pause.since) / 2;
    pause.since = undefined;
  }

  async #runChain(planned: readonly Member<Sequence>[], most: number, rounds: number): Promise<void> {
    const { runner, times } = this.#with;
    const chained = planned.filter(isChained);
    const members = [...chained, ...planned.filter((member) => !isChained(member))];
    const steps = members.map(({ sequence, count }, index) => ({
      ...sequence.prepare(count),
      pauses: index >= chained.length,
    }));
    let taken = 0;
    this.#chained = new Map(members.map(({ sequence }, index) => [sequence, index >= chained.length]));
    this.#isHalted = false;
    try {
      await runner.runChain(steps, times.isShort(members.length), {
        rounds,
        granted: Math.min(rounds, roomOf(chained)),
        ends: new Set(chained.flatMap(({ sequence }) => [...sequence.options.ends ?? []])),
        take: (round) => {
          taken++;
          this.#takeRound({ members, steps, most }, round);
          return this.#isHalted ? 0 : taken + roomOf(chained);
        },
      });
    } finally {
      this.#chained = undefined;
    }
  }

  #takeRound(all: Part, { results, ms, isLast }: Round): void {
    const { drafting } = this.#with;
    const isThere = (_: unknown, index: number) => results[index] !== undefined;
    const present = results.filter((result) => result !== undefined);
    const part = present.length === all.members.length
      ? all
      : { ...all, members: all.members.filter(isThere), steps: all.steps.filter(isThere) };
    this.#record(part, present, ms);
    // Those that pause come last, and are accepted first: the next round waits for them a little.
    for (let index = part.members.length - 1; index >= 0; index--) {
      const step = part.steps[index] as StepSequence;
      const { sequence } = part.members[index] as Member<Sequence>;
      if (step.pauses) this.#beginPause(sequence);
      sequence.accept(step, present[index] as StepResult, !isLast && step.pauses !== true);
    }
    if (isLast) return;
    for (const { sequence } of part.members) this.#handOver(sequence);
    if (drafting?.expects(part.members, this.#draftRoom)) this.#isHalted = true;
  }

  /** A sequence that paused has its next token, and its reader asks: it takes part in the next round, where one follows. */
  #goOn(sequence: Sequence): void {
    const { id, tokens, unread, position, table, options: { sample, process } } = sequence;
    if (unread !== 1 || table === undefined || position >= table.capacity) return;
    try {
      // Where its mask takes long it is made between two steps.
      if (sample?.sampler.prepare() === false) return this.halt();
      const token = tokens.at(-1) as number;
      if (this.#with.runner.goOn(id, token, process ? undefined : sample, tokens.length)) sequence.isInStep = true;
    } catch (error) {
      sequence.fail(error);
    }
  }

  /**
   * Hands over what the next choice of a sequence goes by, where that changes from token to token and it does not pause. The round in
   * flight waits for it; the event loop doesn't.
   */
  #handOver(sequence: Sequence): void {
    const { runner } = this.#with;
    const { options: { sample }, id } = sequence;
    const chained = this.#chained;
    // A constraint lets nothing follow.
    if (sequence.isOver) return runner.cancel(id);
    if (chained?.get(sequence) === true || sequence.state === "ended" || !sample?.sampler.changes) return;
    const hand = () => {
      if (this.#chained !== chained || sequence.state === "ended") return;
      try {
        runner.handOver(id, sample, sequence.tokens.length);
      } catch (error) {
        sequence.fail(error);
      }
    };
    const made = making(sequence);
    if (made) void made.then(hand);
    else hand();
  }

  /** A step has ended: counts it. */
  #record({ members, steps, most }: Part, results: readonly StepResult[], ms: number, guessMs: number = 0): void {
    const { meter, fairness, times, drafting, running } = this.#with;
    this.count++;
    let prompt = 0;
    for (const [index, { sequence, count }] of members.entries()) {
      if (sequence.isReading) prompt += count;
      sequence.servedAt = this.count;
      fairness.charge(sequence.tenant, Math.max(1, (steps[index] as StepSequence).tokens.length));
    }
    const tokens = tokensOf(steps);
    times.record(tokens, ms, prompt);
    drafting?.record({ steps, members, results, ms, spentMs: ms + guessMs });
    meter.steps++;
    meter.step({ ms, tokens, prompt, sequences: members.length, running: running.size }, most);
  }

  /** How many rounds a chain of these members may have; 1: their step stays one. Pages are taken for all of them. */
  #rounds(members: readonly Member<Sequence>[]): number {
    const { running, times, store: { windows } } = this.#with;
    const chained = members.filter(isChained);
    const worthMs = times.expect(members.length) * pauseShare;
    const canChain = members.length === running.size && chained.length > 0 &&
      members.every((member) =>
        isChained(member) ||
        (member.sequence.pauses(member.count) && (this.#pauses.get(member.sequence)?.ms ?? 0) >= worthMs)
      );
    if (!canChain) return 1;
    // What a window has left behind goes when the chain ends: by then it may be as much as a chunk's.
    const most = windows.window > 0 ? Math.min(LIMITS.chainRoundsMax, times.chunk) : LIMITS.chainRoundsMax;
    let rounds = Math.min(most, ...chained.map(({ sequence }) => sequence.left));
    if (times.isShort(members.length)) {
      // What comes late would come from the thread that such a chain keeps.
      if (members.some((member) => !isChained(member) || member.sequence.options.sample?.sampler.changes)) return 1;
      rounds = Math.min(rounds, roomOf(members), times.roundsInline(members.length));
    }
    if (rounds < 2) return 1;
    for (const { sequence: { table, position } } of chained) {
      table?.cover(position + rounds);
      rounds = Math.min(rounds, (table?.capacity ?? 0) - position);
    }
    // One that pauses and has no page for its next round waits for the end of the chain.
    for (const { sequence } of members) sequence.table?.cover(sequence.position + Math.min(rounds, sequence.left));
    return rounds;
  }

  get #draftRoom(): DraftRoom {
    const { runner, store: { statePages }, times } = this.#with;
    return { ...runner.settings, statePages, stepMs: times.stepMs };
  }
}

/** Whether it goes on natively in a chain; else it pauses. */
function isChained({ sequence, count }: Member<Sequence>): boolean {
  return sequence.isChained(count);
}

/**
 * Makes what a sequence chooses by in slices, where that takes long; nothing where it is there. One for which it can't be made has
 * failed.
 */
function making(sequence: Sequence): Promise<void> | undefined {
  const sampler = sequence.options.sample?.sampler;
  if (sampler === undefined) return undefined;
  try {
    if (sampler.prepare()) return undefined;
  } catch (error) {
    sequence.fail(error);
    return undefined;
  }
  return inSlices(preparing(sequence, sampler)).catch((error) => sequence.fail(error));
}

/** The slices of a mask; there is no more of them once its sequence has ended. */
function* preparing(sequence: Sequence, sampler: SamplerState): Sliceable<void> {
  while (sequence.state !== "ended" && !sampler.prepare()) yield;
}

/** How many tokens each of the members may choose now. */
function roomOf(members: readonly Member<Sequence>[]): number {
  return members.reduce(
    (least, { sequence }) => Math.min(least, sequence.state === "ended" ? 0 : sequence.room),
    Infinity,
  );
}

function tokensOf(steps: readonly StepSequence[]): number {
  return steps.reduce((sum, { tokens }) => sum + tokens.length, 0);
}
