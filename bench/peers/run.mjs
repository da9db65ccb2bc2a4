/**
 * LightGPT and llama.cpp side by side: the same file, the same number of threads, one process at a time, alternating.
 * Medians over several rounds, the spread beside them, and the machine's read bandwidth of the same run.
 *
 *     npm ci && node run.mjs [--type q4_0 | --model FILE] [--threads 2] [--rounds 5] [--json FILE]
 *                            [--prefill 512] [--decode 64] [--batch 16]
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { summarize, table } from "../statistics.mjs";

/**
 * What a child does in a round.
 *
 * @typedef {{
 *   model: string, threads: number, repeats: number, prefill: number, peerVersion: string,
 *   decode: { prompt: number, tokens: number },
 *   batch: { sequences: number, prompt: number, tokens: number },
 * }} Plan
 */

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const bun = here("../../node_modules/.bin/bun");

const { values } = parseArgs({
  options: {
    type: { type: "string", default: "q4_0" },
    model: { type: "string" },
    threads: { type: "string", default: String(cpus().length) },
    rounds: { type: "string", default: "5" },
    repeats: { type: "string", default: "1" },
    prefill: { type: "string", default: "512" },
    decode: { type: "string", default: "64" },
    batch: { type: "string", default: "16" },
    json: { type: "string" },
  },
});

/** A count from the command line; ends the program with a sentence where it is none. */
function count(name) {
  const value = Number(values[name]);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  console.error(`--${name}: expected a count, got ${values[name]}.`);
  process.exit(2);
}

const model = values.model ??
  execFileSync(bun, [here("../tinyllama.ts"), "--type", values.type], { encoding: "utf8" }).trim();
/** @type {Plan} */
const plan = {
  model,
  threads: count("threads"),
  repeats: count("repeats"),
  prefill: count("prefill"),
  decode: { prompt: 16, tokens: count("decode") },
  batch: { sequences: count("batch"), prompt: 8, tokens: 32 },
  peerVersion: JSON.parse(readFileSync(here("node_modules/node-llama-cpp/package.json"), "utf8")).version,
};

const engines = {
  lightgpt: { command: bun, script: here("../worker.ts") },
  llama: { command: process.execPath, script: here("llama.mjs") },
};

/** Runs one child to its end; the report it prints last. */
function runChild({ command, script }) {
  const output = execFileSync(command, [script, JSON.stringify(plan)], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    maxBuffer: 1 << 26,
  });
  return JSON.parse(output.trim().split("\n").at(-1));
}

const reports = { lightgpt: [], llama: [] };
for (let round = 0; round < count("rounds"); round++) {
  // ABBA: neither always runs on what the other leaves behind.
  const order = round % 2 === 0 ? ["lightgpt", "llama"] : ["llama", "lightgpt"];
  for (const name of order) reports[name].push(runChild(engines[name]));
  process.stderr.write(`round ${round + 1} of ${values.rounds}\n`);
}

const rate = (kind) => (report) =>
  report.samples[kind].map(({ ms, tokens, others }) => ({ value: tokens / (ms / 1000), others }));
const single = (field) => (report) => [{ value: report[field], others: report.loadOthers }];
const megabytes = (field) => (report) => [{ value: report[field] / 1e6, others: 0 }];
const measures = [
  { name: `prefill of ${plan.prefill}, tokens/s`, key: "prefill", of: rate("prefill"), more: true },
  { name: `decode, tokens/s`, key: "decode", of: rate("decode"), more: true },
  { name: `${plan.batch.sequences} sequences, tokens/s`, key: "batch", of: rate("batch"), more: true },
  { name: "load, ms", key: "loadMs", of: single("loadMs"), more: false },
  { name: "load to first token, ms", key: "firstTokenMs", of: single("firstTokenMs"), more: false },
  { name: "resident after load, MB", key: "loadedMB", of: megabytes("loadedBytes"), more: false },
  { name: "most resident, MB", key: "peakMB", of: megabytes("peakBytes"), more: false },
].filter(({ key }) => key !== "batch" || plan.batch.sequences > 0);

const results = {};
const show = (value) => value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2);
const cell = ({ median, least, most, quiet, samples }) =>
  `${show(median)} (${show(least)}-${show(most)}, ${quiet}/${samples} quiet)`;
const rows = [["", "LightGPT", "llama.cpp", "LightGPT is"]];
for (const { name, key, of, more } of measures) {
  const lightgpt = summarize(reports.lightgpt.flatMap(of));
  const llama = summarize(reports.llama.flatMap(of));
  const ratio = more ? lightgpt.median / llama.median : llama.median / lightgpt.median;
  results[key] = { lightgpt, llama, ratio };
  const word = key.endsWith("MB") ? "smaller" : "faster";
  rows.push([name, cell(lightgpt), cell(llama), `${ratio.toFixed(2)} x ${word}`]);
}

const bandwidth = {
  one: Math.max(...reports.lightgpt.map((report) => report.bandwidth.one)) / 1e9,
  all: Math.max(...reports.lightgpt.map((report) => report.bandwidth.all)) / 1e9,
};
const versions = { lightgpt: reports.lightgpt[0].version, peer: reports.llama[0].version, node: process.version };
const machine = { processor: cpus()[0].model, cores: cpus().length };
console.log(`${model}, ${plan.threads} threads, medians of ${values.rounds} rounds (least-most)`);
console.log(`${versions.lightgpt}; ${versions.peer}; ${machine.processor}, ${machine.cores} cores`);
console.log(
  `read bandwidth: ${bandwidth.one.toFixed(1)} GB/s with one thread, ${bandwidth.all.toFixed(1)} with ` + plan.threads,
);
console.log(table(rows));
if (values.json !== undefined) {
  const record = { date: new Date().toISOString(), machine, versions, plan, bandwidthGBs: bandwidth, results };
  writeFileSync(values.json, JSON.stringify(record, null, 2) + "\n");
}
