/**
 * The steps that tuning measures: steps of the model itself, over pages of their own, for each page size. The tokens are
 * arbitrary, and only a chosen token is handed out, as when text is generated. No setting changes what a step computes.
 *
 * @module
 */
import { OutOfMemoryError } from "../../../ffi/errors.ts";
import { native } from "../../../ffi/native.ts";
import { Engine, kvSizes } from "../../engine/engine.ts";
import type { EngineSettings, StepSequence } from "../../engine/step.ts";
import type { Model } from "../../model/model.ts";
import { chunkMost, StepTimes } from "../../engine/step_times.ts";
import { pagesFor } from "../../engine/page_pool.ts";
import { greedySampler } from "../../engine/greedy.ts";
import { batcherFields } from "../../batching/options.ts";
import { defaultOf } from "../../options/schema.ts";

/**
 * The settings that tuning may choose; no result depends on any of them.
 *
 * @example
 * ```ts
 * import { LightGPT, type TunedSettings } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load(undefined, { tune: "kept" });
 * const settings: TunedSettings | undefined = lm.optimizer.profile?.settings;
 * console.log(settings?.decodeThreads ?? "nothing was measured yet");
 * ```
 */
export interface TunedSettings {
  /** Threads of a step of at least `prefillTokens` tokens, of prompts or one of each sequence. */
  readonly prefillThreads: number;
  /** Threads of any other step. */
  readonly decodeThreads: number;
  /** From how many tokens on a step has the threads of prompts. */
  readonly prefillTokens: number;
  /** The most tokens of a prompt that a step reads. */
  readonly chunkTokens: number;
  /** The most sequences of a step. */
  readonly batchSequences: number;
  /** Positions of a KV page. */
  readonly pageSize: 16 | 32 | 64;
  /** Loops that a thread of the pool spins before it sleeps. */
  readonly spinLoops: number;
}

/** Runs the steps that are measured; tests put another in its place. */
export interface Subject {
  /** The most tokens and sequences that a step can have. */
  readonly chunkMost: number;
  readonly sequencesMost: number;
  /** Layers, between which a request that is given up is noticed. */
  readonly layers: number;
  /** A step of so many tokens of a prompt, `at` the position of the first. */
  prefill(settings: TunedSettings, tokens: number, at?: number): Promise<void>;
  /** A step in which so many sequences generate one token each. */
  decode(settings: TunedSettings, sequences: number): Promise<void>;
  /** Frees what it holds. */
  dispose(): Promise<void>;
}

/** Tokens that a sequence has read when its generating is measured. */
const decodePosition = 256;
/** The most sequences that are tried. */
const sequencesMost = 64;
/** Logits and other scratch memory of one try may take this much. */
const logitBytesMost = 2 ** 26;

/** The steps of a loaded model. */
export class ModelSubject implements Subject {
  readonly chunkMost: number;
  readonly sequencesMost: number;
  readonly layers: number;
  readonly #model: Model;
  readonly #settings: Pick<EngineSettings, "kv" | "activationBits" | "threads">;
  readonly #engines = new Map<number, Engine>();
  readonly #times: StepTimes;
  readonly #prompt: Uint32Array;

  /** Steps of a model with the KV type and activations that the user wants, on at most `threads` threads. */
  constructor(model: Model, settings: Pick<EngineSettings, "kv" | "activationBits" | "threads">) {
    this.#model = model;
    this.#settings = settings;
    this.#times = new StepTimes(model.residentBytes);
    this.chunkMost = Math.min(chunkMost, model.context);
    this.layers = model.plan.hyperparameters.layers;
    const rows = Math.floor(logitBytesMost / (4 * model.vocabulary));
    this.sequencesMost = Math.max(defaultOf(batcherFields.batchSequences), Math.min(sequencesMost, rows));
    this.#prompt = Uint32Array.from({ length: this.chunkMost }, (_, index) => 3 + (index * 79) % 251);
  }

  /** See {@link Subject}. */
  async prefill(settings: TunedSettings, tokens: number, at: number = 0): Promise<void> {
    const { pageSize } = settings;
    const end = Math.min(this.chunkMost, at + tokens);
    await this.#run(settings, [{
      id: 0,
      position: end - tokens,
      tokens: this.#prompt.subarray(end - tokens, end),
      pages: [...this.#statePages(pageSize, 0), ...Array.from({ length: pagesFor(end, pageSize) }, (_, page) => page)],
      logits: "none",
    }]);
  }

  /** See {@link Subject}. */
  async decode(settings: TunedSettings, sequences: number): Promise<void> {
    const { pageSize } = settings;
    // All have the same first pages; the page that is written, and the state, each has for itself.
    const position = Math.min(decodePosition, this.chunkMost - 1);
    const shared = Array.from({ length: Math.floor(position / pageSize) }, (_, page) => page);
    const first = pagesFor(this.chunkMost, pageSize);
    await this.#run(
      settings,
      Array.from({ length: sequences }, (_, id) => ({
        id,
        position,
        tokens: this.#prompt.subarray(id % this.chunkMost, id % this.chunkMost + 1),
        pages: [...this.#statePages(pageSize, id), ...shared, first + id],
        logits: "none" as const,
        sample: { sampler: greedySampler(), top: undefined },
      })),
    );
  }

  /** The pages of a sequence's state, behind all pages of positions: what lies there is never read as keys. */
  #statePages(pageSize: TunedSettings["pageSize"], id: number): number[] {
    const { statePages } = this.#engine(pageSize);
    const first = pagesFor(this.chunkMost, pageSize) + this.sequencesMost + id * statePages;
    return Array.from({ length: statePages }, (_, page) => first + page);
  }

  /** See {@link Subject}. */
  async dispose(): Promise<void> {
    for (const engine of this.#engines.values()) await engine.dispose();
    this.#engines.clear();
  }

  async #run(settings: TunedSettings, sequences: StepSequence[]): Promise<void> {
    const engine = this.#engine(settings.pageSize);
    engine.threads.prefill = settings.prefillThreads;
    engine.threads.decode = settings.decodeThreads;
    engine.threads.prefillTokens = settings.prefillTokens;
    native().spin(settings.spinLoops);
    const tokens = sequences.reduce((sum, { tokens }) => sum + tokens.length, 0);
    const begin = performance.now();
    const results = await engine.run(sequences, this.#times.isInline(tokens));
    this.#times.record(tokens, performance.now() - begin, 0);
    const { error } = results.find(({ error }) => error !== undefined) ?? {};
    if (error) throw error;
  }

  #engine(pageSize: TunedSettings["pageSize"]): Engine {
    const known = this.#engines.get(pageSize);
    if (known) return known;
    const { statePages } = kvSizes(this.#model.plan, this.#settings.kv, pageSize);
    const engine = new Engine(this.#model, {
      ...this.#settings,
      pageSize,
      pages: pagesFor(this.chunkMost, pageSize) + this.sequencesMost * (1 + statePages),
      batchTokens: this.chunkMost,
      sequences: this.sequencesMost,
      logitRows: this.sequencesMost,
    });
    this.#engines.set(pageSize, engine);
    return engine;
  }
}

/** Whether an error says that a try needs more memory than there is, which is an answer like another. */
export function isTooLarge(error: unknown): boolean {
  return error instanceof OutOfMemoryError;
}
