/**
 * Plain text, as it stands in most tokens of a vocabulary: whole characters, none of which JSON escapes, in kinds such as small
 * letters or digits. Where a text may go on by any character of a kind, as in a string, its tokens need not be walked one by one:
 * how many characters there may be is enough to know which of them are allowed.
 *
 * @module
 */
import { type Characters, charactersOf, complement, oneOf } from "./characters.ts";
import { hasBit, hasBits, haveCommon } from "../sampling/bits.ts";
import type { Derivatives } from "./derivatives.ts";
import { EMPTY, KIND, type Lexeme, type Lexemes, NOTHING } from "./lexemes.ts";

/** Characters that JSON escapes. */
export const ESCAPED: Characters = charactersOf([[0, 0x1f], [0x22, 0x22], [0x5c, 0x5c]]);
/** All others. */
export const PLAIN: Characters = complement(ESCAPED);

/** Characters of each kind of plain text; a text is of the first that has all of its characters. */
export const PLAIN_KINDS: readonly Characters[] = [
  [[0x61, 0x7a]],
  [[0x30, 0x39]],
  [[0x41, 0x5a], [0x61, 0x7a]],
  [[0x20, 0x20], [0x41, 0x5a], [0x61, 0x7a]],
  [[0x20, 0x21], [0x23, 0x5b], [0x5d, 0x7e]],
  // Without the blanks and ends of lines beyond ASCII, which patterns often forbid.
  [[0x20, 0x20], [0x41, 0x5a], [0x61, 0x7a], [0xa1, 0x167f], [0x1681, 0x1fff], [0x2070, 0x2fff], [0x3001, 0xd7ff], [
    0xe000,
    0xfefe,
  ], [0xff00, 0x10ffff]],
  PLAIN,
];

/** Longer texts are told apart one by one. */
export const plainMost = 32;

/** Terms that are looked at for one answer; where they are not enough, nothing is said. Few tokens are digits: a walk is short. */
const [termsMost, termsOfDigitsMost] = [48, 6];

/** The place of digits in {@link PLAIN_KINDS}. */
const DIGITS = 1;

/** What is known where it depends on the characters. */
const UNKNOWN = undefined;

/** What is left of a term after one character of a kind. */
interface PlainStep {
  readonly left: readonly Lexeme[];
  /** Whether all of the characters may come, none, or some. */
  readonly allows: "all" | "none" | "some";
}

/** The characters of a text that is UTF-8, `undefined` for others, and where there are more than {@link plainMost}. */
export function plainCharacters(bytes: Uint8Array): readonly number[] | undefined {
  if (bytes.length > 4 * plainMost) return undefined;
  let text: string;
  try {
    text = strict.decode(bytes);
  } catch {
    return undefined;
  }
  const characters = Array.from(text, (character) => character.codePointAt(0) as number);
  return characters.length > plainMost ? undefined : characters;
}

/** The kind of these characters; -1 where they are of none. */
export function plainKind(characters: readonly number[]): number {
  return PLAIN_KINDS.findIndex((kind) =>
    characters.every((character) => kind.some(([first, last]) => first <= character && character <= last))
  );
}

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Says how many characters of a kind terms let come. */
export class PlainText {
  readonly #derivatives: Derivatives;
  readonly #lexemes: Lexemes;
  readonly #characters: readonly Lexeme[];
  /** Of each kind the classes of first bytes. */
  readonly #firsts: readonly Uint32Array[];
  readonly #steps: readonly Map<Lexeme, PlainStep>[] = PLAIN_KINDS.map(() => new Map());
  readonly #reaches: readonly Map<Lexeme, number | undefined>[] = PLAIN_KINDS.map(() => new Map());

  /** Looks at terms; `characters` are the terms of one character of each kind. */
  constructor(lexemes: Lexemes, derivatives: Derivatives, characters: readonly Lexeme[]) {
    this.#lexemes = lexemes;
    this.#derivatives = derivatives;
    this.#characters = characters;
    this.#firsts = characters.map((character) => derivatives.first(character));
  }

  /**
   * How many characters of a kind may come: any text of up to so many, and none of more; {@link plainMost} also where more may
   * come. `undefined` where it depends on which.
   */
  reach(lexeme: Lexeme, kind: number): number | undefined {
    const reaches = this.#reaches[kind];
    if (reaches.has(lexeme)) return reaches.get(lexeme);
    const found = this.#reachOf(lexeme, kind);
    reaches.set(lexeme, found);
    return found;
  }

  #reachOf(lexeme: Lexeme, kind: number): number | undefined {
    const [first, firstOfKind] = [this.#derivatives.first(lexeme), this.#firsts[kind]];
    if (!haveCommon(first, firstOfKind)) return 0;
    if (!hasBits(first, firstOfKind)) return UNKNOWN;
    const counted = this.#counted(lexeme, kind);
    if (counted !== UNKNOWN) return counted;
    return this.#isEndless(lexeme, kind) ? plainMost : this.#search(lexeme, kind);
  }

  /** Whether any text of a kind may come, seen by the form of a term. A search would go through all names of an object. */
  #isEndless(lexeme: Lexeme, kind: number): boolean {
    const lexemes = this.#lexemes;
    switch (lexemes.kind(lexeme)) {
      case KIND.then: // what is behind has a text
        return this.reach(lexemes.parts(lexeme)[0], kind) === plainMost;
      case KIND.both: {
        // What has texts without end has others than a few that are forbidden.
        const rest = lexemes.parts(lexeme).filter((part) => !lexemes.forbidsFew(part));
        return rest.length === 1 && lexemes.kind(rest[0]) === KIND.repeat && lexemes.most(rest[0]) === Infinity &&
          this.reach(rest[0], kind) === plainMost;
      }
      case KIND.either: // any text goes through the one
        return lexemes.parts(lexeme).some((part) =>
          this.#derivatives.hasText(part) && this.reach(part, kind) === plainMost
        );
      default:
        return false;
    }
  }

  /** What a number of repetitions of one character each says, where what follows them cannot be taken for one of them. */
  #counted(lexeme: Lexeme, kind: number): number | undefined {
    const lexemes = this.#lexemes;
    const [repeated, rest] = lexemes.kind(lexeme) === KIND.then ? lexemes.parts(lexeme) : [lexeme, EMPTY];
    if (lexemes.kind(repeated) !== KIND.repeat) return UNKNOWN;
    const { allows, left } = this.#step(lexemes.parts(repeated)[0], kind);
    if (allows !== "all" || left.length !== 1 || left[0] !== EMPTY) return UNKNOWN;
    const most = lexemes.most(repeated);
    if (most >= plainMost) return plainMost;
    const isApart = !lexemes.isNullable(rest) && !haveCommon(this.#derivatives.first(rest), this.#firsts[kind]);
    return isApart ? most : UNKNOWN;
  }

  #search(lexeme: Lexeme, kind: number): number | undefined {
    const seen = new Set([lexeme]);
    const most = kind === DIGITS ? termsOfDigitsMost : termsMost;
    let frontier: Lexeme[] = [lexeme];
    let mayEnd = false;
    for (let depth = 0; depth < plainMost && frontier.length > 0; depth++) {
      const steps = frontier.map((each) => this.#step(each, kind));
      // Behind a term that may have ended something else goes on, of which nothing is known here.
      if (steps.every(({ allows }) => allows === "none")) return mayEnd ? UNKNOWN : depth;
      if (seen.size > most || steps.some(({ allows }) => allows !== "all")) return UNKNOWN;
      frontier = [...new Set(steps.flatMap(({ left }) => left))].filter((left) => !seen.has(left));
      for (const left of frontier) seen.add(left);
      mayEnd ||= frontier.some((left) => this.#lexemes.isNullable(left));
    }
    return plainMost;
  }

  #step(lexeme: Lexeme, kind: number): PlainStep {
    const steps = this.#steps[kind];
    let found = steps.get(lexeme);
    if (!found) steps.set(lexeme, found = this.#stepOf(lexeme, kind));
    return found;
  }

  /** Whether a term is that of a single character, plain ones of any kind among them. */
  #isAnyCharacter(lexeme: Lexeme): boolean {
    if (!this.#lexemes.characters.has(lexeme)) return false;
    const parts = this.#lexemes.parts(lexeme);
    return this.#lexemes.parts(this.#characters[PLAIN_KINDS.length - 1]).every((part) => parts.includes(part));
  }

  #stepOf(lexeme: Lexeme, kind: number): PlainStep {
    if (this.#isAnyCharacter(lexeme)) return { left: [EMPTY], allows: "all" };
    const derivatives = this.#derivatives;
    const left = new Set<Lexeme>();
    let isNarrow = false;
    // Most first bytes of a character are followed by the same others.
    const seen = new Map<Lexeme, Set<Lexeme>>();
    const go = (character: Lexeme, from: Lexeme) => {
      const known = seen.get(character);
      if (known?.has(from)) return;
      if (known) known.add(from);
      else seen.set(character, new Set([from]));
      const first = derivatives.first(character);
      for (const byteClass of derivatives.apart(character, from)) {
        if (isNarrow && left.size > 0) break;
        if (!hasBit(first, byteClass)) continue;
        const rest = derivatives.derive(character, byteClass);
        if (rest === NOTHING) continue;
        const next = derivatives.derive(from, byteClass);
        if (!derivatives.hasText(next)) isNarrow = true;
        else if (rest === EMPTY) left.add(next);
        else go(rest, next);
      }
    };
    go(this.#characters[kind], lexeme);
    return { left: [...left], allows: left.size === 0 ? "none" : isNarrow ? "some" : "all" };
  }
}

/** The terms of one character of each kind: before derivatives are made, whose classes must know them. */
export function plainCharacterTerms(lexemes: Lexemes): Lexeme[] {
  return PLAIN_KINDS.map((characters, kind) =>
    lexemes.once(PLAIN_KINDS, String(kind), () => oneOf(lexemes, characters))
  );
}
