/**
 * What stands between the values of a text: commas, colons, and blanks where they are allowed, as many as an option says. A
 * model that may write any number of blanks sooner or later writes nothing else.
 *
 * @module
 */
import { EMPTY, type Lexeme, type Lexemes } from "../lexemes.ts";

/** How texts are laid out: without blanks; or with one blank, or a line's end and its indentation, wherever JSON allows it. */
export type Whitespace = "compact" | "indent";

/** Blanks at the beginning of a line. */
const indentMost = 32;

/** The punctuation of JSON, with what may stand around it. */
export class Layout {
  readonly beginObject: Lexeme;
  readonly endObject: Lexeme;
  readonly beginArray: Lexeme;
  readonly endArray: Lexeme;
  readonly comma: Lexeme;
  readonly colon: Lexeme;

  constructor(lexemes: Lexemes, whitespace: Whitespace) {
    const blank = lexemes.range(0x20);
    const line = lexemes.then(lexemes.range(0x0a), lexemes.repeat(blank, 0, indentMost));
    const space = whitespace === "compact" ? EMPTY : lexemes.either(EMPTY, blank, line);
    const after = (character: string) => lexemes.then(lexemes.range(character.charCodeAt(0)), space);
    const before = (character: string) => lexemes.then(space, lexemes.range(character.charCodeAt(0)));
    this.beginObject = after("{");
    this.endObject = before("}");
    this.beginArray = after("[");
    this.endArray = before("]");
    this.comma = after(",");
    this.colon = lexemes.then(lexemes.range(0x3a), whitespace === "compact" ? EMPTY : lexemes.maybe(blank));
  }
}
