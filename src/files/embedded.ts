/**
 * Where the embedded model lies, which `LightGPT.load()` and the command use when no file is named.
 *
 * @module
 */
import { assetPath, fetchAsset } from "../../ffi/assets.ts";
import { currentRuntime } from "../../ffi/runtime/pick.ts";

const asset = "models/tinytales-q4_0.gguf";

/** The path of the embedded model in a package or a checkout. */
export function embeddedModel(): string {
  return assetPath(currentRuntime(), asset);
}

/** The same path; where LightGPT was imported from the net, the model is fetched first. */
export function fetchEmbeddedModel(): Promise<string> {
  return fetchAsset(currentRuntime(), asset);
}
