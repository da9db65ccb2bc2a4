/**
 * A benchmark of one model as text for people.
 *
 * @module
 */
import type { Report } from "./report.ts";

/** Bytes of weights a token below which they may stay in a cache, so that the rate of memory is no limit. */
const cachedBytes = 64e6;

/** The report as text; the rate of memory is shown where a token reads more bytes (`perToken`) than a cache holds. */
export function benchText(report: Report, perToken: number): string {
  const { machine, model, threads, activations, kv, prefill, decode, bandwidthGBs, residentBytes } = report;
  const rows = [
    ...prefill.map(({ tokens, tokensPerSecond }) => [`prompt of ${tokens}`, tokensPerSecond, ""] as const),
    ...decode.map(({ batch, tokensPerSecond }) => {
      const read = tokensPerSecond / batch * perToken / 1e9;
      const share = perToken < cachedBytes
        ? ""
        : `  weights read at ${read.toFixed(1)} GB/s, ${(100 * read / bandwidthGBs).toFixed(0)} %`;
      return [batch === 1 ? "one sequence" : `${batch} sequences`, tokensPerSecond, share] as const;
    }),
  ];
  return [
    `${model}: ${(residentBytes / 1e6).toFixed(1)} MB of weights`,
    `${machine.processor}, ${machine.cores} cores, level ${machine.level}; ${threads} threads; ` +
    `activations ${activations}, keys and values ${kv}`,
    `memory read at ${bandwidthGBs.toFixed(1)} GB/s`,
    "",
    ...rows.map(([name, rate, note]) => `${name.padEnd(16)}${rate.toFixed(1).padStart(10)} tokens/s${note}`),
    "",
  ].join("\n");
}
