/**
 * Partitions of the classes of bytes: which of them a term tells apart. A grammar has a class for each byte that any of its terms
 * names, while one term names few, so what is left of it after a byte is found once for all classes that it takes for the same.
 *
 * @module
 */

/** The number of a partition. */
export type Partition = number;

/** The partition that tells nothing apart. */
export const WHOLE: Partition = 0;

/** Above all partitions. */
const keyBase = 1 << 24;

/** Keeps each partition once. */
export class Partitions {
  readonly #parts: Uint8Array[] = [];
  readonly #members: (readonly (readonly number[])[])[] = [];
  readonly #firsts: (readonly number[])[] = [];
  readonly #ids = new Map<string, Partition>();
  readonly #meets = new Map<number, Partition>();

  /** Partitions of so many classes. */
  constructor(classes: number) {
    this.intern(new Uint8Array(classes));
  }

  /** The partition that gives each class a part; equal numbers are the same part. */
  intern(partOf: ArrayLike<number>): Partition {
    const numbers = new Map<number, number>();
    const parts = Uint8Array.from(partOf, (part) => {
      const known = numbers.get(part);
      if (known === undefined) numbers.set(part, numbers.size);
      return known ?? numbers.size - 1;
    });
    const key = parts.join();
    let id = this.#ids.get(key);
    if (id === undefined) {
      this.#ids.set(key, id = this.#parts.push(parts) - 1);
      const members: number[][] = Array.from(numbers, () => []);
      parts.forEach((part, own) => members[part].push(own));
      this.#members.push(members);
      this.#firsts.push(members.map(([first]) => first));
    }
    return id;
  }

  /** The partition that tells apart what one of two does. */
  meet(a: Partition, b: Partition): Partition {
    if (a === b || b === WHOLE) return a;
    if (a === WHOLE) return b;
    const key = a < b ? a * keyBase + b : b * keyBase + a;
    let found = this.#meets.get(key);
    if (found === undefined) {
      const [left, right] = [this.#parts[a], this.#parts[b]];
      this.#meets.set(key, found = this.intern(Array.from(left, (part, own) => 256 * part + right[own])));
    }
    return found;
  }

  /** The part of a class. */
  partOf(partition: Partition, own: number): number {
    return this.#parts[partition][own];
  }

  /** One class of each part. */
  firsts(partition: Partition): readonly number[] {
    return this.#firsts[partition];
  }

  /** The classes of each part. */
  members(partition: Partition): readonly (readonly number[])[] {
    return this.#members[partition];
  }
}
