/**
 * Keywords of objects as cases, and their opposites.
 *
 * @module
 */
import { NOTHING } from "../lexemes.ts";
import { type CaseTools, count } from "./tools.ts";
import { anyObject, objectWith } from "./intersect.ts";
import type { SchemaPlace } from "./references.ts";
import { refuseSchema } from "./refuse.ts";
import {
  type Demand,
  type Json,
  type NamedDemand,
  NOTHING_EVALUATED,
  type ObjectCase,
  type Presence,
  type SchemaObject,
} from "./types.ts";

/** What an object may be. */
export function objectCases(schema: SchemaObject, place: SchemaPlace, tools: CaseTools): ObjectCase[] {
  const { properties, patterns, known, additional } = propertiesOf(schema, place, tools);
  const named = new Map<string, { demand: Demand; presence: Presence }>(
    properties.map(([name, demand]) => [name, { demand, presence: "optional" }]),
  );
  for (const name of requiredOf(schema, place)) {
    named.set(name, { demand: named.get(name)?.demand ?? [], presence: "required" });
  }
  const rules: NamedDemand[] = [...patterns];
  if (additional) rules.push(additional);
  if (schema.propertyNames !== undefined) rules.push(...namesRule(schema, place, tools));
  const [least = 0, most = Infinity] = [count(schema, "minProperties", place), count(schema, "maxProperties", place)];
  if (least > most) return [];
  const looked = known.filter((names) => names !== NOTHING);
  const evaluated = { ...NOTHING_EVALUATED, all: schema.additionalProperties !== undefined, names: looked };
  let cases = [anyObject({ named, rules, least, most, evaluated })];
  for (const [name, others] of dependentNames(schema, place)) {
    cases = cases.flatMap((one) => dependent(one, name, others));
  }
  return cases;
}

/** With the name, the others are there too; without it nothing is said. */
function dependent(one: ObjectCase, name: string, others: readonly string[]): ObjectCase[] {
  const withPresence = (names: readonly string[], presence: Presence): ObjectCase | undefined => {
    const named = new Map(one.named);
    for (const each of names) {
      const before = named.get(each);
      if (before && before.presence !== "optional" && before.presence !== presence) return undefined;
      named.set(each, { demand: before?.demand ?? [], presence });
    }
    return { ...one, named };
  };
  return [withPresence([name], "absent"), withPresence([name, ...others], "required")].filter((found) =>
    found !== undefined
  );
}

function propertiesOf(schema: SchemaObject, place: SchemaPlace, { lexemes, strings, demand }: CaseTools) {
  const entries = (name: string): [string, Json][] => Object.entries((schema[name] ?? {}) as SchemaObject);
  const properties = entries("properties")
    .map(([name, inner]) => [name, demand(inner, place, `properties/${name}`)] as const);
  const patterns = entries("patternProperties").map(([source, inner]): NamedDemand => ({
    names: strings.pattern(source, `${place.where}/patternProperties/${source}`),
    demand: demand(inner, place, `patternProperties/${source}`),
  }));
  const known = [strings.literals(properties.map(([name]) => name)), ...patterns.map(({ names }) => names)];
  let additional: NamedDemand | undefined;
  if (schema.additionalProperties !== undefined) {
    const inner = demand(schema.additionalProperties, place, "additionalProperties");
    additional = { names: lexemes.not(lexemes.either(...known)), demand: inner };
  }
  return { properties, patterns, known, additional };
}

function requiredOf(schema: SchemaObject, place: SchemaPlace): string[] {
  const { required } = schema;
  // Draft 3 had a boolean there, of the property itself; it says nothing about the object that it stands in.
  if (required === undefined || typeof required === "boolean") return [];
  return nameList(required, `${place.where}/required`);
}

function nameList(value: Json, where: string): string[] {
  if (!Array.isArray(value) || value.some((name) => typeof name !== "string")) {
    refuseSchema(where, "a list of names", JSON.stringify(value).slice(0, 40));
  }
  return value as string[];
}

function dependentNames(schema: SchemaObject, place: SchemaPlace): [string, string[]][] {
  return ["dependentRequired", "dependencies"].flatMap((keyword) => {
    const { [keyword]: value = {} } = schema;
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      refuseSchema(`${place.where}/${keyword}`, "an object of lists of names", JSON.stringify(value).slice(0, 40));
    }
    return Object.entries(value)
      // Others of `dependencies` are schemas.
      .filter(([, names]) => keyword === "dependentRequired" || Array.isArray(names))
      .map(([name, names]): [string, string[]] => [name, nameList(names, `${place.where}/${keyword}`)]);
  });
}

/** A name that breaks the schema of names may not be there. */
function namesRule(schema: SchemaObject, place: SchemaPlace, tools: CaseTools): NamedDemand[] {
  const allowed = tools.names(tools.demand(schema.propertyNames, place, "propertyNames"));
  return [{ names: tools.lexemes.not(allowed), demand: tools.demand(false, place, "propertyNames") }];
}

/** What an object is that breaks one of the keywords. */
export function objectOpposites(schema: SchemaObject, place: SchemaPlace, tools: CaseTools): ObjectCase[] {
  const cases: ObjectCase[] = [];
  const { properties, patterns, additional } = propertiesOf(schema, place, tools);
  for (const [name, demand] of properties) {
    for (const literal of demand) cases.push(objectWith(name, "required", [-literal]));
  }
  for (const { names, demand } of [...patterns, ...(additional ? [additional] : [])]) {
    for (const literal of demand) cases.push(anyObject({ needs: [{ names, demand: [-literal] }] }));
  }
  if (schema.propertyNames !== undefined) {
    for (const literal of tools.demand(schema.propertyNames, place, "propertyNames")) {
      cases.push(anyObject({ needs: [{ names: tools.names([-literal]), demand: [] }] }));
    }
  }
  for (const name of requiredOf(schema, place)) cases.push(objectWith(name, "absent"));
  const [least, most] = [count(schema, "minProperties", place), count(schema, "maxProperties", place)];
  if (least !== undefined && least > 0) cases.push(anyObject({ most: least - 1 }));
  if (most !== undefined) cases.push(anyObject({ least: most + 1 }));
  for (const [name, others] of dependentNames(schema, place)) {
    for (const other of others) {
      const named = new Map<string, { demand: Demand; presence: Presence }>([[name, {
        demand: [],
        presence: "required",
      }]]);
      if (other === name) continue;
      cases.push(anyObject({ named: named.set(other, { demand: [], presence: "absent" }) }));
    }
  }
  return cases;
}
