/**
 * `npm run bench -- quality`: makes and measures the cells of the record of quality that are not in it yet, one after the other, and
 * writes the record after each; a run that was ended goes on with the next.
 *
 *     npm run bench -- quality --only smollm2/Q4_0,/llama     # some cells, by the words of their names
 *     npm run bench -- quality --again --only gemma3/Q6_K     # measured anew
 *     npm run bench -- quality --list                         # the cells, and which are in the record
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { models, modelsFolder } from "../../scripts/models.js";
import { refreshed } from "../../scripts/tables.ts";
import { llamaTools } from "../peers/tools.mjs";
import { type Bench, makeMatrix, matrixPath, measureCell } from "./cells.ts";
import { type Cell, CELLS, chosen, type ModelName, MODELS, nameOf } from "./plan.ts";
import { readRecord, type Stamp, writeRecord } from "./record.ts";

const readme = fileURLToPath(new URL("../../README.md", import.meta.url));

/** Ends the program with a sentence about how it was called. */
function refuse(message: string): never {
  console.error(`bench quality: ${message}`);
  process.exit(2);
}

function optionsOf() {
  try {
    return parseArgs({
      options: {
        only: { type: "string" },
        again: { type: "boolean", default: false },
        list: { type: "boolean", default: false },
        write: { type: "boolean", default: false },
        threads: { type: "string", default: "1" },
        folder: { type: "string", default: join(tmpdir(), "lightgpt-quality") },
      },
    }).values;
  } catch (error) {
    refuse((error as Error).message);
  }
}

const { only, again, list, write, threads, folder } = optionsOf();
const record = readRecord();
const cells = only === undefined ? CELLS : chosen(only.split(","));
if (cells.length === 0) refuse(`--only ${only} names no cell; --list shows them`);
if (!/^[1-9]\d{0,2}$/.test(threads)) refuse("--threads needs a count");
if (list) {
  for (const cell of cells) console.log(`${nameOf(cell)}${record.cells[nameOf(cell)] ? "" : " (not measured)"}`);
} else if (write) {
  finish();
} else {
  await measureAll();
}

/** Writes what is made of the record. */
function finish(): void {
  writeRecord(record);
  writeFileSync(readme, refreshed("README.md", readFileSync(readme, "utf8")));
}

async function measureAll(): Promise<void> {
  for (const { name } of MODELS) {
    const file = models.find((model) => model.name === name)?.file ?? "";
    const isNeeded = cells.some(({ model }) => model === name);
    if (isNeeded && !existsSync(join(modelsFolder(), file))) refuse(`${name} is not there; npm run models fetches it`);
  }
  const { folder: tools, commit: llama } = await llamaTools();
  const bench: Bench = { tools, folder, threads: Number(threads) };
  const git = ["rev-parse", "--short=12", "HEAD"];
  const commit = execFileSync("git", git, { encoding: "utf8", cwd: import.meta.dirname }).trim();
  const stamp = (): Stamp => ({ date: new Date().toISOString(), commit, llama });
  for (const cell of cells) {
    const name = nameOf(cell);
    if (record.cells[name] !== undefined && !again) continue;
    try {
      await needMatrix(bench, cell, stamp);
      const result = await measureCell(bench, cell);
      record.cells[name] = { ...result, ...stamp() };
      console.log(`${name}: mean KL ${result.divergence}, ${result.cpuSeconds.toFixed(1)} s`);
    } catch (error) {
      // The others can be measured still; the page names what was not.
      console.error(`${name}: ${(error as Error).message}`);
      process.exitCode = 1;
    }
    finish();
  }
}

/** Makes the importance matrix of a cell that needs one and has none. */
async function needMatrix(bench: Bench, { model, way }: Cell, stamp: () => Stamp): Promise<void> {
  const by = way === "importance" ? "ours" : way === "llama+imatrix" ? "llama" : undefined;
  if (by === undefined) return;
  const name: `${ModelName}/${string}` = `${model}/${by}`;
  if (record.matrices[name] !== undefined && existsSync(matrixPath(bench, model, by))) return;
  record.matrices[name] = { ...await makeMatrix(bench, model, by), ...stamp() };
}
