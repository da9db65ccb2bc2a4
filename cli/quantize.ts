/**
 * `lightgpt quantize`: makes a smaller model file. Tells at its end what became of each type, and what it costs.
 *
 * @module
 */
import { ImportanceMatrix } from "../src/converting/imatrix.ts";
import { quantizeFile, quantizeFileFields, type QuantizeFileOptions } from "../src/converting/convert.ts";
import type { QuantizeFileReport, TensorReport } from "../src/converting/quantize_file.ts";
import type { TensorRule } from "../src/converting/mixes.ts";
import type { QuantizedFormat } from "../src/converting/types.ts";
import { readText } from "./files.ts";
import { type FlagReaders, optionsFrom } from "./flags.ts";
import type { Arguments } from "./arguments.ts";
import { sizeText } from "../src/options/size_text.ts";
import { UsageError } from "./types.ts";
import { note, print, toJson } from "./output.ts";
import { ProgressBar } from "./progress.ts";

const readers: FlagReaders = {
  calibrate: (path) => readText("--calibrate", path),
  imatrix: (path) => ImportanceMatrix.read(path),
  "tensor-type": readRule,
};

/** Runs the subcommand. */
export async function quantize(args: Arguments, signal: AbortSignal): Promise<void> {
  const [input, output] = [args.argument, args.second];
  const options = optionsFrom<QuantizeFileOptions>(args, quantizeFileFields, readers);
  const { type, rounding, calibration, importance, outliers } = options;
  if (input === undefined || output === undefined || type === undefined) {
    throw new UsageError("quantize needs IN OUT.gguf --type TYPE");
  }
  if (calibration !== undefined && rounding !== "calibrated") {
    throw new UsageError("--calibrate needs --rounding calibrated");
  }
  if (importance !== undefined && rounding !== undefined && rounding !== "search") {
    throw new UsageError("--imatrix needs --rounding search");
  }
  if (outliers?.threshold !== undefined && (outliers.policy ?? "keep") === "keep") {
    throw new UsageError("--outlier-threshold needs --outliers clip");
  }
  const bar = new ProgressBar("quantizing", "bytes");
  const begin = performance.now();
  const report = await quantizeFile(input, output, {
    ...options,
    type,
    signal,
    onProgress: (done, total) => bar.update(done, total),
  }).finally(() => bar.end());
  const seconds = (performance.now() - begin) / 1000;
  for (const warning of report.warnings) note(`warning: ${warning}`);
  await print(args.flag("json") ? toJson({ input, output, ...report, seconds }) : table(report));
}

/** `output=q8_0`: a part of a tensor's name, and its format. */
function readRule(text: string): TensorRule {
  const [, pattern, format] = /^(.+)=([^=]+)$/.exec(text) ?? [];
  if (pattern === undefined) throw new UsageError(`--tensor-type needs NAME=TYPE, got "${text}"`);
  return { pattern, format: format.toLowerCase() as QuantizedFormat };
}

/** A line for each type: tensors, bits of a weight, bytes, and the relative error. */
function table({ tensors, bytes, sourceBytes }: QuantizeFileReport): string {
  const types = new Map<string, TensorReport[]>();
  for (const tensor of tensors) types.set(tensor.to, [...types.get(tensor.to) ?? [], tensor]);
  const rows = [...types].map(([type, list]) => {
    const parameters = sum(list, ({ parameters }) => parameters);
    const size = sum(list, ({ bytes }) => bytes);
    const error = Math.sqrt(sum(list, (t) => t.relativeError ** 2 * t.parameters) / parameters);
    return [type, `${list.length}`, `${(8 * size / parameters).toFixed(2)}`, sizeText(size), error.toFixed(5)];
  });
  const all = sum(tensors, ({ parameters }) => parameters);
  const lines = [["type", "tensors", "bits", "size", "relative error"], ...rows];
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  const shown = lines.map((line) => line.map((word, i) => i === 0 ? word.padEnd(widths[i]) : word.padStart(widths[i])));
  return [
    ...shown.map((line) => line.join("  ")),
    `file: ${sizeText(bytes)}, ${(8 * bytes / all).toFixed(2)} bits a weight; ` +
    `${(4 * all / bytes).toFixed(2)} times below F32, ${(2 * all / bytes).toFixed(2)} below F16; ` +
    `the source's tensors had ${sizeText(sourceBytes)}`,
    "",
  ].join("\n");
}

function sum<T>(list: readonly T[], value: (item: T) => number): number {
  return list.reduce((total, item) => total + value(item), 0);
}
