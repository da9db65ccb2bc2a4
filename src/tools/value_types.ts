/**
 * Which types of values a schema may have, as far as it says so in plain words: what a value without quotes is taken for.
 *
 * @module
 */
import type { JsonValue } from "../text/chat/inputs.ts";
import type { ValueType } from "./types.ts";

type Schema = { readonly [keyword: string]: JsonValue | undefined };

const all: readonly ValueType[] = ["string", "number", "boolean", "null", "object", "array"];

/** References inside references. */
const depthMost = 32;

/** The type of a value. */
export function typeOf(value: JsonValue | undefined): ValueType {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return typeof value as ValueType;
}

/** The types that a schema may have; `root` has the definitions that it names. */
export function typesOf(schema: JsonValue | undefined, root: Schema, depth = 0): ReadonlySet<ValueType> {
  if (schema === null || typeof schema !== "object" || Array.isArray(schema) || depth > depthMost) return new Set(all);
  const given = schema as Schema;
  const inner = (value: JsonValue | undefined) => typesOf(value, root, depth + 1);
  let types = new Set(all);
  const keep = (others: ReadonlySet<ValueType>) => types = new Set([...types].filter((type) => others.has(type)));
  if (given.type !== undefined) {
    keep(new Set([given.type].flat().map((type) => type === "integer" ? "number" : type as ValueType)));
  }
  if (Array.isArray(given.enum)) keep(new Set(given.enum.map(typeOf)));
  if (given.const !== undefined) keep(new Set([typeOf(given.const)]));
  if (typeof given.$ref === "string") keep(inner(named(given.$ref, root)));
  for (const union of [given.anyOf, given.oneOf]) {
    if (Array.isArray(union)) keep(new Set(union.flatMap((branch) => [...inner(branch)])));
  }
  if (Array.isArray(given.allOf)) given.allOf.forEach((part) => keep(inner(part)));
  return types;
}

function named(reference: string, root: Schema): JsonValue | undefined {
  const found = /^#\/(\$defs|definitions)\/([^/~%]+)$/.exec(reference);
  const definitions = found && root[found[1]];
  return definitions && typeof definitions === "object" ? (definitions as Schema)[found[2]] : undefined;
}
