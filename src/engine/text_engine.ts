/**
 * Steps over whole texts: an engine that keeps nothing. A step reads many texts, one after the other without anything between
 * them; each sees itself alone. What a text comes to (a vector, a row for each token, scores) lands in the caller's memory. Which
 * texts a step reads is decided in `embedding/`.
 *
 * @module
 */
import { type Native, native } from "../../ffi/native.ts";
import type { Pooling as WirePooling } from "../../ffi/wire.ts";
import { putBatchHeader, putBatchSequence, putEngineOptions, StepResult as Results } from "../../ffi/wire_calls.ts";
import { Words } from "../../ffi/words.ts";
import { type EngineModel, sequenceError } from "./engine.ts";
import { HeldEngine, settle } from "./held_engine.ts";
import { ProductInputs } from "./product_inputs.ts";

/** A text as tokens. */
export interface TokenText {
  /** All its tokens, with those that the model wants at its ends. */
  readonly tokens: ArrayLike<number>;
  /** Tokens at its end that have the type 1, in a model with types. */
  readonly secondType: number;
}

/** What is wanted of each text. */
export interface TextResult {
  /** `rows`: one for each token; `none`: nothing, but what its products read may be asked for. */
  readonly pooling: WirePooling;
  /** The scores of the rank head in place of the row. */
  readonly ranks: boolean;
  /** The row is normed by deviation before it is cut. */
  readonly levels: boolean;
  /** How many elements of the row stay; 0: all. */
  readonly dimensions: number;
  /** Whether the row is made of length 1. */
  readonly normalises: boolean;
}

/** Settings of an engine for texts; all have been checked. */
export interface TextEngineSettings {
  /** Most tokens of a step, and of a text. */
  readonly batchTokens: number;
  /** Most texts of a step. */
  readonly sequences: number;
  /** Threads, the conductor included. */
  readonly threads: number;
  /** Bits of quantized activations. */
  readonly activationBits: 8 | 16;
}

/** Positions of a page: the smallest, for a short text takes one of its own. */
const pageSize = 16;

/** Runs steps over whole texts. */
export class TextEngine {
  /** The settings it was opened with. */
  readonly settings: TextEngineSettings;
  /** What its products read. */
  readonly inputs: ProductInputs;
  readonly #native: Native = native();
  readonly #batch: Words<"batch"> = new Words("batch", 1024);
  readonly #results: Results;
  readonly #statePages: number;
  readonly #held: HeldEngine;

  /** Opens an engine over a model; `statePages`: pages that hold the state of a sequence, where the model keeps one. */
  constructor(model: EngineModel, settings: TextEngineSettings, statePages: number) {
    this.settings = settings;
    this.#statePages = statePages;
    this.#results = new Results(new Uint32Array(settings.sequences * Results.words));
    const options = new Words("engine");
    const pages = Math.ceil(settings.batchTokens / pageSize) + settings.sequences * (1 + statePages);
    // Keys and values as they are computed: nothing of them is kept, so memory is no reason to round them.
    putEngineOptions(options, { ...settings, kvType: "f32", pageSize, pages, logitRows: 1, keeps: false });
    this.#held = new HeldEngine(model, options);
    this.inputs = new ProductInputs(this.#held);
  }

  /**
   * Runs one step over `texts`. What they come to lies in `out`, one after the other, but for those that failed.
   *
   * @returns for each text why it failed, or undefined
   */
  async run(texts: readonly TokenText[], result: TextResult, out: Float32Array): Promise<(Error | undefined)[]> {
    const { handle } = this.#held;
    this.#encode(texts, result);
    this.#native.submit(handle, this.#batch);
    await this.#held.inFlight(() => settle(handle));
    this.#native.take(handle, this.#results, out);
    return texts.map((_, index) => {
      this.#results.moveTo(index);
      return this.#results.status < 0 ? sequenceError(this.#results.status, false) : undefined;
    });
  }

  /** Gives up all texts of the step in flight, between two layers. */
  cancel(): void {
    if (!this.#held.isOpen || !this.#held.isBusy) return;
    const { handle } = this.#held;
    for (let id = 0; id < this.settings.sequences; id++) if (!this.#native.cancel(handle, id)) return;
  }

  /** Ends the engine: waits for a step in flight, which is given up, and frees the memory. Again is fine. */
  async dispose(): Promise<void> {
    this.cancel();
    await this.#held.dispose();
  }

  #encode(texts: readonly TokenText[], result: TextResult): void {
    const batch = this.#batch;
    batch.clear();
    let count = 0;
    for (const { tokens } of texts) count += tokens.length;
    const { threads } = this.settings;
    putBatchHeader(batch, {
      runsInline: false,
      threads,
      sequences: texts.length,
      tokens: count,
      ...result,
      rounds: 1,
      granted: 1,
      ends: 0,
    });
    let page = 0;
    texts.forEach(({ tokens, secondType }, id) => {
      const pages = this.#statePages + Math.ceil(tokens.length / pageSize);
      putBatchSequence(batch, {
        id,
        position: 0,
        tokens: tokens.length,
        pages,
        logits: "none",
        choices: 0,
        keep: false,
        hidden: 0,
        secondType,
        adapters: 0,
        late: false,
        states: false,
        pauses: false,
      });
      batch.list(tokens);
      batch.list(Array.from({ length: pages }, () => page++));
    });
  }
}
