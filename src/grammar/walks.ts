/**
 * Walks of a vocabulary by lexemes: which tokens may come while one of them is in reading, and where it may end within a token.
 * What follows a lexeme is left to others, so what is found once holds wherever the same lexemes are in reading: behind each of
 * an object's names, for instance. Native code walks the trie with the transitions that are known; those that it misses are
 * made here, and it goes on from there, so a lexeme is unfolded only as far as the vocabulary reaches.
 *
 * @module
 */
import { native } from "../../ffi/native.ts";
import { addBits, hasBit } from "../sampling/bits.ts";
import type { Terms } from "./automaton.ts";
import { type Lexeme, NOTHING } from "./lexemes.ts";
import { plainMost } from "./plain_text.ts";
import { byteAt, endAt, type TokenTrie } from "./token_trie.ts";

/** Bytes of what is found that one grammar keeps. */
const keptBytesMost = 16 << 20;

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
const [placeWords, endWords] = [3, 2];

/** Masks with bits in fewer words than one of so many are kept as those words. */
const sparseShare = 8;

/** Where lexemes may end within tokens. */
export interface Ends {
  /** Those that end there, by their places in the list of those that are in reading. */
  readonly lexemes: readonly number[];
  /** The nodes behind which tokens go on. */
  readonly nodes: Uint32Array;
}

/** What a walk has found. */
export interface Walked {
  /** The mask of the tokens that may come. */
  readonly words?: Uint32Array;
  /** The same where they are few: words of the mask, each by its index and its bits. */
  readonly few?: Uint32Array;
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
  /** The mask of the walk that is going on. */
  #mask: Uint32Array;
  /** Nodes that may be found by the next call. */
  #room: number;

  /** Walks of the tokens of `trie`. */
  constructor(terms: Terms, trie: TokenTrie) {
    this.#terms = terms;
    this.#trie = trie;
    const { classOf, byteOf } = terms.derivatives;
    this.#classes = byteOf.length;
    this.#table = new Uint32Array(headWords + 64 * this.#classes).fill(ABSENT);
    this.#table[0] = this.#classes;
    new Uint8Array(this.#table.buffer, 4).set(classOf);
    this.#mask = this.#emptyMask();
    this.#room = trie.words[0];
    this.#row(NOTHING);
  }

  /** What the transitions take. */
  get tableBytes(): number {
    return this.#table.byteLength;
  }

  /** Adds the tokens that were found to a mask. */
  addTo(mask: Uint32Array, { words, few }: Walked): void {
    if (words) addBits(mask, words);
    if (few) { for (let index = 0; index < few.length; index += 2) mask[few[index]] |= few[index + 1]; }
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
      this.#keptBytes += (found.words ?? found.few ?? []).length * 4 +
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
    const { plain, rest, masks } = this.#trie;
    const walk = this.#begin(reading);
    for (const top of rest) walk.enter(top, VOCABULARY);
    plain.forEach((tops, kind) => {
      const reach = this.#plainReach(reading, kind);
      if (reach === undefined) { for (const top of tops) walk.enter(top, VOCABULARY); }
      else if (reach > 0) addBits(this.#mask, masks[kind][reach]);
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

  #begin(reading: Reading): { enter(node: number, from: number): void; end(): Walked } {
    const { words, open } = this.#trie;
    const { classOf } = this.#terms.derivatives;
    const row = this.#row(reading.term);
    const first = this.#terms.derivatives.first(reading.term);
    const ends = new EndsFound(reading.lexemes, this.#terms, this.#trie);
    open[0] = 0;
    this.#mask.fill(0); // a walk before may have come to a limit
    let room = this.#room;
    return {
      /** Walks a node and those below it; `from` is the node before. */
      enter: (node, from) => {
        if (!hasBit(first, classOf[byteAt(words, node)])) return;
        const size = endAt(words, node) - node;
        if (size > room) {
          this.#walk(ends);
          room = this.#room;
        }
        room -= size;
        open.set([node, row, from], 1 + placeWords * open[0]++);
      },
      end: () => {
        this.#walk(ends);
        return { ...this.#take(), ends: ends.all() };
      },
    };
  }

  /** Walks from the places that are open, and makes the transitions that are missing. */
  #walk(found: EndsFound): void {
    const { classOf } = this.#terms.derivatives;
    const { words: trie, open, ends } = this.#trie;
    while (open[0] > 0) {
      native().walk({ trie, table: this.#table, open, mask: this.#mask, ends });
      for (let index = 0; index < ends[0]; index++) found.add(ends[1 + endWords * index], ends[2 + endWords * index]);
      for (let index = 1; index <= placeWords * open[0]; index += placeWords) {
        const row = open[index + 1];
        const byteClass = classOf[byteAt(trie, open[index])];
        const at = headWords + row * this.#classes + byteClass;
        if (this.#table[at] !== ABSENT) continue;
        const next = this.#after(this.#termOf[row], byteClass);
        this.#table[at] = next; // the table may be another one by now
      }
    }
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

  /** The mask of the walk that is over. */
  #take(): Pick<Walked, "words" | "few"> {
    const words = this.#mask;
    let count = 0;
    for (let index = 0; index < words.length; index++) if (words[index] !== 0) count++;
    if (count * sparseShare >= words.length) {
      this.#mask = this.#emptyMask();
      return { words };
    }
    const few = new Uint32Array(2 * count);
    for (let index = 0, at = 0; at < few.length; index++) {
      if (words[index] === 0) continue;
      few[at++] = index;
      few[at++] = words[index];
    }
    return { few };
  }

  #emptyMask(): Uint32Array {
    return new Uint32Array(Math.ceil(this.#trie.tokens / 32));
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
