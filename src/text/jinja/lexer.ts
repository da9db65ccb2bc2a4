/**
 * A template's source as tokens, by jinja2's rules as Hugging Face sets them: the line end after a block goes
 * (`trim_blocks`), and so do blanks before one at the beginning of a line (`lstrip_blocks`); `-` and `+` say otherwise.
 *
 * @module
 */
import type { Budget } from "./budget.ts";
import { isIdentifier, isSpace } from "./characters.ts";
import { Failure } from "./failure.ts";
import { unescape } from "./unescape.ts";

/** One token: what it is (an operator is its own name), its text or value, and its line. */
export interface Token {
  readonly type: string;
  readonly value: string;
  readonly line: number;
}

const PAIRS: Readonly<Record<string, string>> = { "{": "}", "(": ")", "[": "]" };
const OPERATORS = /\/\/|\*\*|==|!=|>=|<=|[-+/*%~[\](){}><=.:|,;]/y;
const FLOAT = /\d+(?:_\d+)*(?:(?:\.\d+(?:_\d+)*)?[eE][-+]?\d+(?:_\d+)*|\.\d+(?:_\d+)*)/y;
const INTEGER = /0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0[xX](?:_?[\da-fA-F])+|[1-9](?:_?\d)*|0(?:_?0)*/y;
const NAME = /[\p{L}\p{N}\p{M}\p{Pc}\u00b7\u0387]+/uy;

/** All tokens of a template, ending with one of the type `end`. */
export function tokenize(source: string, budget: Budget): Token[] {
  budget.step(source.length >> 6);
  const lines = source.toWellFormed().replace(/\r\n?/g, "\n");
  const lexer = new Lexer(lines.endsWith("\n") ? lines.slice(0, -1) : lines, budget);
  return lexer.run();
}

class Lexer {
  readonly #source: string;
  readonly #budget: Budget;
  readonly #tokens: Token[] = [];
  readonly #open: string[] = [];
  #at = 0;
  #line = 1;
  #counted = 0;
  /** Whether what comes next begins a line. */
  #atLineStart = true;

  constructor(source: string, budget: Budget) {
    this.#source = source;
    this.#budget = budget;
  }

  run(): Token[] {
    while (this.#at < this.#source.length) this.#data();
    this.#push("end", "");
    return this.#tokens;
  }

  /** Text up to a tag, and the tag. */
  #data(): void {
    const source = this.#source;
    const start = this.#at;
    const open = this.#nextTag();
    if (open < 0) {
      this.#text(source.slice(start));
      this.#at = source.length;
      return;
    }
    const kind = source[open + 1];
    this.#at = open + 2;
    const sign = this.#sign();
    this.#text(this.#cut(source.slice(start, open), sign, kind === "{"));
    this.#budget.step();
    if (kind === "#") this.#comment();
    else if (kind === "%" && this.#raw()) return;
    else this.#tag(kind === "{" ? "variable" : "block");
  }

  /** Where the next `{{`, `{%` or `{#` is; -1 where there is none. */
  #nextTag(): number {
    for (let at = this.#source.indexOf("{", this.#at); at >= 0; at = this.#source.indexOf("{", at + 1)) {
      const next = this.#source[at + 1];
      if (next === "{" || next === "%" || next === "#") return at;
    }
    return -1;
  }

  #sign(): string {
    const sign = this.#source[this.#at];
    if (sign !== "-" && sign !== "+") return "";
    this.#at++;
    return sign;
  }

  /** What is left of the text before a tag. */
  #cut(text: string, sign: string, isVariable: boolean): string {
    let end = text.length;
    if (sign === "-") {
      while (end > 0 && isSpace(text.charCodeAt(end - 1))) end--;
      return text.slice(0, end);
    }
    if (sign === "+" || isVariable) return text;
    const start = text.lastIndexOf("\n") + 1;
    if (start === 0 && !this.#atLineStart) return text;
    while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
    return end === start ? text.slice(0, start) : text;
  }

  #text(text: string): void {
    if (text !== "") this.#push("data", text);
  }

  #comment(): void {
    const close = this.#source.indexOf("#}", this.#at);
    if (close < 0) this.#fail("Missing end of comment tag");
    const sign = close > this.#at ? this.#source[close - 1] : "";
    this.#at = close + 2;
    this.#afterBlock(sign);
  }

  /** What goes after the end of a block or comment: all white space with a `-`, one line end with neither sign. */
  #afterBlock(sign: string): void {
    const start = this.#at;
    if (sign === "-") this.#spaces();
    else if (sign !== "+" && this.#source[this.#at] === "\n") this.#at++;
    this.#atLineStart = this.#at > start && this.#source[this.#at - 1] === "\n";
  }

  #spaces(): void {
    while (this.#at < this.#source.length && isSpace(this.#source.charCodeAt(this.#at))) this.#at++;
  }

  /** Everything up to `endraw`, if a `raw` block begins here. */
  #raw(): boolean {
    const start = this.#at;
    const end = this.#keyword("raw", false);
    if (end === undefined) {
      this.#at = start;
      return false;
    }
    const from = this.#at;
    for (let at = this.#source.indexOf("{%", from); at >= 0; at = this.#source.indexOf("{%", at + 2)) {
      this.#budget.step();
      this.#at = at + 2;
      const sign = this.#sign();
      const close = this.#keyword("endraw", true);
      if (close === undefined) continue;
      const next = this.#at;
      // `raw` itself ended with or without a line end, which decides whether blanks are at the beginning of a line.
      this.#atLineStart = this.#source[from - 1] === "\n";
      this.#text(this.#cut(this.#source.slice(from, at), sign, false));
      this.#at = next;
      this.#afterBlock(close);
      return true;
    }
    return this.#fail("Missing end of raw directive");
  }

  /** Reads a word and the end of its block; gives the sign of the end, or undefined where something else stands here. */
  #keyword(word: string, isEnd: boolean): string | undefined {
    this.#spaces();
    if (!this.#source.startsWith(word, this.#at)) return undefined;
    this.#at += word.length;
    this.#spaces();
    const sign = this.#source[this.#at];
    if (sign === "-" || isEnd && sign === "+") this.#at++;
    if (!this.#source.startsWith("%}", this.#at)) return undefined;
    this.#at += 2;
    if (!isEnd && sign === "-") this.#spaces();
    return sign === "-" || sign === "+" ? sign : "";
  }

  #tag(kind: "variable" | "block"): void {
    this.#push(`${kind}_begin`, "");
    const close = kind === "variable" ? "}}" : "%}";
    while (this.#at < this.#source.length) {
      this.#spaces();
      if (this.#at >= this.#source.length) break;
      if (this.#open.length === 0 && this.#closes(close, kind)) {
        this.#push(`${kind}_end`, "");
        return;
      }
      this.#token();
    }
  }

  #closes(close: string, kind: "variable" | "block"): boolean {
    const first = this.#source[this.#at];
    const sign = first === "-" || first === "+" && kind === "block" ? first : "";
    if (!this.#source.startsWith(close, this.#at + sign.length)) return false;
    this.#at += sign.length + 2;
    if (kind === "block") this.#afterBlock(sign);
    else {
      if (sign === "-") this.#spaces();
      this.#atLineStart = this.#source[this.#at - 1] === "\n";
    }
    return true;
  }

  #token(): void {
    const start = this.#at;
    const first = this.#source[start];
    if (first === "'" || first === '"') return this.#string(first);
    // A number after a point is no float: `a.1.2` are two indexes.
    const isDigit = first >= "0" && first <= "9";
    const float = isDigit && this.#source[start - 1] !== "." ? this.#match(FLOAT) : undefined;
    if (float !== undefined) return this.#push("float", float.replaceAll("_", ""));
    const integer = isDigit ? this.#match(INTEGER) : undefined;
    if (integer !== undefined) return this.#push("integer", integer.replaceAll("_", ""));
    const name = this.#match(NAME);
    if (name !== undefined) {
      if (!isIdentifier(name)) this.#fail("Invalid character in identifier");
      return this.#push("name", name);
    }
    const operator = this.#match(OPERATORS);
    if (operator === undefined) {
      this.#fail(`unexpected char '${String.fromCodePoint(this.#source.codePointAt(start) as number)}'`);
    }
    if (operator in PAIRS) this.#open.push(PAIRS[operator]);
    else if (operator === "}" || operator === ")" || operator === "]") {
      const expected = this.#open.pop();
      if (expected === undefined) this.#fail(`unexpected '${operator}'`);
      if (expected !== operator) this.#fail(`unexpected '${operator}', expected '${expected}'`);
    }
    this.#push(operator, operator);
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#source)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  #string(quote: string): void {
    const start = this.#at;
    let at = start + 1;
    while (at < this.#source.length && this.#source[at] !== quote) at += this.#source[at] === "\\" ? 2 : 1;
    if (at >= this.#source.length) this.#fail(`unexpected char ${JSON.stringify(quote)}: a string that does not end`);
    this.#at = at + 1;
    this.#budget.step((at - start) >> 5);
    this.#push("string", unescape(this.#source.slice(start + 1, at), (reason) => this.#fail(reason)));
  }

  #push(type: string, value: string): void {
    this.#budget.step();
    this.#tokens.push({ type, value, line: this.#lineNow() });
  }

  #lineNow(): number {
    for (; this.#counted < this.#at; this.#counted++) {
      if (this.#source.charCodeAt(this.#counted) === 10) this.#line++;
    }
    return this.#line;
  }

  #fail(reason: string): never {
    throw new Failure("TemplateSyntaxError", `${reason} (line ${this.#lineNow()})`);
  }
}
