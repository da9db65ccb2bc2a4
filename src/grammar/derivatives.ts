/**
 * What is left of a language after a byte: its derivative, made once for each term and class of bytes. And whether a language
 * has a text at all, which after intersections and complements only a search tells.
 *
 * @module
 */
import { bitsOf, hasBit } from "../sampling/bits.ts";
import type { GrammarBudget } from "./budget.ts";
import { Firsts } from "./firsts.ts";
import { Inclusions } from "./inclusions.ts";
import { EMPTY, KIND, type Lexeme, type Lexemes, NOTHING } from "./lexemes.ts";
import { type Partition, Partitions, WHOLE } from "./partitions.ts";
import { Slices } from "./slices.ts";
import { TextSearch } from "./text_search.ts";
import { Uncounted } from "./uncounted.ts";

/** Parts of a sequence that are looked at for one without end. */
const partsMost = 16;

/** Bytes of texts that are looked at for a list of them. */
const listStepsMost = 20_000;

/** Languages behind beginnings of texts that are looked at for the one whose texts are the longest. */
const beginningsMost = 400;

/** Derives terms. All of their sets of bytes exist by now: derivatives bring no new classes. */
export class Derivatives {
  /** Of each byte its class. */
  readonly classOf: Uint8Array;
  /** Of each class one of its bytes. */
  readonly byteOf: Uint8Array;
  /** Breaks off what takes long: nearly all of it is deriving. */
  readonly slices: Slices = new Slices();
  readonly #lexemes: Lexemes;
  readonly #budget: GrammarBudget;
  readonly #derived = new Map<number, Lexeme>();
  readonly #firsts: Firsts;
  readonly #inclusions: Inclusions;
  readonly #uncounted: Uncounted;
  /** Of languages that were searched, how many bytes a text of them has. */
  readonly #lengths = new Map<Lexeme, number>();
  /** Of languages, how many bytes a text needs at most behind any beginning. */
  readonly #farthests = new Map<Lexeme, number>();
  /** Searches that were broken off, by where they began. */
  readonly #searches = new Map<Lexeme, TextSearch>();
  readonly #partitions: Partitions;
  /** Of each class a part. */
  readonly #apart: Partition;
  readonly #partitionOf: (Partition | undefined)[] = [];
  readonly #partitionOfSet: (Partition | undefined)[] = [];

  /** Derives terms of `lexemes`. */
  constructor(lexemes: Lexemes, budget: GrammarBudget) {
    this.#lexemes = lexemes;
    this.#budget = budget;
    const { classOf, byteOf } = lexemes.sets.classes();
    this.classOf = classOf;
    this.byteOf = byteOf;
    this.#firsts = new Firsts(lexemes, byteOf);
    this.#inclusions = new Inclusions(lexemes, this);
    this.#uncounted = new Uncounted(lexemes);
    this.#partitions = new Partitions(byteOf.length);
    this.#apart = this.#partitions.intern((own) => own);
  }

  /** What is left of a language after a byte of a class. */
  derive(lexeme: Lexeme, byteClass: number): Lexeme {
    if (lexeme <= EMPTY) return NOTHING;
    const only = this.#lexemes.only(lexeme);
    if (only >= 0) return this.classOf[only] === byteClass ? this.#lexemes.rest(lexeme) : NOTHING;
    if (!hasBit(this.first(lexeme), byteClass)) return NOTHING;
    const key = lexeme * 256 + this.#partitions.parts(this.#partition(lexeme))[byteClass];
    let found = this.#derived.get(key);
    if (found !== undefined) return found;
    this.#derived.set(key, found = this.#derive(lexeme, byteClass));
    this.#budget.work(2 + this.#lexemes.parts(lexeme).length);
    this.slices.tick();
    return found;
  }

  #derive(lexeme: Lexeme, byteClass: number): Lexeme {
    const lexemes = this.#lexemes;
    const parts = lexemes.parts(lexeme);
    const derive = (part: Lexeme) => this.derive(part, byteClass);
    switch (lexemes.kind(lexeme)) {
      case KIND.bytes:
        return hasBit(lexemes.sets.get(lexemes.value(lexeme)), this.byteOf[byteClass]) ? EMPTY : NOTHING;
      case KIND.then: {
        const [first, second] = parts;
        const left = lexemes.then(derive(first), second);
        return lexemes.isNullable(first) ? this.#inclusions.simplified(lexemes.either(left, derive(second))) : left;
      }
      case KIND.either:
        return this.#inclusions.simplified(lexemes.oneOf(parts.map(derive)));
      case KIND.both: {
        const left = lexemes.both(...parts.map(derive));
        return this.#inclusions.isContradiction(left) ? NOTHING : left;
      }
      case KIND.not:
        return lexemes.not(derive(parts[0]));
      case KIND.multiple:
        return lexemes.multipleAfter(lexeme, this.byteOf[byteClass]);
      default: { // repeat
        const [least, most] = [lexemes.value(lexeme), lexemes.most(lexeme)];
        return lexemes.then(derive(parts[0]), lexemes.repeat(parts[0], Math.max(0, least - 1), most - 1));
      }
    }
  }

  /** Of each class a part: after classes of the same part the same is left of a language. */
  parts(lexeme: Lexeme): Uint8Array {
    return this.#partitions.parts(this.#partition(lexeme));
  }

  /** Classes, one of each list of those that neither of two languages tells apart. */
  apart(a: Lexeme, b: Lexeme): readonly number[] {
    return this.#partitions.firsts(this.#partitions.meet(this.#partition(a), this.#partition(b)));
  }

  /** The classes that a term tells apart. */
  #partition(lexeme: Lexeme): Partition {
    return this.#partitionOf[lexeme] ??= this.#findPartition(lexeme);
  }

  #findPartition(lexeme: Lexeme): Partition {
    const lexemes = this.#lexemes;
    const parts = lexemes.parts(lexeme);
    switch (lexemes.kind(lexeme)) {
      case KIND.bytes: {
        const set = lexemes.value(lexeme);
        return this.#partitionOfSet[set] ??= this.#partitions.intern((own) =>
          Number(hasBit(lexemes.sets.get(set), this.byteOf[own]))
        );
      }
      case KIND.then: {
        const first = this.#partition(parts[0]);
        return lexemes.isNullable(parts[0]) ? this.#partitions.meet(first, this.#partition(parts[1])) : first;
      }
      case KIND.multiple:
        return this.#apart;
      default:
        return this.#meet(parts);
    }
  }

  /** The classes that some terms tell apart. */
  #meet(lexemes: readonly Lexeme[]): Partition {
    let all = WHOLE;
    for (const lexeme of lexemes) all = this.#partitions.meet(all, this.#partition(lexeme));
    return all;
  }

  /** The classes of first bytes: all by which texts of a language begin, and maybe others. */
  first(lexeme: Lexeme): Uint32Array {
    return this.#firsts.of(lexeme);
  }

  /** The same classes as a list. */
  firstClasses(lexeme: Lexeme): readonly number[] {
    const only = this.#lexemes.only(lexeme);
    return only >= 0 ? [this.classOf[only]] : bitsOf(this.first(lexeme));
  }

  /** Whether a language has a text. */
  hasText(lexeme: Lexeme): boolean {
    const lexemes = this.#lexemes;
    if (lexeme === NOTHING) return false;
    if (lexemes.isNullable(lexeme) || !lexemes.needsSearch(lexeme)) return true;
    const parts = lexemes.parts(lexeme);
    switch (lexemes.kind(lexeme)) {
      case KIND.then: // as long as a text may be
        for (; lexemes.kind(lexeme) === KIND.then; lexeme = lexemes.parts(lexeme)[1]) {
          if (!this.hasText(lexemes.parts(lexeme)[0])) return false;
        }
        return this.hasText(lexeme);
      case KIND.either:
        return parts.some((part) => this.hasText(part));
      case KIND.repeat:
        return this.hasText(parts[0]);
      default:
        return this.#lexemes.known.get(lexeme) ?? this.#searchUnlessEndless(lexeme);
    }
  }

  #searchUnlessEndless(lexeme: Lexeme): boolean {
    if (!this.isEndless(lexeme) && !this.#hasShortText(lexeme)) return this.#search(lexeme);
    this.#lexemes.known.set(lexeme, true);
    return true;
  }

  /**
   * Whether the language without its greatest counts has a text that is short enough to keep them. Those languages are few: what is
   * left of a text of up to 100 characters is another language after each of them, but for the count.
   */
  #hasShortText(lexeme: Lexeme): boolean {
    const [open, most] = this.#uncounted.of(lexeme);
    return open !== lexeme && this.hasText(open) && this.#lengthOf(open) <= most;
  }

  /** Whether it is sure, by its form, that a language has texts without end: more than a few that are forbidden. */
  isEndless(lexeme: Lexeme): boolean {
    const lexemes = this.#lexemes;
    const parts = lexemes.parts(lexeme);
    if (lexemes.isFinite(lexeme)) return false;
    switch (lexemes.kind(lexeme)) {
      case KIND.then:
        // Of a few parts, for it is asked at each place; the others have texts.
        for (let left = partsMost; lexemes.kind(lexeme) === KIND.then && left > 0; left--) {
          if (this.isEndless(lexemes.parts(lexeme)[0])) return !parts.some((part) => lexemes.needsSearch(part));
          lexeme = lexemes.parts(lexeme)[1];
        }
        return false;
      case KIND.either:
        return parts.some((part) => this.isEndless(part));
      case KIND.repeat:
        return lexemes.most(lexeme) === Infinity && !lexemes.needsSearch(parts[0]);
      case KIND.both: {
        const rest = parts.filter((part) => !lexemes.forbidsFew(part));
        return rest.length < 2 && rest.every((part) => this.isEndless(part));
      }
      case KIND.not:
        return lexemes.isFinite(parts[0]);
      default:
        return false;
    }
  }

  /**
   * A term without its greatest counts, where it allows the same beginnings of up to `bytes` bytes: where behind each of them a text
   * is left that keeps the counts; the term itself where that is not sure.
   */
  uncounted(lexeme: Lexeme, bytes: number): Lexeme {
    const [open, most] = this.#uncounted.of(lexeme);
    return open !== lexeme && most >= bytes && bytes + this.#farthest(open) <= most ? open : lexeme;
  }

  /** How many bytes a text needs at most behind any beginning; `Infinity` where that takes long to say. */
  #farthest(start: Lexeme): number {
    let farthest = this.#farthests.get(start);
    if (farthest !== undefined) return farthest;
    farthest = 0;
    const found = new Set([start]);
    for (const lexeme of found) {
      farthest = Math.max(farthest, this.#lengthOf(lexeme));
      if (found.size > beginningsMost || farthest === Infinity) {
        this.#farthests.set(start, Infinity);
        return Infinity;
      }
      for (const byteClass of this.#partitions.firsts(this.#partition(lexeme))) {
        const next = this.derive(lexeme, byteClass);
        if (this.hasText(next)) found.add(next);
      }
    }
    // No beginning of what is left has more before it.
    for (const lexeme of found) if (!this.#farthests.has(lexeme)) this.#farthests.set(lexeme, farthest);
    return farthest;
  }

  /** Bytes of some text of a language that has one; `Infinity` where none was looked for. */
  #lengthOf(lexeme: Lexeme): number {
    const lexemes = this.#lexemes;
    if (lexemes.isNullable(lexeme)) return 0;
    return lexemes.needsSearch(lexeme) ? this.#lengths.get(lexeme) ?? Infinity : lexemes.distance(lexeme);
  }

  /**
   * Looks for a text, where its end seems near. What lies on the way to it has one too; where there is none, all that was seen
   * has none.
   */
  #search(start: Lexeme): boolean {
    const lexemes = this.#lexemes;
    let search = this.#searches.get(start);
    if (search === undefined) this.#searches.set(start, search = new TextSearch(start, lexemes.distance(start)));
    const { from } = search;
    for (let place = search.current; place !== undefined; place = search.current) {
      const [lexeme, depth] = place;
      const first = this.first(lexeme);
      const weight = 1 + (lexemes.parts(lexeme).length >>> 1);
      let { steps } = search;
      for (const byteClass of this.#partitions.firsts(this.#partition(lexeme))) {
        if (!hasBit(first, byteClass)) continue;
        this.#budget.checkSearch(steps += weight);
        const next = this.derive(lexeme, byteClass);
        if (next === NOTHING || from.has(next)) continue;
        from.set(next, lexeme);
        const known = lexemes.known.get(next);
        if (known === true || lexemes.isNullable(next) || !lexemes.needsSearch(next)) {
          let bytes = this.#lengthOf(next);
          for (let at = lexeme;; at = from.get(at) as Lexeme) {
            lexemes.known.set(at, true);
            this.#lengths.set(at, ++bytes);
            if (at === start) return this.#endSearch(start, steps, true);
          }
        }
        if (known === undefined) search.enter(next, depth + 1, lexemes.distance(next));
      }
      search.leave(steps);
    }
    for (const lexeme of from.keys()) lexemes.known.set(lexeme, false);
    return this.#endSearch(start, search.steps, false);
  }

  #endSearch(start: Lexeme, steps: number, found: boolean): boolean {
    this.#searches.delete(start);
    this.#budget.countSearch(steps);
    return found;
  }

  /** All texts of a language; `undefined` where that is more than `most`, or takes too long to say. */
  texts(start: Lexeme, most: number): Uint8Array[] | undefined {
    if (!this.#lexemes.isFinite(start)) return undefined;
    const found: Uint8Array[] = [];
    const open: [Lexeme, readonly number[]][] = [[start, []]];
    for (let steps = 0; open.length > 0; steps++) {
      if (steps > listStepsMost || found.length > most) return undefined;
      const [lexeme, bytes] = open.pop() as [Lexeme, readonly number[]];
      if (this.#lexemes.isNullable(lexeme)) found.push(Uint8Array.from(bytes));
      for (let byte = 0; byte < 256; byte++) {
        const left = this.derive(lexeme, this.classOf[byte]);
        if (this.hasText(left)) open.push([left, [...bytes, byte]]);
      }
    }
    return found.length > most ? undefined : found;
  }
}
