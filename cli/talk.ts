/**
 * A conversation in the terminal: turns are answered, and lines that begin with / are commands.
 *
 * @module
 */
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { CancelledError, LightGPTError } from "../ffi/errors.ts";
import type { ChatMessage } from "../src/text/chat/template.ts";
import type { Completion, Piece } from "../src/batching/completion.ts";
import type { LightGPT } from "../src/lightgpt/lightgpt.ts";
import type { ChatOptions } from "../src/lightgpt/options.ts";
import type { Session } from "../src/lightgpt/session.ts";
import type { SessionAnswer, SessionReply } from "../src/lightgpt/session_options.ts";
import type { AnswerOptions, AnswerPiece } from "../src/lightgpt/answer_options.ts";
import type { AnyOption } from "../src/options/schema.ts";
import { generateFields } from "../src/batching/request_options.ts";
import { samplingFields } from "../src/sampling/schema.ts";
import type { ToolCall, Tools } from "../src/tools/tool.ts";
import { toolResult } from "../src/tools/tool_result.ts";
import { callLine } from "./tools.ts";
import { Markdown } from "./markdown.ts";
import { type Interrupt, note, print, toJson } from "./output.ts";

/** What can be typed besides turns: the command, what follows it, and what it does. */
const commands = {
  "/clear": ["", "forgets the conversation"],
  "/regenerate": ["", "answers the last turn anew"],
  "/save": ["FILE", "writes the conversation to FILE as JSON"],
  "/load": ["FILE", "goes on with a conversation from FILE"],
  "/set": ["NAME VALUE", "sets an option, such as temperature 0.2 or maxTokens 50; alone it shows what is set"],
  "/stats": ["", "shows what the last answer took"],
  "/tokens": ["", "shows how much of the context is used"],
  "/help": ["", "shows this"],
  "/exit": ["", "ends, as do /quit and Ctrl-D"],
} as const;

/** The commands, for completion. */
export const commandNames: readonly string[] = Object.keys(commands);

const help = `Whatever you type is your turn, except
${
  Object.entries(commands).map(([name, [argument, about]]) => `  ${`${name} ${argument}`.padEnd(17)} ${about}\n`).join(
    "",
  )
}A line that ends with \\ goes on in the next; so does what stands between two lines of """, and what is pasted.
Ctrl-C stops an answer.
`;

/** Options for a conversation in the terminal. */
export interface TalkOptions {
  readonly answers: ChatOptions;
  /** What the model may call. */
  readonly tools: Pick<AnswerOptions, "tools" | "toolChoice"> | undefined;
  readonly system: string | undefined;
  /** Whether each answer is one line of JSON. */
  readonly json: boolean;
}

/** The conversation so far. */
export class Talk {
  readonly #lm: LightGPT;
  readonly #interrupt: Interrupt;
  readonly #options: TalkOptions;
  #set: ChatOptions = {};
  #session: Session;
  #last: Completion | undefined;
  /** The calls whose results are to come, and the results that came. */
  #calls: readonly ToolCall<Tools>[] = [];
  readonly #results: ChatMessage[] = [];

  /** With a model that can chat. */
  constructor(lm: LightGPT, options: TalkOptions, interrupt: Interrupt) {
    this.#lm = lm;
    this.#options = options;
    this.#interrupt = interrupt;
    this.#session = this.#begin([]);
  }

  #begin(messages: readonly ChatMessage[]): Session {
    const { answers, system } = this.#options;
    return this.#lm.session({ ...answers, messages, ...(system === undefined ? {} : { system }) });
  }

  /** Does what a turn or a command asks for; false ends the conversation. */
  async turn(text: string): Promise<boolean> {
    const line = text.trim();
    if (line === "") return true;
    if (!line.startsWith("/")) {
      await this.#say(text);
      return true;
    }
    if (line === "/exit" || line === "/quit") return false;
    const [name, ...rest] = line.split(/\s+/);
    try {
      await this.#do(name, rest.join(" "));
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      note(error.message);
    }
    return true;
  }

  /** A turn; behind calls, the result of the first that has none. */
  async #say(text: string): Promise<void> {
    const [call, ...others] = this.#calls;
    if (call !== undefined) {
      this.#calls = others;
      this.#results.push(toolResult(call, text));
      if (others.length > 0) return this.#askForResult();
    }
    const turn = call === undefined ? text : this.#results.splice(0);
    await this.#answer((options) => this.#session.chat(turn, options));
  }

  #askForResult(): void {
    note(`what does ${this.#calls[0].name} give?`);
  }

  async #do(name: string, argument: string): Promise<void> {
    switch (name) {
      case "/clear":
        this.#session.clear();
        this.#calls = [];
        this.#results.length = 0;
        return note("the conversation begins anew");
      case "/regenerate":
        return await this.#answer((options) => this.#session.regenerate(options));
      case "/save":
        return this.#save(argument);
      case "/load":
        return this.#load(argument);
      case "/set":
        return this.#change(argument);
      case "/stats":
        return this.#stats();
      case "/tokens":
        return await this.#tokens();
      case "/help":
        return void process.stderr.write(help);
      default:
        note(`there is no ${name}; /help shows what there is`);
    }
  }

  #save(path: string): void {
    if (path === "") return note("/save needs the name of a file");
    const messages = this.#all();
    try {
      writeFileSync(path, toJson(messages), { flag: "wx" });
      note(`saved ${messages.length} messages to ${path}`);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      note(/EEXIST/.test(error.message) ? `${path} exists; give another name` : `cannot save: ${error.message}`);
    }
  }

  #load(path: string): void {
    if (path === "") return note("/load needs the name of a file");
    const all: unknown = JSON.parse(readFileSync(path, "utf8"));
    const isOwn = Array.isArray(all) && all[0]?.role === "system" && all[0].content === this.#options.system;
    this.#session = this.#begin((isOwn ? all.slice(1) : all) as ChatMessage[]);
    note(`goes on with ${this.#session.messages.length} messages from ${path}`);
  }

  #all(): readonly ChatMessage[] {
    const { system, messages } = this.#session;
    return system === undefined ? messages : [{ role: "system", content: system }, ...messages];
  }

  #change(argument: string): void {
    const [name = "", value = ""] = argument.split(/\s+/);
    if (name === "") {
      return void process.stderr.write(toJson({ ...this.#options.answers.sampling, ...flat(this.#set) }));
    }
    if (name === "maxTokens") {
      this.#set = { ...this.#set, maxTokens: generateFields.maxTokens.read(valueOf(value), name) as number };
    } else {
      const fields: Readonly<Record<string, AnyOption>> = samplingFields;
      const settable = Object.keys(fields).filter((key) => ["integer", "number", "boolean"].includes(fields[key].kind));
      if (!settable.includes(name)) return note(`/set knows maxTokens, ${settable.join(", ")}`);
      const read = fields[name].read(valueOf(value), name);
      this.#set = {
        ...this.#set,
        sampling: { ...this.#options.answers.sampling, ...this.#set.sampling, [name]: read },
      };
    }
    note(`${name} is ${value}`);
  }

  #stats(): void {
    if (this.#last === undefined) return note("nothing was answered yet");
    const { promptTokens, cachedTokens, generatedTokens, prefillMs, decodeMs, seed } = this.#last;
    const rate = decodeMs > 0 ? `, ${Math.round((generatedTokens - 1) / decodeMs * 1000)} a second` : "";
    note(`${generatedTokens} tokens${rate}; first after ${Math.round(prefillMs)} ms`);
    note(`prompt of ${promptTokens} tokens, ${cachedTokens} of them known; seed ${seed}`);
  }

  async #tokens(): Promise<void> {
    const { template } = this.#options.answers;
    const used = await this.#lm.countTokens(this.#all(), template === undefined ? {} : { template });
    note(`${used} of ${this.#lm.context} tokens are used`);
  }

  /** Shows an answer as it comes. */
  async #answer(
    ask: (options: ChatOptions) => AsyncGenerator<Shown, SessionReply | SessionAnswer, void>,
  ): Promise<void> {
    const { json } = this.#options;
    const controller = new AbortController();
    this.#interrupt.inner = () => controller.abort();
    const whole = this.#interrupt.signal;
    const stop = () => controller.abort();
    whole.addEventListener("abort", stop, { once: true });
    const shown = process.stdout.isTTY ? new Markdown(process.stdout) : undefined;
    try {
      const own = { ...this.#options.tools, ...this.#set, signal: controller.signal, onAbort: "return" };
      const pieces = ask(own as ChatOptions); // a session takes both kinds of options
      let next = await pieces.next();
      for (; !next.done; next = await pieces.next()) {
        const text = textOf(next.value);
        if (!json) await print(shown?.push(text) ?? text);
      }
      const reply = this.#last = next.value;
      await print(json ? toJson(reply) : `${shown?.end() ?? ""}\n`);
      const { dropped } = next.value;
      if (dropped.length > 0) {
        note(`the oldest ${dropped.length} messages no longer fit the context and were forgotten`);
      }
      this.#tell(reply);
      this.#calls = "toolCalls" in reply ? reply.toolCalls : [];
      if (this.#calls.length > 0) this.#askForResult();
    } catch (error) {
      if (!(error instanceof LightGPTError) || error instanceof CancelledError) throw error;
      note(error.message);
    } finally {
      this.#interrupt.inner = undefined;
      whole.removeEventListener("abort", stop);
    }
  }

  /** Says why an answer is no whole one. */
  #tell({ stopReason }: Completion): void {
    if (stopReason === "endOfText" || stopReason === "stop") return;
    if (stopReason === "aborted" || stopReason === "deadline") return note("the answer was stopped");
    if (stopReason === "maxTokens") {
      const most = this.#set.maxTokens ?? this.#options.answers.maxTokens;
      return note(`the answer was cut after ${most} tokens; --max-tokens allows more`);
    }
    note(
      `the answer was cut: the context of ${this.#lm.context} tokens is full; --context makes it larger, /clear begins anew`,
    );
  }
}

/** A piece of an answer, with tools or without. */
type Shown = Piece | AnswerPiece;

/** What is shown of a piece. */
function textOf(piece: Shown): string {
  if (!("type" in piece) || piece.type === "text") return (piece as Piece).text;
  return piece.type === "toolCall" ? callLine(piece) : "";
}

/** What a text says: a number, yes or no, or itself. */
function valueOf(text: string): unknown {
  if (text === "true" || text === "false") return text === "true";
  return text !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
}

function flat({ sampling, ...rest }: ChatOptions): object {
  return { ...rest, ...sampling };
}
