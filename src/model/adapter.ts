/**
 * Adapters (LoRA) of a loaded model, whose packed weights stay as they are. A sequence says which adapters it uses; what tells
 * their effect from another's goes into the salt of its prefixes. `load_adapter.ts` reads their files.
 *
 * @module
 */
import { InvalidArgumentError } from "../../ffi/errors.ts";
import { native } from "../../ffi/native.ts";
import type { AdapterHandle, ModelHandle } from "../../ffi/wire.ts";
import type { AskedAdapter } from "./adapter_options.ts";
import type { ModelPlan } from "./architectures/architectures.ts";
import type { LoadedAdapter } from "./load_adapter.ts";

/** The adapters of one sequence. */
export interface AdapterUse {
  /** Native adapters and their scales, none of which is 0, in the order in which they are added. */
  readonly list: readonly { readonly handle: AdapterHandle; readonly scale: number }[];
  /** Tells it from every other use of adapters, in this process and in others. Empty where there are none. */
  readonly key: string;
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
    if (asked.length === 0) return new Adapters(loaded, asked);
    const { loadAdapter } = await import("./load_adapter.ts");
    try {
      for (const { path } of asked) loaded.push(await loadAdapter(model, path, signal));
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
