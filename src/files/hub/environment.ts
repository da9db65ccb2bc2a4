/**
 * Where models are looked for and kept, as the environment says it: the variables of Hugging Face's own tools, so that what one
 * tool has fetched the others find.
 *
 * @module
 */
import { existsSync, readFileSync, statfsSync } from "node:fs";
import { dirname, join } from "node:path";
import { cacheDirectory, homeDirectory } from "../../../ffi/cache_directory.ts";
import { currentRuntime } from "../../../ffi/runtime/pick.ts";
import type { Runtime } from "../../../ffi/runtime/types.ts";
import { refuseOption } from "../../options/checks.ts";
import type { HubContext, Patience } from "./types.ts";

/** Hugging Face's own address. */
export const hubAddress = "https://huggingface.co";

/** What a download has patience for: a slow line, not a dead one. */
export const usualPatience: Patience = {
  answerMs: 10_000,
  stallMs: 30_000,
  triesMost: 5,
  pauseMs: 500,
  waitMostSeconds: 120,
  connections: 4,
  pieceLeast: 8 * 2 ** 20,
  pieceMost: 128 * 2 ** 20,
};

/** The values that Hugging Face's tools take for yes. */
const yes = new Set(["1", "true", "yes", "on"]);

/** What the environment says. */
export function hubContext(
  asked: Pick<HubContext, "signal" | "onProgress"> & Partial<HubContext>,
  runtime: Runtime = currentRuntime(),
): HubContext {
  const variable = (name: string) => runtime.variable(name) || undefined;
  return {
    endpoint: endpointOf(variable("HF_ENDPOINT")),
    token: tokenOf(runtime),
    isOffline: ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"].some((name) => yes.has((variable(name) ?? "").toLowerCase())),
    hubFolder: hubFolder(runtime),
    ownFolder: variable("LIGHTGPT_MODELS") ?? join(cacheDirectory(runtime), "models"),
    patience: usualPatience,
    freeBytes,
    ...asked,
  };
}

function endpointOf(text: string | undefined): string {
  if (text === undefined) return hubAddress;
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol) || url.search !== "" || url.hash !== "") {
    return refuseOption("HF_ENDPOINT", "the address of a hub, such as https://hf-mirror.com", text);
  }
  return url.href.replace(/\/+$/, "");
}

/** The folder of Hugging Face's cache: the same on all systems. */
function hubFolder(runtime: Runtime): string {
  const variable = (name: string) => runtime.variable(name) || undefined;
  return variable("HF_HUB_CACHE") ?? variable("HUGGINGFACE_HUB_CACHE") ?? join(huggingFaceHome(runtime), "hub");
}

function huggingFaceHome(runtime: Runtime): string {
  const named = runtime.variable("HF_HOME");
  if (named) return named;
  const shared = runtime.variable("XDG_CACHE_HOME");
  return join(shared?.startsWith("/") ? shared : join(homeDirectory(runtime), ".cache"), "huggingface");
}

/** The token of the environment, else that which `hf auth login` has kept. */
function tokenOf(runtime: Runtime): HubContext["token"] {
  for (const name of ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]) {
    const value = runtime.variable(name)?.trim();
    if (value) return { value: checkedToken(value, name), from: name };
  }
  const path = runtime.variable("HF_TOKEN_PATH") || join(huggingFaceHome(runtime), "token");
  if (!runtime.allows("read", path) || !existsSync(path)) return undefined;
  const value = readFileSync(path, "utf8").trim();
  return value === "" ? undefined : { value: checkedToken(value, path), from: path };
}

/** A token goes into a header: what ends a line there would begin another header. */
function checkedToken(value: string, from: string): string {
  if (!/^[\x21-\x7e]+$/.test(value)) {
    refuseOption(from, "a token of letters, digits and signs", `${value.length} characters with others among them`);
  }
  return value;
}

/** Bytes free on the disk of a folder, or of the nearest one above it that exists. */
function freeBytes(folder: string): number | undefined {
  let existing = folder;
  while (!existsSync(existing) && dirname(existing) !== existing) existing = dirname(existing);
  try {
    const { bavail, bsize } = statfsSync(existing);
    return bavail * bsize;
  } catch (error) {
    if (error instanceof Error) return undefined; // not told here; a write that fails will be
    throw error;
  }
}
