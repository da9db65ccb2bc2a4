/**
 * The metadata of a file: keys in a Map (never as paths of an object), values as offsets into the header's bytes and
 * decoded when asked for, so a vocabulary of 200 000 strings costs nothing until the tokenizer reads it. The typed
 * getters throw an error that names the key and its byte.
 *
 * @module
 */
import { given } from "../../options/schema.ts";
import { ModelFormatError, UnsupportedError } from "../../../ffi/errors.ts";
import { checkInteger, checkText } from "../../options/checks.ts";

/**
 * A value of the metadata. Integers are numbers where these are exact, else bigints.
 *
 * @example
 * ```ts
 * import { type MetadataValue, readGguf } from "@lightgpt/lightgpt";
 *
 * const values: [string, MetadataValue][] = [...readGguf("model.gguf").metadata.entries()];
 * console.log(values.map(([key]) => key));
 * ```
 */
export type MetadataValue = number | bigint | boolean | string | MetadataArray;

/** The types of metadata values, by their names in the format. */
export const VALUE_TYPE = {
  uint8: 0,
  int8: 1,
  uint16: 2,
  int16: 3,
  uint32: 4,
  int32: 5,
  float32: 6,
  bool: 7,
  string: 8,
  array: 9,
  uint64: 10,
  int64: 11,
  float64: 12,
} as const;

/** Bytes of a value by type; a string's and an array's depend on what they hold. */
export const VALUE_BYTES: readonly (number | undefined)[] = [1, 1, 2, 2, 4, 4, 4, 1, , , 8, 8, 8];

const VALUE_NAMES = Object.keys(VALUE_TYPE);
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** The name of a value type, or its number. */
export function valueTypeName(type: number): string {
  return VALUE_NAMES[VALUE_NAMES.findIndex((name) => VALUE_TYPE[name as keyof typeof VALUE_TYPE] === type)] ??
    `number ${type}`;
}

/** A string's length, which lies before its bytes. */
export const LENGTH_BYTES = 8;

/**
 * The strings of an array where they lie.
 */
export interface StringTable {
  /** The bytes that hold all of them. */
  readonly bytes: Uint8Array;
  /**
   * The first byte of each, and one more: string `i` goes from `starts[i]` to `starts[i + 1] - LENGTH_BYTES`, since the
   * next one's length comes between.
   */
  readonly starts: Uint32Array;
}

/**
 * An array of the metadata, decoded as it is read.
 *
 * @example
 * ```ts
 * import { MetadataArray, readGguf } from "@lightgpt/lightgpt";
 *
 * const tokens = readGguf("model.gguf").metadata.get("tokenizer.ggml.tokens");
 * if (tokens instanceof MetadataArray) console.log(tokens.length, tokens.at(0));
 * ```
 */
export class MetadataArray implements Iterable<MetadataValue> {
  /** The type of its elements, a `VALUE_TYPE`. */
  readonly elementType: number;
  /** How many there are. */
  readonly length: number;
  readonly #view: DataView;
  readonly #offset: number;
  readonly #starts: Uint32Array | undefined;

  /** The array whose elements begin at `offset` of `view`, strings at `starts`; the parser has checked them. */
  constructor(view: DataView, elementType: number, length: number, offset: number, starts?: Uint32Array) {
    this.#view = view;
    this.#starts = starts;
    this.elementType = elementType;
    this.length = length;
    this.#offset = offset;
  }

  /** Element `index`. */
  at(index: number): MetadataValue {
    checkInteger("index", index, 0, this.length - 1);
    if (this.elementType === VALUE_TYPE.string) {
      const { bytes, starts } = this.strings();
      return decoder.decode(bytes.subarray(starts[index], starts[index + 1] - LENGTH_BYTES));
    }
    return readScalar(this.#view, this.elementType, this.#offset + index * (VALUE_BYTES[this.elementType] ?? 0));
  }

  /** The elements in order. */
  *[Symbol.iterator](): IterableIterator<MetadataValue> {
    for (let index = 0; index < this.length; index++) yield this.at(index);
  }

  /**
   * Where the strings of a string array lie.
   *
   * @ignore
   */
  strings(): StringTable {
    if (this.#starts === undefined) throw new TypeError("Not an array of strings");
    const { buffer, byteOffset, byteLength } = this.#view;
    return { bytes: new Uint8Array(buffer, byteOffset, byteLength), starts: this.#starts };
  }

  /** The bytes of all elements, as the file has them: strings with their lengths in front. Not a copy. */
  encoded(): Uint8Array {
    const bytes = this.#starts === undefined
      ? this.length * (VALUE_BYTES[this.elementType] ?? 0)
      : this.#starts[this.length] - LENGTH_BYTES - this.#offset;
    return new Uint8Array(this.#view.buffer, this.#view.byteOffset + this.#offset, bytes);
  }

  /** The elements of an array of f32, as a copy. */
  floats(): Float32Array {
    return new Float32Array(this.#copy());
  }

  /** The elements of an array of i32, as a copy. */
  integers(): Int32Array {
    return new Int32Array(this.#copy());
  }

  /** The elements of an array of bytes, signed or not, as a view; undefined where they are none. */
  octets(): Uint8Array | undefined {
    if (VALUE_BYTES[this.elementType] !== 1 || this.elementType === VALUE_TYPE.bool) return undefined;
    return new Uint8Array(this.#view.buffer, this.#view.byteOffset + this.#offset, this.length);
  }

  /** The bytes of elements of four bytes each. The machines that we run on are little-endian, as the file is. */
  #copy(): ArrayBuffer {
    const start = this.#view.byteOffset + this.#offset;
    return new Uint8Array(this.#view.buffer, start, 4 * this.length).slice().buffer;
  }
}

/**
 * The range of a number in the metadata.
 *
 * @example
 * ```ts
 * import { type NumberRules, readGguf } from "@lightgpt/lightgpt";
 *
 * const rules: NumberRules = { least: 1, most: 1024, fallback: 1 };
 * console.log(readGguf("model.gguf").metadata.count("general.quantization_version", rules));
 * ```
 */
export interface NumberRules {
  /** The least that is right. */
  readonly least?: number;
  /** The most that is right. */
  readonly most?: number;
  /** The value of an absent key; without it an absent key is an error. */
  readonly fallback?: number;
}

/**
 * The metadata of a model file.
 *
 * @example
 * ```ts
 * import { type Metadata, readGguf } from "@lightgpt/lightgpt";
 *
 * const metadata: Metadata = readGguf("model.gguf").metadata;
 * console.log(metadata.text("general.architecture"), metadata.has("tokenizer.chat_template"));
 * ```
 */
export class Metadata {
  readonly #name: string;
  readonly #index = new Map<string, number>();
  readonly #types: number[] = [];
  readonly #offsets: number[] = [];
  readonly #starts: (Uint32Array | undefined)[] = [];
  #view: DataView = new DataView(new ArrayBuffer(0));

  /** The metadata of the file called `name`. */
  constructor(name: string) {
    this.#name = name;
  }

  /** How many keys there are. */
  get size(): number {
    return this.#index.size;
  }

  /**
   * Notes a value; the parser has checked everything.
   *
   * @param key its name
   * @param type a `VALUE_TYPE`
   * @param offset its first byte in the header
   * @param starts where its strings are, if it is an array of them
   */
  add(key: string, type: number, offset: number, starts: Uint32Array | undefined): void {
    this.#index.set(key, this.#types.length);
    this.#types.push(type);
    this.#offsets.push(offset);
    this.#starts.push(starts);
  }

  /** Gives the header's bytes, to which all offsets refer. */
  seal(bytes: Uint8Array): void {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Whether the key is there. */
  has(key: string): boolean {
    return this.#index.has(key);
  }

  /** The keys in the order of the file. */
  keys(): IterableIterator<string> {
    return this.#index.keys();
  }

  /** Key and value of everything, in the order of the file. */
  *entries(): IterableIterator<[string, MetadataValue]> {
    for (const [key, index] of this.#index) yield [key, this.#value(index)];
  }

  /** The value of a key, or undefined. */
  get(key: string): MetadataValue | undefined {
    checkText("key", key);
    const index = this.#index.get(key);
    return index === undefined ? undefined : this.#value(index);
  }

  /** Where the value of a key lies in the file. */
  offsetOf(key: string): number | undefined {
    const index = this.#index.get(key);
    return index === undefined ? undefined : this.#offsets[index];
  }

  /** The type of a key's value (a `VALUE_TYPE`), or undefined. */
  typeOf(key: string): number | undefined {
    const index = this.#index.get(key);
    return index === undefined ? undefined : this.#types[index];
  }

  /** A string; `fallback` stands for an absent key, which else is an error. */
  text(key: string, fallback?: string): string {
    const value = this.get(key) ?? fallback;
    if (typeof value !== "string") throw this.wrongType(key, "a string");
    return value;
  }

  /** A boolean; `fallback` stands for an absent key. */
  flag(key: string, fallback: boolean): boolean {
    const value = this.get(key) ?? fallback;
    if (typeof value !== "boolean") throw this.wrongType(key, "a bool");
    return value;
  }

  /** The whole number of `key`, of any integer type. */
  count(key: string, { least = 1, most = 2 ** 32 - 1, fallback }: NumberRules = {}): number {
    const value = this.get(key) ?? fallback;
    const type = this.typeOf(key);
    const integer = type !== VALUE_TYPE.float32 && type !== VALUE_TYPE.float64;
    if ((typeof value !== "number" && typeof value !== "bigint") || !integer) {
      throw this.wrongType(key, "a whole number");
    }
    if (value < least || value > most) throw this.wrong(key, `a whole number from ${least} to ${most}`, `${value}`);
    return Number(value);
  }

  /** The finite number of `key`, of any type. */
  number(key: string, { least = -Infinity, most = Infinity, fallback }: NumberRules = {}): number {
    const value = this.get(key) ?? fallback;
    if (typeof value !== "number" && typeof value !== "bigint") throw this.wrongType(key, "a number");
    const number = Number(value);
    if (!Number.isFinite(number) || number < least || number > most) {
      throw this.wrong(key, least >= 0 ? "a finite number that is not negative" : "a finite number", `${value}`);
    }
    return number;
  }

  /** The finite number of `key`, above 0; `fallback` stands for an absent key. */
  positive(key: string, fallback?: number): number {
    const value = this.number(key, fallback === undefined ? {} : { fallback });
    if (!(value > 0)) throw this.wrong(key, "a number above 0", `${value}`);
    return value;
  }

  /** An array whose elements are of the type `elementType` (a `VALUE_TYPE`), or undefined where the key is absent. */
  array(key: string, elementType: number): MetadataArray | undefined {
    const value = this.get(key);
    if (value === undefined) return undefined;
    if (!(value instanceof MetadataArray) || value.elementType !== elementType) {
      throw this.wrongType(key, `an array of ${valueTypeName(elementType)}`);
    }
    return value;
  }

  /** The error for a key that is absent or of the wrong type; `expected` says which is right. */
  wrongType(key: string, expected: string): ModelFormatError {
    const type = this.typeOf(key);
    if (type === undefined) {
      return new ModelFormatError(`${this.#name}: the metadata key ${key} is missing; it should be ${expected}`, {
        field: key,
        expected,
        got: "nothing",
      });
    }
    const value = this.get(key);
    const got = value instanceof MetadataArray
      ? `an array of ${valueTypeName(value.elementType)}`
      : `a value of type ${valueTypeName(type)}`;
    return this.wrong(key, expected, got);
  }

  /** The error for a key whose value, `got`, is wrong; `expected` says what is right. */
  wrong(key: string, expected: string, got: string): ModelFormatError {
    const offset = this.offsetOf(key);
    const where = offset === undefined ? "" : ` (byte ${offset})`;
    return new ModelFormatError(`${this.#name}: the metadata key ${key} is ${got}; expected ${expected}${where}`, {
      field: key,
      ...given({ offset }),
      expected,
      got,
    });
  }

  /** The error for a key whose value, `got`, is right, but not supported; `expected` says what is. */
  unsupported(key: string, expected: string, got: string): UnsupportedError {
    const offset = this.offsetOf(key);
    const where = offset === undefined ? "" : ` (byte ${offset})`;
    return new UnsupportedError(
      `${this.#name}: the metadata key ${key} is ${got}, which is not supported; expected ${expected}${where}`,
      { what: "a trait of a model that is not supported", where: key, expected, got },
    );
  }

  #value(index: number): MetadataValue {
    const type = this.#types[index];
    const offset = this.#offsets[index];
    const view = this.#view;
    if (type === VALUE_TYPE.string) {
      const bytes = new Uint8Array(view.buffer, view.byteOffset + offset + 8, view.getUint32(offset, true));
      return decoder.decode(bytes);
    }
    if (type === VALUE_TYPE.array) {
      const [elementType, length] = [view.getUint32(offset, true), view.getUint32(offset + 4, true)];
      return new MetadataArray(view, elementType, length, offset + 12, this.#starts[index]);
    }
    return readScalar(view, type, offset);
  }
}

function readScalar(view: DataView, type: number, offset: number): number | bigint | boolean {
  switch (type) {
    case VALUE_TYPE.uint8:
      return view.getUint8(offset);
    case VALUE_TYPE.int8:
      return view.getInt8(offset);
    case VALUE_TYPE.uint16:
      return view.getUint16(offset, true);
    case VALUE_TYPE.int16:
      return view.getInt16(offset, true);
    case VALUE_TYPE.uint32:
      return view.getUint32(offset, true);
    case VALUE_TYPE.int32:
      return view.getInt32(offset, true);
    case VALUE_TYPE.float32:
      return view.getFloat32(offset, true);
    case VALUE_TYPE.bool:
      return view.getUint8(offset) !== 0;
    case VALUE_TYPE.uint64:
      return shorten(view.getBigUint64(offset, true));
    case VALUE_TYPE.int64:
      return shorten(view.getBigInt64(offset, true));
    default:
      return view.getFloat64(offset, true);
  }
}

function shorten(value: bigint): number | bigint {
  return BigInt.asIntN(53, value) === value ? Number(value) : value;
}
