/**
 * Words for probes: new ones each time, so that a template can neither know them nor have them in its own text.
 *
 * @module
 */

const letters = "abcdefghijklmnopqrstuvwxyz";

/** A word of letters that was not there before. */
export function newWord(length = 12): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(length)), (byte) => letters[byte % letters.length]).join("");
}

/** An id of nine letters and digits: what the strictest templates take. */
export function newId(): string {
  return `${newWord(8)}${crypto.getRandomValues(new Uint8Array(1))[0] % 10}`;
}
