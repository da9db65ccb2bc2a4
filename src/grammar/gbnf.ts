/**
 * Grammars in GBNF, the form that llama.cpp reads (its grammars/README.md): rules `name ::= ...` over characters, classes of
 * characters, names, groups, alternatives and counts. The text is matched from the rule `root`.
 *
 * @module
 */
import { UnsupportedError } from "../../ffi/errors.ts";
import { ALL_CHARACTERS, type Characters, charactersOf, complement, oneOf } from "./characters.ts";
import type { Expression } from "./expressions.ts";
import { EMPTY, type Lexemes } from "./lexemes.ts";
import { checkDepth } from "./budget.ts";
import { refuseGrammar } from "./refuse_grammar.ts";

/** The definitions of a grammar. */
export function parseGbnf(source: string, lexemes: Lexemes): ReadonlyMap<string, Expression> {
  return new GbnfParser(source, lexemes).parse();
}

const escapes: Readonly<Record<string, string>> = {
  t: "\t",
  r: "\r",
  n: "\n",
  "\\": "\\",
  '"': '"',
  "[": "[",
  "]": "]",
};

class GbnfParser {
  readonly #source: string;
  readonly #lexemes: Lexemes;
  #at = 0;
  #depth = 0;

  constructor(source: string, lexemes: Lexemes) {
    this.#source = source;
    this.#lexemes = lexemes;
  }

  parse(): Map<string, Expression> {
    const definitions = new Map<string, Expression>();
    for (this.#skip(true); this.#at < this.#source.length; this.#skip(true)) {
      const name = this.#name();
      if (name === undefined) this.#refuse("the name of a rule");
      this.#skip(true);
      if (!this.#take("::=")) this.#refuse(`"::=" after ${name}`);
      if (definitions.has(name)) this.#refuse(`one definition of ${name}`, "a second one");
      this.#skip(true);
      definitions.set(name, this.#choice(false));
      this.#skip(false);
      if (this.#at < this.#source.length && !/[\r\n]/.test(this.#source[this.#at])) this.#refuse("the end of the rule");
    }
    if (!definitions.has("root")) this.#refuse("a rule named root", "none");
    return definitions;
  }

  #choice(inGroup: boolean): Expression {
    checkDepth(++this.#depth);
    const parts = [this.#sequence(inGroup)];
    for (this.#skip(inGroup); this.#take("|"); this.#skip(inGroup)) {
      this.#skip(true);
      parts.push(this.#sequence(inGroup));
    }
    this.#depth--;
    return parts.length === 1 ? parts[0] : { kind: "choice", parts };
  }

  #sequence(inGroup: boolean): Expression {
    const parts: Expression[] = [];
    for (;;) {
      this.#skip(inGroup);
      const part = this.#atom();
      if (part === undefined) break;
      parts.push(this.#counted(part));
    }
    return parts.length === 1 ? parts[0] : { kind: "sequence", parts };
  }

  #atom(): Expression | undefined {
    if (this.#take('"')) return this.#literal();
    if (this.#take("[")) return { kind: "lexeme", lexeme: oneOf(this.#lexemes, this.#set()) };
    if (this.#take(".")) return { kind: "lexeme", lexeme: oneOf(this.#lexemes, ALL_CHARACTERS) };
    if (this.#take("(")) {
      this.#skip(true);
      const group = this.#choice(true);
      this.#skip(true);
      if (!this.#take(")")) this.#refuse('")"');
      return group;
    }
    const token = /^!?<[^<>\s]*>?/.exec(this.#source.slice(this.#at, this.#at + 80))?.[0];
    if (token !== undefined) {
      const where = `line ${this.#line()}`;
      throw new UnsupportedError(`The grammar in ${where}: the token ${token} cannot be had; expected a text.`, {
        what: "a token in a grammar",
        where,
        expected: "the text of what may come",
        got: token,
      });
    }
    const name = this.#name();
    return name === undefined ? undefined : { kind: "name", name };
  }

  #counted(part: Expression): Expression {
    for (;;) {
      if (this.#take("*")) part = { kind: "repeat", part, least: 0, most: Infinity };
      else if (this.#take("+")) part = { kind: "repeat", part, least: 1, most: Infinity };
      else if (this.#take("?")) part = { kind: "repeat", part, least: 0, most: 1 };
      else if (this.#take("{")) part = this.#counts(part);
      else return part;
    }
  }

  #counts(part: Expression): Expression {
    const found = /^\s*(\d+)\s*(,\s*(\d*)\s*)?\}/.exec(this.#source.slice(this.#at, this.#at + 80));
    if (found === null) this.#refuse("counts such as {2}, {2,} or {2,5}");
    this.#at += found[0].length;
    const least = Number(found[1]);
    const most = found[2] === undefined ? least : found[3] === "" ? Infinity : Number(found[3]);
    if (most < least) this.#refuse(`a count of at least ${least}`, `${most}`);
    return { kind: "repeat", part, least, most };
  }

  #literal(): Expression {
    let text = "";
    while (!this.#take('"')) text += this.#character();
    const lexeme = text === "" ? EMPTY : this.#lexemes.literal(new TextEncoder().encode(text));
    return { kind: "lexeme", lexeme };
  }

  #set(): Characters {
    const isNegated = this.#take("^");
    const runs: [number, number][] = [];
    while (!this.#take("]")) {
      const first = this.#character().codePointAt(0) as number;
      let last = first;
      if (this.#source[this.#at] === "-" && this.#source[this.#at + 1] !== "]") {
        this.#at++;
        last = this.#character().codePointAt(0) as number;
        if (last < first) this.#refuse("a range that does not end before it begins");
      }
      runs.push([first, last]);
    }
    const set = charactersOf(runs);
    return isNegated ? complement(set) : set;
  }

  #character(): string {
    const code = this.#source.codePointAt(this.#at);
    if (code === undefined) this.#refuse("a character", "the end of the grammar");
    const character = String.fromCodePoint(code);
    this.#at += character.length;
    if (character === "\n" || character === "\r") this.#refuse("a character or an escape", "the end of the line");
    if (character !== "\\") return character;
    const letter = this.#source[this.#at++] ?? "";
    if (letter in escapes) return escapes[letter];
    const digits = { x: 2, u: 4, U: 8 }[letter];
    if (digits === undefined) {
      this.#refuse('an escape: \\t \\r \\n \\\\ \\" \\[ \\] \\xHH \\uHHHH \\UHHHHHHHH', `\\${letter}`);
    }
    const text = this.#source.slice(this.#at, this.#at + digits);
    const value = text.length === digits && /^[0-9a-fA-F]+$/.test(text) ? parseInt(text, 16) : Infinity;
    if (value > 0x10ffff || value >= 0xd800 && value < 0xe000) {
      this.#refuse("the code of a character", `\\${letter}${text}`);
    }
    this.#at += digits;
    return String.fromCodePoint(value);
  }

  #name(): string | undefined {
    const found = /^[a-zA-Z0-9_-]+/.exec(this.#source.slice(this.#at, this.#at + 1000));
    if (found !== null) this.#at += found[0].length;
    return found?.[0];
  }

  /** Skips blanks and comments, and ends of lines where the rule goes on after them. */
  #skip(overLines: boolean): void {
    const pattern = overLines ? /(?:\s|#[^\n]*)*/y : /(?:[ \t]|#[^\n]*)*/y;
    pattern.lastIndex = this.#at;
    this.#at += pattern.exec(this.#source)?.[0].length ?? 0;
  }

  #take(text: string): boolean {
    if (!this.#source.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  #line(): number {
    return this.#source.slice(0, this.#at).split("\n").length;
  }

  #refuse(expected: string, got = JSON.stringify(this.#source.slice(this.#at, this.#at + 20))): never {
    refuseGrammar(this.#line(), expected, got);
  }
}
