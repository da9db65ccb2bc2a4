/**
 * Vectors kept for search: exact, for all rows are scored, in native code, as fast as memory gives them. Rows lie in segments of some
 * megabytes, so that an index grows without being copied, and a search lets the event loop go on between them. What a row is made of
 * is in `index_rows.ts`, the file of an index in `index_file.ts`.
 *
 * @module
 */
import { InvalidArgumentError } from "../../ffi/errors.ts";
import { native } from "../../ffi/native.ts";
import { threadsOption } from "../engine/threads_option.ts";
import { checkInteger, guarded, refuseOption } from "../options/checks.ts";
import { showAsLine } from "../options/inspect.ts";
import { readOptions } from "../options/schema.ts";
import { inSlices, type Sliceable } from "../options/sliced.ts";
import { IndexRows, type QueryRow } from "./index_rows.ts";
import {
  indexLoadFields,
  type IndexLoadOptions,
  searchFields,
  type SearchOptions,
  vectorIndexFields,
  type VectorIndexOptions,
} from "./index_options.ts";
import { readIndex, writeIndex } from "./index_file.ts";

/**
 * A row that a search has found.
 *
 * @example
 * ```ts
 * import { type SearchHit, VectorIndex } from "@lightgpt/lightgpt/embedding";
 *
 * const index = new VectorIndex({ dimensions: 2 });
 * index.add(Float32Array.of(1, 0));
 * const [hit]: SearchHit[] = await index.search([1, 0]);
 * console.log(hit); // { id: 0, score: 1 }
 * ```
 */
export interface SearchHit {
  /** What {@link VectorIndex.add} gave the row. */
  readonly id: number;
  /** Its product with the query: of vectors of length 1, the cosine; of bits, the share that is the same less the share that is not. */
  readonly score: number;
}

/**
 * Vectors by number, and the nearest to a query.
 *
 * @example
 * ```ts
 * import { Embedder, VectorIndex } from "@lightgpt/lightgpt/embedding";
 *
 * await using embedder = await Embedder.load("model.gguf");
 * const texts = ["a cat on a mat", "a train in the rain"];
 * const vectors = await embedder.embed(texts, { pooling: "mean" });
 * const index = new VectorIndex({ dimensions: vectors.dimensions, kind: "int8" });
 * const ids = index.add(vectors.data);
 * const query = await embedder.embed("a kitten", { pooling: "mean" });
 * for (const { id, score } of await index.search(query.row(0), { top: 1 })) console.log(texts[ids.indexOf(id)], score);
 * ```
 */
export class VectorIndex {
  static {
    showAsLine(VectorIndex, ({ kind, dimensions, count }) => ({ kind, dimensions, count }));
  }
  /** Threads that search. */
  readonly threads: number;
  readonly #rows: IndexRows;
  /** Searches and saves that are under way: rows must stay as they are. */
  #readers = 0;

  /**
   * An empty index.
   *
   * @throws {InvalidArgumentError} where an option is wrong
   */
  constructor(options: VectorIndexOptions) {
    const { dimensions, kind, threads } = readOptions(vectorIndexFields, options);
    if (kind === "binary" && dimensions % 8 !== 0) refuseOption("dimensions", "a multiple of 8 for binary", dimensions);
    this.threads = threadsOption(threads);
    this.#rows = new IndexRows(kind, dimensions);
  }

  /** How rows are kept. */
  get kind(): "f32" | "int8" | "binary" {
    return this.#rows.kind;
  }

  /** Numbers of a vector. */
  get dimensions(): number {
    return this.#rows.dimensions;
  }

  /** Rows that are there. */
  get count(): number {
    return this.#rows.count;
  }

  /** Bytes of memory that rows lie in. */
  get bytes(): number {
    return this.#rows.bytes;
  }

  /**
   * Adds vectors, which lie one after the other. Numbers of rows that were removed are given again.
   *
   * @param vectors numbers, a multiple of `dimensions` of them
   * @returns the number of each, by which it is found and removed
   * @throws {InvalidArgumentError} where one is not finite, or while a search runs; nothing is added then
   */
  add(vectors: ArrayLike<number>): Uint32Array {
    this.#assertStill();
    return this.#rows.add(vectors);
  }

  /**
   * Removes rows.
   *
   * @param ids a number, or several
   * @throws {InvalidArgumentError} where there is no such row, or while a search runs; nothing is removed then
   */
  remove(ids: number | Iterable<number>): void {
    this.#assertStill();
    const list = typeof ids === "number" ? [ids] : this.#listOf(ids);
    const seen = new Set<number>();
    list.forEach((id, index) => {
      if (seen.has(id) || !this.#rows.has(id)) refuseOption(`ids[${index}]`, "a row that is there, once", id);
      seen.add(id);
    });
    for (const id of list) this.#rows.remove(id);
  }

  /**
   * Whether there is such a row.
   *
   * @param id its number
   * @returns whether it was added, and not removed since
   */
  has(id: number): boolean {
    return Number.isInteger(id) && this.#rows.has(id);
  }

  /**
   * A row as numbers; of bytes and bits what they stand for, 1 and -1 for bits.
   *
   * @param id its number
   * @returns a copy, `dimensions` numbers
   * @throws {InvalidArgumentError} where there is no such row
   */
  vector(id: number): Float32Array {
    checkInteger("id", id, 0, 2 ** 32 - 1);
    if (!this.#rows.has(id)) refuseOption("id", "a row that is there", id);
    return this.#rows.vector(id);
  }

  /**
   * A filter for {@link VectorIndex.search}: the bits of these rows are set, bit `id` mod 32 of word `id` / 32.
   *
   * @param ids the numbers of the rows that may be given
   * @returns a bit for each row
   * @throws {InvalidArgumentError} where there is no such row
   */
  mask(ids: Iterable<number>): Uint32Array {
    const mask = new Uint32Array(Math.ceil(this.#rows.slots / 32));
    this.#listOf(ids).forEach((id, index) => {
      if (!this.#rows.has(id)) refuseOption(`ids[${index}]`, "a row that is there", id);
      mask[id >>> 5] = (mask[id >>> 5] as number) | 1 << (id & 31);
    });
    return mask;
  }

  /**
   * The rows that are nearest to a query, the nearest first; of equal scores, the lower number first. Every row is looked at, so
   * nothing is missed.
   *
   * @param query as many numbers as a row has
   * @param options how many are wanted, and which may be given
   * @returns at most `top` rows
   * @throws {InvalidArgumentError} where the query does not fit, or is not finite
   */
  async search(query: ArrayLike<number>, options: SearchOptions = {}): Promise<SearchHit[]> {
    const { top, filter, signal } = readOptions(searchFields, options);
    const row = this.#rows.queryOf(query);
    this.#readers++;
    try {
      return await inSlices(this.#search(row, top, filter), signal);
    } finally {
      this.#readers--;
    }
  }

  /** The bytes of a file with all of it, which {@link VectorIndex.load} reads; while they are taken, nothing can be changed. */
  async *save(): AsyncGenerator<Uint8Array, void, void> {
    this.#readers++;
    try {
      yield* writeIndex(this.#rows);
    } finally {
      this.#readers--;
    }
  }

  /**
   * Reads what {@link VectorIndex.save} gave.
   *
   * @param source the bytes in pieces, such as a file's stream
   * @returns the index, with the same numbers for its rows
   * @throws {ModelFormatError} where it is damaged, or no index
   */
  static async load(
    source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    options: IndexLoadOptions = {},
  ): Promise<VectorIndex> {
    const { threads } = readOptions(indexLoadFields, options);
    const rows = await readIndex(source);
    const { kind, dimensions } = rows;
    const index = new VectorIndex({ kind, dimensions, ...(threads === undefined ? {} : { threads }) });
    index.#rows.takeOver(rows);
    return index;
  }

  *#search({ bytes, scale }: QueryRow, top: number, filter: Uint32Array | undefined): Sliceable<SearchHit[]> {
    const { dimensions, kind, threads } = this;
    const wanted = Math.min(top, Math.max(1, this.count));
    const words = new Uint32Array(2 * wanted);
    const scores = new Float32Array(words.buffer);
    let nearest: SearchHit[] = [];
    for (const { first, rows, data, scalesAt, live } of this.#rows.segments) {
      const mask = live.slice();
      if (filter !== undefined) mask.forEach((word, index) => mask[index] = word & (filter[first / 32 + index] ?? 0));
      const count = native().search({
        kind,
        dimensions,
        rows,
        wanted,
        threads,
        queryScale: scale,
        scalesAt,
        data,
        query: bytes,
        mask,
        results: words,
      });
      const found = Array.from({ length: count }, (_, at) => (
        { id: first + (words[2 * at] as number), score: scores[2 * at + 1] as number }
      ));
      nearest = nearest.length === 0 ? found : merged(nearest, found).slice(0, wanted);
      yield;
    }
    return nearest;
  }

  #listOf(ids: Iterable<number>): number[] {
    const list = guarded("ids", () => {
      const isMany = ids !== null && typeof ids === "object" && Symbol.iterator in ids;
      return isMany ? Array.from(ids) : refuseOption("ids", "the number of a row, or several", ids);
    });
    list.forEach((id, index) => checkInteger(`ids[${index}]`, id, 0, 2 ** 32 - 1));
    return list;
  }

  /** Rows that are read must not move. */
  #assertStill(): void {
    if (this.#readers === 0) return;
    throw new InvalidArgumentError(
      `index: ${this.#readers} searches or saves are under way; expected them to have ended before it is changed.`,
      { what: "a change while the index is read", where: "index", expected: "no search or save under way" },
    );
  }
}

/** Two lists in order as one; all of the first have lower numbers. */
function merged(a: readonly SearchHit[], b: readonly SearchHit[]): SearchHit[] {
  return [...a, ...b].sort((one, other) => other.score - one.score || one.id - other.id);
}
