/**
 * What the interfaces for vectors and scores have in common: which texts a body has, how many there may be, and what reads them.
 *
 * @module
 */
import { LightGPTError } from "../../ffi/errors.ts";
import type { EmbedInput } from "../embedding/types.ts";
import type { EmbedOptions } from "../embedding/options.ts";
import type { Embeddings } from "../embedding/embeddings.ts";
import { Failure, failureOf, refuse } from "./failure.ts";
import type { Call } from "./types.ts";

/** The texts of a field: a text, token ids, or an array of these. */
export function readInputs(field: string, value: unknown, most: number): EmbedInput[] {
  const expected = "a text, token ids, or an array of these";
  if (typeof value === "string") return [value];
  if (!Array.isArray(value) || value.length === 0) return refuse(field, `${field}: expected ${expected}.`);
  if (value.every((one) => typeof one === "number")) return [value];
  if (value.length > most) refuse(field, `${field}: expected at most ${most} texts, got ${value.length}.`);
  return value.map((one: unknown, index) => {
    if (typeof one === "string" || Array.isArray(one)) return one as EmbedInput;
    return refuse(`${field}[${index}]`, `${field}[${index}]: expected a text or token ids.`);
  });
}

/** The vectors of texts that stand in `field`. */
export async function embedInputs(
  { served, tenant, signal }: Call,
  field: string,
  inputs: readonly EmbedInput[],
  options: Omit<EmbedOptions, "signal" | "onProgress">,
): Promise<Embeddings> {
  try {
    return await served.reading(tenant).embed(inputs, { ...options, signal });
  } catch (error) {
    throw named(error, "inputs", field);
  }
}

/** What is wrong in a text, by the name that the field has here. */
function named(error: unknown, ours: string, theirs: string): unknown {
  if (!(error instanceof LightGPTError) || !error.detail.where?.startsWith(ours)) return error;
  const { parts } = failureOf(error);
  const rename = (text: string) => text.startsWith(ours) ? theirs + text.slice(ours.length) : text;
  return new Failure(rename(error.message), { ...parts, param: rename(error.detail.where) }, { cause: error });
}
