/**
 * What walks of a vocabulary have found, kept within so many bytes: for one grammar, and for all grammars of a vocabulary, which
 * share what strings, numbers and dates let come. Terms of different grammars are the same where they are of the same form.
 *
 * @module
 */
import { ByteSets } from "./byte_sets.ts";
import { Hashes } from "./hashes.ts";
import { KIND, type Lexeme, type Lexemes } from "./lexemes.ts";
import { hashOfTerm, isTerm, type TermForm } from "./term.ts";

/** In the place of the node behind which a walk begins: all of the vocabulary. */
export const VOCABULARY = 0xffff_ffff;

/** Where a walk begins: behind a node, or behind many. */
export type Where = number | Uint32Array;

/** Bytes of what is found besides masks, tokens and nodes: about those of its objects. */
export const foundBytes = 500;

/** Masks of plain text that are kept. */
const plainMasksMost = 64;

/** What a walk has found. */
export interface Walked {
  /** A mask of tokens that may come. */
  readonly words?: Uint32Array;
  /** More of them, where they are few. */
  readonly tokens: readonly number[];
  /** The nodes at which a text may end, and tokens go on. */
  readonly ends: Uint32Array;
  /** Bytes that it takes; masks that others have too take none. */
  readonly bytes: number;
}

/** What was found for one lexeme. */
export interface Findings {
  readonly found: Map<Where, Walked>;
  bytes: number;
}

/** Keeps what was found by the lexeme that is in reading, or its form. Half of the bytes are for what was asked for last. */
export class KeptWalks {
  readonly #bytesMost: number;
  #bytes = 0;
  #recent = new Map<number, Findings>();
  #older = new Map<number, Findings>();

  /** Keeps up to so many bytes. */
  constructor(bytesMost: number) {
    this.#bytesMost = bytesMost;
  }

  /** What was found for a lexeme, or a form. */
  of(key: number): Findings {
    let findings = this.#recent.get(key);
    if (findings === undefined) {
      findings = this.#older.get(key) ?? { found: new Map(), bytes: foundBytes };
      this.#older.delete(key);
      this.#recent.set(key, findings);
      this.#count(findings.bytes);
    }
    return findings;
  }

  /** Keeps what a walk found. */
  add(findings: Findings, where: Where, walked: Walked): void {
    findings.found.set(where, walked);
    findings.bytes += walked.bytes;
    this.#count(walked.bytes);
  }

  /** Forgets all. */
  clear(): void {
    this.#recent.clear();
    this.#older.clear();
    this.#bytes = 0;
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    if (2 * this.#bytes <= this.#bytesMost) return;
    this.#older = this.#recent;
    this.#recent = new Map();
    this.#bytes = 0;
  }
}

/** Bytes of what is found that the grammars of a vocabulary share. */
const sharedBytesMost = 16 << 20;

/** Forms that are told apart; where there are more, all begins anew. */
const formsMost = 20_000;

/** Terms of one lexeme that are looked at; a larger one is the business of its grammar alone. */
const termsMost = 600;

/** The form of a larger one. */
const OWN = -1;

/** What all grammars of a vocabulary share. */
export class SharedWalks {
  readonly kept: KeptWalks = new KeptWalks(sharedBytesMost);
  /** The sets of bytes that occur in forms. */
  sets: ByteSets = new ByteSets();
  #forms: TermForm[] = [];
  #hashes = new Hashes();
  readonly #plain = new Map<string, Uint32Array>();
  /** Of nodes their children, by their bytes. */
  readonly #children = new WeakMap<Uint32Array, ReadonlyMap<number, readonly number[]>>();
  #round = 0;

  /** The mask of plain text whose kinds reach so far, made where it was not asked for. */
  plain(reaches: readonly (number | undefined)[], make: () => Uint32Array): Uint32Array {
    const key = reaches.join();
    let mask = this.#plain.get(key);
    if (mask === undefined) {
      if (this.#plain.size >= plainMasksMost) this.#plain.clear();
      this.#plain.set(key, mask = make());
    }
    return mask;
  }

  /** The children of nodes, by their bytes, made where they were not asked for. */
  children(
    nodes: Uint32Array,
    make: () => ReadonlyMap<number, readonly number[]>,
  ): ReadonlyMap<number, readonly number[]> {
    let children = this.#children.get(nodes);
    if (children === undefined) this.#children.set(nodes, children = make());
    return children;
  }

  /** Forgets all. */
  clear(): void {
    this.#plain.clear();
    [this.sets, this.#forms, this.#hashes] = [new ByteSets(), [], new Hashes()];
    this.kept.clear();
    this.#round++;
  }

  /** Makes room where it has run out. Gives the number of the round: forms are those of one round. */
  round(): number {
    if (this.#forms.length > formsMost) this.clear();
    return this.#round;
  }

  /** The number of a form: of a kind, its numbers as terms have them, and the forms of its parts. */
  form(kind: number, value: number, most: number, parts: readonly number[]): number {
    const hash = hashOfTerm(kind, parts, value, most);
    for (let form = this.#hashes.first(hash); form >= 0; form = this.#hashes.after(form)) {
      if (isTerm(this.#forms[form], kind, parts, value, most)) return form;
    }
    this.#hashes.add(hash);
    return this.#forms.push({ kind, value, most, parts }) - 1;
  }
}

/** The forms of one grammar's lexemes. */
export class Forms {
  readonly #lexemes: Lexemes;
  readonly #shared: SharedWalks;
  #round = 0;
  #forms: number[] = [];
  #termsLeft = 0;

  /** Forms as `shared` numbers them. */
  constructor(lexemes: Lexemes, shared: SharedWalks) {
    this.#lexemes = lexemes;
    this.#shared = shared;
  }

  /** The form of a lexeme; `undefined` where it is too large. */
  of(lexeme: Lexeme): number | undefined {
    const round = this.#shared.round();
    if (round !== this.#round) [this.#round, this.#forms] = [round, []];
    this.#termsLeft = termsMost;
    const form = this.#formOf(lexeme);
    return form === OWN ? undefined : form;
  }

  #formOf(lexeme: Lexeme): number {
    const known = this.#forms[lexeme];
    if (known !== undefined) return known;
    if (this.#termsLeft-- <= 0) return OWN;
    const lexemes = this.#lexemes;
    const kind = lexemes.kind(lexeme);
    // A few texts that are forbidden are the names of an object: those of one grammar.
    if (lexemes.forbidsFew(lexeme)) return this.#forms[lexeme] = OWN;
    const parts: number[] = [];
    for (const part of lexemes.parts(lexeme)) {
      const form = this.#formOf(part);
      if (form === OWN) return this.#forms[lexeme] = OWN;
      parts.push(form);
    }
    if (kind === KIND.either || kind === KIND.both) parts.sort((a, b) => a - b);
    const value = lexemes.value(lexeme);
    const said = kind === KIND.bytes ? this.#shared.sets.intern(lexemes.sets.get(value)) : value;
    return this.#forms[lexeme] = this.#shared.form(kind, said, lexemes.most(lexeme), parts);
  }
}
