/**
 * The classes of bytes by which texts of a language begin. Terms share them: what follows a text that is not empty changes none.
 *
 * @module
 */
import { addBits, hasBit, setBit } from "../sampling/bits.ts";
import type { ByteSet } from "./byte_sets.ts";
import { KIND, type Lexeme, type Lexemes } from "./lexemes.ts";

/** Words of a set of classes. */
const classWords = 8;

/** Tells the first bytes of terms. */
export class Firsts {
  readonly #lexemes: Lexemes;
  readonly #byteOf: Uint8Array;
  readonly #found: (Uint32Array | undefined)[] = [];
  readonly #ofSets: (Uint32Array | undefined)[] = [];
  readonly #none = new Uint32Array(classWords);
  readonly #all: Uint32Array;

  /** First bytes of terms of `lexemes`; `byteOf` has a byte of each class. */
  constructor(lexemes: Lexemes, byteOf: Uint8Array) {
    this.#lexemes = lexemes;
    this.#byteOf = byteOf;
    this.#all = this.#classesIf(() => true);
  }

  /** All classes by which texts of a language begin, and maybe others: bit c % 32 of word floor(c / 32) is class c. */
  of(lexeme: Lexeme): Uint32Array {
    return this.#found[lexeme] ??= this.#find(lexeme);
  }

  #find(lexeme: Lexeme): Uint32Array {
    const lexemes = this.#lexemes;
    const parts = lexemes.parts(lexeme);
    switch (lexemes.kind(lexeme)) {
      case KIND.nothing:
      case KIND.empty:
        return this.#none;
      case KIND.bytes:
        return this.#ofSets[lexemes.value(lexeme)] ??= this.#ofSet(lexemes.sets.get(lexemes.value(lexeme)));
      case KIND.then:
        return lexemes.isNullable(parts[0]) ? this.#ofAny(parts) : this.of(parts[0]);
      case KIND.repeat:
        return this.of(parts[0]);
      case KIND.either:
        return this.#ofAny(parts);
      case KIND.both:
        return parts.map((part) => this.of(part)).reduce((all, one) => all.map((word, index) => word & one[index]));
      default:
        return this.#all;
    }
  }

  #ofAny(parts: readonly Lexeme[]): Uint32Array {
    const found = new Uint32Array(classWords);
    for (const part of parts) addBits(found, this.of(part));
    return found;
  }

  #ofSet(set: ByteSet): Uint32Array {
    return this.#classesIf((byte) => hasBit(set, byte));
  }

  #classesIf(isIn: (byte: number) => boolean): Uint32Array {
    const found = new Uint32Array(classWords);
    this.#byteOf.forEach((byte, own) => isIn(byte) && setBit(found, own));
    return found;
  }
}
