/**
 * The keyword `type` as cases, and its opposite.
 *
 * @module
 */
import type { SchemaPlace } from "./references.ts";
import { refuseSchema } from "./refuse.ts";
import type { CaseTools } from "./tools.ts";
import type { Case, Json, SchemaObject } from "./types.ts";

const typeNames = ["null", "boolean", "integer", "number", "string", "array", "object"];

/** What a value of the types may be; `anything` are the cases of any value. */
export function typeCases(schema: SchemaObject, place: SchemaPlace, anything: Case[], { numbers }: CaseTools): Case[] {
  const types = typesOf(schema, place);
  if (types === undefined) return anything;
  return types.flatMap((type): Case[] =>
    type === "integer" ? [{ type: "number", lexeme: numbers.integer }] : anything.filter((one) => one.type === type)
  );
}

/** What a value of none of the types may be. */
export function otherTypeCases(
  schema: SchemaObject,
  place: SchemaPlace,
  anything: readonly Case[],
  { numbers }: CaseTools,
): Case[] {
  const types = typesOf(schema, place) ?? [];
  const others = anything.filter(({ type }) =>
    !types.includes(type) && !(type === "number" && types.includes("integer"))
  );
  if (!types.includes("integer") || types.includes("number")) return others;
  return [...others, { type: "number", lexeme: numbers.noMultipleOf(1) }];
}

function typesOf(schema: SchemaObject, place: SchemaPlace): string[] | undefined {
  if (schema.type === undefined) return undefined;
  const types = (Array.isArray(schema.type) ? schema.type : [schema.type]) as Json[];
  const wrong = types.find((type) => typeof type !== "string" || !typeNames.includes(type));
  if (wrong !== undefined || types.length === 0) {
    refuseSchema(`${place.where}/type`, `one of ${typeNames.join(", ")}`, JSON.stringify(wrong ?? []));
  }
  return types as string[];
}
