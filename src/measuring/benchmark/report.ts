/**
 * What `lightgpt bench` measured, and what comparing two models came to.
 *
 * @module
 */
import type { Percentiles } from "../../batching/stats.ts";
import { median } from "../../engine/median.ts";
import type { Comparison } from "../comparison.ts";

/** What `--json` prints. */
export interface Report {
  machine: { processor: string; cores: number; arch: string; os: string; level: string };
  /** The file. */
  model: string;
  threads: number;
  /** How activations are rounded, and how keys and values are stored. */
  activations: string;
  kv: string;
  prefill: { tokens: number; tokensPerSecond: number }[];
  /** `context`: tokens that each sequence had read before; the rate is that of all sequences together. */
  decode: { batch: number; context: number; tokensPerSecond: number }[];
  /** The machine's read bandwidth with as many threads. */
  bandwidthGBs: number;
  /** Bytes of memory that the weights take. */
  residentBytes: number;
  /** From a request to its first token and from one token to the next, of all that was generated. */
  firstTokenMs: Percentiles;
  betweenTokensMs: Percentiles;
  /** The most memory that the process had. */
  peakBytes: number;
}

/** A figure over all rounds: its middle, its least and its most. */
export interface Spread {
  median: number;
  least: number;
  most: number;
}

/** One line of the comparison. */
export interface Row {
  what: string;
  unit: "tokens/s" | "ms" | "MB";
  baseline: Spread;
  optimized: Spread;
  /** How many times better the model is than the baseline, taken within each round. */
  ratio: Spread;
}

/** What comes of it; `--json` prints it. */
export interface BaselineReport {
  model: string;
  /** `scalar`, or the file. */
  baseline: string;
  machine: Report["machine"];
  threads: number;
  activations: string;
  kv: string;
  rounds: number;
  rows: Row[];
  /** Against another file; against plain instructions, whether all logits of a text are the same bits. */
  accuracy: { kind: "file"; comparison: Comparison } | { kind: "bits"; same: boolean; logits: number };
}

/** The rows of two lists of reports, round by round. */
export function makeRows(baseline: readonly Report[], optimized: readonly Report[]): Row[] {
  const row = (what: string, unit: Row["unit"], of: (report: Report) => number): Row => {
    const [before, after] = [baseline.map(of), optimized.map(of)];
    // Of times and memory less is better.
    const ratios = before.map((value, round) => unit === "tokens/s" ? after[round] / value : value / after[round]);
    return { what, unit, baseline: spread(before), optimized: spread(after), ratio: spread(ratios) };
  };
  const [first] = optimized;
  return [
    ...first.prefill.map(({ tokens }, index) =>
      row(`prompt of ${tokens}`, "tokens/s", ({ prefill }) => prefill[index].tokensPerSecond)
    ),
    ...first.decode.map(({ batch }, index) =>
      row(
        batch === 1 ? "one sequence" : `${batch} sequences`,
        "tokens/s",
        ({ decode }) => decode[index].tokensPerSecond,
      )
    ),
    row("first token, half within", "ms", ({ firstTokenMs }) => firstTokenMs.p50),
    row("between tokens, half within", "ms", ({ betweenTokensMs }) => betweenTokensMs.p50),
    row("between tokens, 95 % within", "ms", ({ betweenTokensMs }) => betweenTokensMs.p95),
    row("weights", "MB", ({ residentBytes }) => residentBytes / 1e6),
    row("most memory of the process", "MB", ({ peakBytes }) => peakBytes / 1e6),
  ];
}

function spread(values: readonly number[]): Spread {
  return { median: median(values), least: Math.min(...values), most: Math.max(...values) };
}
