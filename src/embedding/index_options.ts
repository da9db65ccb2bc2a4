/**
 * Options of an index of vectors: what users see, and the schemas of it.
 *
 * @module
 */
import { LIMITS } from "../../ffi/wire.ts";
import { threadsField } from "../engine/threads_option.ts";
import { refuseOption } from "../options/checks.ts";
import { abortSignal, choice, type FieldsOf, integer, other } from "../options/schema.ts";

/**
 * Options for an index of vectors.
 *
 * @example
 * ```ts
 * import { VectorIndex, type VectorIndexOptions } from "@lightgpt/lightgpt/embedding";
 *
 * const options: VectorIndexOptions = { dimensions: 384, kind: "int8" };
 * console.log(new VectorIndex(options).count); // 0
 * ```
 */
export interface VectorIndexOptions {
  /** Numbers of a vector. */
  readonly dimensions: number;
  /**
   * How rows are kept: as they are, as bytes with a scale each (a quarter of the memory), or as a bit a number (a 32nd).
   * @default {"f32"}
   */
  readonly kind?: "f32" | "int8" | "binary";
  /**
   * Threads that search.
   * @default {the processors that may be used}
   */
  readonly threads?: number;
}

/** The schema of {@link VectorIndexOptions}. */
export const vectorIndexFields = {
  dimensions: integer({ about: "Numbers of a vector.", least: 1, most: LIMITS.embeddingMax, required: true }),
  kind: choice(["f32", "int8", "binary"], { about: "How rows are kept.", default: "f32" }),
  threads: threadsField,
} as const satisfies FieldsOf<VectorIndexOptions>;

/**
 * Options for reading an index.
 *
 * @example
 * ```ts
 * import { type IndexLoadOptions, VectorIndex } from "@lightgpt/lightgpt/embedding";
 *
 * const options: IndexLoadOptions = { threads: 1 };
 * const saved = new VectorIndex({ dimensions: 2 }).save();
 * console.log((await VectorIndex.load(saved, options)).count); // 0
 * ```
 */
export type IndexLoadOptions = Pick<VectorIndexOptions, "threads">;

/** The schema of {@link IndexLoadOptions}. */
export const indexLoadFields = { threads: threadsField } as const satisfies FieldsOf<IndexLoadOptions>;

/**
 * Options for a search.
 *
 * @example
 * ```ts
 * import { type SearchOptions, VectorIndex } from "@lightgpt/lightgpt/embedding";
 *
 * const index = new VectorIndex({ dimensions: 2 });
 * const [first] = index.add([1, 0, 0, 1]);
 * const options: SearchOptions = { top: 1, filter: index.mask([first as number]) };
 * console.log(await index.search([0, 1], options)); // the first row alone may be given
 * ```
 */
export interface SearchOptions {
  /**
   * How many rows are wanted, the nearest first.
   * @default {10}
   */
  readonly top?: number;
  /**
   * The rows that may be given: those whose bit is set, bit `id` mod 32 of word `id` / 32. Rows beyond it may not.
   * @default {all}
   */
  readonly filter?: Uint32Array;
  /** Ends the search, within some milliseconds. */
  readonly signal?: AbortSignal;
}

/** The schema of {@link SearchOptions}. */
export const searchFields = {
  top: integer({ about: "How many rows are wanted.", least: 1, most: LIMITS.searchWantedMax, default: 10 }),
  filter: other<Uint32Array>()(
    { about: "The rows that may be given.", expected: "a Uint32Array", otherwise: "all" },
    (value, name) => value instanceof Uint32Array ? value : refuseOption(name, "a Uint32Array, a bit a row", value),
  ),
  signal: abortSignal("Ends the search, within some milliseconds."),
} as const satisfies FieldsOf<SearchOptions>;
