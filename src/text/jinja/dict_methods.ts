/**
 * The methods of dictionaries by name, and how dictionaries are made.
 *
 * @module
 */
import { bind } from "./arguments.ts";
import { Failure, wrongType } from "./failure.ts";
import { keyOf } from "./operators.ts";
import { iterate, listOf } from "./sequences.ts";
import type { Method, Run } from "./types.ts";
import { Dict, type Key, type Keywords, NONE, own, typeName, type Value, View } from "./values.ts";

const viewing = (part: "keys" | "values" | "items"): Method => (_, self, args, keywords) => {
  bind(part, { names: [] }, args, keywords);
  return new View(part, self as Dict);
};

/** The methods of dictionaries. */
export const dictMethods: ReadonlyMap<string, Method> = new Map<string, Method>([
  ["keys", viewing("keys")],
  ["values", viewing("values")],
  ["items", viewing("items")],
  ["get", (run, self, args, keywords) => {
    const [key, otherwise] = bind("get", { names: ["key", "default"], required: 1, byPlace: 2 }, args, keywords);
    return (self as Dict).entries.get(keyOf(run, key as Value))?.[1] ?? otherwise ?? NONE;
  }],
  ["copy", (run, self, args, keywords) => {
    bind("copy", { names: [] }, args, keywords);
    run.budget.step((self as Dict).entries.size);
    return new Dict((self as Dict).entries);
  }],
  ["fromkeys", (run, _, args, keywords) => {
    const [keys, value] = bind("fromkeys", { names: ["iterable", "value"], required: 1, byPlace: 2 }, args, keywords);
    const entries = new Map<Key, readonly [Value, Value]>();
    for (const key of iterate(run, keys as Value)) put(run, entries, key, value ?? NONE);
    return new Dict(entries);
  }],
]);

/** Puts a value into the entries of a dictionary; the key that was there first stays. */
export function put(run: Run, entries: Map<Key, readonly [Value, Value]>, key: Value, value: Value): void {
  run.budget.step();
  const found = keyOf(run, key);
  entries.set(found, [entries.get(found)?.[0] ?? key, value]);
}

/** The entries of `dict(...)`: of a dictionary or of pairs, and those given by name. */
export function entriesOf(run: Run, args: readonly Value[], keywords: Keywords): Map<Key, readonly [Value, Value]> {
  if (args.length > 1) return wrongType(`dict expected at most 1 argument, got ${args.length}`);
  const entries = new Map<Key, readonly [Value, Value]>();
  const [first] = args;
  if (first instanceof Dict) { for (const [key, value] of first.entries.values()) put(run, entries, key, value); }
  else if (first !== undefined) {
    for (const item of iterate(run, first)) {
      const pair = listOf(run, item);
      if (pair.length !== 2) {
        throw new Failure("ValueError", `dictionary update sequence element has length ${pair.length}; 2 is required`);
      }
      put(run, entries, pair[0], pair[1]);
    }
  }
  for (const [name, value] of keywords) put(run, entries, own(name), value);
  return entries;
}

/** The entries of a dictionary by their names, for `**dict`. */
export function keywordsOf(run: Run, value: Value): [string, Value][] {
  if (!(value instanceof Dict)) {
    return wrongType(`argument after ** must be a mapping, not ${typeName(value)}`);
  }
  return [...value.entries].map(([key, [, inner]]) => {
    run.budget.step();
    if (typeof key !== "string") return wrongType("keywords must be strings");
    return [key, inner];
  });
}
