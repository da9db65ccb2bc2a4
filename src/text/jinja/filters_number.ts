/**
 * Filters of numbers, and of values that may be missing.
 *
 * @module
 */
import { badArgument, bind, flagOr, intOr, textOr } from "./arguments.ts";
import { Failure, wrongType } from "./failure.ts";
import { EMPTY, Text } from "./marked.ts";
import {
  calculate,
  float,
  integer,
  numberOf,
  parseFloatText,
  parseInteger,
  round,
  toNumber,
  truncate,
} from "./numbers.ts";
import { refuseUndefined, signed } from "./operators.ts";
import type { Operation, Run } from "./types.ts";
import { int, isTrue, type Keywords, NONE, typeName, Undefined, type Value } from "./values.ts";

/** A number's origin where it is read from a string: that of the characters. */
function isForeign(text: Text): boolean {
  return text.origin !== "own";
}

function intFilter(run: Run, args: readonly Value[], keywords: Keywords): Value {
  const [value, otherwise, base] = bind(
    "int",
    { names: ["value", "default", "base"], required: 1, byPlace: 1 },
    args,
    keywords,
  );
  const given = value as Value;
  refuseUndefined(given);
  if (given instanceof Text) {
    run.budget.step(4 + (given.value.length >> 1));
    const whole = parseInteger(given.value, intOr("int", base, 10));
    if (whole !== undefined) return integer(whole, isForeign(given));
    const number = parseFloatText(given.value);
    if (number !== undefined && Number.isFinite(number)) return truncate(float(number, isForeign(given)));
    return otherwise ?? int(0);
  }
  const number = numberOf(given);
  if (number === undefined || Number.isNaN(number.value)) return otherwise ?? int(0);
  return truncate(number);
}

function floatFilter(run: Run, args: readonly Value[], keywords: Keywords): Value {
  const [value, otherwise] = bind("float", { names: ["value", "default"], required: 1, byPlace: 1 }, args, keywords);
  const given = value as Value;
  refuseUndefined(given);
  if (given instanceof Text) {
    run.budget.step(1 + (given.value.length >> 2));
    const number = parseFloatText(given.value);
    return number === undefined ? otherwise ?? float(0, false) : float(number, isForeign(given));
  }
  const number = numberOf(given);
  return number === undefined ? otherwise ?? float(0, false) : float(toNumber(number), number.foreign);
}

function roundFilter(run: Run, args: readonly Value[], keywords: Keywords): Value {
  const names = ["value", "precision", "method"];
  const [value, precision, method] = bind("round", { names, required: 1, byPlace: 1 }, args, keywords);
  const how = textOr("round", method, EMPTY).value || "common";
  if (how !== "common" && how !== "ceil" && how !== "floor") return badArgument("method must be common, ceil or floor");
  refuseUndefined(value as Value);
  const number = numberOf(value as Value);
  if (number === undefined) return wrongType(`type ${typeName(value as Value)} doesn't define __round__ method`);
  run.budget.step(64);
  if (how === "common" && precision === NONE) return round(number, undefined);
  const places = intOr("round", precision, 0);
  if (how === "common") return round(number, places);
  const unit = calculate(run.budget, "**", int(10), int(places));
  const scaled = calculate(run.budget, "*", number, unit);
  const whole = how === "ceil" ? Math.ceil(toNumber(scaled)) : Math.floor(toNumber(scaled));
  if (!Number.isFinite(whole)) throw new Failure("OverflowError", "cannot convert float infinity to integer");
  const edge = scaled.float ? integer(BigInt(whole), number.foreign) : scaled;
  return calculate(run.budget, "/", edge, unit);
}

function absolute(_: Run, args: readonly Value[], keywords: Keywords): Value {
  const [value] = bind("abs", { names: ["x"], required: 1, byPlace: 1 }, args, keywords);
  const number = numberOf(value as Value);
  if (number === undefined) return wrongType(`bad operand type for abs(): '${typeName(value as Value)}'`);
  return number.value < 0 || Object.is(number.value, -0) ? signed(number, true) : number;
}

function defaultFilter(_: Run, args: readonly Value[], keywords: Keywords): Value {
  const names = ["value", "default_value", "boolean"];
  const [value, otherwise, boolean] = bind("default", { names, required: 1, byPlace: 1 }, args, keywords);
  const isMissing = value instanceof Undefined || flagOr(boolean, false) && !isTrue(value as Value);
  return isMissing ? otherwise ?? EMPTY : value as Value;
}

/** The filters of numbers, and `default`, by name. */
export const numberFilters: readonly (readonly [string, Operation])[] = [
  ["int", intFilter],
  ["float", floatFilter],
  ["round", roundFilter],
  ["abs", absolute],
  ["default", defaultFilter],
  ["d", defaultFilter],
];
