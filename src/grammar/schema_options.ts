/**
 * Options for what is made of a JSON schema.
 *
 * @module
 */
import { choice, type FieldsOf } from "../options/schema.ts";

/**
 * Options for what is made of a JSON schema.
 *
 * @example
 * ```ts
 * import { Grammar, LightGPT, type SchemaOptions } from "@lightgpt/lightgpt";
 *
 * const options: SchemaOptions = { whitespace: "compact" };
 * await using lm = await LightGPT.load();
 * const grammar = await Grammar.schema({ type: "array", items: { type: "integer" } }, lm.model.tokenizer, options);
 * console.log(grammar.matcher().isComplete);
 * ```
 */
export interface SchemaOptions {
  /**
   * The blanks between values: none, or wherever JSON allows them one, or the end of a line and its indentation.
   * @default {"indent"}
   */
  readonly whitespace?: "compact" | "indent";
  /**
   * The order of an object's properties: any, as JSON has it, or that of the schema, with those behind that it does not name.
   * Objects of more than 256 named properties have the order of the schema in either case.
   * @default {"any"}
   */
  readonly order?: "any" | "schema";
  /**
   * What becomes of names that no draft of JSON Schema knows: they say nothing, as the standard has it, and are listed in
   * `Grammar.ignored`, or they are refused.
   * @default {"annotation"}
   */
  readonly unknown?: "annotation" | "refuse";
}

/** The schema of {@link SchemaOptions}. */
export const schemaFields = {
  whitespace: choice(["compact", "indent"], { about: "The blanks between values.", default: "indent" }),
  order: choice(["any", "schema"], { about: "The order of an object's properties.", default: "any" }),
  unknown: choice(["annotation", "refuse"], {
    about: "What becomes of names that no draft of JSON Schema knows.",
    default: "annotation",
  }),
} as const satisfies FieldsOf<SchemaOptions>;
