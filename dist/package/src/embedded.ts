/**
 * Where the model lies that comes with LightGPT: what `LightGPT.load()` and the command use when no file is named.
 *
 * @module
 */
import { fetchAsset } from "../ffi/assets.ts";
import { currentRuntime } from "../ffi/runtime.ts";

const asset = "models/tinytales-q4_0.gguf";

/** The path of the embedded model, which is fetched first where LightGPT was imported from the net. */
export function embeddedModel(): Promise<string> {
  return fetchAsset(currentRuntime(), asset);
}
