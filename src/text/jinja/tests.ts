/**
 * The tests of `is` by name.
 *
 * @module
 */
import { bind } from "./arguments.ts";
import { Text } from "./marked.ts";
import { arithmetic, contains, equal, keyOf, type Order, ordered } from "./operators.ts";
import { elements } from "./sequences.ts";
import { str } from "./spelling.ts";
import { hasCase } from "./string_cases.ts";
import type { Operation, Run } from "./types.ts";
import { Callable, Dict, int, List, NONE, Num, Range, Tuple, Undefined, type Value } from "./values.ts";

/** A test of one value. */
const of = (test: (run: Run, value: Value) => boolean): Operation => (run, args, keywords) => {
  const [value] = bind("test", { names: ["value"], required: 1, byPlace: 1 }, args, keywords);
  return test(run, value as Value);
};

/** A test of two values. */
const between = (test: (run: Run, left: Value, right: Value) => boolean): Operation => (run, args, keywords) => {
  const [left, right] = bind("test", { names: ["value", "other"], required: 2, byPlace: 1 }, args, keywords);
  return test(run, left as Value, right as Value);
};

const order = (operator: Order): Operation => between((run, left, right) => ordered(run, operator, left, right));
const same = between(equal);
const different = between((run, left, right) => !equal(run, left, right));

function rest(run: Run, value: Value, by: number, wanted: number): boolean {
  return equal(run, arithmetic(run, "%", value, int(by)), int(wanted));
}

function isSame(left: Value, right: Value): boolean {
  if (left instanceof Num && right instanceof Num) {
    return left === right ||
      !left.float && !right.float && left.value === right.value && Math.abs(Number(left.value)) < 257;
  }
  return left === right;
}

function isSequence(value: Value): boolean {
  return value instanceof Undefined || value instanceof Text || value instanceof List || value instanceof Tuple ||
    value instanceof Dict ||
    value instanceof Range;
}

/** Whether a name is known. */
const texts = (known: (run: Run) => ReadonlyMap<string, Operation>): Operation =>
  of((run, value) => {
    // A list has no place in a table: Python says so, too.
    keyOf(run, value);
    return value instanceof Text && known(run).has(value.value);
  });

/** The tests by name. */
export const tests: ReadonlyMap<string, Operation> = new Map<string, Operation>([
  ["odd", of((run, value) => rest(run, value, 2, 1))],
  ["even", of((run, value) => rest(run, value, 2, 0))],
  ["divisibleby", between((run, value, by) => equal(run, arithmetic(run, "%", value, by), int(0)))],
  ["defined", of((_, value) => !(value instanceof Undefined))],
  ["undefined", of((_, value) => value instanceof Undefined)],
  ["filter", texts((run) => run.filters)],
  ["test", texts((run) => run.tests)],
  ["none", of((_, value) => value === NONE)],
  ["boolean", of((_, value) => typeof value === "boolean")],
  ["false", of((_, value) => value === false)],
  ["true", of((_, value) => value === true)],
  ["integer", of((_, value) => value instanceof Num && !value.float)],
  ["float", of((_, value) => value instanceof Num && value.float)],
  ["number", of((_, value) => value instanceof Num || typeof value === "boolean")],
  ["lower", of((run, value) => hasCase(run, str(run, value), "lower"))],
  ["upper", of((run, value) => hasCase(run, str(run, value), "upper"))],
  ["string", of((_, value) => value instanceof Text)],
  ["mapping", of((_, value) => value instanceof Dict)],
  ["sequence", of((_, value) => isSequence(value))],
  ["iterable", of((run, value) => elements(run, value) !== undefined)],
  ["callable", of((_, value) => value instanceof Callable || value instanceof Undefined)],
  ["sameas", between((_, left, right) => isSame(left, right))],
  ["escaped", of((_, value) => value instanceof Text && value.markup)],
  ["in", between((run, member, value) => contains(run, value, member))],
  ["==", same],
  ["eq", same],
  ["equalto", same],
  ["!=", different],
  ["ne", different],
  [">", order(">")],
  ["gt", order(">")],
  ["greaterthan", order(">")],
  [">=", order(">=")],
  ["ge", order(">=")],
  ["<", order("<")],
  ["lt", order("<")],
  ["lessthan", order("<")],
  ["<=", order("<=")],
  ["le", order("<=")],
]);
