/**
 * Sets of bytes, each kept once: equal sets have the same number. The bytes that no set tells apart form a class, so an
 * automaton needs a column for each class and not for each of 256 bytes.
 *
 * @module
 */

import { hasBit, setBit } from "../sampling/bits.ts";
import { hashed, Hashes } from "./hashes.ts";

/** 256 bits: byte b is bit b % 32 of word floor(b / 32). */
export type ByteSet = Uint32Array;

/** Words of a set. */
const setWords = 8;

/** The set of the bytes from `first` to `last`. */
export function byteRange(first: number, last: number): ByteSet {
  const set = new Uint32Array(setWords);
  for (let byte = first; byte <= last; byte++) setBit(set, byte);
  return set;
}

/** Keeps each set once. */
export class ByteSets {
  readonly #sets: ByteSet[];
  readonly #hashes: Hashes;
  /** Of each set that has one byte, that byte; else -1. */
  readonly #only: number[];
  #given: number;

  /** No sets, or those of others. */
  constructor(others?: ByteSets) {
    this.#sets = others ? others.#sets.slice() : [];
    this.#given = others ? others.#given : 0;
    this.#hashes = new Hashes(others ? others.#hashes : undefined);
    this.#only = others ? others.#only.slice() : [];
  }

  /** How many sets there are that may tell bytes apart: what is made of others tells none apart that those do not. */
  get given(): number {
    return this.#given;
  }

  /** The number of a set. */
  intern(set: ByteSet): number {
    const { length } = this.#sets;
    const id = this.#intern(set);
    if (id === length) this.#given++;
    return id;
  }

  #intern(set: ByteSet): number {
    let hash = 0;
    for (let word = 0; word < setWords; word++) hash = hashed(hash, set[word]);
    for (let id = this.#hashes.first(hash); id >= 0; id = this.#hashes.after(id)) {
      if (areEqual(this.#sets[id], set)) return id;
    }
    this.#hashes.add(hash);
    this.#only.push(onlyByte(set));
    return this.#sets.push(set.slice()) - 1;
  }

  /** The set of a number. */
  get(id: number): ByteSet {
    return this.#sets[id];
  }

  /** The byte of a set that has one; else -1. */
  only(id: number): number {
    return this.#only[id];
  }

  /** The number of the set of the bytes that are in one of two. */
  union(a: number, b: number): number {
    return a === b ? a : this.#intern(this.#sets[a].map((word, index) => word | this.#sets[b][index]));
  }

  /** The number of the set of the bytes that are in both. */
  intersection(a: number, b: number): number {
    return a === b ? a : this.#intern(this.#sets[a].map((word, index) => word & this.#sets[b][index]));
  }

  /** Whether a set has no byte. */
  isEmpty(id: number): boolean {
    return this.#sets[id].every((word) => word === 0);
  }

  /** The classes of bytes that the sets so far tell apart: of each byte its class, and of each class a byte. */
  classes(): { readonly classOf: Uint8Array; readonly byteOf: Uint8Array } {
    // Sets of one byte, which most are, make it a class of its own.
    const alone = new Set<number>();
    const others: ByteSet[] = [];
    for (const [id, set] of this.#sets.entries()) {
      if (this.#only[id] >= 0) alone.add(this.#only[id]);
      else others.push(set);
    }
    const begins = runsOf(others);
    const classOf = new Uint8Array(256);
    const parts = new Int16Array(2 * 256);
    let count = 1;
    for (const set of others) {
      parts.fill(-1);
      count = 0;
      for (const byte of begins) {
        const part = 2 * classOf[byte] + Number(hasBit(set, byte));
        if (parts[part] < 0) parts[part] = count++;
        classOf[byte] = parts[part];
      }
    }
    begins.forEach((begin, index) => classOf.fill(classOf[begin], begin, begins[index + 1]));
    const sizes = new Uint16Array(256);
    for (const id of classOf) sizes[id]++;
    for (const byte of alone) {
      if (sizes[classOf[byte]] === 1) continue;
      sizes[classOf[byte]]--;
      sizes[count] = 1;
      classOf[byte] = count++;
    }
    const byteOf = new Uint8Array(count);
    for (let byte = 255; byte >= 0; byte--) byteOf[classOf[byte]] = byte;
    return { classOf, byteOf };
  }
}

function areEqual(a: ByteSet, b: ByteSet): boolean {
  for (let word = 0; word < setWords; word++) if (a[word] !== b[word]) return false;
  return true;
}

/** The first bytes of the runs of bytes that no set tells apart. */
function runsOf(sets: readonly ByteSet[]): number[] {
  const changes = new Uint32Array(setWords);
  for (const set of sets) {
    let last = 0;
    for (let word = 0; word < setWords; word++) {
      changes[word] |= set[word] ^ (set[word] << 1 | last);
      last = set[word] >>> 31;
    }
  }
  changes[0] |= 1;
  return Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => hasBit(changes, byte));
}

/** The byte of a set that has one; else -1. */
function onlyByte(set: ByteSet): number {
  let found = -1;
  for (let word = 0; word < setWords; word++) {
    const bits = set[word];
    if (bits === 0) continue;
    if (found >= 0 || (bits & (bits - 1)) !== 0) return -1;
    found = 32 * word + 31 - Math.clz32(bits);
  }
  return found;
}
