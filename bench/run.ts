/**
 * `npm run bench`: LightGPT beside llama.cpp and beside what the machine can do. Runs rounds of the experiments of
 * `plan.ts`, prints what they came to, and keeps it where asked. Runs on Bun.
 *
 *     npm run bench -- [--only q4_0,context] [--rounds 3] [--before "CMD"] [--raw FILE] [--record] [--list]
 *
 * - `--only`: experiments, with commas; default all.
 * - `--before`: words to put before each round, such as `taskset -c 0,1` or `flock /tmp/machine`.
 * - `--raw`: a file that rounds are appended to; those that are in it count too, so a long run can be made in pieces.
 * - `--record`: writes `record/<machine>/<day>.json`.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { EXPERIMENTS, type Round } from "./plan.ts";
import { machineName, makeRecord, recordText } from "./record.ts";
import { makeModel } from "./shapes.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Ends the program with a sentence about how it was called. */
function refuse(message: string): never {
  console.error(`bench: ${message}`);
  process.exit(2);
}

function readOptions() {
  try {
    return parseArgs({
      options: {
        only: { type: "string", default: Object.keys(EXPERIMENTS).join(",") },
        rounds: { type: "string", default: "3" },
        before: { type: "string", default: "" },
        raw: { type: "string" },
        record: { type: "boolean", default: false },
        list: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    refuse((error as Error).message);
  }
}

const values = readOptions();
if (values.list) {
  for (const [name, { model, subjects, work }] of Object.entries(EXPERIMENTS)) {
    console.log(`${name}: ${model}; ${Object.keys(subjects).join(", ")}; ${work.map(({ name }) => name).join(", ")}`);
  }
  process.exit(0);
}
const names = values.only === "" ? [] : values.only.split(",");
const unknown = names.find((name) => !Object.hasOwn(EXPERIMENTS, name));
if (unknown !== undefined) refuse(`no experiment "${unknown}"; there are ${Object.keys(EXPERIMENTS).join(", ")}`);
const count = /^\d{1,4}$/.test(values.rounds) ? Number(values.rounds) : refuse("--rounds needs a count");
const before = values.before.split(" ").filter((word) => word !== "");

const rounds: Round[] = values.raw !== undefined && existsSync(values.raw)
  ? readFileSync(values.raw, "utf8").trim().split("\n").map((line) => JSON.parse(line))
  : [];

for (const name of names) {
  const { model } = EXPERIMENTS[name];
  if (model !== "embedded") makeModel(model); // no part of a round
}
// Rounds of all experiments in turn: what changes over time changes all alike.
for (let number = 0; number < count; number++) {
  for (const name of names) {
    process.stderr.write(`${name}, round ${number + 1} of ${count}\n`);
    const earlier = rounds.filter(({ experiment }) => experiment === name).length;
    const words = [...before, process.execPath, here("round.ts"), name, String(earlier)];
    const { status, stdout, error } = spawnSync(words[0], words.slice(1), {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
      maxBuffer: 1 << 26,
    });
    if (error) refuse(`${words[0]}: ${error.message}`);
    if (status !== 0) {
      console.error(`bench: ${name} failed; the other experiments go on`);
      process.exitCode = 1;
      continue;
    }
    const line = stdout.trim().split("\n").at(-1) ?? "";
    rounds.push(JSON.parse(line));
    if (values.raw !== undefined) appendFileSync(values.raw, line + "\n");
  }
}

if (rounds.length === 0) refuse("nothing was measured");
const record = makeRecord(rounds);
console.log(recordText(record));
if (values.record) {
  const path = here(`record/${machineName()}/${record.date.slice(0, 10)}.json`);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, JSON.stringify(record, null, 1) + "\n");
  console.log(`\nkept in ${path}`);
}
