/**
 * How values are spelled: JSON, and the other ways in which models write the arguments of calls. Which values there are is the
 * schema's matter and the same in all of them.
 *
 * @module
 */
import { type Characters, charactersOf } from "../characters.ts";
import { ESCAPED } from "../plain_text.ts";

/** A way to spell values. */
export interface Notation {
  /** Characters that are not written as they are. */
  readonly escaped: Characters;
  /** What is written for such a character. */
  readonly escape: (character: string) => string;
  /** Bytes on both sides of a string; a string whose quotes are not escaped cannot hold them. */
  readonly quote: Uint8Array;
  /** Bytes on both sides of a property's name. */
  readonly nameQuote: Uint8Array;
  /** Bytes that a string does not hold, where no escape keeps them out. */
  readonly end: Uint8Array | undefined;
  readonly words: { readonly true: string; readonly false: string; readonly null: string };
}

const encoder = new TextEncoder();
const quote = encoder.encode('"');
const nothing = new Uint8Array(0);

/** The words of JSON. */
export const JSON_WORDS = { true: "true", false: "false", null: "null" } as const;
/** The words of Python. */
export const PYTHON_WORDS = { true: "True", false: "False", null: "None" } as const;

/** JSON, each character in one way: as it is, or by the shortest escape that `JSON.stringify` writes. */
export const JSON_NOTATION: Notation = {
  escaped: ESCAPED,
  escape: (character) => JSON.stringify(character).slice(1, -1),
  quote,
  nameQuote: quote,
  end: undefined,
  words: JSON_WORDS,
};

const pythonQuote = encoder.encode("'");
const pythonEscapes: Readonly<Record<string, string>> = {
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "'": "\\'",
  "\\": "\\\\",
};

/** Python's literals with strings in single quotes. */
export const PYTHON_NOTATION: Notation = {
  escaped: charactersOf([[0, 0x1f], [0x27, 0x27], [0x5c, 0x5c], [0x7f, 0x7f]]),
  escape: (character) =>
    pythonEscapes[character] ?? `\\x${(character.codePointAt(0) as number).toString(16).padStart(2, "0")}`,
  quote: pythonQuote,
  nameQuote: pythonQuote,
  end: undefined,
  words: PYTHON_WORDS,
};

/** Strings as they are between two quotes, names without quotes, the rest as in JSON. */
export function quotedNotation(quote: Uint8Array): Notation {
  return { ...JSON_NOTATION, escaped: [], escape: (character) => character, quote, nameQuote: nothing, end: quote };
}

/** Strings as they are, until `end` comes. */
export function rawNotation(end: Uint8Array): Notation {
  return { ...quotedNotation(nothing), end };
}
