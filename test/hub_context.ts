/**
 * What tests of fetching share: a context that asks a hub on loopback and keeps files in a scratch folder, with little patience.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { currentRuntime } from "../ffi/runtime/pick.ts";
import type { Runtime } from "../ffi/runtime/types.ts";
import { hubContext, usualPatience } from "../src/files/hub/environment.ts";
import { findModel } from "../src/files/hub/find_model.ts";
import { parseModelName } from "../src/files/hub/names.ts";
import type { HubContext, Patience } from "../src/files/hub/types.ts";

/** Little patience, and small pieces. */
export const hasty: Patience = {
  ...usualPatience,
  answerMs: 300,
  stallMs: 200,
  triesMost: 3,
  pauseMs: 1,
  waitMostSeconds: 2,
  pieceLeast: 64 * 1024,
  pieceMost: 256 * 1024,
};

/** A context whose folders lie in `folder`. */
export function contextIn(folder: string, endpoint: string, more: Partial<HubContext> = {}): HubContext {
  return hubContext({
    signal: undefined,
    onProgress: undefined,
    endpoint,
    token: undefined,
    isOffline: false,
    hubFolder: join(folder, "hub"),
    ownFolder: join(folder, "models"),
    patience: hasty,
    ...more,
  });
}

/** Finds a model by its name. */
export async function find(context: HubContext, name: string, refresh = false): Promise<string> {
  return await findModel(context, parseModelName(name, context.endpoint), refresh);
}

/** Bytes that begin like a GGUF file and go on at random. */
export function randomFile(bytes: number, seed: string): Uint8Array {
  const whole = new Uint8Array(bytes);
  let sum = new Uint8Array(createHash("sha512").update(seed).digest());
  for (let at = 0; at < bytes; at += sum.length) {
    if (at % 4096 === 0) sum = new Uint8Array(createHash("sha512").update(sum).digest());
    else sum = sum.map((byte, index) => byte * 5 + index + at / 64);
    whole.set(sum.subarray(0, bytes - at), at);
  }
  whole.set(new TextEncoder().encode("GGUF"));
  return whole;
}

/** This runtime with another environment. */
export function runtimeWith(variables: Readonly<Record<string, string>>): Runtime {
  return { ...currentRuntime(), platform: "linux", variable: (name) => variables[name] };
}

/** Writes a file, and makes its folder; gives its path. */
export function write(path: string, bytes: Uint8Array | string): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
  return path;
}
