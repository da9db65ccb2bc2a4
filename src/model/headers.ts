/**
 * A model without its weights, of the beginnings of its files: what describes it, counts its tokens and renders its prompts where
 * another process has the weights.
 *
 * @module
 */
import { parseGgufParts } from "../files/gguf/read.ts";
import { loadTokenizer } from "../text/tokenizer/load.ts";
import { planModel } from "./architectures/architectures.ts";
import type { Model } from "./model.ts";

/** What is known of a model without its weights. */
export type ModelFacts = Pick<Model, "context" | "gguf" | "plan" | "residentBytes" | "tokenizer">;

/** The beginning of a file: the bytes before its tensors, and how many the whole file has. */
export interface FileHeader {
  readonly header: Uint8Array;
  readonly bytes: number;
}

/** Reads the headers of a model's files; `chosen` is what was chosen when it was loaded. */
export async function modelOfHeaders(
  headers: readonly FileHeader[],
  chosen: Pick<Model, "context" | "residentBytes">,
): Promise<ModelFacts> {
  const gguf = parseGgufParts(headers.map(({ header, bytes }, index) => {
    const read = (target: Uint8Array, offset: number) => {
      const part = header.subarray(offset, Math.min(header.length, offset + target.length));
      target.set(part);
      return part.length;
    };
    return { name: `the header of file ${index + 1}`, size: bytes, read };
  }));
  const { context, residentBytes } = chosen;
  return { gguf, plan: planModel(gguf, { context }), context, residentBytes, tokenizer: await loadTokenizer(gguf) };
}
