/**
 * Grammars in Lark's notation become definitions. A terminal becomes one lexeme; where a rule has one, what is ignored may stand
 * before it, and at the end of the text. There is no lexer: a text fits where it can be cut into terminals in any way, as with
 * Lark's dynamic lexer.
 *
 * @module
 */
import { ALL_CHARACTERS, type Characters, charactersOf, oneOf } from "../characters.ts";
import { folded } from "../case_folding.ts";
import type { Expression } from "../expressions.ts";
import { EMPTY, type Lexeme, type Lexemes, NOTHING } from "../lexemes.ts";
import { refuseGrammar } from "../refuse_grammar.ts";
import { regexOf } from "../regex.ts";
import { checkDepth } from "../budget.ts";
import { type LarkGrammar, type LarkNode, parseLark } from "./parse.ts";

/** The name of what a whole text must meet: no rule has it. */
export const LARK_ROOT = "the grammar";

/** The definitions of a grammar. */
export function larkDefinitions(source: string, lexemes: Lexemes): ReadonlyMap<string, Expression> {
  const grammar = parseLark(source);
  const terminals = new Terminals(grammar, lexemes);
  const ignored = grammar.ignored.map((node) => terminals.lexeme(node));
  const between = ignored.length === 0 ? EMPTY : lexemes.repeat(lexemes.either(...ignored), 0, Infinity);
  const definitions = new Map<string, Expression>();
  for (const [name, node] of grammar.rules) definitions.set(name, expressionOf(node));
  const end: Expression = { kind: "lexeme", lexeme: between };
  return definitions.set(LARK_ROOT, { kind: "sequence", parts: [{ kind: "name", name: "start" }, end] });

  function expressionOf(node: LarkNode): Expression {
    switch (node.kind) {
      case "rule":
        return { kind: "name", name: node.text };
      case "sequence":
      case "choice":
        return { kind: node.kind, parts: node.parts.map(expressionOf) };
      case "repeat":
        return { kind: "repeat", part: expressionOf(node.part), least: node.least, most: node.most };
      default:
        return { kind: "lexeme", lexeme: lexemes.then(between, terminals.lexeme(node)) };
    }
  }
}

class Terminals {
  readonly #grammar: LarkGrammar;
  readonly #lexemes: Lexemes;
  readonly #known = new Map<string, Lexeme>();
  /** Names on the way from the one that is looked at. */
  readonly #open = new Set<string>();

  constructor(grammar: LarkGrammar, lexemes: Lexemes) {
    this.#grammar = grammar;
    this.#lexemes = lexemes;
    // Also what no rule uses must be right.
    for (const [text, node] of grammar.terminals) this.#named(text, node.kind === "regex" ? node.line : 1);
  }

  lexeme(node: LarkNode): Lexeme {
    switch (node.kind) {
      case "text":
        return this.#text(node.text, node.line);
      case "regex":
        return this.#regex(node.text, node.line);
      case "range":
        return this.#range(node.first, node.last, node.line);
      case "terminal":
        return this.#named(node.text, node.line);
      case "rule":
        return refuseGrammar(node.line, "terminals inside of terminals", `the rule ${node.text}`);
      case "sequence":
        return this.#lexemes.then(EMPTY, ...node.parts.map((part) => this.lexeme(part)));
      case "choice":
        return this.#lexemes.either(...node.parts.map((part) => this.lexeme(part)));
      case "both":
        return this.#lexemes.both(...node.parts.map((part) => this.lexeme(part)));
      case "not": {
        // Of texts: what is no UTF-8 is none.
        const any = this.#lexemes.repeat(oneOf(this.#lexemes, ALL_CHARACTERS), 0, Infinity);
        return this.#lexemes.both(any, this.#lexemes.not(this.lexeme(node.part)));
      }
      case "repeat":
        return this.#lexemes.repeat(this.lexeme(node.part), node.least, node.most);
    }
  }

  #named(name: string, line: number): Lexeme {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const node = this.#grammar.terminals.get(name);
    if (node === undefined) refuseGrammar(line, `a definition of ${name}`, "none");
    if (this.#open.has(name)) refuseGrammar(line, "a terminal that does not come back to itself", name);
    this.#open.add(name);
    checkDepth(this.#open.size);
    const lexeme = this.lexeme(node);
    this.#open.delete(name);
    this.#known.set(name, lexeme);
    return lexeme;
  }

  #regex(text: string, line: number): Lexeme {
    const end = text.lastIndexOf("/");
    const flags = text.slice(end + 1);
    if (/[^isu]/.test(flags)) refuseGrammar(line, "the flags i, s and u", flags);
    const spell = (characters: Characters) => oneOf(this.#lexemes, characters);
    const source = text.slice(1, end);
    return regexOf(this.#lexemes, source, { where: `line ${line}`, whole: true, anything: EMPTY, spell, flags });
  }

  #text(text: string, line: number): Lexeme {
    const isFolded = text.endsWith("i");
    const characters = Array.from(unquoted(text, line), (character): Characters => {
      const code = character.codePointAt(0) as number;
      return isFolded ? folded([[code, code]]) : [[code, code]];
    });
    return characters.reduceRight((rest, set) => this.#lexemes.then(oneOf(this.#lexemes, set), rest), EMPTY);
  }

  #range(first: string, last: string, line: number): Lexeme {
    const codes = [first, last].map((text) => {
      const characters = Array.from(unquoted(text, line));
      if (characters.length !== 1) refuseGrammar(line, "a range of single characters", text);
      return characters[0].codePointAt(0) as number;
    });
    const [from, to] = codes;
    if (to < from) refuseGrammar(line, "a range that does not end before it begins", `${first}..${last}`);
    const isFolded = first.endsWith("i") || last.endsWith("i");
    const set = charactersOf([[from, to]]);
    return set.length === 0 ? NOTHING : oneOf(this.#lexemes, isFolded ? folded(set) : set);
  }
}

const escapes: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  f: "\f",
  v: "\v",
  b: "\b",
  a: "\x07",
  "\\": "\\",
  '"': '"',
  "'": "'",
  "/": "/",
};

/** A text without its quotes and escapes. */
function unquoted(text: string, line: number): string {
  const inner = text.slice(1, text.lastIndexOf('"'));
  return inner.replace(/\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([\s\S]))/g, (escape, ...groups) => {
    const [x, u, long, letter] = groups as (string | undefined)[];
    const digits = x ?? u ?? long;
    if (digits !== undefined) {
      const code = parseInt(digits, 16);
      if (code <= 0x10ffff && !(code >= 0xd800 && code < 0xe000)) return String.fromCodePoint(code);
    } else if (Object.hasOwn(escapes, letter as string)) return escapes[letter as string];
    return refuseGrammar(line, 'an escape: \\n \\t \\r \\f \\v \\b \\a \\\\ \\" \\xHH \\uHHHH \\UHHHHHHHH', escape);
  });
}
