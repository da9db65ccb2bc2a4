/**
 * Texts as a model writes them, in one string with a character for each byte, so that JavaScript's own searching works on them. A
 * control token is five such characters that no text has (`src/grammar/token_trie.ts`): a text that looks like one is another
 * text.
 *
 * @module
 */
import { controlBytes } from "../grammar/token_trie.ts";
import type { TextRun } from "../text/types.ts";
import type { Tokenizer } from "../text/tokenizer/types.ts";

/** A text with a character for each byte. */
export type Wire = string;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Bytes as such a text. */
export function wireOfBytes(bytes: Uint8Array): Wire {
  let wire = "";
  for (let at = 0; at < bytes.length; at += 4096) wire += String.fromCharCode(...bytes.subarray(at, at + 4096));
  return wire;
}

/** A text in which no control token is read. */
export function wireOfText(text: string): Wire {
  return wireOfBytes(encoder.encode(text));
}

/** The bytes of such a text. */
export function bytesOfWire(wire: Wire): Uint8Array {
  return Uint8Array.from(wire, (character) => character.charCodeAt(0));
}

/** The text of one without control tokens. */
export function textOfWire(wire: Wire): string {
  return decoder.decode(bytesOfWire(wire));
}

/** A text without the blanks at its end; what is blank to JavaScript may be part of a character here. */
export function withoutBlanks(wire: Wire): Wire {
  let length = wire.length;
  while (length > 0 && " \t\r\n".includes(wire[length - 1])) length--;
  return wire.slice(0, length);
}

/** The first control token in a text and behind a place: five characters. */
export const CONTROL = /\xff[\x80-\xbf]{4}/;

/**
 * How many characters at the end may belong to one of some marks, to the blanks before one, or to a character that is not whole.
 */
export function heldBack(wire: Wire, marks: readonly Wire[]): number {
  let held = 0;
  for (const mark of marks) {
    for (let length = Math.min(mark.length - 1, wire.length); length > held; length--) {
      if (wire.endsWith(mark.slice(0, length))) held = length;
    }
  }
  const rest = wire.slice(0, wire.length - held);
  if (marks.length > 0) held += /[ \t\r\n]*$/.exec(rest)?.[0].length ?? 0;
  if (held > 0) return held;
  const [lead, ...more] = /[\xc0-\xf7][\x80-\xbf]{0,2}$/.exec(wire)?.[0] ?? "";
  if (lead === undefined) return 0;
  const code = lead.charCodeAt(0);
  const length = code < 0xe0 ? 2 : code < 0xf0 ? 3 : 4;
  return more.length + 1 < length ? more.length + 1 : 0;
}

/** The control tokens of a vocabulary by their texts. */
export class ControlTokens {
  /** Those that end an answer. */
  readonly ends: ReadonlySet<Wire>;
  readonly #byText = new Map<string, Wire>();
  readonly #longest: number;

  constructor(tokenizer: Tokenizer) {
    const ends = new Set<Wire>();
    let longest = 0;
    for (let token = 0; token < tokenizer.vocabularySize; token++) {
      const isEnd = tokenizer.endOfGeneration.has(token);
      if (!isEnd && tokenizer.textBytes(token).length > 0) continue;
      const text = decoder.decode(tokenizer.piece(token));
      if (text === "") continue;
      const wire = wireOfBytes(controlBytes(token));
      this.#byText.set(text, wire);
      if (isEnd) ends.add(wire);
      longest = Math.max(longest, text.length);
    }
    this.ends = ends;
    this.#longest = longest;
  }

  /** The longest control token whose text begins at a place. */
  at(text: string, place: number): { readonly text: string; readonly wire: Wire } | undefined {
    for (let length = Math.min(this.#longest, text.length - place); length > 0; length--) {
      const part = text.slice(place, place + length);
      const wire = this.#byText.get(part);
      if (wire !== undefined) return { text: part, wire };
    }
    return undefined;
  }

  /** Where the first control token in a text begins; its length if there is none. */
  first(text: string): number {
    for (let place = 0; place < text.length; place++) if (this.at(text, place)) return place;
    return text.length;
  }

  /** Whether a token that ends an answer is in a text. */
  hasEnd(wire: Wire): boolean {
    return [...this.ends].some((end) => wire.includes(end));
  }

  /** A template's own text, in which control tokens are read. */
  read(text: string): Wire {
    let wire = "";
    let plain = 0;
    for (let place = 0; place < text.length;) {
      const found = this.at(text, place);
      if (found === undefined) {
        place++;
        continue;
      }
      wire += wireOfText(text.slice(plain, place)) + found.wire;
      plain = place += found.text.length;
    }
    return wire + wireOfText(text.slice(plain));
  }

  /** A rendered prompt: control tokens are read where the template wrote them. */
  readRuns(runs: readonly TextRun[]): Wire {
    return runs.map(({ text, foreign }) => foreign ? wireOfText(text) : this.read(text)).join("");
  }
}

const known = new WeakMap<Tokenizer, ControlTokens>();

/** The control tokens of a tokenizer; they are looked through once. */
export function controlTokensOf(tokenizer: Tokenizer): ControlTokens {
  let tokens = known.get(tokenizer);
  if (!tokens) known.set(tokenizer, tokens = new ControlTokens(tokenizer));
  return tokens;
}
