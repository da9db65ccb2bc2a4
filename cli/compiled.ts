/**
 * What Node compiles of the command is kept for its next start: compiling is a good part of the way to a first token there. Deno and
 * Bun keep theirs by themselves.
 *
 * @module
 */
import { cacheDirectory } from "../ffi/cache_directory.ts";
import { node } from "../ffi/runtime/builtins.ts";
import { currentRuntime } from "../ffi/runtime/pick.ts";

/**
 * Has Node keep what it compiles from here on, in a folder of the user's only, for what is in it is run. `NODE_COMPILE_CACHE` and
 * `NODE_DISABLE_COMPILE_CACHE` mean what they mean to Node.
 */
export function keepCompiled(): void {
  if ("Deno" in globalThis || "Bun" in globalThis) return;
  const runtime = currentRuntime();
  try {
    const folder = node("node:path").join(cacheDirectory(runtime), "node");
    node("node:fs").mkdirSync(folder, { recursive: true, mode: 0o700 });
    if (runtime.files.privacy(folder) === "private") node("node:module").enableCompileCache(folder);
  } catch {
    // Where no folder can be made, the next start takes as long as this one.
  }
}
