/**
 * One step of a batch: turns a list of sequences into the words that native code reads, runs the step (beside the event
 * loop, or at once when it is very short), and reads the results. A chain is a step that native code repeats by itself, each
 * time with the tokens that it chose before. One step or chain is in flight at a time. Which sequences take part in a step,
 * and which pages a sequence has, is decided in `batching/`.
 *
 * @module
 */
import { errorOf } from "../../ffi/call.ts";
import { LightGPTError } from "../../ffi/errors.ts";
import { type Native, native } from "../../ffi/native.ts";
import { turn } from "../../ffi/runtime/builtins.ts";
import { type EngineHandle, MARKS } from "../../ffi/wire.ts";
import {
  type KvSizes,
  putBatchHeader,
  putBatchSequence,
  putEngineOptions,
  StepResult as Results,
} from "../../ffi/wire_calls.ts";
import { Words } from "../../ffi/words.ts";
import type { ModelPlan } from "../model/architectures/architectures.ts";
import { describeLayers } from "../model/encode_model.ts";
import { assertGenerates } from "../model/generates.ts";
import type { Model } from "../model/model.ts";
import type { Chain, EngineSettings, Round, SampleRequest, StepResult, StepRunner, StepSequence } from "./step.ts";
import { HeldEngine, settle } from "./held_engine.ts";
import { ProductInputs } from "./product_inputs.ts";
import type { StepThreads } from "./threads.ts";
import { nothingToChoose } from "../sampling/sampler.ts";
import type { Choice } from "../sampling/state.ts";

/** A step that gives nothing of whole texts. */
const NOT_POOLED = { pooling: "none", ranks: false, levels: false, dimensions: 0, normalises: false } as const;
const noLogits = new Float32Array(0);
const noChain = { rounds: 1, granted: 1, ends: [] } as const;
/** Version of the accumulation contract (`docs/design/contract.md`): what an engine of another computes has other bits. */
export const accumulationContract = 1;
/** Tokens of a step from which on it has the threads of prompts: it computes more than it reads. */
export const prefillTokensDefault = 2;

/** Bytes of a page of a model, and the pages that hold the state of one sequence: the library says what each layer takes. */
export function kvSizes(plan: ModelPlan, kv: EngineSettings["kv"], pageSize: number): KvSizes {
  return native().kvBytes(describeLayers(plan), kv, pageSize);
}

/** Rounds of a chain that were taken, and the floats of logits that came with them. */
interface Taken {
  readonly rounds: readonly Omit<Round, "isLast">[];
  readonly floats: number;
}

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
  /** What its products read. */
  readonly inputs: ProductInputs;
  readonly #stepThreads: StepThreads | undefined;
  readonly #native: Native = native();
  readonly #vocabulary: number;
  readonly #embedding: number;
  readonly #held: HeldEngine;
  readonly #batch: Words<"batch"> = new Words("batch", 1024);
  readonly #late: Words<"sampler"> = new Words("sampler", 256);
  #results: Results;
  #logits = noLogits;
  /** How many rounds of the chain in flight may run in all. */
  #granted = 0;

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
    this.#held = new HeldEngine(model, options);
    this.inputs = new ProductInputs(this.#held);
  }

  /** Runs one step; results come in the order of `sequences`. `isInline`: before this returns to the event loop. */
  async run(sequences: readonly StepSequence[], isInline: boolean): Promise<StepResult[]> {
    const handle = this.#held.handle;
    this.#encode(sequences, isInline);
    this.#native.submit(handle, this.#batch);
    await this.#held.inFlight(() => settle(handle));
    const results = this.#take(handle, sequences);
    this.#results.moveTo(0);
    this.#stepThreads?.record(this.#results.milliseconds);
    return results;
  }

  /** Runs a step round after round; where it is inline, all rounds end before this returns to the event loop. */
  async runChain(sequences: readonly StepSequence[], isInline: boolean, chain: Chain): Promise<void> {
    const handle = this.#held.handle;
    const most = this.#threadsMost(sequences.length);
    this.#granted = chain.granted;
    this.#encode(sequences, isInline, chain);
    const rows = sequences.filter(({ logits }) => logits === "last").length;
    this.#makeRoom(chain.rounds * sequences.length, rows * this.#vocabulary);
    this.#native.submit(handle, this.#batch);
    const take = (rounds: readonly Omit<Round, "isLast">[], isOver: boolean) =>
      rounds.forEach((round, index) => {
        if (index === 0 || !this.#stepThreads?.isTrying) this.#stepThreads?.record(round.ms);
        const granted = chain.take({ ...round, isLast: isOver && index === rounds.length - 1 });
        const isOther = this.#stepThreads?.isTrying || this.#threadsMost(sequences.length) !== most;
        this.#granted = isOther ? 0 : granted;
      });
    await this.#held.inFlight(async () => {
      let isOver = false;
      try {
        for (let isFirst = true; !isOver; isFirst = false) {
          // Where rounds end faster than they are taken, the event loop has its turn all the same.
          if (!isFirst && this.#native.idle(handle)) await turn();
          await settle(handle);
          const taken = this.#takeRounds(handle, sequences);
          isOver = !this.#native.chain(handle, this.#granted);
          const rest = isOver ? await this.#takeRest(handle, sequences, taken.floats) : [];
          take([...taken.rounds, ...rest], isOver);
          if (!isOver) this.#native.chain(handle, this.#granted);
        }
      } finally {
        if (!isOver) await this.#abandonChain(handle);
      }
    });
  }

  /** Lets the chain in flight end with the round in flight. */
  haltChain(): void {
    this.#granted = 0;
    if (this.#held.isBusy) this.#native.chain(this.#held.handle, 0);
  }

  /** Hands over what the choice of a sequence in the round in flight goes by. */
  handOver(id: number, { sampler, top }: SampleRequest, position: number): void {
    this.#late.clear();
    sampler.encodeNext(this.#late, this.#vocabulary, { position, top });
    this.#native.mask(this.#held.handle, id, this.#late);
  }

  /** Lets a sequence of the chain that pauses read `token` in the next round, and choose as `sample` says; false where none follows. */
  goOn(id: number, token: number, sample: SampleRequest | undefined, position: number): boolean {
    this.#late.clear();
    this.#late.list([token]);
    sample?.sampler.encodeNext(this.#late, this.#vocabulary, { position, top: sample.top });
    return this.#native.mask(this.#held.handle, id, this.#late);
  }

  /** Cancels sequence `id` of the step in flight, between two layers. */
  cancel(id: number): void {
    if (this.#held.isBusy) this.#native.cancel(this.#held.handle, id);
  }

  /** Copies page `from` to page `to`; no step may be in flight. */
  copyPage(from: number, to: number): void {
    this.#native.pageCopy({ engine: this.#held.handle, from, to });
  }

  /** Gives the memory of `count` pages back to the system until they are written again; returns how many bytes. */
  discardPages(first: number, count: number): number {
    return this.#native.pageDiscard({ engine: this.#held.handle, first, count });
  }

  /** Gives the memory of what windowed layers keep in a page back to the system; no step may be in flight. */
  leavePage(page: number): void {
    this.#native.pageLeave(this.#held.handle, page);
  }

  /**
   * Writes a page and a checksum to `out`, with or without what windowed layers keep; returns the bytes. No step may be in
   * flight.
   */
  exportPage(page: number, out: Uint8Array, isWhole: boolean = true): number {
    return this.#native.pageExport({ engine: this.#held.handle, page, whole: isWhole ? 1 : 0, out });
  }

  /** Takes over what {@link Engine.exportPage} wrote; false where the bytes are not those. No step may be in flight. */
  importPage(page: number, bytes: Uint8Array): boolean {
    return this.#native.pageImport(this.#held.handle, page, bytes);
  }

  /** Ends the engine: waits for a step in flight, which the caller has cancelled, and frees the memory. Again is fine. */
  dispose(): Promise<void> {
    return this.#held.dispose();
  }

  /**
   * The rounds that ended since of a chain that is over. The last one's results can be there, behind those of the one before, when the
   * step itself has not ended yet: it is waited for once more, or it would be in flight still at the next step.
   */
  async #takeRest(handle: EngineHandle, sequences: readonly StepSequence[], before: number): Promise<Taken["rounds"]> {
    await settle(handle);
    const { rounds, floats } = this.#takeRounds(handle, sequences, before);
    await settle(handle);
    return [...rounds, ...this.#takeRounds(handle, sequences, floats).rounds];
  }

  /** Ends a chain whose results nothing takes any more. */
  async #abandonChain(handle: EngineHandle): Promise<void> {
    this.#granted = 0;
    // Twice where no round follows, see `#takeRest`.
    for (let left = 2; left > 0;) {
      if (!this.#native.chain(handle, 0)) left--;
      await settle(handle);
      this.#native.take(handle, this.#results, this.#logits);
    }
  }

  /** Threads of a step of `tokens` tokens, at most. */
  #threadsMost(tokens: number): number {
    const { prefill, decode, prefillTokens } = this.threads;
    return tokens >= prefillTokens ? prefill : decode;
  }

  #encode(
    sequences: readonly StepSequence[],
    isInline: boolean,
    chain: Pick<Chain, "rounds" | "granted" | "ends"> = noChain,
  ): void {
    let count = 0;
    for (const { tokens } of sequences) count += tokens.length;
    const most = this.#threadsMost(count);
    const ends = [...chain.ends];
    const threads = this.#stepThreads?.threads(count, count > sequences.length, most, isInline) ?? most;
    // A trial of threads compares step by step.
    const rounds = this.#stepThreads?.isTrying ? 1 : chain.rounds;
    const granted = Math.min(rounds, chain.granted);
    const batch = this.#batch;
    batch.clear();
    putBatchHeader(batch, {
      runsInline: isInline,
      threads,
      sequences: sequences.length,
      tokens: count,
      ...NOT_POOLED,
      rounds,
      granted,
      ends: ends.length,
    });
    batch.list(ends);
    for (const sequence of sequences) {
      const { id, position, tokens, drafts = 0, pages, logits, sample, keep, hidden, adapters = [] } = sequence;
      const pauses = rounds > 1 && sequence.pauses === true;
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
        late: rounds > 1 && !pauses && sample?.sampler.changes === true,
        states: sequence.states === true,
        pauses,
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
    for (const { logits, tokens, keep, states, drafts = 0 } of sequences) {
      records += 1 + drafts;
      floats += (logits === "all" ? tokens.length : logits === "last" ? 1 : 0) * this.#vocabulary;
      if (keep) floats += this.#embedding;
      if (states) floats += tokens.length * this.#embedding;
    }
    this.#makeRoom(records, floats);
    this.#native.take(handle, this.#results, floats === 0 ? noLogits : this.#logits);
    let at = 0;
    let record = 0;
    return sequences.map(({ keep, states, tokens, sample, drafts = 0 }) => {
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
      if (states) {
        result.states = this.#logits.subarray(at, at + tokens.length * this.#embedding);
        at += tokens.length * this.#embedding;
      }
      return result;
    });
  }

  /** Makes room for so many results, and floats that come with them. */
  #makeRoom(records: number, floats: number): void {
    if (floats > this.#logits.length) this.#logits = new Float32Array(floats);
    if (records * Results.words <= this.#results.words.length) return;
    this.#results = new Results(new Uint32Array(records * Results.words));
  }

  /** The rounds of a chain that have ended and were not taken yet; logits lie behind the `floats` that were taken with others. */
  #takeRounds(handle: EngineHandle, sequences: readonly StepSequence[], floats: number = 0): Taken {
    const rounds: { results: (StepResult | undefined)[]; ms: number }[] = [];
    const records = this.#native.take(handle, this.#results, this.#logits.subarray(floats));
    for (let record = 0, place = 0; record < records; record++, place++) {
      this.#results.moveTo(record);
      const { id, status, rows, milliseconds } = this.#results;
      // The first sequence takes part in each round.
      if (id === sequences[0]?.id) {
        place = 0;
        rounds.push({ results: new Array(sequences.length).fill(undefined), ms: milliseconds });
      } else if (id !== sequences[place]?.id) place = sequences.findIndex((sequence) => sequence.id === id);
      const logits = rows === 0 ? noLogits : this.#logits.subarray(floats, floats += this.#vocabulary);
      const { sample } = sequences[place] as StepSequence;
      const result = status < 0
        ? { error: sequenceError(status, sample !== undefined), logits: noLogits }
        : { logits, ...(sample ? { choices: this.#choices(record, 1, sample) } : {}) };
      (rounds.at(-1) as { results: (StepResult | undefined)[] }).results[place] = result;
    }
    return { rounds, floats };
  }

  /** The tokens chosen for one sequence, of which `count` records tell from `first` on. */
  #choices(first: number, count: number, { sampler, top }: SampleRequest): Choice[] {
    const choices: Choice[] = [];
    for (let index = 0; index < count; index++) {
      this.#results.moveTo(first + index);
      if (this.#results.token === MARKS.noToken) break;
      choices.push(sampler.take(this.#results.sampled, this.#vocabulary, top));
    }
    return choices;
  }
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
