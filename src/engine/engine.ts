/**
 * One step of a batch: turns a list of sequences into the words that native code reads, runs the step (beside the event
 * loop, or at once when it is very short), and reads the
 * results. One step is in flight at a time. Which sequences take part in a step, and which pages a sequence has, is decided in
 * `batching/`.
 *
 * @module
 */
import { errorOf } from "../../ffi/call.ts";
import { ClosedError, LightGPTError } from "../../ffi/errors.ts";
import { type Native, native } from "../../ffi/native.ts";
import { type EngineHandle, type LogitRow, MARKS } from "../../ffi/wire.ts";
import {
  type KvSizes,
  putBatchHeader,
  putBatchSequence,
  putEngineOptions,
  StepResult as Results,
} from "../../ffi/wire_calls.ts";
import { Words } from "../../ffi/words.ts";
import type { AdapterUse } from "../model/adapter.ts";
import type { ModelPlan } from "../model/architectures/architectures.ts";
import { describeLayers } from "../model/encode_model.ts";
import { assertGenerates } from "../model/generates.ts";
import type { Model } from "../model/model.ts";
import type { StepThreads } from "./threads.ts";
import type { KvType } from "./types.ts";
import { nothingToChoose } from "../sampling/sampler.ts";
import type { Choice, SamplerState } from "../sampling/state.ts";

/** Which rows of logits a step should give for a sequence. */
export type LogitRows = LogitRow;

/** What one sequence does in a step. */
export interface StepSequence {
  /** Names the sequence to `cancel`; any u32 that no other sequence of the step has. */
  readonly id: number;
  /** Position of the first token. */
  readonly position: number;
  /** The tokens to read; at least one, unless `hidden` is given. */
  readonly tokens: ArrayLike<number>;
  /** How many of them, at the end, are guesses of what will be chosen. Default 0. */
  readonly drafts?: number;
  /** Page numbers: those of its state, where the model keeps one, then those that cover all positions so far, these tokens' included. */
  readonly pages: ArrayLike<number>;
  /** Logits to hand out. */
  readonly logits: LogitRows;
  /** How to choose a token after the last one; absent: none is chosen. */
  readonly sample?: { readonly sampler: SamplerState; readonly top: number | undefined } | undefined;
  /** Whether to hand out the hidden state after the last token, from which the rest of a step can be done again. */
  readonly keep?: boolean;
  /** A hidden state handed out after the token before `position`, in place of tokens. */
  readonly hidden?: Float32Array | undefined;
  /** The adapters that apply to it. */
  readonly adapters?: AdapterUse["list"] | undefined;
}

/** What came of one sequence in a step. */
export interface StepResult {
  /** Why the sequence failed; the others of the step did not. */
  readonly error?: Error;
  /** The chosen tokens: one, and one more for each draft that was right before the first that was wrong. */
  readonly choices?: readonly Choice[];
  /** Rows of logits, one after the other. Valid until the next step: copy what must stay. */
  readonly logits: Float32Array;
  /** The hidden state; as short-lived as the logits. */
  readonly hidden?: Float32Array;
}

/** Settings of an engine; all have been checked. */
export interface EngineSettings {
  /** How keys and values are stored. */
  readonly kv: KvType;
  /** Positions of a page. */
  readonly pageSize: number;
  /** Pages. */
  readonly pages: number;
  /** Most tokens of a step. */
  readonly batchTokens: number;
  /** Most sequences of a step. */
  readonly sequences: number;
  /** Threads, the conductor included. */
  readonly threads: number;
  /** Bits of quantized activations. */
  readonly activationBits: 8 | 16;
  /** Most rows of logits of a step. */
  readonly logitRows: number;
}

/** What runs steps: an engine, or, in tests of the scheduler, what stands in for one. */
export interface StepRunner {
  /** What it can take. */
  readonly settings: Pick<EngineSettings, "pages" | "pageSize" | "batchTokens" | "sequences" | "logitRows">;
  /** Runs one step. */
  run(sequences: readonly StepSequence[], isInline: boolean): Promise<StepResult[]>;
  /** Cancels a sequence of the step in flight. */
  cancel(id: number): void;
  /** Ends it. */
  dispose(): Promise<void>;
}

/** A step that gives nothing of whole texts. */
const NOT_POOLED = { pooling: "none", ranks: false, levels: false, dimensions: 0, normalises: false } as const;
const noLogits = new Float32Array(0);
/** Version of the accumulation contract (`docs/design/contract.md`): what an engine of another computes has other bits. */
export const accumulationContract = 1;
/** Tokens of a step from which on it has the threads of prompts: it computes more than it reads. */
export const prefillTokensDefault = 2;
/** Milliseconds of one wait for the end of a step; the wait is renewed while the step runs. */
const waitMs = 25;

/** Bytes of a page of a model, and the pages that hold the state of one sequence: the library says what each layer takes. */
export function kvSizes(plan: ModelPlan, kv: EngineSettings["kv"], pageSize: number): KvSizes {
  return native().kvBytes(describeLayers(plan), kv, pageSize);
}

/** Frees what a lost engine holds: the net below `dispose`. */
const lost = new FinalizationRegistry<EngineHandle>((handle) => native().engineFree(handle));

/** What an engine needs of a model: the whole one, or a layer that was loaded alone. */
export type EngineModel = Pick<Model, "handle" | "plan" | "vocabulary">;

/** Runs steps of one model. */
export class Engine implements StepRunner {
  /** The settings it was opened with. */
  readonly settings: EngineSettings;
  /** Threads of a step of at least `prefillTokens` tokens, and of any other; at most those that it was opened with. */
  readonly threads: { prefill: number; decode: number; prefillTokens: number };
  /** Pages that hold the state of one sequence; 0 where the model keeps none. */
  readonly statePages: number;
  readonly #stepThreads: StepThreads | undefined;
  readonly #native: Native = native();
  readonly #vocabulary: number;
  readonly #embedding: number;
  /** Undefined once it was disposed. */
  #handle: EngineHandle | undefined;
  readonly #batch: Words<"batch"> = new Words("batch", 1024);
  #results: Results;
  #logits = noLogits;
  #step: Promise<unknown> | undefined;

  /** Opens an engine over a model that has been loaded; `stepThreads` may give a short step fewer threads than `threads` says. */
  constructor(model: EngineModel, settings: EngineSettings, stepThreads?: StepThreads) {
    assertGenerates(model.plan);
    this.settings = settings;
    this.#stepThreads = stepThreads;
    this.threads = { prefill: settings.threads, decode: settings.threads, prefillTokens: prefillTokensDefault };
    this.statePages = kvSizes(model.plan, settings.kv, settings.pageSize).statePages;
    this.#vocabulary = model.vocabulary;
    this.#embedding = model.plan.hyperparameters.embedding;
    this.#results = new Results(new Uint32Array(settings.sequences * Results.words));
    const options = new Words("engine");
    putEngineOptions(options, { ...settings, kvType: settings.kv, keeps: true });
    this.#handle = this.#native.engineOpen(model.handle, options);
    lost.register(this, this.#handle, this);
  }

  /** Runs one step; results come in the order of `sequences`. `isInline`: before this returns to the event loop. */
  async run(sequences: readonly StepSequence[], isInline: boolean): Promise<StepResult[]> {
    const handle = this.#open();
    this.#encode(sequences, isInline);
    const begin = performance.now();
    this.#native.submit(handle, this.#batch);
    if (!this.#native.idle(handle)) {
      const step = settle(handle);
      this.#step = step;
      try {
        await step;
      } finally {
        this.#step = undefined;
      }
    }
    this.#stepThreads?.record(performance.now() - begin);
    return this.#take(handle, sequences);
  }

  /** Cancels sequence `id` of the step in flight, between two layers. */
  cancel(id: number): void {
    if (this.#step !== undefined) this.#native.cancel(this.#open(), id);
  }

  /** Copies page `from` to page `to`; no step may be in flight. */
  copyPage(from: number, to: number): void {
    this.#native.pageCopy({ engine: this.#open(), from, to });
  }

  /** Gives the memory of `count` pages back to the system until they are written again; returns how many bytes. */
  discardPages(first: number, count: number): number {
    return this.#native.pageDiscard({ engine: this.#open(), first, count });
  }

  /** Gives the memory of what windowed layers keep in a page back to the system; no step may be in flight. */
  leavePage(page: number): void {
    this.#native.pageLeave(this.#open(), page);
  }

  /**
   * Writes a page and a checksum to `out`, with or without what windowed layers keep; returns the bytes. No step may be in
   * flight.
   */
  exportPage(page: number, out: Uint8Array, isWhole: boolean = true): number {
    return this.#native.pageExport({ engine: this.#open(), page, whole: isWhole ? 1 : 0, out });
  }

  /** Takes over what {@link Engine.exportPage} wrote; false where the bytes are not those. No step may be in flight. */
  importPage(page: number, bytes: Uint8Array): boolean {
    return this.#native.pageImport(this.#open(), page, bytes);
  }

  /** Keeps the inputs of a step's products `first` to `first + count - 1` (`Native.capture` numbers them). */
  capture(first: number, count: number): void {
    this.#native.capture({ engine: this.#open(), first, count });
  }

  /** Copies the rows kept of a product in the last step; returns how many floats. */
  captured(product: number, out: Float32Array): number {
    return this.#native.captured(this.#open(), product, out);
  }

  /** Adds up the squares of the inputs of all products from now on, from nothing; or no longer. */
  sumInputs(isOn: boolean): void {
    this.#native.sumInputs(this.#open(), isOn);
  }

  /**
   * Copies the sums of squares of a product's input, a column each; returns over how many rows. Of a stack of matrices
   * `matrix` says which.
   */
  inputSums(product: number, matrix: number, out: Float64Array): number {
    return this.#native.inputSums({ engine: this.#open(), product, matrix, sums: out });
  }

  /** Ends the engine: waits for a step in flight, which the caller has cancelled, and frees the memory. Again is fine. */
  async dispose(): Promise<void> {
    const handle = this.#handle;
    if (handle === undefined) return;
    this.#handle = undefined;
    lost.unregister(this);
    await this.#step;
    this.#native.engineFree(handle);
  }

  #open(): EngineHandle {
    if (this.#handle !== undefined) return this.#handle;
    throw new ClosedError("The engine was used after it was disposed.", { where: "engine" });
  }

  #encode(sequences: readonly StepSequence[], isInline: boolean): void {
    let count = 0;
    for (const { tokens } of sequences) count += tokens.length;
    const { prefill, decode, prefillTokens } = this.threads;
    const most = count >= prefillTokens ? prefill : decode;
    const threads = this.#stepThreads?.threads(count, count > sequences.length, most, isInline) ?? most;
    const batch = this.#batch;
    batch.clear();
    putBatchHeader(batch, {
      runsInline: isInline,
      threads,
      sequences: sequences.length,
      tokens: count,
      ...NOT_POOLED,
    });
    for (const { id, position, tokens, drafts = 0, pages, logits, sample, keep, hidden, adapters = [] } of sequences) {
      putBatchSequence(batch, {
        id,
        position,
        tokens: tokens.length,
        pages: pages.length,
        logits,
        choices: sample === undefined ? 0 : 1 + drafts,
        keep: keep === true,
        hidden: hidden === undefined ? 0 : hidden.length,
        secondType: 0,
        adapters: adapters.length,
      });
      batch.list(tokens);
      batch.list(pages);
      if (hidden !== undefined) batch.floats(hidden);
      for (const { handle, scale } of adapters) {
        batch.reserve(2);
        batch.u32(handle, "adapter");
        batch.f32(scale);
      }
      if (sample === undefined) continue;
      const guessed = Array.from({ length: drafts }, (_, index) => tokens[tokens.length - drafts + index] as number);
      const request = { position: position + tokens.length - drafts, top: sample.top };
      sample.sampler.encode(batch, this.#vocabulary, request, guessed);
    }
  }

  #take(handle: EngineHandle, sequences: readonly StepSequence[]): StepResult[] {
    let floats = 0;
    let records = 0;
    for (const { logits, tokens, keep, drafts = 0 } of sequences) {
      records += 1 + drafts;
      floats += (logits === "all" ? tokens.length : logits === "last" ? 1 : 0) * this.#vocabulary;
      if (keep) floats += this.#embedding;
    }
    if (floats > this.#logits.length) this.#logits = new Float32Array(floats);
    if (records * Results.words > this.#results.words.length) {
      this.#results = new Results(new Uint32Array(records * Results.words));
    }
    this.#native.take(handle, this.#results, floats === 0 ? noLogits : this.#logits);
    let at = 0;
    let record = 0;
    return sequences.map(({ keep, sample, drafts = 0 }) => {
      const found = this.#results;
      const first = record;
      record += sample === undefined ? 1 : 1 + drafts;
      found.moveTo(first);
      const count = found.rows * this.#vocabulary;
      const logits = count === 0 ? noLogits : this.#logits.subarray(at, at + count);
      at += count;
      if (found.status < 0) {
        return { error: sequenceError(found.status, sample !== undefined), logits };
      }
      const result: { -readonly [Key in keyof StepResult]: StepResult[Key] } = { logits };
      if (sample) result.choices = this.#choices(first, 1 + drafts, sample);
      if (keep) {
        result.hidden = this.#logits.subarray(at, at + this.#embedding);
        at += this.#embedding;
      }
      return result;
    });
  }

  /** The tokens chosen for one sequence, of which `count` records tell from `first` on. */
  #choices(first: number, count: number, { sampler, top }: NonNullable<StepSequence["sample"]>): Choice[] {
    const choices: Choice[] = [];
    for (let index = 0; index < count; index++) {
      this.#results.moveTo(first + index);
      if (this.#results.token === MARKS.noToken) break;
      choices.push(sampler.take(this.#results.sampled, this.#vocabulary, top, index > 0));
    }
    return choices;
  }
}

/** Waits for the end of a step, beside the event loop. */
export async function settle(handle: EngineHandle): Promise<void> {
  while (!await native().wait(handle, waitMs));
}

/** Why a sequence failed. */
export function sequenceError(status: number, hasSampler: boolean): LightGPTError {
  const error = errorOf(status, "sequence");
  if (hasSampler && error.code === "invalidArgument") return nothingToChoose();
  if (error.code !== "io") return error;
  return new LightGPTError(
    "io",
    "A row of the model's file could not be read; expected the file as it was when the model was loaded.",
    { what: "a row could not be read", where: "model file", expected: "the file as it was when the model was loaded" },
  );
}
