/**
 * Merging pairs of neighbours, the lowest rank first and the leftmost among equals: the loop that SentencePiece and
 * byte-level BPE share. Symbols are numbers in a linked list; a heap holds the pairs that may merge. A text of n symbols
 * takes n log n steps, however long its words are.
 *
 * @module
 */
import { atOnce, type Sliceable } from "../../options/sliced.ts";
import { MinHeap } from "./heap.ts";

/** What two neighbouring symbols become, and how early. */
export interface Pairs {
  /**
   * Finds the entry of a pair: its rank is `PAIR_RANK` places after the entry's beginning, the symbol that the pair becomes
   * `PAIR_MERGED` places after it. A lower rank merges earlier.
   *
   * @returns where in `entries` the entry begins, or -1 if the pair does not merge
   */
  find(left: number, right: number): number;
  /** The entries. A call of `find` may replace the array by a larger one. */
  readonly entries: Int32Array;
}

/** The place of the rank in an entry. */
export const PAIR_RANK = 2;
/** The place of the symbol that the pair becomes. */
export const PAIR_MERGED = 3;

const ENTRY = 4;
const EMPTY = -1;

/** What `LearnedPairs` keeps of a pair. */
export interface Found {
  /** The rank; -1 where the pair does not merge. */
  rank: number;
  /** The symbol that the pair becomes. */
  merged: number;
}

/** The most pairs that are kept: 16 MiB of them, or 32 where the table has just grown. */
const KEPT_MOST = 1 << 20;

/**
 * Pairs that are looked up when a text first has them, and kept: a vocabulary has hundreds of thousands, most texts need
 * few. A hash table of entries of four numbers (left, right, rank, merged), so that an entry lies in one line of the
 * processor's cache.
 */
export class LearnedPairs implements Pairs {
  entries: Int32Array = new Int32Array(ENTRY * 1024).fill(EMPTY);
  #mask = 1023;
  #used = 0;
  readonly #look: (left: number, right: number, found: Found) => void;
  readonly #found: Found = { rank: -1, merged: -1 };

  /** `look` finds out what a pair becomes. */
  constructor(look: (left: number, right: number, found: Found) => void) {
    this.#look = look;
  }

  find(left: number, right: number): number {
    let at = this.#place(left, right);
    if (this.entries[at] === EMPTY) {
      // At most half is used.
      if (2 * ++this.#used > this.#mask) at = this.#grow(left, right);
      this.#found.rank = -1;
      this.#look(left, right, this.#found);
      const { entries } = this;
      entries[at] = left;
      entries[at + 1] = right;
      entries[at + PAIR_RANK] = this.#found.rank;
      entries[at + PAIR_MERGED] = this.#found.merged;
    }
    return this.entries[at + PAIR_RANK] < 0 ? -1 : at;
  }

  /** Where the pair's entry is, or would be. */
  #place(left: number, right: number): number {
    const { entries } = this;
    let slot = Math.imul(Math.imul(left, 0x9e3779b1 | 0) ^ right, 0x85ebca6b | 0);
    slot = (slot ^ slot >>> 15) & this.#mask;
    for (;; slot = slot + 1 & this.#mask) {
      const at = ENTRY * slot;
      if (entries[at] === EMPTY || entries[at] === left && entries[at + 1] === right) return at;
    }
  }

  /** Makes room, or forgets all pairs where there are too many; returns where the entry of an absent pair would be. */
  #grow(left: number, right: number): number {
    const old = this.entries;
    const forget = this.#used > KEPT_MOST;
    if (forget) this.#used = 1;
    else this.#mask = 4 * (this.#mask + 1) - 1;
    this.entries = new Int32Array(ENTRY * (this.#mask + 1)).fill(EMPTY);
    for (let at = 0; at < old.length && !forget; at += ENTRY) {
      if (old[at] !== EMPTY) this.entries.set(old.subarray(at, at + ENTRY), this.#place(old[at], old[at + 1]));
    }
    return this.#place(left, right);
  }
}

/** A key of the heap is rank * POSITIONS + position: exact in a float64 for ranks below 2^22. */
const POSITIONS = 2 ** 31;
/** Ranks are below this. */
export const RANKS_MOST = 1 << 22;

/** So few symbols need no heap. */
const SHORT_MOST = 24;
/** Symbols that are looked at, or merges that are made, between two places where the work may pause. */
const AT_ONCE = 1 << 14;

/** Merges symbols until no neighbours merge. Its memory is kept from one text to the next. */
export class Merger {
  #next = new Int32Array(0);
  #previous = new Int32Array(0);
  #ranks = new Int32Array(0);
  #merged = new Int32Array(0);
  readonly #heap = new MinHeap();
  readonly #shortRanks = new Int32Array(SHORT_MOST);
  readonly #shortMerged = new Int32Array(SHORT_MOST);

  /**
   * Merges the first `count` symbols in place.
   *
   * @returns how many symbols are left
   */
  merge(symbols: Int32Array, count: number, pairs: Pairs): number {
    return count <= SHORT_MOST ? this.#mergeShort(symbols, count, pairs) : atOnce(this.slices(symbols, count, pairs));
  }

  /** The same in slices. This merger merges nothing else meanwhile. */
  *slices(symbols: Int32Array, count: number, pairs: Pairs): Sliceable<number> {
    this.#reserve(count);
    this.#heap.clear();
    for (let begin = 0; begin < count; begin += AT_ONCE) {
      this.#begin(symbols, count, pairs, begin);
      yield;
    }
    this.#heap.arrange();
    while (this.#heap.size > 0) {
      this.#mergeSome(symbols, pairs);
      yield;
    }
    let left = 0;
    for (let at = 0; at >= 0; at = this.#next[at]) symbols[left++] = symbols[at];
    return left;
  }

  /** Links the symbols from `begin` on, and notes which of them merge. */
  #begin(symbols: Int32Array, count: number, pairs: Pairs, begin: number): void {
    const next = this.#next, previous = this.#previous, ranks = this.#ranks, heap = this.#heap;
    const end = Math.min(count, begin + AT_ONCE);
    for (let at = begin; at < end; at++) {
      next[at] = at + 1 < count ? at + 1 : -1;
      previous[at] = at - 1;
      this.#look(symbols, pairs, at);
      if (ranks[at] >= 0) heap.add(ranks[at] * POSITIONS + at);
    }
  }

  #mergeSome(symbols: Int32Array, pairs: Pairs): void {
    const next = this.#next, previous = this.#previous, ranks = this.#ranks, merged = this.#merged, heap = this.#heap;
    for (let left = AT_ONCE; left > 0 && heap.size > 0; left--) {
      const key = heap.pop();
      const rank = Math.floor(key / POSITIONS);
      const at = key - rank * POSITIONS;
      // The pair at this place may have changed since: then it has another rank, and an entry of its own.
      if (ranks[at] !== rank) continue;
      const gone = next[at];
      symbols[at] = merged[at];
      ranks[gone] = -1;
      next[at] = next[gone];
      if (next[at] >= 0) previous[next[at]] = at;
      this.#update(symbols, pairs, at);
      if (previous[at] >= 0) this.#update(symbols, pairs, previous[at]);
    }
  }

  /** Merges a few symbols, by looking through all of them for each merge. */
  #mergeShort(symbols: Int32Array, count: number, pairs: Pairs): number {
    const ranks = this.#shortRanks, merged = this.#shortMerged;
    const look = (at: number) => {
      const entry = at + 1 < count ? pairs.find(symbols[at], symbols[at + 1]) : -1;
      ranks[at] = entry < 0 ? RANKS_MOST : pairs.entries[entry + PAIR_RANK];
      if (entry >= 0) merged[at] = pairs.entries[entry + PAIR_MERGED];
    };
    for (let at = 0; at < count; at++) look(at);
    for (;;) {
      let best = 0;
      for (let at = 1; at + 1 < count; at++) if (ranks[at] < ranks[best]) best = at;
      if (count < 2 || ranks[best] === RANKS_MOST) return count;
      symbols[best] = merged[best];
      count--;
      for (let at = best + 1; at < count; at++) {
        symbols[at] = symbols[at + 1];
        ranks[at] = ranks[at + 1];
        merged[at] = merged[at + 1];
      }
      look(best);
      if (best > 0) look(best - 1);
    }
  }

  /** Notes what the pair that begins at `at` becomes. */
  #look(symbols: Int32Array, pairs: Pairs, at: number): void {
    const right = this.#next[at];
    const entry = right < 0 ? -1 : pairs.find(symbols[at], symbols[right]);
    this.#ranks[at] = entry < 0 ? -1 : pairs.entries[entry + PAIR_RANK];
    this.#merged[at] = entry < 0 ? -1 : pairs.entries[entry + PAIR_MERGED];
  }

  #update(symbols: Int32Array, pairs: Pairs, at: number): void {
    this.#look(symbols, pairs, at);
    if (this.#ranks[at] >= 0) this.#heap.push(this.#ranks[at] * POSITIONS + at);
  }

  #reserve(count: number): void {
    if (this.#next.length >= count) return;
    const capacity = Math.max(64, 2 * count);
    this.#next = new Int32Array(capacity);
    this.#previous = new Int32Array(capacity);
    this.#ranks = new Int32Array(capacity);
    this.#merged = new Int32Array(capacity);
  }
}
