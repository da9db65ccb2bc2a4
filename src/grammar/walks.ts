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
import { EndsFound } from "./ends.ts";
import { Forms, foundBytes, KeptWalks, VOCABULARY, type Walked, type Where } from "./kept_walks.ts";
import { EMPTY, type Lexeme, NOTHING } from "./lexemes.ts";
import { plainMost } from "./plain_text.ts";
import { byteAt, depthAt, endAt, NO_NODE, NO_TOKEN, sameAs, tokenAt, type TokenTrie } from "./token_trie.ts";

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

/** Words of a place of a walk, and of an end. */
const [placesHead, placeWords, endWords] = [2, 3, 2];

/** Nodes that are visited here: fewer take less time than a call of native code and the calls for what that misses. */
const visitsMost = 2000;

/** Lexemes of which any may be in reading. */
interface Reading {
  readonly lexemes: readonly Lexeme[];
  /** One of them. */
  readonly term: Lexeme;
}

/** What is left of lexemes after a byte. */
interface Left {
  readonly lexemes: Lexeme[];
  /** Of each the place of the one of which it is left. */
  readonly places: number[];
  /** The places of those that may end there. */
  readonly ended: number[];
  /** Whether what is found behind the byte is shared by grammars. */
  isShared: boolean;
}

/** A walk that is going on. */
interface Walk {
  /** What is known of the tokens that may come, from elsewhere. */
  readonly known: Uint32Array | undefined;
  /** The mask of tokens that were found, where there is one. */
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
  /** The same for all first bytes of a class, after which so much is left. */
  enterTops(tops: readonly Uint32Array[], byteClass: number, left: Left): void;
  /** What was found. */
  end(): Walked;
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

  /** The tokens that may come where these lexemes may be in reading. */
  ofVocabulary(lexemes: readonly Lexeme[]): Walked {
    return this.#of(lexemes, VOCABULARY);
  }

  /** The same of what is left of tokens behind nodes. */
  behind(nodes: Uint32Array, lexemes: readonly Lexeme[]): Walked {
    return this.#of(lexemes, nodes);
  }

  #of(lexemes: readonly Lexeme[], where: Where): Walked {
    const { shared } = this.#trie;
    const forms = this.#sharedForms(lexemes);
    const kept = forms === undefined ? this.#own : shared.kept;
    const findings = kept.of(forms ?? lexemes.join());
    let found = findings.found.get(where);
    if (found === undefined) {
      const reading = { lexemes, term: this.#terms.lexemes.oneOf(lexemes) };
      if (where === VOCABULARY) found = this.#walkAll(reading);
      else found = this.#walkBehind(typeof where === "number" ? [where] : where, reading);
      kept.add(findings, where, found);
    }
    return found;
  }

  /** The forms of lexemes whose walks grammars share. */
  #sharedForms(lexemes: readonly Lexeme[]): string | undefined {
    return lexemes.some((lexeme) => this.#isWide(lexeme)) ? this.#forms.of(lexemes) : undefined;
  }

  /** Whether texts may begin by so many bytes that a walk takes long, as numbers and strings and other than names. */
  #isWide(lexeme: Lexeme): boolean {
    const known = this.#wide[lexeme];
    if (known !== undefined) return known;
    const first = this.#terms.derivatives.first(lexeme);
    let bytes = 0;
    for (let own = 0; own < this.#classes; own++) if (hasBit(first, own)) bytes += this.#bytesOf[own].length;
    return this.#wide[lexeme] = bytes >= wideLeast;
  }

  #walkAll(reading: Reading): Walked {
    const { plain, rest, masks, tokens, shared } = this.#trie;
    const reaches = plain.map((_, kind) => this.#plainReach(reading, kind));
    const known = reaches.some((reach) => reach)
      ? shared.plain(reaches, () => {
        const mask = new Uint32Array(Math.ceil(tokens / 32));
        reaches.forEach((reach, kind) => reach && addBits(mask, masks[kind][reach]));
        return mask;
      })
      : undefined;
    const walk = this.#begin(reading, known);
    const unknown = [rest, ...plain.filter((_, kind) => reaches[kind] === undefined)];
    const first = this.#terms.derivatives.first(reading.term);
    const parts = this.#terms.derivatives.partsOfAll(reading.lexemes);
    const lefts: Left[] = [];
    for (let byteClass = 0; byteClass < this.#classes; byteClass++) {
      if (!hasBit(first, byteClass)) continue;
      walk.enterTops(unknown, byteClass, lefts[parts[byteClass]] ??= this.#left(reading.lexemes, byteClass));
    }
    return walk.end();
  }

  #walkBehind(nodes: Iterable<number>, reading: Reading): Walked {
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

  /** A walk from places that are entered one by one; `known` is what is known of the tokens that may come. */
  #begin(reading: Reading, known?: Uint32Array): PlacesEntered {
    const { words, open } = this.#trie;
    const { classOf } = this.#terms.derivatives;
    const row = this.#row(reading.term);
    const first = this.#terms.derivatives.first(reading.term);
    const ends = new EndsFound(reading.lexemes, this.#terms, this.#trie);
    const walk: Walk = { known, mask: undefined, tokens: [], visitsLeft: visitsMost, ends };
    open[0] = 0;
    let room = words[0];
    const enter = (node: number, from: number) => {
      if (!hasBit(first, classOf[byteAt(words, node)])) return;
      const size = endAt(words, node) - node;
      if (size > room) {
        this.#walkOpen(walk);
        room = words[0];
      }
      room -= size;
      this.#visit(node, row, from, walk);
    };
    return {
      enter,
      enterTops: (tops, byteClass, left) => {
        for (const byte of this.#bytesOf[byteClass]) {
          for (const own of tops) {
            const node = own[byte];
            if (node === NO_NODE) continue;
            if (left.isShared) this.#addBehind(node, left, walk);
            else enter(node, VOCABULARY);
          }
        }
      },
      end: () => {
        this.#walkOpen(walk);
        return walked(walk);
      },
    };
  }

  /** What is left of lexemes after a byte. */
  #left(lexemes: readonly Lexeme[], byteClass: number): Left {
    const { derivatives, lexemes: terms } = this.#terms;
    const left: Left = { lexemes: [], places: [], ended: [], isShared: false };
    for (const [place, lexeme] of lexemes.entries()) {
      const term = derivatives.derive(lexeme, byteClass);
      if (terms.isNullable(term)) left.ended.push(place);
      if (term === EMPTY || !derivatives.hasText(term)) continue;
      left.lexemes.push(term);
      left.places.push(place);
    }
    left.isShared = this.#sharedForms(left.lexemes) !== undefined;
    return left;
  }

  /** Adds the tokens of a first byte, and what was found behind it in any grammar. */
  #addBehind(top: number, { lexemes, places, ended }: Left, walk: Walk): void {
    const { words } = this.#trie;
    for (let token = tokenAt(words, top); token !== NO_TOKEN; token = sameAs(words, token)) walk.tokens.push(token);
    if (endAt(words, top) === top + 1) return;
    if (ended.length > 0) walk.ends.addAll(ended, [top]);
    this.#walkOpen(walk); // the room for places is that of the walk that follows
    const found = this.#of(lexemes, top);
    if (found.words) addBits(walk.mask ??= new Uint32Array(found.words.length), found.words);
    for (const token of found.tokens) walk.tokens.push(token);
    for (const { lexemes, nodes } of found.ends) walk.ends.addAll(lexemes.map((place) => places[place]), nodes);
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
  const all = ends.all();
  const bytes = foundBytes + all.reduce((sum, { nodes }) => sum + nodes.byteLength, 0);
  if (!mask) return { words: known, tokens, ends: all, bytes: bytes + 8 * tokens.length };
  if (known) addBits(mask, known);
  for (const token of tokens) setBit(mask, token);
  return { words: mask, tokens: [], ends: all, bytes: bytes + mask.byteLength };
}
