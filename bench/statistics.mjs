/**
 * What is reported of repeated measurements: the median and the spread, over the quiet ones where there are enough.
 *
 * @module
 */

/** A sample counts as quiet when others used less than this many cores meanwhile. */
export const quietCores = 0.15;

/**
 * The middle of some numbers; NaN of none.
 *
 * @param {number[]} values
 * @returns {number}
 */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return NaN;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * @typedef {{ value: number, others: number | undefined }} Sample
 * @typedef {{ median: number, least: number, most: number, samples: number, quiet: number }} Summary
 */

/**
 * Median and range of samples; of the quiet ones alone if there are at least three.
 *
 * @param {Sample[]} samples
 * @returns {Summary}
 */
export function summarize(samples) {
  const quiet = samples.filter(({ others }) => others === undefined || others < quietCores);
  const values = (quiet.length >= 3 ? quiet : samples).map(({ value }) => value);
  return {
    median: median(values),
    least: Math.min(...values),
    most: Math.max(...values),
    samples: samples.length,
    quiet: quiet.length,
  };
}

/**
 * Rows of cells as aligned text; the first column is left-aligned.
 *
 * @param {string[][]} rows
 * @returns {string}
 */
export function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) =>
    row.map((cell, column) => column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])).join("  ")
      .trimEnd()
  ).join("\n");
}
