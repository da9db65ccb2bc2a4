/**
 * A choice among a few lines in a terminal: they are numbered, and a number is typed.
 *
 * @module
 */
import process from "node:process";
import { createInterface } from "node:readline";
import type { Interrupt } from "./output.ts";

/** Whether a person can be asked. */
export function canAsk(): boolean {
  return process.stdin.isTTY === true && process.stderr.isTTY === true;
}

/** Shows lines and asks for one; undefined where none is chosen. */
export async function choose<T>(
  question: string,
  lines: readonly { readonly text: string; readonly value: T }[],
  interrupt: Interrupt,
): Promise<T | undefined> {
  const width = String(lines.length).length;
  process.stderr.write(lines.map(({ text }, index) => `${String(index + 1).padStart(width + 1)}  ${text}\n`).join(""));
  for (;;) {
    const answer = await ask(`${question} (1 to ${lines.length}, Enter for none) `, interrupt);
    if (answer === undefined || answer.trim() === "") return undefined;
    const line = /^\s*\d{1,4}\s*$/.test(answer) ? lines[Number(answer) - 1] : undefined;
    if (line !== undefined) return line.value;
    process.stderr.write(`There is no ${JSON.stringify(answer.trim())}.\n`);
  }
}

/** One line that is typed; undefined at the end of the input, and after Ctrl-C. */
async function ask(question: string, interrupt: Interrupt): Promise<string | undefined> {
  const lines = createInterface({ input: process.stdin, output: process.stderr, terminal: true });
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  lines.on("SIGINT", () => interrupt.press());
  lines.on("close", () => resolve(undefined));
  const end = () => lines.close();
  interrupt.signal.addEventListener("abort", end, { once: true });
  lines.question(question, resolve);
  try {
    return await promise;
  } finally {
    interrupt.signal.removeEventListener("abort", end);
    lines.close();
  }
}
