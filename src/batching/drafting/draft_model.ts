/**
 * A small model that guesses for a larger one. It has an engine and pages of its own, reads what the sequences read, and goes on
 * greedily; all sequences of a step are guessed for together. What it read of a guess that was not kept is written over.
 *
 * @module
 */
import { InvalidArgumentError } from "../../../ffi/errors.ts";
import { Engine, kvSizes } from "../../engine/engine.ts";
import { greedySampler } from "../../engine/greedy.ts";
import type { StepResult, StepSequence } from "../../engine/step.ts";
import { StepTimes } from "../../engine/step_times.ts";
import { StepThreads } from "../../engine/threads.ts";
import type { Model } from "../../model/model.ts";
import { vocabulariesDiffer } from "../../model/same_vocabulary.ts";
import { KvStore } from "../kv_store.ts";
import { engineSizes } from "../memory_budget.ts";
import { PageTable } from "../page_table.ts";
import { draftsMost, type DraftSource, type Guesser, type Guessing } from "./types.ts";

/** Tokens of a prompt that it reads between two steps of the larger model. */
const catchUpMost = 256;
/** It goes on while its guesses together are at least so likely by its own probabilities. */
const surenessLeast = 0.3;
/** What a guess is believed to be worth before any was verified, as if so many had been. */
const prior = 0.7;
const priorWeight = 6;
/** What older guesses count beside the newest. */
const memory = 0.95;
/** Steps without guesses before they are tried again; doubled each time that is in vain. */
const holdLeast = 16;
const holdMost = 256;

/** How its engine runs. */
interface DraftSettings {
  readonly kv: Engine["settings"]["kv"];
  readonly pageSize: 16 | 32 | 64;
  readonly threads: number;
  readonly activationBits: 8 | 16;
  readonly sequences: number;
}

/** What it has read of a sequence. */
interface Seat {
  readonly table: PageTable;
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
  constructor(model: Model, settings: DraftSettings, vocabulary: number) {
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
    const { tokens, count } = wanted;
    let seat = this.#seats.get(wanted.seat);
    if (!seat) {
      seat = { table: new PageTable(this.#store, undefined), certain: 0, guessed: [] };
      this.#seats.set(wanted.seat, seat);
    }
    let kept = 0;
    while (kept < seat.guessed.length && seat.guessed[kept] === tokens[seat.certain + kept]) kept++;
    // The last token is read again, where it was guessed: what follows it was not chosen.
    const position = Math.min(seat.certain + kept, tokens.length - 1);
    seat.certain = position;
    seat.guessed = [];
    if (tokens.length + count > this.#context) return undefined;
    const more = tokens.slice(position, position + catchUpMost);
    if (more.some((token) => token >= this.#vocabulary) || !seat.table.cover(tokens.length + count)) return undefined;
    return { seat, wanted, tokens: more, position, guesses: [], sureness: 1, isOver: false };
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
      const { position, tokens, wanted, seat } = work;
      const isWhole = work.guesses.length > 0 || position + tokens.length === wanted.tokens.length;
      const sample = isWhole ? { sampler: this.#sampler, top: 0 } : undefined;
      steps.push({ id, position, tokens, pages: seat.table.pages, logits: "none", sample });
      taking.push(work);
    }
    if (steps.length === 0) return;
    const read = steps.reduce((sum, { tokens }) => sum + tokens.length, 0);
    const begin = performance.now();
    const results = await this.#engine.run(steps, this.#times.isInline(read));
    this.#times.record(read, performance.now() - begin, read > steps.length ? read : 0);
    taking.forEach((work, index) => this.#take(work, results[index] as StepResult));
  }

  #take(work: Work, { error, choices }: StepResult): void {
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
    work.isOver = guesses.length >= count;
  }
}

/** Guesses by a model for one sequence: how many, what was kept of them says. */
export class ModelGuesser implements Guesser {
  readonly isWeighed: boolean = true;
  readonly model: DraftSource;
  #right = prior * priorWeight;
  #seen = priorWeight;
  #idle = 0;
  #hold = holdLeast;

  /** Has `model` guess. */
  constructor(model: DraftSource) {
    this.model = model;
  }

  /** See {@link Guesser}. */
  chances(_tokens: Uint32Array, most: number): readonly number[] {
    if (++this.#idle > this.#hold) {
      this.#hold = Math.min(holdMost, 2 * this.#hold);
      this.#right = prior * priorWeight;
      this.#seen = priorWeight;
      this.#idle = 0;
    }
    return new Array<number>(Math.max(0, Math.min(most, draftsMost))).fill(this.#right / this.#seen);
  }

  /** Only the model knows them. */
  guesses(): readonly number[] {
    return [];
  }

  /** See {@link Guesser}. */
  verified(guessed: number, kept: number): void {
    // The guesses behind the first that was wrong say nothing.
    const seen = Math.min(guessed, kept + 1);
    const faded = memory ** seen;
    this.#right = this.#right * faded + kept;
    this.#seen = this.#seen * faded + seen;
    this.#idle = 0;
    if (kept > 0) this.#hold = holdLeast;
  }
}

/** The draft models of one batcher, each opened when a request first names it. */
export class DraftModels {
  readonly #model: Model;
  readonly #settings: DraftSettings;
  readonly #open = new Map<Model, DraftModel>();

  /** Draft models for `model`, with the settings of its engine. */
  constructor(model: Model, settings: DraftSettings) {
    this.#model = model;
    this.#settings = settings;
  }

  /**
   * The draft model over `draft`.
   *
   * @throws {InvalidArgumentError} where it has another vocabulary, or layers that keep a state
   */
  of(draft: Model): DraftModel {
    let found = this.#open.get(draft);
    if (found === undefined) {
      const difference = vocabulariesDiffer(this.#model, draft);
      if (difference) refuse(difference.expected, difference.got);
      const { kv, pageSize } = this.#settings;
      if (kvSizes(draft.plan, kv, pageSize).statePages > 0) {
        refuse(
          "a model whose layers all keep keys and values",
          "one with layers that keep a state, which cannot go back",
        );
      }
      found = new DraftModel(draft, this.#settings, this.#model.vocabulary);
      this.#open.set(draft, found);
    }
    return found;
  }

  /** Frees all of them. */
  async dispose(): Promise<void> {
    for (const model of this.#open.values()) await model.dispose();
    this.#open.clear();
  }
}

function refuse(expected: string, got: string): never {
  throw new InvalidArgumentError(`draft: expected ${expected}, got ${got}.`, {
    what: "a draft model that does not fit",
    where: "draft",
    expected,
    got,
  });
}
