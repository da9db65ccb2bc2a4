/**
 * Terms without their greatest counts. A text of such a language that has no more bytes than a count is one of the language with the
 * count, too: each repetition takes a byte at least.
 *
 * @module
 */
import { KIND, type Lexeme, type Lexemes } from "./lexemes.ts";

/** Smaller counts stay: few texts have so few bytes. */
const countLeast = 12;

/** Parts of a sequence that are looked at. */
const partsMost = 16;

/** Makes terms without counts. */
export class Uncounted {
  readonly #lexemes: Lexemes;
  readonly #made = new Map<Lexeme, readonly [Lexeme, number]>();

  /** Makes terms of `lexemes`. */
  constructor(lexemes: Lexemes) {
    this.#lexemes = lexemes;
  }

  /** A term without its greatest counts, and the least of them; the term itself where there are none. */
  of(lexeme: Lexeme): readonly [uncounted: Lexeme, most: number] {
    let made = this.#made.get(lexeme);
    if (made === undefined) this.#made.set(lexeme, made = this.#make(lexeme));
    return made;
  }

  #make(lexeme: Lexeme): readonly [Lexeme, number] {
    const lexemes = this.#lexemes;
    let most = Infinity;
    const uncounted = (part: Lexeme): Lexeme => {
      const [open, least] = this.of(part);
      most = Math.min(most, least);
      return open;
    };
    const parts = lexemes.parts(lexeme);
    let made = lexeme;
    switch (lexemes.kind(lexeme)) {
      case KIND.then: {
        const heads: Lexeme[] = [];
        let rest = lexeme;
        for (; lexemes.kind(rest) === KIND.then && heads.length < partsMost; rest = lexemes.parts(rest)[1]) {
          heads.push(uncounted(lexemes.parts(rest)[0]));
        }
        if (lexemes.kind(rest) !== KIND.then) rest = uncounted(rest);
        if (most < Infinity) made = heads.reduceRight((tail, head) => lexemes.then(head, tail), rest);
        break;
      }
      case KIND.either: {
        const open = parts.map(uncounted);
        if (most < Infinity) made = lexemes.oneOf(open);
        break;
      }
      case KIND.both: {
        const open = parts.map(uncounted);
        if (most < Infinity) made = lexemes.both(...open);
        break;
      }
      case KIND.repeat: {
        const count = lexemes.most(lexeme);
        if (count < countLeast || count === Infinity || lexemes.isNullable(parts[0])) break;
        most = count;
        made = lexemes.repeat(parts[0], lexemes.value(lexeme));
      }
    }
    return [made, most];
  }
}
