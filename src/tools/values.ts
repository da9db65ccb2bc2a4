/**
 * Where values end, and what they are, in the spellings that models use for arguments: JSON, strings between quotes of a format's
 * own, Python's literals. What has not come whole yet is told apart from what is wrong.
 *
 * @module
 */
import type { JsonValue } from "../text/chat/inputs.ts";
import { heldBack, textOfWire, type Wire } from "./wire.ts";

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

/** Reads values of a spelling; what it gives is JSON, with what stands in a value in its order. */
export class Scanner {
  readonly #spelling: Spelling;

  constructor(spelling: Spelling) {
    this.#spelling = spelling;
  }

  /** Reads a value at a place. */
  value(wire: Wire, at: number): Outcome<string> {
    if (at >= wire.length) return PARTIAL;
    if (wire[at] === "{") return this.#object(wire, at);
    if (wire[at] === "[") return this.#list(wire, at);
    const string = this.#spelling.string(wire, at);
    if (string !== undefined) return isRead(string) ? { ...string, value: JSON.stringify(string.value) } : string;
    for (const [word, value] of this.#spelling.words) {
      const found = scanText(wire, at, word);
      if (isRead(found)) return { value: JSON.stringify(value), end: found.end };
      if (found === PARTIAL) return PARTIAL;
    }
    number.lastIndex = at;
    const found = number.exec(wire);
    if (found === null) return wire.slice(at) === "-" ? PARTIAL : WRONG;
    // It is whole where something else stands behind it.
    if (/^(?:\.|[eE][+-]?)?$/.test(wire.slice(number.lastIndex, number.lastIndex + 3))) return PARTIAL;
    return { value: JSON.stringify(Number(found[0])), end: number.lastIndex };
  }

  /** Reads the name of a property at a place, with the colon behind it. */
  name(wire: Wire, at: number): Outcome<string> {
    return this.#spelling.name(wire, at);
  }

  #object(wire: Wire, at: number): Outcome<string> {
    return this.#items(wire, at, "}", (from) => {
      const name = this.name(wire, from);
      if (!isRead(name)) return name;
      const value = this.value(wire, skipBlanks(wire, name.end));
      return isRead(value) ? { ...value, value: `${JSON.stringify(name.value)}:${value.value}` } : value;
    });
  }

  #list(wire: Wire, at: number): Outcome<string> {
    return this.#items(wire, at, "]", (from) => this.value(wire, from));
  }

  /** Reads items between a bracket and its other one, with commas between them. */
  #items(wire: Wire, at: number, close: string, read: (at: number) => Outcome<string>): Outcome<string> {
    const items: string[] = [];
    const ended = (place: number) => ({ value: `${wire[at]}${items.join()}${close}`, end: place + 1 });
    let place = skipBlanks(wire, at + 1);
    if (wire[place] === close) return ended(place);
    for (;;) {
      const item = read(place);
      if (!isRead(item)) return item;
      items.push(item.value);
      place = skipBlanks(wire, item.end);
      if (wire[place] === close) return ended(place);
      if (place >= wire.length) return PARTIAL;
      if (wire[place] !== ",") return WRONG;
      place = skipBlanks(wire, place + 1);
    }
  }
}

const pythonEscapes: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", "\\": "\\", "'": "'", '"': '"' };

const pythonEscape = /\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|([^]))/gi;

/** The text of characters between Python's quotes. */
function pythonText(wire: Wire): string {
  return textOfWire(wire).replace(pythonEscape, (all, x?: string, u?: string, long?: string, one?: string) => {
    const code = x ?? u ?? long;
    return code === undefined ? pythonEscapes[one as string] ?? all : String.fromCodePoint(parseInt(code, 16));
  });
}

function pythonString(wire: Wire, at: number): Outcome<string> | undefined {
  const quote = wire[at];
  if (quote !== "'" && quote !== '"') return undefined;
  const whole = quote === "'" ? /(?:[^'\\]|\\[^])*'/y : /(?:[^"\\]|\\[^])*"/y;
  whole.lastIndex = at + 1;
  const found = whole.exec(wire);
  return found === null ? PARTIAL : { value: pythonText(found[0].slice(0, -1)), end: whole.lastIndex };
}

/** How values of one language are read. */
export interface SpelledValues {
  /** Reads a value; gives it as JSON. */
  scan(wire: Wire, at: number): Outcome<string>;
  /** The characters of a string from a place, up to an escape that may go on. */
  characters(wire: Wire, from: number): { readonly text: string; readonly end: number };
}

/** Characters and escapes that are whole, as far as `certain` goes. */
function charactersIn(wire: Wire, from: number, certain: RegExp, read: (wire: Wire) => string) {
  certain.lastIndex = from;
  const [found] = certain.exec(wire) as RegExpExecArray;
  const own = found.slice(0, found.length - heldBack(found, []));
  return { text: read(own), end: from + own.length };
}

/** A name in quotes, with the colon behind it. */
function nameBefore(
  wire: Wire,
  at: number,
  read: (wire: Wire, at: number) => Outcome<string> | undefined,
): Outcome<string> {
  const name = read(wire, at);
  if (name === undefined) return at < wire.length ? WRONG : PARTIAL;
  if (!isRead(name)) return name;
  const behind = scanText(wire, skipBlanks(wire, name.end), ":");
  return isRead(behind) ? { value: name.value, end: behind.end } : behind;
}

const python = new Scanner({
  string: pythonString,
  name: (wire, at) => nameBefore(wire, at, pythonString),
  // Some templates write objects as JSON among Python's other values.
  words: [["True", true], ["False", false], ["None", null], ["true", true], ["false", false], ["null", null]],
});

/** Values as Python writes them. */
export const pythonValues: SpelledValues = {
  scan: (wire, at) => python.value(wire, at),
  characters: (wire, from) => charactersIn(wire, from, /(?:[^\\]|\\(?:x[0-9a-f]{2}|[^xuU]))*/iy, pythonText),
};

function jsonString(wire: Wire, at: number): Outcome<string> | undefined {
  if (wire[at] !== '"') return undefined;
  const whole = /(?:[^"\\]|\\[^])*"/y;
  whole.lastIndex = at + 1;
  if (whole.exec(wire) === null) return PARTIAL;
  const value = parseJson(wire.slice(at, whole.lastIndex));
  return typeof value === "string" ? { value, end: whole.lastIndex } : WRONG;
}

const json = new Scanner({
  string: jsonString,
  name: (wire, at) => nameBefore(wire, at, jsonString),
  words: [["true", true], ["false", false], ["null", null]],
});

/** Values as JSON has them. */
export const jsonValues: SpelledValues = {
  scan: (wire, at) => json.value(wire, at),
  characters: (wire, from) =>
    charactersIn(wire, from, /(?:[^\\]|\\[^u])*/y, (own) => (parseJson(`"${own}"`) ?? "") as string),
};

/** Reads a value as Python writes it, which is all of a text. */
export function parsePython(wire: Wire): JsonValue | undefined {
  const found = python.value(`${wire} `, 0);
  return isRead(found) && found.end === wire.length ? JSON.parse(found.value) : undefined;
}

/** Reads values with strings between quotes of a format's own and names without any. */
export function quotedScanner(quote: Wire): Scanner {
  return new Scanner({
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
}
