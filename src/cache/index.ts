/**
 * Where in the tree a run of tokens may be: a hash table from runs to places. The hash is only a way to find candidates,
 * the caller compares tokens; it is keyed with a secret of its own, so that no attacker can prepare prompts that meet in one
 * bucket. HalfSipHash-1-3: 32-bit words only, one round a token. (Aumasson and Bernstein, SipHash: a fast short-input PRF.)
 *
 * @module
 */

/** Tokens between two lengths at which a run is looked for. */
export const stride = 8;

/** A keyed hash over a place in the tree and the tokens after it. */
export class RunHash {
  readonly #key = crypto.getRandomValues(new Uint32Array(2));
  readonly #mask: number;

  /** `bits` (1 to 32) are kept of each hash; few make collisions, for tests. */
  constructor(bits: number = 32) {
    this.#mask = bits >= 32 ? -1 : (1 << bits) - 1;
  }

  /** The hash of the first `count` tokens from `at` on, after place `parent`. */
  of(parent: number, tokens: ArrayLike<number>, at: number, count: number): number {
    const [key0, key1] = this.#key as unknown as [number, number];
    let v0 = key0 | 0;
    let v1 = key1 | 0;
    let v2 = key0 ^ 0x6c796765;
    let v3 = key1 ^ 0x74656462;
    // The place first, then tokens, then the length, then three rounds more.
    for (let index = -1; index < count + 4; index++) {
      const word = index < 0 ? parent : index < count ? tokens[at + index] as number : index === count ? count : 0;
      if (index === count + 1) v2 ^= 0xff;
      v3 ^= word;
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
      v0 ^= word;
    }
    return (v1 ^ v3) & this.#mask;
  }
}

const none = -1;

/** A hash table with chains: several places may have the same hash, and one place several lengths. */
export class RunIndex<Place> {
  #heads = new Int32Array(64).fill(none);
  #next: number[] = [];
  #hashes: number[] = [];
  #lengths: number[] = [];
  #places: (Place | undefined)[] = [];
  #free = none;
  #size = 0;

  /** Entries. */
  get size(): number {
    return this.#size;
  }

  /** Adds a place whose first `length` tokens have this hash. */
  add(hash: number, place: Place, length: number): void {
    if (this.#size >= this.#heads.length) this.#grow();
    let entry = this.#free;
    if (entry === none) entry = this.#places.length;
    else this.#free = this.#next[entry] as number;
    this.#hashes[entry] = hash;
    this.#lengths[entry] = length;
    this.#places[entry] = place;
    this.#link(entry);
    this.#size++;
  }

  /** Takes one entry out that was added so. */
  remove(hash: number, place: Place, length: number): void {
    const head = hash & (this.#heads.length - 1);
    let before = none;
    let entry = this.#heads[head] as number;
    while (this.#places[entry] !== place || this.#lengths[entry] !== length) {
      if (entry === none) throw new RangeError("A run of tokens was not in the index.");
      before = entry;
      entry = this.#next[entry] as number;
    }
    if (before === none) this.#heads[head] = this.#next[entry] as number;
    else this.#next[before] = this.#next[entry] as number;
    this.#places[entry] = undefined;
    this.#next[entry] = this.#free;
    this.#free = entry;
    this.#size--;
  }

  /** The first place for which `fits` holds, among those of this hash and length. */
  find(hash: number, length: number, fits: (place: Place) => boolean): Place | undefined {
    for (let entry = this.#heads[hash & (this.#heads.length - 1)] as number; entry !== none;) {
      if (this.#hashes[entry] === hash && this.#lengths[entry] === length) {
        const place = this.#places[entry] as Place;
        if (fits(place)) return place;
      }
      entry = this.#next[entry] as number;
    }
    return undefined;
  }

  #link(entry: number): void {
    const head = (this.#hashes[entry] as number) & (this.#heads.length - 1);
    this.#next[entry] = this.#heads[head] as number;
    this.#heads[head] = entry;
  }

  #grow(): void {
    this.#heads = new Int32Array(2 * this.#heads.length).fill(none);
    this.#places.forEach((place, entry) => {
      if (place !== undefined) this.#link(entry);
    });
  }
}
