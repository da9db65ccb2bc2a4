/**
 * A term as it is kept, with what is known of its language.
 *
 * @module
 */

/** A term; its parts are numbers of others. */
export interface Term {
  readonly kind: number;
  /** Of `bytes`, the number of the set; of `repeat`, the least count. */
  readonly value: number;
  /** Of `repeat`, the most. */
  readonly most: number;
  readonly parts: readonly number[];
  /** Whether the empty text is in the language. */
  readonly isNullable: boolean;
  /** Whether intersections or complements occur in it. */
  readonly needsSearch: boolean;
  /** Whether it is sure that there are only so many texts. */
  readonly isFinite: boolean;
  /** How far the end of a text may be. */
  readonly distance: number;
}

/** Whether a term is the one of this kind, of these parts and numbers. */
export function isTerm(term: Term, kind: number, parts: readonly number[], value: number, most: number): boolean {
  if (term.kind !== kind || term.value !== value || term.most !== most || term.parts.length !== parts.length) {
    return false;
  }
  for (let index = 0; index < parts.length; index++) if (term.parts[index] !== parts[index]) return false;
  return true;
}
