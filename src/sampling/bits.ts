/**
 * Sets of small numbers, such as tokens, as bits of words: number n is bit n % 32 of word floor(n / 32).
 *
 * @module
 */

/** Whether a number is in a set. */
export function hasBit(words: Uint32Array, bit: number): boolean {
  return ((words[bit >>> 5] >>> (bit & 31)) & 1) === 1;
}

/** Puts a number in. */
export function setBit(words: Uint32Array, bit: number): void {
  words[bit >>> 5] |= 1 << (bit & 31);
}

/** Takes a number out. */
export function clearBit(words: Uint32Array, bit: number): void {
  words[bit >>> 5] &= ~(1 << (bit & 31));
}

/** Puts all numbers of another set in. */
export function addBits(words: Uint32Array, others: Uint32Array): void {
  others.forEach((word, index) => words[index] |= word);
}
