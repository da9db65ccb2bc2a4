/**
 * Keeps the process within its memory. What everything but the KV pages takes is measured; the pages get what is left. When
 * that shrinks, or the system says that memory is short, the prefix cache gives way first, then requests share fewer
 * places, and in the end no request is taken until there is room again. Memory goes back to the system at once; growing
 * is slow, and slower each time that it had to be taken back.
 *
 * @module
 */
import { OutOfMemoryError } from "../../ffi/errors.ts";
import type { Pressure } from "../machine/pressure.ts";
import { mebibytes } from "../batching/memory_budget.ts";
import type { EventLog } from "./events.ts";
import { highMark } from "./memory_limit.ts";

/** The limits that a governor changes. */
export interface MemoryTarget {
  /** KV pages that there are, and those of one context, which can't be given up. */
  readonly pages: number;
  readonly pagesLeast: number;
  /** Bytes of a page. */
  readonly pageBytes: number;
  /** Pages whose memory is in use. */
  readonly warm: number;
  /** Pages that may be held. */
  readonly limit: number;
  /** How often a request had to give up its pages so far. */
  readonly preemptions: number;
  /** Sequences that may share a step, as far as memory goes, and the most of them. */
  sequences: number;
  readonly sequencesMost: number;
  /** Changes `limit`, once no step runs, and gives the memory of what is free back. */
  limitPages(pages: number): Promise<void>;
  /** Refuses requests with this error from now on; undefined: takes them. */
  refuse(error: (() => OutOfMemoryError) | undefined): void;
}

/** Options for a governor. */
export interface GovernorOptions {
  /** The most bytes that the process may have. */
  readonly limitBytes: number;
  /** Bytes that it has. */
  readonly resident: () => number;
  /** What the system says. */
  readonly pressure: () => Pressure;
  /** A monotonic clock, in milliseconds. */
  readonly now: () => number;
  /** Hears every decision. */
  readonly log: Pick<EventLog, "tell">;
}

/** From this much waiting for memory on, percent of ten seconds, the system is short of it. */
const waitingMost = 10;
/** The share of memory that is given back when the system is short of it. */
const pressureShare = 1 / 8;
/** How long it must be calm before something grows: twice as long each time it is soon taken back, half as long each time it is not. */
const calmMsLeast = 2000;
const calmMsMost = 120_000;
/** The share by which a limit grows at once. */
const growShare = 1 / 8;
/** Less than this share is no reason to change anything. */
const slack = 1 / 32;

/** Keeps one process within its memory. */
export class MemoryGovernor {
  readonly #target: MemoryTarget;
  readonly #options: GovernorOptions;
  readonly #high: number;
  #calmMs = calmMsLeast;
  #changedAt: number;
  #met: number | undefined;
  #preemptions: number;
  #isRefusing = false;
  #busy: Promise<void> | undefined;

  /** Changes `target` when {@link MemoryGovernor.look} is called. */
  constructor(target: MemoryTarget, options: GovernorOptions) {
    this.#target = target;
    this.#options = options;
    this.#high = highMark(options.limitBytes);
    this.#changedAt = options.now();
    this.#preemptions = target.preemptions;
    this.#met = options.pressure().met;
  }

  /** Whether requests are refused at the moment. */
  get isRefusing(): boolean {
    return this.#isRefusing;
  }

  /** Measures once and changes the limits that must change. A call while another one works joins it. */
  look(): Promise<void> {
    return this.#busy ??= this.#look().finally(() => this.#busy = undefined);
  }

  async #look(): Promise<void> {
    const target = this.#target;
    const { pageBytes, pages, pagesLeast, warm, limit } = target;
    const resident = this.#options.resident();
    const others = Math.max(0, resident - warm * pageBytes);
    const room = Math.floor((this.#high - others) / pageBytes);
    const reason = this.#shortness();
    const allowed = Math.min(pages, reason ? Math.min(room, Math.floor(warm * (1 - pressureShare))) : room);
    const least = Math.max(pagesLeast, allowed);
    if (allowed < limit - limit * slack || (reason !== undefined && allowed < limit)) {
      if (least < limit) await this.#shrink(least, resident, reason);
      if (allowed < pagesLeast && resident > this.#high) this.#refuse(resident, others);
      return;
    }
    if (allowed < pagesLeast && (resident > this.#high || this.#isRefusing)) {
      if (resident > this.#high) this.#refuse(resident, others);
      return;
    }
    await this.#grow(allowed, resident);
  }

  /** Why memory is short, where the system says so. */
  #shortness(): string | undefined {
    const { waiting, met } = this.#options.pressure();
    const before = this.#met;
    this.#met = met;
    if (met !== undefined && before !== undefined && met > before) {
      return `the control group met its limit ${met - before} times`;
    }
    if (waiting !== undefined && waiting > waitingMost) return `tasks waited for memory in ${waiting} % of ten seconds`;
    return undefined;
  }

  async #shrink(pages: number, resident: number, reason: string | undefined): Promise<void> {
    const target = this.#target;
    const { limit, pageBytes } = target;
    this.#preemptions = target.preemptions;
    await target.limitPages(pages);
    const why = reason ?? `${mebibytes(resident)} of ${mebibytes(this.#options.limitBytes)} are in use`;
    this.#tell(`${why}, so the keys and values may take ${mebibytes(pages * pageBytes)}; the cache gives way first`, {
      setting: "kvPages",
      from: limit,
      to: pages,
    });
    const taken = target.preemptions - this.#preemptions;
    if (taken > 0 && target.sequences > 1) {
      // Requests lost their pages: fewer at once lose them less often.
      const from = target.sequences;
      target.sequences = Math.max(1, from - taken, from >> 1);
      this.#tell(`${taken} requests had to give up their pages, so fewer share a step`, {
        setting: "batchSequences",
        from,
        to: target.sequences,
      });
    }
    this.#wait();
  }

  #refuse(resident: number, others: number): void {
    this.#changedAt = this.#options.now();
    if (this.#isRefusing) return;
    this.#isRefusing = true;
    const { limitBytes } = this.#options;
    const figures = `${mebibytes(resident)} of ${mebibytes(limitBytes)} are in use, ${
      mebibytes(others)
    } of it not by keys and values`;
    this.#target.refuse(() =>
      new OutOfMemoryError(`memory: no request is taken at the moment, for ${figures}; expected another try later.`, {
        what: "not enough memory",
        where: "memory",
        expected: `at most ${limitBytes} bytes`,
        got: `${resident} bytes`,
      })
    );
    this.#tell(`${figures}, so no request is taken until there is room`, { setting: "refusing", from: 0, to: 1 });
  }

  /** In the opposite order: requests are taken again, then more of them share a step, then the cache grows. */
  async #grow(allowed: number, resident: number): Promise<void> {
    const target = this.#target;
    const now = this.#options.now();
    // A clock that was set back begins to wait anew.
    if (now < this.#changedAt) this.#changedAt = now;
    if (now - this.#changedAt < this.#calmMs) return;
    const room = `${mebibytes(resident)} of ${mebibytes(this.#options.limitBytes)} are in use`;
    if (this.#isRefusing) {
      this.#isRefusing = false;
      target.refuse(undefined);
      this.#tell(`${room}, so requests are taken again`, { setting: "refusing", from: 1, to: 0 });
    } else if (target.sequences < target.sequencesMost) {
      const from = target.sequences;
      target.sequences = Math.min(target.sequencesMost, from + Math.max(1, from >> 1));
      this.#tell(`${room}, so more requests may share a step`, {
        setting: "batchSequences",
        from,
        to: target.sequences,
      });
    } else {
      const from = target.limit;
      const to = Math.min(allowed, from + Math.max(1, Math.ceil(target.pages * growShare)));
      if (to - from <= from * slack && to < target.pages) return;
      if (to <= from) return;
      await target.limitPages(to);
      const bytes = mebibytes(to * target.pageBytes);
      this.#tell(`${room}, so the keys and values may take ${bytes} again`, { setting: "kvPages", from, to });
    }
    this.#changedAt = now;
    this.#calmMs = Math.max(calmMsLeast, this.#calmMs / 2);
  }

  #wait(): void {
    const now = this.#options.now();
    // Taken back soon after it had grown: grow later next time. Long ago: it was another time.
    const isSoon = now - this.#changedAt < 2 * this.#calmMs;
    this.#calmMs = isSoon ? Math.min(calmMsMost, this.#calmMs * 2) : calmMsLeast;
    this.#changedAt = now;
  }

  #tell(text: string, change: { setting: string; from: number; to: number }): void {
    this.#options.log.tell("memory", `${text[0]?.toUpperCase()}${text.slice(1)}.`, change);
  }
}
