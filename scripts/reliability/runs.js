/**
 * Runs a test runner within a time: one that takes longer is killed with all that it started, and has failed.
 */
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { testCases } from "../report.js";
import { root, toolPath } from "../tools.js";

/** Output that is kept of a run. */
const outputMost = 1 << 20;

/** Runs a program to its end, or kills its process group after `limitMs`; the code is then "time". */
export function runBounded(program, parameters, env, limitMs) {
  return new Promise((done) => {
    const child = spawn(program, parameters, { cwd: root, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    let isLate = false;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => output = (output + text).slice(-outputMost));
    }
    const timer = setTimeout(() => {
      isLate = true;
      process.kill(-child.pid, "SIGKILL");
    }, limitMs);
    child.on("error", (error) => {
      clearTimeout(timer);
      done({ code: -1, output: `${program}: ${error.message}` });
    });
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      done({ code: isLate ? "time" : signal ?? code, output });
    });
  });
}

/** The tests of a file, by JUnit's report. */
export async function runTests(file, runtime, env, scratch, limitMs) {
  const xml = join(scratch, "report.xml");
  const parameters = runtime === "deno"
    ? ["test", "--allow-all", "--quiet", "--no-check", `--junit-path=${xml}`, file]
    : ["test", `--timeout=${limitMs}`, "--reporter=junit", `--reporter-outfile=${xml}`, `./${file}`];
  const { code, output } = await runBounded(toolPath(runtime), parameters, env, limitMs);
  const cases = existsSync(xml) ? testCases(readFileSync(xml, "utf8")) : [];
  return { cases, ok: code === 0 && cases.length > 0, output: ended(output, code) };
}

/** What Zig's test program said in its last line. */
export function zigOutcome(output) {
  let passed = 0;
  for (const [, count] of output.matchAll(/^zig \S+: (\d+) passed/gm)) passed += Number(count);
  const failures = [...output.matchAll(/^FAILED (.*)$/gm)].map(([, name]) => ({ name, skipped: false, failure: name }));
  return { cases: [{ name: `${passed} Zig tests`, skipped: false }, ...failures], passed };
}

/** The end of an output, and how the run ended. */
export function ended(output, code) {
  return `${output.trim().split("\n").slice(-15).join("\n")}\n(ended with ${code})`;
}
