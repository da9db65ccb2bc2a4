/**
 * What the command reads and writes: results go to standard output, everything else to standard error. A closed pipe
 * (`| head`) and Ctrl-C end the work early through one AbortSignal.
 *
 * @module
 */
import process from "node:process";
import { styleText } from "node:util";
import { LightGPTError } from "../ffi/errors.ts";
import { cancelledBy } from "../src/options/checks.ts";
import { UsageError } from "./types.ts";

/** Ends a subcommand early: `reason` says why. */
export class Interrupt {
  readonly #controller = new AbortController();
  /** `signal` by Ctrl-C, `pipe` when standard output has no reader any more. */
  reason: "signal" | "pipe" | undefined;

  /** What Ctrl-C ends instead of the subcommand, while there is such a thing. */
  inner: (() => void) | undefined;

  /** Listens for Ctrl-C, and for the end of the reader of our output. */
  constructor() {
    process.on("SIGINT", () => this.press());
    process.stdout.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
      this.#end("pipe");
    });
  }

  /** Aborted when the work should end. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** What Ctrl-C does; a terminal in raw mode gives no signal, so the code that reads its keys calls this. */
  press(): void {
    if (this.inner === undefined) this.#end("signal");
    else this.inner();
  }

  #end(reason: "signal" | "pipe"): void {
    if (this.reason === "signal" && reason === "signal") process.exit(130); // asked twice: at once
    this.reason ??= reason;
    this.#controller.abort();
  }
}

/** Writes to standard output and waits until it is taken, so that a slow reader slows us, not our memory. */
export function print(text: string): Promise<void> {
  return new Promise((done) => {
    // A failed write is heard by Interrupt; here it only must not hang.
    process.stdout.write(text, () => done());
  });
}

/** One line on standard error. */
export function note(text: string): void {
  process.stderr.write(`${styleText("dim", "lightgpt:", { stream: process.stderr })} ${text}\n`);
}

/** One line on standard error about what ends the command. */
export function complain(text: string): void {
  process.stderr.write(`${styleText("red", "lightgpt:", { stream: process.stderr })} ${text}\n`);
}

/** All of standard input as text; undefined where it is a terminal. */
export async function readInput(signal: AbortSignal): Promise<string | undefined> {
  if (process.stdin.isTTY) return undefined;
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const stop = () => reject(cancelledBy(signal));
  signal.addEventListener("abort", stop);
  try {
    // Not by destroying the stream: Deno's goes on waiting for what is typed.
    return await Promise.race([readAll(), aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

async function readAll(): Promise<string> {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true }); // a BOM is text like any other
  let text = "";
  for await (const chunk of process.stdin) text += decoder.decode(chunk, { stream: true });
  return text + decoder.decode();
}

/** JSON as the command prints it; integers too large for a number become strings. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner) => typeof inner === "bigint" ? bigintJson(inner) : inner) + "\n";
}

function bigintJson(value: bigint): number | string {
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER)
    ? Number(value)
    : value.toString();
}

/** The one line that says what went wrong. What is none of our errors shows its stack: it is a bug. */
export function errorText(error: unknown): string {
  const known = error instanceof LightGPTError || error instanceof UsageError || isSystemError(error);
  if (!(error instanceof Error)) return String(error);
  if (process.env.LIGHTGPT_DEBUG === "1") return error.stack ?? error.message;
  const line = error.message.split("\n", 1)[0];
  return known ? line : `${error.name}: ${line} (a bug in LightGPT? LIGHTGPT_DEBUG=1 shows where)`;
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).code === "string";
}
