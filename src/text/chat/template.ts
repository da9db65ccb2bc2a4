/**
 * Chat templates: the Jinja text in a model file that turns a conversation into the prompt its model was trained on. The
 * template is untrusted code, so it runs in our own evaluator (`../jinja`) within a budget, over plain data (`inputs.ts`).
 * Every character of the prompt knows whether the template wrote it.
 *
 * @module
 */
import { InvalidArgumentError, LightGPTError, ModelFormatError } from "../../../ffi/errors.ts";
import { guarded, refuseOption } from "../../options/checks.ts";
import { readOptions } from "../../options/schema.ts";
import { overBudget } from "../jinja/budget.ts";
import { Failure, Refusal } from "../jinja/failure.ts";
import type { Text } from "../jinja/marked.ts";
import { Program } from "../jinja/program.ts";
import { Dict, List, type Value } from "../jinja/values.ts";
import type { TextRun } from "../types.ts";
import { InputReader, type JsonValue } from "./inputs.ts";
import { renderFields, type RenderOptions } from "./options.ts";

export type { JsonValue } from "./inputs.ts";

/**
 * One message of a conversation: `role` (`system`, `user`, `assistant`, `tool`), `content`, and whatever else a template
 * asks for, such as `tool_calls`.
 *
 * @example
 * ```ts
 * import type { ChatMessage } from "@lightgpt/lightgpt";
 *
 * const messages: ChatMessage[] = [
 *   { role: "system", content: "You are terse." },
 *   { role: "user", content: "What is 2 + 2?" },
 * ];
 * console.log(messages.length);
 * ```
 */
export interface ChatMessage {
  /** What the message is: the four that templates know, or another that this template does. */
  readonly role: "system" | "user" | "assistant" | "tool" | (string & Record<never, never>);
  /** What was said: a text, or what the template wants in its place. */
  readonly content?: JsonValue;
  /** Further fields for the template. */
  readonly [field: string]: JsonValue | undefined;
}

const messagesMost = 10_000;

/**
 * The roles of the interface. Some templates put the role between the bars of a control token (`<|user|>`): these words are
 * the template's side, every other role is foreign.
 */
const ROLES: ReadonlySet<string> = new Set(["system", "developer", "user", "assistant", "tool", "function"]);

/**
 * A chat template, ready to render. The language is Jinja as Python's jinja2 and Hugging Face run it.
 *
 * @example
 * ```ts
 * import { ChatTemplate } from "@lightgpt/lightgpt";
 *
 * const template = await ChatTemplate.parse("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}");
 * console.log(template.render([{ role: "user", content: "Hello" }])); // <user>Hello
 * ```
 */
export class ChatTemplate {
  readonly #program: Program;

  private constructor(program: Program) {
    this.#program = program;
  }

  /** Reads a template; throws a {@link ModelFormatError} where it is no Jinja. */
  static parse(source: string): Promise<ChatTemplate> {
    return new Promise((resolve) => resolve(new ChatTemplate(readProgram(source))));
  }

  /**
   * The prompt for a conversation. Throws an {@link InvalidArgumentError} with the template's own words where it refuses the
   * messages, and an error of the code `limit` where it costs too much.
   */
  render(messages: readonly ChatMessage[], options: RenderOptions = {}): string {
    return this.#render(messages, options).text.value;
  }

  /**
   * The prompt for a conversation in runs: what the template wrote, and what came from outside. `Tokenizer.encodeRuns`
   * makes tokens of them.
   */
  runs(messages: readonly ChatMessage[], options: RenderOptions = {}): TextRun[] {
    return runsOf(this.#render(messages, options).text);
  }

  /** The prompt, and how often None or a container was written in it as Python spells it: a sign of a wrong shape. */
  measure(messages: readonly ChatMessage[], options: RenderOptions = {}): { runs: TextRun[]; spelled: number } {
    const { text, spelled } = this.#render(messages, options);
    return { runs: runsOf(text), spelled };
  }

  #render(messages: readonly ChatMessage[], options: RenderOptions): ReturnType<Program["render"]> {
    const { addGenerationPrompt, tools, variables, tokens, now = new Date() } = readOptions(renderFields, options);
    const reader = new InputReader();
    const named = new Map<string, Value>([
      ["messages", guarded("messages", () => readMessages(reader, messages))],
      ["add_generation_prompt", addGenerationPrompt],
    ]);
    if (tools !== undefined) named.set("tools", guarded("tools", () => reader.read(tools, "tools")));
    guarded("tokens", () => {
      for (const [name, value] of Object.entries(tokens)) {
        if (typeof value !== "string") refuseOption(`tokens.${name}`, "a string", value);
        named.set(name, reader.text(value, false));
      }
    });
    guarded("variables", () => {
      for (const [name, value] of Object.entries(variables)) {
        if (value !== undefined) named.set(name, reader.read(value, `variables.${name}`));
      }
    });
    return this.#program.render({ variables: named, size: reader.size, now }, (cause, line) => {
      throw renderError(cause, line);
    });
  }
}

function readProgram(source: string): Program {
  if (typeof source !== "string") refuseOption("template", "a string", source);
  try {
    return Program.parse(source);
  } catch (cause) {
    if (cause instanceof LightGPTError) throw cause;
    if (cause instanceof RangeError) throw overBudget("the depth that there is");
    throw new ModelFormatError(`The chat template cannot be read: ${messageOf(cause)}.`, {
      field: "tokenizer.chat_template",
      expected: "a Jinja template",
    }, { cause });
  }
}

function renderError(cause: unknown, line: number): Error {
  if (cause instanceof LightGPTError) return cause;
  if (cause instanceof Refusal) {
    return new InvalidArgumentError(`messages: the chat template refuses them: ${cause.message}`, {
      what: "messages that the chat template refuses",
      where: "messages",
      got: cause.message,
    });
  }
  if (cause instanceof RangeError) return overBudget("the memory or depth that there is");
  const kind = cause instanceof Failure ? `${cause.kind}: ` : "";
  return new ModelFormatError(`The chat template failed in line ${line}: ${kind}${messageOf(cause)}.`, {
    field: "tokenizer.chat_template",
    expected: "a template that suits these messages",
  }, { cause });
}

function readMessages(reader: InputReader, messages: readonly ChatMessage[]): List {
  if (!Array.isArray(messages)) refuseOption("messages", "an array of messages", messages);
  if (messages.length > messagesMost) refuseOption("messages", `at most ${messagesMost} messages`, messages.length);
  return new List(Array.from(messages, (message: unknown, index) => {
    const where = `messages[${index}]`;
    if (message === null || typeof message !== "object") {
      refuseOption(where, "an object with role and content", message);
    }
    const { role } = message as { role?: unknown };
    if (typeof role !== "string") refuseOption(`${where}.role`, "a string such as user", role);
    const value = reader.read(message, where);
    if (!(value instanceof Dict) || !ROLES.has(role)) return value;
    const [key] = value.entries.get("role") as readonly [Value, Value];
    return new Dict(new Map([...value.entries, ["role", [key, reader.text(role, false)]]]));
  }));
}

/** A string as runs of one origin. */
function runsOf({ value, borders }: Text): TextRun[] {
  const runs: TextRun[] = [];
  let start = 0;
  for (let index = 0; start < value.length; index++) {
    const end = borders[index] ?? value.length;
    if (end > start) runs.push({ text: value.slice(start, end), foreign: (index & 1) === 1 });
    start = end;
  }
  return runs;
}

function messageOf(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).split("\n", 1)[0].replace(/[.:\s]+$/, "");
}
