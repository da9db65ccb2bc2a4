/**
 * Letters that differ in their case alone, for what is matched without regard to it.
 *
 * @module
 */
import { type Characters, charactersOf } from "./characters.ts";

/** Letters with another case lie below this; above are none that are one character in both. */
const casedMost = 0x1e944;

let pairs: readonly (readonly [lower: number, upper: number])[] | undefined;

/** A set with the other cases of its letters. Letters whose other case is more than one, or not theirs alone, have none. */
export function folded(characters: Characters): Characters {
  pairs ??= casePairs();
  const has = (code: number) => characters.some(([first, last]) => code >= first && code <= last);
  const others = pairs.flatMap(([lower, upper]): [number, number][] => {
    const [hasLower, hasUpper] = [has(lower), has(upper)];
    if (hasLower === hasUpper) return [];
    return hasLower ? [[upper, upper]] : [[lower, lower]];
  });
  return charactersOf([...characters, ...others]);
}

function casePairs(): [number, number][] {
  const found: [number, number][] = [];
  for (let code = 0; code < casedMost; code++) {
    if (code >= 0xd800 && code < 0xe000) continue;
    const lower = String.fromCodePoint(code);
    const upper = lower.toUpperCase();
    if (upper === lower || upper.toLowerCase() !== lower || [...upper].length !== 1) continue;
    found.push([code, upper.codePointAt(0) as number]);
  }
  return found;
}
