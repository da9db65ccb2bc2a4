/**
 * The named sets of characters of regular expressions: `\d`, `\w`, `\s`, the dot, and general categories such as `\p{L}`.
 * ECMAScript's meanings: digits and word characters are ASCII, white space is Unicode's.
 *
 * @module
 */
import { characterClasses, CLASS } from "../text/unicode.ts";
import { type Characters, charactersOf, complement } from "./characters.ts";

const digits: Characters = [[0x30, 0x39]];
const wordCharacters = charactersOf([[0x30, 0x39], [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]]);
const lineEnds = charactersOf([[0x0a, 0x0a], [0x0d, 0x0d], [0x2028, 0x2029]]);
const whiteSpace = charactersOf([
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
]);

/** What the dot stands for: all but the ends of lines. */
export const DOT: Characters = complement(lineEnds);

/** What a letter after a backslash stands for; `undefined` where it is no set. */
export function escapedSet(letter: string): Characters | undefined {
  switch (letter) {
    case "d":
      return digits;
    case "D":
      return complement(digits);
    case "w":
      return wordCharacters;
    case "W":
      return complement(wordCharacters);
    case "s":
      return whiteSpace;
    case "S":
      return complement(whiteSpace);
    default:
      return undefined;
  }
}

const categories: Readonly<Record<string, number>> = {
  L: CLASS.letter,
  Letter: CLASS.letter,
  N: CLASS.number,
  Number: CLASS.number,
  P: CLASS.punctuation,
  Punctuation: CLASS.punctuation,
  S: CLASS.symbol,
  Symbol: CLASS.symbol,
  M: CLASS.mark,
  Mark: CLASS.mark,
};

/** The names of the categories that {@link category} knows. */
export const CATEGORY_NAMES: readonly string[] = Object.keys(categories);

/** The characters of a general category, such as `L`; `undefined` where its name is not known. */
export function category(name: string): Characters | undefined {
  const bit = Object.hasOwn(categories, name) ? categories[name] : undefined;
  if (bit === undefined) return undefined;
  const classes = characterClasses();
  const runs: [number, number][] = [];
  for (let at = 0; at < classes.length; at++) {
    if (classes[at] !== bit) continue;
    const first = at;
    while (classes[at + 1] === bit) at++;
    runs.push([first, at]);
  }
  return runs;
}
