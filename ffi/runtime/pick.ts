/**
 * Which runtime this is.
 *
 * @module
 */
import { UnsupportedError } from "../errors.ts";
import { bun } from "./bun.ts";
import { deno } from "./deno.ts";
import { hasForeignFunctions, nodeRuntime } from "./node.ts";
import type { Runtime } from "./types.ts";

/** The runtime that runs this program. */
export function currentRuntime(): Runtime {
  if ("Deno" in globalThis) return deno;
  if ("Bun" in globalThis) return bun;
  const problem = unsupportedRuntime();
  if (problem === undefined) return nodeRuntime;
  throw new UnsupportedError(problem, { what: "a runtime that LightGPT does not run on" });
}

/** Why LightGPT does not run here, as a sentence; undefined where it does. */
export function unsupportedRuntime(): string | undefined {
  if ("Deno" in globalThis || "Bun" in globalThis || hasForeignFunctions()) return undefined;
  const { process } = globalThis as { readonly process?: { readonly versions?: { readonly node?: string } } };
  const version = process?.versions?.node;
  const found = version === undefined ? "none of them" : `Node ${version}`;
  return `LightGPT runs on Deno 2.9, Bun 1.4 and Node 26.10, or newer; this is ${found}.`;
}
