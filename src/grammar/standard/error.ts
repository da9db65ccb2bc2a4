/**
 * The error for an answer that did not become a value of its schema.
 *
 * @module
 */
import { type ErrorDetail, LightGPTError } from "../../../ffi/errors.ts";
import type { SchemaIssue } from "./types.ts";

/**
 * An answer is no value of its schema: it was cut (code `incomplete`), or the schema's own check refuses it (code
 * `invalidOutput`), for what JSON Schema cannot say does not hold a model. Asking again, with more tokens or another seed, may
 * help.
 *
 * @example
 * ```ts
 * import { jsonSchema, LightGPT, ObjectError } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * try {
 *   await lm.object("Once", { schema: jsonSchema({ type: "string", minLength: 100 }), maxTokens: 5 });
 * } catch (error) {
 *   if (!(error instanceof ObjectError)) throw error;
 *   console.log(error.code, error.text); // incomplete, and the beginning of a string
 * }
 * ```
 */
export class ObjectError extends LightGPTError {
  /** What was written. */
  readonly text: string;
  /** What the schema's own check says; empty where the answer was cut. */
  readonly issues: readonly SchemaIssue[];

  /** Makes an error about an answer whose text is `text`. */
  constructor(
    code: "incomplete" | "invalidOutput",
    message: string,
    detail: ErrorDetail,
    { text, issues = [], cause }: {
      readonly text: string;
      readonly issues?: readonly SchemaIssue[];
      readonly cause?: unknown;
    },
  ) {
    super(code, message, detail, cause === undefined ? {} : { cause });
    this.text = text;
    this.issues = issues;
  }
}
