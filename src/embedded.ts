/**
 * Where the model lies that comes with LightGPT: what `LightGPT.load()` and the command use when no file is named.
 *
 * @module
 */
import { fileURLToPath } from "node:url";

/** The path of the embedded model. */
export function embeddedModel(): string {
  return fileURLToPath(new URL("../models/tinytales-q4_0.gguf", import.meta.url));
}
