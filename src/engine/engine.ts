/**
 * One step of a batch: turns a list of sequences into the words that native code reads, runs the step (beside the event
 * loop, or at once when it is very short), and hands out what came of it. One step is in flight at a time. Which sequences take part
 * in a step, and which pages a sequence has, is decided elsewhere (`batching/batcher.ts`, `page_pool.ts`).
 *
 * @module
 */
import { BATCH, SAMPLED } from "../../ffi/abi.ts";
import { capturedInputs, captureInputs } from "../../ffi/calibration.ts";
import { ClosedError, UnsupportedError } from "../../ffi/errors.ts";
import { type Native, native } from "../../ffi/native.ts";
import type { Hyperparameters } from "../model/architectures/types.ts";
import type { Model } from "../model/model.ts";
import type { StepThreads } from "./threads.ts";
import { type KvType, kvTypes } from "./types.ts";
import { nothingToChoose } from "../sampling/sampler.ts";
import type { Choice, SamplerState } from "../sampling/state.ts";

/** Which rows of logits a step should give for a sequence. */
export type LogitRows = "none" | "last" | "all";

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
  /** Page numbers that cover all positions so far, these tokens' included. */
  readonly pages: ArrayLike<number>;
  /** Logits to hand out. */
  readonly logits: LogitRows;
  /** How to choose a token after the last one; absent: none is chosen. */
  readonly sample?: { readonly sampler: SamplerState; readonly top: number | undefined } | undefined;
  /** Whether to hand out the hidden state after the last token, from which the rest of a step can be done again. */
  readonly keep?: boolean;
  /** A hidden state handed out after the token before `position`, in place of tokens. */
  readonly hidden?: Float32Array | undefined;
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
  /** Gives a sequence of the step in flight up. */
  cancel(id: number): void;
  /** Ends it. */
  dispose(): Promise<void>;
}

const logitRows = ["none", "last", "all"] as const;
const noToken = 0xffff_ffff;
const resultWords = BATCH.result.length + SAMPLED.words;
const noLogits = new Float32Array(0);
/** Version of the accumulation contract (`docs/design/contract.md`): what an engine of another computes has other bits. */
export const accumulationContract = 1;
/** A step of so many tokens computes more than it reads. */
export const prefillTokensDefault = 2;
/** A wait is bounded, and renewed while the step runs. */
const waitMs = 25;

/** Bytes of one page; `kernels/level/level_table.zig` says what lies in it. */
export function pageBytes(
  { kDim, vDim, perLayer }: Hyperparameters,
  kv: EngineSettings["kv"],
  pageSize: number,
): number {
  let bytes = 0;
  for (const { kvHeads } of perLayer) {
    const values = kvHeads * pageSize * (kDim + vDim);
    const layer = kv === "q8_0" ? values + (values / 32) * 2 : values * (kv === "f32" ? 4 : 2);
    bytes += Math.ceil(layer / 64) * 64;
  }
  return bytes;
}

/** Frees what a lost engine holds: the net below `dispose`. */
const lost = new FinalizationRegistry<number>((handle) => native().engineFree(handle));

/** Runs steps of one model. */
export class Engine implements StepRunner {
  /** The settings it was opened with. */
  readonly settings: EngineSettings;
  /** Threads of a step of at least `prefillTokens` tokens, and of any other; at most those that it was opened with. */
  readonly threads: { prefill: number; decode: number; prefillTokens: number };
  readonly #stepThreads: StepThreads | undefined;
  readonly #native: Native = native();
  readonly #vocabulary: number;
  readonly #embedding: number;
  #handle: number;
  #words = new Uint32Array(1024);
  #floats = new Float32Array(this.#words.buffer);
  readonly #results: Uint32Array<ArrayBuffer>;
  readonly #doubles: Float64Array;
  #logits = noLogits;
  #step: Promise<unknown> | undefined;

  /** Opens an engine over a model that has been loaded; `stepThreads` may give a short step fewer threads than `threads` says. */
  constructor(model: Model, settings: EngineSettings, stepThreads?: StepThreads) {
    this.settings = settings;
    this.#stepThreads = stepThreads;
    this.threads = { prefill: settings.threads, decode: settings.threads, prefillTokens: prefillTokensDefault };
    this.#vocabulary = model.vocabulary;
    this.#embedding = model.plan.hyperparameters.embedding;
    this.#results = new Uint32Array(settings.sequences * resultWords);
    this.#doubles = new Float64Array(this.#results.buffer);
    this.#handle = this.#native.engineOpen(
      model.handle,
      Uint32Array.of(
        1,
        kvTypes.indexOf(settings.kv),
        settings.pageSize,
        settings.pages,
        settings.batchTokens,
        settings.sequences,
        settings.threads,
        settings.activationBits,
        settings.logitRows,
      ),
    );
    lost.register(this, this.#handle, this);
  }

  /** Runs one step; results come in the order of `sequences`. `isInline`: before this returns to the event loop. */
  async run(sequences: readonly StepSequence[], isInline: boolean): Promise<StepResult[]> {
    if (this.#handle === 0) throw new ClosedError("The engine was used after it was disposed.", { where: "engine" });
    if (sequences.some(({ drafts = 0 }) => drafts > 0)) {
      throw new UnsupportedError("engine: a step samples one row of a sequence, so it can check no drafts.", {
        what: "drafts",
        where: "engine",
        expected: "no drafts",
      });
    }
    const words = this.#encode(sequences, isInline);
    const handle = this.#handle;
    const begin = performance.now();
    this.#native.submit(handle, this.#words, words);
    if (!this.#native.idle(handle)) {
      const step = this.#settle(handle);
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

  /** The step in flight gives sequence `id` up between two layers. */
  cancel(id: number): void {
    if (this.#step !== undefined) this.#native.cancel(this.#handle, id);
  }

  /** Copies page `from` to page `to`; no step may be in flight. */
  copyPage(from: number, to: number): void {
    this.#native.pageCopy(this.#handle, from, to);
  }

  /** Gives the memory of `count` pages back to the system until they are written again; returns how many bytes. */
  discardPages(first: number, count: number): number {
    return this.#native.pageDiscard(this.#handle, first, count);
  }

  /** Writes a page and a checksum to `out`; returns the bytes. No step may be in flight. */
  exportPage(page: number, out: Uint8Array): number {
    return this.#native.pageExport(this.#handle, page, out);
  }

  /** Takes over what {@link Engine.exportPage} wrote; false where the bytes are not those. No step may be in flight. */
  importPage(page: number, bytes: Uint8Array): boolean {
    return this.#native.pageImport(this.#handle, page, bytes);
  }

  /** Keeps the inputs of a step's products `first` to `first + count - 1` (`ffi/calibration.ts` numbers them). */
  capture(first: number, count: number): void {
    captureInputs(this.#handle, first, count);
  }

  /** Copies the rows kept of a product in the last step; returns how many floats. */
  captured(product: number, out: Float32Array): number {
    return capturedInputs(this.#handle, product, out);
  }

  /** Ends the engine: waits for a step in flight, which the caller has cancelled, and frees the memory. Again is fine. */
  async dispose(): Promise<void> {
    const handle = this.#handle;
    if (handle === 0) return;
    this.#handle = 0;
    lost.unregister(this);
    await this.#step;
    this.#native.engineFree(handle);
  }

  async #settle(handle: number): Promise<void> {
    while (!await this.#native.wait(handle, waitMs));
  }

  #encode(sequences: readonly StepSequence[], isInline: boolean): number {
    let tokens = 0;
    let size: number = BATCH.header.length;
    for (const sequence of sequences) {
      tokens += sequence.tokens.length;
      size += BATCH.sequence.length + sequence.tokens.length + sequence.pages.length + (sequence.hidden?.length ?? 0);
      size += sequence.sample?.sampler.words(this.#vocabulary) ?? 0;
    }
    if (size > this.#words.length) {
      this.#words = new Uint32Array(2 * size);
      this.#floats = new Float32Array(this.#words.buffer);
    }
    const words = this.#words;
    const { prefill, decode, prefillTokens } = this.threads;
    const most = tokens >= prefillTokens ? prefill : decode;
    const threads = this.#stepThreads?.threads(tokens, tokens > sequences.length, most, isInline) ?? most;
    const flags = threads * BATCH.threadsUnit + (isInline ? BATCH.flagInline : 0);
    words.set([BATCH.version, flags, sequences.length, tokens]);
    let at: number = BATCH.header.length;
    for (const { id, position, tokens, pages, logits, sample, keep, hidden } of sequences) {
      words[at] = id;
      words[at + 1] = position;
      words[at + 2] = tokens.length;
      words[at + 3] = pages.length;
      words[at + 4] = logitRows.indexOf(logits);
      const samplerWords = at + 5;
      words[at + 6] = keep ? 1 : 0;
      words[at + 7] = hidden?.length ?? 0;
      at += BATCH.sequence.length;
      words.set(tokens, at);
      at += tokens.length;
      words.set(pages, at);
      at += pages.length;
      if (hidden) {
        this.#floats.set(hidden, at);
        at += hidden.length;
      }
      const begin = at;
      const request = { position: position + tokens.length, top: sample?.top };
      if (sample) at = sample.sampler.encode(words, at, this.#vocabulary, request);
      words[samplerWords] = at - begin;
    }
    return at;
  }

  #take(handle: number, sequences: readonly StepSequence[]): StepResult[] {
    let floats = 0;
    for (const { logits, tokens, keep } of sequences) {
      floats += (logits === "all" ? tokens.length : logits === "last" ? 1 : 0) * this.#vocabulary;
      if (keep) floats += this.#embedding;
    }
    if (floats > this.#logits.length) this.#logits = new Float32Array(floats);
    this.#native.take(handle, this.#results, floats === 0 ? noLogits : this.#logits);
    let at = 0;
    return sequences.map(({ keep, sample }, index) => {
      const word = index * resultWords;
      const status = (this.#results[word + 1] as number) | 0;
      const token = this.#results[word + 2] as number;
      const count = (this.#results[word + 3] as number) * this.#vocabulary;
      const logits = count === 0 ? noLogits : this.#logits.subarray(at, at + count);
      at += count;
      if (status < 0) {
        const error = this.#native.statusError(status, "sequence");
        return { error: sample && error.code === "invalidArgument" ? nothingToChoose() : error, logits };
      }
      const result: { -readonly [Key in keyof StepResult]: StepResult[Key] } = { logits };
      if (token !== noToken && sample) {
        const sampled = word + BATCH.result.length;
        result.choices = [
          sample.sampler.take(this.#results, this.#doubles, sampled, this.#vocabulary, sample.top),
        ];
      }
      if (keep) {
        result.hidden = this.#logits.subarray(at, at + this.#embedding);
        at += this.#embedding;
      }
      return result;
    });
  }
}
