/**
 * Merging pairs of neighbours, lowest rank first and leftmost among equals: the loop that SentencePiece-BPE and
 * byte-level BPE share. Symbols are numbers in a linked list; a heap holds what may merge next. A text of n symbols takes
 * n log n steps however long its words are.
 *
 * @module
 */
import { MinHeap } from "./heap.ts";

/** What two neighbouring symbols become, and how early. */
export interface Pairs {
  /**
   * Where in `entries` the pair is described, or -1 if it does not merge: its rank (lower merges earlier) is at
   * `PAIR_RANK` behind that, the symbol that it becomes at `PAIR_MERGED`.
   */
  find(left: number, right: number): number;
  /** Another array after a call of `find` that had to make room. */
  readonly entries: Int32Array;
}

/** Where an entry has its rank, */
export const PAIR_RANK = 2;
/** and where the symbol that the pair becomes. */
export const PAIR_MERGED = 3;

const ENTRY = 4;
const EMPTY = -1;

/** What a pair becomes, for `LearnedPairs` to keep. */
export interface Found {
  /** The rank; -1 where the pair does not merge. */
  rank: number;
  /** The symbol that it becomes. */
  merged: number;
}

/** No more pairs than that are kept. */
const KEPT_MOST = 1 << 20;

/**
 * Pairs that are looked up when a text first has them, and kept: a vocabulary has hundreds of thousands, most texts need
 * few. A hash table of entries of four (left, right, rank, merged), so that what belongs together lies in one line of the
 * processor's cache.
 */
export class LearnedPairs implements Pairs {
  entries: Int32Array = new Int32Array(ENTRY * 1024).fill(EMPTY);
  #mask = 1023;
  #used = 0;
  readonly #look: (left: number, right: number, found: Found) => void;
  readonly #found: Found = { rank: -1, merged: -1 };

  /** Pairs of which `look` says what they become. */
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

  /** Where the pair is or would be. */
  #place(left: number, right: number): number {
    const { entries } = this;
    let slot = Math.imul(Math.imul(left, 0x9e3779b1 | 0) ^ right, 0x85ebca6b | 0);
    slot = (slot ^ slot >>> 15) & this.#mask;
    for (;; slot = slot + 1 & this.#mask) {
      const at = ENTRY * slot;
      if (entries[at] === EMPTY || entries[at] === left && entries[at + 1] === right) return at;
    }
  }

  /** Makes room, or forgets everything where that is too much; returns the place of a pair that is absent. */
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

/** A heap's key is rank * POSITIONS + position, exact in a float64 for ranks below 2^22. */
const POSITIONS = 2 ** 31;
/** Ranks have to be below this. */
export const RANKS_MOST = 1 << 22;

/** So few symbols need no heap. */
const SHORT_MOST = 24;

/** Merges symbols until no neighbours merge. Its memory is kept from one text to the next. */
export class Merger {
  #next = new Int32Array(0);
  #previous = new Int32Array(0);
  #ranks = new Int32Array(0);
  #merged = new Int32Array(0);
  readonly #heap = new MinHeap();
  readonly #shortRanks = new Int32Array(SHORT_MOST);
  readonly #shortMerged = new Int32Array(SHORT_MOST);

  /** Merges the first `count` symbols in place; returns how many are left. */
  merge(symbols: Int32Array, count: number, pairs: Pairs): number {
    if (count <= SHORT_MOST) return this.#mergeShort(symbols, count, pairs);
    this.#reserve(count);
    const next = this.#next, previous = this.#previous, ranks = this.#ranks, merged = this.#merged;
    const heap = this.#heap;
    heap.clear();
    for (let at = 0; at < count; at++) {
      next[at] = at + 1 < count ? at + 1 : -1;
      previous[at] = at - 1;
      this.#look(symbols, pairs, at);
      if (ranks[at] >= 0) heap.add(ranks[at] * POSITIONS + at);
    }
    heap.arrange();

    while (heap.size > 0) {
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

    let left = 0;
    for (let at = 0; at >= 0; at = next[at]) symbols[left++] = symbols[at];
    return left;
  }

  /** The same for a few symbols, by looking through all of them for each merge. */
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

  /** Notes what the pair that begins at `at` would become. */
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
