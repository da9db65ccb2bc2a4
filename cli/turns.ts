/**
 * Turns as they are typed: a line, several lines that are pasted or that end with a backslash, or a block between two lines
 * of """. A terminal has a prompt, a history that stays, and Tab for commands; through a pipe there are only the lines.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { createInterface, type Interface } from "node:readline";
import { cacheDirectory, replaceFile } from "../ffi/cache_directory.ts";
import { currentRuntime } from "../ffi/runtime/pick.ts";
import { type Interrupt, note } from "./output.ts";

const prompts = { first: "> ", more: ". " };
/** Lines of the history that are kept. */
const historyMost = 500;
/**
 * Lines that come within so many milliseconds of one another were pasted. (Terminals can mark what is pasted, but not every
 * runtime's readline knows the marks.)
 */
const pasteMs = 15;

/** Reads turns from standard input. */
export class TurnReader {
  readonly #lines: Interface;
  readonly #interrupt: Interrupt;
  readonly #isTerminal = process.stdin.isTTY === true;
  readonly #turns: string[] = [];
  #gathered: string[] = [];
  #history: readonly string[] = [];
  #isInBlock = false;
  #isClosed = false;
  #hasPressed = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #wake: (() => void) | undefined;

  /** Begins to read; `commands` are what Tab completes. */
  constructor(interrupt: Interrupt, commands: readonly string[]) {
    this.#interrupt = interrupt;
    this.#lines = createInterface({
      input: process.stdin,
      prompt: prompts.first,
      ...(this.#isTerminal ? this.#terminal(commands) : {}),
    });
    this.#lines.on("line", (line) => this.#take(line));
    this.#lines.on("close", () => this.#close());
    if (!this.#isTerminal) return;
    this.#lines.on("history", (lines) => this.#history = lines);
    this.#lines.on("SIGINT", () => this.#press());
  }

  #terminal(commands: readonly string[]) {
    return {
      output: process.stderr,
      terminal: true,
      history: readHistory(),
      historySize: historyMost,
      removeHistoryDuplicates: true,
      completer: (line: string): [string[], string] => [
        line.startsWith("/") ? commands.filter((command) => command.startsWith(line)) : [],
        line,
      ],
    };
  }

  /** The turns, until the input ends. */
  async *[Symbol.asyncIterator](): AsyncGenerator<string, void, void> {
    for (;;) {
      const turn = this.#turns.shift();
      if (turn !== undefined) {
        yield turn;
        continue;
      }
      if (this.#isClosed) return;
      this.#ask();
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  /** Ends reading, and keeps the history. Again is fine. */
  close(): void {
    this.#lines.close();
  }

  #ask(): void {
    if (!this.#isTerminal) return;
    this.#lines.setPrompt(this.#isInBlock || this.#gathered.length > 0 ? prompts.more : prompts.first);
    this.#lines.prompt();
  }

  #take(line: string): void {
    this.#hasPressed = false;
    this.#gathered.push(line);
    clearTimeout(this.#timer);
    if (this.#isTerminal) this.#timer = setTimeout(() => this.#gather(), pasteMs);
    else this.#gather();
  }

  /** Makes a turn of the lines so far, unless more of it must come. */
  #gather(): void {
    const last = this.#gathered.at(-1) ?? "";
    // What was pasted has a last line without an end, which can still be edited.
    if (this.#lines.line) return;
    if (this.#gathered.length === 1 && last.trim() === '"""') this.#isInBlock = true;
    if (this.#isInBlock) {
      if (this.#gathered.length === 1 || last.trim() !== '"""') return this.#ask();
      this.#isInBlock = false;
      return this.#give(this.#gathered.slice(1, -1).join("\n"));
    }
    if (last.endsWith("\\")) return this.#ask();
    this.#give(this.#gathered.map((line) => line.replace(/\\$/, "")).join("\n"));
  }

  #give(turn: string): void {
    this.#gathered = [];
    this.#turns.push(turn);
    this.#wake?.();
  }

  /** Ctrl-C: ends an answer, else clears what is typed, else ends the program when it comes twice. */
  #press(): void {
    if (this.#interrupt.inner !== undefined) return this.#interrupt.press();
    if (this.#lines.line !== "" || this.#gathered.length > 0) {
      this.#gathered = [];
      this.#isInBlock = false;
      this.#lines.write(null, { ctrl: true, name: "e" });
      this.#lines.write(null, { ctrl: true, name: "u" });
      process.stderr.write("\n");
      return this.#ask();
    }
    if (this.#hasPressed) return this.#interrupt.press();
    this.#hasPressed = true;
    process.stderr.write("\n");
    note("Ctrl-C once more ends the conversation; Ctrl-D does, too");
    this.#ask();
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#timer);
    if (this.#gathered.length > 0 && !this.#isInBlock) this.#give(this.#gathered.join("\n"));
    if (this.#history.length > 0) keepHistory(this.#history);
    this.#wake?.();
  }
}

/** Where the history of the chat lies: what was typed before, the last first. */
function historyPath(): string {
  return join(cacheDirectory(currentRuntime()), "chat-history.json");
}

function readHistory(): string[] {
  try {
    const lines: unknown = JSON.parse(readFileSync(historyPath(), "utf8"));
    return Array.isArray(lines) ? lines.filter((line) => typeof line === "string").slice(0, historyMost) : [];
  } catch (error) {
    // The first time there is none. One that is damaged is no reason not to talk.
    if (!(error instanceof Error)) throw error;
    return [];
  }
}

function keepHistory(lines: readonly string[]): void {
  try {
    replaceFile(historyPath(), JSON.stringify(lines.slice(0, historyMost)));
  } catch (error) {
    note(`what was typed is not kept: ${error instanceof Error ? error.message : String(error)}`);
  }
}
