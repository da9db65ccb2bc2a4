/**
 * A comparison with a baseline as a table for people.
 *
 * @module
 */
import type { BaselineReport, Row, Spread } from "./report.ts";

/** The comparison as text. */
export function comparisonText(
  { model, baseline, machine, threads, activations, kv, rounds, rows, accuracy }: BaselineReport,
): string {
  const lines = [
    ["", "baseline", "LightGPT", "times better"],
    ...rows.map((
      row,
    ) => [`${row.what}, ${row.unit}`, shown(row.baseline, row), shown(row.optimized, row), ratio(row.ratio)]),
  ];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...lines.map((line) => line[column].length)));
  const table = lines.map((line) =>
    line.map((cell, column) => column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column] + 2)).join("")
      .trimEnd()
  );
  return [
    `${model} against ${baseline === "scalar" ? "the same on plain instructions" : baseline}`,
    `${machine.processor}, ${machine.cores} cores, level ${machine.level}; ${threads} threads; ` +
    `activations ${activations}, keys and values ${kv}; ${rounds} rounds, taking turns`,
    "Medians, and in brackets the least and the most; ratios are taken within a round.",
    "",
    ...table,
    "",
    ...accuracyLines(accuracy),
    "",
  ].join("\n");
}

function accuracyLines(accuracy: BaselineReport["accuracy"]): string[] {
  if (accuracy.kind === "bits") {
    return [
      accuracy.same
        ? `accuracy: all ${accuracy.logits} logits are the same bits`
        : `accuracy: the ${accuracy.logits} logits are NOT the same bits`,
    ];
  }
  const { divergence, same, sameWhereSure, sure, ratio, tokens } = accuracy.comparison;
  const percent = (share: number) => `${(100 * share).toFixed(2)} %`;
  return [
    `accuracy over ${tokens} tokens: mean KL ${divergence.toFixed(6)}, perplexity ${
      ratio.toFixed(4)
    } of the baseline's,`,
    `same choice ${percent(same)}, and ${percent(sameWhereSure)} of the ${sure} where the baseline is sure`,
  ];
}

function shown({ median, least, most }: Spread, { unit }: Row): string {
  const digits = (value: number) => value.toFixed(unit === "ms" && value < 10 ? 2 : value < 100 ? 1 : 0);
  return `${digits(median)} (${digits(least)} to ${digits(most)})`;
}

function ratio({ median, least, most }: Spread): string {
  return `${median.toFixed(2)} (${least.toFixed(2)} to ${most.toFixed(2)})`;
}
