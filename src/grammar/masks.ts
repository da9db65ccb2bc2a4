/**
 * Which tokens may come in a state. Native code walks the trie of the vocabulary with the transitions that are known; those that
 * it misses are made here, and it goes on from there, so a grammar is unfolded only as far as the vocabulary reaches. Masks of
 * states that were met before are kept.
 *
 * @module
 */
import { native } from "../../ffi/native.ts";
import { addBits, hasBit, setBit } from "../sampling/bits.ts";
import { type Automaton, DEAD, type State } from "./automaton.ts";
import { byteAt, type TokenTrie } from "./token_trie.ts";

/** Bytes of masks that one grammar keeps. */
const keptBytesMost = 64 << 20;

/** Words of a table before its rows: how many classes there are, and of each byte its class. */
const headWords = 1 + 256 / 4;

/** The row of the state from which no text can be completed. */
const deadRow = 0;

/** A transition that has not been made: all ones. */
const ABSENT = 0xffff_ffff;

/** Masks of one automaton over one vocabulary. */
export class Masks {
  /** The tokens of which one ends the text. */
  readonly ends: readonly number[];
  readonly #automaton: Automaton;
  readonly #trie: TokenTrie;
  readonly #kept = new Map<State, Uint32Array>();
  /** Of each state the one whose mask it has. */
  readonly #sameAs = new Map<State, State>();
  /**
   * How many classes there are, and of each byte its class; then [row][class] the row after it. States get rows in the order in
   * which a walk meets them; row 0 is the dead state's.
   */
  #table: Uint32Array;
  readonly #rowOf = new Map<State, number>();
  readonly #stateOf: State[] = [];

  /** Masks of `automaton` over the tokens of `trie`; `ends` are those that end a text. */
  constructor(automaton: Automaton, trie: TokenTrie, ends: Iterable<number>) {
    this.#automaton = automaton;
    this.#trie = trie;
    this.ends = [...ends];
    this.#table = new Uint32Array(headWords + 64 * automaton.classes).fill(ABSENT);
    this.#table[0] = automaton.classes;
    new Uint8Array(this.#table.buffer, 4).set(automaton.classOf);
    this.#row(DEAD);
  }

  /** Tokens of the vocabulary. */
  get tokens(): number {
    return this.#trie.tokens;
  }

  /** What the transitions take. */
  get tableBytes(): number {
    return this.#table.byteLength;
  }

  /** The tokens that may come in a state: bit t % 32 of word floor(t / 32) is token t. Not to be written to. */
  of(state: State): Uint32Array {
    let same = this.#sameAs.get(state);
    if (same === undefined) this.#sameAs.set(state, same = this.#automaton.bounded(state, this.#trie.longest));
    let mask = this.#kept.get(same);
    if (mask !== undefined) return mask;
    mask = this.#maskOf(same);
    if ((this.#kept.size + 1) * mask.byteLength > keptBytesMost) {
      this.#kept.delete(this.#kept.keys().next().value as State); // the oldest
    }
    this.#kept.set(same, mask);
    return mask;
  }

  /** The state after bytes of the text itself, by the transitions that walks have made and by new ones, which are not kept. */
  follow(state: State, bytes: Uint8Array): State {
    const { classOf, classes } = this.#automaton;
    for (const byte of bytes) {
      if (state === DEAD) return DEAD;
      const row = this.#rowOf.get(state);
      const known = row === undefined ? ABSENT : this.#table[headWords + row * classes + classOf[byte]];
      state = known === ABSENT ? this.#automaton.next(state, classOf[byte]) : this.#stateOf[known];
    }
    return state;
  }

  #maskOf(state: State): Uint32Array {
    const mask = new Uint32Array(Math.ceil(this.tokens / 32));
    const { plain, rest, masks, open, words } = this.#trie;
    const { classOf } = this.#automaton;
    const row = this.#row(state);
    const first = this.#automaton.firstClasses(state);
    open[0] = 0;
    const enter = (tops: Uint32Array) => {
      for (let index = 0; index < tops.length; index++) {
        const top = tops[index];
        if (!hasBit(first, classOf[byteAt(words, top)])) continue;
        open[2 * open[0] + 1] = top;
        open[2 * open[0] + 2] = row;
        open[0]++;
      }
    };
    enter(rest);
    plain.forEach((tops, kind) => {
      const reach = this.#automaton.plainReach(state, kind);
      if (reach === undefined) enter(tops);
      else if (reach > 0) addBits(mask, masks[kind][reach]);
    });
    this.#walk(mask);
    if (this.#automaton.accepts(state)) { for (const token of this.ends) setBit(mask, token); }
    return mask;
  }

  /** Walks from the places that are open, and makes the transitions that are missing. */
  #walk(mask: Uint32Array): void {
    const { classOf, classes } = this.#automaton;
    const { words: trie, open } = this.#trie;
    while (native().walk({ trie, table: this.#table, open, mask }) > 0) {
      for (let index = 1; index <= 2 * open[0]; index += 2) {
        const row = open[index + 1];
        const byteClass = classOf[byteAt(trie, open[index])];
        const at = headWords + row * classes + byteClass;
        if (this.#table[at] !== ABSENT) continue;
        const next = this.#row(this.#automaton.next(this.#stateOf[row], byteClass));
        this.#table[at] = next; // the table may be another one by now
      }
    }
  }

  #row(state: State): number {
    const found = this.#rowOf.get(state);
    if (found !== undefined) return found;
    const row = this.#stateOf.push(state) - 1;
    this.#rowOf.set(state, row);
    if (headWords + this.#stateOf.length * this.#automaton.classes > this.#table.length) {
      const larger = new Uint32Array(2 * this.#table.length - headWords).fill(ABSENT);
      larger.set(this.#table);
      this.#table = larger;
    }
    const at = headWords + row * this.#automaton.classes;
    const first = this.#automaton.firstClasses(state);
    for (let own = 0; own < this.#automaton.classes; own++) {
      if (!hasBit(first, own)) this.#table[at + own] = deadRow;
    }
    return row;
  }
}
