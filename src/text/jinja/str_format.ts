/**
 * `str.format`: fields in braces, with attributes, indexes, conversions and specifications, as Jinja's sandbox allows them.
 *
 * @module
 */
import { Failure } from "./failure.ts";
import { escapeHtml } from "./html.ts";
import { type Text, TextBuilder } from "./marked.ts";
import { formatValue } from "./spec.ts";
import { ascii, repr, str } from "./spelling.ts";
import type { Run } from "./types.ts";
import { int, own, type Value } from "./values.ts";

/** How attributes and entries of values are found. */
export interface Lookup {
  readonly getAttribute: (run: Run, value: Value, name: Text) => Value;
  readonly getItem: (run: Run, value: Value, index: Value) => Value;
}

/** Where the values of fields come from. */
interface Given extends Lookup {
  readonly args: readonly Value[];
  readonly named: (name: string) => Value | undefined;
  /** The number of the next field without one; -1 where fields are numbered. */
  next: number | undefined;
}

/** `format` with values by place and by name. */
export function formatText(
  run: Run,
  format: Text,
  args: readonly Value[],
  named: (name: string) => Value | undefined,
  lookup: Lookup,
): Text {
  return write(run, format, { ...lookup, args, named, next: undefined }, 2).withMarkup(format.markup);
}

function write(run: Run, format: Text, given: Given, depth: number): Text {
  if (depth < 0) throw new Failure("ValueError", "Max string recursion exceeded");
  const { value } = format;
  run.budget.scan(value.length);
  const out = new TextBuilder(run.budget);
  let done = 0;
  for (let at = nextBrace(value, 0); at >= 0; at = nextBrace(value, done)) {
    run.budget.step(8);
    out.append(format, done, at);
    if (value[at + 1] === value[at]) {
      out.append(format, at, at + 1);
      done = at + 2;
      continue;
    }
    if (value[at] === "}") throw new Failure("ValueError", "Single '}' encountered in format string");
    const end = endOfField(value, at + 1);
    const text = field(run, format.slice(at + 1, end), given, depth);
    out.append(format.markup ? escapeHtml(run, text) : text);
    done = end + 1;
  }
  return out.append(format, done).build();
}

function nextBrace(value: string, from: number): number {
  const [open, close] = [value.indexOf("{", from), value.indexOf("}", from)];
  return open < 0 ? close : close < 0 ? open : Math.min(open, close);
}

/** Where a field's closing brace is; braces within it nest. */
function endOfField(value: string, from: number): number {
  let open = 1;
  for (let at = from; at < value.length; at++) {
    if (value[at] === "{") open++;
    else if (value[at] === "}" && --open === 0) return at;
  }
  throw new Failure(
    "ValueError",
    from < value.length ? "expected '}' before end of string" : "Single '{' encountered in format string",
  );
}

function field(run: Run, source: Text, given: Given, depth: number): Text {
  const match = /^((?:[^!:[]|\[[^\]]*\])*)(?:!(.)?)?(:)?/su.exec(source.value) as RegExpExecArray;
  const [head, name, conversion, colon] = match;
  if (colon === undefined && head.length < source.value.length) {
    throw new Failure("ValueError", "expected ':' after conversion specifier");
  }
  let value = lookUp(run, name, given);
  if (source.value[name.length] === "!") value = convert(run, value, conversion);
  const spec = write(run, source.slice(head.length, source.value.length), given, depth - 1);
  return formatValue(run, value, spec.value);
}

function convert(run: Run, value: Value, conversion: string | undefined): Text {
  if (conversion === "s") return str(run, value);
  if (conversion === "r") return repr(run, value);
  if (conversion === "a") return ascii(run, value);
  throw new Failure("ValueError", `Unknown conversion specifier ${conversion ?? ""}`);
}

function lookUp(run: Run, name: string, given: Given): Value {
  const [first] = /^[^.[]*/.exec(name) as RegExpExecArray;
  let value = firstOf(first, given);
  for (let rest = name.slice(first.length); rest !== "";) {
    run.budget.step();
    const match = /^(?:\.([^.[]+)|\[([^\]]+)\])/.exec(rest);
    if (match === null) throw new Failure("ValueError", "Empty attribute in format string");
    const [whole, attribute, index] = match;
    if (attribute !== undefined) value = given.getAttribute(run, value, own(attribute));
    else value = given.getItem(run, value, /^\d+$/.test(index) ? int(Number(index)) : own(index));
    rest = rest.slice(whole.length);
  }
  return value;
}

function firstOf(first: string, given: Given): Value {
  if (first !== "" && !/^\d+$/.test(first)) {
    const value = given.named(first);
    if (value === undefined) throw new Failure("KeyError", `'${first}'`);
    return value;
  }
  if (first === "" ? given.next === -1 : given.next !== undefined && given.next !== -1) {
    throw new Failure("ValueError", "cannot switch between manual field specification and automatic field numbering");
  }
  const place = first === "" ? given.next ?? 0 : Number(first);
  given.next = first === "" ? place + 1 : -1;
  if (place >= given.args.length) {
    throw new Failure("IndexError", `Replacement index ${place} out of range for positional args tuple`);
  }
  return given.args[place];
}
