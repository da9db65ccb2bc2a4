/**
 * What libraries of schemas have in common: the Standard Schema and its JSON Schema part (standardschema.dev, version 1), as
 * types. LightGPT takes a schema of any library that follows it, and knows none of them.
 *
 * @module
 */

/**
 * A schema of any library that follows Standard Schema and Standard JSON Schema, such as zod 4.2 and arktype 2.2: it gives the
 * JSON schema that an answer is held to, checks the answer itself, and has its types. Valibot's comes from its converter
 * (`toStandardJsonSchema`), that of a plain JSON schema from {@link jsonSchema}.
 *
 * @example
 * ```ts
 * import { jsonSchema, LightGPT, type StandardSchema } from "@lightgpt/lightgpt";
 *
 * const hero: StandardSchema<{ name: string }> = jsonSchema({
 *   type: "object",
 *   properties: { name: { type: "string", pattern: "^[A-Z][a-z]{1,9}$" } },
 *   required: ["name"],
 * });
 * await using lm = await LightGPT.load();
 * const { object } = await lm.object("The hero of the story: ", { schema: hero });
 * console.log(object.name);
 * ```
 */
export interface StandardSchema<Input = unknown, Output = Input> {
  /** What the standard says of the schema. */
  readonly "~standard": {
    /** Of the standard. */
    readonly version: 1;
    /** The library's name. */
    readonly vendor: string;
    /** For the compiler alone: what goes in, what comes out. */
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
    /** Checks a value; gives what the schema makes of it, or what is wrong with it. */
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>;
    /** Tells the schema as JSON Schema; throws where it cannot. */
    readonly jsonSchema: {
      /** Of what goes in: what a model writes. */
      readonly input: (options: { readonly target: "draft-2020-12" }) => Record<string, unknown>;
      /** Of what comes out. */
      readonly output: (options: { readonly target: "draft-2020-12" }) => Record<string, unknown>;
    };
  };
}

/**
 * What a schema's own check gives: a value, or issues.
 *
 * @example
 * ```ts
 * import { jsonSchema, type StandardResult } from "@lightgpt/lightgpt";
 *
 * const result: StandardResult<number> = await jsonSchema<number>({ type: "integer" })["~standard"].validate(3);
 * console.log(result.issues ?? result.value);
 * ```
 */
export type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/**
 * What a schema's own check says is wrong with a value.
 *
 * @example
 * ```ts
 * import type { SchemaIssue } from "@lightgpt/lightgpt";
 *
 * const issue: SchemaIssue = { message: "must be even", path: ["rooms", 3] };
 * console.log(issue.path?.join("."), issue.message);
 * ```
 */
export interface SchemaIssue {
  /** What is wrong. */
  readonly message: string;
  /** Where: names and indices from the value's root, as they are or as objects with a `key`. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/**
 * The type of what a model writes for a schema.
 *
 * @example
 * ```ts
 * import { type InferInput, jsonSchema } from "@lightgpt/lightgpt";
 *
 * const size = jsonSchema<number>({ type: "integer" });
 * const written: InferInput<typeof size> = 3;
 * console.log(written);
 * ```
 */
export type InferInput<S extends StandardSchema> = NonNullable<S["~standard"]["types"]>["input"];

/**
 * The type of what a schema makes of it.
 *
 * @example
 * ```ts
 * import { type InferOutput, jsonSchema } from "@lightgpt/lightgpt";
 *
 * const size = jsonSchema<number>({ type: "integer" });
 * const read: InferOutput<typeof size> = 3;
 * console.log(read);
 * ```
 */
export type InferOutput<S extends StandardSchema> = NonNullable<S["~standard"]["types"]>["output"];

/**
 * A value that is still being written: what is there is as it will be, but for a text's end; anything may be missing.
 *
 * @example
 * ```ts
 * import type { DeepPartial } from "@lightgpt/lightgpt";
 *
 * const partial: DeepPartial<{ name: string; kind: "fox" | "hen"; tags: string[] }> = { name: "Pi", kind: "f" };
 * console.log(partial.tags?.length ?? 0);
 * ```
 */
export type DeepPartial<T> = T extends string ? string
  : T extends readonly (infer Item)[] ? readonly DeepPartial<Item>[]
  : T extends object ? { readonly [Name in keyof T]?: DeepPartial<T[Name]> }
  : T;
