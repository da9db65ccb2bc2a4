/**
 * Walks of a vocabulary by lexemes: which tokens may come while one is in reading, and where it may end within a token. What
 * follows a lexeme is left to others, and so is what may be read in its place: what is found once holds wherever the same lexeme
 * is in reading, behind each of an object's names, for instance. Native code walks the trie with the transitions that are known;
 * those that it misses are made here, and it goes on from there, so a lexeme is unfolded only as far as the vocabulary reaches.
 *
 * @module
 */
import { native } from "../../ffi/native.ts";
import { addBits, hasBit, setBit } from "../sampling/bits.ts";
import type { Terms } from "./automaton.ts";
import { Forms, foundBytes, KeptWalks, VOCABULARY, type Walked, type Where } from "./kept_walks.ts";
import { EMPTY, KIND, type Lexeme, NOTHING } from "./lexemes.ts";
import {
  byteAt,
  childOf,
  childrenOf,
  depthAt,
  endAt,
  NO_NODE,
  NO_TOKEN,
  sameAs,
  tokenAt,
  type TokenTrie,
} from "./token_trie.ts";

/** First bytes from which on a walk is one that grammars share. */
const wideLeast = 8;

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

/** Words before the places of a walk, and of a place. */
const [placesHead, placeWords] = [2, 2];

/** Bytes of a node at which a text may end, and of its children by their bytes. */
const endBytes = 40;

/** Nodes that are visited here: fewer take less time than a call of native code and the calls for what that misses. */
const visitsMost = 2000;

/** What is left of a lexeme after a byte. */
interface Left {
  readonly term: Lexeme;
  /** Whether a text may end there. */
  readonly mayEnd: boolean;
  /** Whether what is found behind the byte is shared by grammars. */
  readonly isShared: boolean;
}

/** A walk that is going on. */
interface Walk {
  /** What is known of the tokens that may come, from elsewhere. */
  readonly known: Uint32Array | undefined;
  /** The mask of tokens that were found, where there is one. */
  mask: Uint32Array | undefined;
  readonly tokens: number[];
  /** The nodes at which a text may end and tokens go on. */
  readonly ends: number[];
  /** Nodes that may still be visited here. */
  visitsLeft: number;
  /** Room for places that native code is to walk from. */
  room: number;
}

/** Walks of one vocabulary by the lexemes of one grammar. */
export class Walks {
  readonly #terms: Terms;
  readonly #trie: TokenTrie;
  readonly #classes: number;
  readonly #own = new KeptWalks(keptBytesMost);
  readonly #forms: Forms;
  /** Of each class its bytes. */
  readonly #bytesOf: readonly number[][];
  readonly #wide: boolean[] = [];
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
    this.#forms = new Forms(terms.lexemes, trie.shared);
    this.#bytesOf = Array.from(byteOf, () => []);
    classOf.forEach((own, byte) => this.#bytesOf[own].push(byte));
  }

  /** What the transitions take. */
  get tableBytes(): number {
    return this.#table.byteLength;
  }

  /** The tokens that may come where a lexeme is in reading. */
  ofVocabulary(lexeme: Lexeme): Walked {
    return this.#of(lexeme, VOCABULARY);
  }

  /** The same of what is left of tokens behind nodes. */
  behind(nodes: Uint32Array, lexeme: Lexeme): Walked {
    return this.#of(lexeme, nodes);
  }

  #of(lexeme: Lexeme, where: Where): Walked {
    const form = this.#sharedForm(lexeme);
    const kept = form === undefined ? this.#own : this.#trie.shared.kept;
    const findings = kept.of(form ?? lexeme);
    let found = findings.found.get(where);
    if (found === undefined) {
      found = where === VOCABULARY ? this.#walkAll(lexeme) : this.#walkBehind(where, lexeme);
      kept.add(findings, where, found);
      this.#terms.derivatives.slices.tick();
    }
    return found;
  }

  /** The form of a lexeme whose walks grammars share. */
  #sharedForm(lexeme: Lexeme): number | undefined {
    return this.#isWide(lexeme) ? this.#forms.of(lexeme) : undefined;
  }

  /** Whether texts may begin by so many bytes that a walk takes long, as numbers and strings and other than names. */
  #isWide(lexeme: Lexeme): boolean {
    const known = this.#wide[lexeme];
    if (known !== undefined) return known;
    let bytes = 0;
    for (const own of this.#terms.derivatives.firstClasses(lexeme)) bytes += this.#bytesOf[own].length;
    return this.#wide[lexeme] = bytes >= wideLeast;
  }

  #walkAll(lexeme: Lexeme): Walked {
    const { plain, rest, masks, tokens, shared } = this.#trie;
    // Texts of a kind begin by more bytes than those of such a lexeme, so nothing is known of a whole kind.
    if (!this.#isWide(lexeme)) return this.#walkTops(lexeme, [rest, ...plain]);
    const reaches = plain.map((_, kind) => this.#terms.plain.reach(lexeme, kind));
    const known = reaches.some((reach) => reach)
      ? shared.plain(reaches, () => {
        const mask = new Uint32Array(Math.ceil(tokens / 32));
        reaches.forEach((reach, kind) => reach && addBits(mask, masks[kind][reach]));
        return mask;
      })
      : undefined;
    const unknown = [rest, ...plain.filter((_, kind) => reaches[kind] === undefined)];
    return this.#walkTops(lexeme, unknown, known);
  }

  #walkTops(lexeme: Lexeme, tries: readonly Uint32Array[], known?: Uint32Array): Walked {
    return this.#walkFrom(lexeme, (byte) => nodesOf(tries, byte), known);
  }

  #walkBehind(where: Uint32Array | number, lexeme: Lexeme): Walked {
    const { shared, words } = this.#trie;
    if (typeof where !== "number") {
      const children = shared.children(where, () => childrenOf(words, where));
      return this.#walkFrom(lexeme, (byte) => children.get(byte) ?? noNodes);
    }
    const walk = this.#begin();
    this.#goOn(where, lexeme, walk);
    return this.#end(walk);
  }

  /** Walks the nodes of each first byte, and those below them. */
  #walkFrom(lexeme: Lexeme, nodesOf: (byte: number) => readonly number[], known?: Uint32Array): Walked {
    const { derivatives } = this.#terms;
    const walk = this.#begin(known);
    const parts = derivatives.parts(lexeme);
    const lefts: Left[] = [];
    for (const byteClass of derivatives.firstClasses(lexeme)) {
      const left = lefts[parts[byteClass]] ??= this.#left(lexeme, byteClass);
      if (left.term === NOTHING) continue;
      for (const byte of this.#bytesOf[byteClass]) for (const node of nodesOf(byte)) this.#enter(node, left, walk);
    }
    return this.#end(walk);
  }

  /** A walk from places that are entered one by one; `known` is what is known of the tokens that may come. */
  #begin(known?: Uint32Array): Walk {
    const { open, words } = this.#trie;
    open[0] = 0;
    return { known, mask: undefined, tokens: [], ends: [], visitsLeft: visitsMost, room: words[0] };
  }

  #end(walk: Walk): Walked {
    this.#walkOpen(walk);
    return walked(walk);
  }

  /** What is left of a lexeme after a byte. */
  #left(lexeme: Lexeme, byteClass: number): Left {
    const { derivatives, lexemes } = this.#terms;
    const term = derivatives.derive(lexeme, byteClass);
    if (!derivatives.hasText(term)) return { term: NOTHING, mayEnd: false, isShared: false };
    return { term, mayEnd: lexemes.isNullable(term), isShared: this.#sharedForm(term) !== undefined };
  }

  /** Takes the tokens of a node and of those below it, behind which that much is left. */
  #enter(node: number, { term, mayEnd, isShared }: Left, walk: Walk): void {
    this.#reach(node, mayEnd, walk);
    if (!isShared) return this.#goOn(node, term, walk);
    if (endAt(this.#trie.words, node) === node + 1) return;
    this.#walkOpen(walk); // the room for places is that of the walk that follows
    const found = this.#of(term, node);
    if (found.words) addBits(walk.mask ??= new Uint32Array(found.words.length), found.words);
    for (const token of found.tokens) walk.tokens.push(token);
    for (const end of found.ends) walk.ends.push(end);
  }

  /** Takes the tokens of a node. */
  #reach(node: number, mayEnd: boolean, walk: Walk): void {
    const { words } = this.#trie;
    for (let token = tokenAt(words, node); token !== NO_TOKEN; token = sameAs(words, token)) walk.tokens.push(token);
    if (mayEnd && endAt(words, node) > node + 1) walk.ends.push(node);
  }

  /** Takes the tokens below a node. */
  #goOn(node: number, term: Lexeme, walk: Walk): void {
    const { words } = this.#trie;
    const { derivatives, lexemes } = this.#terms;
    // Names and other words: each byte is the only one.
    for (let byte = lexemes.only(term); byte >= 0; byte = lexemes.only(term)) {
      node = childOf(words, node, byte);
      term = lexemes.rest(term);
      if (node === NO_NODE || !derivatives.hasText(term)) return;
      this.#reach(node, lexemes.isNullable(term), walk);
    }
    if (lexemes.kind(term) === KIND.either && lexemes.parts(term).every((part) => lexemes.only(part) >= 0)) {
      for (const part of lexemes.parts(term)) this.#goOn(node, part, walk);
      return;
    }
    if (term === EMPTY) return;
    const first = derivatives.first(term);
    const row = this.#row(term);
    const end = endAt(words, node);
    for (let child = node + 1; child < end; child = endAt(words, child)) {
      if (!hasBit(first, derivatives.classOf[byteAt(words, child)])) continue;
      const size = endAt(words, child) - child;
      if (size > walk.room) this.#walkOpen(walk);
      walk.room -= size;
      this.#visit(child, row, walk);
    }
  }

  /** Walks a node and those below it, as long as they are few; the others are left open for native code. */
  #visit(start: number, row: number, walk: Walk): void {
    const { words } = this.#trie;
    const { classOf } = this.#terms.derivatives;
    const [base, end] = [depthAt(words, start), endAt(words, start)];
    const path = this.#path;
    path[0] = row;
    for (let at = start; at < end;) {
      const depth = depthAt(words, at) - base;
      const behind = endAt(words, at);
      if (walk.visitsLeft-- <= 0) {
        this.#leaveOpen(at, path[depth]);
        at = behind;
        continue;
      }
      const next = this.#next(path[depth], classOf[byteAt(words, at)]);
      if (next === deadRow) {
        at = behind;
        continue;
      }
      path[depth + 1] = next & ~MAY_END;
      this.#reach(at, next >= MAY_END, walk);
      at++;
    }
  }

  #leaveOpen(node: number, row: number): void {
    const { open } = this.#trie;
    const at = placesHead + placeWords * open[0]++;
    open[at] = node;
    open[at + 1] = row;
  }

  /** Walks from the places that are open, and makes the transitions that are missing. */
  #walkOpen(walk: Walk): void {
    const { classOf } = this.#terms.derivatives;
    const { words: trie, open } = this.#trie;
    walk.room = trie[0];
    while (open[0] > 0) {
      const mask = walk.mask ??= new Uint32Array(Math.ceil(this.#trie.tokens / 32));
      native().walk({ trie, table: this.#table, open, mask });
      for (let left = open[1]; left > 0; left--) walk.ends.push(open[open.length - left]);
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
    const term = this.#termOf[row];
    const made = this.#after(term, byteClass);
    const begin = headWords + row * this.#classes; // the table may be another one by now
    const parts = this.#terms.derivatives.parts(term);
    for (let own = 0; own < parts.length; own++) if (parts[own] === parts[byteClass]) this.#table[begin + own] = made;
    return made;
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

/** What a walk found. */
function walked({ known, mask, tokens, ends }: Walk): Walked {
  const nodes = ends.length > 0 ? Uint32Array.from(ends) : noEnds;
  const bytes = foundBytes + endBytes * nodes.length;
  if (!mask) return { words: known, tokens, ends: nodes, bytes: bytes + 8 * tokens.length };
  if (known) addBits(mask, known);
  for (const token of tokens) setBit(mask, token);
  return { words: mask, tokens: [], ends: nodes, bytes: bytes + mask.byteLength };
}

/** The nodes of a first byte in some tries. */
function nodesOf(tries: readonly Uint32Array[], byte: number): readonly number[] {
  const found: number[] = [];
  for (const tops of tries) if (tops[byte] !== NO_NODE) found.push(tops[byte]);
  return found;
}

const noNodes: readonly number[] = [];
const noEnds = new Uint32Array(0);
