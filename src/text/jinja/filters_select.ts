/**
 * Filters that apply another filter or a test to each element: `map`, `select`, `reject` and their kin. They do it when an
 * element is asked for, as Python's generators do.
 *
 * @module
 */
import { badArgument } from "./arguments.ts";
import { pathGetter } from "./attributes.ts";
import { Failure, wrongType } from "./failure.ts";
import { withDefault } from "./filters_sequence.ts";
import { Text } from "./marked.ts";
import { iterate } from "./sequences.ts";
import type { Operation, Run } from "./types.ts";
import { isTrue, type Keywords, Stream, type Value } from "./values.ts";

function* map(run: Run, [value, ...args]: readonly Value[], keywords: Keywords): Generator<Value> {
  if (value === undefined) return wrongType("map() missing required argument 'value'");
  if (!isTrue(value)) return;
  const apply = mapping(run, args, keywords);
  for (const item of iterate(run, value)) yield apply(item);
}

function mapping(run: Run, args: readonly Value[], keywords: Keywords): (value: Value) => Value {
  const path = keywords.get("attribute");
  if (args.length === 0 && path !== undefined) {
    for (const name of keywords.keys()) {
      if (name !== "attribute" && name !== "default") badArgument(`Unexpected keyword argument '${name}'`);
    }
    return withDefault(run, path, keywords.get("default"));
  }
  if (args.length === 0) return badArgument("map requires a filter argument");
  const [name, ...others] = args;
  const filter = named(run.filters, name, "filter");
  return (value) => filter(run, [value, ...others], keywords);
}

function named(operations: ReadonlyMap<string, Operation>, name: Value, kind: string): Operation {
  const found = name instanceof Text ? operations.get(name.value) : undefined;
  if (found !== undefined) return found;
  throw new Failure("TemplateRuntimeError", `No ${kind} named ${name instanceof Text ? `'${name.value}'` : "so"}.`);
}

const selecting = (wanted: boolean, byAttribute: boolean): Operation => (run, args, keywords) =>
  new Stream(select(run, args, keywords, wanted, byAttribute));

function* select(
  run: Run,
  [value, ...args]: readonly Value[],
  keywords: Keywords,
  wanted: boolean,
  byAttribute: boolean,
): Generator<Value> {
  if (value === undefined) return wrongType("select() missing required argument 'value'");
  if (!isTrue(value)) return;
  if (byAttribute && args.length === 0) badArgument("Missing parameter for attribute name");
  const get = byAttribute ? pathGetter(run, args[0]) : (item: Value) => item;
  const [name, ...others] = byAttribute ? args.slice(1) : args;
  const test = name === undefined ? undefined : named(run.tests, name, "test");
  for (const item of iterate(run, value)) {
    const found = get(item);
    if (isTrue(test === undefined ? found : test(run, [found, ...others], keywords)) === wanted) yield item;
  }
}

/** The filters that apply others by name. */
export const selectFilters: readonly (readonly [string, Operation])[] = [
  ["map", (run, args, keywords) => new Stream(map(run, args, keywords))],
  ["select", selecting(true, false)],
  ["reject", selecting(false, false)],
  ["selectattr", selecting(true, true)],
  ["rejectattr", selecting(false, true)],
];
