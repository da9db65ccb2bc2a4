/**
 * Calls read from what a model wrote, by the format that the constraint was made of. What comes of a call is told while it comes, and the call where it has come whole.
 *
 * @module
 */
import type { WireFormat, WirePattern } from "./format.ts";
import { type GrowingArguments, growingArguments, valueOfArguments } from "./grow_arguments.ts";
import type { ReadCall, ToolDeclaration } from "./types.ts";
import { isRead, type Outcome, PARTIAL, scanText, WRONG } from "./values.ts";
import { textOfWire, type Wire, wireOfText } from "./wire.ts";

/** A call that came whole. */
export interface WholeCall extends ReadCall {
  /** Its arguments as JSON, as they were told in parts. */
  readonly text: string;
}

/** What came of a call's arguments; the first is there as soon as the name is known, and may be empty. */
export interface CallDelta {
  /** How many calls came before it. */
  readonly index: number;
  readonly id: string | undefined;
  readonly name: string;
  /** What follows in the arguments as JSON. */
  readonly text: string;
}

/** What the holes of a pattern hold. */
interface Holes {
  readonly id?: string;
  readonly index?: string;
}

/** A call whose name came. */
interface OpenCall {
  readonly tool: ToolDeclaration;
  readonly id: string | undefined;
  readonly arguments: GrowingArguments;
  /** Whether its arguments have come whole, so that reading goes on behind them. */
  isRead: boolean;
  /** How much of the arguments was told; -1: nothing of the call. */
  told: number;
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
  /** Whether the id of a call stands behind its arguments. */
  readonly #isIdBehind: boolean;
  #count = 0;
  /** The call whose name came, as long as it has not come whole. */
  #open: OpenCall | undefined;
  /** What stands before the next name was read; its holes. */
  #before: Holes | undefined;
  #isDone = false;

  /** Reads from a place, where the first call begins. */
  constructor(format: WireFormat, tools: readonly ToolDeclaration[], at: number) {
    this.#format = format;
    this.#tools = new Map(tools.map((tool) => [wireOfText(tool.name), tool]));
    this.#isIdBehind = hasId(format.end);
    this.#at = at;
  }

  /** How many calls have come whole. */
  get count(): number {
    return this.#count;
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

  /**
   * The next call that has come whole; `isEnd` where no more comes. What is new of the arguments of one on its way, or of that one,
   * goes to `tell`; where its id stands behind them, all of them at once.
   */
  next(
    wire: Wire,
    isEnd: boolean,
    tell: (delta: CallDelta) => void = () => {},
  ): WholeCall | typeof PARTIAL | typeof WRONG {
    if (this.#isDone) return PARTIAL;
    if (this.#open === undefined) {
      const begun = this.#begin(wire);
      if (!isRead(begun)) return begun;
      this.#open = begun.value;
    }
    const open = this.#open;
    if (!open.isRead) {
      const end = open.arguments.read(wire);
      if (!this.#isIdBehind) this.#tell(open, open.id, tell);
      if (typeof end === "string") return end;
      open.isRead = true;
      this.#at = end;
    }
    const call = this.#close(wire, isEnd, open);
    if (typeof call === "string") return call;
    this.#tell(open, call.id, tell);
    this.#open = undefined;
    this.#count++;
    return call;
  }

  #tell(open: OpenCall, id: string | undefined, tell: (delta: CallDelta) => void): void {
    const text = open.arguments.text.slice(Math.max(0, open.told));
    if (text === "" && open.told >= 0) return;
    open.told = open.arguments.text.length;
    tell({ index: this.#count, id, name: open.tool.name, text });
  }

  /** A call whose name came. */
  #begin(wire: Wire): Outcome<OpenCall> {
    if (this.#before === undefined) {
      const before = scanPattern(wire, this.#at, this.#format.before, "");
      if (!isRead(before)) return before;
      this.#before = before.value;
      this.#at = before.end;
    }
    const head = this.#name(wire);
    if (!isRead(head)) return head;
    const { name, tool, holes } = head.value;
    const before = this.#before;
    const index = holes.index ?? before.index ?? String(this.#count);
    this.#before = undefined;
    const id = holes.id ?? before.id ?? this.#made(name, index);
    const own = growingArguments(head.end, this.#format.arguments, tool);
    return { value: { tool, id, arguments: own, isRead: false, told: -1 }, end: head.end };
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
  #close(
    wire: Wire,
    isEnd: boolean,
    { tool, id, arguments: own }: OpenCall,
  ): WholeCall | typeof PARTIAL | typeof WRONG {
    const { separator, end } = this.#format;
    const whole = (later: string | undefined): WholeCall => {
      return { name: tool.name, arguments: valueOfArguments(own), text: own.text, id: later ?? id };
    };
    const more = separator ? scanPattern(wire, this.#at, separator, "") : WRONG;
    const last = scanPattern(wire, this.#at, end, wireOfText(tool.name));
    if (isRead(more)) {
      this.#at = more.end;
      // The id in a separator belongs to the call before it where the end has one, too.
      this.#before = this.#isIdBehind ? {} : more.value;
      return whole(this.#isIdBehind ? more.value.id : undefined);
    }
    if (more === PARTIAL && !isEnd) return PARTIAL;
    if (isRead(last)) {
      this.#isDone = true;
      this.#at = last.end;
      return whole(last.value.id);
    }
    // Cut behind its arguments, a call is whole unless its id is missing.
    if (last === PARTIAL && isEnd && !this.#isIdBehind) {
      this.#isDone = true;
      return whole(undefined);
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
