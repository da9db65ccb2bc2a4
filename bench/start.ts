/**
 * From the start of a process to the first token of the embedded model, everything warm, beside what an empty program
 * costs on the same runtime: medians of rounds in which each subject runs once.
 *
 *     bun bench/start.ts [ROUNDS]
 *
 * @module
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { compile, install, pack, stage } from "../scripts/package.js";
import { toolPath } from "../scripts/tools.js";
import { repository } from "../test/kit.ts";
import { show, summarize, type Summary, table } from "./statistics.ts";

const rounds = Number(process.argv[2] ?? 15);
const directory = mkdtempSync(join(tmpdir(), "lightgpt-start-"));

function programFile(name: string, source: string): string {
  const path = join(directory, name);
  writeFileSync(path, source);
  return path;
}

/** Writes its token as the empty program writes: what a runtime needs for `process.stdout` (25 to 40 ms) is not ours. */
function story(specifier: string): string {
  return `import { LightGPT } from ${JSON.stringify(specifier)};
await using lm = await LightGPT.load();
for await (const piece of lm.generate("Once upon a time", { maxTokens: 1 })) console.log(piece.text);
`;
}

/** Milliseconds from the start of a process to the first thing that it writes. */
function firstOutput(runtime: string, file: string): Promise<number> {
  const flags = runtime === "deno" ? ["run", "--allow-all", "--no-check"] : [];
  const begin = performance.now();
  const child = spawn(toolPath(runtime), [...flags, file], { cwd: directory, stdio: ["ignore", "pipe", "inherit"] });
  let first: number | undefined;
  child.stdout.on("data", () => first ??= performance.now() - begin);
  return new Promise((done, fail) => {
    child.on("error", fail);
    child.on("close", (code) => {
      if (code === 0 && first !== undefined) done(first);
      else fail(new Error(`${runtime} ${file} ended with ${code}, ${first === undefined ? "and wrote nothing" : ""}`));
    });
  });
}

try {
  await stage(join(directory, "jsr"), { here: true });
  await compile(join(directory, "jsr"), join(directory, "npm"));
  await install((await pack(join(directory, "npm"))).path, directory);
  const files = {
    "empty program": programFile("empty.ts", "console.log(1);\n"),
    "from a checkout": programFile("checkout.ts", story(join(repository, "mod.ts"))),
    "installed from npm": programFile("installed.ts", story("@lightgpt/lightgpt")),
  };
  const subjects = ["bun", "deno"].flatMap((runtime) =>
    Object.entries(files).map(([name, file]) => ({ runtime, name, file, times: [] as number[] }))
  );
  for (let round = -1; round < rounds; round++) {
    for (const { runtime, file, times } of round % 2 === 0 ? subjects : subjects.toReversed()) {
      const time = await firstOutput(runtime, file);
      if (round >= 0) times.push(time); // the round before the first fills the caches
    }
  }
  const cells = ({ median, least, most }: Summary) => [median, least, most].map(show);
  console.log(table([
    ["", "", "ms to the first token", "least", "most"],
    ...subjects.map(({ runtime, name, times }) => [runtime, name, ...cells(summarize(times) as Summary)]),
  ], 2));
} finally {
  rmSync(directory, { recursive: true, force: true });
}
