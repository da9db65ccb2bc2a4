/**
 * Strings as JSON spells them, each character in one way: as it is, or where it may not stand, by the shortest escape that
 * `JSON.stringify` writes. So a key has one spelling, and languages of strings may be intersected and complemented.
 *
 * @module
 */
import { ALL_CHARACTERS, type Characters, oneOf } from "../characters.ts";
import type { Lexeme, Lexemes } from "../lexemes.ts";
import { ESCAPED, PLAIN } from "../plain_text.ts";
import { regexOf } from "../regex.ts";
import { formatSource } from "./formats.ts";

/** Languages of strings, without the quotes around them. */
export class Strings {
  /** Any one character. */
  readonly character: Lexeme;
  /** Any string. */
  readonly any: Lexeme;
  readonly #lexemes: Lexemes;
  readonly #encoder = new TextEncoder();

  constructor(lexemes: Lexemes) {
    this.#lexemes = lexemes;
    this.character = this.spell(ALL_CHARACTERS);
    this.any = lexemes.repeat(this.character, 0);
  }

  /** One character of a set. */
  spell(characters: Characters): Lexeme {
    const lexemes = this.#lexemes;
    const parts = [oneOf(lexemes, common(characters, PLAIN))];
    for (const [first, last] of common(characters, ESCAPED)) {
      for (let code = first; code <= last; code++) {
        parts.push(lexemes.literal(this.#encoder.encode(JSON.stringify(String.fromCharCode(code)).slice(1, -1))));
      }
    }
    return lexemes.either(...parts);
  }

  /** The one string. */
  literal(text: string): Lexeme {
    return this.#lexemes.literal(this.spelling(text));
  }

  /** One of these strings. */
  literals(texts: readonly string[]): Lexeme {
    return this.#lexemes.literals(texts.map((text) => this.spelling(text)));
  }

  /** The bytes of a string between its quotes. */
  spelling(text: string): Uint8Array {
    return this.#encoder.encode(JSON.stringify(text).slice(1, -1));
  }

  /** Strings of `least` to `most` characters. */
  length(least: number, most: number): Lexeme {
    return this.#lexemes.repeat(this.character, least, most);
  }

  /** Strings of which a part matches a regular expression. */
  pattern(source: string, where: string): Lexeme {
    const spell = (characters: Characters) => this.spell(characters);
    return regexOf(this.#lexemes, source, { where, whole: false, anything: this.any, spell });
  }

  /** Strings of a format; `undefined` where it is none that is enforced. */
  format(name: string): Lexeme | undefined {
    const found = formatSource(name);
    if (found === undefined) return undefined;
    const spell = (characters: Characters) => this.spell(characters);
    const read = (source: string) =>
      regexOf(this.#lexemes, source, { where: `format ${name}`, whole: true, anything: this.any, spell });
    const but: Lexeme[] = found.but.map((source) => this.#lexemes.not(read(source)));
    if (found.most < Infinity) but.push(this.length(0, found.most));
    return this.#lexemes.both(read(found.source), ...but);
  }

  /** A string of a language with its quotes. */
  quoted(content: Lexeme): Lexeme {
    const quote = this.#lexemes.range(0x22);
    return this.#lexemes.then(quote, content, quote);
  }
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
