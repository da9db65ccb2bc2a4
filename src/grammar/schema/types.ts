/**
 * What the files of this room share: schemas by number, what is demanded of a value, and what a value of one type may be.
 *
 * @module
 */
import type { Lexeme } from "../lexemes.ts";

/** A JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** A schema that is an object. */
export type SchemaObject = Readonly<Record<string, Json>>;

/** A schema that a value meets (its number + 1), or does not meet (minus that). */
export type Literal = number;

/** What is demanded of a value: all of these, each once, in order. None: anything will do. */
export type Demand = readonly Literal[];

/** What names a property may have, and what its value must be. */
export interface NamedDemand {
  readonly names: Lexeme;
  readonly demand: Demand;
}

/** The properties or items that a schema has looked at, which `unevaluated...` leaves alone. */
export interface Evaluated {
  readonly all: boolean;
  readonly names: readonly Lexeme[];
  /** Items at the beginning of an array. */
  readonly items: number;
  /** What looks at each item that meets it. */
  readonly contains: readonly Demand[];
}

/** How many items of an array, from one on, meet a demand. */
export interface Containing {
  readonly demand: Demand;
  readonly least: number;
  readonly most: number;
  readonly from: number;
}

/** An array. */
export interface ArrayCase {
  readonly type: "array";
  readonly prefix: readonly Demand[];
  /** Of the items behind those of `prefix`. */
  readonly rest: Demand;
  readonly least: number;
  readonly most: number;
  /** How many items meet a demand. */
  readonly contains: readonly Containing[];
  /** Whether no two items are equal. */
  readonly isUnique: boolean;
  readonly evaluated: Evaluated;
}

/** Whether a property is there. */
export type Presence = "required" | "optional" | "absent";

/** An object. */
export interface ObjectCase {
  readonly type: "object";
  readonly named: ReadonlyMap<string, { readonly demand: Demand; readonly presence: Presence }>;
  /** What each property of such a name must be. */
  readonly rules: readonly NamedDemand[];
  /** What one property at least must be. */
  readonly needs: readonly NamedDemand[];
  readonly least: number;
  readonly most: number;
  readonly evaluated: Evaluated;
}

/** What a value of one type may be; of several cases a value meets one. */
export type Case =
  | { readonly type: "null" }
  | { readonly type: "boolean"; readonly values: readonly boolean[] }
  | { readonly type: "number"; readonly lexeme: Lexeme }
  | { readonly type: "string"; readonly lexeme: Lexeme }
  | ArrayCase
  | ObjectCase;

/** Nothing was looked at. */
export const NOTHING_EVALUATED: Evaluated = { all: false, names: [], items: 0, contains: [] };

/** Both demands. */
export function joined(a: Demand, b: Demand): Demand {
  if (a.length === 0) return b;
  if (b.length === 0) return a;
  return [...new Set([...a, ...b])].sort((left, right) => left - right);
}
