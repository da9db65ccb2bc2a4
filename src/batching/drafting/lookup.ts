/**
 * Prompt lookup: what followed the last tokens where they stood before, in the prompt or in the answer, is guessed to follow
 * again. While the text goes on as it did there, the place moves on with it; where it departs, the place of the longest match
 * is looked up. How often a match of some length was right is learned from every token, drafted or not, so it costs nothing
 * to find out that guesses begin to pay.
 *
 * @module
 */
import { draftsMost, type Guesser } from "./types.ts";

/** Tokens that a place must have in common with the end of the text. */
const gram = 2;
/** Places that are looked at for the longest match, the latest first. */
const placesMost = 24;
/** A match is measured up to this length. */
const matchedMost = 64;
/** Lengths of matches from which on the next class begins. Class 0 is the place after one token that differed. */
const classes = [0, 1, 3, 5, 9, 17, 33] as const;
/** What is believed of each class before anything was seen, as if `priorWeight` guesses had shown it. */
const priors = [0.3, 0.4, 0.55, 0.7, 0.8, 0.9, 0.95] as const;
const priorWeight = 4;
/** What older guesses count beside the newest one. */
const memory = 0.97;

/** Looks the next tokens of one sequence up in what came before. */
export class Lookup implements Guesser {
  readonly isWeighed: boolean;
  /** A guess stops before these: what ends a text has nothing behind it. */
  readonly #ends: ReadonlySet<number>;
  #tokens: Uint32Array = new Uint32Array(0);
  /** Tokens that were looked at, and how many of them were given. */
  #length = 0;
  #given = 0;
  /** Of each hash of a gram the position behind its latest place; of each position the one before with the same hash. 0: none. */
  #latest = new Int32Array(0);
  #before = new Int32Array(0);
  /** The position of the token that is guessed next, and how many tokens before it equal the last ones; -1: none. */
  #place = -1;
  #matched = 0;
  readonly #right = Float64Array.from(priors, (prior) => prior * priorWeight);
  readonly #seen = new Float64Array(priors.length).fill(priorWeight);

  /** `ends` are the tokens that end a text; `isWeighed` as `Guesser` says. */
  constructor(ends: ReadonlySet<number>, isWeighed: boolean) {
    this.#ends = ends;
    this.isWeighed = isWeighed;
  }

  /** See {@link Guesser}. */
  chances(tokens: Uint32Array, most: number): readonly number[] {
    this.#follow(tokens);
    const chances: number[] = [];
    if (this.#place < 0) return chances;
    for (let index = 0; index < Math.min(most, draftsMost); index++) {
      if (this.#ends.has(this.#guessAt(index))) break;
      chances.push(this.#chance(this.#matched + index));
    }
    return chances;
  }

  /** See {@link Guesser}. */
  guesses(count: number): readonly number[] {
    return Array.from({ length: count }, (_, index) => this.#guessAt(index));
  }

  /** What was verified shows in the tokens that come. */
  verified(): void {}

  /** A text that repeats itself goes on in what is guessed. */
  #guessAt(index: number): number {
    const period = this.#length - this.#place;
    return this.#tokens[this.#place + index % period] as number;
  }

  #chance(matched: number): number {
    const own = classOf(matched);
    return (this.#right[own] as number) / (this.#seen[own] as number);
  }

  #follow(tokens: Uint32Array): void {
    this.#tokens = tokens;
    if (this.#given === 0) this.#given = tokens.length;
    if (tokens.length >= this.#before.length) this.#index(tokens);
    for (; this.#length < tokens.length; this.#length++) {
      if (this.#length >= this.#given) this.#learn(tokens[this.#length] as number);
      if (this.#length >= this.#given - 1) this.#find(this.#length + 1);
      this.#keep(this.#length + 1);
    }
  }

  /** Counts whether the token that came was guessed, and moves on. */
  #learn(token: number): void {
    if (this.#place < 0) return;
    const isRight = this.#tokens[this.#place] === token;
    const own = classOf(this.#matched);
    this.#right[own] = (this.#right[own] as number) * memory + Number(isRight);
    this.#seen[own] = (this.#seen[own] as number) * memory + 1;
    if (isRight) {
      this.#place++;
      this.#matched = Math.min(matchedMost, this.#matched + 1);
    } else if (this.#matched > 0 && this.#place + 1 < this.#length) {
      this.#place++;
      this.#matched = 0;
    } else this.#place = -1;
  }

  /** Finds the place with the longest match before `end`, where the present one has none. */
  #find(end: number): void {
    if (this.#matched > 0 && this.#place >= 0) return;
    if (end < gram) return;
    let longest = 0;
    let place = this.#latest[this.#hash(end)] as number;
    for (let looked = 0; place > 0 && looked < placesMost; looked++, place = this.#before[place] as number) {
      const matched = this.#matchOf(place, end);
      if (matched < gram || matched <= longest) continue;
      longest = matched;
      this.#place = place;
    }
    if (longest > 0) this.#matched = longest;
  }

  /** How many tokens before `place` equal those before `end`. */
  #matchOf(place: number, end: number): number {
    const tokens = this.#tokens;
    let matched = 0;
    while (matched < Math.min(place, matchedMost) && tokens[place - 1 - matched] === tokens[end - 1 - matched]) {
      matched++;
    }
    return matched;
  }

  /** Keeps the place behind the gram that ends before `end`. */
  #keep(end: number): void {
    if (end < gram) return;
    const hash = this.#hash(end);
    this.#before[end] = this.#latest[hash] as number;
    this.#latest[hash] = end;
  }

  #hash(end: number): number {
    const mixed = Math.imul(this.#tokens[end - 1] as number, 0x9e37_79b1) ^
      Math.imul(this.#tokens[end - 2] as number, 0x85eb_ca6b);
    return (mixed ^ (mixed >>> 15)) & (this.#latest.length - 1);
  }

  /** Makes room for twice as many tokens, and keeps the places again. */
  #index(tokens: Uint32Array): void {
    const size = 2 ** (32 - Math.clz32(tokens.length));
    this.#latest = new Int32Array(2 * size);
    this.#before = new Int32Array(2 * size);
    for (let end = gram; end <= this.#length; end++) this.#keep(end);
  }
}

function classOf(matched: number): number {
  let own = classes.length - 1;
  while (matched < (classes[own] as number)) own--;
  return own;
}
