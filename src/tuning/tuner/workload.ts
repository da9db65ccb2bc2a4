/**
 * The work by which settings are compared: steps of the subject, timed within a budget. The times so far tell how long the next
 * steps will take, so that no work begins for which there is no time.
 *
 * @module
 */
import { layerMsAim, layerMsMost } from "../../engine/step_times.ts";
import type { Budget } from "./time_budget.ts";
import type { Subject, TunedSettings } from "./subject.ts";

const warmUpMs = 200;
/** A sample of steps that are shorter has several of them. */
const sampleMs = 4;
const stepsMost = 64;
/** The least prompt that is measured. */
const promptLeast = 16;

/** Steps of a subject and their times. */
export class Works {
  readonly #subject: Subject;
  readonly #budget: Budget;
  /** Of a token that is generated, of one of a prompt, and of that by the number of threads, as far as they are known. */
  #decodeMs: number | undefined;
  #decodeLeastMs: number | undefined;
  #promptTokenMs: number | undefined;
  readonly #byThreads = new Map<number, number>();
  /** Milliseconds of whole chunks, by threads and size. */
  readonly #chunkMs = new Map<string, number>();
  /** Chunks whose steps are short enough with the defaults, and how long they are. */
  #chunks: ReadonlyMap<number, number> = new Map();
  /** Chunks whose steps are short enough with some settings. */
  readonly #sizes = new Set<number>();

  /** Nothing is measured yet. */
  constructor(subject: Subject, budget: Budget) {
    this.#subject = subject;
    this.#budget = budget;
  }

  /** Chunks whose steps are short enough with some of the settings that they were timed with, the smallest first. */
  get chunks(): number[] {
    return [...this.#sizes].sort((a, b) => a - b);
  }

  /** About the chunk that `engine/step_times.ts` would settle on by itself: the largest that was timed and is not larger. */
  get chunkBase(): number {
    const { layers } = this.#subject;
    const short = [...this.#chunks].filter(([, ms]) => ms / layers <= layerMsAim).map(([chunk]) => chunk);
    return Math.max(promptLeast, ...short);
  }

  /** A prompt of whole chunks of any size. */
  get promptTokens(): number {
    return Math.max(promptLeast, ...this.chunks);
  }

  /** A short prompt. */
  get shortTokens(): number {
    return Math.min(promptLeast, this.#subject.chunkMost);
  }

  /** Generates until the runtime has compiled what runs between steps, which of small models takes longer than the steps. */
  async #warmUp(settings: TunedSettings): Promise<void> {
    const budget = this.#budget.share(Math.min(warmUpMs, this.#budget.leftMs / 20));
    do await this.decode(settings, 1); while (!budget.isOver(this.#decodeMs));
  }

  /** Looks which chunks are short enough with the defaults. */
  async begin(defaults: TunedSettings): Promise<void> {
    await this.#warmUp(defaults);
    this.#chunks = await this.timeChunks(defaults, this.#budget.share(this.#budget.leftMs / 6));
  }

  /** Milliseconds of chunks of all sizes with some settings, up to the first that takes too long. */
  async timeChunks(settings: TunedSettings, budget: Budget): Promise<Map<number, number>> {
    const times = new Map<number, number>();
    for (let chunk = promptLeast; chunk <= this.#subject.chunkMost; chunk *= 2) {
      let ms = Infinity;
      // One of two may be disturbed.
      for (let count = 0; count < 2 && !budget.isOver(this.promptMs(chunk, settings.prefillThreads)); count++) {
        ms = Math.min(ms, await this.prefill(settings, chunk) ?? Infinity);
      }
      if (ms / this.#subject.layers > layerMsMost) break;
      times.set(chunk, ms);
      this.#sizes.add(chunk);
    }
    return times;
  }

  /** What a step may take in which so many sequences generate a token; 0 before anything is known. */
  decodeMs(sequences: number): number {
    return (this.#decodeMs ?? 0) + (sequences - 1) * (this.#promptTokenMs ?? this.#decodeMs ?? 0);
  }

  /** What reading so many tokens may take; 0 before anything is known. */
  promptMs(tokens: number, threads?: number): number {
    // A token of a prompt takes no longer than one that is generated.
    const known = threads === undefined ? undefined : this.#byThreads.get(threads);
    return tokens * (known ?? this.#promptTokenMs ?? this.#decodeLeastMs ?? 0);
  }

  /** Whether a request that is given up is noticed soon enough in a chunk, by the shortest step of one so far, with so many threads. */
  isPrompt({ prefillThreads, chunkTokens }: TunedSettings): boolean {
    return (this.#chunkMs.get(`${prefillThreads} ${chunkTokens}`) ?? 0) / this.#subject.layers <= layerMsMost;
  }

  /** A step in which so many sequences generate a token each. */
  async decode(settings: TunedSettings, sequences: number): Promise<void> {
    const ms = await this.#budget.time(() => this.#subject.decode(settings, sequences));
    if (sequences > 1 || ms === undefined) return;
    this.#decodeMs = smoothed(this.#decodeMs, ms);
    this.#decodeLeastMs = Math.min(ms, this.#decodeLeastMs ?? Infinity);
  }

  /** A step of so many tokens of a prompt, `at` the position of the first; its milliseconds. */
  async prefill(settings: TunedSettings, tokens: number, at?: number): Promise<number | undefined> {
    const ms = await this.#budget.time(() => this.#subject.prefill(settings, tokens, at));
    if (ms === undefined) return undefined;
    const { prefillThreads } = settings;
    this.#promptTokenMs = smoothed(this.#promptTokenMs, ms / tokens);
    this.#byThreads.set(prefillThreads, smoothed(this.#byThreads.get(prefillThreads), ms / tokens) as number);
    const chunk = `${prefillThreads} ${tokens}`;
    this.#chunkMs.set(chunk, Math.min(ms, this.#chunkMs.get(chunk) ?? Infinity));
    return ms;
  }

  /** Reads a prompt of `tokens` tokens in chunks. */
  async readPrompt(settings: TunedSettings, tokens: number): Promise<void> {
    const chunk = Math.min(this.#subject.chunkMost, settings.chunkTokens);
    for (let at = 0; at < tokens; at += chunk) await this.prefill(settings, Math.min(chunk, tokens - at), at);
  }

  /** A prompt's end far into the context, where pages count, and two tokens. */
  async continueFar(settings: TunedSettings): Promise<void> {
    await this.prefill(settings, this.shortTokens, this.#subject.chunkMost);
    await this.decode(settings, 1);
    await this.decode(settings, 1);
  }

  /** How many steps make a sample that is long enough for the clock. */
  async samplesOf(step: () => Promise<void>, estimate: () => number, budget: Budget): Promise<number> {
    let ms: number | undefined;
    for (let count = 0; count < 2 && (ms ?? 0) < sampleMs && !budget.isOver(estimate()); count++) {
      ms = await budget.time(step); // the first of two is the slower
    }
    return ms === undefined ? 1 : Math.max(1, Math.min(stepsMost, Math.ceil(sampleMs / ms)));
  }
}

/** The mean of the old estimate and the new time. */
function smoothed(known: number | undefined, ms: number | undefined): number | undefined {
  return ms === undefined || known === undefined ? ms ?? known : (known + ms) / 2;
}
