/**
 * Runs that are no plain tests: the thread sanitizer on what threads share, valgrind on Zig tests, and the canary, which shows
 * that a crash, a failure and a hang are each reported.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { root, run, toolPath } from "../tools.js";
import { ended, runBounded, runTests, zigOutcome } from "./runs.js";

/** By name; each gives an outcome as `evidence.js` has it. */
export const tools = { tsan, valgrind, canary };

async function tsan({ env, limitMs }) {
  const { code, output } = await runBounded(toolPath("zig"), ["build", "tsan", "--summary", "failures"], env, limitMs);
  const { cases, passed } = zigOutcome(output);
  const reports = output.match(/WARNING: ThreadSanitizer/g)?.length ?? 0;
  return { cases, ok: code === 0 && reports === 0 && passed > 0, output: ended(output, code) };
}

async function valgrind({ env, limitMs }) {
  if ((await run("valgrind", ["--version"])).code !== 0) {
    return { cases: [{ name: "valgrind is not installed", skipped: true }], ok: true, output: "" };
  }
  const { code, output } = await runBounded(
    toolPath("zig"),
    ["build", "valgrind", "--summary", "failures"],
    env,
    limitMs,
  );
  const { cases, passed } = zigOutcome(output);
  const errors = /ERROR SUMMARY: (\d+) errors/.exec(output)?.[1];
  return { cases, ok: code === 0 && errors === "0" && passed > 0, output: ended(output, code) };
}

/** Three files that must be reported as failed, on both runtimes: where one is not, nothing here can be believed. */
async function canary({ env }) {
  const runtimes = pathToFileURL(join(root, "ffi", "runtime", "pick.ts")).href;
  const libc = process.platform === "darwin" ? "/usr/lib/libSystem.dylib" : "libc.so.6";
  const bodies = {
    // A length of what lies at address 1.
    "a crash": `const { currentRuntime } = await import(${JSON.stringify(runtimes)});
      currentRuntime().open(${JSON.stringify(libc)}, { strlen: { parameters: ["u32"], about: "" } }).call.strlen(1);`,
    "a failure": 'throw new Error("on purpose");',
    "a hang": "for (;;);",
  };
  // Inside the repository: the runtimes look for their settings from there.
  mkdirSync(join(root, "dist"), { recursive: true });
  const folder = mkdtempSync(join(root, "dist", "canary-"));
  const cases = [];
  try {
    for (const [name, body] of Object.entries(bodies)) {
      const file = join(folder, `${name.replace(" ", "_")}.test.ts`);
      const source = `import { it } from "node:test";\nit("fails", async () => {\n  ${body}\n});\n`;
      writeFileSync(file, source);
      for (const runtime of ["bun", "deno"]) {
        const scratch = mkdtempSync(join(tmpdir(), "lightgpt-canary-"));
        const { ok, output } = await runTests(relative(root, file), runtime, env, scratch, 6000);
        rmSync(scratch, { recursive: true, force: true });
        cases.push({
          name: `${name} on ${runtime} is reported`,
          skipped: false,
          ...(ok ? { failure: `it is not: ${output}` } : {}),
        });
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return {
    cases,
    ok: cases.every(({ failure }) => failure === undefined),
    output: cases.map(({ failure }) => failure ?? "").join("\n"),
  };
}
