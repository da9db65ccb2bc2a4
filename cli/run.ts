/**
 * `lightgpt run`: continues a prompt. The text goes to standard output as it comes, what it took to standard error.
 *
 * @module
 */
import process from "node:process";
import type { Completion } from "../src/batching/completion.ts";
import { generateFields, type GenerateOptions } from "../src/batching/request_options.ts";
import type { AnswerOptions } from "../src/lightgpt/answer_options.ts";
import type { LightGPT } from "../src/lightgpt/lightgpt.ts";
import type { Model } from "../src/model/model.ts";
import { assertWhole, checkConstraint, constraintOptions } from "./constraint.ts";
import { optionsFrom } from "./flags.ts";
import { openDraft, openModel } from "./model.ts";
import type { Arguments } from "./arguments.ts";
import { UsageError } from "./types.ts";
import { note, print, readInput, toJson } from "./output.ts";
import { samplingOptions } from "./sampling.ts";
import { callLine, templateOption, toolOptions } from "./tools.ts";

const REASONS: Readonly<Record<Completion["stopReason"], string>> = {
  endOfText: "the text is complete",
  maxTokens: "as many as asked for",
  stop: "a stop text was reached",
  context: "the context is full",
  aborted: "it was stopped",
  deadline: "its time was over",
};

const { maxTokens, draft } = generateFields;

/** Runs the subcommand. */
export async function run(args: Arguments, signal: AbortSignal): Promise<void> {
  const prompt = args.argument ?? withoutLastNewline(await readInput(signal));
  if (prompt === undefined) throw new UsageError("run needs a PROMPT, or one on standard input through a pipe");
  using guesser = await openDraft(args, signal);
  const options = generateOptions(args, signal, guesser);
  const tools = toolOptions(args);
  const template = templateOption(args);
  if (tools === undefined && template.template !== undefined) {
    throw new UsageError("--template is of --tools, which is missing: run continues a prompt as it is");
  }
  await using lm = await openModel(args, signal);
  if (tools !== undefined) return await runWithTools(lm, prompt, { ...options, ...template, ...tools }, args);
  const { tokenizer } = lm.model;
  await checkConstraint(options.constraint, tokenizer);
  if (args.flag("json")) {
    const completion = await lm.complete(prompt, options);
    await print(toJson(completion));
    return await assertWhole(options.constraint, completion, tokenizer);
  }
  // On a terminal the prompt begins the text; a program that reads our output gets only what is new.
  if (process.stdout.isTTY) process.stderr.write(prompt);
  const pieces = lm.generate(prompt, options);
  let next = await pieces.next();
  for (; !next.done; next = await pieces.next()) await print(next.value.text);
  await print("\n");
  const { generatedTokens, decodeMs, stopReason, seed } = next.value;
  const rate = decodeMs > 0 ? `, ${Math.round(generatedTokens / decodeMs * 1000)} a second` : "";
  const chosen = args.number("temperature") === 0 ? "" : `; seed ${seed}`; // greedy needs none
  if (args.text("model") === undefined && process.stderr.isTTY) {
    note("this model only tells stories; `lightgpt pull` shows models that answer, `lightgpt chat` talks with one");
  }
  note(`${generatedTokens} tokens${rate}; ${REASONS[stopReason]}${chosen}`);
  await assertWhole(options.constraint, next.value, tokenizer);
}

/** With tools the prompt is what a user says; the calls of the answer are printed, one a line. */
async function runWithTools(lm: LightGPT, prompt: string, options: AnswerOptions, args: Arguments): Promise<void> {
  const messages = [{ role: "user", content: prompt }];
  if (args.flag("json")) return await print(toJson(await lm.reply(messages, options)));
  const pieces = lm.chat(messages, options);
  let next = await pieces.next();
  let isOpen = false;
  for (; !next.done; next = await pieces.next()) {
    if (next.value.type === "text") {
      await print(next.value.text);
      isOpen = true;
    } else if (next.value.type === "toolCall") {
      await print(`${isOpen ? "\n" : ""}${callLine(next.value)}`);
      isOpen = false;
    }
  }
  const { generatedTokens, stopReason } = next.value;
  if (isOpen) await print("\n");
  note(`${generatedTokens} tokens; ${REASONS[stopReason]}`);
}

/** `echo` and editors end a text with a newline that is no part of it. */
function withoutLastNewline(text: string | undefined): string | undefined {
  return text?.replace(/\r?\n$/, "");
}

/** What the options of a subcommand that generates ask for. */
export function generateOptions(args: Arguments, signal: AbortSignal, guesser?: Model): GenerateOptions {
  const readers = { draft: (text: string) => guesser ? { model: guesser } : text };
  const options = { ...optionsFrom<GenerateOptions>(args, { maxTokens, draft }, readers), ...constraintOptions(args) };
  return { ...options, signal, sampling: samplingOptions(args) };
}
