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

/** Whether two sets have a number in common. */
export function haveCommon(words: Uint32Array, others: Uint32Array): boolean {
  for (let index = 0; index < others.length; index++) if ((words[index] & others[index]) !== 0) return true;
  return false;
}

/** Whether all numbers of another set are in. */
export function hasBits(words: Uint32Array, others: Uint32Array): boolean {
  for (let index = 0; index < others.length; index++) if ((others[index] & ~words[index]) !== 0) return false;
  return true;
}

/** Puts all numbers of another set in. */
export function addBits(words: Uint32Array, others: Uint32Array): void {
  // A call a word would take ten times as long as the words.
  for (let index = 0; index < others.length; index++) words[index] |= others[index];
}

/** The numbers of a set, in their order. */
export function bitsOf(words: Uint32Array): number[] {
  const found: number[] = [];
  for (let index = 0; index < words.length; index++) {
    for (let word = words[index]; word !== 0; word &= word - 1) found.push(32 * index + 31 - Math.clz32(word & -word));
  }
  return found;
}
