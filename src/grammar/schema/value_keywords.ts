/**
 * `enum` and `const` as cases: what a value is that is one of a list, and what one is that is not.
 *
 * @module
 */
import { ANY, anyArray, anyObject, objectWith } from "./intersect.ts";
import type { SchemaPlace } from "./references.ts";
import { refuseSchema } from "./refuse.ts";
import { type CaseTools, replaced } from "./tools.ts";
import type { Case, Json, SchemaObject } from "./types.ts";

/** The lists that a value must be in. */
export function valuesOf(schema: SchemaObject, place: SchemaPlace): (readonly Json[])[] {
  const found: (readonly Json[])[] = [];
  if (schema.enum !== undefined) {
    if (!Array.isArray(schema.enum)) {
      refuseSchema(`${place.where}/enum`, "a list of values", JSON.stringify(schema.enum));
    }
    found.push(schema.enum);
  }
  if (schema.const !== undefined) found.push([schema.const]);
  return found;
}

/** A case for all strings, and one for all numbers: a list of thousands is as few cases as one of three. */
export function valueCases(values: readonly Json[], place: SchemaPlace, tools: CaseTools): Case[] {
  const { lexemes, strings } = tools;
  const texts = values.filter((value) => typeof value === "string").map((text) => strings.spelling(text));
  const cases = values.filter((value) => typeof value !== "string").flatMap((value) => valueCase(value, place, tools));
  const numbers = cases.flatMap((one) => one.type === "number" ? [one.lexeme] : []);
  return [
    ...(texts.length > 0 ? [{ type: "string", lexeme: lexemes.literals(texts) } as const] : []),
    ...(numbers.length > 0 ? [{ type: "number", lexeme: lexemes.oneOf(numbers) } as const] : []),
    ...cases.filter(({ type }) => type !== "number"),
  ];
}

function valueCase(value: Json, place: SchemaPlace, tools: CaseTools): Case[] {
  const { strings, numbers, demand } = tools;
  if (value === null) return [{ type: "null" }];
  if (typeof value === "boolean") return [{ type: "boolean", values: [value] }];
  if (typeof value === "number") return [{ type: "number", lexeme: numbers.literal(value) }];
  if (typeof value === "string") return [{ type: "string", lexeme: strings.literal(value) }];
  const child = (inner: Json) => demand({ const: inner }, { ...place, base: place.base }, "const");
  if (Array.isArray(value)) {
    return [anyArray({ prefix: value.map(child), least: value.length, most: value.length })];
  }
  const names = Object.entries(value);
  const named = names.map(([name, inner]) => [name, { demand: child(inner), presence: "required" }] as const);
  return [anyObject({ named: new Map(named), most: names.length })];
}

/** What a value is that is none of a list: of each list here one case is met. Strings are one list, and so are numbers. */
export function otherValueCases(values: readonly Json[], place: SchemaPlace, tools: CaseTools): Case[][] {
  const { lexemes, strings, numbers } = tools;
  const any = ANY(tools);
  const [texts, amounts, others] = [[] as Uint8Array[], [] as number[], [] as Json[]];
  for (const value of values) {
    if (typeof value === "string") texts.push(strings.spelling(value));
    else if (typeof value === "number") amounts.push(value);
    else others.push(value);
  }
  const found = others.map((value) => otherValue(value, place, tools));
  if (amounts.length > 0) {
    const lexeme = lexemes.both(...amounts.map((value) => numbers.otherThan(value)));
    found.push(replaced(any, "number", [{ type: "number", lexeme }]));
  }
  if (texts.length > 0) {
    const lexeme = lexemes.both(strings.any, lexemes.not(lexemes.literals(texts)));
    found.push(replaced(any, "string", [{ type: "string", lexeme }]));
  }
  return found;
}

function otherValue(value: Json, place: SchemaPlace, tools: CaseTools): Case[] {
  const any = ANY(tools);
  if (value === null) return any.filter(({ type }) => type !== "null");
  if (typeof value === "boolean") return replaced(any, "boolean", [{ type: "boolean", values: [!value] }]);
  return otherStructure(value as readonly Json[] | SchemaObject, place, tools);
}

/** Another length, or the same and one child that is another. */
function otherStructure(value: readonly Json[] | SchemaObject, place: SchemaPlace, tools: CaseTools): Case[] {
  const any = ANY(tools);
  // Each place of an array is told by all before it.
  if (Array.isArray(value)) tools.budget.work(value.length * value.length);
  const other = (inner: Json) => tools.demand({ not: { const: inner } }, place, "const");
  if (Array.isArray(value)) {
    const { length } = value;
    return replaced(any, "array", [
      ...(length > 0 ? [anyArray({ most: length - 1 })] : []),
      anyArray({ least: length + 1 }),
      ...value.map((inner: Json, index: number) =>
        anyArray({ prefix: [...value.slice(0, index).map(() => []), other(inner)], least: index + 1 })
      ),
    ]);
  }
  const names = Object.entries(value as SchemaObject);
  return replaced(any, "object", [
    ...names.map(([name]) => objectWith(name, "absent")),
    ...names.map(([name, inner]) => objectWith(name, "required", other(inner))),
    anyObject({
      named: new Map(names.map(([name]) => [name, { demand: [], presence: "required" }])),
      least: names.length + 1,
    }),
  ]);
}
