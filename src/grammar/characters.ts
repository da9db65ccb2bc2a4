/**
 * Sets of characters, and the bytes of UTF-8 that spell them. Surrogates have no bytes, so they are in no set.
 *
 * @module
 */
import { EMPTY, type Lexeme, type Lexemes, NOTHING } from "./lexemes.ts";

/** Characters in order, as first and last code points of runs that don't touch. */
export type Characters = readonly (readonly [first: number, last: number])[];

/** The last code point. */
const lastCharacter = 0x10ffff;
const surrogates = [0xd800, 0xdfff] as const;

/** The characters of runs in any order. */
export function charactersOf(runs: readonly (readonly [number, number])[]): Characters {
  const merged: [number, number][] = [];
  for (const [first, last] of runs.toSorted(([a], [b]) => a - b)) {
    const before = merged.at(-1);
    if (before && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else merged.push([first, last]);
  }
  return merged;
}

/** The characters that are not in a set. */
export function complement(characters: Characters): Characters {
  const runs: [number, number][] = [];
  let at = 0;
  for (const [first, last] of characters) {
    if (at < first) runs.push([at, first - 1]);
    at = last + 1;
  }
  if (at <= lastCharacter) runs.push([at, lastCharacter]);
  return runs;
}

/** All characters. */
export const ALL_CHARACTERS: Characters = [[0, lastCharacter]];

/** Last code points of 1, 2, 3 and 4 bytes. */
const lastOfLength = [0x7f, 0x7ff, 0xffff, lastCharacter];

/** One character of a set. */
export function oneOf(lexemes: Lexemes, characters: Characters): Lexeme {
  const parts: Lexeme[] = [];
  for (const [first, last] of characters) {
    for (const [from, to] of [[first, Math.min(last, surrogates[0] - 1)], [Math.max(first, surrogates[1] + 1), last]]) {
      let begin = from;
      for (const [index, end] of lastOfLength.entries()) {
        if (begin > to) break;
        if (begin > end) continue;
        const stop = Math.min(to, end);
        parts.push(spelled(lexemes, utf8(begin, index + 1), utf8(stop, index + 1)));
        begin = stop + 1;
      }
    }
  }
  return lexemes.either(...parts);
}

/** Texts of the same length whose bytes lie between those of two. */
function spelled(lexemes: Lexemes, first: readonly number[], last: readonly number[]): Lexeme {
  if (first.length === 0) return EMPTY;
  const [from, ...firstRest] = first;
  const [to, ...lastRest] = last;
  if (from === to) return lexemes.then(lexemes.range(from), spelled(lexemes, firstRest, lastRest));
  const lowest = firstRest.map(() => 0x80);
  const highest = firstRest.map(() => 0xbf);
  const isWhole = firstRest.every((byte) => byte === 0x80);
  const isWholeAtEnd = lastRest.every((byte) => byte === 0xbf);
  const [begin, end] = [isWhole ? from : from + 1, isWholeAtEnd ? to : to - 1];
  return lexemes.either(
    isWhole ? NOTHING : lexemes.then(lexemes.range(from), spelled(lexemes, firstRest, highest)),
    begin > end ? NOTHING : lexemes.then(lexemes.range(begin, end), spelled(lexemes, lowest, highest)),
    isWholeAtEnd ? NOTHING : lexemes.then(lexemes.range(to), spelled(lexemes, lowest, lastRest)),
  );
}

function utf8(character: number, length: number): number[] {
  if (length === 1) return [character];
  const bytes: number[] = [];
  for (let left = length - 1; left > 0; left--, character = Math.floor(character / 64)) {
    bytes.unshift(0x80 | (character % 64));
  }
  return [(0xf00 >> length) & 0xff | character, ...bytes];
}
