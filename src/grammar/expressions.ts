/**
 * Named definitions, as grammars in text form have them, become rules: what is regular becomes one lexeme, also through the names
 * it uses, and only what comes back to itself stays a rule. One lexeme is one state where rules would be many.
 *
 * @module
 */
import { InvalidArgumentError } from "../../ffi/errors.ts";
import { EMPTY, type Lexeme, type Lexemes, NOTHING } from "./lexemes.ts";
import { checkDepth } from "./budget.ts";
import { circlesOf } from "./circles.ts";
import type { Rules, RuleSymbol } from "./rules.ts";

/** What may stand on the right side of a definition. */
export type Expression =
  | { readonly kind: "lexeme"; readonly lexeme: Lexeme }
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "sequence"; readonly parts: readonly Expression[] }
  | { readonly kind: "choice"; readonly parts: readonly Expression[] }
  | { readonly kind: "repeat"; readonly part: Expression; readonly least: number; readonly most: number };

/** Turns definitions into rules; gives the rule of `root`. */
export function rulesOf(
  definitions: ReadonlyMap<string, Expression>,
  root: string,
  lexemes: Lexemes,
  rules: Rules,
): number {
  return new Translation(definitions, lexemes, rules).rule(root);
}

class Translation {
  readonly #definitions: ReadonlyMap<string, Expression>;
  readonly #lexemes: Lexemes;
  readonly #rules: Rules;
  readonly #regular = new Map<string, Lexeme | undefined>();
  readonly #ruleOf = new Map<string, number>();
  /** Names on the way from the one that is looked at: coming back to one of them is recursion. */
  readonly #open = new Set<string>();
  readonly #recursive: ReadonlySet<string>;

  constructor(definitions: ReadonlyMap<string, Expression>, lexemes: Lexemes, rules: Rules) {
    this.#definitions = definitions;
    this.#lexemes = lexemes;
    this.#rules = rules;
    this.#recursive = recursiveNames(definitions);
  }

  rule(name: string): number {
    let rule = this.#ruleOf.get(name);
    if (rule !== undefined) return rule;
    this.#ruleOf.set(name, rule = this.#rules.declare(name));
    const definition = this.#definitionOf(name);
    const lexeme = this.#lexemeOf(definition);
    if (lexeme !== undefined) {
      this.#rules.define(rule, [[{ lexeme }]]);
    } else {
      const parts = definition.kind === "choice" ? definition.parts : [definition];
      this.#rules.define(rule, parts.map((part) => this.#symbols(part)));
    }
    return rule;
  }

  #definitionOf(name: string): Expression {
    const definition = this.#definitions.get(name);
    if (definition !== undefined) return definition;
    throw new InvalidArgumentError(`The grammar names "${name}", which it does not define.`, {
      what: "a grammar with a name that is not defined",
      where: name,
      expected: `a definition of ${name}`,
      got: "none",
    });
  }

  #symbols(expression: Expression): RuleSymbol[] {
    const lexeme = this.#lexemeOf(expression);
    if (lexeme !== undefined) return lexeme === EMPTY ? [] : [{ lexeme }];
    switch (expression.kind) {
      case "name":
        return [{ rule: this.rule(expression.name) }];
      case "sequence":
        return expression.parts.flatMap((part) => this.#symbols(part));
      case "choice":
        return [{ rule: this.#rules.add("a choice", expression.parts.map((part) => this.#symbols(part))) }];
      case "repeat": {
        const { part, least, most } = expression;
        const rule = part.kind === "name"
          ? this.rule(part.name)
          : this.#rules.add("a repetition", [this.#symbols(part)]);
        return [{ rule, least, most }];
      }
      default:
        return [];
    }
  }

  /** The lexeme of what is regular. */
  #lexemeOf(expression: Expression): Lexeme | undefined {
    const all = (parts: readonly Expression[]) => {
      const found = parts.map((part) => this.#lexemeOf(part));
      return found.includes(undefined) ? undefined : found as Lexeme[];
    };
    switch (expression.kind) {
      case "lexeme":
        return expression.lexeme;
      case "name":
        return this.#lexemeOfName(expression.name);
      case "sequence": {
        const parts = all(expression.parts);
        return parts?.reduceRight((rest, part) => this.#lexemes.then(part, rest), EMPTY);
      }
      case "choice": {
        const parts = all(expression.parts);
        return parts && (parts.length === 0 ? NOTHING : this.#lexemes.either(...parts));
      }
      default: {
        const part = this.#lexemeOf(expression.part);
        return part === undefined ? undefined : this.#lexemes.repeat(part, expression.least, expression.most);
      }
    }
  }

  #lexemeOfName(name: string): Lexeme | undefined {
    if (this.#recursive.has(name)) return undefined;
    if (this.#regular.has(name)) return this.#regular.get(name);
    this.#open.add(name);
    checkDepth(this.#open.size);
    const lexeme = this.#lexemeOf(this.#definitionOf(name));
    this.#open.delete(name);
    this.#regular.set(name, lexeme);
    return lexeme;
  }
}

/** The names from which a name comes back to itself. */
function recursiveNames(definitions: ReadonlyMap<string, Expression>): ReadonlySet<string> {
  const names = [...definitions.keys()];
  const numbers = new Map(names.map((name, number) => [name, number]));
  const uses = Array.from(
    definitions.values(),
    (definition) => namesIn(definition).map((name) => numbers.get(name)).filter((number) => number !== undefined),
  );
  return new Set(circlesOf(uses).flat().map((number) => names[number]));
}

function namesIn(expression: Expression): string[] {
  switch (expression.kind) {
    case "name":
      return [expression.name];
    case "sequence":
    case "choice":
      return expression.parts.flatMap(namesIn);
    case "repeat":
      return namesIn(expression.part);
    default:
      return [];
  }
}
