/**
 * One growing list of tokens: what it wants of the next step, and what came of it. It can lose its pages at any time between
 * two steps and goes on later as if nothing had happened: its tokens are read again, and the sampler's state is its own, so
 * that the next choice is the same.
 *
 * @module
 */
import { CancelledError, ClosedError } from "../../ffi/errors.ts";
import type { StepResult, StepSequence } from "../engine/step.ts";
import { choose } from "../sampling/choose.ts";
import type { Choice } from "../sampling/state.ts";
import type { PageTable } from "./page_table.ts";
import type { SequenceOptions } from "./sequence_options.ts";
import type { RequestEnd } from "./stats.ts";
import type { Place, SequenceState, SequenceView } from "./types.ts";

/** A reader that waits for the next token. */
interface Demand {
  resolve(choice: Choice | undefined): void;
  reject(error: unknown): void;
}

/** What a sequence tells its scheduler. */
export interface SequenceOwner {
  /** Its state has changed. */
  changed(sequence: Sequence, from: SequenceState): void;
  /** It gave a token. */
  delivered(sequence: Sequence): void;
}

const noPages: readonly number[] = [];

/** One growing list of tokens. */
export class Sequence implements SequenceView {
  readonly id: number;
  readonly tenant: string;
  readonly priority: number;
  readonly options: SequenceOptions;
  readonly #owner: SequenceOwner;
  #state: SequenceState = "idle";
  #tokens: Uint32Array;
  #length: number;
  #position = 0;
  /** The hidden state after the last token, where that needs no reading. */
  #hidden: Float32Array | undefined;
  #choices = 0;
  readonly #ahead: number;
  /** Tokens that were chosen and not asked for yet. */
  readonly #ready: Choice[] = [];
  #isOver = false;
  /** Positions up to which others read with it: a chunk ends there, and a copy of its recurrent state stays. */
  readonly #partings = new Set<number>();
  /** Whether it takes part in a step that is not over: where its recurrent state stands is unsure. */
  isInStep = false;
  /** Tokens that it read before its first choice. */
  #promptRead = 0;
  #demand: Demand | undefined;
  #error: unknown;
  #table: PageTable | undefined;
  askedAt = 0;
  servedAt = -1;
  placed: Place = { at: 0, choices: 0, isOverdue: false };
  /** How it ended, once it has. */
  outcome: RequestEnd["outcome"] = "finished";
  /** When it got its first place, and when its first token was delivered; 0 before. */
  placedMs = 0;
  firstMs = 0;
  /** When it was added, and when it gave its last token, in milliseconds. */
  readonly bornMs: number;
  tokenMs = 0;
  /** Calls the timer of its deadline off. */
  clearDeadline: (() => void) | undefined;

  /** Made by `Scheduler.add`. */
  constructor(id: number, owner: SequenceOwner, options: SequenceOptions, nowMs: number) {
    this.id = id;
    this.tenant = options.tenant ?? "";
    this.priority = options.priority ?? 5;
    this.options = options;
    this.#ahead = options.ahead ?? 0;
    this.#owner = owner;
    this.#tokens = options.prompt;
    this.#length = options.prompt.length;
    this.bornMs = nowMs;
  }

  /** Where it is in its life. */
  get state(): SequenceState {
    return this.#state;
  }

  get isAsked(): boolean {
    return this.#demand !== undefined || (this.#choices > 0 && !this.#isOver && this.#ready.length < this.#ahead);
  }

  /** How many tokens it may choose now, before its reader asks again. */
  get room(): number {
    return Math.max(0, Number(this.#demand !== undefined) + this.#ahead - this.#ready.length);
  }

  /** How many tokens it has positions for. */
  get left(): number {
    return this.options.positions + 1 - this.#length;
  }

  /** Whether it can go on natively from the token that a step of `count` tokens chooses. */
  isChained(count: number): boolean {
    return !this.options.process && this.#ahead > 0 && this.pauses(count);
  }

  /** Whether it can take part in a chain, if with a pause after each round until it has its next token and is asked. */
  pauses(count: number): boolean {
    const { sample, logits, guesser } = this.options;
    // The drafter in a model's own file wants the state after each token.
    const chooses = sample !== undefined && !logits && guesser?.states === undefined;
    return chooses && !this.#isOver && this.#choices > 0 && count === 1 && this.unread === 1;
  }

  /** Whether its last token ends its text, or it has no position for another. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Whether it has chosen tokens that its reader did not ask for yet. */
  get hasReady(): boolean {
    return this.#ready.length > 0;
  }

  get unread(): number {
    return this.#length - this.#position;
  }

  get position(): number {
    return this.#position;
  }

  get readable(): number {
    let end = this.#length;
    for (const parting of this.#partings) if (parting > this.#position) end = Math.min(end, parting);
    return end - this.#position;
  }

  get tokens(): Uint32Array {
    return this.#tokens.subarray(0, this.#length);
  }

  get choices(): number {
    return this.#choices;
  }

  get isResuming(): boolean {
    return this.options.isResumed === true && this.#choices === 0;
  }

  /** Those of them that its reader got. */
  get told(): number {
    return this.#choices - this.#ready.length;
  }

  get wantsAllRows(): boolean {
    return this.options.logits?.rows === "all";
  }

  get pages(): readonly number[] {
    return this.#table?.pages ?? noPages;
  }

  /** Its pages, while it has a place. */
  get table(): PageTable | undefined {
    return this.#table;
  }

  /** Whether it still reads tokens that it was given. */
  get isReading(): boolean {
    return this.#choices === 0 || this.unread > 1;
  }

  /** Tokens of the prompt that were found in the cache, once it has given a token. */
  get saved(): number {
    return Math.max(0, this.options.prompt.length - this.#promptRead);
  }

  /**
   * Reads all that is unread.
   *
   * @returns the token chosen after it, which is then the next to be read; undefined where none is chosen.
   */
  next(): Promise<Choice | undefined> {
    if (this.#demand) throw new Error("A sequence was asked for a token while it made one.");
    const ready = this.#ready.shift();
    if (ready) {
      this.#tell();
      this.#settle();
      return Promise.resolve(ready);
    }
    if (this.#state === "ended") return Promise.reject(this.#error);
    return new Promise((resolve, reject) => {
      this.#demand = { resolve, reject };
      this.#settle();
    });
  }

  /** Appends tokens that it is to read before it is asked again; no token is chosen and none is asked for. */
  extend(tokens: Uint32Array): void {
    for (const token of tokens) this.#append(token);
  }

  /** Ends the sequence and releases its pages; a reader that waits gets `error`. Again is fine. */
  end(error?: unknown): void {
    this.#ready.length = 0;
    this.fail(error);
  }

  /** Ends it by what its own work came to: its reader gets the tokens first that were chosen before. */
  fail(error: unknown): void {
    if (this.#state === "ended") return;
    this.#error = error ?? new ClosedError("The sequence has ended.", { where: "sequence" });
    this.outcome = error === undefined ? "finished" : isGivenUp(error) ? "cancelled" : "failed";
    this.#demand?.reject(this.#error);
    this.#demand = undefined;
    this.clearDeadline?.();
    // A step in flight may still write beyond its tokens; no other sequence's step begins before that is over.
    this.#closeTable();
    this.#change("ended");
  }

  /** Gets a place in the batch: pages can be had from here on. */
  place(table: PageTable, placed: Place): void {
    this.#table = table;
    this.placed = placed;
    this.#settle();
  }

  /** Loses its place and leaves its pages to the cache; it can be placed again. */
  preempt(): void {
    this.#closeTable();
    this.#settle();
  }

  /** Takes whole pages that the cache has of its tokens, where it stands at the end of a page. */
  attachPages(): void {
    if (!this.#table || this.unread === 0) return;
    const { position, hidden, shared } = this.#table.attachPages(this.tokens, this.#position);
    this.#position = position;
    this.#hidden = hidden;
    if (shared !== undefined) this.partAt(shared);
  }

  /** Has it leave its recurrent state to the cache when it has read so many tokens: other sequences go on from there. */
  partAt(position: number): void {
    if (position > this.#position && position < this.#length) this.#partings.add(position);
  }

  /** Takes a part of a page that the cache has, where it has at least `least` of the next tokens. */
  attachPart(least: number): void {
    if (!this.#table || this.unread === 0) return;
    const { position, hidden } = this.#table.attachPart(this.tokens, this.#position, least);
    this.#position = position;
    this.#hidden = hidden;
  }

  /** Leaves what it has read to the cache, the last page as it is, for one that waits for a part of it. */
  share(): void {
    this.#table?.publishTail(this.#tokens.subarray(0, this.#position));
  }

  /**
   * What it does in the next step.
   *
   * @param count tokens that it reads at most; it has pages for them and for the drafts.
   * @param drafts guesses of the tokens that follow, where it reads all that is unread.
   */
  prepare(count: number, drafts: ArrayLike<number> = []): StepSequence {
    const { sample, process, logits } = this.options;
    const isLast = count === this.unread;
    const table = this.#table as PageTable;
    this.isInStep = true;
    const tokens = this.#tokens.subarray(this.#position, this.#position + count);
    return {
      id: this.id,
      position: this.#position,
      tokens: drafts.length === 0 ? tokens : joined(tokens, drafts),
      drafts: drafts.length,
      pages: count === 0 ? [] : table.pages,
      logits: logits?.rows === "all" ? "all" : (logits || process) && isLast ? "last" : "none",
      sample: isLast && !process ? sample : undefined,
      keep: isLast && count > 0 && this.#choices === 0 && table.cursor !== undefined,
      hidden: this.#hidden,
      states: count > 0 && this.options.guesser?.states !== undefined,
      adapters: this.options.adapters?.list,
    };
  }

  /** Takes over what came of its part in a step; `isInStep`: of a round of a chain that goes on. */
  accept(step: StepSequence, result: StepResult, isInStep: boolean = false): void {
    // What a chain chose behind the end of the text does not count.
    if (this.#state === "ended" || (this.#isOver && !this.#demand)) return;
    if (result.error) return this.fail(result.error);
    this.isInStep = isInStep;
    const { choices = [] } = result;
    const drafts = step.drafts ?? 0;
    const readsAll = step.tokens.length - drafts === this.unread;
    // A draft is kept where it is the token that was chosen in its place; what follows the first wrong one is cut off.
    const count = step.tokens.length - drafts + Math.max(0, choices.length - 1);
    const first = this.#position + (step.logits === "all" ? 0 : count - 1);
    if (this.#choices === 0) this.#promptRead += count;
    if (result.states) this.options.guesser?.states?.add(this.#position, result.states, count);
    try {
      for (const choice of choices) this.#take(choice);
    } catch (error) {
      return this.fail(error);
    }
    this.#hidden = undefined;
    this.#position += count;
    if (drafts > 0) this.#table?.truncate(this.#position);
    const read = this.#tokens.subarray(0, this.#position);
    const isEnd = result.hidden !== undefined || this.#partings.delete(this.#position);
    if (isEnd) this.#table?.publishTail(read, { hidden: result.hidden, state: "stays" });
    // What waits for a page to be copied still needs all of it.
    if (isEnd || this.#table?.publish(read, isInStep)) this.#table?.leaveBehind(this.#position);
    let processed: Choice | undefined;
    try {
      if (result.logits.length > 0) {
        this.options.logits?.receive(result.logits, first);
        if (choices.length === 0) processed = this.#process(result.logits);
      }
    } catch (error) {
      return this.fail(error);
    }
    if (readsAll) this.#give(choices.length > 0 ? choices : [processed]);
  }

  /** Gives its reader what was chosen, the first at once where it waits. */
  #give(chosen: readonly (Choice | undefined)[]): void {
    const demand = this.#demand;
    const rest = demand ? chosen.slice(1) : chosen;
    for (const choice of rest) if (choice) this.#ready.push(choice);
    this.#demand = undefined;
    if (demand) this.#tell();
    this.#settle();
    demand?.resolve(chosen[0]);
  }

  /** Its reader gets a token. */
  #tell(): void {
    this.options.sample?.sampler.tell();
    this.#owner.delivered(this);
  }

  /** Takes the state that follows from what it has and wants. */
  #settle(): void {
    if (this.#state === "ended") return;
    if (this.#table) this.#change(this.isAsked ? "running" : "paused");
    else this.#change(this.isAsked ? "waiting" : "idle");
  }

  /** Chooses from logits that a processor may change first: the step only computed them. */
  #process(logits: Float32Array): Choice | undefined {
    const { process, sample } = this.options;
    if (!process || !sample) return undefined;
    process(logits);
    const choice = choose(sample.sampler, logits, { position: this.#position, top: sample.top });
    this.#take(choice);
    return choice;
  }

  #take({ token }: Choice): void {
    const { sample, ends, positions } = this.options;
    sample?.sampler.accept(token);
    this.#choices++;
    this.#append(token);
    this.#isOver = ends?.has(token) === true || this.#length > positions || sample?.sampler.isDone === true;
  }

  #append(token: number): void {
    if (this.#length === this.#tokens.length) {
      const larger = new Uint32Array(
        Math.max(16, Math.min(2 * this.#length, this.options.positions + 1), this.#length + 1),
      );
      larger.set(this.#tokens);
      this.#tokens = larger;
    }
    this.#tokens[this.#length++] = token;
  }

  #closeTable(): void {
    const state = this.isInStep ? "unsure" : "leaves";
    this.#table?.publishTail(this.#tokens.subarray(0, this.#position), { state }, this.isInStep);
    this.#table?.close();
    this.#table = undefined;
    this.#position = 0;
    this.#hidden = undefined;
    this.#partings.clear();
    this.isInStep = false;
  }

  #change(state: SequenceState): void {
    const from = this.#state;
    this.#state = state;
    if (from !== state) this.#owner.changed(this, from);
  }
}

function joined(tokens: Uint32Array, drafts: ArrayLike<number>): Uint32Array {
  return Uint32Array.from([...tokens, ...Array.from(drafts)]);
}

function isGivenUp(error: unknown): boolean {
  return error instanceof CancelledError || error instanceof ClosedError;
}
