#!/usr/bin/env bun
/**
 * The `lightgpt` command: `deno run -A cli/main.ts ...` or `bun cli/main.ts ...`, alike on both. This file picks the subcommand
 * and turns the way it ends into an exit code: 0, 1 for a failure, 2 for wrong usage, 130 after Ctrl-C.
 *
 * @example
 * ```sh
 * deno run -A cli/main.ts run "Once upon a time" --max-tokens 50
 * bun cli/main.ts inspect model.gguf
 * ```
 *
 * @module
 */
import process from "node:process";
import type { Arguments } from "./arguments.ts";
import { helpText } from "./help.ts";
import { COMMANDS, parseCommand } from "./options.ts";
import { UsageError } from "./types.ts";
import { complain, errorText, Interrupt, print } from "./output.ts";
import { nearestName } from "../src/options/suggest.ts";
import { InvalidArgumentError } from "../ffi/errors.ts";
import { VERSION } from "../ffi/wire.ts";

const others = () => import("./other_commands.ts");

/** The subcommands. Each is loaded when it is used: none waits for what others need. */
const RUNNERS: Readonly<
  Record<string, (args: Arguments, signal: AbortSignal, interrupt: Interrupt) => Promise<void>>
> = {
  run: async (args, signal) => await (await import("./run.ts")).run(args, signal),
  chat: async (args, signal, interrupt) => await (await import("./chat.ts")).chat(args, signal, interrupt),
  inspect: async (args, signal) => await (await others()).inspect(args, signal),
  tokenize: async (args, signal) => await (await others()).tokenize(args, signal),
  embed: async (args, signal) => await (await import("./embed.ts")).embed(args, signal),
  rerank: async (args, signal) => await (await import("./embed.ts")).rerank(args, signal),
  logits: async (args, signal) => await (await others()).logits(args, signal),
  perplexity: async (args, signal) => await (await others()).perplexity(args, signal),
  quantize: async (args, signal) => await (await others()).quantize(args, signal),
  pack: async (args, signal) => await (await others()).pack(args, signal),
  tune: async (args, signal) => await (await others()).tune(args, signal),
  info: async (args, signal) => await (await others()).info(args, signal),
  imatrix: async (args, signal) => await (await others()).imatrix(args, signal),
  bench: async (args, signal) => await (await others()).bench(args, signal),
  serve: async (args, signal) => await (await import("./serve.ts")).serve(args, signal),
  worker: async (args, signal) => await (await import("./cluster.ts")).worker(args, signal),
  gateway: async (args, signal) => await (await import("./cluster.ts")).gateway(args, signal),
  pull: async (args, signal, interrupt) => await (await import("./pull.ts")).pull(args, signal, interrupt),
  list: async (args, signal) => await (await import("./list.ts")).list(args, signal),
  show: async (args, signal) => await (await import("./show.ts")).show(args, signal),
  rm: async (args, signal) => await (await import("./list.ts")).rm(args, signal),
  ps: async (args, signal) => await (await import("./ps.ts")).ps(args, signal),
  completions: async (args) => await (await import("./completions.ts")).completions(args),
  top: async (args, signal) => await (await import("./cluster.ts")).top(args, signal),
  batch: async (args, signal) => await (await import("./batch.ts")).batch(args, signal),
};

/** Runs the command with the words after its name; returns the exit code. */
export async function main(words: readonly string[]): Promise<number> {
  const interrupt = new Interrupt();
  try {
    await dispatch(words, interrupt);
    return interrupt.reason === "signal" ? 130 : 0;
  } catch (error) {
    if (interrupt.reason === "pipe") return 0; // the reader of our output has seen enough
    if (interrupt.reason === "signal") {
      process.stderr.write("\n");
      return 130;
    }
    complain(errorText(error));
    // An option's own check may know better than the table what it may be: the command line is wrong all the same.
    return error instanceof UsageError || error instanceof InvalidArgumentError ? 2 : 1;
  }
}

async function dispatch([name, ...words]: readonly string[], interrupt: Interrupt): Promise<void> {
  if (name === "--version" || name === "-V" || name === "-v") return print(`lightgpt ${VERSION}\n`);
  if (name === "help" && words[0] !== undefined && Object.hasOwn(COMMANDS, words[0])) return print(helpText(words[0]));
  if (name === "--help" || name === "-h" || name === "help" && words.length === 0) return print(helpText());
  if (name === "help") return await dispatch([...words, "--help"], interrupt); // which says that there is no such command
  if (name === undefined) throw new UsageError("no command; lightgpt --help lists them");
  if (!Object.hasOwn(COMMANDS, name)) {
    const nearest = nearestName(name, Object.keys(COMMANDS));
    const hint = nearest === undefined ? "" : `did you mean ${nearest}? `;
    throw new UsageError(`unknown command "${name}"; ${hint}there are ${Object.keys(COMMANDS).join(", ")}`);
  }
  const end = words.indexOf("--");
  const options = end < 0 ? words : words.slice(0, end);
  if (options.includes("--help") || options.includes("-h")) return print(helpText(name));
  await RUNNERS[name](parseCommand(name, words), interrupt.signal, interrupt);
}

if (import.meta.main) {
  process.exitCode = await main(process.argv.slice(2));
  // An unfinished read of standard input would keep the process alive after Ctrl-C.
  if (process.exitCode === 130) process.exit();
}
