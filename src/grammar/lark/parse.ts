/**
 * Reads a grammar in Lark's notation, as far as it says which texts there are: rules, terminals, what is ignored and imported.
 * How a tree is built of a text (`->`, `?` and `!` before a name) makes no difference to that.
 *
 * @module
 */
import { UnsupportedError } from "../../../ffi/errors.ts";
import { refuseGrammar } from "../refuse_grammar.ts";
import { checkDepth } from "../budget.ts";
import { COMMON } from "./common.ts";
import { type LarkToken, larkTokens } from "./tokens.ts";

/** What stands on the right side of a definition. */
export type LarkNode =
  | { readonly kind: "text" | "regex" | "rule" | "terminal"; readonly text: string; readonly line: number }
  | { readonly kind: "range"; readonly first: string; readonly last: string; readonly line: number }
  | { readonly kind: "sequence" | "choice" | "both"; readonly parts: readonly LarkNode[] }
  | { readonly kind: "not"; readonly part: LarkNode; readonly line: number }
  | { readonly kind: "repeat"; readonly part: LarkNode; readonly least: number; readonly most: number };

/** A grammar. */
export interface LarkGrammar {
  readonly rules: ReadonlyMap<string, LarkNode>;
  readonly terminals: ReadonlyMap<string, LarkNode>;
  /** What may stand between terminals. */
  readonly ignored: readonly LarkNode[];
}

/** Reads a grammar. */
export function parseLark(source: string): LarkGrammar {
  return new LarkParser(larkTokens(source)).parse();
}

class LarkParser {
  readonly #tokens: readonly LarkToken[];
  readonly #rules = new Map<string, LarkNode>();
  readonly #terminals = new Map<string, LarkNode>();
  readonly #ignored: LarkNode[] = [];
  #at = 0;
  #depth = 0;

  constructor(tokens: readonly LarkToken[]) {
    this.#tokens = tokens;
  }

  parse(): LarkGrammar {
    while (this.#next.kind !== "end") {
      if (this.#next.kind === "directive") this.#directive();
      else this.#definition();
    }
    if (!this.#rules.has("start")) this.#refuse("a rule named start", "none");
    return { rules: this.#rules, terminals: this.#terminals, ignored: this.#ignored };
  }

  get #next(): LarkToken {
    return this.#tokens[this.#at];
  }

  #definition(): void {
    while (this.#take("?") || this.#take("!"));
    const name = this.#next;
    if (name.kind !== "rule" && name.kind !== "terminal") this.#refuse("the name of a rule or a terminal");
    this.#at++;
    if (this.#is(".")) this.#unsupported("priorities");
    if (this.#is("{")) this.#unsupported("templates");
    if (this.#is("[")) this.#unsupported("attributes such as [lazy] or [max_tokens=10]");
    if (!this.#take(":")) this.#refuse(`":" after ${name.text}`);
    this.#define(name.kind === "rule" ? this.#rules : this.#terminals, name, this.#choice());
    this.#endItem();
  }

  #define(definitions: Map<string, LarkNode>, { text, line }: LarkToken, node: LarkNode): void {
    if (definitions.has(text)) refuseGrammar(line, `one definition of ${text}`, "a second one");
    definitions.set(text, node);
  }

  /** A definition ends where a line begins with another. */
  #endItem(): void {
    if (!this.#next.isFirst) this.#refuse("the end of the definition");
  }

  #directive(): void {
    const { text } = this.#next;
    this.#at++;
    if (text === "%ignore") this.#ignored.push(this.#choice());
    else if (text === "%import") this.#import();
    else if (text !== "%llguidance" || !this.#take("{") || !this.#take("}")) {
      this.#at--;
      this.#unsupported(`${text} here`);
    }
    this.#endItem();
  }

  #import(): void {
    const module = this.#next;
    if (module.text !== "common") this.#unsupported(`%import of ${module.text}`);
    this.#at++;
    if (this.#take(".")) {
      const name = this.#common();
      this.#define(this.#terminals, this.#take("->") ? this.#name("terminal") : name, commonNode(name));
      return;
    }
    if (!this.#take("(")) this.#refuse('"." or "("');
    do {
      const name = this.#common();
      this.#define(this.#terminals, name, commonNode(name));
    } while (this.#take(","));
    if (!this.#take(")")) this.#refuse('")"');
  }

  #common(): LarkToken {
    const name = this.#name("terminal");
    if (COMMON.has(name.text)) return name;
    refuseGrammar(name.line, `one of ${[...COMMON.keys()].join(", ")}`, name.text);
  }

  #name(kind: "rule" | "terminal"): LarkToken {
    const token = this.#next;
    if (token.kind !== kind) this.#refuse(`the name of a ${kind}`);
    this.#at++;
    return token;
  }

  #choice(): LarkNode {
    checkDepth(++this.#depth);
    const parts = [this.#alternative()];
    while (this.#take("|")) parts.push(this.#alternative());
    this.#depth--;
    return parts.length === 1 ? parts[0] : { kind: "choice", parts };
  }

  #alternative(): LarkNode {
    const parts = [this.#sequence()];
    while (this.#take("&")) parts.push(this.#sequence());
    // What a part of the tree is called says nothing about the text.
    if (this.#take("->")) this.#name("rule");
    return parts.length === 1 ? parts[0] : { kind: "both", parts };
  }

  #sequence(): LarkNode {
    const parts: LarkNode[] = [];
    for (let part = this.#atom(); part !== undefined; part = this.#atom()) parts.push(this.#counted(part));
    return parts.length === 1 ? parts[0] : { kind: "sequence", parts };
  }

  #atom(): LarkNode | undefined {
    const { kind, text, line, isFirst } = this.#next;
    if (isFirst && (kind === "rule" || kind === "terminal" || text === "?" || text === "!")) return undefined;
    if (kind === "special") this.#unsupported(`the control token ${text}`);
    if (kind === "directive" && !isFirst) this.#unsupported(text);
    if (text === "@") this.#unsupported("another grammar (@)");
    if (this.#take("(")) return this.#group(")");
    if (this.#take("[")) return { kind: "repeat", part: this.#group("]"), least: 0, most: 1 };
    if (this.#take("~")) {
      const part = this.#atom() ?? this.#refuse("what must not match after ~");
      return { kind: "not", part, line };
    }
    if (kind === "text") {
      this.#at++;
      if (!this.#take("..")) return { kind, text, line };
      const last = this.#next;
      if (last.kind !== "text") this.#refuse("the last character of the range");
      this.#at++;
      return { kind: "range", first: text, last: last.text, line };
    }
    if (kind !== "regex" && kind !== "rule" && kind !== "terminal") return undefined;
    this.#at++;
    return { kind, text, line };
  }

  #group(end: string): LarkNode {
    const group = this.#choice();
    if (!this.#take(end)) this.#refuse(JSON.stringify(end));
    return group;
  }

  #counted(part: LarkNode): LarkNode {
    for (;;) {
      if (this.#next.isFirst) return part;
      if (this.#take("*")) part = { kind: "repeat", part, least: 0, most: Infinity };
      else if (this.#take("+")) part = { kind: "repeat", part, least: 1, most: Infinity };
      else if (this.#take("?")) part = { kind: "repeat", part, least: 0, most: 1 };
      else if (this.#is("~") && this.#tokens[this.#at + 1].kind === "number") part = this.#tilde(part);
      else if (this.#take("{")) part = this.#braces(part);
      else return part;
    }
  }

  /** `~ 3` and `~ 3..5`. */
  #tilde(part: LarkNode): LarkNode {
    this.#at++;
    const least = this.#count();
    return this.#repeat(part, least, this.#take("..") ? this.#count() : least);
  }

  /** `{3}`, `{3,}`, `{,5}` and `{3,5}`. */
  #braces(part: LarkNode): LarkNode {
    if (this.#next.kind !== "number" && !this.#is(",")) this.#unsupported("templates");
    const least = this.#is(",") ? 0 : this.#count();
    const most = !this.#take(",") ? least : this.#is("}") ? Infinity : this.#count();
    if (!this.#take("}")) this.#refuse('"}"');
    return this.#repeat(part, least, most);
  }

  #count(): number {
    const { kind, text } = this.#next;
    if (kind !== "number" || !/^\d+$/.test(text)) this.#refuse("a count");
    this.#at++;
    return Number(text);
  }

  #repeat(part: LarkNode, least: number, most: number): LarkNode {
    if (most < least) this.#refuse(`a count of at least ${least}`, `${most}`);
    return { kind: "repeat", part, least, most };
  }

  #is(sign: string): boolean {
    return this.#next.kind === "sign" && this.#next.text === sign;
  }

  #take(sign: string): boolean {
    if (!this.#is(sign)) return false;
    this.#at++;
    return true;
  }

  #refuse(expected: string, got = this.#next.text): never {
    refuseGrammar(this.#next.line, expected, got);
  }

  #unsupported(what: string): never {
    const { line } = this.#next;
    throw new UnsupportedError(`The grammar in line ${line}: ${what} cannot be had; expected a grammar without it.`, {
      what: "a grammar that is not supported",
      where: `line ${line}`,
      expected: "a grammar without it",
      got: what,
    });
  }
}

/** A terminal of the module `common`. */
function commonNode({ text, line }: LarkToken): LarkNode {
  return { kind: "regex", text: `/${COMMON.get(text)}/`, line };
}
