/**
 * What the interfaces for vectors and scores have in common: which texts a body has, how many there may be, and what reads them.
 *
 * @module
 */
import { LightGPTError } from "../../ffi/errors.ts";
import type { EmbedInput } from "../embedding/types.ts";
import type { EmbedOptions } from "../embedding/options.ts";
import type { Embedder } from "../embedding/embedder.ts";
import type { Embeddings } from "../embedding/embeddings.ts";
import type { LightGPT } from "../lightgpt/lightgpt.ts";
import { Failure, failureOf, refuse } from "./failure.ts";
import type { Call, Served } from "./types.ts";

/** What reads texts for a request. */
export function readerOf({ name, lm }: Served): LightGPT | Embedder {
  if (lm !== undefined) return lm;
  // Texts are read where the weights are, and workers take nothing but jobs that generate.
  throw new Failure(`The model ${name} runs on other machines, which make no vectors and scores for this one.`, {
    status: 501,
    type: "server_error",
    code: "not_implemented",
    headers: { "x-should-retry": "false" },
  });
}

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
  { served, signal }: Call,
  field: string,
  inputs: readonly EmbedInput[],
  options: Omit<EmbedOptions, "signal" | "onProgress">,
): Promise<Embeddings> {
  const reader = readerOf(served);
  try {
    return await reader.embed(inputs, { ...options, signal });
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
