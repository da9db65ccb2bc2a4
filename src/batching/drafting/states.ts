/**
 * What a model's last norm gave after each token of a sequence, kept until the model's own drafter has read it. Only the newest are
 * kept: a drafter that has not read for long begins anew with them.
 *
 * @module
 */

/** The most states that wait to be read. */
const waitingMost = 512;

/** The states of one sequence that its drafter has yet to read, in the order of their positions. */
export class States {
  readonly #width: number;
  #rows: Float32Array;
  #first = 0;
  #count = 0;

  /** States of `width` floats; none yet. */
  constructor(width: number) {
    this.#width = width;
    this.#rows = new Float32Array(16 * width);
  }

  /** The position of the first state that is there. */
  get first(): number {
    return this.#first;
  }

  /** The position behind the last one. */
  get end(): number {
    return this.#first + this.#count;
  }

  /** Takes `count` states, the first after the token at `position`: those that are new. */
  add(position: number, rows: Float32Array, count: number): void {
    // What was found in a cache was not computed; what is behind it does not go on from what is here.
    if (position > this.end || this.#count === 0) {
      this.#first = position;
      this.#count = 0;
    }
    const known = Math.max(this.end - position, count - waitingMost);
    if (known >= count) return;
    if (position + known > this.end) this.forget(position + known);
    const added = count - Math.max(0, known);
    this.forget(this.end + added - waitingMost);
    const begin = this.#count * this.#width;
    if (begin + added * this.#width > this.#rows.length) {
      const larger = new Float32Array(2 * (begin + added * this.#width));
      larger.set(this.#rows.subarray(0, begin));
      this.#rows = larger;
    }
    this.#rows.set(rows.subarray((count - added) * this.#width, count * this.#width), begin);
    this.#count += added;
  }

  /** The states after `count` tokens, the first at `position`: a view that the next call may change. */
  rows(position: number, count: number): Float32Array {
    const begin = (position - this.#first) * this.#width;
    return this.#rows.subarray(begin, begin + count * this.#width);
  }

  /** Those before `position` are not needed any more. */
  forget(position: number): void {
    const gone = position - this.#first;
    if (gone <= 0) return;
    const left = Math.max(0, this.#count - gone);
    this.#rows.copyWithin(0, (this.#count - left) * this.#width, this.#count * this.#width);
    this.#first = position;
    this.#count = left;
  }
}
