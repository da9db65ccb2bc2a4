/**
 * The arguments of a call while they come, told as JSON: of a string each character as soon as it is certain, of other values each
 * when it is whole. What was told, joined, is the arguments of the whole call, so what is streamed and what is read cannot differ.
 *
 * @module
 */
import { type ArgumentList, PythonList, QuotedList, TaggedList } from "./argument_lists.ts";
import type { WireArguments } from "./format.ts";
import type { ReadCall, ToolDeclaration } from "./types.ts";
import { isRead, PARTIAL, WRONG } from "./values.ts";
import { heldBack, textOfWire, type Wire } from "./wire.ts";

/** Arguments on their way. */
export interface GrowingArguments {
  /** As JSON, as far as they are certain. */
  readonly text: string;
  /** Reads on in a text that may have become longer; gives where the arguments end. */
  read(wire: Wire): number | typeof PARTIAL | typeof WRONG;
}

/** The arguments of a call that begin at a place. */
export function growingArguments(at: number, format: WireArguments, tool: ToolDeclaration): GrowingArguments {
  switch (format.kind) {
    case "json":
      return new JsonArguments(at);
    case "quoted":
      return new ListedArguments(at, new QuotedList(format.quote));
    case "pythonic":
      return new ListedArguments(at, new PythonList(format.values ?? "python"));
    default:
      return new ListedArguments(at, new TaggedList(format, tool));
  }
}

/** The value of arguments that have come whole. */
export function valueOfArguments({ text }: GrowingArguments): ReadCall["arguments"] {
  return JSON.parse(text);
}

const blank = /[ \t\r\n]/;

/** Characters of numbers. */
const numeric = /[-+.0-9eE]/;

/** One JSON object, told without the blanks between its values; 2.0 is told as 2. */
class JsonArguments implements GrowingArguments {
  text = "";
  #at: number;
  #depth = 0;
  #isString = false;
  #isEscaped = false;
  /** The bytes of a character that is not whole. */
  #rest: Wire = "";
  /** What has come of a number: it is told when it is whole. */
  #number = "";

  constructor(at: number) {
    this.#at = at;
  }

  read(wire: Wire): number | typeof PARTIAL | typeof WRONG {
    if (this.#depth === 0 && this.#at < wire.length && wire[this.#at] !== "{") return WRONG;
    let fresh = this.#rest;
    let isWhole = false;
    while (!isWhole && this.#at < wire.length) {
      const one = wire[this.#at++];
      if (!this.#isString && numeric.test(one)) {
        this.#number += one;
        continue;
      }
      fresh += this.#number.replace(/\.0+$/, "");
      this.#number = "";
      if (!this.#isString && blank.test(one)) continue;
      fresh += one;
      isWhole = this.#ends(one);
    }
    const held = isWhole ? 0 : heldBack(fresh, []);
    this.#rest = fresh.slice(fresh.length - held);
    this.text += textOfWire(fresh.slice(0, fresh.length - held));
    if (!isWhole) return PARTIAL;
    return isJson(this.text) ? this.#at : WRONG;
  }

  /** Whether the object ends with a character. */
  #ends(one: string): boolean {
    if (this.#isString) {
      if (this.#isEscaped) this.#isEscaped = false;
      else if (one === "\\") this.#isEscaped = true;
      else this.#isString = one !== '"';
      return false;
    }
    if (one === '"') this.#isString = true;
    else if (one === "{" || one === "[") this.#depth++;
    else if (one === "}" || one === "]") return --this.#depth === 0;
    return false;
  }
}

function isJson(text: string): boolean {
  try {
    return JSON.parse(text) !== undefined;
  } catch {
    return false; // what a model writes without a constraint may be anything
  }
}

/** Arguments one behind another. */
class ListedArguments implements GrowingArguments {
  text = "";
  readonly #list: ArgumentList;
  #at: number;
  #count = 0;
  /** The value in reading: where it begins, what of it was told as JSON, and up to where. */
  #open: { readonly at: number; told: string; to: number | undefined } | undefined;

  constructor(at: number, list: ArgumentList) {
    this.#at = at;
    this.#list = list;
  }

  read(wire: Wire): number | typeof PARTIAL | typeof WRONG {
    for (;;) {
      if (this.#open === undefined) {
        const next = this.#list.next(wire, this.#at, this.#count === 0);
        if (!isRead(next)) return next;
        if (next.value === undefined) {
          this.text += this.#count === 0 ? "{}" : "}";
          return next.end;
        }
        this.text += `${this.#count++ === 0 ? "{" : ","}${JSON.stringify(next.value)}:`;
        this.#open = { at: next.end, told: "", to: undefined };
      }
      const { at, told } = this.#open;
      const value = this.#list.value(wire, at);
      if (value === PARTIAL) this.#grow(wire, this.#open);
      if (!isRead(value)) return value;
      this.text += value.value.slice(told.length);
      this.#at = value.end;
      this.#open = undefined;
    }
  }

  /** Tells what is certain of a string that has not come whole. */
  #grow(wire: Wire, open: { readonly at: number; told: string; to: number | undefined }): void {
    const from = open.to ?? this.#list.string(wire, open.at);
    if (from === undefined) return;
    const { text, end } = this.#list.characters(wire, from);
    const more = `${open.to === undefined ? '"' : ""}${JSON.stringify(text).slice(1, -1)}`;
    open.to = end;
    open.told += more;
    this.text += more;
  }
}
