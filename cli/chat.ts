/**
 * `lightgpt chat`: a conversation in the terminal. Answers stream to standard output, everything else goes to standard
 * error. Ctrl-C stops an answer; with none to stop, it ends the program. Through a pipe, each line is a turn.
 *
 * @module
 */
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import { CancelledError, InvalidArgumentError, LightGPTError } from "../ffi/errors.ts";
import type { ChatMessage } from "../src/text/chat/template.ts";
import type { GenerateOptions } from "../src/batching/request_options.ts";
import type { Completion } from "../src/batching/completion.ts";
import type { LightGPT } from "../src/lightgpt/lightgpt.ts";
import { checkConstraint } from "./constraint.ts";
import { openDraft, openModel } from "./model.ts";
import type { Arguments } from "./arguments.ts";
import { canAsk } from "./menu.ts";
import { UsageError } from "./types.ts";
import { type Interrupt, note, print, toJson } from "./output.ts";
import { generateOptions } from "./run.ts";

const HELP = `Whatever you type is your turn, except
  /clear       forgets the conversation
  /save FILE   writes it to FILE as JSON
  /help        shows this
  /exit        ends, as does Ctrl-D
Ctrl-C stops an answer.
`;

/** Runs the subcommand. */
export async function chat(args: Arguments, signal: AbortSignal, interrupt: Interrupt): Promise<void> {
  const template = args.text("template");
  const path = args.text("model") ?? (template === undefined ? await offerModel(interrupt) : undefined);
  if (path === undefined && template === undefined) return;
  const source = template === undefined ? {} : { template: readFileSync(template, "utf8") };
  using guesser = await openDraft(args, signal);
  const { signal: _whole, ...options } = generateOptions(args, signal, guesser);
  await using lm = await openModel(args, signal, path);
  await checkConstraint(options.constraint, lm.model.tokenizer);
  const talk = new Talk(lm, { ...options, ...source }, args.text("system"), interrupt);
  // Refuses a model that cannot chat before anything is typed.
  await lm.chatTokens([{ role: "user", content: "?" }], source);
  const isTerminal = process.stdin.isTTY === true;
  const lines = createInterface({
    input: process.stdin,
    ...(isTerminal ? { output: process.stderr, terminal: true } : {}),
    prompt: "> ",
  });
  const end = () => lines.close();
  lines.on("SIGINT", () => interrupt.press());
  signal.addEventListener("abort", end, { once: true });
  try {
    if (isTerminal) {
      process.stderr.write("/help shows what can be typed.\n");
      lines.prompt();
    }
    for await (const line of lines) {
      if (!await talk.turn(line)) break;
      if (signal.aborted) break;
      if (isTerminal) lines.prompt();
    }
  } finally {
    signal.removeEventListener("abort", end);
    lines.close();
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

/** The conversation so far. */
class Talk {
  #messages: ChatMessage[];
  readonly #lm: LightGPT;
  readonly #options: GenerateOptions & { readonly template?: string };
  readonly #system: ChatMessage[];
  readonly #interrupt: Interrupt;

  constructor(lm: LightGPT, options: GenerateOptions, system: string | undefined, interrupt: Interrupt) {
    this.#lm = lm;
    this.#options = options;
    this.#system = system === undefined ? [] : [{ role: "system", content: system }];
    this.#messages = [...this.#system];
    this.#interrupt = interrupt;
  }

  /** Does what a line asks for; false ends the conversation. */
  async turn(line: string): Promise<boolean> {
    const [command, ...rest] = line.trim().split(/\s+/);
    if (command === "") return true;
    if (!command.startsWith("/")) {
      await this.#answer(line);
      return true;
    }
    const argument = rest.join(" ");
    switch (command) {
      case "/help":
        process.stderr.write(HELP);
        return true;
      case "/clear":
        this.#messages = [...this.#system];
        note("the conversation begins anew");
        return true;
      case "/save":
        this.#save(argument);
        return true;
      case "/exit":
        return false;
      default:
        note(`there is no ${command}; /help shows what there is`);
        return true;
    }
  }

  #save(path: string): void {
    if (path === "") return note("/save needs the name of a file");
    try {
      writeFileSync(path, toJson(this.#messages), { flag: "wx" });
      note(`saved ${this.#messages.length} messages to ${path}`);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      note(/EEXIST/.test(error.message) ? `${path} exists; give another name` : `cannot save: ${error.message}`);
    }
  }

  async #answer(content: string): Promise<void> {
    this.#messages.push({ role: "user", content });
    const controller = new AbortController();
    this.#interrupt.inner = () => controller.abort();
    const whole = this.#interrupt.signal;
    const stop = () => controller.abort();
    whole.addEventListener("abort", stop, { once: true });
    let answer = "";
    let end: Completion["stopReason"] | undefined;
    try {
      await this.#fit();
      const pieces = this.#lm.chat(this.#messages, { ...this.#options, signal: controller.signal });
      let next = await pieces.next();
      for (; !next.done; next = await pieces.next()) {
        answer += next.value.text;
        await print(next.value.text);
      }
      end = next.value.stopReason;
    } catch (error) {
      if (!(error instanceof LightGPTError)) throw error;
      if (!(error instanceof CancelledError)) {
        this.#messages.pop();
        return note(error.message);
      }
    } finally {
      this.#interrupt.inner = undefined;
      whole.removeEventListener("abort", stop);
    }
    await print("\n");
    if (end !== "endOfText" && end !== "stop") note(this.#cutBy(end));
    this.#messages.push({ role: "assistant", content: answer });
  }

  /** Why an answer is no whole one. */
  #cutBy(end: Exclude<Completion["stopReason"], "endOfText" | "stop"> | undefined): string {
    if (end === undefined) return "the answer was stopped";
    if (end === "maxTokens") {
      return `the answer was cut after ${this.#options.maxTokens} tokens; --max-tokens allows more`;
    }
    return `the answer was cut: the context of ${this.#lm.context} tokens is full; --context makes it larger, /clear begins anew`;
  }

  /** Forgets the oldest turns where the conversation has outgrown the context, so that there is room for an answer. */
  async #fit(): Promise<void> {
    const { context } = this.#lm;
    const room = Math.min(this.#options.maxTokens ?? Infinity, Math.ceil(context / 4));
    const { template } = this.#options;
    const options = template === undefined ? {} : { template };
    let dropped = 0;
    while ((await this.#lm.chatTokens(this.#messages, options)).length + room > context) {
      const first = this.#system.length;
      if (this.#messages.length <= first + 1) {
        throw new InvalidArgumentError(`This turn is too long for the context of ${context} tokens.`, {
          what: "too long for the context",
          where: "messages",
        });
      }
      this.#messages.splice(first, 2);
      dropped += 2;
    }
    if (dropped > 0) note(`the oldest ${dropped} messages no longer fit the context and were forgotten`);
  }
}
