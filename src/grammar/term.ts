/**
 * A term as it is kept, with what is known of its language.
 *
 * @module
 */

import { hashed } from "./hashes.ts";

/** Kinds of terms. */
export const KIND = {
  nothing: 0,
  empty: 1,
  bytes: 2,
  then: 3,
  either: 4,
  both: 5,
  not: 6,
  repeat: 7,
  multiple: 8,
} as const;

/** What a term is; its parts are numbers of others. */
export interface TermForm {
  readonly kind: number;
  /** Of `bytes`, the number of the set; of `repeat`, the least count. */
  readonly value: number;
  /** Of `repeat`, the most. */
  readonly most: number;
  readonly parts: readonly number[];
}

/** A term as it is kept. */
export interface Term extends TermForm {
  /** Whether the empty text is in the language. */
  readonly isNullable: boolean;
  /** Whether intersections or complements occur in it. */
  readonly needsSearch: boolean;
  /** Whether it is sure that there are only so many texts. */
  readonly isFinite: boolean;
  /** How far the end of a text may be. */
  readonly distance: number;
}

/** The hash of a term. */
export function hashOfTerm(kind: number, parts: readonly number[], value: number, most: number): number {
  let hash = hashed(hashed(kind, value), most);
  for (const part of parts) hash = hashed(hash, part);
  return hash;
}

/** Whether a term is the one of this kind, of these parts and numbers. */
export function isTerm(term: TermForm, kind: number, parts: readonly number[], value: number, most: number): boolean {
  if (term.kind !== kind || term.value !== value || term.most !== most || term.parts.length !== parts.length) {
    return false;
  }
  for (let index = 0; index < parts.length; index++) if (term.parts[index] !== parts[index]) return false;
  return true;
}

/** How far the end of a text may be, by the sum and the least of the distances of a term's parts. */
export function distanceOf(kind: number, least: number, sum: number, shortest: number): number {
  switch (kind) {
    case KIND.nothing:
      return Infinity;
    case KIND.then:
    case KIND.both: // each part asks for something of its own
      return sum;
    case KIND.either:
      return shortest;
    case KIND.repeat:
      return least * sum;
    default:
      return 1;
  }
}
