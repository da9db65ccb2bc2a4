/**
 * Keywords of arrays as cases, and their opposites.
 *
 * @module
 */
import { type CaseTools, count } from "./tools.ts";
import { anyArray } from "./intersect.ts";
import type { SchemaPlace } from "./references.ts";
import { refuseSchema, refuseUnsupported } from "./refuse.ts";
import {
  type ArrayCase,
  type Containing,
  type Demand,
  type Json,
  NOTHING_EVALUATED,
  type SchemaObject,
} from "./types.ts";

/** What an array may be. */
export function arrayCases(schema: SchemaObject, place: SchemaPlace, tools: CaseTools): ArrayCase[] {
  const { prefix, rest, items } = itemsOf(schema, place, tools);
  const [least = 0, most = Infinity] = [count(schema, "minItems", place), count(schema, "maxItems", place)];
  if (least > most) return [];
  const { uniqueItems: isUnique = false } = schema;
  if (typeof isUnique !== "boolean") {
    refuseSchema(`${place.where}/uniqueItems`, "true or false", JSON.stringify(isUnique).slice(0, 40));
  }
  const contains = containsOf(schema, place, tools);
  return [anyArray({
    prefix,
    rest,
    least,
    most,
    contains: contains ? [contains] : [],
    isUnique,
    evaluated: {
      ...NOTHING_EVALUATED,
      all: items === Infinity,
      items: items === Infinity ? 0 : items,
      contains: contains && place.containsEvaluates ? [contains.demand] : [],
    },
  })];
}

function itemsOf(schema: SchemaObject, place: SchemaPlace, { demand }: CaseTools): {
  readonly prefix: readonly Demand[];
  readonly rest: Demand;
  /** How many items are looked at. */
  readonly items: number;
} {
  // Until 2019-09 a list of schemas stood under `items`, and `additionalItems` for those behind.
  const isList = Array.isArray(schema.items);
  const [listName, restName] = isList ? ["items", "additionalItems"] : ["prefixItems", "items"];
  const list = (isList ? schema.items : schema.prefixItems) as Json | undefined;
  if (list !== undefined && !Array.isArray(list)) {
    refuseSchema(`${place.where}/${listName}`, "a list of schemas", typeof list);
  }
  const prefix = (list ?? []).map((inner: Json, index: number) => demand(inner, place, `${listName}/${index}`));
  const rest = schema[restName];
  return {
    prefix,
    rest: rest === undefined ? [] : demand(rest, place, restName),
    items: rest === undefined ? prefix.length : Infinity,
  };
}

function containsOf(schema: SchemaObject, place: SchemaPlace, { demand }: CaseTools): Containing | undefined {
  const [least = 1, most = Infinity] = [count(schema, "minContains", place), count(schema, "maxContains", place)];
  if (schema.contains === undefined) return undefined;
  return { demand: demand(schema.contains, place, "contains"), least, most, from: 0 };
}

/** What an array is that breaks one of the keywords. */
export function arrayOpposites(schema: SchemaObject, place: SchemaPlace, tools: CaseTools): ArrayCase[] {
  const cases: ArrayCase[] = [];
  const [least, most] = [count(schema, "minItems", place), count(schema, "maxItems", place)];
  if (least !== undefined && least > 0) cases.push(anyArray({ most: least - 1 }));
  if (most !== undefined) cases.push(anyArray({ least: most + 1 }));
  const { prefix, rest } = itemsOf(schema, place, tools);
  const opposite = (demand: Demand): Demand[] => demand.map((literal) => [-literal]);
  prefix.forEach((demand, index) => {
    for (const other of opposite(demand)) {
      cases.push(anyArray({ prefix: [...prefix.slice(0, index).map(() => []), other], least: index + 1 }));
    }
  });
  // One of the items behind is another.
  for (const other of opposite(rest)) {
    cases.push(anyArray({ contains: [{ demand: other, least: 1, most: Infinity, from: prefix.length }] }));
  }
  const contains = containsOf(schema, place, tools);
  if (contains) {
    const { demand } = contains;
    const counted = (least: number, most: number) => anyArray({ contains: [{ demand, least, most, from: 0 }] });
    if (contains.least > 0) cases.push(counted(0, contains.least - 1));
    if (contains.most < Infinity) cases.push(counted(contains.most + 1, Infinity));
  }
  if (schema.uniqueItems === true) {
    refuseUnsupported(place.where, "a schema without uniqueItems", "the opposite of uniqueItems");
  }
  return cases;
}
