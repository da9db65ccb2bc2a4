/**
 * A schema as rules: each demand is a rule, whose alternatives are the cases of a value that meets it. Demands are written when
 * they are met first, until there are no new ones.
 *
 * @module
 */
import type { Sliceable } from "../../options/sliced.ts";
import type { GrammarBudget } from "../budget.ts";
import { Derivatives } from "../derivatives.ts";
import { KIND, type Lexeme, type Lexemes, NOTHING } from "../lexemes.ts";
import type { Alternative, Rules } from "../rules.ts";
import { arrayAlternatives } from "./array_rules.ts";
import { Cases } from "./cases.ts";
import type { UnknownNames } from "./keywords.ts";
import type { CaseTools, PropertyOrder, RuleTools } from "./tools.ts";
import { Layout, type Whitespace } from "./layout.ts";
import { JSON_NOTATION, type Notation } from "./notation.ts";
import { Numbers } from "./numbers.ts";
import { objectAlternatives } from "./object_rules.ts";
import { References, type SchemaPlace } from "./references.ts";
import { Strings } from "./strings.ts";
import type { Case, Demand, Json } from "./types.ts";

/** What the rules of a schema are written with. */
export interface SchemaWriter {
  readonly lexemes: Lexemes;
  readonly rules: Rules;
  readonly budget: GrammarBudget;
}

/** How values are written. */
export interface Style {
  readonly whitespace: Whitespace;
  readonly order: PropertyOrder;
  /** What becomes of names that no draft knows; without it, they say nothing. */
  readonly unknown?: UnknownNames;
  /** How they are spelled; without it, as JSON. */
  readonly notation?: Notation;
}

/** The rules of a schema, to be written: the number of the first, and the names in it that no draft knows, as they are found. */
export function schemaRules(
  schema: Json,
  style: Style,
  writer: SchemaWriter,
): { readonly root: number; readonly ignored: ReadonlySet<string> } {
  const translation = new Translation(schema, style, writer);
  const root = translation.rule([translation.references.root + 1]);
  writer.rules.later(translation.write());
  return { root, ignored: translation.references.ignored };
}

/** Makes the terms that are in all schemas' rules. */
export function prepareTerms(lexemes: Lexemes): void {
  new Strings(lexemes, JSON_NOTATION);
  new Numbers(lexemes);
}

/** Steps that telling classes of bytes apart counts for. */
const classesWork = 1000;

/** Spellings of values that are told apart one by one. */
const spellingsMost = 2000;

class Translation implements RuleTools {
  readonly lexemes: Lexemes;
  readonly strings: Strings;
  readonly rules: Rules;
  readonly layout: Layout;
  readonly order: PropertyOrder;
  readonly references: References;
  readonly #words: Notation["words"];
  readonly #numbers: Numbers;
  readonly #cases: Cases;
  readonly #budget: GrammarBudget;
  readonly #ruleOf = new Map<string, number>();
  readonly #open: [Demand, number][] = [];
  #written: Demand = [];
  #derived: { readonly sets: number; readonly derivatives: Derivatives } | undefined;
  readonly #constants = new Map<string, Json>();
  readonly #unions = new Map<string, number>();

  constructor(
    schema: Json,
    { whitespace, order, unknown = "annotation", notation = JSON_NOTATION }: Style,
    { lexemes, rules, budget }: SchemaWriter,
  ) {
    this.lexemes = lexemes;
    this.rules = rules;
    this.order = order;
    this.#words = notation.words;
    this.strings = new Strings(lexemes, notation);
    this.layout = new Layout(lexemes, whitespace);
    this.references = new References(schema, unknown);
    this.#numbers = new Numbers(lexemes);
    this.#budget = budget;
    const tools: CaseTools = {
      lexemes,
      budget,
      strings: this.strings,
      numbers: this.#numbers,
      references: this.references,
      demand: (value, at, where) => this.#demand(value, at, where),
      oneOf: (demands, at) => this.#oneOf(demands, at),
      names: (demand) => this.#names(demand),
      hasText: (lexeme) => this.hasText(lexeme),
    };
    this.#cases = new Cases(tools);
  }

  /** Writes what is open, a rule in a slice. */
  *write(): Sliceable<void> {
    for (let next = this.#open.pop(); next; next = this.#open.pop()) {
      const [demand, rule] = next;
      this.#written = demand;
      this.rules.define(rule, this.#cases.of(demand).flatMap((one) => this.#alternatives(one)));
      yield;
    }
  }

  where(keyword: string): string {
    const places = this.#written.map((literal) => this.references.at(Math.abs(literal) - 1));
    const own = places.find(({ schema }) => typeof schema === "object" && Object.hasOwn(schema, keyword));
    return own ? `${own.where}/${keyword}` : places[0]?.where ?? "";
  }

  rule(demand: Demand): number {
    const key = demand.join();
    let rule = this.#ruleOf.get(key);
    if (rule !== undefined) return rule;
    this.#ruleOf.set(key, rule = this.rules.declare("a value"));
    this.#open.push([demand, rule]);
    return rule;
  }

  readonly values = (demand: Demand, most: number): Lexeme[] | undefined => {
    const texts = new Set<string>();
    for (const one of this.#cases.of(demand)) {
      if (one.type === "array" || one.type === "object") return undefined;
      for (const [symbol] of this.#alternatives(one)) {
        const found = "lexeme" in symbol ? this.#derivatives().texts(symbol.lexeme, spellingsMost) : undefined;
        if (!found) return undefined;
        // Numbers have many spellings, and are equal whatever theirs is.
        for (const text of found) texts.add(JSON.stringify(JSON.parse(new TextDecoder().decode(text))));
      }
      if (texts.size > most) return undefined;
    }
    return Array.from(texts, (text) => this.#text(text));
  };

  hasName(names: Lexeme, name: string): boolean {
    return this.#has(names, this.strings.spelling(name));
  }

  /** Each part is asked for itself: what is left of a whole, as of all names but a hundred, would be terms without end. */
  #has(names: Lexeme, text: Uint8Array): boolean {
    const parts = this.lexemes.parts(names);
    switch (this.lexemes.kind(names)) {
      case KIND.not:
        return !this.#has(parts[0], text);
      case KIND.either:
        return parts.some((part) => this.#has(part, text));
      case KIND.both:
        return parts.every((part) => this.#has(part, text));
    }
    const derivatives = this.#derivatives();
    let left = names;
    for (let at = 0; at < text.length && left !== NOTHING; at++) {
      left = derivatives.derive(left, derivatives.classOf[text[at]]);
    }
    return this.lexemes.isNullable(left);
  }

  hasText(lexeme: Lexeme): boolean {
    return lexeme !== NOTHING && this.#derivatives().hasText(lexeme);
  }

  texts(lexeme: Lexeme, most: number): string[] | undefined {
    const texts = this.#derivatives().texts(lexeme, most)?.map((text) => new TextDecoder().decode(text));
    const isPlain = (text: string) => this.strings.spelling(text).length === new TextEncoder().encode(text).length;
    return texts?.every(isPlain) ? texts : undefined;
  }

  isMet(demand: Demand): boolean {
    return this.#cases.of(demand).length > 0;
  }

  /** Derivatives hold as long as no new set of bytes tells bytes apart that were one class. */
  #derivatives(): Derivatives {
    const { given } = this.lexemes.sets;
    if (this.#derived?.sets !== given) {
      this.#budget.work(classesWork);
      this.#derived = { sets: given, derivatives: new Derivatives(this.lexemes, this.#budget) };
    }
    return this.#derived.derivatives;
  }

  #alternatives(one: Case): Alternative[] {
    switch (one.type) {
      case "null":
        return [[{ lexeme: this.#text(this.#words.null) }]];
      case "boolean":
        return [[{
          lexeme: this.lexemes.either(...one.values.map((value) => this.#text(this.#words[value ? "true" : "false"]))),
        }]];
      case "number":
        return [[{ lexeme: one.lexeme }]];
      case "string":
        return [[{ lexeme: this.strings.quoted(one.lexeme) }]];
      case "array":
        return arrayAlternatives(one, this);
      default:
        return objectAlternatives(one, this);
    }
  }

  #text(text: string): Lexeme {
    return this.lexemes.literal(new TextEncoder().encode(text));
  }

  #demand(value: Json, at: SchemaPlace, where: string): Demand {
    // Values of `enum` and `const` become schemas, each once.
    const isMade = value !== null && typeof value === "object" && (where === "const");
    let schema = value;
    if (isMade) {
      const key = JSON.stringify(value);
      schema = this.#constants.get(key) ?? value;
      this.#constants.set(key, schema);
    }
    const id = this.references.inside(schema, at, where);
    return this.references.at(id).schema === true ? [] : [id + 1];
  }

  #oneOf(demands: readonly Demand[], at: SchemaPlace): Demand {
    if (demands.length === 1) return demands[0];
    const key = JSON.stringify(demands);
    let id = this.#unions.get(key);
    if (id === undefined) this.#unions.set(key, id = this.references.union(demands, at));
    return [id + 1];
  }

  #names(demand: Demand): Lexeme {
    const strings = this.#cases.of(demand).flatMap((one) => one.type === "string" ? [one.lexeme] : []);
    return this.lexemes.either(...strings);
  }
}
