/**
 * Rows and columns of heads in the order that a file has them: llama's pairs, heads of values in turns, queries, keys and values apart.
 *
 * @module
 */
import type { Config } from "./config.ts";
import type { Cut } from "./names.ts";
import { picked, type Rows, withColumns } from "./rows.ts";
import { refused, type SafeTensor } from "./safetensors.ts";

/** Element k of a head's first half comes before k of its second. */
export function permuted(
  tensor: SafeTensor,
  name: string,
  rows: Rows,
  { family, heads, keyHeads, headDim }: Config,
): Rows {
  const of = name.includes(".attn_q.") ? heads : name.includes(".attn_k.") ? keyHeads : 0;
  if (!family.permuted || of === 0) return rows;
  const at = (element: number) => {
    const inHead = element % headDim;
    return element - inHead + (inHead % 2) * (headDim / 2) + Math.floor(inHead / 2);
  };
  if (tensor.shape[0] !== of * headDim) {
    const says = `its shape is [${tensor.shape.join(", ")}]`;
    throw refused(tensor, `${of * headDim} rows, ${of} heads of ${headDim}`, says);
  }
  return tensor.shape.length === 1 ? withColumns(rows, 1, at) : picked(rows, rows.count, at);
}

/** The values of a group of heads. */
export function groupColumns({ shape }: SafeTensor, { stateGroups }: Config): number {
  return Math.max(1, Math.floor(shape[0] / Math.max(1, stateGroups)));
}

/** Heads of values that are neighbours in their group take turns. */
export function headsInTurn(tensor: SafeTensor, rows: Rows, where: NonNullable<Cut["heads"]>, config: Config): Rows {
  if (where === "shared") return headsApart(tensor, rows, config);
  const { stateHeads: heads, stateGroups: groups, stateSize: size } = config;
  const each = heads / groups;
  const before = where === "behind" ? 2 * groups * size : 0;
  const elements = where === "columns" ? rows.columns : rows.count;
  const length = (elements - before) / heads;
  if (!Number.isInteger(length) || length < 1 || (length !== 1 && length !== size)) {
    throw refused(tensor, `${heads} heads of ${size}`, `its shape is [${tensor.shape.join(", ")}]`);
  }
  const head = (index: number) => (index % groups) * each + Math.floor(index / groups);
  if (where === "columns") return withColumns(rows, length, head);
  return picked(rows, rows.count, (row) => {
    const at = row - before;
    return at < 0 ? row : before + head(Math.floor(at / length)) * length + at % length;
  });
}

/** All queries, then all keys, then all values, of rows where these follow one another head by head. */
function headsApart(tensor: SafeTensor, rows: Rows, { heads, headDim }: Config): Rows {
  const part = heads * headDim;
  if (rows.count !== 3 * part) {
    throw refused(
      tensor,
      `${3 * part} rows, ${heads} heads of 3 x ${headDim}`,
      `its shape is [${tensor.shape.join(", ")}]`,
    );
  }
  return picked(rows, rows.count, (row) => {
    const [which, inside] = [Math.floor(row / part), row % part];
    return (Math.floor(inside / headDim) * 3 + which) * headDim + inside % headDim;
  });
}

/** Of a delta rule's group: a query, a key, the values of its heads, and their gates. */
export function byGroups(tensor: SafeTensor, rows: Rows, config: Config): Rows[] {
  const { stateHeads: heads, stateGroups: groups, stateSize: size } = config;
  const values = heads / groups * size;
  const group = 2 * size + 2 * values;
  if (rows.count !== groups * group) {
    throw refused(tensor, `${groups * group} rows, ${groups} groups`, `its shape is [${tensor.shape.join(", ")}]`);
  }
  const part = (begin: number, each: number) => (row: number) => Math.floor(row / each) * group + begin + row % each;
  const [query, key, value, gate] = [
    part(0, size),
    part(size, size),
    part(2 * size, values),
    part(group - values, values),
  ];
  const keys = groups * size;
  return [
    picked(
      rows,
      2 * keys + groups * values,
      (row) => row < keys ? query(row) : row < 2 * keys ? key(row - keys) : value(row - 2 * keys),
    ),
    picked(rows, groups * values, gate),
  ];
}
