/**
 * A small model that guesses for a larger one, or the larger one's own drafter (nextn). It has an engine and pages of its own,
 * reads what the sequences read, and goes on greedily; all sequences of a step are guessed for together. What it read of a guess
 * that was not kept is written over. A drafter reads each token beside what the larger model gave after the one before; beside its
 * own guesses, what it gave itself.
 *
 * @module
 */
import { Engine, type EngineModel, kvSizes } from "../../engine/engine.ts";
import { greedySampler } from "../../engine/greedy.ts";
import type { StepResult, StepSequence } from "../../engine/step.ts";
import { StepTimes } from "../../engine/step_times.ts";
import { StepThreads } from "../../engine/threads.ts";
import type { Model } from "../../model/model.ts";
import { KvStore } from "../kv_store.ts";
import { engineSizes } from "../memory_budget.ts";
import { PageTable } from "../page_table.ts";
import type { States } from "./states.ts";
import { draftsMost, type DraftSource, type Guessing } from "./types.ts";

/** Tokens of a prompt that it reads between two steps of the larger model. */
const catchUpMost = 256;
/** It goes on while its guesses together are at least so likely by its own probabilities. */
const surenessLeast = 0.3;

/** How its engine runs. */
export interface DraftSettings {
  readonly kv: Engine["settings"]["kv"];
  readonly pageSize: 16 | 32 | 64;
  readonly threads: number;
  readonly activationBits: 8 | 16;
  readonly sequences: number;
}

/** What guesses: a model, or the layer that a model has for it. */
interface DraftingModel extends EngineModel, Pick<Model, "residentBytes" | "context"> {
  readonly tokenizer: Pick<Model["tokenizer"], "endOfGeneration">;
}

/** What it has read of a sequence. */
interface Seat {
  readonly table: PageTable;
  /** Tokens of the sequence that it leaves out: those before the first state that it has, and the token after that. */
  base: number;
  /** Its first tokens that are in the pages: certain ones, then those that were guessed last. */
  certain: number;
  guessed: number[];
}

/** A sequence in the making of guesses. */
interface Work {
  readonly seat: Seat;
  readonly wanted: Guessing;
  /** Tokens to read next, and the position of the first. */
  tokens: Uint32Array;
  position: number;
  /** What the larger model, or for its guesses the drafter itself, gave after the token before each of them. */
  states: Float32Array | undefined;
  readonly guesses: number[];
  sureness: number;
  isOver: boolean;
}

/** A model that guesses. */
export class DraftModel implements DraftSource {
  /** Milliseconds of a guess, as of late. */
  msOfGuess = 0;
  readonly #engine: Engine;
  readonly #store: KvStore;
  readonly #times: StepTimes;
  readonly #context: number;
  readonly #vocabulary: number;
  readonly #ends: ReadonlySet<number>;
  readonly #seats = new Map<object, Seat>();
  readonly #sampler = greedySampler();

  /** Opens an engine over `model`, for guesses of tokens of `vocabulary`; the model stays the caller's. */
  constructor(model: DraftingModel, settings: DraftSettings, vocabulary: number) {
    const sizes = engineSizes(model, settings);
    this.#engine = new Engine(model, { ...settings, ...sizes }, new StepThreads());
    const { weightMost } = sizes;
    this.#store = new KvStore(this.#engine, { ...kvSizes(model.plan, settings.kv, settings.pageSize), weightMost });
    this.#times = new StepTimes(model.residentBytes);
    this.#context = model.context;
    this.#vocabulary = Math.min(model.vocabulary, vocabulary);
    this.#ends = model.tokenizer.endOfGeneration;
  }

  /** See {@link DraftSource}. */
  async guess(wanted: readonly Guessing[]): Promise<(readonly number[])[]> {
    const works = wanted.map((one) => this.#begin(one));
    const begin = performance.now();
    for (let round = 0; round < draftsMost; round++) {
      const left = works.filter((work): work is Work => work !== undefined && !work.isOver);
      if (left.length === 0) break;
      // What it has to read of prompts counts as no guess.
      const at = performance.now();
      await this.#step(left);
      if (round > 0) this.#measure((performance.now() - at) / left.length);
    }
    if (this.msOfGuess === 0) this.#measure(performance.now() - begin);
    return works.map((work) => work?.guesses ?? []);
  }

  /** See {@link DraftSource}. */
  leave(seat: object): void {
    this.#seats.get(seat)?.table.close();
    this.#seats.delete(seat);
  }

  /** Frees the engine; no step may come. */
  dispose(): Promise<void> {
    return this.#engine.dispose();
  }

  #measure(ms: number): void {
    this.msOfGuess += (ms - this.msOfGuess) / (this.msOfGuess === 0 ? 1 : 8);
  }

  /** What is to be read for a sequence; undefined where it cannot be guessed for. */
  #begin(wanted: Guessing): Work | undefined {
    const { count, states } = wanted;
    let seat = this.#seats.get(wanted.seat);
    if (!seat) {
      seat = { table: new PageTable(this.#store, undefined), base: 0, certain: 0, guessed: [] };
      this.#seats.set(wanted.seat, seat);
    }
    if (states) goOnFrom(seat, states);
    const tokens = wanted.tokens.subarray(seat.base);
    let kept = 0;
    // Beside what was guessed lies what the drafter gave, not what the model has given since.
    if (!states) { while (kept < seat.guessed.length && seat.guessed[kept] === tokens[seat.certain + kept]) kept++; }
    if (tokens.length === 0 || (states && states.end !== wanted.tokens.length - 1)) return undefined;
    // The last token is read again, where it was guessed: what follows it was not chosen.
    const position = Math.min(seat.certain + kept, tokens.length - 1);
    seat.certain = position;
    seat.guessed = [];
    if (tokens.length + count > this.#context) return undefined;
    const more = tokens.slice(position, position + catchUpMost);
    if (more.some((token) => token >= this.#vocabulary) || !seat.table.cover(tokens.length + count)) return undefined;
    const beside = states?.rows(seat.base - 1 + position, more.length);
    return { seat, wanted, tokens: more, position, states: beside, guesses: [], sureness: 1, isOver: false };
  }

  /** Reads what is to be read, and takes a guess of each sequence that has read all. */
  async #step(works: readonly Work[]): Promise<void> {
    let room = this.#engine.settings.batchTokens;
    const steps: StepSequence[] = [];
    const taking: Work[] = [];
    for (const [id, work] of works.entries()) {
      if (work.tokens.length > room) {
        work.isOver = true;
        continue;
      }
      room -= work.tokens.length;
      const { position, tokens, wanted, seat, states: hidden } = work;
      const isWhole = work.guesses.length > 0 || seat.base + position + tokens.length === wanted.tokens.length;
      const sample = isWhole ? { sampler: this.#sampler, top: 0 } : undefined;
      const states = hidden !== undefined;
      steps.push({ id, position, tokens, pages: seat.table.pages, logits: "none", sample, hidden, states });
      taking.push(work);
    }
    if (steps.length === 0) return;
    const read = steps.reduce((sum, { tokens }) => sum + tokens.length, 0);
    const begin = performance.now();
    const results = await this.#engine.run(steps, this.#times.isInline(read));
    this.#times.record(read, performance.now() - begin, read > steps.length ? read : 0);
    taking.forEach((work, index) => this.#take(work, results[index] as StepResult));
  }

  #take(work: Work, { error, choices, states }: StepResult): void {
    const { seat, tokens, guesses, wanted: { count } } = work;
    if (guesses.length === 0) seat.certain += tokens.length;
    else seat.guessed.push(...tokens);
    const [choice] = choices ?? [];
    // What it cannot compute it does not guess: the sequence goes on without.
    if (error || choice === undefined) {
      work.isOver = true;
      return;
    }
    work.sureness *= Math.exp(choice.logprob ?? 0);
    if (work.sureness < surenessLeast || this.#ends.has(choice.token) || choice.token >= this.#vocabulary) {
      work.isOver = true;
      return;
    }
    guesses.push(choice.token);
    work.position += tokens.length;
    work.tokens = Uint32Array.of(choice.token);
    if (states) work.states = states.slice(-states.length / tokens.length);
    work.isOver = guesses.length >= count;
  }
}

/** Has a seat go on behind what it has read, or, where states between are missing, begin with the first there is. */
function goOnFrom(seat: Seat, states: States): void {
  const next = seat.base - 1 + seat.certain;
  if (seat.base > 0 && next >= states.first && next <= states.end) return states.forget(next - 1);
  seat.base = states.first + 1;
  seat.certain = 0;
}
