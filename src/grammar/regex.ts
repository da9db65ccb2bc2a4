/**
 * Regular expressions of ECMAScript become terms: everything that is regular. What looks around or back (`(?=`, `\b`, `\1`) is
 * refused by name, but for looking ahead in a schema's pattern that begins with `^`. Whether a match may begin and end anywhere, as a schema's `pattern` wants it, is the caller's choice; `^` and
 * `$` are heeded in either case.
 *
 * @module
 */
import { InvalidArgumentError, UnsupportedError } from "../../ffi/errors.ts";
import { category, CATEGORY_NAMES, DOT, escapedSet } from "./character_classes.ts";
import { folded } from "./case_folding.ts";
import { ALL_CHARACTERS, type Characters, charactersOf, complement } from "./characters.ts";
import { GRAMMAR_LIMITS, refuseSize } from "./budget.ts";
import { EMPTY, type Lexeme, type Lexemes, NOTHING } from "./lexemes.ts";
import { type Variant, type VariantOptions, Variants, whole } from "./variants.ts";

/** Options for reading an expression. */
export interface RegexOptions extends VariantOptions {
  /** Names the expression in errors. */
  readonly where: string;
  /** One character of a set, as the text spells it. */
  spell(characters: Characters): Lexeme;
  /** Of `i` (case makes no difference) and `s` (the dot stands for ends of lines, too); others say nothing. */
  readonly flags?: string;
}

/** The language of a regular expression. */
export function regexOf(lexemes: Lexemes, source: string, options: RegexOptions): Lexeme {
  return new RegexParser(lexemes, source, options).parse();
}

const controlLetters: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13 };

class RegexParser {
  readonly #lexemes: Lexemes;
  readonly #options: RegexOptions;
  readonly #source: readonly string[];
  readonly #variants: Variants;
  /** Characters that were spelled, each with the flags before it. */
  readonly #spelled = new Map<string, Lexeme>();
  #flags: string;
  #at = 0;
  #depth = 0;

  constructor(lexemes: Lexemes, source: string, options: RegexOptions) {
    if (source.length > GRAMMAR_LIMITS.characters) refuseSize("characters", source.length);
    this.#lexemes = lexemes;
    this.#options = options;
    this.#flags = options.flags ?? "";
    this.#source = Array.from(source);
    this.#variants = new Variants(lexemes, options, (got, expected) => this.#unsupported(got, expected));
  }

  parse(): Lexeme {
    const variants = this.#alternatives();
    if (this.#at < this.#source.length) this.#refuse("a group that is opened before it is closed");
    const { anything, whole } = this.#options;
    const parts = variants.map((variant) =>
      this.#lexemes.then(variant.begins || whole ? EMPTY : anything, this.#variants.toEnd(variant))
    );
    return this.#lexemes.either(...parts);
  }

  #alternatives(): Variant[] {
    if (++this.#depth > GRAMMAR_LIMITS.depth) refuseSize("depth", this.#depth);
    const variants = [...this.#sequence()];
    while (this.#take("|")) variants.push(...this.#sequence());
    this.#depth--;
    return this.#variants.merge(variants);
  }

  #sequence(): Variant[] {
    const parts: Variant[][] = [];
    while (this.#at < this.#source.length && this.#peek() !== "|" && this.#peek() !== ")") {
      parts.push(this.#quantified(this.#atom()));
    }
    // From the right, so that a long text makes each of its terms once.
    return parts.reduceRight((rest, part) => this.#variants.join(part, rest), [whole(EMPTY)]);
  }

  #quantified(variants: Variant[]): Variant[] {
    const counts = this.#counts();
    if (counts === undefined) return variants;
    this.#take("?"); // which of several matches is found makes no difference to whether there is one
    if (variants.some(({ begins, ends }) => begins || ends)) {
      this.#unsupported("a repeated ^ or $", "^ and $ outside of what is repeated");
    }
    const [least, most] = counts;
    if (variants.some(({ before }) => before)) {
      if (most > 1) this.#unsupported("a repeated group that looks ahead", "one that comes once at most");
      return least === 1 ? variants : this.#variants.merge([whole(EMPTY), ...most === 1 ? variants : []]);
    }
    if (most < least) this.#refuse(`a count of at least ${least} and at most ${most}`);
    return [whole(this.#lexemes.repeat(variants[0]?.lexeme ?? NOTHING, least, most))];
  }

  #counts(): readonly [number, number] | undefined {
    if (this.#take("*")) return [0, Infinity];
    if (this.#take("+")) return [1, Infinity];
    if (this.#take("?")) return [0, 1];
    if (this.#peek() !== "{") return undefined;
    const found = /^\{(\d+)(,(\d*))?\}/.exec(this.#source.slice(this.#at, this.#at + 40).join(""));
    if (found === null) return undefined; // a brace like any other character
    this.#at += found[0].length;
    const least = Number(found[1]);
    return [least, found[2] === undefined ? least : found[3] === "" ? Infinity : Number(found[3])];
  }

  #atom(): Variant[] {
    const character = this.#next();
    switch (character) {
      case "^":
        return [{ lexeme: EMPTY, begins: true, ends: false }];
      case "$":
        return [{ lexeme: EMPTY, begins: false, ends: true }];
      case "(":
        return this.#group();
      case "[":
        return [whole(this.#options.spell(this.#set()))];
      case ".":
        return [whole(this.#options.spell(this.#flags.includes("s") ? ALL_CHARACTERS : DOT))];
      case "\\":
        return [whole(this.#options.spell(this.#cased(this.#escape(false))))];
      case "*":
      case "+":
      case "?":
        return this.#refuse(`${character} with nothing to repeat`);
      case "{":
        this.#at--;
        if (this.#counts() !== undefined) this.#refuse("a count with nothing to repeat");
        this.#at++;
        return [whole(this.#options.spell(single(character)))];
      default:
        return [whole(this.#plain(character))];
    }
  }

  /** A character that stands for itself. */
  #plain(character: string): Lexeme {
    const key = this.#flags + character;
    let spelled = this.#spelled.get(key);
    if (spelled === undefined) {
      this.#spelled.set(key, spelled = this.#options.spell(this.#cased(single(character))));
    }
    return spelled;
  }

  #group(): Variant[] {
    const outside = this.#flags;
    if (this.#take("?")) {
      const kind = this.#next();
      if ((kind === "=" || kind === "!") && this.#source[0] === "^" && !this.#options.whole) return this.#ahead(kind);
      if (kind === "<" && this.#peek() !== "=" && this.#peek() !== "!") {
        while (this.#next() !== ">");
      } else if (kind !== ":") {
        this.#modify(kind);
      }
    }
    const variants = this.#alternatives();
    this.#flags = outside;
    if (!this.#take(")")) this.#refuse("a group that is not closed");
    return variants;
  }

  /** What the rest of the text begins with, or does not. */
  #ahead(kind: "=" | "!"): Variant[] {
    const seen = this.#alternatives();
    if (!this.#take(")")) this.#refuse("a group that is not closed");
    if (seen.some(({ begins }) => begins)) this.#unsupported("^ in what looks ahead", "^ outside of it");
    if (this.#counts() !== undefined) this.#refuse("a count with nothing to repeat");
    const texts = this.#lexemes.either(...seen.map((variant) => this.#variants.toEnd(variant)));
    const allowed = kind === "=" ? texts : this.#lexemes.not(texts);
    return [{ ...whole(EMPTY), before: (rest) => this.#lexemes.both(rest, allowed) }];
  }

  /** Flags for a group alone: `(?i:`, `(?s-i:`. */
  #modify(kind: string): void {
    const found = /^([is]*)(?:-([is]*))?:/.exec(kind + this.#source.slice(this.#at, this.#at + 6).join(""));
    if (found === null) {
      this.#unsupported(`(?${kind}`, "a group that does not look ahead or back, with no flags but i and s");
    }
    this.#at += found[0].length - 1;
    this.#flags = Array.from(this.#flags + found[1]).filter((flag) => !found[2]?.includes(flag)).join("");
  }

  #set(): Characters {
    const isNegated = this.#take("^");
    const runs: (readonly [number, number])[] = [];
    while (!this.#take("]")) {
      const first = this.#member();
      if (this.#peek() === "-" && this.#source[this.#at + 1] !== "]" && isOne(first)) {
        this.#at++;
        const last = this.#member();
        if (!isOne(last)) {
          runs.push(...first, [0x2d, 0x2d], ...last);
        } else if (last[0][0] < first[0][0]) {
          this.#refuse("a range that ends before it begins");
        } else {
          runs.push([first[0][0], last[0][0]]);
        }
      } else {
        runs.push(...first);
      }
    }
    const set = this.#cased(charactersOf(runs));
    return isNegated ? complement(set) : set;
  }

  #cased(set: Characters): Characters {
    return this.#flags.includes("i") ? folded(set) : set;
  }

  #member(): Characters {
    const character = this.#next("a set that is not closed");
    return character === "\\" ? this.#escape(true) : single(character);
  }

  #escape(inSet: boolean): Characters {
    const letter = this.#next("a backslash at the end");
    const set = escapedSet(letter);
    if (set !== undefined) return set;
    if (letter === "p" || letter === "P") return this.#property(letter === "P");
    if (letter in controlLetters) return [[controlLetters[letter], controlLetters[letter]]];
    if (letter === "b" && inSet) return [[8, 8]];
    if (letter === "b" || letter === "B") this.#unsupported(`\\${letter}`, "no boundaries of words");
    if (letter === "0" && !/\d/.test(this.#peek() ?? "")) return [[0, 0]];
    if (/[1-9k]/.test(letter)) this.#unsupported(`\\${letter}`, "no references back");
    if (letter === "x") return this.#hexadecimal(2);
    if (letter === "u") return this.#unicode();
    if (letter === "c" && /[a-zA-Z]/.test(this.#peek() ?? "")) {
      const code = this.#next().charCodeAt(0) % 32;
      return [[code, code]];
    }
    if (/[A-Za-z0-9]/.test(letter)) this.#refuse(`\\${letter}, which stands for nothing`);
    return single(letter);
  }

  #property(isNegated: boolean): Characters {
    const found = /^\{(?:General_Category=|gc=)?(\w+)\}/.exec(this.#source.slice(this.#at, this.#at + 60).join(""));
    const set = found === null ? undefined : category(found[1]);
    if (found === null || set === undefined) {
      const expected = `a category of ${CATEGORY_NAMES.join(", ")}`;
      this.#unsupported(`\\p${found?.[0] ?? ""}`, expected, "is none of the categories");
    }
    this.#at += found[0].length;
    return isNegated ? complement(set) : set;
  }

  #unicode(): Characters {
    if (this.#take("{")) {
      let digits = "";
      for (let digit = this.#next(); digit !== "}"; digit = this.#next()) digits += digit;
      const code = /^[0-9a-fA-F]{1,8}$/.test(digits) ? parseInt(digits, 16) : Infinity;
      return code > 0x10ffff ? this.#refuse(`\\u{${digits}}`) : [[code, code]];
    }
    const set = this.#hexadecimal(4);
    const high = set[0][0];
    const isPair = high >= 0xd800 && high < 0xdc00 && this.#peek() === "\\" && this.#source[this.#at + 1] === "u";
    const low = isPair ? parseInt(this.#source.slice(this.#at + 2, this.#at + 6).join(""), 16) : NaN;
    if (!(low >= 0xdc00 && low < 0xe000)) return set;
    this.#at += 6;
    const code = 0x10000 + (high - 0xd800) * 0x400 + (low - 0xdc00);
    return [[code, code]];
  }

  #hexadecimal(count: number): Characters {
    const digits = this.#source.slice(this.#at, this.#at + count).join("");
    if (digits.length < count || !/^[0-9a-fA-F]+$/.test(digits)) {
      this.#refuse(`${count} hexadecimal digits that are missing`);
    }
    this.#at += count;
    return [[parseInt(digits, 16), parseInt(digits, 16)]];
  }

  #peek(): string | undefined {
    return this.#source[this.#at];
  }

  #take(character: string): boolean {
    if (this.#source[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #next(missing = "an end where more must come"): string {
    if (this.#at >= this.#source.length) this.#refuse(missing);
    return this.#source[this.#at++];
  }

  #refuse(got: string): never {
    const { where } = this.#options;
    throw new InvalidArgumentError(`${where}: not a regular expression: ${got}, at character ${this.#at}.`, {
      what: "a regular expression that cannot be read",
      where,
      expected: "a regular expression of ECMAScript",
      got,
    });
  }

  #unsupported(got: string, expected: string, why = "is not regular"): never {
    const { where } = this.#options;
    throw new UnsupportedError(`${where}: ${got} ${why}, at character ${this.#at}; expected ${expected}.`, {
      what: "a regular expression that is not supported",
      where,
      expected,
      got,
    });
  }
}

function single(character: string): Characters {
  const code = character.codePointAt(0) as number;
  return [[code, code]];
}

function isOne(characters: Characters): boolean {
  return characters.length === 1 && characters[0][0] === characters[0][1];
}
