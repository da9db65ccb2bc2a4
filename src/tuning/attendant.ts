/**
 * Stands beside a batcher while it serves: hears of each step, lets the adapter and the governor of memory look at it, and turns
 * for them what can be turned. Both may want another number of sequences; the smaller one counts.
 *
 * @module
 */
import { ClosedError } from "../../ffi/errors.ts";
import { node } from "../../ffi/runtime/builtins.ts";
import { currentRuntime } from "../../ffi/runtime/pick.ts";
import { type Batcher, partsOf } from "../batching/batcher.ts";
import type { BatchSettings } from "../batching/settings.ts";
import type { Scheduler } from "../batching/scheduler.ts";
import type { MeterListener } from "../batching/stats.ts";
import { usableThreads } from "../machine/machine.ts";
import { LoadMeter } from "../machine/load.ts";
import { type Pressure, PressureProbe } from "../machine/pressure.ts";
import { Adapter, type AdaptTarget } from "./adapter.ts";
import type { EventLog } from "./events.ts";
import { MemoryGovernor, type MemoryTarget } from "./memory_governor.ts";

/** Time between two looks at the memory while steps run, and while none does. */
const lookMs = 100;
const idleMs = 1000;
/** Milliseconds between two readings of the files of memory pressure; these change slowly. */
const pressureMs = 1000;

/** Options for an attendant. */
export interface AttendantOptions {
  readonly batcher: Batcher;
  /** Positions of a context. */
  readonly context: number;
  readonly log: EventLog;
  /** The most bytes that the process may have; undefined: there is no limit. */
  readonly limitBytes: number | undefined;
  /** Whether to follow the load. */
  readonly adapts: boolean;
  readonly targetTokenMs: number | undefined;
  /** What the process has; for tests. */
  readonly resident?: () => number;
}

/** Watches over one batcher. */
export class Attendant {
  readonly #meter: Scheduler["meter"];
  readonly #listener: MeterListener;
  readonly #load: LoadTarget;
  readonly #governor: MemoryGovernor | undefined;
  readonly #timer: NodeJS.Timeout | undefined;
  #lookedAt = -Infinity;

  /** Begins at once. */
  constructor({ batcher, context, log, limitBytes, adapts, targetTokenMs, resident }: AttendantOptions) {
    const { scheduler, settings } = partsOf(batcher);
    this.#load = new LoadTarget(scheduler, settings);
    const pagesLeast = Math.ceil(scheduler.store.weightOf(context));
    this.#meter = scheduler.meter;
    if (limitBytes !== undefined) {
      this.#governor = new MemoryGovernor(memoryTarget(scheduler, this.#load, pagesLeast), {
        limitBytes,
        resident: resident ?? currentRuntime().resident,
        pressure: pressureSource(),
        now: () => performance.now(),
        log,
      });
      this.#timer = node("node:timers").setInterval(() => this.#look(), idleMs).unref();
    }
    const adapter = adapts ? new Adapter(this.#load, { targetTokenMs, others: othersSource(), log }) : undefined;
    this.#listener = {
      step: (step) => {
        const now = performance.now();
        adapter?.step(step, now);
        if (this.#governor && !(now - this.#lookedAt < lookMs)) this.#look();
      },
    };
    this.#meter.listeners.add(this.#listener);
  }

  /** What was tuned has changed: the threads and the batch that are set now are the most from here on. */
  rebase(): void {
    this.#load.rebase();
  }

  /** Ends it. */
  dispose(): void {
    clearInterval(this.#timer);
    this.#meter.listeners.delete(this.#listener);
  }

  #look(): void {
    this.#lookedAt = performance.now();
    if (this.#governor) void ignoreClosed(this.#governor.look());
  }
}

/** The settings that the adapter changes. Of the sequences that it wants and those that memory allows, the smaller number counts. */
class LoadTarget implements AdaptTarget {
  /** What the user or the tuner has set: the most. */
  sequencesMost = 1;
  threadsMost = 1;
  readonly cacheBytesMost: number;
  readonly #scheduler: Scheduler;
  readonly #settings: BatchSettings;
  #prefillMost = 1;
  #decodeMost = 1;
  #sequences = Infinity;
  #byMemory = Infinity;
  #threads = Infinity;

  constructor(scheduler: Scheduler, settings: BatchSettings) {
    this.#scheduler = scheduler;
    this.#settings = settings;
    this.cacheBytesMost = this.cacheBytes ?? 0;
    this.rebase();
  }

  /** Takes what is set now for the most. */
  rebase(): void {
    const { sequences, prefillThreads, decodeThreads } = this.#settings;
    this.sequencesMost = sequences;
    this.#prefillMost = prefillThreads;
    this.#decodeMost = decodeThreads;
    this.threadsMost = Math.max(prefillThreads, decodeThreads);
    this.#sequences = sequences;
    this.#threads = this.threadsMost;
    this.#byMemory = Math.min(this.#byMemory, sequences);
  }

  get sequences(): number {
    return this.#sequences;
  }
  set sequences(sequences: number) {
    this.#sequences = sequences;
    this.#settings.sequences = Math.min(this.#sequences, this.#byMemory);
  }

  /** The sequences that the memory governor allows. */
  get byMemory(): number {
    return this.#byMemory;
  }
  set byMemory(sequences: number) {
    this.#byMemory = sequences;
    this.#settings.sequences = Math.min(this.#sequences, this.#byMemory);
  }

  get stepMs(): number | undefined {
    return this.#settings.stepMs;
  }
  set stepMs(ms: number | undefined) {
    this.#settings.stepMs = ms;
  }

  get threads(): number {
    return this.#threads;
  }
  set threads(threads: number) {
    this.#threads = threads;
    this.#settings.prefillThreads = Math.min(this.#prefillMost, threads);
    this.#settings.decodeThreads = Math.min(this.#decodeMost, threads);
  }

  get cacheBytes(): number | undefined {
    return this.#scheduler.store.tree?.options.bytesMax;
  }
  set cacheBytes(bytes: number | undefined) {
    if (bytes === undefined) return;
    const { store } = this.#scheduler;
    // Between two steps, for a page that is evicted goes back to the system.
    void ignoreClosed(this.#scheduler.betweenSteps(() => {
      store.tree?.limit(bytes);
      store.discardFree();
    }));
  }

  get queued(): number {
    return this.#scheduler.queued;
  }

  get cache(): AdaptTarget["cache"] {
    const { tree } = this.#scheduler.store;
    const { hits = 0, misses = 0, tokensAsked = 0, tokensSaved = 0 } = tree?.counts ?? {};
    return { lookups: hits + misses, asked: tokensAsked, saved: tokensSaved, evictions: tree?.evictions ?? 0 };
  }
}

function memoryTarget(scheduler: Scheduler, load: LoadTarget, pagesLeast: number): MemoryTarget {
  const { pool, pageBytes, weightMost } = scheduler.store;
  return {
    pages: Math.floor(weightMost),
    pagesLeast,
    pageBytes,
    get warm() {
      return pool.resident;
    },
    get limit() {
      return pool.limit;
    },
    get preemptions() {
      return scheduler.meter.preemptions;
    },
    get sequences() {
      return load.byMemory;
    },
    set sequences(sequences) {
      load.byMemory = sequences;
    },
    get sequencesMost() {
      return load.sequencesMost;
    },
    limitPages: (pages) => scheduler.betweenSteps(() => scheduler.limitPages(pages)),
    refuse(error) {
      scheduler.refusal = error;
    },
  };
}

/** A batcher that was disposed of meanwhile is left alone. */
async function ignoreClosed(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof ClosedError)) throw error;
  }
}

/** The system's memory pressure, read at most once in a while. */
function pressureSource(): () => Pressure {
  const probe = new PressureProbe();
  let last = probe.read();
  let at = performance.now();
  return () => {
    const now = performance.now();
    if (!(now - at < pressureMs)) {
      last = probe.read();
      at = now;
    }
    return last;
  };
}

/** The share of the cores that others took since it was last asked. */
function othersSource(): () => number | undefined {
  const machine = { threads: usableThreads(), processors: Math.max(usableThreads(), navigator.hardwareConcurrency) };
  let meter = new LoadMeter();
  return () => {
    const share = meter.share(machine);
    meter = new LoadMeter();
    return share;
  };
}
