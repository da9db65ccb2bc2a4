/**
 * From a Standard Schema to what the grammar needs and back: its JSON schema on the way in, its own check on the way out. A
 * plain JSON schema is made a Standard Schema here, so that there is one kind.
 *
 * @module
 */
import { InvalidArgumentError, UnsupportedError } from "../../../ffi/errors.ts";
import { guarded, refuseOption } from "../../options/checks.ts";
import { jsonText } from "../json_text.ts";
import type { Json } from "../schema/types.ts";
import { closed } from "./closed.ts";
import type { StandardResult, StandardSchema } from "./types.ts";

/** Whether an object may have properties that its schema does not list, where the schema does not say: none, or any. */
export type Additional = "deny" | "schema";

/**
 * A JSON schema that says its type, as those of TypeBox up to 0.34 do, as a Standard Schema.
 *
 * @param schema the schema; it is copied
 * @param validate checks a value beyond what the schema says; without it, values are taken as they are
 * @returns a schema whose values are of the type that `schema` says
 *
 * @example
 * ```ts
 * import { jsonSchema } from "@lightgpt/lightgpt";
 *
 * declare const hero: { readonly static: { name: string } }; // Type.Object({ name: Type.String() })
 * const read = () => jsonSchema(hero); // StandardSchema<{ name: string }>
 * console.log(typeof read);
 * ```
 */
export function jsonSchema<S extends { readonly static: unknown }>(
  schema: S,
  validate?: (value: S["static"]) => StandardResult<S["static"]> | Promise<StandardResult<S["static"]>>,
): StandardSchema<S["static"]>;
/**
 * A plain JSON schema, drafts 4 to 2020-12, as a Standard Schema. TypeBox's schemas are such: of 1.0 and later,
 * `jsonSchema<Static<typeof Hero>>(Hero)` has the type.
 *
 * @param schema the schema; it is copied
 * @param validate checks a value beyond what the schema says, and may make something else of it; without it, values are taken as they are
 * @returns a schema whose values are of the type `T`, which the caller knows: nothing derives it from the schema
 *
 * @example
 * ```ts
 * import { jsonSchema, LightGPT } from "@lightgpt/lightgpt";
 *
 * const schema = jsonSchema<{ age: number }>({
 *   type: "object",
 *   properties: { age: { type: "integer", minimum: 1, maximum: 99 } },
 *   required: ["age"],
 * });
 * await using lm = await LightGPT.load();
 * const { object } = await lm.object("How old is Tom? ", { schema });
 * console.log(object.age + 1);
 * ```
 */
export function jsonSchema<Input = unknown, Output = Input>(
  schema: NonNullable<unknown>,
  validate?: (value: Input) => StandardResult<Output> | Promise<StandardResult<Output>>,
): StandardSchema<Input, Output>;
/**
 * Makes a Standard Schema in either way.
 *
 * @param schema the schema
 * @param validate the check
 * @returns the Standard Schema
 */
export function jsonSchema<Input, Output>(
  schema: NonNullable<unknown>,
  validate?: (value: Input) => StandardResult<Output> | Promise<StandardResult<Output>>,
): StandardSchema<Input, Output> {
  const copy = copyOf("schema", schema);
  if (copy === null || typeof copy !== "object" || Array.isArray(copy)) {
    refuseOption("schema", "a JSON schema: an object", schema);
  }
  if (validate !== undefined && typeof validate !== "function") refuseOption("validate", "a function", validate);
  const tell = () => structuredClone(copy) as Record<string, unknown>;
  return {
    "~standard": {
      version: 1,
      vendor: "lightgpt",
      validate: (value) => validate === undefined ? { value: value as Output } : validate(value as Input),
      jsonSchema: { input: tell, output: tell },
    },
  };
}

/** Whether a value says that it is a Standard Schema. Some libraries' schemas are functions. */
export function isStandard(value: unknown): value is StandardSchema {
  return value !== null && (typeof value === "object" || typeof value === "function") && "~standard" in value;
}

/** The JSON schema of what a Standard Schema takes in; `name` names it in errors. */
export function inputSchema(schema: StandardSchema, name: string, additional: Additional): Json {
  const told = guarded(name, () => tell(schema, name));
  const copy = copyOf(name, told);
  return additional === "deny" ? closed(copy) : copy;
}

/** Throws for what is no Standard Schema, and for one that tells no JSON schema. */
export function checkStandard(value: unknown, name: string): asserts value is StandardSchema {
  guarded(name, () => {
    if (isStandard(value)) return;
    refuseOption(name, "a Standard Schema (zod, arktype, jsonSchema({ ... }))", value);
  });
}

function tell(schema: StandardSchema, name: string): unknown {
  const { jsonSchema, vendor, version } = schema["~standard"];
  if (version !== 1) refuseOption(`${name}["~standard"].version`, "1", version);
  if (typeof jsonSchema?.input !== "function") {
    const hint = vendor === "valibot" ? "toStandardJsonSchema(schema) of @valibot/to-json-schema" : "a newer version";
    throw new UnsupportedError(`${name}: a schema of ${vendor} that tells no JSON schema; expected ${hint}.`, {
      what: "a schema that tells no JSON schema",
      where: name,
      expected: hint,
      got: `a schema of ${vendor}`,
    });
  }
  try {
    return jsonSchema.input({ target: "draft-2020-12" });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UnsupportedError(`${name}: ${vendor} cannot tell it as JSON Schema: ${reason}.`, {
      what: "a schema that cannot be told as JSON Schema",
      where: name,
      expected: "a schema of what JSON has",
      got: reason,
    }, { cause: error });
  }
}

function copyOf(name: string, value: unknown): Json {
  const text = jsonText(value, name);
  if (text === undefined) refuseOption(name, "a JSON schema", value);
  return JSON.parse(text);
}

/** What a schema's own check makes of a value. What it throws is passed on: it is the caller's code. */
export async function validated<Output>(
  schema: StandardSchema<unknown, Output>,
  value: unknown,
): Promise<StandardResult<Output>> {
  const result = await schema["~standard"].validate(value);
  if (result !== null && typeof result === "object" && (result.issues !== undefined || "value" in result)) {
    return result;
  }
  throw new InvalidArgumentError("schema: its check gave neither a value nor issues.", {
    what: "a schema whose check gives nothing",
    where: "schema",
    expected: "{ value } or { issues }",
  });
}
