/**
 * Calls of tools in OpenAI's form: what a body says of tools becomes what an answer is held to, and what comes is told apart
 * into text, thoughts and calls, token by token, so that a streamed answer and a whole one have the same.
 *
 * @module
 */
import type { Answers } from "../lightgpt/answers.ts";
import type { AnswerOptions } from "../lightgpt/answer_options.ts";
import { bytesOf } from "../grammar/token_trie.ts";
import type { JsonValue } from "../text/chat/inputs.ts";
import type { Tokenizer } from "../text/tokenizer/types.ts";
import { type AnswerEvent, type AnswerMarks, AnswerReader } from "../tools/answer_reader.ts";
import type { HeldAnswer } from "../tools/held_answer.ts";
import { newId } from "../tools/nonces.ts";
import type { ToolChoice } from "../tools/options.ts";
import { toolsOf } from "../tools/tool.ts";
import { wireOfBytes } from "../tools/wire.ts";
import { Failure, failureOf, refuse } from "./failure.ts";
import type { Conversation } from "./messages.ts";
import type { Call, Served } from "./types.ts";

/** What a body says of tools. */
export interface ToolFields {
  readonly tools: JsonValue;
  readonly choice: unknown;
  readonly parallel: boolean;
}

/** A prompt whose answer may have calls, and how that answer is held and read. */
export interface Prepared {
  readonly prompt: Uint32Array;
  readonly held: HeldAnswer | undefined;
  readonly marks: AnswerMarks;
}

/** What finds the formats of a model's calls; formats and grammars are kept with it. */
const planners = new WeakMap<Served, Promise<Answers>>();

/** Prepares an answer that may have calls. */
export async function prepareCalls(
  call: Call,
  { messages, begun }: Conversation,
  { tools, choice, parallel }: ToolFields,
  variables: Readonly<Record<string, JsonValue>>,
): Promise<Prepared> {
  if (begun !== "") refuse("messages", "messages: an answer that is begun cannot have tools; end with another role.");
  const { served, signal } = call;
  const { model, talk, template } = served;
  let planner = planners.get(served);
  if (!planner) planners.set(served, planner = import("../lightgpt/answers.ts").then(({ Answers }) => new Answers()));
  const options: AnswerOptions = {
    tools: toolsOf(tools),
    toolChoice: readChoice(choice),
    parallelToolCalls: parallel,
    variables,
    signal,
    ...(template === undefined ? {} : { template }),
  };
  const host = { context: model.context, tokenizer: model.tokenizer, conversations: talk };
  try {
    const { ids, plan } = await (await planner).prepare(host, messages, options);
    return { prompt: ids, held: plan.held, marks: plan.marks };
  } catch (error) {
    const { message, parts } = failureOf(error);
    const param = parts.param === "toolChoice.name" ? "tool_choice" : parts.param ?? "tools";
    throw new Failure(message, { ...parts, param }, { cause: error });
  }
}

function readChoice(choice: unknown): ToolChoice {
  if (choice === undefined) return "auto";
  if (choice === "auto" || choice === "none" || choice === "required") return choice;
  const { type, function: named } = (choice ?? {}) as { type?: unknown; function?: { name?: unknown } };
  if (type === "function" && typeof named?.name === "string") return { name: named.name };
  return refuse("tool_choice", 'tool_choice: expected "none", "auto", "required", or a function by its name.');
}

/** Part of a message, in OpenAI's form. */
export type Delta = Readonly<Record<string, JsonValue>>;

/** Tells one answer apart. */
export class CallTeller {
  readonly #tokenizer: Tokenizer;
  readonly #reader: AnswerReader;
  #calls = 0;

  constructor(tokenizer: Tokenizer, marks: AnswerMarks) {
    this.#tokenizer = tokenizer;
    this.#reader = new AnswerReader(marks);
  }

  /** Whether there were calls, and all of them came whole. */
  get hasCalls(): boolean {
    return this.#calls > 0 && !this.#reader.isCut;
  }

  /** What one token adds. */
  push(token: number): Delta[] {
    return this.#reader.push(wireOfBytes(bytesOf(this.#tokenizer, token))).map((event) => this.#delta(event));
  }

  /** What the end adds. */
  end(): Delta[] {
    return this.#reader.end().map((event) => this.#delta(event));
  }

  #delta(event: AnswerEvent): Delta {
    if (event.type !== "toolCall") return { [event.type === "text" ? "content" : "reasoning_content"]: event.text };
    const { id = `call_${newId()}`, name, arguments: values } = event.call;
    const called = { name, arguments: JSON.stringify(values) };
    return { tool_calls: [{ index: this.#calls++, id, type: "function", function: called }] };
  }
}

/** The parts of a message as the whole. */
export function messageOf(deltas: readonly Delta[]): Record<string, JsonValue> {
  const joined = (name: string) => deltas.map((delta) => delta[name] ?? "").join("");
  const calls = deltas.flatMap(({ tool_calls }) => (tool_calls as { index: number }[] | undefined) ?? []);
  const [content, reasoning] = [joined("content"), joined("reasoning_content")];
  return {
    role: "assistant",
    content: content === "" && calls.length > 0 ? null : content,
    refusal: null,
    ...(reasoning === "" ? {} : { reasoning_content: reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: calls.map(({ index: _, ...call }) => call as unknown as JsonValue) }),
  };
}
