/**
 * Filters of strings.
 *
 * @module
 */
import { bind, flagOr, intOr, textOr, textOrNone } from "./arguments.ts";
import { pathGetter } from "./attributes.ts";
import { isSpace } from "./characters.ts";
import { Failure, unsupported, wrongType } from "./failure.ts";
import { escapeHtml } from "./html.ts";
import { toJson } from "./json.ts";
import { EMPTY, Text, TextBuilder } from "./marked.ts";
import { numberOf, parseFloatText, truncate } from "./numbers.ts";
import { formatPrintf } from "./printf.ts";
import { iterate, lengthOf, listOf } from "./sequences.ts";
import { str } from "./spelling.ts";
import { capitalize, lower, upper } from "./string_cases.ts";
import { replace, split, splitLines, strip } from "./string_cuts.ts";
import { justify } from "./string_fills.ts";
import type { Operation, Run } from "./types.ts";
import { Dict, int, type Keywords, List, NONE, Num, own, Tuple, typeName, type Value } from "./values.ts";

/** A value as a string; one marked as `safe` stays so. */
export function soft(run: Run, value: Value): Text {
  return value instanceof Text ? value : str(run, value);
}

/** A filter of a string and nothing else. */
const of = (change: (run: Run, text: Text) => Value): Operation => (run, args, keywords) => {
  const [value] = bind("filter", { names: ["s"], required: 1, byPlace: 1 }, args, keywords);
  return change(run, soft(run, value as Value));
};

/** The items of a string between runs of what begins a word, and these. */
function titled(run: Run, text: Text): Text {
  run.budget.step(text.value.length >> 3);
  const out = new TextBuilder(run.budget);
  let [done, inWord] = [0, false];
  const word = (end: number) => {
    if (end === done) return;
    run.budget.step(4);
    const first = done + ((text.value.codePointAt(done) as number) > 0xffff ? 2 : 1);
    out.append(upper(run, text.slice(done, first))).append(lower(run, text.slice(first, end)));
  };
  for (let at = 0; at < text.value.length; at++) {
    const begins = "-({[<".includes(text.value[at]) || isSpace(text.value.charCodeAt(at));
    if (begins === inWord) {
      word(at);
      done = at;
    }
    inWord = !begins;
  }
  word(text.value.length);
  return out.build(text.markup);
}

function joinFilter(run: Run, args: readonly Value[], keywords: Keywords): Text {
  const [value, d, path] = bind(
    "join",
    { names: ["value", "d", "attribute"], required: 1, byPlace: 1 },
    args,
    keywords,
  );
  const separator = d === undefined ? EMPTY : str(run, d);
  const get = pathGetter(run, path ?? NONE);
  const out = new TextBuilder(run.budget);
  let first = true;
  for (const item of iterate(run, value as Value)) {
    if (!first) out.append(separator);
    first = false;
    out.append(str(run, get(item)));
  }
  return out.build();
}

function indentFilter(run: Run, args: readonly Value[], keywords: Keywords): Text {
  const [value, width, first, blank] = bind(
    "indent",
    { names: ["s", "width", "first", "blank"], required: 1, byPlace: 1 },
    args,
    keywords,
  );
  if (!(value instanceof Text)) return wrongType(`indent: expected str, not ${typeName(value as Value)}`);
  const indent = width instanceof Text ? width : spaces(run, intOr("indent", width, 4));
  // As in Jinja: with a line end at its end, so that an empty last line counts.
  const lines = splitLines(run, new TextBuilder(run.budget).append(value).add("\n", true).build(), false);
  const out = new TextBuilder(run.budget);
  if (flagOr(first, false)) out.append(indent);
  lines.forEach((line, at) => {
    if (at > 0) out.add("\n", true);
    if (at > 0 && (line.value !== "" || flagOr(blank, false))) out.append(indent);
    out.append(line);
  });
  return out.build(value.markup);
}

function spaces(run: Run, count: number): Text {
  run.budget.make(Math.max(0, count));
  return Text.of(" ".repeat(Math.max(0, count)), true);
}

function truncateFilter(run: Run, args: readonly Value[], keywords: Keywords): Value {
  const names = ["s", "length", "killwords", "end", "leeway"];
  const [value, most, killWords, ending, slack] = bind("truncate", { names, required: 1, byPlace: 1 }, args, keywords);
  const end = textOr("truncate", ending, Text.of("...", true));
  const length = intOr("truncate", most, 255);
  const leeway = slack === NONE ? 5 : intOr("truncate", slack, 5);
  if (length < end.length || leeway < 0) {
    throw new Failure("FilterArgumentError", "truncate: length or leeway too small");
  }
  if ((lengthOf(run, value as Value) ?? Infinity) <= length + leeway) return value as Value;
  const text = textOr("truncate", value, EMPTY);
  const kept = text.slice(0, text.offset(length - end.length));
  const whole = flagOr(killWords, false) ? kept : split(run, kept, Text.of(" ", true), 1, true)[0];
  return new TextBuilder(run.budget).append(whole).append(end).build(text.markup);
}

function urlEncode(run: Run, value: Value): Text {
  const out = new TextBuilder(run.budget);
  if (value instanceof Text || !(value instanceof Dict || value instanceof List || value instanceof Tuple)) {
    quote(run, out, soft(run, value), "/");
    return out.build();
  }
  const pairs = value instanceof Dict ? value.entries.values() : iterate(run, value);
  let first = true;
  for (const pair of pairs) {
    const [key, inner, ...others] = Array.isArray(pair) ? pair : listOf(run, pair as Value);
    if (inner === undefined || others.length > 0) throw new Failure("ValueError", "urlencode: expected pairs");
    if (!first) out.add("&", true);
    first = false;
    quote(run, out, soft(run, key), " ");
    out.add("=", true);
    quote(run, out, soft(run, inner), " ");
  }
  return out.build();
}

/** Escapes all but letters, digits, `_.-~` and `kept`; where that is a space, spaces become `+`. */
function quote(run: Run, out: TextBuilder, text: Text, kept: string): void {
  let at = 0;
  for (const character of text.value) {
    run.budget.step(3);
    const end = at + character.length;
    if (/^[\w.~-]$/.test(character) || character === "/" && kept === "/") out.append(text, at, end);
    else {
      const bytes = [...new TextEncoder().encode(character)];
      const escaped = bytes.map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join("");
      out.add(character === " " && kept === " " ? "+" : escaped, text.isForeign(at));
    }
    at = end;
  }
}

function sizeFilter(run: Run, args: readonly Value[], keywords: Keywords): Text {
  const [value, binary] = bind(
    "filesizeformat",
    { names: ["value", "binary"], required: 1, byPlace: 1 },
    args,
    keywords,
  );
  const read = value instanceof Text ? parseFloatText(value.value) : undefined;
  const number = read === undefined ? numberOf(value as Value) : new Num(read, true, true);
  if (number === undefined) return wrongType("filesizeformat: expected a number");
  truncate(number);
  const bytes = Number(number.value);
  const base = flagOr(binary, false) ? 1024 : 1000;
  if (bytes === 1) return Text.of("1 Byte", true);
  if (bytes < base) return Text.of(`${Math.trunc(bytes)} Bytes`, true);
  const prefixes = flagOr(binary, false) ? "KiB MiB GiB TiB PiB EiB ZiB YiB" : "kB MB GB TB PB EB ZB YB";
  const names = prefixes.split(" ");
  const at = names.findIndex((_, at) => bytes < base ** (at + 2));
  const place = at < 0 ? names.length - 1 : at;
  const scaled = new Num(base * bytes / base ** (place + 2), true, true);
  return formatPrintf(run, Text.of(`%.1f ${names[place]}`, true), new Tuple([scaled]));
}

function jsonFilter(run: Run, args: readonly Value[], keywords: Keywords): Text {
  const names = ["x", "ensure_ascii", "indent", "separators", "sort_keys"];
  const [value, ascii, indent, separators, sorted] = bind("tojson", { names, required: 1 }, args, keywords);
  const level = indent === undefined || indent === NONE
    ? undefined
    : indent instanceof Text
    ? indent
    : spaces(run, intOr("tojson", indent, 0));
  const given = separators === undefined || separators === NONE ? undefined : [...iterate(run, separators)];
  if (given !== undefined && given.length !== 2) return wrongType("tojson: expected two separators");
  const [between, after] = given?.map((part) => textOr("tojson", part, EMPTY)) ??
    [Text.of(level === undefined ? ", " : ",", true), Text.of(": ", true)];
  return toJson(run, value as Value, {
    indent: level,
    separators: [between, after],
    ascii: flagOr(ascii, false),
    sorted: flagOr(sorted, false),
  });
}

function replaceFilter(run: Run, args: readonly Value[], keywords: Keywords): Text {
  const [value, old, next, most] = bind(
    "replace",
    { names: ["s", "old", "new", "count"], required: 3, byPlace: 1 },
    args,
    keywords,
  );
  const text = (part: Value | undefined) => str(run, part as Value);
  return replace(run, text(value), text(old), text(next), most === NONE ? -1 : intOr("replace", most, -1));
}

function formatFilter(run: Run, [value, ...args]: readonly Value[], keywords: Keywords): Text {
  if (args.length > 0 && keywords.size > 0) {
    throw new Failure("FilterArgumentError", "can't handle positional and keyword arguments at the same time");
  }
  const named = () => new Dict(new Map([...keywords].map(([name, value]) => [name, [own(name), value]])));
  return formatPrintf(run, soft(run, value), keywords.size > 0 ? named() : new Tuple(args));
}

const refusing = (name: string, why: string): Operation => () => {
  throw unsupported(`the filter ${name}`, why);
};

/** The filters of strings by name. */
export const textFilters: readonly (readonly [string, Operation])[] = [
  ["capitalize", of(capitalize)],
  ["lower", of(lower)],
  ["upper", of(upper)],
  ["title", of(titled)],
  ["string", of((_, text) => text)],
  [
    "wordcount",
    of((run, text) => {
      run.budget.step(text.value.length >> 2);
      return int([...text.value.matchAll(/[\p{L}\p{N}_]+/gu)].length);
    }),
  ],
  ["trim", (run, args, keywords) => {
    const [value, characters] = bind("trim", { names: ["value", "chars"], required: 1, byPlace: 1 }, args, keywords);
    return strip(run, soft(run, value as Value), textOrNone("trim", characters));
  }],
  ["center", (run, args, keywords) => {
    const [value, width] = bind("center", { names: ["value", "width"], required: 1, byPlace: 1 }, args, keywords);
    return justify(run, soft(run, value as Value), intOr("center", width, 80), Text.of(" ", true), "center");
  }],
  ["replace", replaceFilter],
  ["join", joinFilter],
  ["indent", indentFilter],
  ["truncate", truncateFilter],
  ["format", formatFilter],
  ["tojson", jsonFilter],
  ["urlencode", (run, args, keywords) => {
    const [value] = bind("urlencode", { names: ["value"], required: 1, byPlace: 1 }, args, keywords);
    return urlEncode(run, value as Value);
  }],
  ["filesizeformat", sizeFilter],
  ["safe", (run, args, keywords) => {
    const [value] = bind("safe", { names: ["value"], required: 1, byPlace: 1 }, args, keywords);
    return soft(run, value as Value).withMarkup(true);
  }],
  ["escape", of(escapeHtml)],
  ["e", of(escapeHtml)],
  ["forceescape", of((run, text) => escapeHtml(run, text.withMarkup(false)))],
  ["xmlattr", (run, args, keywords) => {
    const [value, space] = bind("xmlattr", { names: ["d", "autospace"], required: 1, byPlace: 1 }, args, keywords);
    return xmlAttributes(run, value as Value, flagOr(space, true));
  }],
  ["wordwrap", refusing("wordwrap", "a prompt is not broken into lines")],
  ["striptags", refusing("striptags", "it would need HTML's table of characters")],
  ["urlize", refusing("urlize", "a prompt has no links")],
  ["pprint", refusing("pprint", "use tojson or string")],
];

function xmlAttributes(run: Run, value: Value, space: boolean): Text {
  if (!(value instanceof Dict)) return wrongType(`'${typeName(value)}' object has no attribute 'items'`);
  const out = new TextBuilder(run.budget);
  for (const [key, inner] of value.entries.values()) {
    if (inner === NONE || typeName(inner) === "Undefined") continue;
    const name = textOr("xmlattr", key, EMPTY);
    if (/[\s/>=]/.test(name.value)) {
      throw new Failure("ValueError", `Invalid character in attribute name: '${name.value}'`);
    }
    if (space || out.length > 0) out.add(" ", true);
    out.append(escapeHtml(run, name)).add('="', true).append(escapeHtml(run, soft(run, inner))).add('"', true);
  }
  return out.build();
}
