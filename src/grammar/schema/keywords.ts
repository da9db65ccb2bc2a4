/**
 * The keywords of JSON Schema, drafts 4 to 2020-12, each in one list: what is enforced, what only describes, what is refused. A
 * name that no draft knows describes too, unless it is a slip of one that is enforced.
 *
 * @module
 */
import { editDistance } from "../../options/suggest.ts";
import { refuseSchema, refuseUnsupported } from "./refuse.ts";

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
  "multipleOf",
  "minimum",
  "maximum",
  "exclusiveMinimum",
  "exclusiveMaximum",
  "minLength",
  "maxLength",
  "pattern",
  "format",
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
export const REFUSED: readonly string[] = ["extends", "disallow"];

const enforced = new Set(ENFORCED);
const annotations = new Set(ANNOTATIONS);

/** What becomes of names that no draft knows: they say nothing, as the standard has it, or are refused. */
export type UnknownNames = "annotation" | "refuse";

/** Throws where a keyword is refused or a slip; says whether it is one that no draft knows. */
export function checkKeyword(keyword: string, where: string, unknown: UnknownNames): boolean {
  if (enforced.has(keyword) || annotations.has(keyword)) return false;
  if (REFUSED.includes(keyword)) refuseUnsupported(where, "a schema without it", keyword);
  if (unknown === "refuse") refuseUnsupported(where, "keywords of JSON Schema alone", keyword);
  // Short names are near to everything, and a name that begins so is of a program's own.
  if (keyword.length < 5 || /^([_$@]|x-)/.test(keyword)) return true;
  const meant = ENFORCED.find((known) => known.length > 4 && editDistance(keyword, known) === 1);
  if (meant !== undefined) refuseSchema(where, `${meant}, if that is meant`, keyword);
  return true;
}
