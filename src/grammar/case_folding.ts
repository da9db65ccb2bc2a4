/**
 * Letters that differ in their case alone, for what is matched without regard to it.
 *
 * @module
 */
import { type Characters, charactersOf } from "./characters.ts";

/** Letters with another case lie below this; above are none that are one character in both. */
const casedMost = 0x1e944;

/** Of each letter that has one, its other case. */
let others: ReadonlyMap<number, number> | undefined;

/** A set with the other cases of its letters. Letters whose other case is more than one, or not theirs alone, have none. */
export function folded(characters: Characters): Characters {
  others ??= otherCases();
  const found: [number, number][] = [];
  const add = (other: number | undefined) => {
    if (other !== undefined) found.push([other, other]);
  };
  for (const [first, last] of characters) {
    if (last - first < others.size) {
      for (let code = first; code <= last; code++) add(others.get(code));
    } else {
      for (const [code, other] of others) if (code >= first && code <= last) add(other);
    }
  }
  return charactersOf([...characters, ...found]);
}

function otherCases(): Map<number, number> {
  const found = new Map<number, number>();
  for (let code = 0; code < casedMost; code++) {
    if (code >= 0xd800 && code < 0xe000) continue;
    const lower = String.fromCodePoint(code);
    const upper = lower.toUpperCase();
    if (upper === lower || upper.toLowerCase() !== lower || [...upper].length !== 1) continue;
    found.set(code, upper.codePointAt(0) as number);
    found.set(upper.codePointAt(0) as number, code);
  }
  return found;
}
