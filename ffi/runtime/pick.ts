/**
 * Which runtime this is.
 *
 * @module
 */
import { bun } from "./bun.ts";
import { deno } from "./deno.ts";
import type { Runtime } from "./types.ts";

/** The runtime that runs this program. */
export function currentRuntime(): Runtime {
  if ("Deno" in globalThis) return deno;
  if ("Bun" in globalThis) return bun;
  throw new Error("LightGPT runs on Deno 2.9 and on Bun 1.4, or newer; this is neither.");
}
