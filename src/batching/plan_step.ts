/**
 * The decision of one step, as a value: which sequences take part, how many tokens each reads, and which give their pages up.
 * Nothing is changed here; the scheduler carries the plan out.
 *
 * There are no phases. A sequence has tokens that are not in its pages yet: one while it decodes, many while it reads a prompt
 * or catches up after a preemption. A sequence with one unread token gets it in every step. The step's chunk goes to those
 * with more, in turn: by priority, then by the tenants' shares, then by arrival, so that prompts that come together are read
 * one after the other. A prompt that begins like one being read waits, and its turn is the other one's. Where pages are
 * short, a sequence takes those of another that stands below it; where none can go on so, the oldest takes what it needs.
 *
 * @module
 */
import type { Fairness, Turns } from "./fairness.ts";
import { PageClaims, type PageState } from "./page_claims.ts";
import { Precedence } from "./precedence.ts";
import { pagesFor } from "../engine/page_pool.ts";
import type { SequenceView } from "./types.ts";

/** Parts of a chunk that are given out in turn between tenants. */
const chunkParts = 8;
/** A part of a chunk has at least so many tokens. */
const partLeast = 8;

/** What a plan depends on. */
export interface PlanInput<S extends SequenceView> {
  /** The number of the step that comes. */
  readonly step: number;
  /** Sequences that have a place and ask for a token. */
  readonly running: readonly S[];
  /** Sequences that have a place and ask for nothing: their pages can be had. */
  readonly paused: readonly S[];
  /** Maps a sequence whose next page another one is reading to that one. */
  readonly waits: ReadonlyMap<S, S>;
  /** The sequence that went on when none could, in the step before. */
  readonly leader: S | undefined;
  readonly fairness: Fairness;
  readonly pages: PageState;
  readonly limits: PlanLimits;
}

/** The most that a step can take. */
export interface PlanLimits {
  /** Sequences. */
  readonly sequences: number;
  /** Tokens. */
  readonly batchTokens: number;
  /** Rows of logits. */
  readonly logitRows: number;
  /**
   * Tokens of prompts, in a step for which `decoders` sequences wait that need one token, while `readers` need more, one of them to
   * resume an answer.
   */
  chunkBeside(decoders: number, readers: number, isResuming: boolean): number;
  /** Whether a prompt spares sequences of lower priority, too: a step has a time that all of them were promised. Default: false. */
  readonly sparesAll?: boolean;
}

/** A sequence that takes part in a step. */
export interface Member<S extends SequenceView> {
  readonly sequence: S;
  /** Tokens that it reads; 0 where a kept hidden state takes their place. */
  readonly count: number;
}

/** What a step does. */
export interface StepPlan<S extends SequenceView> {
  readonly members: readonly Member<S>[];
  /** Sequences that give their pages up before the step. */
  readonly preempted: readonly S[];
  /** The sequence that goes on where none could otherwise. Its place is protected from this step on, unless it is already. */
  readonly leader?: S;
}

/** Decides what the next step does. */
export function planStep<S extends SequenceView>(input: PlanInput<S>): StepPlan<S> {
  const all = planOfAll(input);
  if (all) return all;
  const plan = new Planning(input, undefined).plan();
  if (plan.members.length > 0 || input.running.length === 0) return plan;
  const leader = new Precedence(input.fairness, input.step).leader(input.running, input.leader);
  return new Planning(input, leader).plan();
}

/** The plan where there is nothing to decide, as in most steps: all decode, and there are places and pages for all. */
function planOfAll<S extends SequenceView>({ running, pages, limits }: PlanInput<S>): StepPlan<S> | undefined {
  if (running.length > limits.sequences) return undefined;
  let left = pages.available;
  for (const sequence of running) {
    if (!isDecoder(sequence)) return undefined;
    const wanted = pages.statePages + pagesFor(sequence.position + sequence.unread, pages.pageSize);
    left -= Math.max(0, wanted - sequence.pages.length);
  }
  if (left < 0) return undefined;
  return { members: running.map((sequence) => ({ sequence, count: sequence.unread })), preempted: [] };
}

/** One attempt at a plan. */
class Planning<S extends SequenceView> {
  readonly #input: PlanInput<S>;
  readonly #leader: S | undefined;
  readonly #turns: Turns;
  readonly #claims: PageClaims<S>;
  readonly #members = new Map<S, number>();
  /** Tokens of prompts given out so far, and rows of logits that are left beyond one for each sequence. */
  #chunkUsed = 0;
  #rows = 0;

  /** `leader` may take the pages of any other. */
  constructor(input: PlanInput<S>, leader: S | undefined) {
    const { fairness, step, pages, running, paused } = input;
    this.#input = input;
    this.#leader = leader;
    this.#turns = fairness.turns(step);
    this.#claims = new PageClaims(pages, new Precedence(fairness, step), [...running, ...paused]);
  }

  plan(): StepPlan<S> {
    const { limits } = this.#input;
    const picks = this.#pick();
    const decoders = [...picks.keys()].filter(isDecoder);
    this.#rows = limits.logitRows - picks.size;
    const room = limits.batchTokens - decoders.length;
    const leader = this.#leader;
    if (leader && isDecoder(leader)) this.#claim(leader, leader.unread, leader, true);
    else if (leader) this.#read([leader], picks, decoders, room, true);
    for (const group of this.#classes(picks)) {
      for (const sequence of group) {
        if (isDecoder(sequence) && sequence !== leader) {
          this.#claim(sequence, sequence.unread, picks.get(sequence) as S, false);
        }
      }
      const readers = group.filter((sequence) => !isDecoder(sequence) && sequence !== leader);
      if (readers.length > 0) this.#read(readers, picks, decoders, room, false);
    }
    const members = [...this.#members].map(([sequence, count]) => ({ sequence, count }));
    const { preempted } = this.#claims;
    return leader ? { members, preempted, leader } : { members, preempted };
  }

  /**
   * Picks as many sequences as a step takes, each with its claimant: the sequence whose turn it uses. A sequence that waits hands
   * its turn to the one that it waits for.
   */
  #pick(): Map<S, S> {
    const { running, waits, limits } = this.#input;
    const inTurn = [...running];
    if (running.length > limits.sequences) inTurn.sort((a, b) => this.#turns.compareInRotation(a, b));
    else inTurn.sort((a, b) => this.#turns.compare(a, b));
    const picks = new Map<S, S>();
    if (this.#leader) picks.set(this.#leader, this.#leader);
    for (const claimant of inTurn) {
      if (picks.size === limits.sequences) break;
      // Where none can go on by turns, none waits for another either.
      const sequence = this.#leader ? claimant : waits.get(claimant) ?? claimant;
      if (!picks.has(sequence)) picks.set(sequence, claimant);
    }
    return picks;
  }

  /** The picks by overdue and priority; each class in its order. */
  #classes(picks: ReadonlyMap<S, S>): S[][] {
    const rank = (sequence: S) => picks.get(sequence) as S;
    const sorted = [...picks.keys()].sort((a, b) => this.#turns.compareClass(rank(a), rank(b)));
    const classes: S[][] = [];
    for (const sequence of sorted) {
      const last = classes.at(-1);
      if (last && this.#turns.compareClass(rank(last[0] as S), rank(sequence)) === 0) last.push(sequence);
      else classes.push([sequence]);
    }
    return classes;
  }

  /** Gives what is left of the chunk to readers of one class: in parts, where they are of several tenants, each part in turn. */
  #read(readers: S[], picks: ReadonlyMap<S, S>, decoders: readonly S[], room: number, isForced: boolean): void {
    const { limits, running } = this.#input;
    const rank = (sequence: S) => picks.get(sequence) as S;
    const { priority } = rank(readers[0] as S);
    // A prompt need not spare those that stand below it, unless a time was promised to all.
    const spared = limits.sparesAll ? decoders : decoders.filter((decoder) => decoder.priority >= priority);
    const isResuming = readers.some((reader) => reader.isResuming);
    const chunk = limits.chunkBeside(spared.length, running.length - decoders.length, isResuming);
    const most = Math.min(chunk, room);
    const isShared = readers.some((reader) => reader.tenant !== readers[0]?.tenant);
    const part = isShared ? Math.max(partLeast, Math.floor(chunk / chunkParts)) : Infinity;
    const left = new Set(readers);
    while (left.size > 0 && this.#chunkUsed < most) {
      const reader = [...left].reduce((a, b) => this.#turns.compare(rank(a), rank(b)) <= 0 ? a : b);
      const before = this.#members.get(reader) ?? 0;
      let more = Math.min(reader.readable - before, part, most - this.#chunkUsed);
      if (reader.wantsAllRows) more = Math.min(more, before === 0 ? this.#rows + 1 : this.#rows);
      const got = this.#claim(reader, before + more, rank(reader), isForced) - before;
      if (got > 0) {
        this.#chunkUsed += got;
        if (reader.wantsAllRows) this.#rows -= before === 0 ? got - 1 : got;
        this.#turns.give(reader.tenant, got);
      }
      if (got < more || more === 0 || before + got === reader.readable) left.delete(reader);
    }
  }

  /** Makes a sequence read `count` tokens, or as many as there are pages for; returns how many. */
  #claim(sequence: S, count: number, claimant: S, isForced: boolean): number {
    const { position, unread } = sequence;
    if (this.#claims.preempted.includes(sequence)) return 0;
    const got = this.#claims.cover(sequence, position + count, claimant, isForced) - position;
    if (got > 0 || unread === 0) this.#members.set(sequence, Math.max(0, got));
    return Math.max(0, got);
  }
}

/** Whether a sequence needs one token at most. */
function isDecoder(sequence: SequenceView): boolean {
  return sequence.unread <= 1;
}
