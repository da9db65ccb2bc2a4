/**
 * Where the model lies that comes with LightGPT: what `LightGPT.load()` and the command use when no file is named.
 *
 * @module
 */
import { assetPath, fetchAsset } from "../../ffi/assets.ts";
import { currentRuntime } from "../../ffi/runtime/pick.ts";

const asset = "models/tinytales-q4_0.gguf";

/** The path of the embedded model, where it need not be fetched. */
export function embeddedModel(): string {
  return assetPath(currentRuntime(), asset);
}

/** The same, after fetching it where LightGPT was imported from the net. */
export function fetchEmbeddedModel(): Promise<string> {
  return fetchAsset(currentRuntime(), asset);
}
