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
  const warnings = warningsOfExperts(importance, jobs);
  if (missing.length === 0) return warnings;
  return [
    ...warnings,
    `the importance matrix says nothing of ${missing.length} tensors (${missing[0]}${
      missing.length > 1 ? ", ..." : ""
    }): ` +
    "their columns count all the same.",
  ];
}

/** The matrices of a stack, by number, of which nothing is known: experts that no text reached. */
export function unreachedOf(
  { name, dims }: SourceTensor,
  importance: ReadonlyMap<string, Float32Array> | undefined,
): number[] {
  const weights = importance?.get(name);
  const [columns, , ...stack] = dims;
  const count = stack.reduce((product, size) => product * size, 1);
  if (weights === undefined || stack.length === 0 || weights.length !== columns * count) return [];
  return Array.from({ length: count }, (_, matrix) => matrix)
    .filter((matrix) => weights.subarray(matrix * columns, (matrix + 1) * columns).every((weight) => weight === 0));
}

function warningsOfExperts(importance: ReadonlyMap<string, Float32Array>, jobs: readonly Job[]): string[] {
  const found = jobs.filter(({ tensor, format }) => format.id !== tensor.type && format.blockElements > 1)
    .map(({ tensor }) => ({ name: tensor.name, experts: unreachedOf(tensor, importance) }))
    .filter(({ experts }) => experts.length > 0);
  if (found.length === 0) return [];
  const [{ name, experts }] = found;
  const shown = experts.length > 8
    ? `${experts.slice(0, 8).join(", ")} and ${experts.length - 8} more`
    : experts.join(", ");
  const others = found.length > 1 ? `, and of ${found.length - 1} more tensors` : "";
  return [`no text reached experts ${shown} of ${name}${others}: they get plain rounding.`];
}
