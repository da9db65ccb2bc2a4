/**
 * Python's operators on any values: arithmetic, comparison, membership, and what makes two keys of a dictionary the same.
 *
 * @module
 */
import { Failure, wrongType } from "./failure.ts";
import { escapeHtml } from "./html.ts";
import { concat, Text, TextBuilder } from "./marked.ts";
import { type Arithmetic, calculate, compareNumbers, index, numberOf } from "./numbers.ts";
import { formatPrintf } from "./printf.ts";
import { elements } from "./sequences.ts";
import type { Run } from "./types.ts";
import { Dict, type Key, List, Num, Range, Tuple, typeName, Undefined, type Value, View } from "./values.ts";

/** Fails where a value is undefined, with what was looked for. */
export function refuseUndefined(value: Value): void {
  if (value instanceof Undefined) throw new Failure(value.error, value.message);
}

/** `left operator right`. */
export function arithmetic(run: Run, operator: Arithmetic, left: Value, right: Value): Value {
  run.budget.step();
  if (left instanceof Num && right instanceof Num) return calculate(run.budget, operator, left, right);
  if (operator === "%" && left instanceof Text) return formatPrintf(run, left, right);
  refuseUndefined(left);
  refuseUndefined(right);
  if (operator === "+") {
    if (left instanceof Text && right instanceof Text) return concatenate(run, left, right);
    if (left instanceof List && right instanceof List) return new List(joined(run, left.items, right.items));
    if (left instanceof Tuple && right instanceof Tuple) return new Tuple(joined(run, left.items, right.items));
  }
  if (operator === "*") {
    if (isRepeatable(left) && isWhole(right)) return repeat(run, left, index(right));
    if (isWhole(left) && isRepeatable(right)) return repeat(run, right, index(left));
  }
  const [a, b] = [numberOf(left), numberOf(right)];
  if (a !== undefined && b !== undefined) return calculate(run.budget, operator, a, b);
  return wrongType(`unsupported operand type(s) for ${operator}: '${typeName(left)}' and '${typeName(right)}'`);
}

function concatenate(run: Run, left: Text, right: Text): Text {
  const markup = left.markup || right.markup;
  return markup ? concat(run.budget, escapeHtml(run, left), escapeHtml(run, right)) : concat(run.budget, left, right);
}

function joined(run: Run, left: readonly Value[], right: readonly Value[]): Value[] {
  run.budget.step((left.length + right.length) >> 1);
  return [...left, ...right];
}

function isWhole(value: Value): boolean {
  return value instanceof Num && !value.float || typeof value === "boolean";
}

function isRepeatable(value: Value): value is Text | List | Tuple {
  return value instanceof Text || value instanceof List || value instanceof Tuple;
}

function repeat(run: Run, value: Text | List | Tuple, times: number): Value {
  const count = Math.max(0, times);
  if (value instanceof Text) {
    const whole = value.origin !== "mixed";
    if (value.value === "" || count === 0) return value.slice(0, 0);
    run.budget.make(count * (value.value.length + 8 * value.borders.length));
    if (whole) return new Text(value.value.repeat(count), value.borders, value.markup);
    const out = new TextBuilder(run.budget);
    for (let time = 0; time < count; time++) out.append(value);
    return out.build(value.markup);
  }
  run.budget.step(count * value.items.length);
  const items: Value[] = [];
  if (value.items.length > 0) {
    for (let time = 0; time < count; time++) for (const item of value.items) items.push(item);
  }
  return value instanceof List ? new List(items) : new Tuple(items);
}

/** `-value` or `+value`. */
export function signed(value: Value, negative: boolean): Value {
  refuseUndefined(value);
  const number = numberOf(value);
  if (number === undefined) {
    return wrongType(`bad operand type for unary ${negative ? "-" : "+"}: '${typeName(value)}'`);
  }
  if (!negative) return number;
  const minus = number.float
    ? -Number(number.value)
    : typeof number.value === "bigint"
    ? -number.value
    : 0 - number.value;
  return new Num(minus, number.float, number.foreign);
}

/** `left == right`. */
export function equal(run: Run, left: Value, right: Value): boolean {
  run.budget.step();
  if (left instanceof Text) {
    if (!(right instanceof Text)) return false;
    run.budget.scan(Math.min(left.value.length, right.value.length));
    return left.value === right.value;
  }
  const [a, b] = [numberOf(left), numberOf(right)];
  if (a !== undefined) return b !== undefined && compareNumbers(a, b) === 0;
  if (left === right) return true;
  if (left instanceof List && right instanceof List || left instanceof Tuple && right instanceof Tuple) {
    return sameItems(run, left.items, right.items);
  }
  if (left instanceof Dict && right instanceof Dict) return sameEntries(run, left, right);
  if (left instanceof Range && right instanceof Range) {
    return left.length === right.length &&
      (left.length === 0 || left.start === right.start && (left.length === 1 || left.step === right.step));
  }
  if (left instanceof View && right instanceof View && left.part !== "values" && right.part !== "values") {
    return left.dict.entries.size === right.dict.entries.size &&
      [...left.members()].every((member) => contains(run, right, member));
  }
  return left instanceof Undefined && right instanceof Undefined;
}

function sameItems(run: Run, left: readonly Value[], right: readonly Value[]): boolean {
  if (left.length !== right.length) return false;
  run.budget.enter(4);
  const same = left.every((item, at) => item === right[at] || equal(run, item, right[at]));
  run.budget.leave(4);
  return same;
}

function sameEntries(run: Run, left: Dict, right: Dict): boolean {
  if (left.entries.size !== right.entries.size) return false;
  run.budget.enter(4);
  for (const [key, [, value]] of left.entries) {
    const other = right.entries.get(key);
    if (other === undefined || value !== other[1] && !equal(run, value, other[1])) {
      run.budget.leave(4);
      return false;
    }
  }
  run.budget.leave(4);
  return true;
}

/** The operators of order. */
export type Order = "<" | "<=" | ">" | ">=";

/** `left operator right` for an order. */
export function ordered(run: Run, operator: Order, left: Value, right: Value): boolean {
  run.budget.step();
  refuseUndefined(left);
  refuseUndefined(right);
  const order = compare(run, operator, left, right);
  if (order === undefined) return false;
  if (operator === "<") return order < 0;
  if (operator === "<=") return order <= 0;
  return operator === ">" ? order > 0 : order >= 0;
}

function compare(run: Run, operator: Order, left: Value, right: Value): number | undefined {
  const [a, b] = [numberOf(left), numberOf(right)];
  if (a !== undefined && b !== undefined) return compareNumbers(a, b);
  if (left instanceof Text && right instanceof Text) {
    run.budget.scan(Math.min(left.value.length, right.value.length) * (left.astral && right.astral ? 16 : 1));
    return compareTexts(left.value, right.value);
  }
  if (left instanceof List && right instanceof List || left instanceof Tuple && right instanceof Tuple) {
    run.budget.enter(4);
    const at = left.items.findIndex((item, at) =>
      at >= right.items.length || item !== right.items[at] && !equal(run, item, right.items[at])
    );
    run.budget.leave(4);
    if (at < 0) return left.items.length - right.items.length;
    if (at >= right.items.length) return 1;
    return compare(run, operator, left.items[at], right.items[at]);
  }
  return wrongType(
    `'${operator}' not supported between instances of '${typeName(left)}' and '${typeName(right)}'`,
  );
}

const SURROGATES = /[\ud800-\udfff]/;

/** By code points: UTF-16 has those beyond 16 bits before the last ones below. */
function compareTexts(left: string, right: string): number {
  if (left === right) return 0;
  if (!SURROGATES.test(left) || !SURROGATES.test(right)) return left < right ? -1 : 1;
  const count = Math.min(left.length, right.length);
  for (let at = 0; at < count; at++) {
    const [a, b] = [left.charCodeAt(at), right.charCodeAt(at)];
    if (a !== b) return rank(a) - rank(b);
  }
  return left.length - right.length;
}

function rank(unit: number): number {
  return unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit;
}

/** `member in value`. */
export function contains(run: Run, value: Value, member: Value): boolean {
  run.budget.step();
  if (value instanceof Text) {
    refuseUndefined(member);
    if (!(member instanceof Text)) {
      return wrongType(`'in <string>' requires string as left operand, not ${typeName(member)}`);
    }
    run.budget.scan(value.value.length);
    return value.value.includes(member.value);
  }
  if (value instanceof Dict) return value.entries.has(keyOf(run, member));
  if (value instanceof View && value.part === "keys") return value.dict.entries.has(keyOf(run, member));
  const all = elements(run, value);
  if (all === undefined) return wrongType(`argument of type '${typeName(value)}' is not iterable`);
  for (let next = all.next(); next.done !== true; next = all.next()) {
    if (next.value === member || equal(run, next.value, member)) return true;
  }
  return false;
}

/** Begins the keys that tuples become: half of a character, which no string has. */
const TUPLE_KEY = "\ud800";

/** What a dictionary finds a key by. Numbers of the same value are the same key, booleans among them. */
export function keyOf(run: Run, value: Value): Key {
  if (value instanceof Text) {
    run.budget.scan(value.value.length);
    return value.value;
  }
  if (value instanceof Tuple) {
    run.budget.enter(4);
    const parts = value.items.map((item) => {
      const key = keyOf(run, item);
      const plain = typeof key !== "object" ? `${typeof key}:${String(key)}` : `#${idOf(key)}`;
      run.budget.make(plain.length + 8);
      return `${plain.length}:${plain}`;
    });
    run.budget.leave(4);
    return `${TUPLE_KEY}${parts.join("")}`;
  }
  const number = numberOf(value);
  if (number !== undefined) return number.value === 0 ? 0 : number.value;
  const isView = value instanceof View && value.part !== "values";
  if (value instanceof List || value instanceof Dict || isView) {
    return wrongType(`unhashable type: '${typeName(value)}'`);
  }
  if (value instanceof Undefined) return UNDEFINED_KEY;
  return value as Key;
}

/** All that is undefined is one key. */
const UNDEFINED_KEY: Key = new Undefined("undefined");
const ids = new WeakMap<object, number>();
let lastId = 0;

function idOf(thing: object): number {
  const id = ids.get(thing) ?? ++lastId;
  ids.set(thing, id);
  return id;
}
