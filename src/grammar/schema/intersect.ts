/**
 * What two lists of cases have in common.
 *
 * @module
 */
import type { GrammarBudget } from "../budget.ts";
import { type Lexemes, NOTHING } from "../lexemes.ts";
import type { Numbers } from "./numbers.ts";
import type { Strings } from "./strings.ts";
import {
  type ArrayCase,
  type Case,
  type Demand,
  type Evaluated,
  joined,
  NOTHING_EVALUATED,
  type ObjectCase,
  type Presence,
} from "./types.ts";

/** Steps that a part of a case counts for: it is copied, and written into the case's name. */
const partWork = 3;

/** The languages of strings and numbers. */
export interface Languages {
  readonly budget: GrammarBudget;
  readonly lexemes: Lexemes;
  readonly strings: Strings;
  readonly numbers: Numbers;
}

/** The cases of any value. */
export function ANY({ strings, numbers }: Languages): Case[] {
  return [
    { type: "null" },
    { type: "boolean", values: [true, false] },
    { type: "number", lexeme: numbers.any },
    { type: "string", lexeme: strings.any },
    anyArray(),
    anyObject(),
  ];
}

/** An array of which nothing is said but this. */
export function anyArray(said: Partial<ArrayCase> = {}): ArrayCase {
  const counts = { least: 0, most: Infinity, contains: [], isUnique: false };
  const rest = { prefix: [], rest: [], ...counts, evaluated: NOTHING_EVALUATED };
  return { type: "array", ...rest, ...said };
}

/** An object of which nothing is said but this. */
export function anyObject(said: Partial<ObjectCase> = {}): ObjectCase {
  const rest = { rules: [], needs: [], least: 0, most: Infinity, evaluated: NOTHING_EVALUATED };
  return { type: "object", named: new Map(), ...rest, ...said };
}

/** An object of which one property is said to be there, or not. */
export function objectWith(name: string, presence: Presence, demand: Demand = []): ObjectCase {
  return anyObject({ named: new Map([[name, { demand, presence }]]) });
}

/** Whether a case is that of any array, or of any object. */
export function saysNothing(one: ArrayCase | ObjectCase): boolean {
  const { least, most, evaluated } = one;
  if (least > 0 || most < Infinity || evaluated.all || evaluated.items > 0 || evaluated.names.length > 0) return false;
  return one.type === "array"
    ? one.prefix.length + one.rest.length + one.contains.length === 0 && !one.isUnique
    : one.named.size + one.rules.length + one.needs.length === 0;
}

/** The cases that are met where one of each list is. */
export function intersect(a: readonly Case[], b: readonly Case[], languages: Languages): Case[] {
  const found: Case[] = [];
  languages.budget.work(a.length * b.length);
  for (const one of a) {
    for (const other of b) {
      const both = one.type === other.type ? common(one, other, languages) : undefined;
      if (both) found.push(both);
    }
  }
  return found;
}

function common(a: Case, b: Case, { budget, lexemes, strings, numbers }: Languages): Case | undefined {
  if (a === b) return a;
  budget.work(sizeOf(a) + sizeOf(b));
  if (a.type === "null" && b.type === "null") return a;
  if (a.type === "boolean" && b.type === "boolean") {
    const values = a.values.filter((value) => b.values.includes(value));
    return values.length > 0 ? { type: "boolean", values } : undefined;
  }
  if (a.type === "number" && b.type === "number" || a.type === "string" && b.type === "string") {
    // A case has texts of its type and no others: with all of them it has nothing to share but its own.
    const any = a.type === "string" ? strings.any : numbers.any;
    if (a.lexeme === any) return b;
    if (b.lexeme === any) return a;
    const lexeme = lexemes.both(a.lexeme, b.lexeme);
    return lexeme === NOTHING ? undefined : { type: a.type, lexeme };
  }
  if (a.type === "array" && b.type === "array") return commonArray(a, b);
  if (a.type === "object" && b.type === "object") return commonObject(a, b);
  return undefined;
}

/** How many parts are looked at where a case meets another. */
function sizeOf(one: Case): number {
  if (one.type === "array") return partWork * (one.prefix.length + one.contains.length);
  if (one.type !== "object") return 1;
  const { named, rules, needs, evaluated } = one;
  return partWork * (named.size + rules.length + needs.length + evaluated.names.length);
}

function commonArray(a: ArrayCase, b: ArrayCase): ArrayCase | undefined {
  const [least, most] = [Math.max(a.least, b.least), Math.min(a.most, b.most)];
  if (least > most) return undefined;
  const prefix = Array.from(
    { length: Math.max(a.prefix.length, b.prefix.length) },
    (_, index) => joined(a.prefix[index] ?? a.rest, b.prefix[index] ?? b.rest),
  );
  return {
    type: "array",
    prefix,
    rest: joined(a.rest, b.rest),
    least,
    most,
    contains: each(a.contains, b.contains),
    isUnique: a.isUnique || b.isUnique,
    evaluated: bothEvaluated(a.evaluated, b.evaluated),
  };
}

function commonObject(a: ObjectCase, b: ObjectCase): ObjectCase | undefined {
  const [least, most] = [Math.max(a.least, b.least), Math.min(a.most, b.most)];
  const named = new Map(a.named);
  for (const [name, theirs] of b.named) {
    const ours = named.get(name);
    const presence = ours ? bothPresences(ours.presence, theirs.presence) : theirs.presence;
    if (presence === undefined) return undefined;
    named.set(name, { demand: ours ? joined(ours.demand, theirs.demand) : theirs.demand, presence });
  }
  const required = [...named.values()].filter(({ presence }) => presence === "required").length;
  if (Math.max(least, required) > most) return undefined;
  return {
    type: "object",
    named,
    rules: each(a.rules, b.rules),
    needs: each(a.needs, b.needs),
    least,
    most,
    evaluated: bothEvaluated(a.evaluated, b.evaluated),
  };
}

function bothPresences(a: Presence, b: Presence): Presence | undefined {
  if (a === b || b === "optional") return a;
  return a === "optional" ? b : undefined;
}

function bothEvaluated(a: Evaluated, b: Evaluated): Evaluated {
  const names = each(a.names, b.names);
  const contains = each(a.contains, b.contains);
  return { all: a.all || b.all, names, items: Math.max(a.items, b.items), contains };
}

/** What is in either list, each once: a schema that is met twice says no more than once. */
function each<T>(a: readonly T[], b: readonly T[]): readonly T[] {
  if (a.length === 0) return b;
  if (b.length === 0) return a;
  return [...new Map([...a, ...b].map((one) => [JSON.stringify(one), one])).values()];
}
