/**
 * Going through values, counting them, and taking parts of them by index or slice, as Python does.
 *
 * @module
 */
import { Failure, wrongType } from "./failure.ts";
import { EMPTY, Text, TextBuilder } from "./marked.ts";
import { index } from "./numbers.ts";
import type { Run } from "./types.ts";
import {
  Dict,
  int,
  List,
  NONE,
  Num,
  Range,
  Stream,
  Thing,
  Tuple,
  typeName,
  Undefined,
  type Value,
  View,
} from "./values.ts";

/** The elements of a value, or undefined where it has none. */
export function elements(run: Run, value: Value): Iterator<Value> | undefined {
  if (value instanceof List || value instanceof Tuple) return paid(run, value.items.values());
  if (value instanceof Text) return characters(run, value);
  if (value instanceof Dict) return paid(run, new View("keys", value).members());
  if (value instanceof View) return paid(run, value.members());
  if (value instanceof Range) return numbers(run, value);
  if (value instanceof Stream) return value.iterator;
  if (value instanceof Undefined) return [].values();
  return undefined;
}

/** The elements of a value; fails where it has none. */
export function iterate(run: Run, value: Value): IterableIterator<Value> {
  const iterator = elements(run, value);
  if (iterator === undefined) return wrongType(`'${typeName(value)}' object is not iterable`);
  return { next: () => iterator.next(), [Symbol.iterator]: () => iterate(run, new Stream(iterator)) };
}

/** All elements of a value. */
export function listOf(run: Run, value: Value): readonly Value[] {
  if (value instanceof List || value instanceof Tuple) {
    run.budget.step(value.items.length >> 2);
    return value.items;
  }
  const items: Value[] = [];
  const iterator = elements(run, value);
  if (iterator === undefined) return wrongType(`'${typeName(value)}' object is not iterable`);
  for (let next = iterator.next(); next.done !== true; next = iterator.next()) items.push(next.value);
  return items;
}

function* paid(run: Run, values: Iterator<Value>): Generator<Value> {
  for (let next = values.next(); next.done !== true; next = values.next()) {
    run.budget.step(2);
    yield next.value;
  }
}

function* characters(run: Run, text: Text): Generator<Value> {
  for (let at = 0; at < text.value.length;) {
    const next = at + ((text.value.codePointAt(at) as number) > 0xffff ? 2 : 1);
    run.budget.step(2);
    yield text.slice(at, next).withMarkup(false);
    at = next;
  }
}

function* numbers(run: Run, range: Range): Generator<Value> {
  for (let at = 0; at < range.length; at++) {
    run.budget.step(2);
    yield range.at(at);
  }
}

/** `len(value)`, or undefined where it has none. */
export function lengthOf(run: Run, value: Value): number | undefined {
  if (value instanceof Text) {
    run.budget.scan(value.uncounted);
    return value.length;
  }
  if (value instanceof List || value instanceof Tuple) return value.items.length;
  if (value instanceof Dict) return value.entries.size;
  if (value instanceof View) return value.dict.entries.size;
  if (value instanceof Range) return value.length;
  if (value instanceof Undefined) return 0;
  return value instanceof Thing && "length" in value && typeof value.length === "number" ? value.length : undefined;
}

/** `len(value)` as a value; fails where it has none. */
export function length(run: Run, value: Value): Num {
  return int(lengthOf(run, value) ?? wrongType(`object of type '${typeName(value)}' has no len()`));
}

/** The element with an index; undefined beyond the ends. */
export function elementAt(run: Run, value: Value, position: number): Value | undefined {
  const count = sequenceLength(run, value);
  if (count === undefined) return undefined;
  const at = position < 0 ? position + count : position;
  if (!(at >= 0 && at < count)) return undefined;
  if (value instanceof Text) {
    return value.at(at);
  }
  return value instanceof Range ? value.at(at) : (value as List | Tuple).items[at];
}

/** How many elements an indexed sequence has; undefined for what is none. */
export function sequenceLength(run: Run, value: Value): number | undefined {
  return value instanceof Text || value instanceof List || value instanceof Tuple || value instanceof Range
    ? lengthOf(run, value)
    : undefined;
}

/** `value[start:stop:step]`. */
export function slice(run: Run, value: Value, start: Value, stop: Value, step: Value): Value {
  if (value instanceof Undefined) throw new Failure(value.error, value.message);
  const count = sequenceLength(run, value);
  if (count === undefined) return wrongType(`'${typeName(value)}' object is not subscriptable by a slice`);
  const by = step === NONE ? 1 : bound(step);
  if (by === 0) throw new Failure("ValueError", "slice step cannot be zero");
  const [lowest, highest] = by > 0 ? [0, count] : [-1, count - 1];
  const clamp = (given: Value, otherwise: number) => {
    if (given === NONE) return otherwise;
    const at = bound(given);
    return Math.max(lowest, Math.min(highest, at < 0 ? at + count : at));
  };
  const [from, to] = by > 0 ? [clamp(start, 0), clamp(stop, count)] : [clamp(start, count - 1), clamp(stop, -1)];
  if (value instanceof Text) return sliceText(run, value, from, to, by);
  if (value instanceof Range) {
    return new Range(value.start + from * value.step, value.start + to * value.step, value.step * by, value.foreign);
  }
  const { items } = value as List | Tuple;
  const taken = by === 1 ? items.slice(from, to) : [];
  if (by !== 1) { for (let at = from; by > 0 ? at < to : at > to; at += by) taken.push(items[at]); }
  run.budget.step(taken.length >> 2);
  return value instanceof List ? new List(taken) : new Tuple(taken);
}

function bound(value: Value): number {
  if (value instanceof Undefined) throw new Failure(value.error, value.message);
  if (!(value instanceof Num && !value.float) && typeof value !== "boolean") {
    return wrongType("slice indices must be integers or None or have an __index__ method");
  }
  return index(value);
}

function sliceText(run: Run, text: Text, from: number, to: number, by: number): Text {
  if (by === 1) return from < to ? text.slice(text.offset(from), text.offset(to)) : EMPTY.withMarkup(text.markup);
  const out = new TextBuilder(run.budget);
  for (let at = from; by > 0 ? at < to : at > to; at += by) {
    run.budget.step();
    out.append(text, text.offset(at), text.offset(at + 1));
  }
  return out.build(text.markup);
}
