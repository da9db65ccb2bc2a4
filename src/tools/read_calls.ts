/**
 * Calls read from what a model wrote, by the format that the constraint was made of. Each call is read as soon as it has come whole.
 *
 * @module
 */
import type { JsonValue } from "../text/chat/inputs.ts";
import type { ValueStart, WireArguments, WireFormat, WirePattern } from "./format.ts";
import type { ReadCall, ToolDeclaration } from "./types.ts";
import { typeOf, typesOf } from "./value_types.ts";
import {
  isRead,
  type Outcome,
  parseJson,
  parsePython,
  PARTIAL,
  scanJsonObject,
  scanPython,
  scanQuoted,
  scanText,
  WRONG,
} from "./values.ts";
import { textOfWire, type Wire, wireOfText } from "./wire.ts";

type Arguments = ReadCall["arguments"];
type Tagged = Extract<WireArguments, { kind: "tagged" }>;

/** What the holes of a pattern hold. */
interface Holes {
  readonly id?: string;
  readonly index?: string;
}

/** A call whose arguments came. */
interface OpenCall {
  readonly call: Omit<ReadCall, "id">;
  readonly id: string | undefined;
}

const holes = { id: /[A-Za-z0-9_.:-]+/y, index: /[0-9]+/y };

/** Reads a pattern at a place; the next text may be longer than what is there. */
function scanPattern(wire: Wire, at: number, pattern: WirePattern, name: Wire): Outcome<Holes> {
  const found: { id?: string; index?: string } = {};
  for (const part of pattern) {
    if (typeof part === "string" || part.hole === "name") {
      const text = scanText(wire, at, typeof part === "string" ? part : name);
      if (!isRead(text)) return text;
      at = text.end;
      continue;
    }
    const hole = holes[part.hole];
    hole.lastIndex = at;
    const match = hole.exec(wire);
    if (match === null) return at >= wire.length ? PARTIAL : WRONG;
    if (hole.lastIndex >= wire.length) return PARTIAL;
    found[part.hole] = match[0];
    at = hole.lastIndex;
  }
  return { value: found, end: at };
}

/** Reads the calls of one answer. */
export class CallReader {
  readonly #format: WireFormat;
  readonly #tools: ReadonlyMap<Wire, ToolDeclaration>;
  #at: number;
  #count = 0;
  /** The call whose arguments came, as long as its id may come behind them. */
  #open: OpenCall | undefined;
  /** What stands before the next name was read; its holes. */
  #before: Holes | undefined;
  #isDone = false;

  /** Reads from a place, where the first call begins. */
  constructor(format: WireFormat, tools: readonly ToolDeclaration[], at: number) {
    this.#format = format;
    this.#tools = new Map(tools.map((tool) => [wireOfText(tool.name), tool]));
    this.#at = at;
  }

  /** Whether the last call is behind. */
  get isDone(): boolean {
    return this.#isDone;
  }

  /** Whether a call has begun that has not come whole. */
  get isOpen(): boolean {
    return !this.#isDone;
  }

  /** Where reading goes on. */
  get place(): number {
    return this.#at;
  }

  /** The next call that has come whole; `isEnd` where no more comes. */
  next(wire: Wire, isEnd: boolean): ReadCall | typeof PARTIAL | typeof WRONG {
    if (this.#isDone) return PARTIAL;
    if (this.#open !== undefined) return this.#close(wire, isEnd);
    if (this.#before === undefined) {
      const before = scanPattern(wire, this.#at, this.#format.before, "");
      if (!isRead(before)) return before;
      this.#before = before.value;
      this.#at = before.end;
    }
    const head = this.#name(wire);
    if (!isRead(head)) return head;
    const { name, tool, holes } = head.value;
    const given = readArguments(wire, head.end, this.#format.arguments, tool);
    if (!isRead(given)) return given;
    this.#at = given.end;
    const index = holes.index ?? this.#before.index ?? String(this.#count);
    this.#open = {
      call: { name: tool.name, arguments: given.value },
      id: holes.id ?? this.#before.id ?? this.#made(name, index),
    };
    this.#before = undefined;
    this.#count++;
    return this.#close(wire, isEnd);
  }

  /** The name of a call with what stands behind it. */
  #name(wire: Wire): Outcome<{ name: Wire; tool: ToolDeclaration; holes: Holes }> {
    let isPartial = false;
    for (const [name, tool] of this.#tools) {
      const text = scanText(wire, this.#at, name);
      const between = isRead(text) ? scanPattern(wire, text.end, this.#format.between, name) : text;
      if (isRead(between)) return { value: { name, tool, holes: between.value }, end: between.end };
      isPartial ||= between === PARTIAL;
    }
    return isPartial ? PARTIAL : WRONG;
  }

  /** Reads what stands behind arguments: another call follows, or none. */
  #close(wire: Wire, isEnd: boolean): ReadCall | typeof PARTIAL | typeof WRONG {
    const { separator, end } = this.#format;
    const { call, id } = this.#open as OpenCall;
    const more = separator ? scanPattern(wire, this.#at, separator, "") : WRONG;
    const last = scanPattern(wire, this.#at, end, wireOfText(call.name));
    if (isRead(more)) {
      this.#at = more.end;
      // The id in a separator belongs to the call before it where the end has one, too.
      const isBehind = hasId(end);
      this.#before = isBehind ? {} : more.value;
      this.#open = undefined;
      return { ...call, id: (isBehind ? more.value.id : undefined) ?? id };
    }
    if (more === PARTIAL && !isEnd) return PARTIAL;
    if (isRead(last)) {
      this.#isDone = true;
      this.#at = last.end;
      return { ...call, id: last.value.id ?? id };
    }
    // Cut behind its arguments, a call is whole unless its id is missing.
    if (last === PARTIAL && isEnd && !hasId(end)) {
      this.#isDone = true;
      return { ...call, id };
    }
    return last;
  }

  /** The id that name and number make. */
  #made(name: Wire, index: string): string | undefined {
    return this.#format.format.id
      ?.map((part) => typeof part === "string" ? part : part.hole === "name" ? textOfWire(name) : index).join("");
  }
}

function hasId(pattern: WirePattern): boolean {
  return pattern.some((part) => typeof part !== "string" && part.hole === "id");
}

/** Reads the arguments of a call. */
export function readArguments(
  wire: Wire,
  at: number,
  format: WireArguments,
  tool: ToolDeclaration,
): Outcome<Arguments> {
  switch (format.kind) {
    case "json":
      return scanJsonObject(wire, at);
    case "quoted":
      return scanQuoted(wire, at, format.quote);
    case "pythonic":
      return scanPython(wire, at);
    default:
      return readTagged(wire, at, format, tool);
  }
}

function readTagged(wire: Wire, at: number, format: Tagged, tool: ToolDeclaration): Outcome<Arguments> {
  const entries: [string, JsonValue][] = [];
  for (;;) {
    const open = scanText(wire, at, format.beforeName);
    if (open === PARTIAL) return PARTIAL;
    if (open === WRONG) break;
    const start = firstStart(wire, open.end, format.starts);
    if (start === undefined) return PARTIAL;
    const name = wire.slice(open.end, start.at);
    const from = start.at + start.text.length;
    const close = format.afterValue(name);
    const to = wire.indexOf(close, from);
    if (to < 0) return PARTIAL;
    const value = typed(wire.slice(from, to), start.types, format.words, textOfWire(name), tool);
    if (value === undefined) return WRONG;
    entries.push([textOfWire(name), value]);
    at = to + close.length;
  }
  if (entries.length > 0) return { value: Object.fromEntries(entries), end: at };
  const empty = scanText(wire, at, format.empty);
  return isRead(empty) ? { value: {}, end: empty.end } : empty;
}

function firstStart(
  wire: Wire,
  from: number,
  starts: readonly ValueStart[],
): (ValueStart & { at: number }) | undefined {
  return starts.map((start) => ({ ...start, at: wire.indexOf(start.text, from) })).filter(({ at }) => at >= 0)
    .sort((a, b) => a.at - b.at || b.text.length - a.text.length)[0];
}

/** A value that stands between tags: what its schema and the tag let it be, and a string where nothing else reads it. */
function typed(
  wire: Wire,
  types: ValueStart["types"],
  words: Tagged["words"],
  name: string,
  { parameters }: ToolDeclaration,
): JsonValue | undefined {
  const properties = parameters.properties as { readonly [name: string]: JsonValue } | undefined;
  const allowed = typesOf(properties?.[name], parameters);
  const open = types.filter((type) => allowed.has(type));
  if (open.length === 1 && open[0] === "string") return textOfWire(wire);
  // Words of the other language are strings.
  const isOther = words === "python" && /^(?:true|false|null)$/.test(wire);
  const isWord = words === "python" && /^(?:True|False|None)$/.test(wire);
  const value = isOther ? undefined : isWord ? parsePython(wire) : parseJson(wire);
  if (value !== undefined && open.includes(typeOf(value))) return value;
  return open.includes("string") ? textOfWire(wire) : undefined;
}
