/**
 * The command of a package on whichever runtime is there: this one where it can, else one that is found on PATH. It has to run on
 * any Node, so it imports nothing that needs a new one.
 *
 * @module
 */
import { node } from "./builtins.ts";
import { unsupportedRuntime } from "./pick.ts";

/** Runs `run` on this runtime, or the module at `url`, which called this, on another; gives the exit code. */
export async function launch(url: string, words: readonly string[], run: () => Promise<number>): Promise<number> {
  const problem = unsupportedRuntime();
  if (problem === undefined) {
    quiet();
    return await run();
  }
  const { delimiter, join } = node("node:path");
  const { env, platform, stderr } = node("node:process");
  const exe = platform === "win32" ? ".exe" : "";
  const { existsSync } = node("node:fs");
  const path = node("node:url").fileURLToPath(url);
  const starts = [{ name: "bun", args: [path] }, { name: "deno", args: ["run", "--allow-all", "--no-prompt", path] }];
  for (const { name, args } of starts) {
    for (const folder of (env.PATH ?? "").split(delimiter)) {
      const program = join(folder, name + exe);
      if (folder !== "" && existsSync(program)) return await start(program, [...args, ...words]);
    }
  }
  stderr.write(`lightgpt: ${problem.slice(0, -1)}, and neither bun nor deno is on the PATH.\n`);
  return 1;
}

/** Node warns of foreign functions whenever it starts, which is no news to a reader of this command's output. */
function quiet(): void {
  const process = node("node:process");
  if ("Deno" in globalThis || "Bun" in globalThis) return;
  const warn = process.emitWarning.bind(process) as (warning: string | Error, ...more: unknown[]) => void;
  const filtered = (warning: string | Error, ...more: unknown[]) => {
    if (more[0] !== "ExperimentalWarning" || !/\bFFI\b/.test(String(warning))) warn(warning, ...more);
  };
  process.emitWarning = filtered as typeof process.emitWarning;
}

/** Runs a program to its end, with our terminal. */
function start(program: string, args: readonly string[]): Promise<number> {
  const process = node("node:process");
  const child = node("node:child_process").spawn(program, args, { stdio: "inherit" });
  // Ctrl-C reaches the child as well, which ends by itself; waiting for it keeps its last words and its exit code.
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on(
      "close",
      (code, signal) => resolve(code ?? 128 + (node("node:os").constants.signals[signal ?? "SIGTERM"])),
    );
  });
}
