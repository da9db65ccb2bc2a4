/**
 * What may change while a batcher runs: any of it between two steps, and no result with it. Limits are those that the engine
 * was opened with.
 *
 * @module
 */
import type { Engine } from "../engine/engine.ts";
import { chunkMost, type StepTimes } from "../engine/step_times.ts";
import type { Scheduler } from "./scheduler.ts";

/** The settings of a batcher that can be turned. */
export class BatchSettings {
  readonly #engine: Engine;
  readonly #times: StepTimes;
  readonly #scheduler: Scheduler;

  /** The settings of these three. */
  constructor(engine: Engine, times: StepTimes, scheduler: Scheduler) {
    this.#engine = engine;
    this.#times = times;
    this.#scheduler = scheduler;
  }

  /** Threads of a step of at least {@link BatchSettings.prefillTokens} tokens, of prompts or one of each sequence. */
  get prefillThreads(): number {
    return this.#engine.threads.prefill;
  }
  set prefillThreads(threads: number) {
    this.#engine.threads.prefill = between(threads, this.threadsMost);
  }

  /** Threads of any other. */
  get decodeThreads(): number {
    return this.#engine.threads.decode;
  }
  set decodeThreads(threads: number) {
    this.#engine.threads.decode = between(threads, this.threadsMost);
  }

  /** From how many tokens on a step has the threads of prompts. */
  get prefillTokens(): number {
    return this.#engine.threads.prefillTokens;
  }
  set prefillTokens(tokens: number) {
    this.#engine.threads.prefillTokens = Math.max(1, Math.floor(tokens));
  }

  /** The most threads that either can be. */
  get threadsMost(): number {
    return this.#engine.settings.threads;
  }

  /** The most tokens of a prompt that a step reads; fewer where so many would take too long. */
  get chunkTokens(): number {
    return this.#times.most;
  }
  set chunkTokens(tokens: number) {
    this.#times.most = between(tokens, chunkMost);
  }

  /** Milliseconds that a step with prompts may take for sequences that wait for a token; undefined: twice what it takes without. */
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
    this.#scheduler.sequences = between(sequences, this.sequencesMost);
  }

  /** The most that it can be. */
  get sequencesMost(): number {
    return this.#engine.settings.sequences;
  }
}

function between(value: number, most: number): number {
  return Math.max(1, Math.min(most, Math.floor(value)));
}
