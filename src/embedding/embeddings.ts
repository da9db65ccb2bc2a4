/**
 * What embedding gives: the vectors of many texts in one block of memory, and how much was read.
 *
 * @module
 */
import { checkInteger } from "../options/checks.ts";
import { showAsLine } from "../options/inspect.ts";

/**
 * Vectors of texts, one after the other.
 *
 * @example
 * ```ts
 * import { Embedder, type Embeddings } from "@lightgpt/lightgpt/embedding";
 *
 * await using embedder = await Embedder.load("model.gguf");
 * const vectors: Embeddings = await embedder.embed(["one", "two"], { pooling: "mean" });
 * for (const vector of vectors) console.log(vector.length);
 * ```
 */
export class Embeddings implements Iterable<Float32Array> {
  static {
    showAsLine(Embeddings, ({ count, dimensions, tokens }) => ({ count, dimensions, tokens }));
  }
  /** All numbers: those of text i begin at i * `dimensions`; with the pooling `none`, the rows of each text follow one another. */
  readonly data: Float32Array;
  /** Numbers of a vector, or of a row. */
  readonly dimensions: number;
  /** How many texts there are. */
  readonly count: number;
  /** Tokens of all of them. */
  readonly tokens: number;
  readonly #starts: readonly number[];

  /** Texts whose numbers begin at `starts`, the end of the last one included. */
  constructor(data: Float32Array, dimensions: number, starts: readonly number[], tokens: number) {
    this.data = data;
    this.dimensions = dimensions;
    this.count = starts.length - 1;
    this.tokens = tokens;
    this.#starts = starts;
  }

  /** The vector of text `index`, a view of the block; with the pooling `none`, its rows. */
  row(index: number): Float32Array {
    checkInteger("index", index, 0, this.count - 1);
    return this.data.subarray(this.#starts[index], this.#starts[index + 1]);
  }

  /** The vectors, in the order of the texts. */
  *[Symbol.iterator](): Iterator<Float32Array> {
    for (let index = 0; index < this.count; index++) yield this.row(index);
  }
}
