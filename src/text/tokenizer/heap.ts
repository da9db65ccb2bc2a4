/**
 * A heap of numbers, the least on top. Its memory is kept when it is emptied. Four children a node: they lie in one line of
 * the processor's cache.
 *
 * @module
 */

const ARITY = 4;
const FIRST_CAPACITY = 64;

/** Numbers of which the least is taken first. */
export class MinHeap {
  #keys = new Float64Array(FIRST_CAPACITY);
  #size = 0;

  /** How many numbers there are. */
  get size(): number {
    return this.#size;
  }

  /** Forgets all numbers. */
  clear(): void {
    this.#size = 0;
  }

  /** Adds a number out of order; after the last of them, call {@link MinHeap.arrange}. */
  add(key: number): void {
    if (this.#size === this.#keys.length) this.#grow();
    this.#keys[this.#size++] = key;
  }

  /** Brings numbers that were added into order. */
  arrange(): void {
    const size = this.#size;
    for (let at = (size - 2) / ARITY | 0; at >= 0 && size > 1; at--) this.#sink(at, this.#keys[at]);
  }

  /** Adds a number in order. */
  push(key: number): void {
    if (this.#size === this.#keys.length) this.#grow();
    const keys = this.#keys;
    let at = this.#size++;
    while (at > 0) {
      const parent = (at - 1) / ARITY | 0;
      if (keys[parent] <= key) break;
      keys[at] = keys[parent];
      at = parent;
    }
    keys[at] = key;
  }

  /** Takes the least number; there has to be one. */
  pop(): number {
    const least = this.#keys[0];
    const last = this.#keys[--this.#size];
    if (this.#size > 0) this.#sink(0, last);
    return least;
  }

  #grow(): void {
    const larger = new Float64Array(2 * this.#keys.length);
    larger.set(this.#keys);
    this.#keys = larger;
  }

  /** Puts `key` at place `at` or below, so that no child is less than its parent. */
  #sink(at: number, key: number): void {
    const keys = this.#keys, size = this.#size;
    for (;;) {
      const first = ARITY * at + 1;
      if (first >= size) break;
      const end = first + ARITY < size ? first + ARITY : size;
      let child = first;
      let least = keys[first];
      for (let other = first + 1; other < end; other++) {
        if (keys[other] < least) {
          least = keys[other];
          child = other;
        }
      }
      if (least >= key) break;
      keys[at] = least;
      at = child;
    }
    keys[at] = key;
  }
}
