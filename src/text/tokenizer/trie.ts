/**
 * The tokens of a vocabulary as a trie of bytes, for kinds that ask which tokens a text goes on with. Its edges lie in one
 * hash table under a random key, so that the author of a file cannot choose tokens that make it slow.
 *
 * @module
 */
import type { Sliceable } from "../../options/sliced.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** The node of no bytes. */
export const ROOT = 0;
const FIRST_CAPACITY = 1 << 12;
/** Bytes of tokens that are added between two places where the work may pause. */
const BYTES_AT_ONCE = 1 << 16;

/** Nodes are numbers; the root is 0, and 0 also stands for no child. */
export class ByteTrie {
  /** The node before each node, and the byte between them. */
  parents = new Int32Array(FIRST_CAPACITY);
  bytes = new Uint8Array(FIRST_CAPACITY);
  /** The token that ends at each node, or -1; of two with the same bytes the first. */
  tokens = new Int32Array(FIRST_CAPACITY).fill(-1);
  /** Nodes that there are. */
  size = 1;
  #slots = new Int32Array(2 * FIRST_CAPACITY);
  #shift = 32 - Math.log2(2 * FIRST_CAPACITY);
  readonly #keys = crypto.getRandomValues(new Int32Array(2)).map((key) => key | 1);

  /** The trie of the tokens for which `isIn` holds, or of their bytes backwards; empty ones are left out. */
  static *of(vocabulary: Vocabulary, isIn: (token: number) => boolean, backwards = false): Sliceable<ByteTrie> {
    const trie = new ByteTrie();
    const { bytes, starts } = vocabulary.texts;
    let sincePause = 0;
    for (let token = 0; token < vocabulary.size; token++) {
      if (!isIn(token)) continue;
      const start = starts[token];
      const length = vocabulary.endOf(token) - start;
      let node = ROOT;
      for (let index = 0; index < length; index++) {
        const byte = bytes[backwards ? start + length - 1 - index : start + index];
        node = trie.child(node, byte) || trie.#add(node, byte);
        if (++sincePause < BYTES_AT_ONCE) continue;
        yield;
        sincePause = 0;
      }
      if (node !== ROOT && trie.tokens[node] < 0) trie.tokens[node] = token;
    }
    return trie;
  }

  /** The node after one more byte, or 0. */
  child(node: number, byte: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let slot = this.#slot(node, byte);; slot = slot + 1 & mask) {
      const found = slots[slot];
      if (found === 0 || this.parents[found] === node && this.bytes[found] === byte) return found;
    }
  }

  #slot(node: number, byte: number): number {
    const hash = Math.imul(node ^ this.#keys[1], this.#keys[0]) ^ Math.imul(byte + 1, 0x85ebca6b);
    return Math.imul(hash ^ hash >>> 15, 0x2c1b3c6d) >>> this.#shift;
  }

  #add(parent: number, byte: number): number {
    if (this.size === this.parents.length) this.#grow();
    const node = this.size++;
    this.parents[node] = parent;
    this.bytes[node] = byte;
    this.#put(node);
    return node;
  }

  #put(node: number): void {
    const mask = this.#slots.length - 1;
    let slot = this.#slot(this.parents[node], this.bytes[node]);
    while (this.#slots[slot] !== 0) slot = slot + 1 & mask;
    this.#slots[slot] = node;
  }

  #grow(): void {
    const capacity = 2 * this.parents.length;
    const larger = <T extends Int32Array | Uint8Array>(to: T, from: T) => (to.set(from), to);
    this.parents = larger(new Int32Array(capacity), this.parents);
    this.bytes = larger(new Uint8Array(capacity), this.bytes);
    this.tokens = larger(new Int32Array(capacity).fill(-1), this.tokens);
    this.#slots = new Int32Array(2 * capacity);
    this.#shift--;
    for (let node = 1; node < this.size; node++) this.#put(node);
  }
}
