/**
 * Options for objects that a model writes: what users see, and the schema of it.
 *
 * @module
 */
import type { Completion } from "../batching/completion.ts";
import { schemaFields, type SchemaOptions } from "../grammar/schema_options.ts";
import { checkStandard } from "../grammar/standard/read.ts";
import type { DeepPartial, InferInput, InferOutput, StandardSchema } from "../grammar/standard/types.ts";
import { choice, type FieldsOf, other } from "../options/schema.ts";
import { chatFields, type ChatOptions } from "./options.ts";

/**
 * Options for an object that a model writes.
 *
 * @example
 * ```ts
 * import { jsonSchema, LightGPT, type ObjectOptions } from "@lightgpt/lightgpt";
 *
 * const options: ObjectOptions = { schema: jsonSchema({ enum: ["fox", "hen"] }), whitespace: "compact" };
 * await using lm = await LightGPT.load();
 * const { object } = await lm.object("The hero of the story is a ", options);
 * console.log(object);
 * ```
 */
export interface ObjectOptions<S extends StandardSchema = StandardSchema>
  extends
    Omit<ChatOptions, "constraint" | "stop" | "logprobs" | "resume" | "onAbort" | "prefill">,
    Pick<SchemaOptions, "whitespace"> {
  /** What the object is: a schema of any library that follows Standard Schema, or `jsonSchema({ ... })`. */
  readonly schema: S;
  /**
   * Whether objects may have properties that the schema does not list, where it does not say: `deny` says no, `schema` leaves
   * it at what JSON Schema says, which is yes.
   * @default {"deny"}
   */
  readonly additional?: "deny" | "schema";
}

const {
  constraint: _constraint,
  stop: _stop,
  logprobs: _logprobs,
  resume: _resume,
  onAbort: _onAbort,
  prefill: _prefill,
  ...answerFields
} = chatFields;

/** The schema of {@link ObjectOptions}. */
export const objectFields = {
  ...answerFields,
  whitespace: schemaFields.whitespace,
  schema: other<StandardSchema>()(
    { about: "What the object is.", expected: "a Standard Schema", required: true },
    (value, name) => {
      checkStandard(value, name);
      return value;
    },
  ),
  additional: choice(["deny", "schema"], {
    about: "Whether objects may have properties that the schema does not list.",
    default: "deny",
  }),
} as const satisfies FieldsOf<ObjectOptions>;

/**
 * An object that a model wrote, and what it took.
 *
 * @example
 * ```ts
 * import { jsonSchema, LightGPT, type ObjectResult } from "@lightgpt/lightgpt";
 *
 * const schema = jsonSchema<"fox" | "hen">({ enum: ["fox", "hen"] });
 * await using lm = await LightGPT.load();
 * const result: ObjectResult<typeof schema> = await lm.object("The hero is a ", { schema });
 * console.log(result.object, result.text, result.generatedTokens, result.seed);
 * ```
 */
export interface ObjectResult<S extends StandardSchema = StandardSchema> extends Omit<Completion, "toJSON"> {
  /** The object, as the schema's own check gave it. */
  readonly object: InferOutput<S>;
  /** The same for `JSON.stringify`, which knows no bigint: such a seed is a string there. */
  toJSON(): Omit<ObjectResult<S>, "seed" | "toJSON"> & { readonly seed: number | string };
}

/**
 * What one token adds to an object.
 *
 * @example
 * ```ts
 * import { jsonSchema, LightGPT, type ObjectPart } from "@lightgpt/lightgpt";
 *
 * const schema = jsonSchema<string[]>({ type: "array", items: { type: "string", maxLength: 9 }, maxItems: 3 });
 * const parts: ObjectPart<typeof schema>[] = [];
 * await using lm = await LightGPT.load();
 * for await (const part of lm.objectStream("Names: ", { schema })) parts.push(part);
 * console.log(parts.at(-1)?.partial);
 * ```
 */
export interface ObjectPart<S extends StandardSchema = StandardSchema> {
  /** The text; the texts of all parts are the whole. */
  readonly text: string;
  /**
   * What is known of the object so far; undefined before anything is. It does not change any more. What is in it stays in those
   * of all later parts, where texts may be longer, and more may follow.
   */
  readonly partial: DeepPartial<InferInput<S>> | undefined;
}
