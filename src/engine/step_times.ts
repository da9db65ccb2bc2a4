/**
 * How long steps take, and what follows from it: whether the next one may run on the calling thread, and how large a chunk
 * of prompt is. Both change when something is computed, never what (`docs/design/contract.md`).
 *
 * @module
 */

/** Milliseconds: a step that is expected to take longer does not run on the JavaScript thread. */
const inlineMs = 0.5;
/**
 * One step in so many that seem to take up to `probeMs` runs there all the same: what is measured beside the event loop has
 * the way there and back in it, 0.1 to 0.6 ms, and would keep a small model away from the faster way for good.
 */
const probeEvery = 16;
const probeMs = 2;
/**
 * The most milliseconds that a layer of a step with a chunk of a prompt should take: a request that is given up is noticed
 * between two layers.
 */
export const layerMsMost = 50;
/** Milliseconds of a layer that a chunk aims at: what comes next takes longer, for more positions lie before it. */
export const layerMsAim = 40;
/** Bytes of weights that a modest processor reads in a millisecond: the guess before anything was measured. */
const guessedBytesPerMs = 10e6;

/** How many times as long a step of twice the tokens takes, until that is measured. */
const growth = 1.4;

const chunkLeast = 16;
/** A chunk is whole tiles of so many tokens, as kernels take them. */
const tile = 8;
/** A chunk grows where a layer of one so many times as large is short enough. */
const growthLeast = 1.15;
/** The fewest tokens of a chunk beside sequences that wait for a token. */
const chunkBesideLeast = 4;
/** How many times as long as one without prompts a step with prompts may be, and one with those of answers that broke off. */
const besideMost = 2;
const resumingMost = 8;
/** Tokens of the first chunk. */
export const chunkFirst = 64;
/** The most tokens of a chunk. */
export const chunkMost = 512;

/** What steps of about as many tokens come to. */
interface SizeClass {
  /** Of the steps of late, on average. */
  tokens: number;
  ms: number;
}

/** Times of steps, by the size of their batch. */
export class StepTimes {
  /** By the logarithm of the tokens. */
  readonly #classes: SizeClass[] = [];
  readonly #weightBytes: number;
  readonly #layers: number;
  /** Whether the chunk was set by an option, and stays so. */
  readonly isFixed: boolean;
  #chunk: number;
  /** The most milliseconds of a step with prompts for which other sequences wait; undefined: by that of a step without prompts. */
  stepMs: number | undefined;
  #most: number;
  #beside = 0;

  /** `weightBytes` make the first guess; `chunk` fixes the chunk size, which otherwise adapts to the time of one of `layers`. */
  constructor(weightBytes: number, chunk?: number, layers: number = 1) {
    this.#weightBytes = weightBytes;
    this.#layers = layers;
    this.isFixed = chunk !== undefined;
    this.#chunk = chunk ?? chunkFirst;
    this.#most = chunk ?? chunkMost;
  }

  /** Prompt tokens of a step for which no other sequence waits. */
  get chunk(): number {
    return this.#chunk;
  }

  /** The most that the chunk may be. Setting it sets the chunk, too, unless that is fixed. */
  get most(): number {
    return this.#most;
  }
  set most(tokens: number) {
    if (this.isFixed) return;
    this.#most = tokens;
    this.#chunk = tokens;
  }

  /**
   * How many tokens of prompts a step should take for which `decoders` sequences wait for their next token, while `readers`
   * prompts are to be read: so many that it takes about `stepMs`. Without `stepMs` it may take twice as
   * long as without prompts, or as long as a step in which all of them decode: a batch that is not full wastes more time. Where a
   * prompt resumes an answer that broke off, its reader has waited for longer than others will: then a step may take eight times as
   * long.
   */
  chunkBeside(decoders: number, readers: number, isResuming: boolean): number {
    if (decoders === 0 || this.isFixed) return this.#chunk;
    const most = this.stepMs ?? (isResuming ? resumingMost : besideMost) * this.expect(decoders);
    const least = Math.max(chunkBesideLeast, this.stepMs === undefined ? readers : 0);
    let chunk = this.#chunk;
    while (chunk > least && this.expect(decoders + chunk) > most) {
      chunk = Math.max(least, chunk - Math.max(1, Math.floor(chunk / 8)));
    }
    return chunk;
  }

  /** Whether a step of `tokens` tokens should run before `submit` returns. */
  isInline(tokens: number): boolean {
    const ms = this.expect(tokens);
    return ms < inlineMs || (ms < probeMs && ++this.#beside % probeEvery === 0);
  }

  /** Whether a step of `tokens` tokens is expected to be so short that it runs before `submit` returns. */
  isShort(tokens: number): boolean {
    return this.expect(tokens) < inlineMs;
  }

  /** How many such steps may follow one another before the event loop has its turn. */
  roundsInline(tokens: number): number {
    return Math.max(1, Math.floor(inlineMs / this.expect(tokens)));
  }

  /** A step of `tokens` tokens, `prompt` of them from prompts, took `ms`. */
  record(tokens: number, ms: number, prompt: number): void {
    const size = sizeClass(tokens);
    // Half the new, half the old: one disturbed step among quick ones changes nothing.
    const known = this.#classes[size] ?? { tokens, ms: this.expect(tokens) };
    this.#classes[size] = { tokens: (known.tokens + tokens) / 2, ms: (this.expect(tokens) + ms) / 2 };
    if (!this.isFixed && prompt > this.#chunk / 2) this.#adapt(prompt, tokens * layerMsAim / (ms / this.#layers));
  }

  /** Takes the chunk towards so many tokens, whose layers are as long as they may be; at most twice or half as many at once. */
  #adapt(prompt: number, aim: number): void {
    const isLarger = prompt >= this.#chunk && aim > growthLeast * this.#chunk;
    if (aim >= this.#chunk && !isLarger) return;
    const next = Math.min(2 * this.#chunk, Math.max(this.#chunk / 2, aim));
    this.#chunk = Math.min(this.#most, Math.max(chunkLeast, tile * Math.floor(next / tile)));
  }

  /** The expected milliseconds of a step of `tokens` tokens. */
  expect(tokens: number): number {
    const size = sizeClass(tokens);
    const own = this.#classes[size];
    if (own !== undefined) return this.#between(own, this.#classes[own.tokens < tokens ? size + 1 : size - 1], tokens);
    // From what was measured of smaller steps: the weights are read once for all tokens, the rest grows with them.
    for (let smaller = size - 1; smaller >= 0; smaller--) {
      const known = this.#classes[smaller];
      if (known === undefined) continue;
      const before = this.#classes[smaller - 1];
      if (before === undefined) return known.ms * growth ** (size - smaller);
      // Two steps of about as many tokens say little about that: it takes no shorter, and no longer than in proportion.
      const most = known.ms * tokens / known.tokens;
      return Math.min(most, Math.max(known.ms, this.#between(known, before, tokens)));
    }
    return (this.#weightBytes / guessedBytesPerMs) * Math.max(1, 2 ** size / 8);
  }

  /** The milliseconds of a step on the line through a class and its neighbour, where that is known. */
  #between(own: SizeClass, other: SizeClass | undefined, tokens: number): number {
    if (other === undefined || own.tokens === other.tokens) return own.ms;
    return own.ms + (other.ms - own.ms) * (tokens - own.tokens) / (other.tokens - own.tokens);
  }
}

function sizeClass(tokens: number): number {
  return 31 - Math.clz32(Math.max(1, tokens));
}
