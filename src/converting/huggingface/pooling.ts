/**
 * What a folder says beside the model of how a text's vector is made: `modules.json` of sentence-transformers. A step that a file has
 * no place for is refused by name.
 *
 * @module
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ModelFormatError, UnsupportedError } from "../../../ffi/errors.ts";
import { readFailure } from "../../../ffi/system_errors.ts";
import type { NewValue } from "../../files/gguf/encode.ts";
import { isObject, JsonFile } from "./json.ts";
import { u32 } from "./own_keys.ts";

const modulesName = "modules.json";
const jsonMost = 1 << 20;

/** Poolings: their names in the folder, the keys of older folders, which have one for each, and their numbers in a file. */
const POOLINGS = [
  { name: "mean", key: "pooling_mode_mean_tokens", number: 1 },
  { name: "cls", key: "pooling_mode_cls_token", number: 2 },
  { name: "lasttoken", key: "pooling_mode_lasttoken", number: 3 },
] as const;
const others = ["max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens"].map((name) => `pooling_mode_${name}`);
/** Steps that need no place: the model itself, and the length of 1, which callers ask for. */
const silent = /\.(Transformer|Normalize)$/;

/** The pooling of a folder, where it names one; and what a user should know. */
export function poolingOf(path: string): { readonly pooling?: NewValue; readonly warnings: string[] } {
  const file = join(path, modulesName);
  if (!existsSync(file)) return { warnings: [] };
  const modules = readModules(file);
  const foreign = modules.find(({ type }) => !silent.test(type) && !type.endsWith(".Pooling"));
  if (foreign !== undefined) throw unsupported(file, foreign.type, "Transformer, Pooling, Normalize");
  const pooling = modules.find(({ type }) => type.endsWith(".Pooling"));
  if (pooling === undefined) return { warnings: [] };
  const config = JsonFile.read(join(path, pooling.path, "config.json"), jsonMost);
  if (config === undefined) {
    const missing = join(path, pooling.path, "config.json");
    return {
      warnings: [`${missing} is missing, which ${modulesName} names: the file will not say how a vector is pooled.`],
    };
  }
  const named = config.text("pooling_mode");
  const flagged = () => POOLINGS.filter(({ key }) => config.flag(key, false)).map(({ name }) => name);
  const chosen: readonly string[] = named === undefined ? flagged() : [named];
  const found = POOLINGS.find(({ name }) => name === chosen[0]);
  const [other] = others.filter((key) => config.flag(key, false));
  if (found === undefined || chosen.length > 1 || other !== undefined) {
    throw unsupported(join(path, pooling.path), other ?? chosen.join(" and "), "one of mean, cls, lasttoken");
  }
  return { pooling: u32(found.number), warnings: [] };
}

/** The steps; their folders are beside the file, whatever they say. */
function readModules(file: string): { readonly type: string; readonly path: string }[] {
  const list = listIn(file);
  const isModule = (one: unknown): one is { readonly type: string; readonly path: string } =>
    isObject(one) && typeof one.type === "string" && typeof one.path === "string" && /^[\w.-]*$/.test(one.path);
  if (Array.isArray(list) && list.every(isModule)) return list;
  throw new ModelFormatError(`${file}: it is damaged; expected an array of { type, path }`, { field: modulesName });
}

/** What a file has as JSON; undefined where it has none. */
function listIn(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, "utf8").slice(0, jsonMost));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw readFailure(file, error, "a file that may be read");
  }
}

function unsupported(file: string, got: string, expected: string): UnsupportedError {
  return new UnsupportedError(`${file}: ${got} is not supported; expected ${expected}.`, {
    what: "an unsupported way to a vector",
    where: file,
    expected,
    got,
  });
}
