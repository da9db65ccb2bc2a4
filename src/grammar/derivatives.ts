/**
 * What is left of a language after a byte: its derivative, made once for each term and class of bytes. And whether a language
 * has a text at all, which after intersections and complements only a search tells.
 *
 * @module
 */
import { hasByte } from "./byte_sets.ts";
import type { GrammarBudget } from "./budget.ts";
import { EMPTY, KIND, type Lexeme, type Lexemes, NOTHING } from "./lexemes.ts";

/** Derives terms. All of their sets of bytes exist by now: derivatives bring no new classes. */
export class Derivatives {
  /** Of each byte its class. */
  readonly classOf: Uint8Array;
  /** Of each class one of its bytes. */
  readonly byteOf: Uint8Array;
  readonly #lexemes: Lexemes;
  readonly #budget: GrammarBudget;
  readonly #derived = new Map<number, Lexeme>();
  /** Terms of which it is known whether they have a text. */
  readonly #hasText = new Map<Lexeme, boolean>();

  /** Derives terms of `lexemes`. */
  constructor(lexemes: Lexemes, budget: GrammarBudget) {
    this.#lexemes = lexemes;
    this.#budget = budget;
    const { classOf, byteOf } = lexemes.sets.classes();
    this.classOf = classOf;
    this.byteOf = byteOf;
  }

  /** What is left of a language after a byte of a class. */
  derive(lexeme: Lexeme, byteClass: number): Lexeme {
    if (lexeme <= EMPTY) return NOTHING;
    const key = lexeme * 256 + byteClass;
    let found = this.#derived.get(key);
    if (found === undefined) this.#derived.set(key, found = this.#derive(lexeme, byteClass));
    return found;
  }

  #derive(lexeme: Lexeme, byteClass: number): Lexeme {
    const lexemes = this.#lexemes;
    const parts = lexemes.parts(lexeme);
    const derive = (part: Lexeme) => this.derive(part, byteClass);
    switch (lexemes.kind(lexeme)) {
      case KIND.bytes:
        return hasByte(lexemes.sets.get(lexemes.value(lexeme)), this.byteOf[byteClass]) ? EMPTY : NOTHING;
      case KIND.then: {
        const [first, second] = parts;
        const left = lexemes.then(derive(first), second);
        return lexemes.isNullable(first) ? lexemes.either(left, derive(second)) : left;
      }
      case KIND.either:
        return lexemes.either(...parts.map(derive));
      case KIND.both:
        return lexemes.both(...parts.map(derive));
      case KIND.not:
        return lexemes.not(derive(parts[0]));
      case KIND.multiple:
        return lexemes.multipleAfter(lexeme, this.byteOf[byteClass]);
      default: { // repeat
        const [least, most] = [lexemes.value(lexeme), lexemes.most(lexeme)];
        return lexemes.then(derive(parts[0]), lexemes.repeat(parts[0], Math.max(0, least - 1), most - 1));
      }
    }
  }

  /** Whether a language has a text. */
  hasText(lexeme: Lexeme): boolean {
    if (lexeme === NOTHING) return false;
    if (this.#lexemes.isNullable(lexeme) || !this.#lexemes.needsSearch(lexeme)) return true;
    const known = this.#hasText.get(lexeme);
    return known ?? this.#search(lexeme);
  }

  /** Looks for a text, shortest first. What lies on the way to it has one too; where there is none, all that was seen has none. */
  #search(start: Lexeme): boolean {
    const from = new Map<Lexeme, Lexeme>([[start, start]]);
    const queue = [start];
    for (const lexeme of queue) {
      this.#budget.count("searches", 1);
      for (let byteClass = 0; byteClass < this.byteOf.length; byteClass++) {
        const next = this.derive(lexeme, byteClass);
        if (next === NOTHING || from.has(next)) continue;
        from.set(next, lexeme);
        const known = this.#hasText.get(next);
        if (known === true || this.#lexemes.isNullable(next) || !this.#lexemes.needsSearch(next)) {
          for (let at = lexeme;; at = from.get(at) as Lexeme) {
            this.#hasText.set(at, true);
            if (at === start) return true;
          }
        }
        if (known === undefined) queue.push(next);
      }
    }
    for (const lexeme of queue) this.#hasText.set(lexeme, false);
    return false;
  }
}
