/**
 * Runs the sequences of one engine. A sequence asks for a token when its reader does, and for a few that it may be
 * ahead of its reader; one that does not ask costs nothing, so a slow reader holds up no other. Sequences that ask get a place in the batch, in turn (`fairness.ts`, `admission.ts`).
 * Before each step, prompts take over what the cache has of them (`shared_beginnings.ts`); then the step is decided
 * (`plan_step.ts`), carried out and run (`steps.ts`). The event loop gets its turn between any two steps.
 *
 * @module
 */
import { type LightGPTError, QueueFullError } from "../../ffi/errors.ts";
import type { StepRunner } from "../engine/step.ts";
import type { StepTimes } from "../engine/step_times.ts";
import { hasPagesFor, hasRoomFor } from "./admission.ts";
import { BetweenSteps } from "./between_steps.ts";
import { type Clock, wallClock } from "./clock.ts";
import type { Drafting } from "./drafting/drafting.ts";
import { Fairness } from "./fairness.ts";
import type { KvStore } from "./kv_store.ts";
import { PageTable } from "./page_table.ts";
import { type Member, planStep, type StepPlan } from "./plan_step.ts";
import { goesBefore, Precedence } from "./precedence.ts";
import { withAdapters } from "./adapters.ts";
import { allPinned, closed, expired } from "./errors.ts";
import type { AdapterUse } from "../model/adapter.ts";
import { Sequence, type SequenceOwner } from "./sequence.ts";
import type { SequenceOptions } from "./sequence_options.ts";
import { takeOver } from "./shared_beginnings.ts";
import { Meter } from "./stats.ts";
import { Steps } from "./steps.ts";
import type { SequenceState } from "./types.ts";

/** Options for a scheduler; all have been checked. */
export interface SchedulerOptions {
  /** Sequences that may be open without running; more are refused. */
  readonly queueMax: number;
  /** How long an idle scheduler waits for more sequences before it begins. */
  readonly maxWaitMs: number;
  /** Steps after which a sequence that waits goes first. */
  readonly patience: number;
  /** Shares of tenants, where not 1. */
  readonly weights: ReadonlyMap<string, number>;
  /** The adapters of sequences that say nothing. Default: none. */
  readonly adapters?: AdapterUse;
  /** Tokens of a sequence that may be chosen before its reader asks for them, where nothing speaks against it. Default 0. */
  readonly tokensAhead?: number;
  /** What guesses the tokens of sequences that have a guesser. Default: nothing. */
  readonly drafting?: Drafting;
  /** Default: the clock on the wall. */
  readonly clock?: Clock;
}

/** Runs the sequences of one engine. */
export class Scheduler implements SequenceOwner {
  readonly meter = new Meter();
  readonly store: KvStore;
  /** Why no request is taken at the moment; the memory budget sets it. */
  refusal: (() => LightGPTError) | undefined;
  /** The most sequences of a step: what the runner can take, or fewer. */
  sequences: number;
  readonly #runner: StepRunner;
  readonly #times: StepTimes;
  readonly #options: SchedulerOptions;
  readonly #clock: Clock;
  readonly #fairness: Fairness;
  /** The open sequences, by their state. */
  readonly #open: Record<Exclude<SequenceState, "ended">, Set<Sequence>> = {
    idle: new Set(),
    waiting: new Set(),
    running: new Set(),
    paused: new Set(),
  };
  /** The sequence that went on when none could. */
  #leader: Sequence | undefined;
  readonly #between = new BetweenSteps();
  readonly #steps: Steps;
  #nextId = 0;
  #running: Promise<void> | undefined;
  #gathered: (() => void) | undefined;
  #closed = false;

  /** Takes over `runner` and its pages. */
  constructor(runner: StepRunner, store: KvStore, times: StepTimes, options: SchedulerOptions) {
    this.#runner = runner;
    this.sequences = runner.settings.sequences;
    this.store = store;
    this.#times = times;
    this.#options = options;
    this.#clock = options.clock ?? wallClock;
    this.#fairness = new Fairness(options.patience, options.weights);
    if (store.tree) store.tree.pins.transferred = () => this.#between.wake();
    this.#steps = new Steps({
      runner,
      store,
      times,
      meter: this.meter,
      fairness: this.#fairness,
      clock: this.#clock,
      drafting: options.drafting,
      running: this.#open.running,
    });
  }

  /** Tokens of a sequence that may be chosen before its reader asks for them, where nothing speaks against it. */
  get tokensAhead(): number {
    return this.#options.tokensAhead ?? 0;
  }

  /** Sequences that have no place. */
  get queued(): number {
    return this.#open.idle.size + this.#open.waiting.size;
  }

  /** Sequences that have one. */
  get placed(): number {
    return this.#open.running.size + this.#open.paused.size;
  }

  /** Those of them whose reader does not ask. */
  get paused(): number {
    return this.#open.paused.size;
  }

  /** Tenants that have sequences. */
  get tenants(): number {
    return this.#fairness.size;
  }

  /** Positions that all pages have room for. */
  get positionsMax(): number {
    const { pages, pageSize } = this.#runner.settings;
    return pages * pageSize;
  }

  /** Throws a {@link QueueFullError} where another sequence would be refused. */
  assertRoom(): void {
    const { queueMax } = this.#options;
    // Paused sequences can pile up as well as those that were never begun.
    const open = this.queued + this.paused;
    const error = this.refusal?.();
    if (error === undefined && open < queueMax) return;
    this.meter.refused++;
    throw error ?? new QueueFullError(open, queueMax, this.meter.retryMs(this.#clock.now()));
  }

  /** Adds a sequence; it runs when it is asked. */
  add(options: SequenceOptions): Sequence {
    if (this.#closed) throw closed();
    this.assertRoom();
    const sequence = new Sequence(this.#nextId, this, withAdapters(options, this.#options.adapters), this.#clock.now());
    this.#nextId = (this.#nextId + 1) >>> 0;
    this.#open.idle.add(sequence);
    this.#fairness.enter(sequence.tenant);
    const { deadlineMs } = options;
    if (deadlineMs !== undefined) {
      sequence.clearDeadline = this.#clock.after(deadlineMs, () => sequence.end(expired(deadlineMs)));
    }
    return sequence;
  }

  /** Calls `job` between two steps, when no page is being written; resolves with what it returns. */
  betweenSteps<T>(job: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const run = () => {
        try {
          if (this.#closed) throw closed();
          resolve(job());
        } catch (error) {
          reject(error);
        }
      };
      if (!this.#running) return run();
      this.#between.add(run);
      this.#steps.halt();
    });
  }

  /** Ends all sequences and frees the engine, once the step in flight has given up. Again is fine. */
  async dispose(): Promise<void> {
    this.#closed = true;
    for (const sequences of Object.values(this.#open)) {
      for (const sequence of [...sequences]) sequence.end(closed());
    }
    this.#gathered?.();
    await this.#running;
    await this.#runner.dispose();
  }

  /** See {@link SequenceOwner}. */
  changed(sequence: Sequence, from: SequenceState): void {
    const { state } = sequence;
    this.#between.wake();
    if (from !== "ended") this.#open[from].delete(sequence);
    if (state === "ended") return this.#remove(sequence);
    this.#open[state].add(sequence);
    const isAsked = state === "waiting" || state === "running";
    if (!isAsked || from === "waiting" || from === "running") return;
    sequence.askedAt = this.#steps.count;
    if (state === "running" || this.#open.running.size < this.sequences) this.#steps.halt(sequence);
    this.#start();
    if (this.#gathered && this.#asked >= this.sequences) this.#gathered();
  }

  #remove(sequence: Sequence): void {
    this.#runner.cancel(sequence.id);
    this.#fairness.leave(sequence.tenant);
    if (this.#leader === sequence) this.#leader = undefined;
    const { outcome, bornMs, told, options: { prompt, guesser } } = sequence;
    guesser?.model?.leave(sequence);
    const now = this.#clock.now();
    this.meter.request(now, { outcome, promptTokens: prompt.length, tokens: told, ms: now - bornMs }, sequence);
    // The pages that it leaves may be what another waits for.
    if (this.#open.waiting.size > 0) this.#start();
  }

  /** See {@link SequenceOwner}. */
  delivered(sequence: Sequence): void {
    const { options: { salt, prompt }, tokenMs, saved } = sequence;
    if (tokenMs === 0 && salt !== undefined) this.store.tree?.count(prompt.length, saved);
    this.meter.token(this.#clock.now(), sequence);
  }

  /** Sequences whose readers ask for a token. */
  get #asked(): number {
    return this.#open.waiting.size + this.#open.running.size;
  }

  #start(): void {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      this.#between.run();
      // A reader may have asked after the last look.
      if (this.#asked > 0 && !this.#closed) this.#start();
    });
  }

  /** Runs steps for as long as a reader asks. */
  async #run(): Promise<void> {
    if (this.#options.maxWaitMs > 0) await this.#gather();
    for (;;) {
      await this.#clock.turn();
      const wereJobs = this.#between.run();
      this.store.discardLeft();
      this.#place();
      const plan = this.#plan();
      const members = this.#carryOut(plan);
      if (members.length > 0) await this.#steps.run(members, this.sequences);
      else if (this.#open.running.size === 0) return;
      // What a job took is on its way into the cache: it can be evicted from the next turn on.
      else if (wereJobs) continue;
      else if (this.store.tree?.pins.isTransferring) await this.#between.wait();
      // It may take the pages of any other, and all of the cache that is not pinned.
      else (plan.leader ?? this.#open.running.values().next().value)?.fail(allPinned());
    }
  }

  /** Waits until there is a full batch, or long enough. */
  async #gather(): Promise<void> {
    if (this.#asked >= this.sequences) return;
    await new Promise<void>((resolve) => {
      const callOff = this.#clock.after(this.#options.maxWaitMs, resolve);
      this.#gathered = () => {
        callOff();
        resolve();
      };
    });
    this.#gathered = undefined;
  }

  /** Gives places to the sequences whose turn it is: as many as a step can serve, and beyond these to some that are overdue. */
  #place(): void {
    this.#givePlaces();
    if (this.#open.waiting.size > 0) this.meter.short(this.#clock.now());
    else if (this.placed < this.sequences) this.meter.enough();
  }

  #givePlaces(): void {
    if (this.#open.waiting.size === 0) return;
    let free = this.sequences - this.#open.running.size;
    const turns = this.#fairness.turns(this.#steps.count);
    const precedence = new Precedence(this.#fairness, this.#steps.count);
    // Of those that are overdue one may take pages of others, while none has its place for that reason: where hundreds wait, all are
    // overdue, and each would take the pages of another, which has to read its tokens again (500 answers of 200 tokens in 16
    // contexts: six times as long and more).
    let mayExceed = ![...this.#open.running].some((sequence) => precedence.isProtected(sequence));
    const waiting = [...this.#open.waiting].filter((sequence) => free > 0 || turns.isOverdue(sequence));
    for (const sequence of waiting.sort((a, b) => turns.compare(a, b))) {
      const isOverdue = turns.isOverdue(sequence);
      const hasPlace = free-- > 0 && hasPagesFor(sequence, this.#open.running, this.store);
      if (!hasPlace) {
        if (!isOverdue) return;
        if (!hasRoomFor(sequence, [...this.#open.running, ...this.#open.paused], this.store)) {
          if (!mayExceed) return;
          mayExceed = false;
        }
      }
      sequence.place(new PageTable(this.store, sequence.options.salt), {
        at: this.#steps.count,
        choices: sequence.choices,
        isOverdue,
      });
      this.meter.placed(this.#clock.now(), sequence);
    }
  }

  #plan(): StepPlan<Sequence> {
    const { pool } = this.store;
    const waits = takeOver(this.#open.running, this.#fairness.turns(this.#steps.count), pool.pageSize);
    const { batchTokens, logitRows } = this.#runner.settings;
    return planStep({
      step: this.#steps.count,
      running: [...this.#open.running],
      paused: [...this.#open.paused],
      waits,
      leader: this.#leader,
      fairness: this.#fairness,
      pages: {
        size: pool.size,
        pageSize: pool.pageSize,
        statePages: this.store.statePages,
        available: pool.available,
        limit: pool.limit,
        weightOf: (page) => pool.weightOf(page),
        pinned: () => this.store.pinned(),
      },
      limits: {
        sequences: this.sequences,
        batchTokens,
        logitRows,
        chunkBeside: (decoders, readers, isResuming) => this.#times.chunkBeside(decoders, readers, isResuming),
        sparesAll: this.#times.stepMs !== undefined,
      },
    });
  }

  /** Takes and gives pages as a plan says; returns the members that got theirs. */
  #carryOut({ members, preempted, leader }: StepPlan<Sequence>): Member<Sequence>[] {
    for (const sequence of preempted) this.#preempt(sequence);
    if (leader && (leader !== this.#leader || !new Precedence(this.#fairness, this.#steps.count).isProtected(leader))) {
      this.#leader = leader;
      leader.placed = { at: this.#steps.count, choices: leader.choices, isOverdue: true };
    }
    return members.flatMap(({ sequence, count }) => {
      const { table, position, unread } = sequence;
      table?.cover(position + count);
      const covered = Math.min(count, (table?.capacity ?? 0) - position);
      return covered > 0 || unread === 0 ? [{ sequence, count: covered }] : [];
    });
  }

  /** Lets at most `pages` be held from now on: takes them from the cache first, then from the newest sequences; not in a step. */
  limitPages(pages: number): void {
    const { pool } = this.store;
    pool.limit = Math.min(pages, this.store.weightMost);
    this.store.trim();
    while (pool.isOver) {
      const placed = [...this.#open.running, ...this.#open.paused].filter(({ pages }) => pages.length > 0);
      const [victim] = placed.length > 1 ? placed.sort((a, b) => goesBefore(a, b) ? -1 : 1) : [];
      if (!victim) break;
      this.#preempt(victim);
      this.store.trim();
    }
    this.store.discardFree();
  }

  #preempt(sequence: Sequence): void {
    sequence.preempt();
    this.meter.preemptions++;
  }
}
