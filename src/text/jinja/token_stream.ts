/**
 * The tokens of a template as its parser reads them: one at a time, with a look at the next. It counts how deep the
 * parser is in brackets and blocks, so that no template exhausts the stack.
 *
 * @module
 */
import { type Budget, LIMITS, overBudget } from "./budget.ts";
import { Failure } from "./failure.ts";
import type { Token } from "./lexer.ts";

/** Tokens with a place among them. */
export class TokenStream {
  readonly #tokens: readonly Token[];
  readonly #budget: Budget;
  #at = 0;
  #depth = 0;

  constructor(tokens: readonly Token[], budget: Budget) {
    this.#tokens = tokens;
    this.#budget = budget;
  }

  /** The token that is next. */
  get current(): Token {
    return this.#tokens[this.#at];
  }

  /** The token after that. */
  get following(): Token {
    return this.#tokens[Math.min(this.#at + 1, this.#tokens.length - 1)];
  }

  /** Takes the next token. */
  next(): Token {
    this.#budget.step();
    const token = this.current;
    if (token.type !== "end") this.#at++;
    return token;
  }

  /** Whether the next token is of a type. */
  is(type: string): boolean {
    return this.current.type === type;
  }

  /** Whether the next token is one of these words. */
  isName(...names: readonly string[]): boolean {
    return this.current.type === "name" && names.includes(this.current.value);
  }

  /** Takes the next token if it is of a type. */
  skip(type: string): boolean {
    if (!this.is(type)) return false;
    this.next();
    return true;
  }

  /** Takes the next token if it is a word. */
  skipName(name: string): boolean {
    if (!this.isName(name)) return false;
    this.next();
    return true;
  }

  /** Takes a token of a type; fails where another stands. */
  expect(type: string): Token {
    if (!this.is(type)) {
      this.fail(`expected ${described(type)}, got ${described(this.current.type, this.current.value)}`);
    }
    return this.next();
  }

  /** Takes a word; fails where something else stands. */
  expectName(name: string): Token {
    if (!this.isName(name)) this.fail(`expected '${name}', got ${described(this.current.type, this.current.value)}`);
    return this.next();
  }

  /** Reads something that may hold its like. */
  nested<T>(read: () => T): T {
    if (++this.#depth > LIMITS.nesting) throw overBudget(`brackets and blocks ${LIMITS.nesting} deep`);
    const value = read();
    this.#depth--;
    return value;
  }

  /** Throws a syntax error at the line of the next token, or of another. */
  fail(reason: string, line = this.current.line): never {
    throw new Failure("TemplateSyntaxError", `${reason} (line ${line})`);
  }
}

/** A token in words. */
export function described(type: string, value = ""): string {
  if (type === "end") return "the end of the template";
  return type === "name" && value !== "" ? `'${value}'` : `'${type.replace("_", " ")}'`;
}
