/**
 * From a template's program and a conversation to a prompt: what goes in is read and checked, what fails becomes an error
 * of ours, and what comes out knows which characters the template wrote.
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
import { type ChatMessage, InputReader } from "./inputs.ts";
import { renderFields, type RenderOptions } from "./options.ts";

/** A prompt, and a sign of how well its conversation suits the template. */
export interface Prompt {
  /** The prompt. */
  readonly text: string;
  /** The prompt in runs of one origin. */
  readonly runs: TextRun[];
  /** How often None or a container was written as Python spells it. */
  readonly spelled: number;
}

const messagesMost = 10_000;

/**
 * The roles of the interface. Some templates put the role between the bars of a control token (`<|user|>`): these words are
 * the template's side, every other role is foreign.
 */
const ROLES: ReadonlySet<string> = new Set(["system", "developer", "user", "assistant", "tool", "function"]);

/** Runs a template over a conversation. */
export function renderPrompt(program: Program, messages: readonly ChatMessage[], options: RenderOptions): Prompt {
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
  const { text, spelled } = program.render({ variables: named, size: reader.size, now }, (cause, line) => {
    throw renderError(cause, line);
  });
  return { text: text.value, runs: runsOf(text), spelled };
}

/** Reads a template; throws a `ModelFormatError` where it is no Jinja. */
export function readProgram(source: string): Program {
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
