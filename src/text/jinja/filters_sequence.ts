/**
 * Filters of lists, dictionaries and whatever else can be gone through.
 *
 * @module
 */
import { badArgument, bind, flagOr, intOr } from "./arguments.ts";
import { attributeOnly, pathGetter, pathsGetter, textArgument } from "./attributes.ts";
import { Failure, unsupported, wrongType } from "./failure.ts";
import { Text, TextBuilder } from "./marked.ts";
import { index } from "./numbers.ts";
import { arithmetic, equal, keyOf, ordered } from "./operators.ts";
import { elements, iterate, length, listOf, sequenceLength } from "./sequences.ts";
import { lower } from "./string_cases.ts";
import type { Operation, Run } from "./types.ts";
import {
  Dict,
  Group,
  int,
  type Key,
  type Keywords,
  List,
  NONE,
  Stream,
  type Tuple,
  typeName,
  Undefined,
  type Value,
  View,
} from "./values.ts";

/** What values are compared by: their strings without case, unless asked otherwise. */
function folding(run: Run, caseSensitive: boolean, get: (value: Value) => Value): (value: Value) => Value {
  const fold = (value: Value): Value => value instanceof Text ? lower(run, value) : value;
  if (caseSensitive) return get;
  return (value) => {
    const found = get(value);
    return found instanceof List ? new List(found.items.map(fold)) : fold(found);
  };
}

/** A flag that Python wants to be an integer or a boolean. */
function whole(value: Value | undefined): boolean {
  return value !== undefined && index(value, "reverse") !== 0;
}

/** Values in the order of what `key` gives of them; equal ones stay as they are. */
function sorted(run: Run, values: readonly Value[], key: (value: Value) => Value, reverse: boolean): Value[] {
  run.budget.step(4 * values.length);
  const keyed = values.map((value) => ({ value, key: key(value) }));
  const direction = reverse ? -1 : 1;
  keyed.sort((left, right) => {
    if (ordered(run, "<", left.key, right.key)) return -direction;
    return ordered(run, "<", right.key, left.key) ? direction : 0;
  });
  return keyed.map(({ value }) => value);
}

function sortFilter(run: Run, args: readonly Value[], keywords: Keywords): List {
  const names = ["value", "reverse", "case_sensitive", "attribute"];
  const [value, reverse, caseSensitive, paths] = bind("sort", { names, required: 1, byPlace: 1 }, args, keywords);
  const key = folding(run, flagOr(caseSensitive, false), pathsGetter(run, paths ?? NONE));
  return new List(sorted(run, listOf(run, value as Value), key, whole(reverse)));
}

function dictSort(run: Run, args: readonly Value[], keywords: Keywords): List {
  const names = ["value", "case_sensitive", "by", "reverse"];
  const [value, caseSensitive, by, reverse] = bind("dictsort", { names, required: 1, byPlace: 1 }, args, keywords);
  if (!(value instanceof Dict)) return wrongType(`'${typeName(value as Value)}' object has no attribute 'items'`);
  const which = by === undefined ? "key" : textArgument(by, "by").value;
  if (which !== "key" && which !== "value") return badArgument('You can only sort by either "key" or "value"');
  const part = (pair: Value) => (pair as Tuple).items[which === "key" ? 0 : 1];
  const key = folding(run, flagOr(caseSensitive, false), part);
  return new List(sorted(run, listOf(run, new View("items", value)), key, whole(reverse)));
}

function groupBy(run: Run, args: readonly Value[], keywords: Keywords): List {
  const names = ["value", "attribute", "default", "case_sensitive"];
  const [value, path, otherwise, caseSensitive] = bind("groupby", { names, required: 2, byPlace: 1 }, args, keywords);
  const get = withDefault(run, path as Value, otherwise);
  const isSensitive = flagOr(caseSensitive, false);
  const key = folding(run, isSensitive, get);
  const groups: { key: Value; items: Value[] }[] = [];
  for (const item of sorted(run, listOf(run, value as Value), key, false)) {
    const found = key(item);
    const last = groups.at(-1);
    if (last !== undefined && equal(run, last.key, found)) last.items.push(item);
    else groups.push({ key: found, items: [item] });
  }
  return new List(groups.map(({ key, items }) => new Group([isSensitive ? key : get(items[0]), new List(items)])));
}

/** What a path finds, or the default where something on its way is undefined. */
export function withDefault(run: Run, path: Value, otherwise: Value | undefined): (value: Value) => Value {
  if (otherwise === undefined || otherwise === NONE) return pathGetter(run, path);
  const parts = path instanceof Text ? path.value.split(".").map((part) => part.length) : [];
  if (parts.length < 2) {
    const get = pathGetter(run, path);
    return (value) => orDefault(get(value), otherwise);
  }
  let at = 0;
  const getters = parts.map((length) => {
    const start = at;
    at += length + 1;
    return pathGetter(run, (path as Text).slice(start, start + length));
  });
  return (value) => getters.reduce((inner, get) => orDefault(get(inner), otherwise), value);
}

function orDefault(value: Value, otherwise: Value): Value {
  return value instanceof Undefined ? otherwise : value;
}

function* unique(run: Run, args: readonly Value[], keywords: Keywords): Generator<Value> {
  const names = ["value", "case_sensitive", "attribute"];
  const [value, caseSensitive, path] = bind("unique", { names, required: 1, byPlace: 1 }, args, keywords);
  const get = folding(run, flagOr(caseSensitive, false), pathGetter(run, path ?? NONE));
  const seen = new Set<Key>();
  for (const item of iterate(run, value as Value)) {
    const key = keyOf(run, get(item));
    if (!seen.has(key)) yield item;
    seen.add(key);
  }
}

const extreme = (name: string, wanted: "<" | ">"): Operation => (run, args, keywords) => {
  const names = ["value", "case_sensitive", "attribute"];
  const [value, caseSensitive, path] = bind(name, { names, required: 1, byPlace: 1 }, args, keywords);
  const get = folding(run, flagOr(caseSensitive, false), pathGetter(run, path ?? NONE));
  let best: { value: Value; key: Value } | undefined;
  for (const item of iterate(run, value as Value)) {
    const key = get(item);
    if (best === undefined || ordered(run, wanted, key, best.key)) best = { value: item, key };
  }
  return best?.value ?? new Undefined("No aggregated item, sequence was empty.");
};

function* batch(run: Run, args: readonly Value[], keywords: Keywords): Generator<Value> {
  const names = ["value", "linecount", "fill_with"];
  const [value, count, fill] = bind("batch", { names, required: 2, byPlace: 1 }, args, keywords);
  const size = intOr("batch", count, 0);
  let items: Value[] = [];
  for (const item of iterate(run, value as Value)) {
    if (items.length === size) {
      yield new List(items);
      items = [];
    }
    items.push(item);
  }
  if (items.length === 0) return;
  run.budget.step(Math.max(0, size - items.length));
  if (fill !== undefined && fill !== NONE) { while (items.length < size) items.push(fill); }
  yield new List(items);
}

function* slices(run: Run, args: readonly Value[], keywords: Keywords): Generator<Value> {
  const names = ["value", "slices", "fill_with"];
  const [value, count, fill] = bind("slice", { names, required: 2, byPlace: 1 }, args, keywords);
  const parts = intOr("slice", count, 0);
  const items = listOf(run, value as Value);
  if (parts === 0) throw new Failure("ZeroDivisionError", "integer division or modulo by zero");
  const size = Math.floor(items.length / parts);
  const longer = items.length - size * parts;
  let at = 0;
  for (let part = 0; part < parts; part++) {
    run.budget.step();
    const end = at + size + (part < longer ? 1 : 0);
    const taken = items.slice(at, end);
    at = end;
    yield new List(fill !== undefined && fill !== NONE && part >= longer ? [...taken, fill] : taken);
  }
}

function sum(run: Run, args: readonly Value[], keywords: Keywords): Value {
  const names = ["iterable", "attribute", "start"];
  const [value, path, start] = bind("sum", { names, required: 1, byPlace: 1 }, args, keywords);
  if (start instanceof Text) return wrongType("sum() can't sum strings [use ''.join(seq) instead]");
  const get = pathGetter(run, path ?? NONE);
  let total: Value = start ?? int(0);
  for (const item of iterate(run, value as Value)) total = arithmetic(run, "+", total, get(item));
  return total;
}

function reverse(run: Run, value: Value): Value {
  if (value instanceof Text) {
    const out = new TextBuilder(run.budget);
    for (let at = value.length; at > 0; at--) {
      run.budget.step();
      out.append(value, value.offset(at - 1), value.offset(at));
    }
    return out.build(value.markup);
  }
  const items = [...listOf(run, value)].reverse();
  const isIndexed = sequenceLength(run, value) !== undefined || value instanceof Dict || value instanceof View ||
    value instanceof Undefined;
  return isIndexed ? new Stream(items.values(), "list_reverseiterator") : new List(items);
}

function first(run: Run, value: Value): Value {
  const next = iterate(run, value).next();
  return next.done === true ? new Undefined("No first item, sequence was empty.") : next.value;
}

function last(run: Run, value: Value): Value {
  const isIndexed = sequenceLength(run, value) !== undefined || value instanceof Dict || value instanceof View;
  if (!isIndexed && !(value instanceof Undefined)) return wrongType(`'${typeName(value)}' object is not reversible`);
  return listOf(run, value).at(-1) ?? new Undefined("No last item, sequence was empty.");
}

function items(run: Run, value: Value): Stream {
  const pairs = function* (): Generator<Value> {
    if (value instanceof Undefined) return;
    if (!(value instanceof Dict)) return wrongType("Can only get item pairs from a mapping.");
    yield* iterate(run, new View("items", value));
  };
  return new Stream(pairs());
}

/** A filter of one value and nothing else. */
const of = (name: string, apply: (run: Run, value: Value) => Value): Operation => (run, args, keywords) => {
  const [value] = bind(name, { names: ["value"], required: 1, byPlace: 1 }, args, keywords);
  return apply(run, value as Value);
};

const streaming =
  (make: (run: Run, args: readonly Value[], keywords: Keywords) => Generator<Value>): Operation =>
  (run, args, keywords) => new Stream(make(run, args, keywords));

/** The filters of sequences by name. */
export const sequenceFilters: readonly (readonly [string, Operation])[] = [
  ["length", of("length", length)],
  ["count", of("count", length)],
  ["list", of("list", (run, value) => new List(listOf(run, value)))],
  ["first", of("first", first)],
  ["last", of("last", last)],
  ["reverse", of("reverse", reverse)],
  ["items", of("items", items)],
  ["sort", sortFilter],
  ["dictsort", dictSort],
  ["groupby", groupBy],
  ["unique", streaming(unique)],
  ["batch", streaming(batch)],
  ["slice", streaming(slices)],
  ["min", extreme("min", "<")],
  ["max", extreme("max", ">")],
  ["sum", sum],
  ["attr", (run, args, keywords) => {
    const [value, name] = bind("attr", { names: ["obj", "name"], required: 2, byPlace: 1 }, args, keywords);
    return attributeOnly(run, value as Value, textArgument(name as Value, "attribute name"));
  }],
  ["random", () => {
    throw unsupported("the filter random", "the same messages have the same prompt");
  }],
];

/** Whether a value can be gone through. */
export function isIterable(run: Run, value: Value): boolean {
  return elements(run, value) !== undefined;
}
