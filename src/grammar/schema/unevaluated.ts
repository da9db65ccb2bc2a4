/**
 * `unevaluatedProperties` and `unevaluatedItems`: what no other keyword has looked at is held to them. And their opposite: one
 * property or item at least that nothing has looked at breaks them.
 *
 * @module
 */
import type { SchemaPlace } from "./references.ts";
import type { CaseTools } from "./tools.ts";
import { type Case, type Demand, type Evaluated, joined, NOTHING_EVALUATED, type SchemaObject } from "./types.ts";

const everything: Evaluated = { ...NOTHING_EVALUATED, all: true };

/** Whether a schema has one of the keywords. */
export function asksUnevaluated(schema: SchemaObject): boolean {
  return schema.unevaluatedProperties !== undefined || schema.unevaluatedItems !== undefined;
}

/** A case with what nothing has looked at held to the keywords. */
export function closedCase(one: Case, schema: SchemaObject, place: SchemaPlace, tools: CaseTools): Case {
  if (one.type === "object" && schema.unevaluatedProperties !== undefined) {
    if (one.evaluated.all) return one;
    const demand = tools.demand(schema.unevaluatedProperties, place, "unevaluatedProperties");
    return { ...one, rules: [...one.rules, { names: othersOf(one.evaluated, tools), demand }], evaluated: everything };
  }
  if (one.type === "array" && schema.unevaluatedItems !== undefined) {
    if (one.evaluated.all) return one;
    const { items, contains } = one.evaluated;
    const own = tools.demand(schema.unevaluatedItems, place, "unevaluatedItems");
    // An item that `contains` looks at meets it; one that it has not looked at meets the keyword.
    const inner = contains.some((demand) => demand.length === 0) ? [] : tools.oneOf([own, ...contains], place);
    const prefix = Array.from(
      { length: Math.max(items, one.prefix.length) },
      (_, index) => index < items ? one.prefix[index] ?? one.rest : joined(one.prefix[index], inner),
    );
    return { ...one, prefix, rest: joined(one.rest, inner), evaluated: everything };
  }
  return one;
}

/** The cases that break the keywords, of one that meets all that stands beside them. */
export function brokenCases(one: Case, schema: SchemaObject, place: SchemaPlace, tools: CaseTools): Case[] {
  if (one.type === "object" && schema.unevaluatedProperties !== undefined && !one.evaluated.all) {
    const demand = tools.demand(schema.unevaluatedProperties, place, "unevaluatedProperties");
    const names = othersOf(one.evaluated, tools);
    return demand.map((literal) => ({ ...one, needs: [...one.needs, { names, demand: [-literal] }] }));
  }
  if (one.type === "array" && schema.unevaluatedItems !== undefined && !one.evaluated.all) {
    const { items, contains } = one.evaluated;
    const own = tools.demand(schema.unevaluatedItems, place, "unevaluatedItems");
    // It meets none of what `contains` asks for: of each demand it breaks one part.
    const unmet = contains.reduce<Demand[]>(
      (found, demand) => found.flatMap((before) => demand.map((literal) => joined(before, [-literal]))),
      own.map((literal) => [-literal]),
    );
    return unmet.map((demand) => ({
      ...one,
      contains: [...one.contains, { demand, least: 1, most: Infinity, from: items }],
    }));
  }
  return [];
}

/** The names that nothing has looked at. */
function othersOf({ names }: Evaluated, { lexemes }: CaseTools) {
  return lexemes.not(lexemes.either(...names));
}
