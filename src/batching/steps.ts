/**
 * Runs what a plan says: a step, or a chain of them, in which native code goes on by itself with the tokens that it chose. What
 * each round came to is accounted for and given to the sequences while the next one runs. A chain ends where something is to be
 * decided again: a sequence ends, another wants to take part, drafts would pay, or readers stopped.
 *
 * @module
 */
import { LIMITS } from "../../ffi/wire.ts";
import type { Round, StepResult, StepRunner, StepSequence } from "../engine/step.ts";
import type { StepTimes } from "../engine/step_times.ts";
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

/** Runs the steps of one scheduler. */
export class Steps {
  /** Steps so far, each round of a chain among them. */
  count = 0;
  readonly #with: StepsOptions;
  /** The members of the chain in flight, and whether it is to end. */
  #chained: ReadonlySet<Sequence> | undefined;
  #isHalted = false;

  /** Runs none yet. */
  constructor(options: StepsOptions) {
    this.#with = options;
  }

  /** Has the chain in flight end with the round in flight, unless `sequence` is one of its members. */
  halt(sequence?: Sequence): void {
    if (!this.#chained || this.#isHalted || (sequence && this.#chained.has(sequence))) return;
    this.#isHalted = true;
    this.#with.runner.haltChain();
  }

  /** Runs a step of these members, of `most` that there could be, and those that can follow it natively. */
  async run(planned: readonly Member<Sequence>[], most: number): Promise<void> {
    const drafts = await this.#with.drafting?.guess(planned, this.#draftRoom);
    // While a model guessed, a sequence may have ended.
    const members = planned.filter(({ sequence }) => sequence.state === "running" && canChoose(sequence));
    if (members.length === 0) return;
    const rounds = drafts && drafts.size > 0 ? 1 : this.#rounds(members);
    const steps = members.map(({ sequence, count }) => sequence.prepare(count, drafts?.get(sequence)));
    try {
      if (rounds > 1) await this.#runChain({ members, steps, most }, rounds);
      else await this.#runOne({ members, steps, most });
    } catch (error) {
      // The step as a whole was refused; which sequence it was for can't be told.
      for (const { sequence } of members) sequence.fail(error);
    }
  }

  async #runOne(part: Part): Promise<void> {
    const { runner, times, clock } = this.#with;
    const tokens = tokensOf(part.steps);
    const begin = clock.now();
    const results = await runner.run(part.steps, times.isInline(tokens));
    this.#record(part, results, clock.now() - begin);
    part.members.forEach(({ sequence }, index) => {
      sequence.accept(part.steps[index] as StepSequence, results[index] as StepResult);
    });
  }

  async #runChain(part: Part, rounds: number): Promise<void> {
    const { runner, times } = this.#with;
    let taken = 0;
    this.#chained = new Set(part.members.map(({ sequence }) => sequence));
    this.#isHalted = false;
    try {
      await runner.runChain(part.steps, times.isShort(part.members.length), {
        rounds,
        granted: Math.min(rounds, roomOf(part.members)),
        ends: new Set(part.members.flatMap(({ sequence }) => [...sequence.options.ends ?? []])),
        take: (round) => {
          taken++;
          this.#takeRound(part, round);
          return this.#isHalted ? 0 : taken + roomOf(part.members);
        },
      });
    } finally {
      this.#chained = undefined;
    }
  }

  #takeRound(part: Part, { results, ms, isLast }: Round): void {
    const { drafting, runner } = this.#with;
    this.#record(part, results, ms);
    part.members.forEach(({ sequence }, index) => {
      sequence.accept(part.steps[index] as StepSequence, results[index] as StepResult, !isLast);
    });
    if (isLast) return;
    for (const { sequence } of part.members) handOver(sequence, runner);
    if (drafting?.expects(part.members, this.#draftRoom)) this.#isHalted = true;
  }

  /** A step has ended: counts it. */
  #record({ members, steps, most }: Part, results: readonly StepResult[], ms: number): void {
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
    drafting?.record({ steps, members, results, ms });
    meter.steps++;
    meter.step({ ms, tokens, prompt, sequences: members.length, running: running.size }, most);
  }

  /** How many rounds a chain of these members may have; 1: their step stays one. Pages are taken for all of them. */
  #rounds(members: readonly Member<Sequence>[]): number {
    const { running, times, store: { windows } } = this.#with;
    const isChained = members.length === running.size &&
      members.every(({ sequence, count }) => sequence.isChained(count));
    if (!isChained) return 1;
    // What a window has left behind goes when the chain ends: by then it may be as much as a chunk's.
    const most = windows.window > 0 ? Math.min(LIMITS.chainRoundsMax, times.chunk) : LIMITS.chainRoundsMax;
    let rounds = Math.min(most, ...members.map(({ sequence }) => sequence.left));
    if (times.isShort(members.length)) {
      // What comes late would come from the thread that such a chain keeps.
      if (members.some(({ sequence }) => sequence.options.sample?.sampler.changes)) return 1;
      rounds = Math.min(rounds, roomOf(members), times.roundsInline(members.length));
    }
    if (rounds < 2) return 1;
    for (const { sequence: { table, position } } of members) {
      table?.cover(position + rounds);
      rounds = Math.min(rounds, (table?.capacity ?? 0) - position);
    }
    return rounds;
  }

  get #draftRoom(): DraftRoom {
    const { runner, store: { statePages }, times } = this.#with;
    return { ...runner.settings, statePages, stepMs: times.stepMs };
  }
}

/** Hands over what the next choice of a sequence goes by, where that changes from token to token. */
function handOver(sequence: Sequence, runner: StepRunner): void {
  const { options: { sample }, tokens, id } = sequence;
  // A constraint lets nothing follow.
  if (sequence.isOver) return runner.cancel(id);
  if (sequence.state === "ended" || !sample?.sampler.changes) return;
  try {
    runner.handOver(id, sample, tokens.length);
  } catch (error) {
    sequence.fail(error);
  }
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
