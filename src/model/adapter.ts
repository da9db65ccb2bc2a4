/**
 * Adapters (LoRA) of a loaded model. A pair of narrow matrices is read, turned into floats and handed to native code, one
 * pair at a time, in slices of the event loop's time; the model's packed weights stay as they are. A sequence says which
 * adapters it uses; what tells their effect from another's goes into the salt of its prefixes.
 *
 * @module
 */
import { InvalidArgumentError, LightGPTError } from "../../ffi/errors.ts";
import { localFile } from "../../ffi/assets.ts";
import { native } from "../../ffi/native.ts";
import { node } from "../../ffi/runtime/builtins.ts";
import { currentRuntime } from "../../ffi/runtime/pick.ts";
import type { AdapterHandle, ModelHandle } from "../../ffi/wire.ts";
import { assertUnchanged, type Gguf, readGguf, readTensor, type Tensor } from "../files/gguf/read.ts";
import { inSlices, type Sliceable } from "../machine/sliced.ts";
import type { AskedAdapter } from "./adapter_options.ts";
import { planAdapter, type PlannedPair } from "./adapter_plan.ts";
import type { ModelPlan } from "./architectures/architectures.ts";

/** The adapters of one sequence. */
export interface AdapterUse {
  /** Native adapters and their scales, none of which is 0, in the order in which they are added. */
  readonly list: readonly { readonly handle: AdapterHandle; readonly scale: number }[];
  /** Tells it from every other use of adapters, in this process and in others. Empty where there are none. */
  readonly key: string;
}

/** An adapter in native memory. */
interface LoadedAdapter {
  readonly path: string;
  readonly handle: AdapterHandle;
  /** SHA-256 of all that it adds. */
  readonly identity: string;
  readonly bytes: number;
}

/** A use of no adapters. */
const none: AdapterUse = { list: [], key: "" };

/** Frees what lost adapters hold: the net below `dispose`. */
const lost = new FinalizationRegistry<readonly AdapterHandle[]>((handles) => {
  for (const handle of handles) native().adapterFree(handle);
});

/** The adapters that were loaded with a model. */
export class Adapters {
  /** What sequences use that say nothing. */
  readonly usual: AdapterUse;
  /** Bytes of memory that all of them take. */
  readonly bytes: number;
  readonly #loaded: LoadedAdapter[];

  private constructor(loaded: LoadedAdapter[], asked: readonly AskedAdapter[]) {
    this.#loaded = loaded;
    this.bytes = loaded.reduce((sum, { bytes }) => sum + bytes, 0);
    this.usual = this.use(asked, "adapters");
    if (loaded.length > 0) lost.register(this, loaded.map(({ handle }) => handle), this);
  }

  /** Loads the adapters that were asked for with the model `handle` of `plan`, whose file is `file`. */
  static async load(
    model: { readonly handle: ModelHandle; readonly plan: ModelPlan; readonly file: string },
    asked: readonly AskedAdapter[],
    signal?: AbortSignal,
  ): Promise<Adapters> {
    const loaded: LoadedAdapter[] = [];
    try {
      for (const { path } of asked) loaded.push(await loadOne(model, path, signal));
      return new Adapters(loaded, asked);
    } catch (error) {
      for (const { handle } of loaded) native().adapterFree(handle);
      throw error;
    }
  }

  /** What a sequence that asks for these adapters uses; `name` names the option in errors. */
  use(asked: readonly AskedAdapter[] | undefined, name: string): AdapterUse {
    if (asked === undefined) return this.usual;
    const found = asked.map(({ path, scale }, index) => ({
      adapter: this.#find(path, `${name}[${index}].path`),
      scale,
    }));
    const used = found.map(({ adapter, scale }) => ({ adapter, scale: Math.fround(scale) }))
      .filter(({ scale }) => scale !== 0);
    if (used.length === 0) return none;
    return {
      list: used.map(({ adapter: { handle }, scale }) => ({ handle, scale })),
      key: used.map(({ adapter: { identity }, scale }) => `${identity}*${scale}`).join("+"),
    };
  }

  /** Frees them. Again is fine. */
  dispose(): void {
    lost.unregister(this);
    for (const { handle } of this.#loaded.splice(0)) native().adapterFree(handle);
  }

  #find(path: string, name: string): LoadedAdapter {
    const found = this.#loaded.find((adapter) => adapter.path === path);
    if (found !== undefined) return found;
    const known = this.#loaded.map((adapter) => JSON.stringify(adapter.path)).join(", ");
    const expected = known === "" ? "none, for no adapter was loaded with the model" : `one that was loaded: ${known}`;
    throw new InvalidArgumentError(`${name}: expected ${expected}, got ${JSON.stringify(path)}.`, {
      what: "an adapter that was not loaded",
      where: name,
      expected,
      got: path,
    });
  }
}

async function loadOne(
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
  for (const { matrix: tensor, rank, factor, a, b, firstRow, rows } of pairs) {
    const [valuesOfA, valuesOfB] = [floatsOf(gguf, a), floatsOf(gguf, b)];
    yield;
    const own = valuesOfB.subarray(firstRow * rank, (firstRow + rows) * rank);
    hash.update(JSON.stringify({ tensor, rank, factor, rows })).update(valuesOfA).update(own);
    bytes += addPair(gguf, { adapter, tensor, rank, factor, a: valuesOfA, b: own }, a);
    yield;
  }
  return { identity: hash.digest("hex"), bytes };
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
