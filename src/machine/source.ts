/**
 * Where the probes of a machine get their facts: files below a root folder, commands, and what the runtime says. A fact
 * that is missing or not allowed is `undefined`, never an error and never a permission prompt; the notes say why.
 *
 * @module
 */
import { node } from "../../ffi/runtime/builtins.ts";
import { currentRuntime } from "../../ffi/runtime/pick.ts";
import type { Runtime } from "../../ffi/runtime/types.ts";

/** The most bytes of a file of the system that is read. */
const textMost = 1 << 20;
/** Milliseconds after which a command is given up. */
const commandMs = 2000;
const decoder = new TextDecoder();

/** Options for tests: a root folder with recorded files, another system's name, and what a runtime allows and says. */
export interface SourceOptions {
  /** The folder that stands for `/`. Default: `/` itself. */
  readonly root?: string;
  /** The system, as `process.platform` names it. */
  readonly platform?: string;
  /** The architecture, as `process.arch` names it. */
  readonly arch?: string;
  /** What the runtime allows. */
  readonly runtime?: Pick<Runtime, "allows" | "name" | "variable">;
  /** What the runtime says; absent members are unknown. */
  readonly system?: Partial<SystemFacts>;
  /** The output of a command. */
  readonly run?: (command: string, words: readonly string[]) => string;
}

/** What the runtime says. */
export interface SystemFacts {
  /** Processors that the runtime may use: Linux' affinity is heeded, and by some runtimes the quota of a cgroup. */
  readonly parallelism: number;
  /** The names of the processors, one for each. */
  readonly processors: readonly string[];
  /** Bytes of memory, and of it free. */
  readonly memory: { readonly total: number; readonly free: number };
}

/** Reads facts; keeps notes of what could not be read. */
export class Source {
  readonly platform: string;
  readonly arch: string;
  readonly notes = new Set<string>();
  readonly #options: SourceOptions;
  readonly #runtime: Pick<Runtime, "allows" | "name" | "variable">;

  /** A source of the real machine, or of what `options` put in its place. */
  constructor(options: SourceOptions = {}) {
    this.#options = options;
    this.#runtime = options.runtime ?? currentRuntime();
    this.platform = options.platform ?? currentRuntime().platform;
    this.arch = options.arch ?? currentRuntime().arch;
  }

  /** The text of a file, without the white space at its ends. */
  read(path: string): string | undefined {
    const { root = "" } = this.#options;
    try {
      if (!this.#runtime.allows("read", path)) return this.#forbidden();
      const text = decoder.decode(currentRuntime().files.read(root + path));
      return text.length > textMost ? undefined : text.trim();
    } catch (error) {
      return error instanceof Error && /NotCapable|PermissionDenied/.test(error.name) ? this.#forbidden() : undefined;
    }
  }

  /** The output of a command. */
  run(command: string, words: readonly string[]): string | undefined {
    try {
      if (!this.#runtime.allows("run", command)) {
        this.note(`${command} may not be run (in Deno: --allow-run=${command}), so some figures are missing.`);
        return undefined;
      }
      const run = this.#options.run ??
        ((command, words) =>
          node("node:child_process").execFileSync(command, [...words], {
            encoding: "utf8",
            timeout: commandMs,
            maxBuffer: textMost,
            stdio: ["ignore", "pipe", "ignore"],
          }));
      return run(command, words);
    } catch {
      this.note(`${command} gave no answer, so some figures are missing.`);
      return undefined;
    }
  }

  /** An environment variable. */
  variable(name: string): string | undefined {
    return this.#runtime.variable(name);
  }

  /** Processors that the runtime may use; at least 1. */
  get parallelism(): number {
    const { system } = this.#options;
    const count = system ? system.parallelism : navigator.hardwareConcurrency;
    return count !== undefined && count >= 1 ? Math.floor(count) : 1;
  }

  /** The names of the processors. */
  get processors(): readonly string[] | undefined {
    const { system } = this.#options;
    if (system) return system.processors;
    return this.#runtime.allows("sys", "cpus")
      ? attempt(() => node("node:os").cpus().map(({ model }) => model.trim()))
      : undefined;
  }

  /** Bytes of memory. */
  get memory(): SystemFacts["memory"] | undefined {
    const { system } = this.#options;
    if (system) return system.memory;
    if (!this.#runtime.allows("sys", "systemMemoryInfo")) return undefined;
    return attempt(() => ({ total: node("node:os").totalmem(), free: node("node:os").freemem() }));
  }

  /** Keeps a note, each text once. */
  note(text: string): void {
    this.notes.add(text);
  }

  #forbidden(): undefined {
    this.note(
      "Files of the system may not be read (Deno allows /proc and /sys with --allow-all only): cores are what the " +
        "runtime says; caches and limits of memory are not known.",
    );
  }
}

function attempt<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch {
    return undefined; // a fact that the system does not tell is not known: that is the answer
  }
}

/** A whole number from 0 on; undefined of any other text. */
export function wholeNumber(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,20}$/.test(text.trim())) return undefined;
  return Number(text);
}

/** The numbers of a list such as `0-3,8`; undefined where it is none, or names more than `most`. */
export function numberList(text: string | undefined, most = 1 << 14): number[] | undefined {
  if (text === undefined || text.trim() === "") return undefined;
  const numbers = new Set<number>();
  for (const part of text.trim().split(",")) {
    const [, first, last = first] = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(part.trim()) ?? [];
    if (first === undefined) return undefined;
    const [from, to] = [Number(first), Number(last)];
    if (to < from || to - from + numbers.size >= most) return undefined;
    for (let number = from; number <= to; number++) numbers.add(number);
  }
  return [...numbers].sort((a, b) => a - b);
}
