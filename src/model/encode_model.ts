/**
 * A model in the words that native code reads (`ffi/wire_calls.ts`): sizes and traits, layers, where each tensor lies
 * in which file. Everything was checked by `planModel`; the library checks all of it again.
 *
 * @module
 */
import {
  putModelFile,
  putModelHeader,
  putModelLayer,
  putModelPacking,
  putModelRotation,
  putModelTensor,
} from "../../ffi/wire_calls.ts";
import type { Packing } from "../../ffi/wire.ts";
import { Words } from "../../ffi/words.ts";
import type { ModelPlan } from "./architectures/architectures.ts";

/** The beginning of a description, up to the layers: what their sizes follow from. */
export function describeLayers({ hyperparameters, tensors }: ModelPlan, files = 1): Words<"model"> {
  const { perLayer, rotations, ...sizes } = hyperparameters;
  const words = new Words("model", 1024);
  putModelHeader(words, { ...sizes, files, tensors: tensors.length, rotations: rotations.length });
  for (const rotation of rotations) putModelRotation(words, rotation);
  for (const layer of perLayer) putModelLayer(words, layer);
  return words;
}

/** What native code does with packed weights, and the path that it takes for it; none where it packs into memory. */
export interface PackingPlace {
  readonly packing: Packing;
  readonly path: string;
}

/** The description of a planned model whose tensors lie in `files`. */
export function describeModel(
  plan: ModelPlan,
  files: readonly string[],
  { packing, path }: PackingPlace = { packing: "memory", path: "" },
): Words<"model"> {
  const words = describeLayers(plan, files.length);
  for (const { role, layer, tensor, columns, rows, slabs, scale, ...place } of plan.tensors) {
    const [format, file] = [tensor.type, tensor.file];
    const [offset, stride, bytes] = [BigInt(place.offset), BigInt(place.stride), BigInt(place.bytes)];
    putModelTensor(words, { role, layer, format, file, columns, rows, slabs, scale, offset, stride, bytes });
  }
  for (const file of files) {
    const path = new TextEncoder().encode(file);
    putModelFile(words, { pathBytes: path.length });
    words.bytes(path);
  }
  const packed = new TextEncoder().encode(path);
  putModelPacking(words, { packing, pathBytes: packed.length });
  if (packed.length > 0) words.bytes(packed);
  return words;
}
