/**
 * Partitions of the classes of bytes: which of them a term tells apart. A grammar has a class for each byte that any of its terms
 * names, while one term names few, so what is left of it after a byte is found once for all classes that it takes for the same.
 *
 * @module
 */
import { hashed, Hashes } from "./hashes.ts";

/** The number of a partition. */
export type Partition = number;

/** The partition that tells nothing apart. */
export const WHOLE: Partition = 0;

/** Above all partitions. */
const keyBase = 1 << 24;

/** Parts are fewer: there are 256 bytes. */
const partsMost = 256;

/** Of each pair of parts the part that it becomes, or {@link NONE}: so again when a partition has been made. */
const numberOf = new Int16Array(partsMost * partsMost).fill(-1);
/** The pair of each class, and the part of each class, of the partition that is being made. */
const pairs = new Uint16Array(partsMost);
const made = new Uint8Array(partsMost);

/** No part yet. */
const NONE = -1;

/** Keeps each partition once. */
export class Partitions {
  readonly #classes: number;
  /** Of each partition the part of each class: parts count up from 0 in the order of their first classes. */
  readonly #parts: Uint8Array[] = [];
  readonly #firsts: (readonly number[] | undefined)[] = [];
  readonly #hashes = new Hashes();
  readonly #meets = new Map<number, Partition>();

  /** Partitions of so many classes. */
  constructor(classes: number) {
    this.#classes = classes;
    this.intern(() => 0);
  }

  /** The partition that gives each class a part, by a number below 65536; equal numbers are the same part. */
  intern(partOf: (own: number) => number): Partition {
    for (let own = 0; own < this.#classes; own++) pairs[own] = partOf(own);
    return this.#intern();
  }

  /** The partition of {@link pairs}. */
  #intern(): Partition {
    let [parts, hash] = [0, 0];
    for (let own = 0; own < this.#classes; own++) {
      const pair = pairs[own];
      let part = numberOf[pair];
      if (part === NONE) part = numberOf[pair] = parts++;
      made[own] = part;
      hash = hashed(hash, part);
    }
    for (let own = 0; own < this.#classes; own++) numberOf[pairs[own]] = NONE;
    for (let id = this.#hashes.first(hash); id >= 0; id = this.#hashes.after(id)) if (this.#isMade(id)) return id;
    this.#hashes.add(hash);
    return this.#parts.push(made.slice(0, this.#classes)) - 1;
  }

  #isMade(id: Partition): boolean {
    const parts = this.#parts[id];
    for (let own = 0; own < parts.length; own++) if (parts[own] !== made[own]) return false;
    return true;
  }

  /** The partition that tells apart what one of two does. */
  meet(a: Partition, b: Partition): Partition {
    if (a === b || b === WHOLE) return a;
    if (a === WHOLE) return b;
    const key = a < b ? a * keyBase + b : b * keyBase + a;
    let found = this.#meets.get(key);
    if (found === undefined) {
      const [left, right] = [this.#parts[a], this.#parts[b]];
      for (let own = 0; own < left.length; own++) pairs[own] = partsMost * left[own] + right[own];
      this.#meets.set(key, found = this.#intern());
    }
    return found;
  }

  /** The part of each class. */
  parts(partition: Partition): Uint8Array {
    return this.#parts[partition];
  }

  /** One class of each part. */
  firsts(partition: Partition): readonly number[] {
    let firsts = this.#firsts[partition];
    if (firsts === undefined) {
      const found: number[] = [];
      this.#parts[partition].forEach((part, own) => part === found.length && found.push(own));
      this.#firsts[partition] = firsts = found;
    }
    return firsts;
  }
}
