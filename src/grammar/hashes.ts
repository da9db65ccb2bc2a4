/**
 * Things that are kept once, found by a number that is made of what they are: a text for each would take longer than all else
 * that is done to make them.
 *
 * @module
 */

/** Adds a value to a hash; what is no integer of 32 bits counts as one that is made of it. */
export function hashed(hash: number, value: number): number {
  const mixed = Math.imul(hash ^ value, 0x9e3779b1);
  return mixed ^ (mixed >>> 15);
}

/** The things of each hash, by numbers that count up from 0. */
export class Hashes {
  /** Of each end of a hash the newest thing; -1 where there is none. */
  #newest: Int32Array;
  /** Of each thing the one before it of the same end. */
  readonly #before: number[];
  readonly #hashes: number[];

  /** No things, or those of others. */
  constructor(others?: Hashes) {
    this.#newest = others ? others.#newest.slice() : new Int32Array(256).fill(-1);
    this.#before = others ? others.#before.slice() : [];
    this.#hashes = others ? others.#hashes.slice() : [];
  }

  /** The newest thing of a hash; -1 where there is none. */
  first(hash: number): number {
    return this.#from(this.#newest[hash & (this.#newest.length - 1)], hash);
  }

  /** The next older one of the same hash; -1 where there is none. */
  after(thing: number): number {
    return this.#from(this.#before[thing], this.#hashes[thing]);
  }

  #from(thing: number, hash: number): number {
    while (thing >= 0 && this.#hashes[thing] !== hash) thing = this.#before[thing];
    return thing;
  }

  /** Takes the next thing. */
  add(hash: number): void {
    if (this.#hashes.length === this.#newest.length) this.#grow();
    this.#hashes.push(hash);
    this.#before.push(-1);
    this.#enter(this.#hashes.length - 1);
  }

  #grow(): void {
    this.#newest = new Int32Array(4 * this.#newest.length).fill(-1);
    for (let thing = 0; thing < this.#hashes.length; thing++) this.#enter(thing);
  }

  #enter(thing: number): void {
    const end = this.#hashes[thing] & (this.#newest.length - 1);
    this.#before[thing] = this.#newest[end];
    this.#newest[end] = thing;
  }
}
