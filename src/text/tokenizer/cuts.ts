/**
 * Which of the words that occur in a text are cut out of it: the first word of the list at all its places from left to right,
 * then the second word where nothing was cut out yet, and so on, as llama.cpp does it. A heap keeps the longest word that may
 * end at each place. Where that one reaches over a cut, the longest that begins after the cut takes its turn; the distance
 * halves each time, so a text of n characters takes n log n steps whatever the words are.
 *
 * @module
 */
import type { Sliceable } from "../../options/sliced.ts";
import type { Automaton, WordChains } from "./automaton.ts";
import { MinHeap } from "./heap.ts";

/** A word of the list; longer ones come before shorter ones. */
export interface Word {
  /** Its text. */
  readonly text: string;
  /** Whether the ASCII white space after it goes with it. */
  readonly stripsRight: boolean;
  /** Whether it is cut out of foreign text, and over its borders, too. */
  readonly isEverywhere: boolean;
}

/** A list of words that can be cut out of texts. */
export interface Words {
  /** The words, longer ones first. */
  readonly list: readonly Word[];
  /** All of them. */
  readonly automaton: Automaton;
  /** Where each of them ends in the automaton. */
  readonly nodes: Int32Array;
  /** The chains of all words, */
  readonly all: WordChains;
  /** and of those that are cut out everywhere. */
  readonly everywhere: WordChains;
}

/** A key of the heap is word * POSITIONS + end: exact in a float64, with at most 2^22 words. */
const POSITIONS = 2 ** 31;
/** Units of a text between two places where the work may pause. */
const UNITS_AT_ONCE = 1 << 15;

/** Cuts words out of one text. */
export class Cuts {
  readonly #text: string;
  readonly #words: Words;
  readonly #own: boolean;
  readonly #foreign: readonly number[];
  readonly #heap = new MinHeap();
  /** For each unit that is cut out, where the cut ends that it belongs to. */
  #until = new Int32Array(0);
  /** For each unit with which a word begins that is cut out, one more than the word. */
  #begun = new Int32Array(0);

  /**
   * @param own whether words are cut out that are not cut out everywhere
   * @param foreign the beginning and the end of each foreign part, in order, without neighbours that touch
   */
  constructor(text: string, words: Words, own: boolean, foreign: readonly number[]) {
    this.#text = text;
    this.#words = words;
    this.#own = own;
    this.#foreign = foreign;
  }

  /** The words that are cut out, as their indexes, and the text between them. */
  *fragments(): Sliceable<(number | string)[]> {
    const text = this.#text;
    if (text === "") return [];
    yield* this.#find();
    if (this.#heap.size === 0) return [text];
    this.#until = new Int32Array(text.length);
    this.#begun = new Int32Array(text.length);
    this.#heap.arrange();
    yield* this.#choose();
    return yield* this.#collect();
  }

  /** Notes the longest word that ends at each place. */
  *#find(): Sliceable<void> {
    const { automaton, all, everywhere } = this.#words;
    const text = this.#text;
    const hasForeign = this.#foreign.length > 0;
    let node = 0;
    for (let begin = 0; begin < text.length; begin += UNITS_AT_ONCE) {
      const end = Math.min(text.length, begin + UNITS_AT_ONCE);
      for (let at = begin; at < end; at++) {
        node = automaton.step(node, text.charCodeAt(at));
        if (node === 0) continue;
        if (!this.#own || hasForeign) this.#note(everywhere.longest(node, Infinity), at + 1);
        if (this.#own) this.#note(all.longest(node, this.#ownRoom(at + 1)), at + 1);
      }
      yield;
    }
  }

  #note(word: number, end: number): void {
    if (word >= 0) this.#heap.add(word * POSITIONS + end);
  }

  /** Takes words in the order of the list, each from left to right, unless what is there is cut out already. */
  *#choose(): Sliceable<void> {
    const { list, nodes, all, everywhere } = this.#words;
    const heap = this.#heap;
    let last = -1;
    for (let taken = 0; heap.size > 0; taken++) {
      if (taken % UNITS_AT_ONCE === 0) yield;
      const key = heap.pop();
      // A word may be noted as one of all and as one that is cut out everywhere.
      if (key === last) continue;
      last = key;
      const word = Math.floor(key / POSITIONS);
      const end = key - word * POSITIONS;
      const begin = end - list[word].text.length;
      if (this.#until[end - 1] !== 0) continue;
      const cutEnd = this.#until[begin];
      if (cutEnd === 0) {
        this.#take(word, begin, end);
        continue;
      }
      const room = end - cutEnd;
      for (
        const next of [
          this.#own ? all.longest(nodes[word], Math.min(room, this.#ownRoom(end))) : -1,
          list[word].isEverywhere ? everywhere.longest(nodes[word], room) : -1,
        ]
      ) {
        if (next >= 0) heap.push(next * POSITIONS + end);
      }
    }
  }

  #take(word: number, begin: number, end: number): void {
    const text = this.#text;
    let cutEnd = end;
    if (this.#words.list[word].stripsRight) {
      while (cutEnd < text.length && this.#until[cutEnd] === 0 && isSpace(text, cutEnd)) cutEnd++;
    }
    this.#until.fill(cutEnd, begin, cutEnd);
    this.#begun[begin] = word + 1;
  }

  *#collect(): Sliceable<(number | string)[]> {
    const fragments: (number | string)[] = [];
    for (let at = 0, pause = UNITS_AT_ONCE; at < this.#text.length;) {
      const begin = at;
      if (this.#until[at] !== 0) {
        fragments.push(this.#begun[at] - 1);
        at = this.#until[at];
      } else {
        while (at < this.#text.length && this.#until[at] === 0) at++;
        fragments.push(this.#text.slice(begin, at));
      }
      if (at < pause) continue;
      yield;
      pause = at + UNITS_AT_ONCE;
    }
    return fragments;
  }

  /** How long a word that ends at `end` may be if it must not have a foreign character. */
  #ownRoom(end: number): number {
    const foreign = this.#foreign;
    let [low, high] = [0, foreign.length >> 1];
    while (low < high) {
      const middle = low + high >> 1;
      if (foreign[2 * middle] < end) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? Infinity : end - foreign[2 * low - 1];
  }
}

/** White space of ASCII. */
function isSpace(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code === 32 || code >= 9 && code <= 13;
}
