/**
 * `lightgpt inspect`: what a model file holds, whether it can run here or why not, how it runs, and what memory it wants. It reads
 * headers only.
 *
 * @module
 */
import { LightGPTError } from "../ffi/errors.ts";
import { prepare } from "../ffi/library.ts";
import { type LayerGroup, reportRun, type RunReport } from "../src/batching/run_report.ts";
import { resolveBatcherOptions } from "../src/batching/options.ts";
import { type ModelPlan, planModel } from "../src/model/architectures/architectures.ts";
import { warningsOf } from "../src/model/warnings.ts";
import { formatInstead, FORMATS } from "../src/files/formats.ts";
import { type Gguf, MetadataArray, type MetadataValue, readGguf, type Tensor } from "../src/files/gguf/read.ts";
import { mebibytes } from "../src/batching/memory_budget.ts";
import { loadTokenizer } from "../src/text/tokenizer/load.ts";
import type { Arguments } from "./arguments.ts";
import { modelPath } from "./download.ts";
import { UsageError } from "./types.ts";
import { print, toJson } from "./output.ts";
import { sizeText } from "../src/options/size_text.ts";
import process from "node:process";
import { styleText } from "node:util";

/** Arrays up to this length are shown whole: per-layer numbers are, vocabularies aren't. */
const wholeArray = 16;

/** What `--json` prints. */
export interface Report {
  files: readonly string[];
  version: number;
  bytes: number;
  architecture: string | null;
  name: string | null;
  parameters: number;
  /** Tensors and bytes of each type. */
  types: Record<string, { tensors: number; bytes: number }>;
  runs: boolean;
  /** Why it cannot run. */
  reason: string | null;
  /** How it runs; null where it doesn't. */
  run: RunReport | null;
  /** What it can do with the context asked for, but was not made for. */
  warnings: readonly string[];
  metadata: Record<string, unknown>;
  tensors?: { name: string; type: string; dims: readonly number[]; bytes: number; file: number; offset: number }[];
}

/** Runs the subcommand. */
export async function inspect(args: Arguments, signal: AbortSignal): Promise<void> {
  if (args.argument === undefined) throw new UsageError("inspect needs MODEL");
  await prepare();
  const report = await reportOn(
    readGguf(await modelPath(args.argument, signal)),
    args.flag("tensors"),
    args.number("context"),
  );
  await print(args.flag("json") ? toJson(report) : plainText(report));
}

/** What is known of a file. */
export async function reportOn(gguf: Gguf, withTensors: boolean, context: number | undefined): Promise<Report> {
  const tensors = [...gguf.tensors.values()];
  const { plan, reason } = await planOf(gguf, tensors, context);
  const { settings } = resolveBatcherOptions({});
  return {
    files: gguf.files,
    version: gguf.version,
    bytes: gguf.bytes,
    architecture: textOf(gguf, "general.architecture"),
    name: textOf(gguf, "general.name"),
    parameters: tensors.reduce((sum, { dims }) => sum + elements(dims), 0),
    types: countTypes(tensors),
    runs: reason === null,
    reason,
    run: plan ? reportRun(gguf, plan, settings, context) : null,
    warnings: plan && context !== undefined ? warningsOf(plan, context) : [],
    metadata: Object.fromEntries([...gguf.metadata.entries()].map(([key, value]) => [key, shown(value)])),
    ...(withTensors ? { tensors: tensors.map(tensorRow) } : {}),
  };
}

function tensorRow({ name, typeName, dims, bytes, file, offset }: Tensor) {
  return { name, type: typeName, dims, bytes, file, offset };
}

/** The model of a file, or the sentence that keeps it from running. Everything that loading checks in TypeScript is asked. */
async function planOf(
  gguf: Gguf,
  tensors: readonly Tensor[],
  context: number | undefined,
): Promise<{ readonly plan?: ModelPlan; readonly reason: string | null }> {
  try {
    planModel(gguf);
    await loadTokenizer(gguf);
  } catch (error) {
    if (error instanceof LightGPTError) return { reason: error.message };
    throw error;
  }
  const refused = tensors.find(({ type }) => !FORMATS.get(type)?.supported);
  if (refused === undefined) return { plan: planModel(gguf, context === undefined ? {} : { context }), reason: null };
  return { reason: `${refused.name}: no kernels for ${refused.typeName}; use ${formatInstead(refused.type)}.` };
}

function textOf(gguf: Gguf, key: string): string | null {
  const value = gguf.metadata.get(key);
  return typeof value === "string" ? value : null;
}

function elements(dims: readonly number[]): number {
  return dims.reduce((product, size) => product * size, 1);
}

function countTypes(tensors: readonly Tensor[]): Report["types"] {
  const types = new Map<string, { tensors: number; bytes: number }>();
  for (const { typeName, bytes } of tensors) {
    const row = types.get(typeName) ?? { tensors: 0, bytes: 0 };
    types.set(typeName, { tensors: row.tensors + 1, bytes: row.bytes + bytes });
  }
  return Object.fromEntries([...types].sort(([, left], [, right]) => right.bytes - left.bytes));
}

/** A value for JSON: a long array as its length and how it begins. */
function shown(value: MetadataValue): unknown {
  if (!(value instanceof MetadataArray)) return value;
  const begin = Array.from({ length: Math.min(value.length, wholeArray) }, (_, index) => value.at(index));
  return value.length <= wholeArray ? begin : { length: value.length, begin };
}

/** The report as text. */
export function plainText(report: Report): string {
  const types = Object.entries(report.types).map(([type, { tensors }]) => `${type} x ${tensors}`).join(", ");
  const rows: [string, string][] = [
    ["files", report.files.join(", ")],
    ["size", `${sizeText(report.bytes)} (${report.bytes} bytes), GGUF version ${report.version}`],
    ["architecture", report.architecture ?? "not named"],
    ["name", report.name ?? "not named"],
    ["parameters", countText(report.parameters)],
    ["tensors", types],
    ["runs", report.runs ? styled("green", "yes") : styled("red", `no: ${report.reason}`)],
    ...report.run ? runRows(report.run) : [],
    ...report.warnings.map((warning): [string, string] => ["warning", warning]),
  ];
  const metadata = Object.entries(report.metadata).map(([key, value]): [string, string] => [key, inOneLine(value)]);
  const tensors = report.tensors?.map(({ name, type, dims, bytes }) =>
    `${name}  ${type}  ${dims.join(" x ")}  ${sizeText(bytes)}`
  );
  return [...columns(rows), "", ...columns(metadata), ...(tensors ? ["", ...tensors] : [])].join("\n") + "\n";
}

/** The names of mixers for people. */
const mixers: Record<LayerGroup["mixer"], string> = {
  attention: "attention",
  latent: "latent attention",
  shortConvolution: "short convolution",
  deltaRule: "delta rule",
  mamba2: "Mamba-2",
  paired: "attention and Mamba-2",
  none: "no mixer",
};
const feedForwards: Record<LayerGroup["feedForward"], string> = {
  dense: "dense",
  experts: "experts",
  beside: "experts beside a dense part",
  none: "no feed-forward part",
};

function runRows(run: RunReport): [string, string][] {
  const { experts, kvBytesAPosition, kvBytesBehind, stateBytes, kv, pageSize } = run;
  const groups = run.layers.map(({ layers, mixer, feedForward, window, readsKeysOfOthers }) => {
    const details = [
      window > 0 ? `window of ${window}` : "",
      readsKeysOfOthers ? "keys of another layer" : "",
    ].filter((detail) => detail !== "");
    return `${layers} x ${mixers[mixer]}${details.length > 0 ? ` (${details.join(", ")})` : ""}, ${
      feedForwards[feedForward]
    }`;
  });
  const behind = kvBytesBehind < kvBytesAPosition ? `, ${sizeText(kvBytesBehind)} once windows have passed` : "";
  const shared = experts && experts.sharedWidth > 0 ? `, and a shared one of width ${experts.sharedWidth}` : "";
  return [
    ...groups.map((group, index): [string, string] => [index === 0 ? "layers" : "", group]),
    ...experts
      ? [
        ["experts", `${experts.used} of ${experts.count} for each token, of width ${experts.width}${shared}`] as [
          string,
          string,
        ],
      ]
      : [],
    ["keys, values", `${sizeText(kvBytesAPosition)} a position (${kv}, pages of ${pageSize})${behind}`],
    ...stateBytes > 0 ? [["state", `${sizeText(stateBytes)} a sequence`] as [string, string]] : [],
    ...run.memory.map(({ context, total, kv }, index): [string, string] => {
      const trained = context === run.context ? ", what it was trained for" : "";
      return [
        index === 0 ? "memory" : "",
        `${mebibytes(total)} for ${context} positions (${mebibytes(kv)} of it keys and values)${trained}`,
      ];
    }),
    ...run.ignored.map((what): [string, string] => ["ignored", what]),
  ];
}

/** A number of weights, as models are called by: `135 million`. */
function countText(count: number): string {
  const [unit, word] = count < 1e6 ? [1, ""] : count < 1e9 ? [1e6, " million"] : [1e9, " billion"];
  return `${unit === 1 ? count : Number((count / unit).toPrecision(3))}${word}`;
}

function styled(style: "bold" | "green" | "red", text: string): string {
  return styleText(style, text, { stream: process.stdout });
}

/** A value of the metadata; f32 numbers have no more than seven digits that say something. */
function inOneLine(value: unknown): string {
  const rounded = typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(7)) : value;
  const json = toJson(rounded).trimEnd();
  return json.length <= 100 ? json : `${json.slice(0, 97)}...`;
}

function columns(rows: readonly [string, string][]): string[] {
  const width = Math.max(0, ...rows.map(([key]) => key.length));
  return rows.map(([key, value]) => `${styled("bold", key.padEnd(width))}  ${value}`);
}
