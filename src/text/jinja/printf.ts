/**
 * `format % values`: C's way of putting values into a string, as Python has it.
 *
 * @module
 */
import { Failure, wrongType } from "./failure.ts";
import { escapeHtml } from "./html.ts";
import { Text, TextBuilder } from "./marked.ts";
import { numberOf, toNumber } from "./numbers.ts";
import { characterOf, floatDigits, wholeOf } from "./spec.ts";
import { ascii, repr, str } from "./spelling.ts";
import type { Run } from "./types.ts";
import { Dict, List, NONE, Num, Range, Tuple, typeName, Undefined, type Value } from "./values.ts";

/** One directive: `%(name)-8.2f`. */
interface Directive {
  flags: string;
  width: number;
  precision: number | undefined;
  type: string;
}

const widest = 1 << 20;
const DIRECTIVE = /%(?:\(((?:[^()]|\([^()]*\))*)\))?([-+ #0]*)(\*|\d+)?(?:\.(\*|\d*))?[hlL]?(.)?/gsu;

/** `format % values`. */
export function formatPrintf(run: Run, format: Text, values: Value): Text {
  run.budget.scan(format.value.length);
  const given = values instanceof Tuple ? values.items : [values];
  let used = 0;
  const next = (): Value => {
    if (used >= given.length) return wrongType("not enough arguments for format string");
    return given[used++];
  };
  const out = new TextBuilder(run.budget);
  let done = 0;
  let named = false;
  for (const match of format.value.matchAll(DIRECTIVE)) {
    run.budget.step(6);
    const [whole, name, flags, width, precision, type] = match;
    if (type === undefined) throw new Failure("ValueError", "incomplete format");
    out.append(format, done, match.index);
    done = match.index + whole.length;
    if (type === "%") {
      out.append(format, done - 1, done);
      continue;
    }
    let value: Value | undefined;
    if (name !== undefined) {
      if (!(values instanceof Dict)) return wrongType("format requires a mapping");
      named = true;
      value = values.named(name);
      if (value === undefined) throw new Failure("KeyError", `'${name}'`);
    }
    const directive = measured(flags, width, precision, type, next);
    const text = direct(run, directive, value ?? (name === undefined ? next() : NONE), done - 1);
    out.append(format.markup ? escapeHtml(run, text) : text);
  }
  out.append(format, done);
  if (used < given.length && !named && !hasEntries(values)) {
    return wrongType("not all arguments converted during string formatting");
  }
  return out.build(format.markup);
}

/** Python asks for no use of what can be asked for entries. */
function hasEntries(value: Value): boolean {
  return value instanceof Dict || value instanceof List || value instanceof Range || value instanceof Undefined;
}

function measured(flags: string, width: string, precision: string, type: string, next: () => Value): Directive {
  const star = () => {
    const value = next();
    if (!(value instanceof Num) || value.float) return wrongType("* wants int");
    return Number(value.value);
  };
  const given = width === "*" ? star() : Number(width ?? 0);
  const digits = precision === "*" ? star() : precision === undefined ? undefined : Number(precision);
  if (Math.abs(given) > widest || (digits ?? 0) > widest) throw new Failure("ValueError", "width or precision too big");
  return {
    flags: given < 0 ? `${flags}-` : flags,
    width: Math.abs(given),
    precision: digits === undefined ? undefined : Math.max(0, digits),
    type,
  };
}

function direct(run: Run, directive: Directive, value: Value, at: number): Text {
  const { type, precision } = directive;
  if ("sra".includes(type)) {
    const text = type === "s" ? printed(run, value) : type === "r" ? repr(run, value) : ascii(run, value);
    const end = text.offset(Math.min(text.length, precision ?? text.length));
    return pad(run, text.slice(0, end), directive);
  }
  if (type === "c") {
    if (value instanceof Text && value.length === 1) return pad(run, value, directive);
    const number = numberOf(value);
    if (number === undefined || number.float) return wrongType("%c requires int or char");
    return pad(run, Text.of(characterOf(number), number.foreign), directive);
  }
  const number = numberOf(value);
  if ("diuxXo".includes(type)) {
    if (number === undefined || number.float && !"diu".includes(type)) {
      const wanted = "diu".includes(type) ? "a real number" : "an integer";
      return wrongType(`%${type} format: ${wanted} is required, not ${typeName(value)}`);
    }
    return writeInteger(run, directive, wholeOf(number));
  }
  if ("eEfFgG".includes(type)) {
    if (number === undefined) return wrongType(`must be real number, not ${typeName(value)}`);
    const plain = toNumber(number);
    const digits = floatDigits(run, plain, type, precision ?? 6, directive.flags.includes("#"));
    return writeSigned(run, directive, number, plain < 0 || Object.is(plain, -0), digits);
  }
  throw new Failure("ValueError", `unsupported format character '${type}' at index ${at}`);
}

/** What `%s` writes; a string keeps its mark as `safe`. */
function printed(run: Run, value: Value): Text {
  return value instanceof Text ? value : str(run, value);
}

function writeInteger(run: Run, directive: Directive, number: Num): Text {
  const base = { x: 16, X: 16, o: 8 }[directive.type] ?? 10;
  run.budget.step(typeof number.value === "bigint" ? 64 : 1);
  run.budget.make(directive.precision ?? 0);
  let digits = number.value.toString(base).replace("-", "").padStart(directive.precision ?? 0, "0");
  if (directive.type === "X") digits = digits.toUpperCase();
  const prefix = directive.flags.includes("#") && base !== 10 ? `0${directive.type}` : "";
  return writeSigned(run, directive, number, number.value < 0, digits, prefix);
}

function writeSigned(
  run: Run,
  directive: Directive,
  number: Num,
  negative: boolean,
  digits: string,
  prefix = "",
): Text {
  const { flags, width } = directive;
  const sign = (negative ? "-" : flags.includes("+") ? "+" : flags.includes(" ") ? " " : "") + prefix;
  const zeros = flags.includes("0") && !flags.includes("-") ? width - sign.length : 0;
  run.budget.make(Math.max(zeros, digits.length));
  return pad(run, Text.of(sign + digits.padStart(zeros, "0"), number.foreign), directive);
}

function pad(run: Run, text: Text, { flags, width }: Directive): Text {
  const missing = width - text.length;
  if (missing <= 0) return text;
  const out = new TextBuilder(run.budget);
  if (flags.includes("-")) return out.append(text).add(" ".repeat(missing), true).build(text.markup);
  return out.add(" ".repeat(missing), true).append(text).build(text.markup);
}
