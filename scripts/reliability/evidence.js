/**
 * Runs what shows a row of the reliability table, each once however many rows it shows, and gathers what came of it: test cases
 * by name, and the counts that tests note (`test/counts.ts`). A run that crashes, hangs or reports nothing has failed.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { environment } from "../build.js";
import { root, toolPath } from "../tools.js";
import { ended, runBounded, runTests, zigOutcome } from "./runs.js";
import { tools } from "./sanitizers.js";

/**
 * What came of one run.
 * @typedef {{ cases: { name: string, skipped: boolean, failure?: string }[], ok: boolean, ms: number, when: string, share: number, counts: object[], output: string }} Outcome
 */

/** The folder of libraries that are built for tests alone. */
const libraries = join(root, "lib");
const libraryName = process.platform === "darwin" ? "liblightgpt.dylib" : "liblightgpt.so";

/** Names a run: the same evidence of two rows is run once. */
export function keyOf({ kind, file, filters, name, library = "" }) {
  return [kind, file ?? name ?? filters.join("|"), library].join(" ");
}

/**
 * `collect`, for which a folder remembers: what was run there, by the gate or by night, is read and not run again. What was cut
 * off or failed is run again.
 */
export function keeping(folder) {
  if (folder === undefined) return collect;
  mkdirSync(folder, { recursive: true });
  return async (shown, options) => {
    const { share } = options;
    const pathOf = (run) =>
      join(folder, `${`${run} ${keyOf(shown)} ${options.runtime}`.replace(/[^\w.]+/g, "-")}.json`);
    const own = pathOf(share === 0 ? "gate" : share === 1 ? "night" : `night ${share}`);
    // A whole night's run is more than a share of it.
    for (const path of share > 0 ? [pathOf("night"), own] : [own]) {
      if (!existsSync(path)) continue;
      const kept = JSON.parse(readFileSync(path, "utf8"));
      if (kept.ok) return { when: statSync(path).mtime.toISOString(), share: share > 0 ? 1 : 0, ...kept };
    }
    const outcome = await collect(shown, options);
    writeFileSync(own, JSON.stringify(outcome));
    return outcome;
  };
}

/** Runs it on one runtime (or none, for what has none). @returns {Promise<Outcome>} */
export async function collect(shown, { runtime, share, limitMs }) {
  const scratch = mkdtempSync(join(tmpdir(), "lightgpt-reliability-"));
  const begin = performance.now();
  const counts = join(scratch, "counts");
  const env = {
    ...environment(),
    LIGHTGPT_COUNTS: counts,
    // The library with all checks is slow: other rows have the night's numbers.
    ...(share > 0 && shown.library !== "safe" ? { LIGHTGPT_NIGHT: String(share) } : {}),
    ...(["faults", "safe"].includes(shown.library)
      ? { LIGHTGPT_LIBRARY: join(libraries, shown.library, libraryName) }
      : {}),
  };
  try {
    const outcome = shown.kind === "test"
      ? await runTests(shown.file, runtime, env, scratch, limitMs)
      : shown.kind === "zig"
      ? await runZig(shown.filters, env, share, limitMs)
      : await tools[shown.name]({ env, limitMs });
    const noted = existsSync(counts)
      ? readFileSync(counts, "utf8").trim().split("\n").map((line) => JSON.parse(line))
      : [];
    const ms = performance.now() - begin;
    return { ...outcome, ms, when: new Date().toISOString(), share, counts: noted };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function runZig(filters, env, share, limitMs) {
  const parameters = ["build", "test", "--summary", "failures", ...filters.map((filter) => `-Dtest-filter=${filter}`)];
  const cases = String(Math.max(200, Math.round(10_000 * share)));
  const { code, output } = await runBounded(toolPath("zig"), parameters, { ...env, LIGHTGPT_CASES: cases }, limitMs);
  const { cases: found, passed } = zigOutcome(output);
  return { cases: found, ok: code === 0 && passed > 0, output: ended(output, code) };
}
