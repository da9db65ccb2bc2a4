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

/** How a folder's vectors are made. */
export interface FolderPooling {
  /** Its number in a file, where the folder names one. */
  readonly pooling?: NewValue;
  /** The folders of the matrices behind it, in their order. */
  readonly dense: readonly string[];
  /** What a user should know. */
  readonly warnings: readonly string[];
}

/** The pooling of a folder; `hasDense`: the architecture has two matrices behind it. */
export function poolingOf(path: string, hasDense: boolean): FolderPooling {
  const file = join(path, modulesName);
  if (!existsSync(file)) return { dense: [], warnings: [] };
  const modules = readModules(file);
  const isDense = ({ type }: Module) => hasDense && type.endsWith(".Dense");
  const foreign = modules.find((one) => !silent.test(one.type) && !one.type.endsWith(".Pooling") && !isDense(one));
  if (foreign !== undefined) {
    throw unsupported(file, foreign.type, `Transformer, Pooling, ${hasDense ? "Dense, " : ""}Normalize`);
  }
  const dense = modules.filter(isDense).map((one) => one.path);
  if (dense.length !== 0 && dense.length !== 2) {
    throw unsupported(file, `${dense.length} of Dense`, "two of them, or none");
  }
  for (const folder of dense) refuseForeignDense(join(path, folder));
  const pooling = modules.find(({ type }) => type.endsWith(".Pooling"));
  if (pooling === undefined) return { dense, warnings: [] };
  const config = JsonFile.read(join(path, pooling.path, "config.json"), jsonMost);
  if (config === undefined) {
    const missing = join(path, pooling.path, "config.json");
    return {
      dense,
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
  return { pooling: u32(found.number), dense, warnings: [] };
}

/** A matrix alone is what a file has a place for. */
function refuseForeignDense(path: string): void {
  const config = JsonFile.read(join(path, "config.json"), jsonMost);
  const activation = config?.text("activation_function") ?? "torch.nn.modules.activation.Tanh";
  if (!activation.endsWith(".Identity")) throw unsupported(path, activation, "Identity as activation_function");
  if (config?.flag("bias", true) !== false) throw unsupported(path, "a bias", "bias false");
}

/** A step of a folder. */
interface Module {
  readonly type: string;
  readonly path: string;
}

/** The steps; their folders are beside the file, whatever they say. */
function readModules(file: string): Module[] {
  const list = listIn(file);
  const isModule = (one: unknown): one is Module =>
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
