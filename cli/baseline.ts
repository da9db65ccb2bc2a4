/**
 * `lightgpt bench --baseline`: a baseline and the model as it runs, side by side. Each measures in a process of its own, one after
 * the other and every second round the other way round, so that what the machine does meanwhile falls on both; ratios are
 * taken within a round. Then both say something about the same text: with another file how near the model is to it, on
 * plain instructions whether the bits are the same.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { LightGPTError } from "../ffi/errors.ts";
import { here } from "../ffi/here.ts";
import { currentRuntime } from "../ffi/runtime/pick.ts";
import type { LightGPT } from "../src/lightgpt/lightgpt.ts";
import { cancelledBy } from "../src/options/checks.ts";
import { drawComparison, loadCharts } from "../src/measuring/benchmark/charts.ts";
import { comparisonText } from "../src/measuring/benchmark/comparison_text.ts";
import { type BaselineReport, makeRows, type Report } from "../src/measuring/benchmark/report.ts";
import { readText, ResultFile } from "./files.ts";
import { openModel } from "./model.ts";
import type { Arguments } from "./arguments.ts";
import { print, toJson } from "./output.ts";
import { ProgressBar } from "./progress.ts";

const plain = "scalar";
/** Tokens of a text that are compared bit by bit. */
const bitTokens = 128;
/** Tokens that a model tells where no text is given. */
const ownTokens = 400;
const childErrorMost = 2000;

/** Runs the comparison. */
export async function compareWithBaseline(args: Arguments, signal: AbortSignal): Promise<void> {
  const baseline = args.text("baseline") as string;
  const svg = args.text("svg");
  // What cannot be drawn, read or written should show before minutes are spent.
  const charts = svg === undefined ? undefined : loadCharts();
  using drawing = svg === undefined ? undefined : new ResultFile("--svg", svg);
  const file = args.text("text");
  const text = file === undefined ? undefined : readText("--text", file);
  const rounds = args.number("repeats") ?? 3;
  const sides = [
    { words: sideWords(args, baseline === plain ? args.text("model") : baseline), isPlain: baseline === plain },
    { words: sideWords(args, args.text("model")), isPlain: false },
  ] as const;
  const bar = new ProgressBar("measuring");
  try {
    const reports: [Report[], Report[]] = [[], []];
    for (let round = 0; round < rounds; round++) {
      for (const side of round % 2 === 0 ? [0, 1] as const : [1, 0] as const) {
        const { words, isPlain } = sides[side];
        const output = await runSelf(["bench", ...words, "--repeats", "1", "--json"], isPlain, signal);
        reports[side].push(JSON.parse(output) as Report);
        bar.update(reports[0].length + reports[1].length, 2 * rounds);
      }
    }
    const accuracy = baseline === plain
      ? await compareBits(args, text, signal)
      : await compareFiles(args, baseline, text, signal);
    const [{ machine, model, threads, activations, kv }] = reports[1];
    const rows = makeRows(reports[0], reports[1]);
    const report: BaselineReport = { model, baseline, machine, threads, activations, kv, rounds, rows, accuracy };
    if (charts && drawing) drawing.write(new TextEncoder().encode(drawComparison(charts, report)));
    await print(args.flag("json") ? toJson(report) : comparisonText(report));
  } finally {
    bar.end();
  }
}

/** The words that make a child measure the same thing on one side. */
function sideWords(args: Arguments, model: string | undefined): string[] {
  const words: string[] = model === undefined ? [] : ["--model", model];
  for (const name of ["threads", "context", "tokens"]) {
    const value = args.number(name);
    if (value !== undefined) words.push(`--${name}`, String(value));
  }
  for (const name of ["prompt", "batch"]) {
    const values = args.ids(name);
    if (values) words.push(`--${name}`, values.join());
  }
  words.push(...precisionWords(args));
  if (args.flag("allow-unknown-pre-tokenizer")) words.push("--allow-unknown-pre-tokenizer");
  return words;
}

/** The words that a result depends on, beside the model. */
function precisionWords(args: Arguments): string[] {
  return ["kv", "activations"].flatMap((name) => {
    const value = args.text(name);
    return value === undefined ? [] : [`--${name}`, value];
  });
}

/** Runs this command again with other words, on plain instructions where asked; gives what it printed. */
async function runSelf(words: readonly string[], isPlain: boolean, signal: AbortSignal): Promise<string> {
  const runtime = currentRuntime();
  const script = fileURLToPath(new URL(`../cli/main${extname(here ?? "")}`, here));
  const before = runtime.isEmbedded(script)
    ? []
    : runtime.name === "Deno"
    ? ["run", "-A", "--no-check", script]
    : [script];
  const env = { ...process.env, ...(isPlain ? { LIGHTGPT_CPU: "baseline" } : {}) };
  const child = spawn(process.execPath, [...before, ...words], { env, stdio: ["ignore", "pipe", "pipe"] });
  const stop = () => void child.kill();
  signal.addEventListener("abort", stop);
  try {
    return await new Promise((resolve, reject) => {
      let output = "";
      let errors = "";
      child.stdout.setEncoding("utf8").on("data", (text: string) => output += text);
      child.stderr.setEncoding("utf8").on("data", (text: string) => errors = (errors + text).slice(-childErrorMost));
      child.on("error", reject);
      child.on("close", (code) => {
        if (signal.aborted) reject(cancelledBy(signal));
        else if (code === 0) resolve(output);
        else {
          const said = errors.trim().replace(/^lightgpt: /, "") || `it ended with ${code}`;
          const side = isPlain
            ? "the baseline"
            : words.includes("--model")
            ? words[words.indexOf("--model") + 1]
            : "the model";
          reject(new LightGPTError("invalidArgument", `bench of ${side}: ${said}`));
        }
      });
    });
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

async function compareFiles(
  args: Arguments,
  baseline: string,
  text: string | undefined,
  signal: AbortSignal,
): Promise<BaselineReport["accuracy"]> {
  await using lm = await openModel(args, signal);
  const own = text ?? await textOf(args, baseline, signal);
  return { kind: "file", comparison: await lm.accuracy({ reference: baseline, text: own, signal }) };
}

/** What a model tells of itself. */
async function textOf(args: Arguments, path: string | undefined, signal: AbortSignal): Promise<string> {
  await using lm = await openModel(args, signal, path);
  const { bos } = lm.model.tokenizer;
  const begin = bos === undefined ? lm.tokenize(" ") : [bos];
  const maxTokens = Math.min(ownTokens, lm.context - 1);
  const texts = await Promise.all([0n, 1n, 2n, 3n].map(async (seed) => {
    return (await lm.complete(begin, { maxTokens, signal, sampling: { temperature: 1, seed } })).text;
  }));
  return texts.join("\n\n");
}

/** Whether plain instructions give the same bits of all logits. */
async function compareBits(
  args: Arguments,
  text: string | undefined,
  signal: AbortSignal,
): Promise<BaselineReport["accuracy"]> {
  const tokens = await bitsText(args, text, signal);
  const folder = mkdtempSync(join(tmpdir(), "lightgpt-bench-"));
  try {
    const model = args.text("model");
    const own = model === undefined ? [] : ["--model", model];
    const words = ["--tokens", tokens.join(), "--all", ...own, ...precisionWords(args)];
    const logits = [];
    for (const isPlain of [true, false]) {
      const out = join(folder, `${isPlain}.f32`);
      await runSelf(["logits", ...words, "--out", out], isPlain, signal);
      logits.push(readFileSync(out));
    }
    return { kind: "bits", same: Buffer.compare(logits[0], logits[1]) === 0, logits: logits[0].length / 4 };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function bitsText(args: Arguments, text: string | undefined, signal: AbortSignal): Promise<Uint32Array> {
  const own = text ?? await textOf(args, args.text("model"), signal);
  await using lm: LightGPT = await openModel(args, signal);
  return lm.tokenize(own).subarray(0, Math.min(bitTokens, lm.context));
}
