/**
 * The record of quality: what cells came to, kept as JSON beside the tables that are made of it (`bench/record/quality.md`, and one in
 * the README). Each cell says when and of which commit it was measured, so that a run may measure some and keep the others.
 *
 * @module
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { markdownTable as table, wrapped } from "../../scripts/markdown.ts";
import type { CellResult, MatrixResult } from "./cells.ts";
import { CELLS, type ModelName, MODELS, nameOf, TYPES, type Way, WAYS, window, windows } from "./plan.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const jsonPath = here("../record/quality.json");
const pagePath = here("../record/quality.md");

/** When, and of which commit of this repository. */
export interface Stamp {
  readonly date: string;
  readonly commit: string;
  /** Of llama.cpp's tools. */
  readonly llama: string;
}

/** All that is kept, by the names of cells and of matrices (`smollm2/ours`). */
export interface QualityRecord {
  readonly cells: Record<string, CellResult & Stamp>;
  readonly matrices: Record<string, MatrixResult & Stamp>;
}

/** The record as it is. */
export function readRecord(): QualityRecord {
  return existsSync(jsonPath) ? JSON.parse(readFileSync(jsonPath, "utf8")) : { cells: {}, matrices: {} };
}

/** Writes the record and its page. */
export function writeRecord(record: QualityRecord): void {
  const inOrder = Object.fromEntries(CELLS.flatMap((cell) => {
    const found = record.cells[nameOf(cell)];
    return found === undefined ? [] : [[nameOf(cell), found]];
  }));
  mkdirSync(dirname(jsonPath), { recursive: true });
  writeFileSync(jsonPath, JSON.stringify({ ...record, cells: inOrder }, null, 1) + "\n");
  writeFileSync(pagePath, pageOf(record));
}

/** The Markdown page. */
export function pageOf(record: QualityRecord): string {
  const commits = (of: (stamp: Stamp) => string) =>
    [...new Set([...Object.values(record.cells), ...Object.values(record.matrices)].map(of))].sort().join(", ");
  return [
    "# What quantizing costs",
    "Written by `npm run bench -- quality`. Each file was made of the float copy (F32) of a model that was quantized already " +
    "(SmolLM2 as Q4_1 and Q8_0, Gemma 3 as Q4_K_M), for its original is out of reach: figures compare ways of making a " +
    "file, and say little of the original; types like those that it had (Q4_1, Q4_K_M) lose less than they would. " +
    "Measured is the distance from that copy by " +
    `\`llama-perplexity --kl-divergence\`, over ${windows} windows of ${window} tokens of \`bench/texts/measure.txt\`; ` +
    "importance matrices and calibration read `bench/texts/calibrate.txt`. `nearest`, `search` and `calibrated` are ours; " +
    "llama-quantize rounds as it does, without and with llama-imatrix's matrix of the same text. Seconds are processor " +
    "time of the program that made the file, its matrix apart; peak is its most resident memory, pages of mapped files " +
    "included.",
    `Commits: ${commits(({ commit }) => commit)}; llama.cpp ${commits(({ llama }) => llama)}. Measured ${
      commits(({ date }) => date.slice(0, 10))
    }.`,
    ...MODELS.flatMap(({ name, title }) => [`## ${title}`, modelTable(record, name), matrixLine(record, name)]),
    "## Not measured",
    ...missingLines(record),
  ].map((part) => part.startsWith("|") ? part : wrapped(part)).join("\n\n") + "\n";
}

/** The cells that are not in the record, by name: a sentence for each model. */
function missingLines(record: QualityRecord): string[] {
  const lines = MODELS.flatMap(({ name: model, title }) => {
    const types = TYPES.flatMap((type) => {
      const ways = (Object.keys(WAYS) as Way[]).filter((way) =>
        record.cells[nameOf({ model, type, way })] === undefined
      );
      return ways.length === 0 ? [] : [`${type} (${ways.map((way) => WAYS[way]).join("; ")})`];
    });
    return types.length === 0 ? [] : [`${title}: ${types.join(", ")}.`];
  });
  return lines.length === 0 ? ["Every cell was measured."] : lines;
}

function modelTable(record: QualityRecord, model: ModelName): string {
  const head = [
    "type",
    "made by",
    "mean KL",
    "of llama-quantize's",
    "99 of 100",
    "same choice",
    "bits",
    "s",
    "peak MB",
  ];
  const rows = TYPES.flatMap((type) =>
    (Object.keys(WAYS) as Way[]).flatMap((way) => {
      const cell = record.cells[nameOf({ model, type, way })];
      if (cell === undefined) return [];
      const weighed = way === "importance" || way === "llama+imatrix" || way === "calibrated";
      const peer = record.cells[nameOf({ model, type, way: weighed ? "llama+imatrix" : "llama" })];
      return [[
        type,
        WAYS[way],
        cell.divergence.toFixed(6),
        peer === undefined || way.startsWith("llama") ? "" : `${(cell.divergence / peer.divergence).toFixed(2)} x`,
        cell.divergence99.toFixed(4),
        `${(100 * cell.same).toFixed(1)} %`,
        cell.bits.toFixed(2),
        cell.cpuSeconds.toFixed(1),
        cell.peakMB.toFixed(0),
      ]];
    })
  );
  return rows.length === 0 ? "Nothing was measured." : table(head, rows);
}

function matrixLine(record: QualityRecord, model: ModelName): string {
  const of = (by: string) => {
    const found = record.matrices[`${model}/${by}`];
    return found === undefined ? "not measured" : `${found.cpuSeconds.toFixed(1)} s, ${found.peakMB.toFixed(0)} MB`;
  };
  return `The importance matrix: ours ${of("ours")}; llama-imatrix ${of("llama")}.`;
}

/** The README's table: mean KL divergences, a row for each type of a model that was measured by more than one way. */
export function readmeTable(record: QualityRecord = readRecord()): string {
  const ways = Object.keys(WAYS) as Way[];
  const rows = MODELS.flatMap(({ name: model, title }) =>
    TYPES.flatMap((type) => {
      const cells = ways.map((way) => record.cells[nameOf({ model, type, way })]);
      if (cells.filter((cell) => cell !== undefined).length < 2) return [];
      return [[`${title}, ${type}`, ...cells.map((cell) => cell === undefined ? "-" : cell.divergence.toFixed(4))]];
    })
  );
  return table(["mean KL from the float copy", ...ways.map((way) => WAYS[way])], rows);
}
