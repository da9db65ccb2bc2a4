/**
 * What the files of this room work with: how cases and rules reach languages, schemas and each other.
 *
 * @module
 */
import type { GrammarBudget } from "../budget.ts";
import type { Lexeme, Lexemes } from "../lexemes.ts";
import type { Rules } from "../rules.ts";
import type { Layout } from "./layout.ts";
import type { Numbers } from "./numbers.ts";
import type { References, SchemaPlace } from "./references.ts";
import { refuseSchema } from "./refuse.ts";
import type { Strings } from "./strings.ts";
import type { Case, Demand, Json, SchemaObject } from "./types.ts";

/** In which order the properties of an object come: any, or that of the schema. */
export type PropertyOrder = "any" | "schema";

/** What cases are made with. */
export interface CaseTools {
  readonly lexemes: Lexemes;
  readonly strings: Strings;
  readonly numbers: Numbers;
  readonly references: References;
  readonly budget: GrammarBudget;
  /** The demand that a value meets a schema inside another. */
  demand(value: Json, at: SchemaPlace, where: string): Demand;
  /** The demand that a value meets one of some demands. */
  oneOf(demands: readonly Demand[], place: SchemaPlace): Demand;
  /** The strings that meet a demand, as contents. */
  names(demand: Demand): Lexeme;
  /** Whether a language has a text. */
  hasText(lexeme: Lexeme): boolean;
}

/** What rules of arrays and objects are made with. */
export interface RuleTools {
  readonly lexemes: Lexemes;
  readonly strings: Strings;
  readonly rules: Rules;
  readonly layout: Layout;
  readonly order: PropertyOrder;
  /** The rule of the values that meet a demand. */
  rule(demand: Demand): number;
  /** Where the keyword stands that is being written, or the schema that it belongs to: for errors. */
  where(keyword: string): string;
  /** The values that meet a demand, each as its text, where they are `most` at most and none has items of its own. */
  readonly values: (demand: Demand, most: number) => readonly Lexeme[] | undefined;
  /** Whether a name is in a language of names. */
  hasName(names: Lexeme, name: string): boolean;
  /** Whether a language has a text. */
  hasText(lexeme: Lexeme): boolean;
  /** The strings of a language of contents, where they are `most` at most and none has an escape. */
  texts(lexeme: Lexeme, most: number): readonly string[] | undefined;
  /** Whether a value can meet a demand, as far as it says something of the value itself. */
  isMet(demand: Demand): boolean;
}

/** A keyword that counts. */
export function count(schema: SchemaObject, name: string, place: SchemaPlace): number | undefined {
  const value = schema[name];
  if (value === undefined) return undefined;
  if (!Number.isInteger(value) || (value as number) < 0) {
    refuseSchema(`${place.where}/${name}`, "an integer from 0 up", JSON.stringify(value));
  }
  return value as number;
}

/** The cases with those of a type replaced. */
export function replaced(cases: readonly Case[], type: string, by: readonly Case[]): Case[] {
  return [...cases.filter((one) => one.type !== type), ...by];
}
