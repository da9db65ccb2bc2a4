/**
 * Where values end, and what they are, in the spellings that models use for arguments: JSON, strings between quotes of a format's
 * own, Python's literals. What has not come whole yet is told apart from what is wrong.
 *
 * @module
 */
import type { JsonValue } from "../text/chat/inputs.ts";
import { textOfWire, type Wire } from "./wire.ts";

/** A value and where it ends. */
export interface Scanned<T> {
  readonly value: T;
  readonly end: number;
}

/** More must come before it can be read. */
export const PARTIAL = "partial";
/** It is something else. */
export const WRONG = "wrong";

/** What reading gives. */
export type Outcome<T> = Scanned<T> | typeof PARTIAL | typeof WRONG;

/** Whether something was read. */
export function isRead<T>(outcome: Outcome<T>): outcome is Scanned<T> {
  return typeof outcome === "object";
}

/** Reads a text that must stand at a place. */
export function scanText(wire: Wire, at: number, text: Wire): Outcome<undefined> {
  if (wire.startsWith(text, at)) return { value: undefined, end: at + text.length };
  return text.startsWith(wire.slice(at)) ? PARTIAL : WRONG;
}

const blanks = /[ \t\r\n]*/y;

/** Where blanks end. */
export function skipBlanks(wire: Wire, at: number): number {
  blanks.lastIndex = at;
  blanks.exec(wire);
  return blanks.lastIndex;
}

/** Where a JSON object that begins at a place ends. */
function endOfObject(wire: Wire, at: number): number | undefined {
  let depth = 0;
  const marks = /["{}[\]]/g;
  marks.lastIndex = at;
  for (let found = marks.exec(wire); found; found = marks.exec(wire)) {
    if (found[0] === '"') {
      const close = /(?:[^"\\]|\\[^])*"/y;
      close.lastIndex = marks.lastIndex;
      if (close.exec(wire) === null) return undefined;
      marks.lastIndex = close.lastIndex;
    } else if (found[0] === "{" || found[0] === "[") depth++;
    else if (--depth === 0) return marks.lastIndex;
  }
  return undefined;
}

/** Reads a JSON object. */
export function scanJsonObject(wire: Wire, at: number): Outcome<{ readonly [name: string]: JsonValue }> {
  if (at >= wire.length) return PARTIAL;
  if (wire[at] !== "{") return WRONG;
  const end = endOfObject(wire, at);
  if (end === undefined) return PARTIAL;
  const value = parseJson(wire.slice(at, end));
  return value === undefined ? WRONG : { value: value as { readonly [name: string]: JsonValue }, end };
}

/** The value of a text that is JSON; undefined for another one. */
export function parseJson(wire: Wire): JsonValue | undefined {
  try {
    return JSON.parse(textOfWire(wire));
  } catch {
    return undefined; // the caller says what that means
  }
}

/** How a spelling reads what JSON spells otherwise. */
interface Spelling {
  /** A string at a place; undefined where none begins. */
  string(wire: Wire, at: number): Outcome<string> | undefined;
  /** A name of a property, with the colon behind it. */
  name(wire: Wire, at: number): Outcome<string>;
  readonly words: readonly (readonly [Wire, JsonValue])[];
}

const number = /-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;

/** Reads values of a spelling. */
class Scanner {
  readonly #spelling: Spelling;

  constructor(spelling: Spelling) {
    this.#spelling = spelling;
  }

  value(wire: Wire, at: number): Outcome<JsonValue> {
    if (at >= wire.length) return PARTIAL;
    if (wire[at] === "{") return this.object(wire, at);
    if (wire[at] === "[") return this.#list(wire, at);
    const string = this.#spelling.string(wire, at);
    if (string !== undefined) return string;
    for (const [word, value] of this.#spelling.words) {
      const found = scanText(wire, at, word);
      if (isRead(found)) return { value, end: found.end };
      if (found === PARTIAL) return PARTIAL;
    }
    number.lastIndex = at;
    const found = number.exec(wire);
    if (found === null) return wire.slice(at) === "-" ? PARTIAL : WRONG;
    return { value: Number(found[0]), end: number.lastIndex };
  }

  object(wire: Wire, at: number): Outcome<{ readonly [name: string]: JsonValue }> {
    const entries: [string, JsonValue][] = [];
    const end = this.#items(wire, at, "}", (from) => {
      const name = this.#spelling.name(wire, from);
      if (!isRead(name)) return name;
      const value = this.value(wire, skipBlanks(wire, name.end));
      if (isRead(value)) entries.push([name.value, value.value]);
      return value;
    });
    return isRead(end) ? { value: Object.fromEntries(entries), end: end.end } : end;
  }

  #list(wire: Wire, at: number): Outcome<JsonValue> {
    const items: JsonValue[] = [];
    const end = this.#items(wire, at, "]", (from) => {
      const value = this.value(wire, from);
      if (isRead(value)) items.push(value.value);
      return value;
    });
    return isRead(end) ? { value: items, end: end.end } : end;
  }

  /** Reads items between a bracket and its other one, with commas between them. */
  #items(wire: Wire, at: number, close: string, read: (at: number) => Outcome<unknown>): Outcome<undefined> {
    let place = skipBlanks(wire, at + 1);
    if (wire[place] === close) return { value: undefined, end: place + 1 };
    for (;;) {
      const item = read(place);
      if (!isRead(item)) return item;
      place = skipBlanks(wire, item.end);
      if (wire[place] === close) return { value: undefined, end: place + 1 };
      if (place >= wire.length) return PARTIAL;
      if (wire[place] !== ",") return WRONG;
      place = skipBlanks(wire, place + 1);
    }
  }

  /** Reads `name=value, ...` between brackets. */
  named(wire: Wire, at: number): Outcome<{ readonly [name: string]: JsonValue }> {
    if (at >= wire.length) return PARTIAL;
    if (wire[at] !== "(") return WRONG;
    const entries: [string, JsonValue][] = [];
    const end = this.#items(wire, at, ")", (from) => {
      const equals = wire.indexOf("=", from);
      if (equals < 0) return PARTIAL;
      const value = this.value(wire, equals + 1);
      if (isRead(value)) entries.push([textOfWire(wire.slice(from, equals)), value.value]);
      return value;
    });
    return isRead(end) ? { value: Object.fromEntries(entries), end: end.end } : end;
  }
}

const pythonEscapes: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", "\\": "\\", "'": "'", '"': '"' };

function pythonString(wire: Wire, at: number): Outcome<string> | undefined {
  const quote = wire[at];
  if (quote !== "'" && quote !== '"') return undefined;
  const whole = quote === "'" ? /(?:[^'\\]|\\[^])*'/y : /(?:[^"\\]|\\[^])*"/y;
  whole.lastIndex = at + 1;
  const found = whole.exec(wire);
  if (found === null) return PARTIAL;
  const escape = /\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|([^]))/gi;
  const value = textOfWire(found[0].slice(0, -1)).replace(
    escape,
    (all, x?: string, u?: string, long?: string, one?: string) => {
      const code = x ?? u ?? long;
      return code === undefined ? pythonEscapes[one as string] ?? all : String.fromCodePoint(parseInt(code, 16));
    },
  );
  return { value, end: whole.lastIndex };
}

const python = new Scanner({
  string: pythonString,
  name: (wire, at) => {
    const name = pythonString(wire, at);
    if (name === undefined) return at < wire.length ? WRONG : PARTIAL;
    if (!isRead(name)) return name;
    const colon = scanText(wire, skipBlanks(wire, name.end), ":");
    return isRead(colon) ? { value: name.value, end: colon.end } : colon;
  },
  // Some templates write objects as JSON among Python's other values.
  words: [["True", true], ["False", false], ["None", null], ["true", true], ["false", false], ["null", null]],
});

/** Reads arguments as Python writes them: `(city='Rome', days=3)`. */
export function scanPython(wire: Wire, at: number): Outcome<{ readonly [name: string]: JsonValue }> {
  return python.named(wire, at);
}

/** Reads a value as Python writes it, which is all of a text. */
export function parsePython(wire: Wire): JsonValue | undefined {
  const found = python.value(wire, 0);
  return isRead(found) && found.end === wire.length ? found.value : undefined;
}

/** Reads an object with strings between quotes of a format's own and names without any. */
export function scanQuoted(wire: Wire, at: number, quote: Wire): Outcome<{ readonly [name: string]: JsonValue }> {
  if (at >= wire.length) return PARTIAL;
  if (wire[at] !== "{") return WRONG;
  const scanner = new Scanner({
    string: (text, from) => {
      const open = scanText(text, from, quote);
      if (open === WRONG) return undefined;
      if (open === PARTIAL) return PARTIAL;
      const close = text.indexOf(quote, open.end);
      return close < 0 ? PARTIAL : { value: textOfWire(text.slice(open.end, close)), end: close + quote.length };
    },
    name: (text, from) => {
      const colon = text.indexOf(":", from);
      return colon < 0 ? PARTIAL : { value: textOfWire(text.slice(from, colon)), end: colon + 1 };
    },
    words: [["true", true], ["false", false], ["null", null], ["None", null]],
  });
  return scanner.object(wire, at);
}
