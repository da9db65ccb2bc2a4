/**
 * The keywords of JSON Schema, drafts 4 to 2020-12, each in one list: what is enforced, what only describes, what is refused. A
 * name that no draft knows describes too, unless it is a slip of one that is enforced.
 *
 * @module
 */
import { editDistance } from "../../options/suggest.ts";
import { refuseSchema, refuseUnsupported } from "./refuse.ts";
import type { SchemaObject } from "./types.ts";

const scalarKeywords = [
  "multipleOf",
  "minimum",
  "maximum",
  "exclusiveMinimum",
  "exclusiveMaximum",
  "minLength",
  "maxLength",
  "pattern",
  "format",
];
const arrayKeywords = [
  "prefixItems",
  "items",
  "additionalItems",
  "contains",
  "minContains",
  "maxContains",
  "minItems",
  "maxItems",
  "uniqueItems",
  "unevaluatedItems",
];
const objectKeywords = [
  "properties",
  "patternProperties",
  "additionalProperties",
  "propertyNames",
  "required",
  "minProperties",
  "maxProperties",
  "dependentRequired",
  "dependentSchemas",
  "dependencies",
  "unevaluatedProperties",
];

/** Keywords that hold in what is generated. */
export const ENFORCED: readonly string[] = [
  "type",
  "enum",
  "const",
  "allOf",
  "anyOf",
  "oneOf",
  "not",
  "if",
  "then",
  "else",
  "$ref",
  "$dynamicRef",
  "$recursiveRef",
  ...scalarKeywords,
  ...arrayKeywords,
  ...objectKeywords,
];

/** Keywords that say nothing about which values are valid. */
export const ANNOTATIONS: readonly string[] = [
  "$schema",
  "$id",
  "id",
  "$anchor",
  "$dynamicAnchor",
  "$recursiveAnchor",
  "$defs",
  "definitions",
  "$comment",
  "$vocabulary",
  "title",
  "description",
  "default",
  "deprecated",
  "readOnly",
  "writeOnly",
  "examples",
  "contentEncoding",
  "contentMediaType",
  "contentSchema",
];

/** Keywords that are not enforced. */
export const REFUSED: readonly string[] = ["extends", "disallow", "divisibleBy"];

const enforced = new Set(ENFORCED);
const annotations = new Set(ANNOTATIONS);

/** Of what values a keyword says something. */
type Subject = "scalar" | "array" | "object";

const subjects: ReadonlyMap<string, Subject> = new Map([
  ...scalarKeywords.map((keyword) => [keyword, "scalar"] as const),
  ...arrayKeywords.map((keyword) => [keyword, "array"] as const),
  ...objectKeywords.map((keyword) => [keyword, "object"] as const),
]);

/** Of what values the keywords of a schema say something: most schemas have few keywords. */
export function subjectsOf(schema: SchemaObject): ReadonlySet<Subject> {
  const found = new Set<Subject>();
  for (const keyword of Object.keys(schema)) {
    const subject = subjects.get(keyword);
    if (subject !== undefined) found.add(subject);
  }
  return found;
}

/** What becomes of names that no draft knows: they say nothing, as the standard has it, or are refused. */
export type UnknownNames = "annotation" | "refuse";

/** Throws where a keyword is refused or a slip; says whether it is one that no draft knows. */
export function checkKeyword(keyword: string, where: string, unknown: UnknownNames): boolean {
  if (enforced.has(keyword) || annotations.has(keyword)) return false;
  if (REFUSED.includes(keyword)) refuseUnsupported(where, "a schema without it", keyword);
  if (unknown === "refuse") refuseUnsupported(where, "keywords of JSON Schema alone", keyword);
  // Short names are near to everything, and a name that begins so is of a program's own.
  if (keyword.length < 5 || /^([_$@]|x-)/.test(keyword)) return true;
  const meant = ENFORCED.find((known) =>
    known.length > 4 && mayBeSlip(keyword, known) && editDistance(keyword, known) === 1
  );
  if (meant !== undefined) refuseSchema(where, `${meant}, if that is meant`, keyword);
  return true;
}

/** Whether one letter may be all that differs: one end of a word is as it should be then. */
function mayBeSlip(keyword: string, known: string): boolean {
  return Math.abs(known.length - keyword.length) < 2 &&
    (keyword[0] === known[0] || keyword.at(-1) === known.at(-1));
}
