/**
 * `npm run reliability`: runs what shows each row of the reliability table, on Bun and Deno, and prints the table with its
 * numbers and counts; `--night` runs the larger numbers and what takes too long for every change. `--rows 5,9`, `--runtime bun`,
 * `--limit 10` (minutes for each run) make it less; `--share 0.1` runs a tenth of the night's numbers, which the table then says; `--write` keeps the table in docs/reliability.md, or with `--rows` these of
 * its rows. `--keep FOLDER` keeps what came of each run there and takes from there what has been run, so that a night can be cut
 * into pieces and its rows shared out.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { build, environment } from "../build.js";
import { setup } from "../setup.js";
import { Failure, main, root, run, toolPath } from "../tools.js";
import { keeping, keyOf } from "./evidence.js";
import { rows } from "./rows.js";

const page = join(root, "docs", "reliability.md");
const [begin, end] = ["<!-- table: begin -->", "<!-- table: end -->"];

function options() {
  const { values } = parseArgs({
    options: {
      night: { type: "boolean", default: false },
      write: { type: "boolean", default: false },
      rows: { type: "string" },
      runtime: { type: "string" },
      limit: { type: "string" },
      keep: { type: "string" },
      share: { type: "string" },
    },
  });
  const numbers = values.rows?.split(",").map(Number) ?? rows.map(({ row }) => row);
  const unknown = numbers.find((number) => !rows.some(({ row }) => row === number));
  if (unknown !== undefined) throw new Failure(`--rows: there is no row ${unknown}; they are 1 to ${rows.length}`);
  const runtimes = values.runtime === undefined ? ["bun", "deno"] : [values.runtime];
  if (!runtimes.every((name) => ["bun", "deno"].includes(name))) throw new Failure("--runtime: bun or deno");
  const minutes = Number(values.limit ?? (values.night ? 120 : 10));
  if (!(minutes > 0)) throw new Failure(`--limit: minutes above 0, not ${values.limit}`);
  const limitMs = minutes * 60_000;
  const share = Number(values.share ?? 1);
  if (!(share > 0 && share <= 1)) throw new Failure(`--share: above 0 and at most 1, not ${values.share}`);
  if (values.share !== undefined && !values.night) {
    throw new Failure("--share: which share of --night, which is not asked for");
  }
  return {
    isNight: values.night,
    share: values.night ? share : 0,
    write: values.write,
    numbers,
    runtimes,
    limitMs,
    folder: values.keep,
  };
}

/** Builds the libraries that only these tests have. */
async function buildVariants(wanted) {
  const zig = async (...parameters) => {
    const { code, output } = await run(toolPath("zig"), parameters, { env: environment() });
    if (code !== 0) throw new Failure(`zig ${parameters.join(" ")} failed:\n${output.trim()}`);
  };
  if (wanted.has("faults")) await zig("build", "faults");
  if (wanted.has("safe")) await zig("build", "safe");
  if (wanted.has("shim") && process.platform === "linux") {
    const out = join("lib", "faults", "librefusing.so");
    await zig("cc", "-shared", "-fPIC", "-O1", "-o", out, "test/reliability/refusing.c");
  }
}

/** Everything that shows the rows, run once each. */
async function runAll(chosen, { isNight, share, runtimes, limitMs, folder }) {
  const outcomes = new Map();
  const all = chosen.flatMap(({ shown }) => shown).filter(({ isNightly }) => isNight || !isNightly);
  await buildVariants(new Set(all.map(({ library }) => library)));
  const collectOnce = keeping(folder);
  for (const shown of all) {
    const key = keyOf(shown);
    if (outcomes.has(key)) continue;
    const runs = new Map();
    outcomes.set(key, runs);
    for (const runtime of shown.kind === "test" ? runtimes : ["native"]) {
      const outcome = await collectOnce(shown, { runtime, share, limitMs });
      runs.set(runtime, outcome);
      console.error(`${outcome.ok ? "ok" : "FAILED"} ${key} ${runtime} (${(outcome.ms / 1000).toFixed(1)} s)`);
      if (!outcome.ok) console.error(outcome.output);
    }
  }
  return outcomes;
}

/** What the runs say of a row: held, failed or skipped, and how much was done. */
export function judge({ row, shown }, outcomes, isNight) {
  let [passed, failed, skipped] = [0, 0, 0];
  const counts = new Map();
  const problems = [];
  for (const evidence of shown) {
    if (evidence.isNightly && !isNight) continue;
    for (const [runtime, outcome] of outcomes.get(keyOf(evidence)) ?? []) {
      // A file that one runtime leaves to the other.
      if (outcome.ok && outcome.cases.length > 0 && outcome.cases.every((test) => test.skipped)) {
        skipped += outcome.cases.length;
        continue;
      }
      const names = evidence.names?.length > 0 ? evidence.names : [""];
      for (const name of names) {
        const cases = outcome.cases.filter((test) => `${test.suite ?? ""} > ${test.name}`.includes(name));
        const bad = cases.filter(({ failure }) => failure !== undefined);
        const left = cases.filter(({ skipped }) => skipped);
        passed += cases.length - bad.length - left.length;
        skipped += left.length;
        failed += bad.length;
        // Zig and tools tell their own sums.
        if (evidence.kind !== "test") { for (const test of cases) if (!bad.includes(test)) counts.set(test.name, ""); }
        if (cases.length === 0) problems.push(`${runtime}: no test "${name}" in ${evidence.file ?? keyOf(evidence)}`);
        if (name === "" && !outcome.ok && bad.length === 0) problems.push(`${runtime}: ${keyOf(evidence)} failed`);
      }
      for (const { row: noted, what, count } of outcome.counts) {
        if (noted === row) counts.set(what, (counts.get(what) ?? 0) + count);
      }
    }
  }
  const state = failed > 0 || problems.length > 0
    ? "FAILED"
    : passed > 0
    ? "held"
    : skipped > 0
    ? "skipped"
    : "at night";
  const figures = [...counts].map(([what, count]) => `${count} ${what}`.trim());
  const cases = `${passed} passed${skipped > 0 ? `, ${skipped} skipped` : ""}${failed > 0 ? `, ${failed} failed` : ""}`;
  return { state, counts: [...(state === "at night" ? [] : [cases]), ...figures, ...problems].join("; ") };
}

function tableOf(chosen, outcomes, isNight) {
  const lines = chosen.map((row) => {
    const { state, counts } = judge(row, outcomes, isNight);
    const run = `${isNight ? nightOf(row, outcomes) : "change"}, ${whenOf(row, outcomes)}`;
    return `| ${row.row} | ${row.what} | ${row.expected} | ${row.gate} / ${row.night} | ${state} | ${run} | ${counts} |`;
  });
  return [
    "| row | fault | what must come of it | number: every change / night | result | run | counts of this run |",
    "| --- | --- | --- | --- | --- | --- | --- |",
    ...lines,
  ].join("\n");
}

const outcomesOf = ({ shown }, outcomes) =>
  shown.flatMap((evidence) => [...(outcomes.get(keyOf(evidence)) ?? new Map()).values()]);

/** Which share of the night's numbers all runs had that show a row. */
function nightOf(row, outcomes) {
  const share = outcomesOf(row, outcomes).reduce((least, { share }) => Math.min(least, share), 1);
  return share === 1 ? "night" : `${100 * share} % of night`;
}

/** When the last run that shows a row ended: date and time of day, UTC. */
function whenOf(row, outcomes) {
  const times = outcomesOf(row, outcomes).map(({ when }) => when).sort();
  return (times.at(-1) ?? new Date().toISOString()).slice(0, 16).replace("T", " ");
}

/** The page with some rows of its table as they are in another one, and how many of all hold. */
export function withRows(text, where, table) {
  const [before] = text.split(begin);
  const [, after] = text.split(end);
  const kept = text.split(begin)[1].split(end)[0].trim().split("\n");
  const numberOf = (line) => Number(/^\| *(\d+) *\|/.exec(line)?.[1]);
  const lines = new Map();
  for (const line of [...kept, ...table.split("\n")]) if (numberOf(line) > 0) lines.set(numberOf(line), line);
  const cells = [...lines.values()].map((line) => line.split("|").map((cell) => cell.trim()));
  const count = (state) => cells.filter((row) => row[5] === state).length;
  const atNight = cells.filter((row) => row[5] === "held" && row[6].startsWith("night")).length;
  const told = `${count("held")} of ${lines.size} rows held, ${atNight} of them at the night's numbers; ` +
    `${count("FAILED")} failed, ${count("at night")} are for the night only, ${
      count("skipped")
    } were skipped (${where}). ` +
    `A row tells of which run it is, and when that ended (UTC).`;
  const sorted = [...lines].sort(([a], [b]) => a - b).map(([, line]) => line);
  return `${before}${begin}\n\n${told}\n\n${
    [...table.split("\n").slice(0, 2), ...sorted].join("\n")
  }\n\n${end}${after}`;
}

async function reliability() {
  const chosen = options();
  await setup();
  await build();
  const picked = rows.filter(({ row }) => chosen.numbers.includes(row));
  const outcomes = await runAll(picked, chosen);
  const table = tableOf(picked, outcomes, chosen.isNight);
  const states = picked.map((row) => judge(row, outcomes, chosen.isNight).state);
  const count = (state) => states.filter((found) => found === state).length;
  const summary = `${count("held")} of ${picked.length} rows held, ${count("FAILED")} failed, ` +
    `${count("at night")} at night only, ${count("skipped")} skipped`;
  console.log(`${table}\n\n${summary}`);
  if (chosen.write) {
    const machine = `${cpus()[0]?.model ?? "unknown processor"}, ${cpus().length} processors`;
    writeFileSync(
      page,
      withRows(readFileSync(page, "utf8"), `the last run: ${chosen.runtimes.join(" and ")}, ${machine}`, table),
    );
    await run(toolPath("deno"), ["fmt", "--quiet", page]);
  }
  process.exitCode = count("FAILED") > 0 ? 1 : 0;
}

main(import.meta.url, reliability);
