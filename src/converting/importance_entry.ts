/**
 * One matrix of an importance matrix, as both of its file formats hold it.
 *
 * @module
 */

/**
 * What an {@link ImportanceMatrix} knows of one tensor.
 *
 * @example
 * ```ts
 * import { type ImportanceEntry, ImportanceMatrix } from "@lightgpt/lightgpt";
 *
 * const entry: ImportanceEntry = { sums: new Float32Array(256).fill(8), counts: Float32Array.of(8) };
 * const matrix = new ImportanceMatrix(new Map([["blk.0.attn_q.weight", entry]]));
 * console.log(matrix.columns().get("blk.0.attn_q.weight")?.[0]); // 1
 * ```
 */
export interface ImportanceEntry {
  /** The sum of squares of each column; of a stack of matrices, one after the other. */
  readonly sums: Float32Array;
  /** Over how many rows, for each matrix of the stack. */
  readonly counts: Float32Array;
}
