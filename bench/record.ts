/**
 * A record: what the rounds of a run came to, as JSON that is kept (`record/`, a folder for each machine, a file for each
 * day) and as text tables.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, release, totalmem, type } from "node:os";
import { native } from "../ffi/native.ts";
import { allThreads, EXPERIMENTS, type Round, type Row, ROWS, type SubjectResult } from "./plan.ts";
import { digits, show, summarize, type Summary, table } from "./statistics.ts";

/** A row with what it came to. */
export interface RowResult extends Summary {
  readonly id: string;
  readonly label: string;
  readonly of: string;
  /** 0: none. */
  readonly goal: number;
  readonly atMost: boolean;
  readonly isReached: boolean;
}

/** Everything that is kept of a run. */
export interface Record {
  readonly date: string;
  /** The commit that was measured. */
  readonly commit: string;
  readonly machine: {
    readonly processor: string;
    /** Those that the run might use. */
    readonly cores: number;
    readonly memoryGB: number;
    readonly system: string;
  };
  readonly versions: readonly string[];
  /** Read bandwidth in GB/s: the best of the run. */
  readonly bandwidthGBs: { readonly one: number; readonly all: number };
  readonly kernels: { readonly tileGMACs: number; readonly bareGMACs: number } | null;
  /** How many cores others kept busy while something was measured: the most, neighbours of an experiment aside. */
  readonly othersMost: number;
  readonly rows: readonly RowResult[];
  /** By experiment, subject and measure: rates in tokens/s, `loadMs`, `loadedMB`, `peakMB`. */
  readonly figures: { [experiment: string]: { [subject: string]: { [measure: string]: Summary } } };
}

/** The name of this machine's folder of records. Processors of one family may differ in their level (Zen 3 and Zen 4). */
export function machineName(): string {
  const words = `${processorName()} ${native().processor.level} ${allThreads} cores`;
  return words.toLowerCase().replace(/\([^)]*\)/g, "").replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
}

/** Virtual machines hide the model's name; the family tells generations apart. */
function processorName(): string {
  const family = cpuFamily();
  return (cpus()[0]?.model.trim() ?? "unknown") + (family === undefined ? "" : `, family ${family}`);
}

function cpuFamily(): string | undefined {
  try {
    return readFileSync("/proc/cpuinfo", "utf8").match(/^cpu family\s*:\s*(\d+)/m)?.[1];
  } catch {
    return undefined; // not Linux
  }
}

function commit(): string {
  const git = (...words: string[]) => execFileSync("git", words, { encoding: "utf8", cwd: import.meta.dirname }).trim();
  try {
    return git("rev-parse", "--short=12", "HEAD") +
      (git("status", "--porcelain", "--", "..") === "" ? "" : ", changed");
  } catch {
    return "unknown";
  }
}

/** Makes the record of some rounds. */
export function makeRecord(rounds: readonly Round[]): Record {
  const results = rounds.flatMap((round) => Object.values(round.subjects));
  const natives = results.flatMap(({ native }) => native ? [native] : []);
  const kernels = rounds.flatMap((round) => round.kernels ?? []);
  const most = (values: number[]) => digits(Math.max(0, ...values));
  return {
    date: new Date().toISOString(),
    commit: commit(),
    machine: {
      processor: processorName(),
      cores: allThreads,
      memoryGB: Math.round(totalmem() / 2 ** 30),
      system: `${type()} ${release()}`,
    },
    versions: [...new Set(results.map(({ version }) => version))].sort(),
    bandwidthGBs: {
      one: most(natives.map(({ bandwidthOne }) => bandwidthOne / 1e9)),
      all: most(natives.map(({ bandwidth }) => bandwidth / 1e9)),
    },
    kernels: kernels.length === 0
      ? null
      : { tileGMACs: most(kernels.map((k) => k.tileGMACs)), bareGMACs: most(kernels.map((k) => k.bareGMACs)) },
    othersMost: most(rounds.flatMap(othersOf)),
    rows: ROWS.flatMap((row) => rowResult(row, rounds)),
    figures: Object.fromEntries(
      Object.keys(EXPERIMENTS).map((name) =>
        [name, figures(rounds.filter(({ experiment }) => experiment === name))] as const
      ).filter(([, subjects]) => Object.keys(subjects).length > 0),
    ),
  };
}

/** Cores that others kept busy, where no neighbour was meant to. */
function othersOf({ experiment, subjects }: Round): number[] {
  return Object.entries(subjects).filter(([name]) => !EXPERIMENTS[experiment]?.subjects[name]?.neighbour)
    .flatMap(([, { others }]) => Object.values(others).filter((value) => value !== null));
}

function rowResult(row: Row, rounds: readonly Round[]): RowResult[] {
  const values = rounds.filter(({ experiment }) => experiment === row.experiment).map((round) => row.value(round));
  const summary = summarize(values);
  if (summary === undefined) return [];
  const { id, label, of, goal, atMost = false } = row;
  const isReached = atMost ? summary.median <= goal : summary.median >= goal;
  return [{ id, label, of, goal, atMost, isReached, ...summary }];
}

/** Measures of a subject beside its rates. */
const measures: { [name: string]: (result: SubjectResult) => number } = {
  loadMs: ({ loadMs }) => loadMs,
  firstTokenMs: ({ firstTokenMs }) => firstTokenMs,
  loadedMB: ({ loadedBytes }) => loadedBytes / 1e6,
  peakMB: ({ peakBytes }) => peakBytes / 1e6,
};

function figures(rounds: readonly Round[]): Record["figures"][string] {
  const found: Record["figures"][string] = {};
  for (const name of new Set(rounds.flatMap(({ subjects }) => Object.keys(subjects)))) {
    const results = rounds.flatMap(({ subjects }) => subjects[name] ?? []);
    const works = new Set(results.flatMap(({ rates }) => Object.keys(rates)));
    const all = [
      ...[...works].map((work) => [work, results.map(({ rates }) => rates[work])] as const),
      ...Object.entries(measures).map(([measure, of]) => [measure, results.map(of)] as const),
    ];
    found[name] = {};
    for (const [measure, values] of all) {
      const summary = summarize(values);
      if (summary) found[name][measure] = summary;
    }
  }
  return found;
}

/** A record as text: the machine, the figures of each experiment, and the rows with their goals. */
export function recordText(record: Record): string {
  const { machine, versions, bandwidthGBs, kernels, othersMost, commit, date } = record;
  const lines = [
    `${date}, commit ${commit}`,
    `${machine.processor}, ${machine.cores} cores, ${machine.memoryGB} GB; ${machine.system}`,
    ...versions,
    `read bandwidth: ${bandwidthGBs.one} GB/s with one thread, ${bandwidthGBs.all} with all; ` +
    (kernels ? `tile kernel ${kernels.tileGMACs} GMAC/s a core, bare product ${kernels.bareGMACs}; ` : "") +
    `others used up to ${othersMost} cores meanwhile`,
  ];
  for (const [experiment, subjects] of Object.entries(record.figures)) {
    const columns = [...new Set(Object.values(subjects).flatMap((measured) => Object.keys(measured)))];
    const rows = Object.entries(subjects).map(([name, measured]) => [
      name,
      ...columns.map((column) => {
        const summary = measured[column];
        return summary ? `${show(summary.median)} (${show(summary.least)}-${show(summary.most)})` : "";
      }),
    ]);
    lines.push("", table([[experiment, ...columns], ...rows]));
  }
  const rows = record.rows.map(({ label, of, goal, atMost, isReached, median, least, most, samples }) => [
    label,
    of,
    `${median.toFixed(2)} x`,
    `${least.toFixed(2)}-${most.toFixed(2)}`,
    String(samples),
    goal === 0 ? "-" : `${atMost ? "<=" : ">="} ${goal}`,
    goal === 0 ? "" : isReached ? "reached" : "NOT reached",
  ]);
  lines.push("", table([["", "of", "median", "spread", "rounds", "goal", ""], ...rows], 2));
  return lines.join("\n");
}
