/**
 * `/openapi.json`: the table of routes and the fields of their bodies, as OpenAPI 3.1 has them.
 *
 * @module
 */
import { VERSION } from "../../ffi/wire.ts";
import type { AnyOption, Fields } from "../options/schema.ts";
import type { JsonValue } from "../text/chat/inputs.ts";
import type { Route } from "./types.ts";

/** The description of the whole interface. */
export function openApi(routes: readonly Route[]): JsonValue {
  const paths: Record<string, Record<string, JsonValue>> = {};
  for (const { method, path, about, names } of routes) {
    const operation: Record<string, JsonValue> = {
      summary: about,
      responses: { 200: { description: "The answer." }, default: { description: "What is wrong." } },
    };
    if (names) operation.requestBody = { required: true, content: { "application/json": { schema: objectOf(names) } } };
    const [, name] = /:(\w+)/.exec(path) ?? [];
    if (name) operation.parameters = [{ name, in: "path", required: true, schema: { type: "string" } }];
    (paths[path.replace(/:(\w+)({.*})?/, "{$1}")] ??= {})[method.toLowerCase()] = operation;
  }
  return {
    openapi: "3.1.0",
    info: { title: "LightGPT", version: VERSION },
    paths,
    components: { securitySchemes: { key: { type: "http", scheme: "bearer" } } },
  };
}

function objectOf(fields: Fields): JsonValue {
  const required = Object.entries(fields).flatMap(([name, { isRequired }]) => isRequired ? [name] : []);
  return {
    type: "object",
    properties: Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, schemaOf(field)])),
    ...(required.length > 0 ? { required } : {}),
    additionalProperties: false,
  };
}

const types: Readonly<Partial<Record<AnyOption["kind"], string>>> = {
  boolean: "boolean",
  integer: "integer",
  number: "number",
  text: "string",
  seed: "integer",
};

function schemaOf({ kind, about, expected, range, choices, fields, otherwise }: AnyOption): JsonValue {
  const description = `${about} Expected ${expected}.${otherwise === undefined ? "" : ` Without it: ${otherwise}.`}`;
  if (kind === "choice") return { enum: [...choices ?? [], null], description };
  if (kind === "group") return { ...(objectOf(fields ?? {}) as object), type: ["object", "null"], description };
  const type = types[kind];
  const bounds = {
    ...(range?.least === undefined || !Number.isFinite(range.least) ? {} : { minimum: range.least }),
    ...(range?.above === undefined ? {} : { exclusiveMinimum: range.above }),
    ...(range === undefined || !Number.isFinite(range.most) ? {} : { maximum: range.most }),
  };
  return type === undefined ? { description } : { type: [type, "null"], ...bounds, description };
}
