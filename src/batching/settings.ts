/**
 * The settings of a batcher that may change while it runs, between two steps; results do not depend on them. Their limits are
 * those that the engine was opened with.
 *
 * @module
 */
import type { Engine } from "../engine/engine.ts";
import { chunkMost, type StepTimes } from "../engine/step_times.ts";
import type { Scheduler } from "./scheduler.ts";

/** The settings of a running batcher. */
export class BatchSettings {
  readonly #engine: Engine;
  readonly #times: StepTimes;
  readonly #scheduler: Scheduler;

  /** The settings of a batcher's engine, step times and scheduler. */
  constructor(engine: Engine, times: StepTimes, scheduler: Scheduler) {
    this.#engine = engine;
    this.#times = times;
    this.#scheduler = scheduler;
  }

  /** Threads of a step of at least {@link BatchSettings.prefillTokens} tokens, whether of prompts or one of each sequence. */
  get prefillThreads(): number {
    return this.#engine.threads.prefill;
  }
  set prefillThreads(threads: number) {
    this.#engine.threads.prefill = clamped(threads, this.threadsMost);
  }

  /** Threads of a step of fewer tokens. */
  get decodeThreads(): number {
    return this.#engine.threads.decode;
  }
  set decodeThreads(threads: number) {
    this.#engine.threads.decode = clamped(threads, this.threadsMost);
  }

  /** The fewest tokens of a step that runs on {@link BatchSettings.prefillThreads}. */
  get prefillTokens(): number {
    return this.#engine.threads.prefillTokens;
  }
  set prefillTokens(tokens: number) {
    this.#engine.threads.prefillTokens = Math.max(1, Math.floor(tokens));
  }

  /** The most threads of a step. */
  get threadsMost(): number {
    return this.#engine.settings.threads;
  }

  /** The most prompt tokens of a step; a step reads fewer where so many would take too long. */
  get chunkTokens(): number {
    return this.#times.most;
  }
  set chunkTokens(tokens: number) {
    this.#times.most = clamped(tokens, chunkMost);
  }

  /** The most milliseconds of a step with prompts for which other sequences wait; undefined: twice a step without prompts. */
  get stepMs(): number | undefined {
    return this.#times.stepMs;
  }
  set stepMs(ms: number | undefined) {
    this.#times.stepMs = ms;
  }

  /** Whether the user has fixed the chunk, so that it must stay. */
  get isChunkFixed(): boolean {
    return this.#times.isFixed;
  }

  /** The most sequences of a step. */
  get sequences(): number {
    return this.#scheduler.sequences;
  }
  set sequences(sequences: number) {
    this.#scheduler.sequences = clamped(sequences, this.sequencesMost);
  }

  /** The most that {@link BatchSettings.sequences} can be. */
  get sequencesMost(): number {
    return this.#engine.settings.sequences;
  }
}

function clamped(value: number, most: number): number {
  return Math.max(1, Math.min(most, Math.floor(value)));
}
