/**
 * Checks whether an importance matrix fits a file's tensors, and which matrices it leaves out.
 *
 * @module
 */
import type { TensorFormat } from "../files/formats.ts";
import { refuseOption } from "../options/checks.ts";
import type { SourceTensor } from "./weight_source.ts";

/** A tensor, and the format that it gets. */
interface Job {
  readonly tensor: SourceTensor;
  readonly format: TensorFormat;
}

/** Tensors that llama.cpp's importance matrices leave out; their absence is no reason for a warning. */
const usuallyAbsent = /^(token_embd|output)\.weight$/;

/** Throws where sizes or names are those of another model; returns warnings. */
export function checkImportances(importance: ReadonlyMap<string, Float32Array>, jobs: readonly Job[]): string[] {
  const missing: string[] = [];
  let found = 0;
  for (const { tensor: { name, dims, type }, format } of jobs) {
    const weights = importance.get(name);
    const rounded = format.id !== type && format.blockElements > 1;
    if (weights === undefined) {
      if (rounded && !usuallyAbsent.test(name)) missing.push(name);
      continue;
    }
    found++;
    const [columns, , ...stack] = dims;
    const expected = stack.reduce((product, size) => product * size, columns);
    if (weights.length !== expected) {
      const parts = stack.length > 0 ? `, ${columns} for each of its matrices` : "";
      refuseOption(`importance of ${name}`, `${expected} floats${parts}, as in this model`, `${weights.length}`);
    }
  }
  if (found === 0) {
    const [first] = importance.keys();
    refuseOption("importance", "names of this model's tensors", first === undefined ? "none" : `${first} and others`);
  }
  if (missing.length === 0) return [];
  return [
    `the importance matrix says nothing of ${missing.length} tensors (${missing[0]}${
      missing.length > 1 ? ", ..." : ""
    }): ` +
    "their columns count all the same.",
  ];
}
