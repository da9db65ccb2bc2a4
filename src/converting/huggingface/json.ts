/**
 * JSON files of a model's folder: read with a limit, and asked for values by name and type. They are untrusted, so nothing is
 * taken from a prototype, and what is wrong is told with the file and the key.
 *
 * @module
 */
import { readFileSync, statSync } from "node:fs";
import { basename } from "node:path";
import { ModelFormatError, UnsupportedError } from "../../../ffi/errors.ts";
import { readFailure } from "../../../ffi/system_errors.ts";

/** An object of a JSON file. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Whether a value is an object, and no array. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A JSON file, or the value of one of its keys. */
export class JsonFile {
  readonly #path: string;
  readonly #prefix: string;
  readonly #values: JsonObject;
  readonly #aliases: Readonly<Record<string, string>>;

  constructor(path: string, values: JsonObject, prefix = "", aliases: Readonly<Record<string, string>> = {}) {
    this.#path = path;
    this.#prefix = prefix;
    this.#values = values;
    this.#aliases = aliases;
  }

  /** The same, asked for by other names than its own: `aliases` has its own name for each. */
  renamed(aliases: Readonly<Record<string, string>>): JsonFile {
    return new JsonFile(this.#path, this.#values, this.#prefix, aliases);
  }

  /** Reads a file of at most `bytesMost` bytes; undefined where there is none. */
  static read(path: string, bytesMost: number): JsonFile | undefined {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found === undefined) return undefined;
    if (!found.isFile() || found.size > bytesMost) {
      throw new ModelFormatError(`${path}: expected a JSON file of at most ${bytesMost} bytes, got ${found.size}`, {
        field: basename(path),
        expected: `at most ${bytesMost} bytes`,
      });
    }
    let values: unknown;
    try {
      values = parsePython(new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(path)));
    } catch (cause) {
      if (cause instanceof Error && "code" in cause && typeof cause.code === "string" && /^E[A-Z]+$/.test(cause.code)) {
        throw readFailure(path, cause, "a JSON file that may be read");
      }
      throw new ModelFormatError(`${path}: it is no whole JSON file; expected one (${cause})`, {
        field: basename(path),
        expected: "a JSON file",
      }, { cause });
    }
    if (!isObject(values)) {
      throw new ModelFormatError(`${path}: it holds no object; expected one`, { field: basename(path) });
    }
    return new JsonFile(path, values);
  }

  /** The value of a key that is its own and not null. */
  get(key: string): unknown {
    const own = this.#ownName(key);
    return Object.hasOwn(this.#values, own) ? this.#values[own] ?? undefined : undefined;
  }

  /** Whether a key is there, if null. */
  has(key: string): boolean {
    return Object.hasOwn(this.#values, this.#ownName(key));
  }

  #ownName(key: string): string {
    return Object.hasOwn(this.#aliases, key) ? this.#aliases[key] as string : key;
  }

  /** Its keys and values. */
  entries(): [string, unknown][] {
    return Object.entries(this.#values);
  }

  /** A whole number; `fallback` stands for an absent one. */
  count(key: string, { least = 1, most = 2 ** 31 - 1, fallback }: {
    readonly least?: number;
    readonly most?: number;
    readonly fallback?: number | undefined;
  } = {}): number {
    const value = this.get(key) ?? fallback;
    if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return value;
    throw this.wrong(key, `a whole number from ${least} to ${most}`);
  }

  /** A finite number above 0; `fallback` stands for an absent one. */
  positive(key: string, fallback?: number): number {
    const value = this.get(key) ?? fallback;
    if (typeof value === "number" && value > 0 && value < Infinity) return value;
    throw this.wrong(key, "a number above 0");
  }

  /** A boolean; `fallback` stands for an absent one. */
  flag(key: string, fallback: boolean): boolean {
    const value = this.get(key) ?? fallback;
    if (typeof value === "boolean") return value;
    throw this.wrong(key, "true or false");
  }

  /** A string, or undefined. */
  text(key: string): string | undefined {
    const value = this.get(key);
    if (value === undefined || typeof value === "string") return value;
    throw this.wrong(key, "a string");
  }

  /** An array, or undefined. */
  list(key: string): readonly unknown[] | undefined {
    const value = this.get(key);
    if (value === undefined || Array.isArray(value)) return value;
    throw this.wrong(key, "an array");
  }

  /** An object, or undefined; what it lacks is as in `defaults`. */
  object(key: string, defaults: JsonObject = {}): JsonFile | undefined {
    const value = this.get(key);
    if (value === undefined) return undefined;
    if (!isObject(value)) throw this.wrong(key, "an object");
    return new JsonFile(this.#path, { ...defaults, ...value }, `${this.#prefix}${key}.`);
  }

  /** The error for a key whose value is wrong or missing. */
  wrong(key: string, expected: string): ModelFormatError {
    const got = shown(this.get(key));
    const name = `${this.#prefix}${this.#ownName(key)}`;
    return new ModelFormatError(`${this.#path}: ${name} is ${got}; expected ${expected}`, {
      field: name,
      expected,
      got,
    });
  }

  /** The error for a key whose value is right but not supported. */
  unsupported(key: string, expected: string): UnsupportedError {
    const got = shown(this.get(key));
    const name = `${this.#prefix}${this.#ownName(key)}`;
    return new UnsupportedError(
      `${this.#path}: ${name} is ${got}, which is not supported; expected ${expected}.`,
      { what: "an unsupported setting", where: name, expected, got },
    );
  }
}

/**
 * JSON as Python writes it, with the numbers `NaN`, `Infinity` and `-Infinity`, also in the objects `{ "__float__": "NaN" }` that
 * Transformers puts in their place.
 */
function parsePython(text: string): unknown {
  if (!text.includes('"__float__"')) {
    try {
      return JSON.parse(text);
    } catch (error) {
      if (!/NaN|Infinity/.test(text)) throw error;
    }
  }
  // Strings are matched too, so that nothing inside them is.
  const quoted = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\bInfinity\b|\bNaN\b/g;
  const plain = text.replace(quoted, (found) => found.startsWith('"') ? found : `{"__float__":"${found}"}`);
  return JSON.parse(plain, (_, value) => {
    if (!isObject(value) || !Object.hasOwn(value, "__float__") || Object.keys(value).length !== 1) return value;
    const number = PYTHON_FLOATS.get(value.__float__);
    if (number === undefined) throw new SyntaxError(`__float__ is ${shown(value.__float__)}`);
    return number;
  });
}

const PYTHON_FLOATS: ReadonlyMap<unknown, number> = new Map([["NaN", NaN], ["Infinity", Infinity], [
  "-Infinity",
  -Infinity,
]]);

function shown(value: unknown): string {
  const isNumber = typeof value === "number";
  const text = value === undefined ? "absent" : isNumber ? String(value) : JSON.stringify(value) ?? String(value);
  return text.length > 200 ? `${text.slice(0, 200)}...` : text;
}
