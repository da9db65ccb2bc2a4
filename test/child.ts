/**
 * Runs a TypeScript program in a process of its own, on the runtime that runs the tests: for what a process can do only
 * once (choose a CPU level, open a library) and for how it ends.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { repository } from "./kit.ts";

/** How a child process ended. */
export interface Outcome {
  code: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
  milliseconds: number;
}

/** What a child process gets. */
export interface ChildOptions {
  env?: Record<string, string>;
  /** Permissions, for Deno; default all. */
  allow?: string[];
  /** More flags of the runtime. */
  flags?: string[];
  /** Called with a way to send it signals, as soon as it has written to standard output. */
  onOutput?: (kill: (signal: "SIGINT" | "SIGTERM" | "SIGKILL") => void) => void;
  timeoutMs?: number;
}

/** Where the program may import from: the repository, as a file: URL. */
export const repositoryUrl: string = pathToFileURL(repository).href;

/** Runs `source` (a module; `${repositoryUrl}mod.ts` is the product) and waits for its end. */
export async function runChild(source: string, options: ChildOptions = {}): Promise<Outcome> {
  const directory = mkdtempSync(join(tmpdir(), "lightgpt-child-"));
  try {
    const file = join(directory, "main.ts");
    writeFileSync(file, source);
    const isDeno = "Deno" in globalThis;
    const flags = isDeno ? ["run", "--no-check", "--no-prompt", ...(options.allow ?? ["-A"])] : [];
    return await run([...flags, ...(options.flags ?? []), file], options);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function run(parameters: string[], { env, onOutput, timeoutMs = 240_000 }: ChildOptions): Promise<Outcome> {
  const begin = performance.now();
  const child = spawn(process.execPath, parameters, {
    cwd: repository,
    env: { ...process.env, NO_COLOR: "1", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    if (stdout === "") onOutput?.((signal) => child.kill(signal));
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text);
  const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, stdout, stderr, milliseconds: performance.now() - begin });
    });
  });
}
