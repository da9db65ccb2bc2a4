/**
 * Runs the `lightgpt` command on the runtime that runs the tests, as a user would.
 *
 * @module
 */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { spawn } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { repository } from "./kit.ts";

/** How the command ended, and what it wrote. */
export interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** What it gets besides words. */
export interface Options {
  /** Its standard input; `open` writes nothing and leaves it open. */
  input?: string | Uint8Array | { readonly open: true };
  env?: Record<string, string>;
  /** The folder that it runs in. Default: the repository. */
  cwd?: string;
  /** Press Ctrl-C after so long. */
  interruptMs?: number;
  /** Press Ctrl-C as soon as it has written something. */
  interruptOnOutput?: boolean;
  /** Stop reading standard output after the first text. */
  closeEarly?: boolean;
}

/** A profile that somebody measured on this machine is none of the tests' business; nothing is here but what they write. */
const cache = join(tmpdir(), `lightgpt-tests-${process.pid}`);

/** Runs `lightgpt` with these words. */
export function lightgpt(
  words: string[],
  { input = "", env = {}, cwd = repository, interruptMs, interruptOnOutput, closeEarly }: Options = {},
): Promise<Outcome> {
  const start = "Deno" in globalThis ? ["run", "--allow-all", "--no-prompt", "--quiet"] : [];
  const child = spawn(process.execPath, [...start, join(repository, "cli/main.ts"), ...words], {
    cwd,
    env: { ...process.env, NO_COLOR: "1", LIGHTGPT_DEBUG: "", LIGHTGPT_CACHE: cache, ...env },
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    if (closeEarly) child.stdout.destroy();
    if (interruptOnOutput && stdout === "") process.kill(child.pid as number, "SIGINT");
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text);
  child.stdin.on("error", () => {}); // a command that fails at once need not read its input
  if (typeof input === "string" || input instanceof Uint8Array) child.stdin.end(input);
  // Not child.kill, after which Deno takes the child for ended.
  const timer = interruptMs === undefined
    ? undefined
    : setTimeout(() => process.kill(child.pid as number, "SIGINT"), interruptMs);
  return new Promise((done, fail) => {
    child.on("error", fail);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      // Deno tells an exit code above 128 as the signal that it stands for.
      done({ code: code ?? (signal === "SIGINT" ? 130 : null), stdout, stderr });
    });
  });
}

/** Fails unless the command said one line and left with `code`. */
export function assertRefused({ code, stdout, stderr }: Outcome, expected: number, includes: string): void {
  assertEquals([code, stdout], [expected, ""], stderr);
  assertMatch(stderr, /^lightgpt: [^\n]+\n$/);
  assertStringIncludes(stderr, includes);
}
