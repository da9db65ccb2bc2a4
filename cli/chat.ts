/**
 * `lightgpt chat`: a conversation in the terminal. Answers stream to standard output, everything else goes to standard
 * error. Ctrl-C stops an answer. Through a pipe, each line is a turn.
 *
 * @module
 */
import process from "node:process";
import type { Arguments } from "./arguments.ts";
import { checkConstraint } from "./constraint.ts";
import { canAsk } from "./menu.ts";
import { openDraft, openModel } from "./model.ts";
import { type Interrupt, note } from "./output.ts";
import { generateOptions } from "./run.ts";
import { commandNames, Talk } from "./talk.ts";
import { templateOption, toolOptions } from "./tools.ts";
import { TurnReader } from "./turns.ts";
import { UsageError } from "./types.ts";

/** Runs the subcommand. */
export async function chat(args: Arguments, signal: AbortSignal, interrupt: Interrupt): Promise<void> {
  const template = args.text("template");
  const path = args.text("model") ?? (template === undefined ? await offerModel(interrupt) : undefined);
  if (path === undefined && template === undefined) return;
  const source = templateOption(args);
  const tools = toolOptions(args);
  using guesser = await openDraft(args, signal);
  const { signal: _whole, ...options } = generateOptions(args, signal, guesser);
  await using lm = await openModel(args, signal, path);
  await checkConstraint(options.constraint, lm.model.tokenizer);
  // Refuses a model that cannot chat before anything is typed.
  await lm.chatTokens([{ role: "user", content: "?" }], source);
  const system = args.text("system");
  const talk = new Talk(lm, { answers: { ...options, ...source }, tools, system, json: args.flag("json") }, interrupt);
  if (process.stdin.isTTY) process.stderr.write("/help shows what can be typed.\n");
  const turns = new TurnReader(interrupt, commandNames);
  const end = () => turns.close();
  signal.addEventListener("abort", end, { once: true });
  try {
    for await (const turn of turns) {
      if (!await talk.turn(turn) || signal.aborted) break;
    }
  } finally {
    signal.removeEventListener("abort", end);
    turns.close();
  }
}

/** Which model to talk with, where none was named: one that a person chooses; undefined where none is chosen. */
async function offerModel(interrupt: Interrupt): Promise<string | undefined> {
  if (!canAsk()) {
    throw new UsageError(
      "chat needs a model that answers, such as `lightgpt chat smollm2:135m` (105 MB, fetched once); `lightgpt pull` shows " +
        "others. The embedded model only tells stories: `lightgpt run`",
    );
  }
  note("the embedded model only tells stories; these answer, and are fetched once:");
  return await (await import("./pull.ts")).chooseModel("Which one?", interrupt);
}
