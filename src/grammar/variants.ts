/**
 * Parts of a regular expression on the way to terms: what each matches, whether it stands at an end of the text, and what it looks
 * ahead for.
 *
 * @module
 */
import { EMPTY, type Lexeme, type Lexemes, NOTHING } from "./lexemes.ts";

/** A part of an expression: what it matches, and whether that must stand at the beginning or the end of the text. */
export interface Variant {
  readonly lexeme: Lexeme;
  readonly begins: boolean;
  readonly ends: boolean;
  /** Where it looks ahead: it together with what follows, up to the end of the text. */
  readonly before?: (rest: Lexeme) => Lexeme;
}

/** Ways through a part of an expression that looks ahead: they are not merged, and each doubles what is before it. */
const waysMost = 64;

/** Options for where the variants of an expression stand. */
export interface VariantOptions {
  /** Whether the whole text must match, or a part of it. */
  readonly whole: boolean;
  /** What may stand before and after a part that matches. */
  readonly anything: Lexeme;
}

/** Puts variants together. */
export class Variants {
  readonly #lexemes: Lexemes;
  readonly #options: VariantOptions;
  readonly #unsupported: (got: string, expected: string) => never;

  /** `unsupported` throws for what is not regular. */
  constructor(lexemes: Lexemes, options: VariantOptions, unsupported: (got: string, expected: string) => never) {
    this.#lexemes = lexemes;
    this.#options = options;
    this.#unsupported = unsupported;
  }

  /** A variant with all that may follow it in the text. */
  toEnd(variant: Variant): Lexeme {
    const { anything, whole } = this.#options;
    return this.#before(variant, variant.ends || whole ? EMPTY : anything);
  }

  #before({ lexeme, before }: Variant, rest: Lexeme): Lexeme {
    return before ? before(rest) : this.#lexemes.then(lexeme, rest);
  }

  /** One after the other: what comes before `^` or after `$` can only be the empty text. */
  join(left: readonly Variant[], right: readonly Variant[]): Variant[] {
    const joined: Variant[] = [];
    for (const a of left) {
      for (const b of right) {
        if (a.before || b.before) {
          joined.push(this.#joinAhead(a, b));
          continue;
        }
        const before = b.begins ? this.#emptyOnly(a.lexeme) : a.lexeme;
        const after = a.ends ? this.#emptyOnly(b.lexeme) : b.lexeme;
        const lexeme = this.#lexemes.then(before, after);
        if (lexeme !== NOTHING) joined.push({ lexeme, begins: a.begins || b.begins, ends: a.ends || b.ends });
      }
    }
    return this.merge(joined);
  }

  #joinAhead(a: Variant, b: Variant): Variant {
    if (a.ends || b.begins) this.#unsupported("^ or $ beside what looks ahead", "^ and $ outside of it");
    return { ...a, ends: b.ends, before: (rest) => this.#before(a, this.#before(b, rest)) };
  }

  #emptyOnly(lexeme: Lexeme): Lexeme {
    return this.#lexemes.isNullable(lexeme) ? EMPTY : NOTHING;
  }

  /** Those that stand at the same ends of a text are one. */
  merge(variants: readonly Variant[]): Variant[] {
    if (variants.length < 2) return [...variants];
    const kinds = [[false, false], [false, true], [true, false], [true, true]];
    const ahead = variants.filter(({ before }) => before);
    if (ahead.length > waysMost) this.#unsupported("what looks ahead", `at most ${waysMost} ways through it`);
    const merged = kinds.flatMap(([begins, ends]) => {
      const same = variants.filter((variant) => variant.begins === begins && variant.ends === ends && !variant.before);
      const lexeme = this.#lexemes.either(...same.map((variant) => variant.lexeme));
      return lexeme === NOTHING ? [] : [{ lexeme, begins, ends }];
    });
    return [...merged, ...ahead];
  }
}

/** One that may stand anywhere. */
export function whole(lexeme: Lexeme): Variant {
  return { lexeme, begins: false, ends: false };
}
