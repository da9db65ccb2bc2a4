/**
 * Adapters (LoRA) with random values for any model file, and the same model with an adapter merged into its weights.
 *
 * @module
 */
import { writeFileSync } from "node:fs";
import { encodeGguf, type NewTensor } from "../scripts/gguf-writer.ts";
import { readGguf } from "../mod.ts";
import { planModel } from "../src/model/architectures/architectures.ts";
import { f32, randomNumbers, text, type Values } from "./models.ts";

/** What an adapter is like. */
export interface AdapterShape {
  readonly rank: number;
  readonly alpha: number;
  readonly seed: number;
  /** The tensors of the model that it changes; default: all matrices of layers. */
  readonly only?: RegExp;
  /** Metadata besides, or instead; `undefined` leaves a key out. */
  readonly values?: Record<string, Values[string] | undefined>;
}

/** Metadata and tensors of an adapter for the model in `model`. */
export function adapterOf(model: string, shape: AdapterShape): {
  values: Map<string, Values[string]>;
  tensors: NewTensor[];
} {
  const gguf = readGguf(model);
  const plan = planModel(gguf);
  const { rank, alpha, only = /^blk\./ } = shape;
  const random = randomNumbers(shape.seed);
  const bell = () => (random(1 << 16) + random(1 << 16) + random(1 << 16) - 3 * 2 ** 15) / 2 ** 15;
  const values: Record<string, Values[string] | undefined> = {
    "general.type": text("adapter"),
    "general.architecture": text(plan.hyperparameters.architecture),
    "adapter.type": text("lora"),
    "adapter.lora.alpha": f32(alpha),
    ...shape.values,
  };
  const tensors: NewTensor[] = [];
  for (const { name, dims: [columns = 1, rows = 1, ...stacked] } of gguf.tensors.values()) {
    if (!only.test(name) || !name.endsWith(".weight") || rows === 1) continue;
    const add = (half: string, pair: number[], spread: number) => {
      const dims = [...pair, ...stacked];
      const length = dims.reduce((product, size) => product * size, 1);
      const data = Float32Array.from({ length }, () => spread * bell());
      tensors.push({ name: `${name}.${half}`, type: 0, dims, data: new Uint8Array(data.buffer) });
    };
    add("lora_a", [columns, rank], 1 / Math.sqrt(columns));
    add("lora_b", [rank, rows], 0.5 / Math.sqrt(rank));
  }
  return {
    values: new Map(Object.entries(values).filter((entry): entry is [string, Values[string]] => !!entry[1])),
    tensors,
  };
}

/** Writes the adapter to `path`. */
export function writeAdapter(path: string, model: string, shape: AdapterShape): string {
  const { values, tensors } = adapterOf(model, shape);
  writeFileSync(path, encodeGguf(values, tensors));
  return path;
}

/** The tensors of a model of F32 with `scale` times an adapter added to its weights, in f64 and rounded once. */
export function merged(model: readonly NewTensor[], adapter: readonly NewTensor[], scale: number): NewTensor[] {
  const floats = ({ data }: NewTensor) => new Float32Array(data.buffer, data.byteOffset, data.length / 4);
  return model.map((tensor) => {
    const [a, b] = ["lora_a", "lora_b"].map((half) => adapter.find(({ name }) => name === `${tensor.name}.${half}`));
    if (a === undefined || b === undefined) return tensor;
    const [columns, rank] = a.dims as [number, number];
    const [valuesOfA, valuesOfB] = [floats(a), floats(b)];
    const sums = Float64Array.from(floats(tensor));
    const rows = b.dims[1] as number;
    for (let row = 0; row < rows * (b.dims[2] ?? 1); row++) {
      const slab = Math.floor(row / rows);
      for (let k = 0; k < rank; k++) {
        const weight = scale * (valuesOfB[row * rank + k] as number);
        for (let column = 0; column < columns; column++) {
          sums[row * columns + column] += weight * (valuesOfA[(slab * rank + k) * columns + column] as number);
        }
      }
    }
    return { ...tensor, data: new Uint8Array(Float32Array.from(sums).buffer) };
  });
}
