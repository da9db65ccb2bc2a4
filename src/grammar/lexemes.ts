/**
 * Regular languages over bytes as terms, each kept once: equal terms have the same number, so a set of states is a set of
 * numbers. Besides the usual operators there are intersection and complement, and repetitions whose counts are numbers in the
 * term: a string of at most 100 000 characters is as small as one of three.
 *
 * The rules by which terms are made simpler while they are built keep the number of derivatives finite
 * (Brzozowski 1964; Owens, Reppy and Turon, "Regular-expression derivatives re-examined", 2009).
 *
 * @module
 */
import { byteRange, type ByteSet, ByteSets } from "./byte_sets.ts";
import type { GrammarBudget } from "./budget.ts";
import { Hashes } from "./hashes.ts";
import { distanceOf, hashOfTerm, isTerm, KIND, type Term } from "./term.ts";

export { KIND };

/** A term: the number of a regular language. */
export type Lexeme = number;

/** The language without any text. */
export const NOTHING: Lexeme = 0;
/** The language of the empty text. */
export const EMPTY: Lexeme = 1;

/** Builds terms, and tells what they are made of. */
export class Lexemes {
  /** The sets of bytes that occur. */
  readonly sets: ByteSets;
  /** The language of all texts. */
  readonly all: Lexeme;
  /** Terms of single characters: no text of one begins with another, so repetitions of it are counted in one way only. */
  readonly characters: Set<Lexeme>;
  /** Whether terms have a text, where a search has found that out. */
  readonly known: Map<Lexeme, boolean> = new Map();
  readonly #budget: GrammarBudget;
  readonly #terms: Term[];
  readonly #hashes: Hashes;
  /** Of each byte the term of it alone. */
  readonly #single: Lexeme[];
  /** Of 256 * first + last, the term of one byte between them. */
  readonly #ranges: Map<number, Lexeme>;
  /** What was made for someone, by a name. */
  readonly #kept: Map<object, Map<string, Lexeme>>;

  /** No terms but the constant ones, or those of `others`; `budget` counts those that are made. */
  constructor(budget: GrammarBudget, others?: Lexemes) {
    this.#budget = budget;
    this.sets = new ByteSets(others?.sets);
    this.characters = new Set(others?.characters);
    this.#terms = others ? others.#terms.slice() : [];
    this.#hashes = new Hashes(others ? others.#hashes : undefined);
    this.#single = others ? others.#single.slice() : [];
    this.#ranges = new Map(others ? others.#ranges : undefined);
    this.#kept = new Map(Array.from(others ? others.#kept : [], ([owner, kept]) => [owner, new Map(kept)]));
    budget.count("terms", this.size);
    this.#make(KIND.nothing, [], false);
    this.#make(KIND.empty, [], true);
    this.all = this.#make(KIND.not, [NOTHING], true);
  }

  /** What `make` makes for an owner under a name, made once. */
  once(owner: object, name: string, make: () => Lexeme): Lexeme {
    let kept = this.#kept.get(owner);
    if (kept === undefined) this.#kept.set(owner, kept = new Map());
    let found = kept.get(name);
    if (found === undefined) kept.set(name, found = make());
    return found;
  }

  /** How many terms there are. */
  get size(): number {
    return this.#terms.length;
  }

  /** What a term is. */
  kind(lexeme: Lexeme): number {
    return this.#terms[lexeme].kind;
  }

  /** The set of a term of the kind `bytes`; the least count of one of the kind `repeat`. */
  value(lexeme: Lexeme): number {
    return this.#terms[lexeme].value;
  }

  /** The greatest count of a term of the kind `repeat`; `Infinity` where there is none. */
  most(lexeme: Lexeme): number {
    return this.#terms[lexeme].most;
  }

  /** The terms that a term is made of. */
  parts(lexeme: Lexeme): readonly Lexeme[] {
    return this.#terms[lexeme].parts;
  }

  /** Whether the empty text is in the language. */
  isNullable(lexeme: Lexeme): boolean {
    return this.#terms[lexeme].isNullable;
  }

  /** How far the end of a text may be, in bytes: a guess, by which a search for one finds its way. `Infinity`: there is none. */
  distance(lexeme: Lexeme): number {
    return this.#terms[lexeme].distance;
  }

  /** Whether it is sure that a language has only so many texts. */
  isFinite(lexeme: Lexeme): boolean {
    return this.#terms[lexeme].isFinite;
  }

  /** Whether intersections or complements occur in a term: then only a search tells whether it is the language of no text. */
  needsSearch(lexeme: Lexeme): boolean {
    return this.#terms[lexeme].needsSearch;
  }

  /** Whether a term is all texts but a few. */
  forbidsFew(lexeme: Lexeme): boolean {
    const { kind, parts } = this.#terms[lexeme];
    return kind === KIND.not && this.isFinite(parts[0]);
  }

  /** The one byte by which texts of a language begin, where its form says so; else -1. */
  only(lexeme: Lexeme): number {
    const { kind, parts, value } = this.#terms[lexeme];
    if (kind === KIND.bytes) return this.sets.only(value);
    if (kind !== KIND.then) return -1;
    const head = this.#terms[parts[0]];
    return head.kind === KIND.bytes ? this.sets.only(head.value) : -1;
  }

  /** What is left of such a language after its byte. */
  rest(lexeme: Lexeme): Lexeme {
    return this.#terms[lexeme].parts[1] ?? EMPTY;
  }

  /** One byte of a set. */
  bytes(set: ByteSet): Lexeme {
    return this.#bytes(this.sets.intern(set));
  }

  /** One byte from `first` to `last`. */
  range(first: number, last: number = first): Lexeme {
    if (first === last) return this.#single[first] ??= this.bytes(byteRange(first, first));
    const key = 256 * first + last;
    let found = this.#ranges.get(key);
    if (found === undefined) this.#ranges.set(key, found = this.bytes(byteRange(first, last)));
    return found;
  }

  /** The one text of these bytes, followed by one of `rest`. */
  literal(bytes: Uint8Array, rest: Lexeme = EMPTY): Lexeme {
    return this.#literal(bytes, 0, bytes.length, rest);
  }

  #literal(bytes: Uint8Array, from: number, end: number, rest: Lexeme): Lexeme {
    for (let at = end - 1; at >= from; at--) rest = this.then(this.range(bytes[at]), rest);
    return rest;
  }

  /** One of many texts, whose common beginnings are terms once. */
  literals(texts: readonly Uint8Array[]): Lexeme {
    return texts.length === 0 ? NOTHING : this.#trie(texts.toSorted(compareBytes), [0, texts.length], 0);
  }

  /** The texts of a stretch, without their first `depth` bytes, which are the same. */
  #trie(sorted: readonly Uint8Array[], [from, to]: readonly [number, number], depth: number): Lexeme {
    const [first, last] = [sorted[from], sorted[to - 1]];
    let end = depth; // a beginning of all, however long, is no recursion
    while (end < first.length && first[end] === last[end]) end++;
    const rest = to - from === 1 ? EMPTY : this.#branches(sorted, [from, to], end);
    return this.#literal(first, depth, end, rest);
  }

  #branches(sorted: readonly Uint8Array[], [from, to]: readonly [number, number], depth: number): Lexeme {
    const parts: Lexeme[] = [];
    for (let begin = from, end = from; begin < to; begin = end) {
      const byte = sorted[begin][depth];
      while (end < to && sorted[end][depth] === byte) end++;
      if (byte === undefined) parts.push(EMPTY);
      else parts.push(this.then(this.range(byte), this.#trie(sorted, [begin, end], depth + 1)));
    }
    return this.oneOf(parts);
  }

  /** The texts of `first` followed by one of `second`, and so on. */
  then(first: Lexeme, second: Lexeme = EMPTY, ...more: readonly Lexeme[]): Lexeme {
    if (more.length > 0) return this.then(first, this.then(second, ...more));
    if (first === NOTHING || second === NOTHING) return NOTHING;
    if (first === EMPTY) return second;
    if (second === EMPTY) return first;
    // The first part of such a term is never one itself, so that equal languages are more often equal terms.
    if (this.kind(first) !== KIND.then) return this.#pair(first, second);
    const heads: Lexeme[] = [];
    for (; this.kind(first) === KIND.then; first = this.parts(first)[1]) heads.push(this.parts(first)[0]);
    heads.push(first);
    for (let index = heads.length - 1; index >= 0; index--) second = this.#pair(heads[index], second);
    return second;
  }

  #pair(first: Lexeme, second: Lexeme): Lexeme {
    return this.#make(KIND.then, [first, second], this.isNullable(first) && this.isNullable(second));
  }

  /** The texts of one of the languages or more. */
  either(...lexemes: readonly Lexeme[]): Lexeme {
    return this.oneOf(lexemes);
  }

  /** The same for a list of any length. */
  oneOf(lexemes: readonly Lexeme[]): Lexeme {
    let set: number | undefined;
    const others = new Set<Lexeme>();
    const add = (lexeme: Lexeme) => {
      const kind = this.kind(lexeme);
      if (kind === KIND.either) this.parts(lexeme).forEach(add);
      else if (kind === KIND.bytes) {
        set = set === undefined ? this.value(lexeme) : this.sets.union(set, this.value(lexeme));
      } else if (kind !== KIND.nothing) others.add(lexeme);
    };
    lexemes.forEach(add);
    if (others.has(this.all)) return this.all;
    if (set !== undefined) others.add(this.#bytes(set));
    // What is the empty text or something that has it is that something.
    if (others.has(EMPTY) && [...others].some((lexeme) => lexeme !== EMPTY && this.isNullable(lexeme))) {
      others.delete(EMPTY);
    }
    return this.#makeSet(KIND.either, others, NOTHING);
  }

  /** The texts that are in all of the languages. */
  both(...lexemes: readonly Lexeme[]): Lexeme {
    let set: number | undefined;
    const others = new Set<Lexeme>();
    const add = (lexeme: Lexeme) => {
      const kind = this.kind(lexeme);
      if (kind === KIND.both) this.parts(lexeme).forEach(add);
      else if (kind === KIND.bytes) {
        set = set === undefined ? this.value(lexeme) : this.sets.intersection(set, this.value(lexeme));
      } else if (lexeme !== this.all) others.add(lexeme);
    };
    lexemes.forEach(add);
    if (set !== undefined) others.add(this.#bytes(set));
    this.#joinCounts(others);
    if (others.has(NOTHING)) return NOTHING;
    if (others.has(EMPTY)) return [...others].every((lexeme) => this.isNullable(lexeme)) ? EMPTY : NOTHING;
    if ([...others].some((lexeme) => this.kind(lexeme) === KIND.not && others.has(this.parts(lexeme)[0]))) {
      return NOTHING;
    }
    return this.#makeSet(KIND.both, others, this.all);
  }

  /** Numbers of the same characters become one, that both allow. */
  #joinCounts(parts: Set<Lexeme>): void {
    const counts = [...parts].filter((part) =>
      this.kind(part) === KIND.repeat && this.characters.has(this.parts(part)[0])
    );
    for (const [index, part] of counts.entries()) {
      const same = counts.findIndex((other) => this.parts(other)[0] === this.parts(part)[0]);
      if (same === index) continue;
      const other = counts[same];
      parts.delete(part);
      parts.delete(other);
      const [least, most] = [
        Math.max(this.value(part), this.value(other)),
        Math.min(this.most(part), this.most(other)),
      ];
      parts.add(counts[same] = this.repeat(this.parts(part)[0], least, most));
    }
  }

  /** All texts that are not in a language. */
  not(lexeme: Lexeme): Lexeme {
    if (this.kind(lexeme) === KIND.not) return this.parts(lexeme)[0];
    return this.#make(KIND.not, [lexeme], !this.isNullable(lexeme));
  }

  /** Texts of a language, one after the other, `least` to `most` of them; `most` may be `Infinity`. */
  repeat(lexeme: Lexeme, least: number, most: number = Infinity): Lexeme {
    if (most < least) return NOTHING;
    if (most === 0 || lexeme === EMPTY) return EMPTY;
    if (lexeme === NOTHING) return least === 0 ? EMPTY : NOTHING;
    if (lexeme === this.all) return this.all;
    const from = this.isNullable(lexeme) ? 0 : least; // fewer, and the others are the empty text
    if (from === 1 && most === 1) return lexeme;
    if (this.kind(lexeme) === KIND.repeat && this.value(lexeme) === 0 && this.most(lexeme) === Infinity) return lexeme;
    return this.#make(KIND.repeat, [lexeme], from === 0, from, most);
  }

  /**
   * Decimal numbers without sign, `12.50`, that are multiples of `divisor` / 10^`places`. A term says the remainder so far and
   * how many places are to come, so that a divisor of a thousand is as small as one of two.
   */
  multiple(divisor: number, places: number, remainder: number = 0, isBehindPoint: boolean = false): Lexeme {
    for (let digit = 0x30; digit <= 0x39; digit++) this.range(digit); // each digit leads elsewhere
    this.range(0x2e);
    const [all, scale] = [BigInt(divisor), 10n ** BigInt(places)];
    const missing = (all - (BigInt(remainder) * scale) % all) % all;
    // The digits that are to come behind the point are less than one of those before it.
    if (isBehindPoint && missing >= scale) return NOTHING;
    return this.#make(KIND.multiple, [], missing === 0n, remainder * 128 + places * 2 + Number(isBehindPoint), divisor);
  }

  /** What is left of a term of the kind `multiple` after a byte. */
  multipleAfter(lexeme: Lexeme, byte: number): Lexeme {
    const [value, divisor] = [this.value(lexeme), this.most(lexeme)];
    const [remainder, places, isBehindPoint] = [Math.floor(value / 128), (value % 128) >> 1, value % 2 === 1];
    if (byte === 0x2e && !isBehindPoint) return this.multiple(divisor, places, remainder, true);
    const digit = byte - 0x30;
    if (digit < 0 || digit > 9) return NOTHING;
    if (isBehindPoint && places === 0) return digit === 0 ? lexeme : NOTHING;
    return this.multiple(divisor, places - Number(isBehindPoint), (10 * remainder + digit) % divisor, isBehindPoint);
  }

  /** A text of the language, or nothing. */
  maybe(lexeme: Lexeme): Lexeme {
    return this.either(EMPTY, lexeme);
  }

  /**
   * The language that allows the same beginnings of up to `bytes` bytes: least counts that none of them can reach are that
   * number, greatest ones have no end.
   * Inside intersections and complements a count may be what keeps a text possible: of an intersection `uncounted` says it.
   */
  bounded(lexeme: Lexeme, bytes: number, uncounted: (both: Lexeme) => Lexeme): Lexeme {
    const parts = this.parts(lexeme);
    switch (this.kind(lexeme)) {
      case KIND.then:
        // What follows a part that is not empty is reached later, and bounded then.
        return this.then(
          this.bounded(parts[0], bytes, uncounted),
          this.isNullable(parts[0]) ? this.bounded(parts[1], bytes, uncounted) : parts[1],
        );
      case KIND.either:
        return this.oneOf(parts.map((part) => this.bounded(part, bytes, uncounted)));
      case KIND.both:
        return uncounted(lexeme);
      case KIND.repeat: {
        const [least, most] = [this.value(lexeme), this.most(lexeme)];
        return this.repeat(parts[0], Math.min(least, bytes), most >= bytes ? Infinity : most);
      }
      default:
        return lexeme;
    }
  }

  #bytes(set: number): Lexeme {
    return this.sets.isEmpty(set) ? NOTHING : this.#make(KIND.bytes, [], false, set);
  }

  #makeSet(kind: number, members: ReadonlySet<Lexeme>, none: Lexeme): Lexeme {
    const parts = [...members].sort((a, b) => a - b);
    if (parts.length < 2) return parts[0] ?? none;
    const nullable = (part: Lexeme) => this.isNullable(part);
    return this.#make(kind, parts, kind === KIND.either ? parts.some(nullable) : parts.every(nullable));
  }

  #make(kind: number, parts: readonly Lexeme[], isNullable: boolean, value = 0, most = 0): Lexeme {
    const hash = hashOfTerm(kind, parts, value, most);
    for (let id = this.#hashes.first(hash); id >= 0; id = this.#hashes.after(id)) {
      if (isTerm(this.#terms[id], kind, parts, value, most)) return id;
    }
    this.#budget.count("terms", 1);
    this.#budget.work(parts.length);
    let needsSearch = kind === KIND.both || kind === KIND.not || kind === KIND.multiple;
    let [areFinite, isOneFinite] = [true, false];
    let [sum, shortest] = [0, Infinity];
    for (const part of parts) {
      const term = this.#terms[part];
      needsSearch ||= term.needsSearch;
      areFinite &&= term.isFinite;
      isOneFinite ||= term.isFinite;
      sum += term.distance;
      shortest = Math.min(shortest, term.distance);
    }
    const isRepeated = kind === KIND.repeat && most < Infinity;
    const isFinite = kind === KIND.both ? isOneFinite : (kind < KIND.not || isRepeated) && areFinite;
    const distance = isNullable ? 0 : distanceOf(kind, value, sum, shortest);
    this.#hashes.add(hash);
    return this.#terms.push({ kind, value, most, parts, isNullable, needsSearch, isFinite, distance }) - 1;
  }
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let at = 0; at < a.length && at < b.length; at++) if (a[at] !== b[at]) return a[at] - b[at];
  return a.length - b.length;
}
