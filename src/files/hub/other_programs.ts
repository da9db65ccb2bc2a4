/**
 * Models that Ollama and LM Studio have fetched: found in their folders, read, and never written.
 *
 * @module
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { LightGPTError } from "../../../ffi/errors.ts";
import { homeDirectory } from "../../../ffi/cache_directory.ts";
import { currentRuntime } from "../../../ffi/runtime/pick.ts";
import type { Runtime } from "../../../ffi/runtime/types.ts";
import { choose, noneFits } from "./choose.ts";
import { type CachedFile, filesBelow } from "./layout.ts";
import type { ModelName } from "./names.ts";

/** A model of another program. */
export interface OtherModel {
  /** What it is called here: `ollama:qwen3:0.6b`. */
  readonly name: string;
  readonly location: string;
  readonly bytes: number;
}

/** The kind of a layer that is a model, in Ollama's manifests. */
const modelLayer = "application/vnd.ollama.image.model";

/** Ollama's folder: named, of this user, or of the service that its installer makes. */
function ollamaFolder(runtime: Runtime): string {
  const named = runtime.variable("OLLAMA_MODELS");
  if (named) return named;
  const own = join(homeDirectory(runtime), ".ollama", "models");
  const service = "/usr/share/ollama/.ollama/models";
  return existsSync(own) || !existsSync(service) ? own : service;
}

/** The file of a model of Ollama's. */
export function findOllama(
  { host, path, tag }: Extract<ModelName, { readonly kind: "ollama" }>,
  runtime = currentRuntime(),
): string {
  const folder = ollamaFolder(runtime);
  const manifest = join(folder, "manifests", host, ...path.split("/"), tag);
  const file = existsSync(manifest) ? blobOf(folder, manifest) : undefined;
  if (file !== undefined) return file.location;
  const names = ollamaModels(runtime).map(({ name }) => name);
  const name = ollamaText(host, path, tag);
  const expected = names.length === 0
    ? "`ollama pull` first, or its folder in OLLAMA_MODELS"
    : `one of ${names.join(", ")}`;
  throw new LightGPTError("io", `${name}: Ollama has no such model in ${folder}; expected ${expected}.`, {
    what: "no such model of Ollama's",
    where: folder,
    expected,
  });
}

/** All models of Ollama's. */
export function ollamaModels(runtime: Runtime = currentRuntime()): OtherModel[] {
  const folder = ollamaFolder(runtime);
  return filesBelow(join(folder, "manifests")).flatMap(({ path, location }) => {
    const parts = path.split("/");
    const [host, tag] = [parts[0], parts.at(-1)];
    const file = blobOf(folder, location);
    if (parts.length < 3 || host === undefined || tag === undefined || file === undefined) return [];
    return [{ name: ollamaText(host, parts.slice(1, -1).join("/"), tag), ...file }];
  });
}

function ollamaText(host: string, path: string, tag: string): string {
  const isOwn = host === "registry.ollama.ai";
  return `ollama:${isOwn ? path.replace(/^library\//, "") : `${host}/${path}`}${tag === "latest" ? "" : `:${tag}`}`;
}

/** The model's file by a manifest; undefined where it has none, or names no blob. */
function blobOf(folder: string, manifest: string): Pick<OtherModel, "location" | "bytes"> | undefined {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(manifest, "utf8"));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined; // some other file
    throw error;
  }
  const { layers } = (value ?? {}) as { readonly layers?: unknown };
  for (const layer of Array.isArray(layers) ? layers : []) {
    const { mediaType, digest } = (layer ?? {}) as Readonly<Record<string, unknown>>;
    const [, sum] = typeof digest === "string" && /^sha256:([\da-f]{64})$/.exec(digest) || [];
    if (mediaType !== modelLayer || sum === undefined) continue;
    const location = join(folder, "blobs", `sha256-${sum}`);
    const status = statSync(location, { throwIfNoEntry: false });
    if (status?.isFile()) return { location, bytes: status.size };
  }
  return undefined;
}

/** LM Studio's folders: the one of its settings, today's and yesterday's. */
function studioFolders(runtime: Runtime): string[] {
  const home = homeDirectory(runtime);
  const settings = join(home, ".lmstudio", "settings.json");
  const usual = [join(home, ".lmstudio", "models"), join(home, ".cache", "lm-studio", "models")];
  if (!existsSync(settings)) return usual;
  try {
    const { downloadsFolder } = JSON.parse(readFileSync(settings, "utf8")) as { readonly downloadsFolder?: unknown };
    return typeof downloadsFolder === "string" ? [downloadsFolder, ...usual] : usual;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return usual; // LM Studio writes it just now
    throw error;
  }
}

function studioFiles(runtime: Runtime): CachedFile[] {
  return studioFolders(runtime).flatMap((folder) => filesBelow(folder)).filter(({ path }) => /\.gguf$/i.test(path));
}

/** The file of a model of LM Studio's. */
export function findLmStudio(
  { repository, ...wanted }: Extract<ModelName, { readonly kind: "lmstudio" }>,
  runtime = currentRuntime(),
): string {
  const place = `lmstudio:${repository}`;
  const begin = `${repository}/`.toLowerCase();
  const all = studioFiles(runtime);
  const files = all.filter(({ path }) => path.toLowerCase().startsWith(begin))
    .map((file) => ({ ...file, path: file.path.slice(begin.length) }));
  const found = choose(files, wanted, place)?.files[0];
  if (found !== undefined) return found.location;
  if (files.length > 0) throw noneFits(files, wanted, place);
  const names = [...new Set(all.map(({ path }) => path.split("/").slice(0, 2).join("/")))];
  const expected = names.length === 0
    ? "one that LM Studio has fetched"
    : `one of ${names.map((name) => `lmstudio:${name}`).join(", ")}`;
  throw new LightGPTError("io", `${place}: LM Studio has no such model; expected ${expected}.`, {
    what: "no such model of LM Studio's",
    where: studioFolders(runtime)[0] as string,
    expected,
  });
}

/** All models of LM Studio's. */
export function lmStudioModels(runtime: Runtime = currentRuntime()): OtherModel[] {
  return studioFiles(runtime).map(({ path, location, bytes }) => ({ name: `lmstudio:${path}`, location, bytes }));
}
