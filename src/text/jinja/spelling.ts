/**
 * How Python spells values: `str` and `repr`. What a string has in it keeps its origin; what is put around it, and what
 * spells a container, a boolean or None, counts as foreign, since no template wrote it.
 *
 * @module
 */
import { isPrintable } from "./characters.ts";
import { unsupported } from "./failure.ts";
import { EMPTY, Text, TextBuilder } from "./marked.ts";
import type { Run } from "./types.ts";
import {
  Callable,
  Dict,
  List,
  Namespace,
  NONE,
  Num,
  Range,
  type Thing,
  Tuple,
  Undefined,
  type Value,
  View,
} from "./values.ts";

/** `str(value)`; of a string itself. */
export function str(run: Run, value: Value): Text {
  if (value instanceof Text) return value.withMarkup(false);
  if (value instanceof Undefined) return EMPTY;
  if (value instanceof Num) return Text.of(spellNumber(run, value), value.foreign);
  if (value === NONE || value instanceof Dict || value instanceof List || value instanceof Tuple) run.spelled++;
  return repr(run, value);
}

/** The characters of a number. */
export function spellNumber(run: Run, { value, float }: Num): string {
  if (typeof value === "bigint") {
    run.budget.step(64);
    return value.toString();
  }
  return float ? spellFloat(value) : String(value);
}

/** `repr` of a float: the shortest digits that give it again. */
export function spellFloat(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value < 0 ? "-inf" : "inf";
  if (Object.is(value, -0)) return "-0.0";
  const [digits, power] = value.toExponential().split("e");
  const exponent = Number(power);
  if (exponent < -4 || exponent >= 16) {
    return `${digits}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }
  const plain = String(value);
  return plain.includes(".") ? plain : `${plain}.0`;
}

/** `repr(value)`. */
export function repr(run: Run, value: Value): Text {
  const builder = new TextBuilder(run.budget);
  writeRepr(run, builder, value);
  return builder.build();
}

function writeRepr(run: Run, out: TextBuilder, value: Value): void {
  run.budget.step(2);
  if (value instanceof Text) writeQuoted(run, out, value);
  else if (value instanceof Num) out.add(spellNumber(run, value), value.foreign);
  else if (value === NONE) out.add("None", true);
  else if (typeof value === "boolean") out.add(value ? "True" : "False", true);
  else {
    run.budget.enter(4);
    writeThing(run, out, value);
    run.budget.leave(4);
  }
}

function writeThing(run: Run, out: TextBuilder, value: Thing): void {
  if (value instanceof List) writeItems(run, out, "[", value.items, "]");
  else if (value instanceof Tuple) writeItems(run, out, "(", value.items, value.items.length === 1 ? ",)" : ")");
  else if (value instanceof Dict) writeEntries(run, out, value.entries.values());
  else if (value instanceof View) {
    out.add(`${value.type}(`, true);
    writeItems(run, out, "[", value.members(), "]");
    out.add(")", true);
  } else if (value instanceof Range) {
    const step = value.step === 1 ? "" : `, ${value.step}`;
    out.add(`range(${value.start}, ${value.stop}${step})`, true);
  } else if (value instanceof Namespace) {
    out.add("<Namespace ", true);
    writeEntries(run, out, value.attributes.values());
    out.add(">", true);
  } else if (value instanceof Undefined) out.add("Undefined", true);
  else if (value instanceof Callable && value.type === "Macro") out.add(`<Macro ${value.name}>`, true);
  else if (value instanceof Callable && value.type === "type") out.add(`<class '${value.name}'>`, true);
  else throw unsupported(`the text of a ${value.type}`, "Python writes its address in memory there");
}

function writeItems(run: Run, out: TextBuilder, open: string, items: Iterable<Value>, close: string): void {
  out.add(open, true);
  let first = true;
  for (const item of items) {
    if (!first) out.add(", ", true);
    first = false;
    writeRepr(run, out, item);
  }
  out.add(close, true);
}

function writeEntries(run: Run, out: TextBuilder, entries: Iterable<readonly [Value, Value]>): void {
  out.add("{", true);
  let first = true;
  for (const [key, value] of entries) {
    if (!first) out.add(", ", true);
    first = false;
    writeRepr(run, out, key);
    out.add(": ", true);
    writeRepr(run, out, value);
  }
  out.add("}", true);
}

const SHORT_ESCAPES: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" };

function writeQuoted(run: Run, out: TextBuilder, text: Text): void {
  const { value } = text;
  run.budget.scan(8 * value.length);
  const quote = value.includes("'") && !value.includes('"') ? '"' : "'";
  if (text.markup) out.add("Markup(", true);
  out.add(quote, true);
  let done = 0;
  for (let at = 0; at < value.length;) {
    const code = value.codePointAt(at) as number;
    const next = at + (code > 0xffff ? 2 : 1);
    const escape = escapeOf(code, quote);
    if (escape !== undefined) {
      out.append(text, done, at).add(escape, text.isForeign(at));
      done = next;
    }
    at = next;
  }
  out.append(text, done).add(quote, true);
  if (text.markup) out.add(")", true);
}

function escapeOf(code: number, quote: string): string | undefined {
  if (code >= 32 && code < 127) {
    return code === 92 || code === quote.charCodeAt(0) ? `\\${String.fromCharCode(code)}` : undefined;
  }
  if (isPrintable(code)) return undefined;
  return SHORT_ESCAPES[String.fromCharCode(code)] ?? escapeCode(code);
}

/** Python's escape for a code point: `\x1b`, `\u200b` or `\U000e0001`. */
export function escapeCode(code: number): string {
  const hex = code.toString(16);
  if (code < 0x100) return `\\x${hex.padStart(2, "0")}`;
  return code < 0x10000 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
}

/** `ascii(value)`: its `repr` with escapes for all beyond ASCII. */
export function ascii(run: Run, value: Value): Text {
  const text = repr(run, value);
  const out = new TextBuilder(run.budget);
  for (let at = 0; at < text.value.length;) {
    const code = text.value.codePointAt(at) as number;
    const next = at + (code > 0xffff ? 2 : 1);
    if (code < 128) out.append(text, at, next);
    else out.add(escapeCode(code), text.isForeign(at));
    at = next;
  }
  return out.build();
}
