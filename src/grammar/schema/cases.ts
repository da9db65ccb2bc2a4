/**
 * What a schema, or its opposite, lets a value be: a list of cases, one of which the value meets. Each keyword gives cases of its
 * own, which are intersected; `anyOf` and its kin join them. A child is never looked into here: it is a demand of its own, so a
 * schema that comes back to itself ends.
 *
 * @module
 */
import { arrayCases, arrayOpposites } from "./array_keywords.ts";
import { CaseKeys } from "./case_keys.ts";
import { ANY, intersect, objectWith, saysNothing } from "./intersect.ts";
import { subjectsOf } from "./keywords.ts";
import { objectCases, objectOpposites } from "./object_keywords.ts";
import type { SchemaPlace } from "./references.ts";
import { refuseSchema } from "./refuse.ts";
import { numberLanguages, textLanguages } from "./scalar_keywords.ts";
import { type CaseTools, replaced } from "./tools.ts";
import {
  type ArrayCase,
  type Case,
  type Demand,
  joined,
  type Json,
  NOTHING_EVALUATED,
  type ObjectCase,
  type SchemaObject,
} from "./types.ts";
import { otherTypeCases, typeCases } from "./type_keyword.ts";
import { asksUnevaluated, brokenCases, closedCase } from "./unevaluated.ts";
import { otherValueCases, valueCases, valuesOf } from "./value_keywords.ts";

const referring = ["$ref", "$dynamicRef", "$recursiveRef"] as const;

/** How deep the demands of properties are looked into for contradictions. */
const insideMost = 3;

/** Makes the cases of demands. */
export class Cases {
  readonly #tools: CaseTools;
  /** The cases of any value; one list, so that it is known when nothing is said. */
  readonly #anything: Case[];
  /** Schemas whose cases are being made: coming back to one without a child in between never ends. */
  readonly #open: number[] = [];
  /** Whether demands of more than one schema are met by anything, where that has been asked. */
  readonly #met = new Map<string, boolean>();
  /** What was made of a schema beside what was given: references may lead to one in numbers that double from each to the next. */
  readonly #made = new Map<string, Case[]>();
  readonly #keys = new CaseKeys();
  /** What was open where a property's demand was looked into. */
  readonly #inside: number[][] = [];

  constructor(tools: CaseTools) {
    this.#tools = tools;
    this.#anything = ANY(tools);
  }

  /** What a value that meets a demand may be. */
  of(demand: Demand): Case[] {
    return demand.reduce<Case[]>((cases, literal) => this.#both(cases, this.#literal(literal, false)), this.#any());
  }

  #any(): Case[] {
    return this.#anything;
  }

  #both(a: readonly Case[], b: readonly Case[]): Case[] {
    if (a === this.#anything) return [...b];
    if (b === this.#anything) return [...a];
    this.#tools.budget.count("cases", a.length * b.length);
    return intersect(a, b, this.#tools).filter((one) => one.type === "object" ? this.#canBe(one) : this.#hasText(one));
  }

  /** Whether one of few texts is left: constants are mostly told apart by that, and what they leave of each other would pile up. */
  #hasText(one: Case): boolean {
    const { lexemes, hasText } = this.#tools;
    return !("lexeme" in one) || !lexemes.isFinite(one.lexeme) || hasText(one.lexeme);
  }

  /**
   * Whether no property that must be there contradicts itself: kinds of objects are mostly told apart by one property, and what
   * they have in common would otherwise be taken apart keyword by keyword.
   */
  #canBe({ named }: ObjectCase): boolean {
    return [...named.values()].every(({ demand, presence }) => presence !== "required" || this.#isMet(demand));
  }

  #isMet(demand: Demand): boolean {
    // One schema alone is met by something, as far as anything here is concerned.
    if (demand.length < 2 || this.#inside.length >= insideMost) return true;
    const key = demand.join();
    let met = this.#met.get(key);
    if (met !== undefined) return met;
    this.#met.set(key, true); // coming back to it on the way
    this.#inside.push(this.#open.splice(0));
    met = this.of(demand).some((one) => !("lexeme" in one) || this.#tools.hasText(one.lexeme));
    this.#open.push(...this.#inside.pop() as number[]);
    this.#met.set(key, met);
    return met;
  }

  /**
   * @param exact whether it matters which branches a value meets: where something later asks what they have looked at
   * @param given what the value is known to be; what contradicts it need not be taken apart
   */
  #literal(literal: number, exact: boolean, given = this.#any()): Case[] {
    if (given.length === 0) return []; // and has no key of its own
    const key = `${literal} ${exact} ${given === this.#anything ? "" : this.#keys.of(given)}`;
    const made = this.#made.get(key);
    if (made !== undefined) return made;
    const id = Math.abs(literal) - 1;
    if (this.#open.includes(literal)) {
      refuseSchema(
        this.#tools.references.at(id).where,
        "a schema that does not come back to itself at once",
        "one that does",
      );
    }
    this.#open.push(literal);
    const place = this.#tools.references.at(id);
    const cases = literal > 0 ? this.#positive(place, exact, given) : this.#both(given, this.#negative(place));
    this.#open.pop();
    const each = this.#keys.unique(cases);
    this.#made.set(key, each);
    return each;
  }

  #demand(demand: Demand, exact: boolean, given = this.#any()): Case[] {
    return demand.reduce<Case[]>((cases, literal) => this.#literal(literal, exact, cases), given);
  }

  #positive(place: SchemaPlace, exactAbove: boolean, given: readonly Case[]): Case[] {
    const { schema } = place;
    if (typeof schema === "boolean") return schema ? [...given] : [];
    if (!asksUnevaluated(schema)) return this.#unclosed(schema, place, exactAbove, given);
    // What was looked at outside of this schema is nothing to its own `unevaluated...`.
    const cases = this.#unclosed(schema, place, true, this.#any());
    return this.#both(given, cases.map((one) => closedCase(one, schema, place, this.#tools)));
  }

  /** What all keywords but `unevaluated...` let a value be. */
  #unclosed(schema: SchemaObject, place: SchemaPlace, exact: boolean, given: readonly Case[]): Case[] {
    const references = this.#references(schema, place);
    if (references.length > 0 && place.refAlone) return this.#literal(references[0], exact, [...given]);
    let cases = [...given];
    for (const more of this.#plain(schema, place)) {
      cases = this.#both(cases, more());
      if (cases.length === 0) return cases;
    }
    for (const more of this.#applied(schema, place, references, exact)) {
      cases = more(cases);
      if (cases.length === 0) return cases;
    }
    return cases;
  }

  /** The schemas that a schema refers to. */
  #references(schema: SchemaObject, place: SchemaPlace): number[] {
    const { references } = this.#tools;
    return referring.flatMap((keyword) => {
      const reference = schema[keyword];
      if (reference === undefined) return [];
      if (typeof reference !== "string") {
        refuseSchema(place.where, `a ${keyword} that is a text`, JSON.stringify(reference));
      }
      if (keyword === "$ref") return [references.find(reference, place) + 1];
      return [references.findDynamic(reference, place, keyword === "$recursiveRef") + 1];
    });
  }

  /** The cases of keywords that look at the value itself and its children. */
  #plain(schema: SchemaObject, place: SchemaPlace): (() => Case[])[] {
    const tools = this.#tools;
    const subjects = subjectsOf(schema);
    const found = [() => typeCases(schema, place, this.#any(), tools), () => this.#values(schema, place)];
    if (subjects.has("scalar")) found.push(() => this.#scalars(schema, place));
    if (subjects.has("array")) found.push(() => this.#said("array", arrayCases(schema, place, tools)));
    if (subjects.has("object")) found.push(() => this.#said("object", objectCases(schema, place, tools)));
    return found;
  }

  /** Any value, but of one type what is said. */
  #said(type: "array" | "object", cases: readonly (ArrayCase | ObjectCase)[]): Case[] {
    const isSilent = cases.length === 1 && saysNothing(cases[0]);
    return isSilent ? this.#any() : replaced(this.#any(), type, cases);
  }

  /** What keywords that apply schemas to the value itself leave of what it may be. */
  #applied(
    schema: SchemaObject,
    place: SchemaPlace,
    references: readonly number[],
    exact: boolean,
  ): ((given: Case[]) => Case[])[] {
    const found: ((given: Case[]) => Case[])[] = [];
    const all = (name: string) => this.#list(schema, name, place);
    for (const reference of references) found.push((given) => this.#literal(reference, exact, given));
    for (const demand of all("allOf")) found.push((given) => this.#demand(demand, exact, given));
    if (schema.anyOf !== undefined) {
      const branches = all("anyOf");
      found.push((given) =>
        exact ? this.#everySplit(branches, given) : branches.flatMap((one) => this.#demand(one, false, given))
      );
    }
    if (schema.oneOf !== undefined) found.push((given) => this.#exactlyOne(all("oneOf"), exact, given));
    if (schema.not !== undefined) {
      const demand = this.#tools.demand(schema.not, place, "not");
      found.push((given) => this.#both(given, this.#opposite(demand)));
    }
    if (schema.if !== undefined) {
      const [test, yes, no] = ["if", "then", "else"].map((name) =>
        this.#tools.demand(schema[name] ?? true, place, name)
      );
      if (exact || yes.length + no.length > 0) {
        found.push((given) => [
          ...this.#demand(yes, exact, this.#demand(test, exact, given)),
          ...this.#demand(no, exact, this.#both(given, this.#opposite(test))),
        ]);
      }
    }
    for (const [name, demand] of this.#dependents(schema, place)) {
      found.push((given) => [
        ...this.#demand(demand, exact, this.#both(given, [objectWith(name, "required")])),
        ...this.#both(given, replaced(this.#any(), "object", [objectWith(name, "absent")])),
      ]);
    }
    return found;
  }

  /** What is demanded of an object where a property is there. */
  #dependents(schema: SchemaObject, place: SchemaPlace): [string, Demand][] {
    if (schema.dependentSchemas === undefined && schema.dependencies === undefined) return [];
    const dependents = { ...schemasOf(schema.dependentSchemas), ...schemasOf(schema.dependencies) };
    return Object.entries(dependents)
      .map(([name, inner]) => [name, this.#tools.demand(inner, place, `dependentSchemas/${name}`)]);
  }

  #list(schema: SchemaObject, name: string, place: SchemaPlace): Demand[] {
    const value = schema[name];
    if (value === undefined) return [];
    if (!Array.isArray(value) || value.length === 0) {
      refuseSchema(`${place.where}/${name}`, "a list of schemas", JSON.stringify(value).slice(0, 40));
    }
    return value.map((inner: Json, index: number) => this.#tools.demand(inner, place, `${name}/${index}`));
  }

  /** Each way in which one branch or more are met: what was looked at depends on which. */
  #everySplit(branches: readonly Demand[], given: readonly Case[]): Case[] {
    let met: Case[] = [];
    let none = [...given];
    for (const branch of branches) {
      const no = this.#opposite(branch);
      met = [...this.#demand(branch, true, met), ...this.#both(met, no), ...this.#demand(branch, true, none)];
      none = this.#both(none, no);
    }
    return met;
  }

  #exactlyOne(branches: readonly Demand[], exact: boolean, given: readonly Case[]): Case[] {
    return branches.flatMap((branch) =>
      branches.reduce<Case[]>((left, other) => {
        if (other === branch || left.length === 0) return left;
        // Where no value can meet both, nothing has to be taken away; not every schema has an opposite that can be said.
        return this.#demand(other, exact, left).length === 0 ? left : this.#both(left, this.#opposite(other));
      }, this.#demand(branch, exact, [...given]))
    );
  }

  #opposite(demand: Demand): Case[] {
    // What a schema under `not` has looked at is as if it had not been looked at.
    return demand.flatMap((literal) => this.#literal(-literal, false)).map((one) =>
      one.type === "object" || one.type === "array" ? { ...one, evaluated: NOTHING_EVALUATED } : one
    );
  }

  #negative(place: SchemaPlace): Case[] {
    const { schema } = place;
    if (typeof schema === "boolean") return schema ? [] : this.#any();
    const references = this.#references(schema, place);
    if (references.length > 0 && place.refAlone) return this.#literal(-references[0], false);
    const tools = this.#tools;
    const cases: Case[] = [];
    for (const reference of references) cases.push(...this.#literal(-reference, false));
    if (asksUnevaluated(schema)) {
      const beside = this.#unclosed(schema, place, true, this.#any());
      cases.push(...beside.flatMap((one) => brokenCases(one, schema, place, tools)));
    }
    if (schema.type !== undefined) cases.push(...otherTypeCases(schema, place, this.#any(), tools));
    cases.push(...this.#otherValues(schema, place), ...this.#otherScalars(schema, place));
    cases.push(...arrayOpposites(schema, place, tools), ...objectOpposites(schema, place, tools));
    for (const demand of this.#list(schema, "allOf", place)) cases.push(...this.#opposite(demand));
    if (schema.anyOf !== undefined) {
      cases.push(
        ...this.#list(schema, "anyOf", place).reduce((left, one) => this.#both(left, this.#opposite(one)), this.#any()),
      );
    }
    if (schema.oneOf !== undefined) cases.push(...this.#notExactlyOne(this.#list(schema, "oneOf", place)));
    if (schema.not !== undefined) cases.push(...this.#demand(tools.demand(schema.not, place, "not"), false));
    if (schema.if !== undefined) {
      const [test, yes, no] = ["if", "then", "else"].map((name) => tools.demand(schema[name] ?? true, place, name));
      cases.push(...this.#both(this.#demand(test, false), this.#opposite(yes)));
      cases.push(...this.#both(this.#opposite(test), this.#opposite(no)));
    }
    for (const [name, demand] of this.#dependents(schema, place)) {
      cases.push(...this.#both([objectWith(name, "required")], this.#opposite(demand)));
    }
    return cases;
  }

  #notExactlyOne(branches: readonly Demand[]): Case[] {
    const none = branches.reduce((left, one) => this.#both(left, this.#opposite(one)), this.#any());
    const two = branches.flatMap((one, index) =>
      branches.slice(index + 1).flatMap((other) => this.#demand(joined(one, other), false))
    );
    return [...none, ...two];
  }

  /** `enum` and `const`. */
  #values(schema: SchemaObject, place: SchemaPlace): Case[] {
    const lists = valuesOf(schema, place);
    return lists.reduce<Case[]>(
      (cases, values) => this.#both(cases, valueCases(values, place, this.#tools)),
      this.#any(),
    );
  }

  #otherValues(schema: SchemaObject, place: SchemaPlace): Case[] {
    return valuesOf(schema, place).flatMap((values) =>
      otherValueCases(values, place, this.#tools).reduce<Case[]>((left, one) => this.#both(left, one), this.#any())
    );
  }

  /** Keywords of strings and numbers. */
  #scalars(schema: SchemaObject, place: SchemaPlace): Case[] {
    const { lexemes, strings, numbers } = this.#tools;
    const texts = textLanguages(schema, place, this.#tools).map(({ met }) => met);
    const values = numberLanguages(schema, place, this.#tools).map(({ met }) => met());
    if (texts.length === 0 && values.length === 0) return this.#any();
    const string: Case = { type: "string", lexeme: texts.length === 0 ? strings.any : lexemes.both(...texts) };
    const number: Case = { type: "number", lexeme: values.length === 0 ? numbers.any : lexemes.both(...values) };
    return replaced(replaced(this.#any(), "string", [string]), "number", [number]);
  }

  #otherScalars(schema: SchemaObject, place: SchemaPlace): Case[] {
    const { lexemes, strings } = this.#tools;
    const texts = textLanguages(schema, place, this.#tools).map(({ wide }): Case => ({
      type: "string",
      lexeme: lexemes.both(strings.any, lexemes.not(wide())),
    }));
    const values = numberLanguages(schema, place, this.#tools)
      .map(({ broken }): Case => ({ type: "number", lexeme: broken() }));
    return [...texts, ...values];
  }
}

function schemasOf(value: Json | undefined): Record<string, Json> {
  const entries = Object.entries((value ?? {}) as SchemaObject);
  return Object.fromEntries(entries.filter(([, inner]) => !Array.isArray(inner)));
}
