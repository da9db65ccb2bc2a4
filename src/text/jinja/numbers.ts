/**
 * Python's arithmetic: integers of any size, floats, and what makes one of the other. True and False are numbers, too.
 *
 * @module
 */
import { type Budget, LIMITS, overBudget } from "./budget.ts";
import { asciiDigits, stripped } from "./characters.ts";
import { divideRounded, fractionOf, roundFloat, toFloat } from "./exact.ts";
import { Failure, unsupported, wrongType } from "./failure.ts";
import { Num, typeName, type Value } from "./values.ts";

/** A value as a number, where it is one: booleans are 0 and 1. */
export function numberOf(value: Value): Num | undefined {
  if (value instanceof Num) return value;
  return typeof value === "boolean" ? new Num(value ? 1 : 0, false, false) : undefined;
}

/** An integer of any size, in its smallest form. */
export function integer(value: number | bigint, foreign: boolean): Num {
  if (typeof value === "bigint") {
    if (value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER)) value = Number(value);
    else if (BigInt.asIntN(LIMITS.integerBits, value) !== value) {
      throw overBudget(`${LIMITS.integerBits} bits of an integer`);
    }
  }
  return new Num(value === 0 ? 0 : value, false, foreign);
}

/** A float. */
export function float(value: number, foreign: boolean): Num {
  return new Num(value, true, foreign);
}

/** An argument that has to be an integer, as a number; those beyond all use are cut to what is. */
export function index(value: Value, what = "argument"): number {
  const number = numberOf(value);
  if (number === undefined || number.float) {
    return wrongType(`${what}: '${typeName(value)}' object cannot be interpreted as an integer`);
  }
  return Number(number.value);
}

/** The operators of arithmetic on numbers. */
export type Arithmetic = "+" | "-" | "*" | "/" | "//" | "%" | "**";

/** Arithmetic on two numbers. */
export function calculate(budget: Budget, operator: Arithmetic, left: Num, right: Num): Num {
  const foreign = left.foreign || right.foreign;
  if (operator === "**") return power(budget, left, right);
  if (operator === "/" && !left.float && !right.float) return divide(left, right);
  if (left.float || right.float) return float(onFloats(operator, toNumber(left), toNumber(right)), foreign);
  const [a, b] = [left.value, right.value];
  if (typeof a === "number" && typeof b === "number") {
    const value = onSmall(operator, a, b);
    if (Number.isSafeInteger(value)) return integer(value, foreign);
  }
  budget.step(8);
  return integer(onLarge(operator, BigInt(a), BigInt(b)), foreign);
}

/** A number as a float. */
export function toNumber(number: Num): number {
  const value = Number(number.value);
  if (!number.float && !Number.isFinite(value)) throw new Failure("OverflowError", "int too large to convert to float");
  return value;
}

function onSmall(operator: Arithmetic, a: number, b: number): number {
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    default: {
      if (b === 0) throw new Failure("ZeroDivisionError", "integer division or modulo by zero");
      const rest = a % b;
      const modulo = rest !== 0 && (rest < 0) !== (b < 0) ? rest + b : rest;
      return operator === "%" ? modulo : (a - modulo) / b;
    }
  }
}

function onLarge(operator: Arithmetic, a: bigint, b: bigint): bigint {
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    default: {
      if (b === 0n) throw new Failure("ZeroDivisionError", "integer division or modulo by zero");
      const rest = a % b;
      const modulo = rest !== 0n && (rest < 0n) !== (b < 0n) ? rest + b : rest;
      return operator === "%" ? modulo : (a - modulo) / b;
    }
  }
}

function onFloats(operator: Arithmetic, a: number, b: number): number {
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "/":
      if (b === 0) throw new Failure("ZeroDivisionError", "float division by zero");
      return a / b;
    default: {
      if (b === 0) {
        throw new Failure("ZeroDivisionError", `float ${operator === "%" ? "modulo" : "floor division by zero"}`);
      }
      let modulo = a % b;
      let quotient = (a - modulo) / b;
      if (modulo === 0) modulo = b < 0 ? -0 : 0;
      else if ((b < 0) !== (modulo < 0)) {
        modulo += b;
        quotient -= 1;
      }
      if (operator === "%") return modulo;
      if (quotient === 0) return a / b < 0 || Object.is(a / b, -0) ? -0 : 0;
      const floor = Math.floor(quotient);
      return quotient - floor > 0.5 ? floor + 1 : floor;
    }
  }
}

function divide(left: Num, right: Num): Num {
  const foreign = left.foreign || right.foreign;
  const [a, b] = [left.value, right.value];
  if (b === 0) throw new Failure("ZeroDivisionError", "division by zero");
  if (typeof a === "number" && typeof b === "number") return float(a / b, foreign);
  const [over, under] = [BigInt(a), BigInt(b)];
  const value = under < 0n ? toFloat(-over, -under) : toFloat(over, under);
  if (!Number.isFinite(value)) throw new Failure("OverflowError", "integer division result too large for a float");
  return float(value, foreign);
}

function power(budget: Budget, left: Num, right: Num): Num {
  const foreign = left.foreign || right.foreign;
  const exponent = Number(right.value);
  if (!left.float && !right.float && exponent >= 0) {
    return integer(integerPower(budget, BigInt(left.value), exponent), foreign);
  }
  const base = toNumber(left);
  if (base === 0 && exponent < 0) throw new Failure("ZeroDivisionError", "0.0 cannot be raised to a negative power");
  if (exponent === 0 || base === 1) return float(1, foreign);
  if (Number.isNaN(base) || Number.isNaN(exponent)) return float(NaN, foreign);
  if (exponent === 0.5 && base >= 0) return float(Math.sqrt(base), foreign);
  // Engines differ in the last digit of other powers, and a prompt must not.
  if (!Number.isInteger(exponent) || !Number.isFinite(base) || Math.abs(exponent) > 1024) {
    throw unsupported(`the power ${base} ** ${exponent}`, "only whole exponents from -1024 to 1024 are, and 0.5");
  }
  const { over, under } = fractionOf(base);
  budget.step(16 + Math.abs(exponent));
  let [top, bottom] = [over ** BigInt(Math.abs(exponent)), under ** BigInt(Math.abs(exponent))];
  if (exponent < 0) [top, bottom] = top < 0n ? [-bottom, -top] : [bottom, top];
  const value = toFloat(top, bottom);
  if (!Number.isFinite(value)) throw new Failure("OverflowError", "Numerical result out of range");
  return float(value, foreign);
}

function integerPower(budget: Budget, base: bigint, exponent: number): bigint {
  if (base === 0n || base === 1n || base === -1n) {
    return exponent % 2 === 0 ? (exponent === 0 ? 1n : base * base) : base;
  }
  const bits = (base < 0n ? -base : base).toString(16).length * 4 * exponent;
  if (bits > 4 * LIMITS.integerBits) throw overBudget(`${LIMITS.integerBits} bits of an integer`);
  budget.step(bits >> 4);
  return base ** BigInt(exponent);
}

/** Less than 0, 0 or more for two numbers; undefined where one is no number at all. */
export function compareNumbers(left: Num, right: Num): number | undefined {
  const [a, b] = [left.value, right.value];
  if (a < b) return -1;
  if (a > b) return 1;
  return Number.isNaN(a) || Number.isNaN(b) ? undefined : 0;
}

/** `round(value, places)`; without places, to an integer. */
export function round(value: Num, places: number | undefined): Num {
  if (!value.float) {
    if (places === undefined || places >= 0) return value;
    if (places < -LIMITS.integerBits) return integer(0, value.foreign);
    const unit = 10n ** BigInt(-places);
    return integer(divideRounded(BigInt(value.value), unit) * unit, value.foreign);
  }
  const plain = Number(value.value);
  if (places !== undefined) {
    const rounded = roundFloat(plain, places);
    if (!Number.isFinite(rounded) && Number.isFinite(plain)) {
      throw new Failure("OverflowError", "rounded value too large to represent");
    }
    return float(rounded, value.foreign);
  }
  return truncate(float(roundFloat(plain, 0), value.foreign));
}

/** `int(value)` of a number. */
export function truncate(value: Num): Num {
  if (!value.float) return value;
  const plain = Number(value.value);
  if (Number.isNaN(plain)) throw new Failure("ValueError", "cannot convert float NaN to integer");
  if (!Number.isFinite(plain)) throw new Failure("OverflowError", "cannot convert float infinity to integer");
  return integer(BigInt(Math.trunc(plain)), value.foreign);
}

/** `int(text, base)`; undefined where the text is none. */
export function parseInteger(text: string, base: number): number | bigint | undefined {
  const match = /^([-+]?)(?:0([xXoObB])(_?))?([0-9a-zA-Z]+(?:_[0-9a-zA-Z]+)*)$/.exec(asciiDigits(stripped(text)));
  if (match === null) return undefined;
  const [, sign, letter, , digits] = match;
  const named = { x: 16, o: 8, b: 2 }[letter?.toLowerCase() ?? ""];
  let body = digits.replaceAll("_", "").toLowerCase();
  if (letter !== undefined && (base === 0 || base === named)) base = named as number;
  else if (letter !== undefined) body = `0${letter.toLowerCase()}${body}`;
  if (base === 0) {
    if (letter === undefined && /^0+[1-9]/.test(body)) return undefined;
    base = 10;
  }
  if (body.length > 4300) return undefined;
  if (base === 10 && /^\d+$/.test(body)) return sign === "-" ? -BigInt(body) : BigInt(body);
  let value = 0n;
  for (const digit of body) {
    const worth = parseInt(digit, 36);
    if (!(worth < base)) return undefined;
    value = value * BigInt(base) + BigInt(worth);
  }
  return sign === "-" ? -value : value;
}

/** `float(text)`; undefined where the text is none. */
export function parseFloatText(text: string): number | undefined {
  const plain = asciiDigits(stripped(text));
  const special = /^([-+]?)(inf|infinity|nan)$/i.exec(plain);
  if (special !== null) {
    const value = special[2].toLowerCase() === "nan" ? NaN : Infinity;
    return special[1] === "-" ? -value : value;
  }
  const digits = "\\d+(?:_\\d+)*";
  if (!new RegExp(`^[-+]?(?:${digits}(?:\\.(?:${digits})?)?|\\.${digits})(?:[eE][-+]?${digits})?$`).test(plain)) {
    return undefined;
  }
  return Number(plain.replaceAll("_", ""));
}
