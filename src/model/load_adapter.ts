/**
 * Reads an adapter (LoRA) for a loaded model: a pair of narrow matrices is read, turned into floats and handed to native code, one
 * pair at a time, in slices of the event loop's time.
 *
 * @module
 */
import { localFile } from "../../ffi/assets.ts";
import { LightGPTError } from "../../ffi/errors.ts";
import { native } from "../../ffi/native.ts";
import { node } from "../../ffi/runtime/builtins.ts";
import { currentRuntime } from "../../ffi/runtime/pick.ts";
import type { AdapterHandle, ModelHandle } from "../../ffi/wire.ts";
import { assertUnchanged, type Gguf, readGguf, readTensor, type Tensor } from "../files/gguf/read.ts";
import { inSlices, type Sliceable } from "../options/sliced.ts";
import { planAdapter, type PlannedPair } from "./adapter_plan.ts";
import type { ModelPlan } from "./architectures/architectures.ts";

/** An adapter in native memory. */
export interface LoadedAdapter {
  readonly path: string;
  readonly handle: AdapterHandle;
  /** SHA-256 of all that it adds. */
  readonly identity: string;
  readonly bytes: number;
}

/** Reads the adapter at `path` for the model `handle` of `plan`, whose file is `file`. */
export async function loadAdapter(
  { handle: model, plan, file }: { readonly handle: ModelHandle; readonly plan: ModelPlan; readonly file: string },
  path: string,
  signal: AbortSignal | undefined,
): Promise<LoadedAdapter> {
  const gguf = readGguf(localFile(currentRuntime(), path));
  const pairs = planAdapter(gguf, plan, file);
  const handle = native().adapterOpen(model);
  try {
    const { identity, bytes } = await inSlices(fill(gguf, pairs, handle), signal);
    assertUnchanged(gguf);
    return { path, handle, identity, bytes };
  } catch (error) {
    native().adapterFree(handle);
    throw error;
  }
}

/** Gives all pairs to native code, one in a slice. */
function* fill(
  gguf: Gguf,
  pairs: readonly PlannedPair[],
  adapter: AdapterHandle,
): Sliceable<{ identity: string; bytes: number }> {
  const hash = node("node:crypto").createHash("sha256");
  let bytes = 0;
  for (const pair of pairs) {
    const { matrix: tensor, rank, factor, a, b, rows } = pair;
    const [valuesOfA, valuesOfB] = [floatsOf(gguf, a), floatsOf(gguf, b)];
    yield;
    const own = ownRows(valuesOfB, pair);
    hash.update(JSON.stringify({ tensor, rank, factor, rows })).update(valuesOfA).update(own);
    bytes += addPair(gguf, { adapter, tensor, rank, factor, a: valuesOfA, b: own }, a);
    yield;
  }
  return { identity: hash.digest("hex"), bytes };
}

/** The rows of B that belong to a pair's matrix; of a stack, those of each. */
function ownRows(all: Float32Array, { rank, firstRow, rows, slabs, allRows }: PlannedPair): Float32Array {
  if (rows === allRows) return all;
  const own = new Float32Array(rows * rank * slabs);
  for (let slab = 0; slab < slabs; slab++) {
    const first = (slab * allRows + firstRow) * rank;
    own.set(all.subarray(first, first + rows * rank), slab * rows * rank);
  }
  return own;
}

function addPair(gguf: Gguf, pair: Parameters<ReturnType<typeof native>["adapterAdd"]>[0], { name }: Tensor): number {
  try {
    return native().adapterAdd(pair);
  } catch (error) {
    if (!(error instanceof LightGPTError) || error.code !== "nonFinite") throw error;
    throw new LightGPTError("nonFinite", `${gguf.files[0]}: ${name} or its partner has values that are not finite.`, {
      what: "values that are not finite",
      where: name,
      expected: "finite values",
    }, { cause: error });
  }
}

/** The values of a tensor of any type that the library reads. */
function floatsOf(gguf: Gguf, tensor: Tensor): Float32Array {
  const blocks = readTensor(gguf, tensor);
  const values = new Float32Array(tensor.dims.reduce((product, size) => product * size, 1));
  native().dequantize({ format: tensor.type, blocks, values, threads: 1 });
  return values;
}
