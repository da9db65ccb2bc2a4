/**
 * Python's format specifications, the part after the colon of `{:>8.2f}`: alignment, sign, width, grouping, precision and
 * type, for strings and numbers.
 *
 * @module
 */
import { fixedDigits, significantDigits } from "./exact.ts";
import { Failure } from "./failure.ts";
import { Text, TextBuilder } from "./marked.ts";
import { integer, numberOf, toNumber } from "./numbers.ts";
import { spellFloat, str } from "./spelling.ts";
import type { Run } from "./types.ts";
import { Num, typeName, type Value } from "./values.ts";

/** A specification in its parts. */
export interface Spec {
  fill: string;
  align: string | undefined;
  sign: string;
  alternate: boolean;
  width: number;
  grouping: string;
  precision: number | undefined;
  type: string;
}

/** Widths and precisions beyond this cost more than any prompt is long. */
const widest = 1 << 20;

/** `format(value, spec)`. */
export function formatValue(run: Run, value: Value, source: string): Text {
  if (source === "") return str(run, value);
  const spec = parseSpec(source);
  if (value instanceof Text) return formatText(run, value, spec);
  const number = value instanceof Num || typeof value === "boolean" ? numberOf(value) : undefined;
  if (number === undefined) {
    throw new Failure("TypeError", `unsupported format string passed to ${typeName(value)}.__format__`);
  }
  if (number.float || "eEfFgG%".includes(spec.type) && spec.type !== "") return formatFloat(run, number, spec);
  return formatInteger(run, number, spec);
}

function parseSpec(source: string): Spec {
  const match = /^(?:(.)?([<>=^]))?([-+ ])?(z)?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?([a-zA-Z%])?$/su.exec(source);
  if (match === null) throw new Failure("ValueError", `Invalid format specifier '${source}'`);
  const [, fill, align, sign, , alternate, zero, width, grouping, precision, type] = match;
  const spec: Spec = {
    fill: fill ?? (zero === undefined ? " " : "0"),
    align: align ?? (zero === undefined ? undefined : "="),
    sign: sign ?? "-",
    alternate: alternate !== undefined,
    width: Number(width ?? 0),
    grouping: grouping ?? "",
    precision: precision === undefined ? undefined : Number(precision),
    type: type ?? "",
  };
  if (spec.width > widest || (spec.precision ?? 0) > widest) {
    throw new Failure("ValueError", "Too many decimal digits in format string");
  }
  return spec;
}

function formatText(run: Run, text: Text, spec: Spec): Text {
  if (spec.type !== "" && spec.type !== "s") {
    throw new Failure("ValueError", `Unknown format code '${spec.type}' for object of type 'str'`);
  }
  if (spec.align === "=" && spec.fill !== "0" || spec.sign !== "-" || spec.grouping !== "" || spec.alternate) {
    throw new Failure("ValueError", "this format specification is not allowed for strings");
  }
  if (spec.align === "=") spec.align = "<";
  const end = text.offset(Math.min(text.length, spec.precision ?? text.length));
  return padded(run, text.slice(0, end), spec, "<");
}

/** A string with its fill on the sides that its alignment says. */
function padded(run: Run, text: Text, spec: Spec, usual: string): Text {
  const missing = spec.width - text.length;
  if (missing <= 0) return text;
  const align = spec.align ?? usual;
  const left = align === "<" ? 0 : align === "^" ? missing >> 1 : missing;
  // Fill is written by the format, whose origin its caller knows: the side of caution here.
  return new TextBuilder(run.budget).add(spec.fill.repeat(left), true).append(text)
    .add(spec.fill.repeat(missing - left), true).build();
}

function formatInteger(run: Run, number: Num, spec: Spec): Text {
  const bases: Readonly<Record<string, number>> = { "": 10, d: 10, n: 10, b: 2, o: 8, x: 16, X: 16 };
  if (spec.type === "c") {
    return padded(run, Text.of(characterOf(number), number.foreign), spec, "<");
  }
  const base = bases[spec.type];
  if (base === undefined) {
    throw new Failure("ValueError", `Unknown format code '${spec.type}' for object of type 'int'`);
  }
  if (spec.precision !== undefined) {
    throw new Failure("ValueError", "Precision not allowed in integer format specifier");
  }
  run.budget.step(typeof number.value === "bigint" ? 64 : 1);
  let digits = number.value.toString(base).replace("-", "");
  if (spec.type === "X") digits = digits.toUpperCase();
  const prefix = spec.alternate && base !== 10 ? `0${spec.type}` : "";
  const group = base === 10 ? 3 : 4;
  return writeNumber(run, number, { negative: number.value < 0, prefix, whole: digits, tail: "", group }, spec);
}

/** The character with a number as its code point. */
export function characterOf(number: Num): string {
  const code = Number(number.value);
  if (!(code >= 0 && code < 0x110000)) throw new Failure("OverflowError", "%c arg not in range(0x110000)");
  return String.fromCodePoint(code).toWellFormed();
}

function formatFloat(run: Run, number: Num, spec: Spec): Text {
  let value = toNumber(number);
  let type = spec.type;
  if (type === "%") {
    value *= 100;
    type = "f";
  }
  if (!"eEfFgGn".includes(type)) {
    throw new Failure("ValueError", `Unknown format code '${type}' for object of type 'float'`);
  }
  const shown = type === ""
    ? generalDigits(run, Math.abs(value), spec)
    : floatDigits(run, value, type, spec.precision ?? 6, spec.alternate);
  const [whole, rest] = splitDigits(shown);
  const tail = rest + (spec.type === "%" ? "%" : "");
  const negative = value < 0 || Object.is(value, -0);
  return writeNumber(run, number, { negative, prefix: "", whole, tail, group: 3 }, spec);
}

/** Without a type: as `repr` has it, or as `g` with at least one digit after the point. */
function generalDigits(run: Run, value: number, spec: Spec): string {
  if (spec.precision === undefined || !Number.isFinite(value)) return spellFloat(value);
  const digits = floatDigits(run, value, "g", spec.precision, spec.alternate, true);
  return digits.includes(".") || digits.includes("e") ? digits : `${digits}.0`;
}

function splitDigits(shown: string): [string, string] {
  const end = /[^0-9]/.exec(shown)?.index ?? shown.length;
  return [shown.slice(0, end), shown.slice(end)];
}

/** The parts of a number as it is written. */
interface Written {
  readonly negative: boolean;
  /** `0x` and the like. */
  readonly prefix: string;
  /** Digits before the point. */
  readonly whole: string;
  /** What follows them. */
  readonly tail: string;
  /** How many digits stand together where they are grouped. */
  readonly group: number;
}

function writeNumber(run: Run, number: Num, written: Written, spec: Spec): Text {
  const { negative, prefix, whole, tail, group } = written;
  const sign = (negative ? "-" : spec.sign === "-" ? "" : spec.sign) + prefix;
  let digits = whole;
  const zeros = spec.align === "=" && spec.fill === "0" ? spec.width - sign.length - tail.length : 0;
  if (spec.grouping !== "") {
    const grouped = (text: string) => text.replace(new RegExp(`\\B(?=(.{${group}})+$)`, "g"), spec.grouping);
    while (grouped(digits).length < zeros) digits = `0${digits}`;
    digits = grouped(digits);
  } else digits = digits.padStart(zeros, "0");
  run.budget.make(digits.length);
  if (spec.align === "=" && spec.fill !== "0") {
    const missing = spec.width - sign.length - digits.length - tail.length;
    return Text.of(sign + spec.fill.repeat(Math.max(0, missing)) + digits + tail, number.foreign);
  }
  return padded(run, Text.of(sign + digits + tail, number.foreign), spec, ">");
}

/** The digits of a float as `%f`, `%e` and `%g` write them, without its sign. */
export function floatDigits(
  run: Run,
  value: number,
  type: string,
  precision: number,
  alternate: boolean,
  general = false,
): string {
  const isUpper = type < "a";
  const raise = (text: string) => isUpper ? text.toUpperCase() : text;
  if (!Number.isFinite(value)) return raise(Number.isNaN(value) ? "nan" : "inf");
  run.budget.step(16 + (precision >> 2));
  run.budget.make(precision);
  const kind = type.toLowerCase();
  if (kind === "f") {
    const digits = fixedDigits(value, precision).toString().padStart(precision + 1, "0");
    const point = digits.length - precision;
    return digits.slice(0, point) + (precision > 0 || alternate ? "." : "") + digits.slice(point);
  }
  const count = kind === "e" ? precision + 1 : Math.max(1, precision);
  const { digits, exponent } = value === 0
    ? { digits: "0".repeat(count), exponent: 0 }
    : significantDigits(value, count);
  const scientific = (digits: string) =>
    `${digits[0]}${digits.length > 1 || alternate ? "." : ""}${digits.slice(1)}e${exponent < 0 ? "-" : "+"}` +
    String(Math.abs(exponent)).padStart(2, "0");
  if (kind === "e") return raise(scientific(digits));
  const kept = alternate ? digits : digits.replace(/0+$/, "") || "0";
  if (exponent < -4 || exponent >= (general ? Math.min(count, 16) : count)) return raise(scientific(kept));
  if (exponent < 0) return `0.${"0".repeat(-exponent - 1)}${kept}`;
  const whole = kept.slice(0, exponent + 1).padEnd(exponent + 1, "0");
  const rest = kept.slice(exponent + 1);
  return rest === "" && !alternate ? whole : `${whole}.${rest}`;
}

/** A number as an integer for `%d` and `%x`; a float loses what is after its point. */
export function wholeOf(number: Num): Num {
  return number.float ? integer(BigInt(Math.trunc(toNumber(number))), number.foreign) : number;
}
