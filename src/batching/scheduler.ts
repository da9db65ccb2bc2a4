/**
 * Who takes part in the next step. Sequences ask for a token when their reader does; who does not ask costs nothing, so a
 * slow reader holds up nobody. Those that ask get a place, in turn (`fairness.ts`); each place gets its token or a share of
 * the step's chunk of prompt. Pages are taken as they are needed: when none is left, first the cache gives way, then who is
 * paused, then the newest of the lowest priority, who goes on later. The event loop gets its turn between any two steps.
 *
 * @module
 */
import { LightGPTError, QueueFullError } from "../../ffi/errors.ts";
import type { StepResult, StepRunner, StepSequence } from "../engine/engine.ts";
import type { StepTimes } from "../engine/step_times.ts";
import { hasPagesFor } from "./admission.ts";
import { type Clock, wallClock } from "./clock.ts";
import { Fairness } from "./fairness.ts";
import type { KvStore } from "./kv_store.ts";
import { goesBefore, Precedence } from "./precedence.ts";
import { closed, expired, Sequence, type SequenceOptions, type SequenceOwner } from "./sequence.ts";
import { Meter } from "./stats.ts";

/** How a scheduler works. */
export interface SchedulerOptions {
  /** Sequences that may be open without a place; more are refused. */
  readonly queueMax: number;
  /** How long an idle scheduler waits for more sequences before it begins. */
  readonly maxWaitMs: number;
  /** Steps after which who waits goes first. */
  readonly patience: number;
  /** Shares of tenants, where not 1. */
  readonly weights: ReadonlyMap<string, number>;
  /** Time. */
  readonly clock?: Clock;
}

/** Who takes part in a step, and how many tokens it reads. */
interface Member {
  readonly sequence: Sequence;
  readonly count: number;
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
  readonly #precedence: Precedence;
  /** Those without pages, and those with. */
  readonly #waiting = new Set<Sequence>();
  readonly #placed = new Set<Sequence>();
  readonly #jobs: (() => void)[] = [];
  #nextId = 0;
  #step = 0;
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
    this.#precedence = new Precedence(this.#fairness);
  }

  /** Sequences that have no place. */
  get queued(): number {
    return this.#waiting.size;
  }

  /** Sequences that have one. */
  get placed(): number {
    return this.#placed.size;
  }

  /** Those of them whose reader does not ask. */
  get paused(): number {
    let paused = 0;
    for (const sequence of this.#placed) if (!sequence.isAsked) paused++;
    return paused;
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
    if (this.refusal) {
      this.meter.refused++;
      throw this.refusal();
    }
    const { queueMax } = this.#options;
    // Who is paused can pile up as well as who was never begun.
    const open = this.#waiting.size + this.paused;
    if (open < queueMax) return;
    this.meter.refused++;
    const mean = this.meter.placements.mean;
    throw new QueueFullError(open, queueMax, Math.ceil(Number.isNaN(mean) ? 1000 : Math.max(1, mean)));
  }

  /** Adds a sequence; it runs when it is asked. */
  add(options: SequenceOptions): Sequence {
    if (this.#closed) throw closed();
    this.assertRoom();
    const sequence = new Sequence(this.#nextId, this, options, this.#clock.now());
    this.#nextId = (this.#nextId + 1) >>> 0;
    this.#waiting.add(sequence);
    this.#fairness.enter(sequence.tenant);
    const { deadlineMs } = options;
    if (deadlineMs !== undefined) {
      sequence.clearDeadline = this.#clock.after(deadlineMs, () => sequence.end(expired(deadlineMs)));
    }
    return sequence;
  }

  /** Does something with the pages, between two steps. */
  between<T>(job: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const run = () => {
        try {
          if (this.#closed) throw closed();
          resolve(job());
        } catch (error) {
          reject(error);
        }
      };
      if (this.#running) this.#jobs.push(run);
      else run();
    });
  }

  /** Ends all sequences and frees the engine, once the step in flight has given up. Again is fine. */
  async dispose(): Promise<void> {
    this.#closed = true;
    for (const sequence of [...this.#waiting, ...this.#placed]) sequence.end(closed());
    this.#gathered?.();
    await this.#running;
    await this.#runner.dispose();
  }

  /** See {@link SequenceOwner}. */
  wake(sequence: Sequence): void {
    sequence.askedAt = this.#step;
    this.#start();
    if (this.#gathered && this.#asked() >= this.sequences) this.#gathered();
  }

  /** See {@link SequenceOwner}. */
  remove(sequence: Sequence): void {
    this.#runner.cancel(sequence.id);
    this.#waiting.delete(sequence);
    this.#placed.delete(sequence);
    this.#fairness.leave(sequence.tenant);
    this.#precedence.forget(sequence);
    const { outcome, bornMs, choices, options: { prompt } } = sequence;
    const now = this.#clock.now();
    this.meter.request(now, { outcome, promptTokens: prompt.length, tokens: choices, ms: now - bornMs });
    // The pages that it leaves may be what another waits for.
    for (const other of this.#waiting) {
      if (other.isAsked) return this.#start();
    }
  }

  /** See {@link SequenceOwner}. */
  delivered(sequence: Sequence): void {
    const now = this.#clock.now();
    const isFirst = sequence.tokenMs === 0;
    if (isFirst) {
      if (sequence.options.isCached) this.store.tree?.count(sequence.options.prompt.length, sequence.saved);
      this.meter.token(now, sequence.bornMs, true);
    } else this.meter.token(now, sequence.tokenMs, false);
    sequence.tokenMs = now;
  }

  #asked(): number {
    let asked = 0;
    for (const sequences of [this.#waiting, this.#placed]) {
      for (const sequence of sequences) if (sequence.isAsked) asked++;
    }
    return asked;
  }

  #start(): void {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      for (const job of this.#jobs.splice(0)) job();
      // Somebody may have asked after the last look.
      if (this.#asked() > 0 && !this.#closed) this.#start();
    });
  }

  /** Runs steps for as long as somebody asks. */
  async #run(): Promise<void> {
    if (this.#options.maxWaitMs > 0) await this.#gather();
    for (;;) {
      await this.#clock.turn();
      for (const job of this.#jobs.splice(0)) job();
      this.#place();
      let members = this.#compose(false);
      if (members.length === 0 && this.#asked() > 0) members = this.#compose(true);
      if (members.length > 0) await this.#runStep(members);
      else if (!this.#endStuck()) return;
    }
  }

  /** Ends who asks and can't go on although he may take anybody's pages; true if there was one. */
  #endStuck(): boolean {
    for (const sequence of this.#placed) {
      if (!sequence.isAsked) continue;
      sequence.end(
        new LightGPTError("limit", "No KV page is free: all that are left are pinned in the cache.", {
          what: "no page is free",
          where: "cache",
          expected: "fewer pinned prefixes, or more pages",
        }),
      );
      return true;
    }
    return false;
  }

  /** Waits until there is a full batch, or long enough. */
  async #gather(): Promise<void> {
    if (this.#asked() >= this.sequences) return;
    await new Promise<void>((resolve) => {
      const callOff = this.#clock.after(this.#options.maxWaitMs, resolve);
      this.#gathered = () => {
        callOff();
        resolve();
      };
    });
    this.#gathered = undefined;
  }

  async #runStep(members: readonly Member[]): Promise<void> {
    this.#step++;
    const steps = members.map(({ sequence, count }) => sequence.prepare(count));
    let tokens = 0;
    let prompt = 0;
    for (const { sequence, count } of members) {
      tokens += count;
      if (count > 1) prompt += count;
      sequence.servedAt = this.#step;
      this.#fairness.charge(sequence.tenant, Math.max(1, count));
    }
    this.meter.steps++;
    const begin = this.#clock.now();
    try {
      const results = await this.#runner.run(steps, this.#times.isInline(tokens));
      const ms = this.#clock.now() - begin;
      this.#times.record(tokens, ms, prompt);
      this.meter.step({ ms, tokens, prompt, sequences: members.length }, this.sequences);
      members.forEach(({ sequence }, index) => {
        sequence.accept(steps[index] as StepSequence, results[index] as StepResult);
      });
    } catch (error) {
      // The step as a whole was refused; nobody can know whose fault it is.
      for (const { sequence } of members) sequence.end(error);
    }
  }

  /** Gives places to those whose turn it is: as many as a step can serve, and who is overdue. */
  #place(): void {
    const waiting = [...this.#waiting].filter((sequence) => sequence.isAsked);
    if (waiting.length === 0) return;
    let free = this.sequences - (this.#placed.size - this.paused);
    for (const sequence of this.#fairness.sort(waiting, this.#step)) {
      const isOverdue = this.#fairness.isOverdue(sequence, this.#step);
      if ((free-- <= 0 || !hasPagesFor(sequence, this.#placed, this.store)) && !isOverdue) return;
      const { isCached, tenant = "" } = sequence.options;
      sequence.table = this.store.open(isCached ? tenant : undefined);
      sequence.placed = { at: this.#step, choices: sequence.choices, isOverdue };
      this.#waiting.delete(sequence);
      this.#placed.add(sequence);
      this.meter.placed(this.#clock.now());
    }
  }

  /** Picks who takes part and how many tokens each reads. `isForced`: one may take anybody's pages. */
  #compose(isForced: boolean): Member[] {
    const { logitRows, batchTokens } = this.#runner.settings;
    const asked = this.#fairness.sort([...this.#placed].filter((sequence) => sequence.isAsked), this.#step);
    if (isForced) this.#precedence.putFirst(asked, this.#step);
    const picked = this.#pick(asked, this.sequences);
    const readers = picked.filter((sequence) => sequence.unread > 1).length;
    const decoders = picked.length - readers;
    let chunk = Math.min(this.#times.chunkBeside(decoders), batchTokens - decoders);
    let rows = logitRows - picked.length;
    let left = readers;
    const members: Member[] = [];
    const taken = new Set<Sequence>();
    for (const sequence of picked) {
      if (!sequence.table) continue; // one before it took its pages
      let count = sequence.unread;
      if (count > 1) {
        // An equal share of what is left of the chunk; what a short prompt leaves goes to the next.
        count = Math.min(count, Math.ceil(chunk / left--));
        if (sequence.wantsAllRows) count = Math.min(count, rows + 1);
      }
      taken.add(sequence);
      count = this.#cover(sequence, count, taken, isForced && members.length === 0);
      if (count === 0 && sequence.unread > 0) {
        taken.delete(sequence);
        continue;
      }
      if (sequence.unread > 1) {
        chunk -= count;
        if (sequence.wantsAllRows) rows -= count - 1;
      }
      members.push({ sequence, count });
    }
    return members;
  }

  /**
   * The first `most` of those who ask, without who is about to compute the same page as one before it: that one will find it
   * in the cache a step later.
   */
  #pick(asked: readonly Sequence[], most: number): Sequence[] {
    const picked: Sequence[] = [];
    const ahead = new Set<string>();
    for (const sequence of asked) {
      if (picked.length === most) break;
      sequence.attach();
      const { cursor } = sequence.table ?? {};
      if (cursor && sequence.unread > 1) {
        const { pageSize } = this.#runner.settings;
        const begin = sequence.position - (sequence.position % pageSize);
        const place = cursor.parent ? cursor.id : JSON.stringify(cursor.salt);
        const key = `${place}:${sequence.tokens.subarray(begin, begin + 8).join()}`;
        const isBehind = begin === sequence.position && ahead.has(key);
        if (isBehind && !this.#fairness.isOverdue(sequence, this.#step)) continue;
        ahead.add(key);
      }
      picked.push(sequence);
    }
    return picked;
  }

  /** Gets pages for `count` tokens more, or for as many as there are pages for; returns how many. */
  #cover(sequence: Sequence, count: number, taken: ReadonlySet<Sequence>, isForced: boolean): number {
    const { table } = sequence;
    if (!table) return 0;
    while (!table.cover(sequence.position + count)) {
      const candidates = [...this.#placed].filter((other) => !taken.has(other) && other.table?.pages.length !== 0);
      const victim = this.#precedence.victim(sequence, candidates, isForced, this.#step);
      if (!victim) break;
      this.#preempt(victim);
    }
    return Math.min(count, table.capacity - sequence.position);
  }

  /** Lets at most `pages` be held from now on: takes them from the cache first, then from those who came last; not in a step. */
  limitPages(pages: number): void {
    const { pool } = this.store;
    pool.limit = Math.min(pages, pool.size);
    this.store.trim();
    while (pool.held > pool.limit) {
      const candidates = [...this.#placed].filter(({ table }) => table?.pages.length !== 0);
      const [victim] = candidates.length > 1 ? candidates.sort((a, b) => goesBefore(a, b) ? -1 : 1) : [];
      if (!victim) break;
      this.#preempt(victim);
      this.store.trim();
    }
    this.store.cool();
  }

  #preempt(sequence: Sequence): void {
    sequence.release();
    this.#placed.delete(sequence);
    this.#waiting.add(sequence);
    this.meter.preemptions++;
  }
}
