/**
 * Strings as a notation spells them, each character in one way: as it is, or where it may not stand, by an escape. So a key has
 * one spelling, and languages of strings may be intersected and complemented.
 *
 * @module
 */
import { ALL_CHARACTERS, type Characters, complement, oneOf } from "../characters.ts";
import type { Lexeme, Lexemes } from "../lexemes.ts";
import { regexOf } from "../regex.ts";
import { formatSource } from "./formats.ts";
import type { Notation } from "./notation.ts";

/** What meets a keyword of strings, and what might, where nothing that does is to be let through. */
export interface TextLanguage {
  readonly met: Lexeme;
  readonly wide: () => Lexeme;
}

/** Languages of strings, without the quotes around them. */
export class Strings {
  /** Any one character. */
  readonly character: Lexeme;
  /** Any string. */
  readonly any: Lexeme;
  readonly #lexemes: Lexemes;
  readonly #notation: Notation;
  readonly #plain: Characters;
  readonly #encoder = new TextEncoder();
  /** What was made before, by what it was made of: names and patterns come again and again in a schema. */
  readonly #spellings = new Map<string, Uint8Array>();
  readonly #lists = new Map<string, Lexeme>();
  readonly #patterns = new Map<string, Lexeme>();
  readonly #formats = new Map<string, TextLanguage | undefined>();

  constructor(lexemes: Lexemes, notation: Notation) {
    this.#lexemes = lexemes;
    this.#notation = notation;
    this.#plain = complement(notation.escaped);
    this.character = this.spell(ALL_CHARACTERS);
    lexemes.characters.add(this.character);
    this.any = lexemes.repeat(this.character, 0);
  }

  /** One character of a set. */
  spell(characters: Characters): Lexeme {
    return this.#lexemes.once(this.#notation, characters.join(), () => this.#spell(characters));
  }

  #spell(characters: Characters): Lexeme {
    const lexemes = this.#lexemes;
    const { escaped, escape } = this.#notation;
    const escapes: Uint8Array[] = [];
    for (const [first, last] of common(characters, escaped)) {
      for (let code = first; code <= last; code++) {
        escapes.push(this.#encoder.encode(escape(String.fromCharCode(code))));
      }
    }
    return lexemes.either(oneOf(lexemes, common(characters, this.#plain)), lexemes.literals(escapes));
  }

  /** The one string. */
  literal(text: string): Lexeme {
    return this.#lexemes.literal(this.spelling(text));
  }

  /** One of these strings. */
  literals(texts: readonly string[]): Lexeme {
    const make = () => this.#lexemes.literals(texts.map((text) => this.spelling(text)));
    return once(this.#lists, JSON.stringify(texts), make);
  }

  /** The bytes of a string between its quotes. */
  spelling(text: string): Uint8Array {
    return once(this.#spellings, text, () => this.#spelling(text));
  }

  #spelling(text: string): Uint8Array {
    const { escaped, escape } = this.#notation;
    const isEscaped = (one: string) => {
      const code = one.charCodeAt(0);
      return !one.isWellFormed() || escaped.some(([first, last]) => first <= code && code <= last);
    };
    return this.#encoder.encode(Array.from(text, (one) => isEscaped(one) ? escape(one) : one).join(""));
  }

  /** Strings of `least` to `most` characters. */
  length(least: number, most: number): Lexeme {
    return this.#lexemes.repeat(this.character, least, most);
  }

  /** Strings of which a part matches a regular expression. */
  pattern(source: string, where: string): Lexeme {
    const spell = (characters: Characters) => this.spell(characters);
    const read = () => regexOf(this.#lexemes, source, { where, whole: false, anything: this.any, spell });
    return once(this.#patterns, source, read);
  }

  /** Strings of a format; `undefined` where it is none that is enforced. */
  format(name: string): TextLanguage | undefined {
    return once(this.#formats, name, () => this.#format(name));
  }

  #format(name: string): TextLanguage | undefined {
    const found = formatSource(name);
    if (found === undefined) return undefined;
    const spell = (characters: Characters) => this.spell(characters);
    const read = (source: string) =>
      regexOf(this.#lexemes, source, { where: `format ${name}`, whole: true, anything: this.any, spell });
    const but: Lexeme[] = found.but.map((source) => this.#lexemes.not(read(source)));
    if (found.most < Infinity) but.push(this.length(0, found.most));
    return { met: this.#lexemes.both(read(found.source), ...but), wide: () => read(found.wide) };
  }

  /** A string of a language with its quotes. */
  quoted(content: Lexeme): Lexeme {
    const { quote, end } = this.#notation;
    const lexemes = this.#lexemes;
    const inner = end === undefined
      ? content
      : lexemes.both(content, lexemes.not(lexemes.then(lexemes.all, lexemes.literal(end), lexemes.all)));
    return lexemes.then(lexemes.literal(quote), inner, lexemes.literal(quote));
  }

  /** The one name with its quotes, and what follows it. */
  literalName(text: string, rest: Lexeme): Lexeme {
    const { nameQuote } = this.#notation;
    const lexemes = this.#lexemes;
    return lexemes.literal(nameQuote, lexemes.literal(this.spelling(text), lexemes.literal(nameQuote, rest)));
  }

  /** A property's name with its quotes. */
  name(content: Lexeme): Lexeme {
    const quote = this.#lexemes.literal(this.#notation.nameQuote);
    return this.#lexemes.then(quote, content, quote);
  }
}

/** What `make` makes for a key, made once. */
function once<T>(made: Map<string, T>, key: string, make: () => T): T {
  let found = made.get(key);
  if (found === undefined) made.set(key, found = make());
  return found;
}

function common(a: Characters, b: Characters): Characters {
  const runs: [number, number][] = [];
  for (const [first, last] of a) {
    for (const [from, to] of b) {
      if (first <= to && from <= last) runs.push([Math.max(first, from), Math.min(last, to)]);
    }
  }
  return runs;
}
