/**
 * Which languages are sure to lie inside others, seen by their form. What a search (`.*word.*`) leaves after its word is any text,
 * and beside it all that was left of looking for the word once more; without this, a term would remember each word that came, and
 * what was found of it since, and terms of some searches would be as many as the ways in which those come together.
 *
 * @module
 */
import { EMPTY, KIND, type Lexeme, type Lexemes, NOTHING } from "./lexemes.ts";

/** What is left of languages after bytes. */
interface Derives {
  apart(a: Lexeme, b: Lexeme): readonly number[];
  derive(lexeme: Lexeme, byteClass: number): Lexeme;
}

/** Any text, from the rest of a character on, and what follows it. */
interface Open {
  /** Of which characters texts are made. */
  readonly character: Lexeme;
  /** What is left of the character in reading; `EMPTY` between two. */
  readonly rest: Lexeme;
  /** The term from the repetition of the character on. */
  readonly from: Lexeme;
}

/** Parts of a term before the repetition: bytes of one character. */
const restMost = 4;

/** Tells which terms of an alternative others make needless. */
export class Inclusions {
  readonly #lexemes: Lexemes;
  readonly #derives: Derives;
  readonly #opens = new Map<Lexeme, Open | undefined>();
  /** Of each character what may be left of it. */
  readonly #rests = new Map<Lexeme, ReadonlySet<Lexeme>>();
  /** Of each character, and what is left of it, what may be left behind a term. */
  readonly #behind = new Map<Lexeme, Map<number, readonly Lexeme[] | undefined>>();

  /** Looks at terms. */
  constructor(lexemes: Lexemes, derives: Derives) {
    this.#lexemes = lexemes;
    this.#derives = derives;
  }

  /** The term of an alternative, without those that lie inside others. */
  simplified(lexeme: Lexeme): Lexeme {
    const lexemes = this.#lexemes;
    if (lexemes.kind(lexeme) !== KIND.either) return lexeme;
    let parts = lexemes.parts(lexeme);
    for (const part of parts) {
      const open = parts.includes(part) ? this.#open(part) : undefined;
      if (open) parts = parts.filter((other) => other === part || !this.#isInside(other, open));
    }
    return parts === lexemes.parts(lexeme) ? lexeme : lexemes.oneOf(parts);
  }

  /** Whether a term asks for texts and forbids all of them, seen by its form. */
  isContradiction(lexeme: Lexeme): boolean {
    const lexemes = this.#lexemes;
    if (lexemes.kind(lexeme) !== KIND.both) return false;
    const parts = lexemes.parts(lexeme);
    return parts.some((part) => {
      if (lexemes.kind(part) !== KIND.not) return false;
      const forbidden = lexemes.parts(part)[0];
      const open = this.#open(forbidden);
      return open !== undefined && parts.some((other) => other !== part && this.#isInside(other, open));
    });
  }

  #open(lexeme: Lexeme): Open | undefined {
    if (this.#opens.has(lexeme)) return this.#opens.get(lexeme);
    const found = this.#findOpen(lexeme);
    this.#opens.set(lexeme, found);
    return found;
  }

  #findOpen(lexeme: Lexeme): Open | undefined {
    const lexemes = this.#lexemes;
    const before: Lexeme[] = [];
    for (let from = lexeme; before.length < restMost; from = lexemes.parts(from)[1]) {
      const isThen = lexemes.kind(from) === KIND.then;
      const head = isThen ? lexemes.parts(from)[0] : from;
      if (lexemes.kind(head) === KIND.repeat) {
        const [character] = lexemes.parts(head);
        const isAny = lexemes.value(head) === 0 && lexemes.most(head) === Infinity && lexemes.characters.has(character);
        const rest = before.reduceRight((rest, part) => lexemes.then(part, rest), EMPTY);
        return isAny && this.#restsOf(character).has(rest) ? { character, rest, from } : undefined;
      }
      if (!isThen || lexemes.isNullable(head)) return undefined;
      before.push(head);
    }
    return undefined;
  }

  #restsOf(character: Lexeme): ReadonlySet<Lexeme> {
    let rests = this.#rests.get(character);
    if (rests === undefined) {
      const found = new Set([EMPTY]);
      const open = [character];
      for (let next = open.pop(); next !== undefined; next = open.pop()) {
        for (const own of this.#derives.apart(next, next)) {
          const rest = this.#derives.derive(next, own);
          if (rest === NOTHING || found.has(rest)) continue;
          found.add(rest);
          open.push(rest);
        }
      }
      this.#rests.set(character, rests = found);
    }
    return rests;
  }

  /** Whether a term is a text of characters, and then what follows any text. */
  #isInside(lexeme: Lexeme, { character, rest, from }: Open): boolean {
    const lexemes = this.#lexemes;
    let rests: readonly Lexeme[] | undefined = [rest];
    for (let at = lexeme;; at = lexemes.parts(at)[1]) {
      if (at === from && rests.every((one) => one === EMPTY)) return true;
      const isThen = lexemes.kind(at) === KIND.then;
      if (!isThen && lexemes.kind(from) === KIND.then) return false;
      rests = this.#after(isThen ? lexemes.parts(at)[0] : at, rests, character);
      if (rests === undefined) return false;
      if (!isThen) return rests.every((one) => one === EMPTY);
    }
  }

  /** What may be left of a character behind the texts of a term; `undefined` where they are not all made of characters. */
  #after(lexeme: Lexeme, rests: readonly Lexeme[], character: Lexeme): readonly Lexeme[] | undefined {
    if (rests.length === 1) return this.#afterRest(lexeme, rests[0], character);
    const found = new Set<Lexeme>();
    for (const rest of rests) {
      const more = this.#afterRest(lexeme, rest, character);
      if (more === undefined) return undefined;
      for (const one of more) found.add(one);
    }
    return [...found];
  }

  #afterRest(lexeme: Lexeme, rest: Lexeme, character: Lexeme): readonly Lexeme[] | undefined {
    if (lexeme === character && rest === EMPTY) return between;
    let known = this.#behind.get(lexeme);
    if (known === undefined) this.#behind.set(lexeme, known = new Map());
    const key = character * keyBase + rest;
    if (!known.has(key)) known.set(key, this.#findAfter(lexeme, rest, character));
    return known.get(key);
  }

  #findAfter(lexeme: Lexeme, rest: Lexeme, character: Lexeme): readonly Lexeme[] | undefined {
    const lexemes = this.#lexemes;
    const parts = lexemes.parts(lexeme);
    switch (lexemes.kind(lexeme)) {
      case KIND.empty:
        return [rest];
      case KIND.bytes:
        return this.#afterBytes(lexeme, rest === EMPTY ? character : rest);
      case KIND.then: {
        let rests: readonly Lexeme[] | undefined = [rest];
        for (; rests && lexemes.kind(lexeme) === KIND.then; lexeme = lexemes.parts(lexeme)[1]) {
          rests = this.#after(lexemes.parts(lexeme)[0], rests, character);
        }
        return rests && this.#after(lexeme, rests, character);
      }
      case KIND.either: {
        const all = parts.map((part) => this.#afterRest(part, rest, character));
        return all.includes(undefined) ? undefined : [...new Set((all as Lexeme[][]).flat())];
      }
      case KIND.both: // texts of all are texts of one
        return parts.map((part) => this.#afterRest(part, rest, character)).find((rests) => rests);
      case KIND.repeat: {
        const found = new Set([rest]);
        for (const one of found) {
          const more = this.#afterRest(parts[0], one, character);
          if (more === undefined) return undefined;
          for (const each of more) found.add(each);
        }
        return [...found];
      }
      default:
        return undefined;
    }
  }

  #afterBytes(lexeme: Lexeme, left: Lexeme): readonly Lexeme[] | undefined {
    const found = new Set<Lexeme>();
    for (const own of this.#derives.apart(lexeme, left)) {
      if (this.#derives.derive(lexeme, own) === NOTHING) continue;
      const rest = this.#derives.derive(left, own);
      if (rest === NOTHING) return undefined;
      found.add(rest);
    }
    return [...found];
  }
}

/** Between two characters. */
const between: readonly Lexeme[] = [EMPTY];

/** Above all terms that a budget allows. */
const keyBase = 1 << 21;
