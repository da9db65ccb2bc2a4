/**
 * Walks of a vocabulary by lexemes: which tokens may come while one of them is in reading, and where it may end within a token.
 * What follows a lexeme is left to others, so what is found once holds wherever the same lexemes are in reading: behind each of
 * an object's names, for instance. Native code walks the trie with the transitions that are known; those that it misses are
 * made here, and it goes on from there, so a lexeme is unfolded only as far as the vocabulary reaches.
 *
 * @module
 */
import { native } from "../../ffi/native.ts";
import { addBits, hasBit, setBit } from "../sampling/bits.ts";
import type { Terms } from "./automaton.ts";
import { type Lexeme, NOTHING } from "./lexemes.ts";
import { plainMost } from "./plain_text.ts";
import { byteAt, depthAt, endAt, NO_TOKEN, sameAs, tokenAt, type TokenTrie } from "./token_trie.ts";

/** Bytes of what is found that one grammar keeps. */
const keptBytesMost = 16 << 20;

/** Bytes of what is found besides masks, tokens and nodes: about those of its objects. */
const foundBytes = 500;

/** Words of a table before its rows: how many classes there are, and of each byte its class. */
const headWords = 1 + 256 / 4;

/** The row of the term without a text. */
const deadRow = 0;

/** A transition that has not been made: all ones. */
const ABSENT = 0xffff_ffff;

/** In a transition: a text may end there. */
const MAY_END = 0x8000_0000;

/** In the place of the node behind which a walk begins: all of the vocabulary. */
const VOCABULARY = 0xffff_ffff;

/** Words of a place of a walk, and of an end. */
const [placesHead, placeWords, endWords] = [2, 3, 2];

/** Nodes that are visited here: fewer take less time than a call of native code and the calls for what that misses. */
const visitsMost = 2000;

/** Where lexemes may end within tokens. */
export interface Ends {
  /** Those that end there, by their places in the list of those that are in reading. */
  readonly lexemes: readonly number[];
  /** The nodes behind which tokens go on. */
  readonly nodes: Uint32Array;
}

/** What a walk has found. */
export interface Walked {
  /** The mask of tokens that may come. */
  readonly words?: Uint32Array;
  /** More of them, where they are few. */
  readonly tokens: readonly number[];
  readonly ends: readonly Ends[];
}

/** Lexemes of which any may be in reading. */
interface Reading {
  readonly lexemes: readonly Lexeme[];
  /** One of them. */
  readonly term: Lexeme;
  /** What was found behind nodes, and in the whole vocabulary. */
  readonly found: Map<Uint32Array | typeof VOCABULARY, Walked>;
}

/** A walk that is going on. */
interface Walk {
  /** The mask of tokens that may come, where there is one. */
  mask: Uint32Array | undefined;
  readonly tokens: number[];
  /** Nodes that may still be visited here. */
  visitsLeft: number;
  readonly ends: EndsFound;
}

/** Where a walk begins. */
interface PlacesEntered {
  /** Walks a node and those below it; `from` is the node behind which the lexemes begin. */
  enter(node: number, from: number): void;
  /** What was found. */
  end(): Walked;
}

/** Walks of one vocabulary by the lexemes of one grammar. */
export class Walks {
  readonly #terms: Terms;
  readonly #trie: TokenTrie;
  readonly #classes: number;
  readonly #readings = new Map<string, Reading>();
  #keptBytes = 0;
  /**
   * How many classes there are, and of each byte its class; then [row][class] the row after it. Terms get rows in the order in
   * which a walk meets them.
   */
  #table: Uint32Array;
  readonly #rowOf = new Map<Lexeme, number>();
  readonly #termOf: Lexeme[] = [];
  /** The rows on the way to a node. */
  readonly #path: Uint32Array;

  /** Walks of the tokens of `trie`. */
  constructor(terms: Terms, trie: TokenTrie) {
    this.#terms = terms;
    this.#trie = trie;
    const { classOf, byteOf } = terms.derivatives;
    this.#classes = byteOf.length;
    this.#table = new Uint32Array(headWords + 64 * this.#classes).fill(ABSENT);
    this.#table[0] = this.#classes;
    new Uint8Array(this.#table.buffer, 4).set(classOf);
    this.#path = new Uint32Array(trie.longest + 1);
    this.#row(NOTHING);
  }

  /** What the transitions take. */
  get tableBytes(): number {
    return this.#table.byteLength;
  }

  /** Adds the tokens that were found to a mask. */
  addTo(mask: Uint32Array, { words, tokens }: Walked): void {
    if (words) addBits(mask, words);
    for (const token of tokens) setBit(mask, token);
  }

  /** The tokens that may come where these lexemes may be in reading. */
  ofVocabulary(lexemes: readonly Lexeme[]): Walked {
    return this.#of(lexemes, VOCABULARY);
  }

  /** The same of what is left of tokens behind nodes. */
  behind(nodes: Uint32Array, lexemes: readonly Lexeme[]): Walked {
    return this.#of(lexemes, nodes);
  }

  #of(lexemes: readonly Lexeme[], where: Uint32Array | typeof VOCABULARY): Walked {
    const reading = this.#reading(lexemes);
    let found = reading.found.get(where);
    if (found === undefined) {
      found = where === VOCABULARY ? this.#walkAll(reading) : this.#walkBehind(where, reading);
      this.#keptBytes += foundBytes + (found.words?.byteLength ?? 0) + 8 * found.tokens.length +
        found.ends.reduce((sum, { nodes }) => sum + nodes.byteLength, 0);
      if (this.#keptBytes > keptBytesMost) {
        this.#readings.clear();
        this.#keptBytes = 0;
      }
      reading.found.set(where, found);
    }
    return found;
  }

  #reading(lexemes: readonly Lexeme[]): Reading {
    const key = lexemes.join();
    let reading = this.#readings.get(key);
    if (!reading) {
      reading = { lexemes, term: this.#terms.lexemes.oneOf(lexemes), found: new Map() };
      this.#readings.set(key, reading);
    }
    return reading;
  }

  #walkAll(reading: Reading): Walked {
    const { plain, rest, masks, tokens } = this.#trie;
    const reaches = plain.map((_, kind) => this.#plainReach(reading, kind));
    let mask: Uint32Array | undefined;
    reaches.forEach((reach, kind) => {
      if (!reach) return;
      mask ??= new Uint32Array(Math.ceil(tokens / 32));
      addBits(mask, masks[kind][reach]);
    });
    const walk = this.#begin(reading, mask);
    for (const top of rest) walk.enter(top, VOCABULARY);
    plain.forEach((tops, kind) => {
      if (reaches[kind] === undefined) { for (const top of tops) walk.enter(top, VOCABULARY); }
    });
    return walk.end();
  }

  #walkBehind(nodes: Uint32Array, reading: Reading): Walked {
    const { words } = this.#trie;
    const walk = this.#begin(reading);
    for (const node of nodes) {
      const end = endAt(words, node);
      for (let child = node + 1; child < end; child = endAt(words, child)) walk.enter(child, node);
    }
    return walk.end();
  }

  /** How many plain characters of a kind may come, as `PlainText.reach` says it of one term. */
  #plainReach({ lexemes }: Reading, kind: number): number | undefined {
    let most: number | undefined = 0;
    for (const lexeme of lexemes) {
      const reach = this.#terms.plain.reach(lexeme, kind);
      if (reach === plainMost) return reach;
      most = reach === undefined || most === undefined ? undefined : Math.max(most, reach);
    }
    return most;
  }

  /** A walk from places that are entered one by one; `mask` is what is known of the tokens that may come. */
  #begin(reading: Reading, mask?: Uint32Array): PlacesEntered {
    const { words, open } = this.#trie;
    const { classOf } = this.#terms.derivatives;
    const row = this.#row(reading.term);
    const first = this.#terms.derivatives.first(reading.term);
    const ends = new EndsFound(reading.lexemes, this.#terms, this.#trie);
    const walk: Walk = { mask, tokens: [], visitsLeft: visitsMost, ends };
    open[0] = 0;
    let room = words[0];
    return {
      enter: (node, from) => {
        if (!hasBit(first, classOf[byteAt(words, node)])) return;
        const size = endAt(words, node) - node;
        if (size > room) {
          this.#walkOpen(walk);
          room = words[0];
        }
        room -= size;
        this.#visit(node, row, from, walk);
      },
      end: () => {
        this.#walkOpen(walk);
        const { mask, tokens } = walk;
        for (const token of mask ? tokens : []) setBit(mask as Uint32Array, token);
        return { words: mask, tokens: mask ? [] : tokens, ends: ends.all() };
      },
    };
  }

  /** Walks a node and those below it, as long as they are few; the others are left open for native code. */
  #visit(start: number, row: number, from: number, walk: Walk): void {
    const { words } = this.#trie;
    const { classOf } = this.#terms.derivatives;
    const [base, end] = [depthAt(words, start), endAt(words, start)];
    const path = this.#path;
    path[0] = row;
    for (let at = start; at < end;) {
      const depth = depthAt(words, at) - base;
      const behind = endAt(words, at);
      if (walk.visitsLeft-- <= 0) {
        this.#leaveOpen(at, path[depth], from);
        at = behind;
        continue;
      }
      const next = this.#next(path[depth], classOf[byteAt(words, at)]);
      if (next === deadRow) {
        at = behind;
        continue;
      }
      path[depth + 1] = next & ~MAY_END;
      for (let token = tokenAt(words, at); token !== NO_TOKEN; token = sameAs(words, token)) walk.tokens.push(token);
      if (++at < behind && next >= MAY_END) walk.ends.add(from, at - 1);
    }
  }

  #leaveOpen(node: number, row: number, from: number): void {
    const { open } = this.#trie;
    const at = placesHead + placeWords * open[0]++;
    open[at] = node;
    open[at + 1] = row;
    open[at + 2] = from;
  }

  /** Walks from the places that are open, and makes the transitions that are missing. */
  #walkOpen(walk: Walk): void {
    const { classOf } = this.#terms.derivatives;
    const { words: trie, open } = this.#trie;
    while (open[0] > 0) {
      const mask = walk.mask ??= new Uint32Array(Math.ceil(this.#trie.tokens / 32));
      native().walk({ trie, table: this.#table, open, mask });
      for (let left = open[1], at = open.length; left > 0; left--) {
        at -= endWords;
        walk.ends.add(open[at], open[at + 1]);
      }
      for (let left = open[0], at = placesHead; left > 0; left--, at += placeWords) {
        this.#next(open[at + 1], classOf[byteAt(trie, open[at])]);
      }
    }
  }

  /** The transition of a row by a class. */
  #next(row: number, byteClass: number): number {
    const at = headWords + row * this.#classes + byteClass;
    const known = this.#table[at];
    if (known !== ABSENT) return known;
    const made = this.#after(this.#termOf[row], byteClass);
    return this.#table[at] = made; // the table may be another one by now
  }

  /** The transition by a class. */
  #after(term: Lexeme, byteClass: number): number {
    const { lexemes, derivatives } = this.#terms;
    const left = derivatives.derive(term, byteClass);
    if (!derivatives.hasText(left)) return deadRow;
    return (this.#row(left) | (lexemes.isNullable(left) ? MAY_END : 0)) >>> 0;
  }

  #row(term: Lexeme): number {
    const found = this.#rowOf.get(term);
    if (found !== undefined) return found;
    const row = this.#termOf.push(term) - 1;
    this.#rowOf.set(term, row);
    if (headWords + this.#termOf.length * this.#classes > this.#table.length) {
      const larger = new Uint32Array(2 * this.#table.length - headWords).fill(ABSENT);
      larger.set(this.#table);
      this.#table = larger;
    }
    const at = headWords + row * this.#classes;
    const first = this.#terms.derivatives.first(term);
    for (let own = 0; own < this.#classes; own++) if (!hasBit(first, own)) this.#table[at + own] = deadRow;
    return row;
  }
}

/** Collects where lexemes end. */
class EndsFound {
  readonly #lexemes: readonly Lexeme[];
  readonly #terms: Terms;
  readonly #trie: TokenTrie;
  /** By which of the lexemes end. */
  readonly #found = new Map<string, { readonly lexemes: readonly number[]; readonly nodes: Set<number> }>();

  constructor(lexemes: readonly Lexeme[], terms: Terms, trie: TokenTrie) {
    this.#lexemes = lexemes;
    this.#terms = terms;
    this.#trie = trie;
  }

  /** One of the lexemes or more end at `node`, of those that begin behind the node `from`. */
  add(from: number, node: number): void {
    const lexemes = this.#lexemes.length === 1 ? onlyOne : this.#ended(from, node);
    const key = lexemes.join();
    const known = this.#found.get(key);
    if (known) known.nodes.add(node);
    else this.#found.set(key, { lexemes, nodes: new Set([node]) });
  }

  all(): Ends[] {
    return Array.from(this.#found.values(), ({ lexemes, nodes }) => ({ lexemes, nodes: Uint32Array.from(nodes) }));
  }

  #ended(from: number, node: number): number[] {
    const { derivatives, lexemes } = this.#terms;
    const { words } = this.#trie;
    let left = this.#lexemes.map((lexeme, index) => ({ lexeme, index }));
    for (let at = from === VOCABULARY ? 0 : from + 1; at <= node;) {
      const end = endAt(words, at);
      if (end <= node) {
        at = end;
        continue;
      }
      const byteClass = derivatives.classOf[byteAt(words, at)];
      left = left.filter(({ lexeme }) => hasBit(derivatives.first(lexeme), byteClass))
        .map(({ lexeme, index }) => ({ lexeme: derivatives.derive(lexeme, byteClass), index }));
      at++;
    }
    return left.filter(({ lexeme }) => lexemes.isNullable(lexeme)).map(({ index }) => index);
  }
}

const onlyOne: readonly number[] = [0];
