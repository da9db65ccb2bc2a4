/**
 * How arguments are written that stand one behind another: each between tags, between quotes of a format's own, or as Python does.
 * What has not come whole yet is told apart from what is wrong.
 *
 * @module
 */
import type { JsonValue } from "../text/chat/inputs.ts";
import type { ValueStart, WireArguments } from "./format.ts";
import type { ToolDeclaration, ValueType } from "./types.ts";
import { typeOf, typesOf } from "./value_types.ts";
import {
  isRead,
  jsonValues,
  type Outcome,
  parseJson,
  parsePython,
  PARTIAL,
  pythonValues,
  quotedScanner,
  type Scanner,
  scanText,
  skipBlanks,
  type SpelledValues,
  WRONG,
} from "./values.ts";
import { heldBack, textOfWire, type Wire } from "./wire.ts";

/** Reads the arguments of one call, one behind another. */
export interface ArgumentList {
  /** The name of the next one, and where its value begins; no name where none follows. */
  next(wire: Wire, at: number, isFirst: boolean): Outcome<string | undefined>;
  /** Its value as JSON, and where what belongs to it ends. */
  value(wire: Wire, at: number): Outcome<string>;
  /** Where the characters of a string begin; undefined unless its value, which begins at a place, is one. */
  string(wire: Wire, at: number): number | undefined;
  /** The characters of a string from a place, as far as they are certain, and where these end. */
  characters(wire: Wire, from: number): { readonly text: string; readonly end: number };
}

/** The characters before a mark that may already have begun. */
function charactersBefore(mark: Wire, wire: Wire, from: number): { text: string; end: number } {
  const end = wire.length - heldBack(wire.slice(from), [mark]);
  return { text: textOfWire(wire.slice(from, end)), end };
}

/** What follows behind an argument in a list between brackets: a comma and another one, or the other bracket. */
function afterComma(wire: Wire, at: number, isFirst: boolean, [open, close]: string): Outcome<boolean> {
  if (isFirst) {
    const begin = scanText(wire, at, open);
    if (!isRead(begin)) return begin;
    at = begin.end;
  }
  const place = skipBlanks(wire, at);
  if (place >= wire.length) return PARTIAL;
  if (wire[place] === close) return { value: false, end: place + 1 };
  if (isFirst) return { value: true, end: place };
  return wire[place] === "," ? { value: true, end: skipBlanks(wire, place + 1) } : WRONG;
}

type Tagged = Extract<WireArguments, { kind: "tagged" }>;

/** Each argument between tags. */
export class TaggedList implements ArgumentList {
  readonly #format: Tagged;
  readonly #tool: ToolDeclaration;
  readonly #longestStart: number;
  /** Of the argument in reading: what ends its value, and what that may be. */
  #close: Wire = "";
  #types: readonly ValueType[] = [];

  constructor(format: Tagged, tool: ToolDeclaration) {
    this.#format = format;
    this.#tool = tool;
    this.#longestStart = Math.max(...format.starts.map(({ text }) => text.length));
  }

  next(wire: Wire, at: number, isFirst: boolean): Outcome<string | undefined> {
    const { beforeName, starts, empty, afterValue } = this.#format;
    const open = scanText(wire, at, beforeName);
    if (open === PARTIAL) return PARTIAL;
    if (!isRead(open)) {
      const none = isFirst ? scanText(wire, at, empty) : { value: undefined, end: at };
      return isRead(none) ? { value: undefined, end: none.end } : none;
    }
    const start = firstStart(wire, open.end, starts);
    // A longer one may begin at the same place.
    if (start === undefined || wire.length < start.at + this.#longestStart) return PARTIAL;
    const wireName = wire.slice(open.end, start.at);
    const name = textOfWire(wireName);
    this.#close = afterValue(wireName);
    this.#types = this.#typesOf(name, start);
    return { value: name, end: start.at + start.text.length };
  }

  value(wire: Wire, at: number): Outcome<string> {
    const to = wire.indexOf(this.#close, at);
    if (to < 0) return PARTIAL;
    const value = typed(wire.slice(at, to), this.#types, this.#format.words);
    return value === undefined ? WRONG : { value: JSON.stringify(value), end: to + this.#close.length };
  }

  string(_wire: Wire, at: number): number | undefined {
    return this.#types.length === 1 && this.#types[0] === "string" ? at : undefined;
  }

  characters(wire: Wire, from: number): { text: string; end: number } {
    return charactersBefore(this.#close, wire, from);
  }

  /** The types that both the tag and the schema let a value be. */
  #typesOf(name: string, { types }: ValueStart): ValueType[] {
    const { parameters } = this.#tool;
    const properties = parameters.properties as { readonly [name: string]: JsonValue } | undefined;
    const allowed = typesOf(properties?.[name], parameters);
    return types.filter((type) => allowed.has(type));
  }
}

function firstStart(
  wire: Wire,
  from: number,
  starts: readonly ValueStart[],
): (ValueStart & { at: number }) | undefined {
  return starts.map((start) => ({ ...start, at: wire.indexOf(start.text, from) })).filter(({ at }) => at >= 0)
    .sort((a, b) => a.at - b.at || b.text.length - a.text.length)[0];
}

/** A value that stands between tags: one of the types, and a string where nothing else reads it. */
function typed(wire: Wire, types: readonly ValueType[], words: Tagged["words"]): JsonValue | undefined {
  if (types.length === 1 && types[0] === "string") return textOfWire(wire);
  // Words of the other language are strings.
  const isOther = words === "python" && /^(?:true|false|null)$/.test(wire);
  const isWord = words === "python" && /^(?:True|False|None)$/.test(wire);
  const value = isOther ? undefined : isWord ? parsePython(wire) : parseJson(wire);
  if (value !== undefined && types.includes(typeOf(value))) return value;
  return types.includes("string") ? textOfWire(wire) : undefined;
}

/** An object with strings between quotes of a format's own and names without any. */
export class QuotedList implements ArgumentList {
  readonly #quote: Wire;
  readonly #scanner: Scanner;

  constructor(quote: Wire) {
    this.#quote = quote;
    this.#scanner = quotedScanner(quote);
  }

  next(wire: Wire, at: number, isFirst: boolean): Outcome<string | undefined> {
    const more = afterComma(wire, at, isFirst, "{}");
    if (!isRead(more)) return more;
    if (!more.value) return { value: undefined, end: more.end };
    const name = this.#scanner.name(wire, more.end);
    return isRead(name) ? { value: name.value, end: skipBlanks(wire, name.end) } : name;
  }

  value(wire: Wire, at: number): Outcome<string> {
    return this.#scanner.value(wire, at);
  }

  string(wire: Wire, at: number): number | undefined {
    return wire.startsWith(this.#quote, at) ? at + this.#quote.length : undefined;
  }

  characters(wire: Wire, from: number): { text: string; end: number } {
    return charactersBefore(this.#quote, wire, from);
  }
}

/** As Python writes arguments with names: `(city='Rome', days=3)`; the values may be spelled as JSON. */
export class PythonList implements ArgumentList {
  readonly #spelled: SpelledValues;

  constructor(values: "python" | "json") {
    this.#spelled = values === "python" ? pythonValues : jsonValues;
  }

  next(wire: Wire, at: number, isFirst: boolean): Outcome<string | undefined> {
    const more = afterComma(wire, at, isFirst, "()");
    if (!isRead(more)) return more;
    if (!more.value) return { value: undefined, end: more.end };
    const equals = wire.indexOf("=", more.end);
    return equals < 0 ? PARTIAL : { value: textOfWire(wire.slice(more.end, equals)), end: equals + 1 };
  }

  value(wire: Wire, at: number): Outcome<string> {
    return this.#spelled.scan(wire, at);
  }

  string(wire: Wire, at: number): number | undefined {
    return wire[at] === "'" || wire[at] === '"' ? at + 1 : undefined;
  }

  characters(wire: Wire, from: number): { text: string; end: number } {
    return this.#spelled.characters(wire, from);
  }
}
