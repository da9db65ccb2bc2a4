/**
 * Records which types llama-quantize gives the tensors of models of several shapes, for `test/mixes.test.ts`:
 *
 *     bun bench/peers/mixes.ts LLAMA_QUANTIZE > mixes.json           # all shapes
 *     bun bench/peers/mixes.ts LLAMA_QUANTIZE gpt-oss > mixes.json   # this one anew, the others as they are
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { ImportanceMatrix } from "../../mod.ts";
import { VALUE_TYPE } from "../../src/files/gguf/metadata.ts";
import type { NewValue } from "../../src/files/gguf/encode.ts";
import { GgufWriter } from "../../src/files/gguf/write.ts";
import {
  comparedMixes,
  type MixRecord,
  type MixShape,
  mixShapes,
  tensorsOf,
  weighedMixes,
} from "../../test/mix-shapes.ts";

type Tensors = ReturnType<typeof tensorsOf>;

function writeModel(path: string, { architecture, numbers }: MixShape, tensors: Tensors): void {
  const metadata = new Map<string, NewValue>([
    ["general.architecture", { type: VALUE_TYPE.string, value: architecture }],
    ["tokenizer.ggml.model", { type: VALUE_TYPE.string, value: "no_vocab" }],
  ]);
  for (const [key, value] of Object.entries(numbers)) {
    const type = Number.isInteger(value) ? VALUE_TYPE.uint32 : VALUE_TYPE.float32;
    metadata.set(`${architecture}.${key}`, { type, value });
  }
  const values = tensors.map(({ dims }) => dims.reduce((product, size) => product * size, 1));
  const writer = new GgufWriter(
    path,
    metadata,
    tensors.map((tensor, index) => ({ ...tensor, type: 0, bytes: 4 * values[index]! })),
  );
  for (const count of values) {
    writer.write(new Uint8Array(Float32Array.from({ length: count }, (_, i) => Math.sin(i)).buffer));
  }
  writer.finish();
}

function writeImportances(path: string, tensors: Tensors): void {
  const entries = tensors.filter(({ dims }) => dims.length > 1).map(({ name, dims: [columns, , experts = 1] }) =>
    [name, { sums: new Float32Array(columns! * experts).fill(1), counts: new Float32Array(experts).fill(1) }] as const
  );
  new ImportanceMatrix(new Map(entries), { datasets: ["ones"], chunkCount: 1, chunkSize: 1 }).write(path);
}

/** The letter that stands for a type. */
function letterOf(type: string): string {
  if (!record.types.includes(type)) record.types.push(type);
  return String.fromCharCode(97 + record.types.indexOf(type));
}

const [program, ...names] = process.argv.slice(2);
if (program === undefined) throw new Error("usage: bun bench/peers/mixes.ts LLAMA_QUANTIZE [SHAPE ...]");
const folder = mkdtempSync(join(tmpdir(), "lightgpt-mixes-"));
const [model, importances] = ["model.gguf", "imatrix.gguf"].map((name) => join(folder, name));
const record: MixRecord = names.length === 0
  ? { types: [], shapes: {} }
  : JSON.parse(readFileSync(new URL("../../test/data/mixes.json", import.meta.url), "utf8"));
try {
  for (const shape of mixShapes.filter(({ name }) => names.length === 0 || names.includes(name))) {
    const tensors = tensorsOf(shape);
    writeModel(model!, shape, tensors);
    writeImportances(importances!, tensors);
    const ofShape: Record<string, string> = record.shapes[shape.name] = {};
    for (const mix of [...comparedMixes, ...weighedMixes.map((name) => `${name}+`)]) {
      const weighed = mix.endsWith("+") ? ["--imatrix", importances!] : [];
      // It tells what it would make, and makes nothing.
      const words = [...weighed, "--dry-run", model!, mix.replace("+", "").toUpperCase()];
      const { stdout, stderr } = spawnSync(program, words, { encoding: "utf8" });
      const made = new Map(
        Array.from(
          `${stdout}${stderr}`.matchAll(/^\[ *\d+\/ *\d+\] (\S+) .* type = +(\w+), size = [^(\n]*(?:\((\w+)\))?$/gm),
          ([, name, from, to]) => [name!, (to ?? from!).toLowerCase()],
        ),
      );
      ofShape[mix] = tensors.map(({ name }) => letterOf(made.get(name)!)).join("");
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
console.log(JSON.stringify(record));
