/**
 * What is reported of repeated measurements: the median and the spread, and text tables.
 *
 * @module
 */
import { median } from "../src/engine/median.ts";

/** The middle of some measurements and their range. */
export interface Summary {
  readonly median: number;
  readonly least: number;
  readonly most: number;
  readonly samples: number;
}

/** Median and range; undefined of nothing. */
export function summarize(values: readonly (number | undefined)[]): Summary | undefined {
  const known = values.filter((value) => value !== undefined);
  if (known.length === 0) return undefined;
  return {
    median: digits(median(known)),
    least: digits(Math.min(...known)),
    most: digits(Math.max(...known)),
    samples: known.length,
  };
}

/** Four significant digits: more would only be noise. */
export function digits(value: number): number {
  return Number(value.toPrecision(4));
}

/**
 * The rate while all of several streams were running: of what came after the last stream had its first token and until the
 * first stream had its last. `times[s]` has the time of each token of stream s. Throws where they never ran all at once.
 */
export function sharedWindow(times: readonly (readonly number[])[]): { tokens: number; ms: number } {
  const begin = Math.max(...times.map((stream) => stream[0]));
  const end = Math.min(...times.map((stream) => stream[stream.length - 1]));
  if (!(end > begin)) throw new Error(`${times.length} sequences did not run at once`);
  const tokens = times.reduce((sum, stream) => sum + stream.filter((time) => time > begin && time <= end).length, 0);
  return { tokens, ms: end - begin };
}

/** Rows of cells as aligned text; the first `left` columns are left-aligned. */
export function table(rows: readonly (readonly string[])[], left = 1): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) =>
    row.map((cell, column) => column < left ? cell.padEnd(widths[column]) : cell.padStart(widths[column])).join("  ")
      .trimEnd()
  ).join("\n");
}

/** A number with as many decimals as mean something. */
export function show(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2);
}
