/**
 * Merging pairs of neighbours, lowest rank first and leftmost among equals: the loop that SentencePiece-BPE and
 * byte-level BPE share. Symbols are numbers in a linked list; a heap holds what may merge next. A text of n symbols takes
 * n log n steps however long its words are.
 *
 * @module
 */

/** What two neighbouring symbols become, and how early. */
export interface Pairs {
  /** The slot of the pair in the two arrays, or -1 if it does not merge. The arrays may be other ones afterwards. */
  slot(left: number, right: number): number;
  /** The rank of each slot; lower merges earlier. */
  readonly ranks: Int32Array;
  /** The symbol that the pair of each slot becomes. */
  readonly merged: Int32Array;
}

const EMPTY = -1;

/** A hash table from pairs of symbols to a rank and the merged symbol. */
export class PairTable {
  ranks: Int32Array;
  merged: Int32Array;
  #left: Int32Array;
  #right: Int32Array;
  #mask: number;
  #used = 0;

  /** A table that has room for `expected` pairs; it grows beyond. */
  constructor(expected: number) {
    const capacity = 2 << Math.ceil(Math.log2(expected + 8));
    this.#mask = capacity - 1;
    this.#left = new Int32Array(capacity).fill(EMPTY);
    this.#right = new Int32Array(capacity);
    this.ranks = new Int32Array(capacity);
    this.merged = new Int32Array(capacity);
  }

  /** The slot of a pair, or `~slot` where it is absent. */
  find(left: number, right: number): number {
    let slot = Math.imul(Math.imul(left, 0x9e3779b1 | 0) ^ right, 0x85ebca6b | 0);
    slot = (slot ^ slot >>> 15) & this.#mask;
    for (;; slot = slot + 1 & this.#mask) {
      if (this.#left[slot] === EMPTY) return ~slot;
      if (this.#left[slot] === left && this.#right[slot] === right) return slot;
    }
  }

  /** Adds a pair that is absent; returns its slot. */
  add(left: number, right: number, rank: number, merged: number): number {
    if (2 * ++this.#used > this.#mask) this.#grow();
    const slot = ~this.find(left, right);
    this.#left[slot] = left;
    this.#right[slot] = right;
    this.ranks[slot] = rank;
    this.merged[slot] = merged;
    return slot;
  }

  #grow(): void {
    const old = { left: this.#left, right: this.#right, ranks: this.ranks, merged: this.merged };
    const capacity = 4 * old.left.length;
    this.#mask = capacity - 1;
    this.#left = new Int32Array(capacity).fill(EMPTY);
    this.#right = new Int32Array(capacity);
    this.ranks = new Int32Array(capacity);
    this.merged = new Int32Array(capacity);
    for (let from = 0; from < old.left.length; from++) {
      if (old.left[from] === EMPTY) continue;
      const slot = ~this.find(old.left[from], old.right[from]);
      this.#left[slot] = old.left[from];
      this.#right[slot] = old.right[from];
      this.ranks[slot] = old.ranks[from];
      this.merged[slot] = old.merged[from];
    }
  }
}

/** A heap's key is rank * POSITIONS + position, exact in a float64 for ranks below 2^22. */
const POSITIONS = 2 ** 31;
/** Ranks have to be below this. */
export const RANKS_MOST = 1 << 22;

/** Merges symbols until no neighbours merge. Its memory is kept from one text to the next. */
export class Merger {
  #next = new Int32Array(0);
  #previous = new Int32Array(0);
  #ranks = new Int32Array(0);
  #merged = new Int32Array(0);
  #heap = new Float64Array(0);
  #size = 0;

  /** Merges the first `count` symbols in place; returns how many are left. */
  merge(symbols: Int32Array, count: number, pairs: Pairs): number {
    if (count < 2) return count;
    this.#reserve(count);
    const next = this.#next, previous = this.#previous, ranks = this.#ranks, merged = this.#merged;
    for (let at = 0; at < count; at++) {
      next[at] = at + 1 < count ? at + 1 : -1;
      previous[at] = at - 1;
    }
    this.#size = 0;
    for (let at = 0; at < count; at++) {
      this.#look(symbols, pairs, at);
      if (ranks[at] >= 0) this.#heap[this.#size++] = ranks[at] * POSITIONS + at;
    }
    for (let at = (this.#size >> 1) - 1; at >= 0; at--) this.#sink(at, this.#heap[at]);

    while (this.#size > 0) {
      const key = this.#pop();
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

  /** Notes what the pair that begins at `at` would become. */
  #look(symbols: Int32Array, pairs: Pairs, at: number): void {
    const right = this.#next[at];
    const slot = right < 0 ? -1 : pairs.slot(symbols[at], symbols[right]);
    this.#ranks[at] = slot < 0 ? -1 : pairs.ranks[slot];
    this.#merged[at] = slot < 0 ? -1 : pairs.merged[slot];
  }

  #update(symbols: Int32Array, pairs: Pairs, at: number): void {
    this.#look(symbols, pairs, at);
    if (this.#ranks[at] >= 0) this.#push(this.#ranks[at] * POSITIONS + at);
  }

  #reserve(count: number): void {
    if (this.#next.length >= count) return;
    const capacity = Math.max(64, 2 * count);
    this.#next = new Int32Array(capacity);
    this.#previous = new Int32Array(capacity);
    this.#ranks = new Int32Array(capacity);
    this.#merged = new Int32Array(capacity);
    // Every merge takes one symbol away and adds two entries at most.
    this.#heap = new Float64Array(3 * capacity);
  }

  #push(key: number): void {
    const heap = this.#heap;
    let at = this.#size++;
    while (at > 0) {
      const parent = at - 1 >> 1;
      if (heap[parent] <= key) break;
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = key;
  }

  #pop(): number {
    const least = this.#heap[0];
    const last = this.#heap[--this.#size];
    if (this.#size > 0) this.#sink(0, last);
    return least;
  }

  #sink(at: number, key: number): void {
    const heap = this.#heap, size = this.#size;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && heap[child + 1] < heap[child]) child++;
      if (heap[child] >= key) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = key;
  }
}
