/**
 * The words of a grammar in Lark's notation: names, texts, regular expressions, numbers and signs, without blanks and comments.
 *
 * @module
 */
import { refuseGrammar } from "../refuse_grammar.ts";

/** What a word is. */
export type LarkKind = "rule" | "terminal" | "text" | "regex" | "number" | "directive" | "special" | "sign" | "end";

/** A word of a grammar. */
export interface LarkToken {
  readonly kind: LarkKind;
  /** As it is written. */
  readonly text: string;
  readonly line: number;
  /** Whether it is the first of its line. */
  readonly isFirst: boolean;
}

/** The words; each begins where the one before ends. */
const words: readonly (readonly [LarkKind | undefined, RegExp])[] = [
  [undefined, /(?:[ \t\f\r\n]|(?:\/\/|#)[^\n]*)+/y],
  ["text", /"(?:[^"\\\n]|\\[^\n])*"i?(?![a-zA-Z_])/y],
  ["regex", /\/(?:[^/\\\n]|\\[^\n])+\/[a-z]*/y],
  ["terminal", /_*[A-Z][A-Z0-9_-]*(?![a-z])/y],
  ["rule", /_*[a-z][a-z0-9_-]*(?![A-Z])/y],
  ["number", /[+-]?\d+(?![\w])/y],
  ["directive", /%[a-z]+/y],
  ["special", /<[^<>\s]*>/y],
  ["sign", /->|\.\.|[:|&()[\]{}~*+?!.,@]/y],
];

/** Cuts a grammar into words; the last is its end. */
export function larkTokens(source: string): LarkToken[] {
  const tokens: LarkToken[] = [];
  let [at, line, isFirst] = [0, 1, true];
  while (at < source.length) {
    const [kind, text] = wordAt(source, at) ?? unreadable(source, at, line);
    if (kind !== undefined) tokens.push({ kind, text, line, isFirst });
    const lines = kind === undefined ? text.split("\n").length - 1 : 0;
    isFirst = kind === undefined && (isFirst || lines > 0);
    line += lines;
    at += text.length;
  }
  tokens.push({ kind: "end", text: "the end", line, isFirst: true });
  return tokens;
}

function wordAt(source: string, at: number): readonly [LarkKind | undefined, string] | undefined {
  for (const [kind, pattern] of words) {
    pattern.lastIndex = at;
    const found = pattern.exec(source);
    if (found !== null) return [kind, found[0]];
  }
  return undefined;
}

function unreadable(source: string, at: number, line: number): never {
  refuseGrammar(line, "a name, a text, a regular expression or a sign", JSON.stringify(source.slice(at, at + 20)));
}
