/**
 * Makes and measures a cell of the record: one program writes a file from the float copy of a model, llama-perplexity says how
 * far it is from that copy. What all cells of a model share (the copy, what it says of the text, the importance matrices)
 * is made once and kept in a folder.
 *
 * @module
 */
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { models, modelsFolder } from "../../scripts/models.js";
import { readGguf } from "../../src/files/gguf/read.ts";
import { runCounted } from "./child.mjs";
import { type Cell, type ModelName, window, windows } from "./plan.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const measured = here("../texts/measure.txt");
const calibrating = here("../texts/calibrate.txt");
const command = here("../../cli/main.ts");

type Outcome = Awaited<ReturnType<typeof runCounted>>;

/** What a cell came to. */
export interface CellResult {
  /** Mean KL divergence from the float copy, in nats; what it is at most at 99 of 100 positions. */
  readonly divergence: number;
  readonly divergence99: number;
  /** The share of positions at which both find the same token likeliest. */
  readonly same: number;
  /** Bits of the file's tensors for each of its weights. */
  readonly bits: number;
  /** What making the file cost; an importance matrix is counted apart. */
  readonly cpuSeconds: number;
  readonly peakMB: number;
}

/** What making an importance matrix cost. */
export type MatrixResult = Pick<Outcome, "cpuSeconds" | "peakMB">;

/** The programs and the folder of a run. */
export interface Bench {
  /** Of llama.cpp's tools. */
  readonly tools: string;
  readonly folder: string;
  readonly threads: number;
}

/** A model's files. */
interface Shared {
  readonly exact: string;
  readonly base: string;
}

const llama = ({ tools }: Bench, name: string, ...words: string[]) =>
  runCounted([join(tools, name), ...words], process.env);
const ours = (...words: string[]) => runCounted([process.execPath, command, ...words], process.env);

/** The float copy, and what it says of the text; made where they are not there. */
async function shared(bench: Bench, model: ModelName): Promise<Shared> {
  const { folder } = bench;
  mkdirSync(folder, { recursive: true });
  const exact = join(folder, `${model}-f32.gguf`);
  if (!existsSync(exact)) {
    const { file } = models.find(({ name }) => name === model) ?? { file: "" };
    await ours("quantize", join(modelsFolder(), file), exact, "--type", "f32");
  }
  const base = join(folder, `${model}-f32.kld`);
  if (!existsSync(base)) {
    const part = `${base}.part`;
    const words = ["-f", measured, "--chunks", `${windows}`, "--kl-divergence-base", part];
    await llama(bench, "llama-perplexity", "-m", exact, ...perplexityWords(bench), ...words);
    renameSync(part, base);
  }
  return { exact, base };
}

function perplexityWords({ threads }: Bench): string[] {
  return ["-c", `${window}`, "-b", `${window}`, "-t", `${threads}`];
}

/** An importance matrix of the calibrating text, ours or llama-imatrix's. */
export async function makeMatrix(bench: Bench, model: ModelName, by: "ours" | "llama"): Promise<MatrixResult> {
  const { exact } = await shared(bench, model);
  const out = matrixPath(bench, model, by);
  const words = ["-f", calibrating, "-o", out, "-c", `${window}`, "-t", `${bench.threads}`];
  const { cpuSeconds, peakMB } = by === "llama"
    ? await llama(bench, "llama-imatrix", "-m", exact, ...words)
    : await ours(
      ...["imatrix", "--model", exact, "--file", calibrating, "--out", out],
      ...["--window", `${window}`, "--threads", `${bench.threads}`],
    );
  return { cpuSeconds, peakMB };
}

/** Where a matrix lies. */
export function matrixPath({ folder }: Bench, model: ModelName, by: "ours" | "llama"): string {
  return join(folder, `${model}-${by}.imatrix.gguf`);
}

/** Makes a cell's file and measures it; its importance matrix must be there. */
export async function measureCell(bench: Bench, cell: Cell): Promise<CellResult> {
  const { exact, base } = await shared(bench, cell.model);
  const file = join(bench.folder, `cell-${process.pid}.gguf`);
  try {
    const { cpuSeconds, peakMB } = await makeFile(bench, cell, exact, file);
    const words = ["-m", file, "--kl-divergence-base", base, "--kl-divergence"];
    const { output } = await llama(bench, "llama-perplexity", ...words, ...perplexityWords(bench));
    return { ...figuresOf(output), bits: bitsOf(file), cpuSeconds, peakMB };
  } finally {
    rmSync(file, { force: true });
  }
}

function makeFile(bench: Bench, { model, type, way }: Cell, exact: string, file: string): Promise<Outcome> {
  const { threads } = bench;
  const matrix = matrixPath(bench, model, way.startsWith("llama") ? "llama" : "ours");
  if (way === "llama") return llama(bench, "llama-quantize", exact, file, type, `${threads}`);
  if (way === "llama+imatrix") {
    return llama(bench, "llama-quantize", "--imatrix", matrix, exact, file, type, `${threads}`);
  }
  const words = {
    nearest: ["--rounding", "nearest"],
    search: ["--rounding", "search"],
    importance: ["--rounding", "search", "--imatrix", matrix],
    calibrated: ["--rounding", "calibrated", "--calibrate", calibrating],
  }[way];
  return ours("quantize", exact, file, "--type", type.toLowerCase(), "--threads", `${threads}`, ...words);
}

/** The figures of llama-perplexity's report. */
export function figuresOf(output: string): Pick<CellResult, "divergence" | "divergence99" | "same"> {
  const figure = (pattern: RegExp): number => {
    const value = Number(pattern.exec(output)?.[1]);
    if (!Number.isFinite(value)) throw new Error(`llama-perplexity does not say ${pattern.source}`);
    return value;
  };
  return {
    divergence: figure(/^Mean\s+KLD:\s+(-?[\d.]+)/m),
    divergence99: figure(/^99\.0%\s+KLD:\s+(-?[\d.]+)/m),
    same: figure(/^Same top p:\s+([\d.]+)/m) / 100,
  };
}

function bitsOf(file: string): number {
  const tensors = [...readGguf(file).tensors.values()];
  const bytes = tensors.reduce((sum, tensor) => sum + tensor.bytes, 0);
  const weights = tensors.reduce((sum, { dims }) => sum + dims.reduce((product, size) => product * size, 1), 0);
  return 8 * bytes / weights;
}
