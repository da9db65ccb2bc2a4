/**
 * What an answer must be, as clients of OpenAI say it.
 *
 * @module
 */
import type { ConstraintOptions } from "../grammar/options.ts";
import { refuse } from "./failure.ts";

/** The constraint that `response_format` is. */
export function responseFormat(
  format: unknown,
  own: ConstraintOptions | undefined,
  where: string = "response_format",
): ConstraintOptions | undefined {
  if (format === undefined) return own;
  if (format === null || typeof format !== "object") refuse(where, `${where}: expected an object with a type.`);
  const { type, json_schema } = format as Record<string, unknown>;
  if (type === "text") return own;
  if (own !== undefined) refuse(where, `${where}: expected none beside constraint.`);
  if (type === "json_object") return { schema: { type: "object" } };
  if (type !== "json_schema") refuse(`${where}.type`, `${where}.type: expected text, json_object or json_schema.`);
  const { schema } = (json_schema ?? {}) as Record<string, unknown>;
  if (schema === undefined || schema === null) {
    refuse(`${where}.json_schema`, `${where}.json_schema: expected an object with a schema.`);
  }
  return { schema };
}
