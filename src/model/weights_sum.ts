/**
 * The sum of a model's files: what tells its weights from all others.
 *
 * @module
 */
import { node } from "../../ffi/runtime/builtins.ts";
import type { Model } from "./model.ts";

/** The SHA-256 of all files, one behind the other, as hexadecimal digits. */
export async function weightsSum({ files }: Model["gguf"]): Promise<string> {
  const { createHash } = await import("node:crypto"); // slow to load, and few ask for it
  const hash = createHash("sha256");
  for (const file of files) {
    for await (const chunk of node("node:fs").createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk);
  }
  return hash.digest("hex");
}
