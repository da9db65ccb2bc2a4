/**
 * What `lightgpt bench` measured, and what comparing two models came to.
 *
 * @module
 */
import type { Percentiles } from "../src/batching/stats.ts";
import type { Comparison } from "../src/measuring/perplexity.ts";

/** What `--json` prints. */
export interface Report {
  machine: { processor: string; cores: number; arch: string; os: string; level: string };
  /** The file. */
  model: string;
  threads: number;
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
  rounds: number;
  rows: Row[];
  /** Against another file; against plain instructions, whether all logits of a text are the same bits. */
  accuracy: { kind: "file"; comparison: Comparison } | { kind: "bits"; same: boolean; logits: number };
}
