/**
 * Answers that may have thoughts and calls of tools: what a body says of tools becomes what an answer is held to, and what comes is
 * told apart into text, thoughts and calls, token by token, so that a streamed answer and a whole one have the same, whatever the
 * interface.
 *
 * @module
 */
import { LightGPTError } from "../../ffi/errors.ts";
import type { Completion, Piece } from "../batching/completion.ts";
import type { Answers } from "../lightgpt/answers.ts";
import type { AnswerOptions } from "../lightgpt/answer_options.ts";
import { bytesOf } from "../grammar/token_trie.ts";
import type { ConstraintOptions } from "../grammar/options.ts";
import type { JsonValue } from "../text/chat/inputs.ts";
import type { Tokenizer } from "../text/tokenizer/types.ts";
import { type AnswerEvent, type AnswerMarks, AnswerReader } from "../tools/answer_reader.ts";
import type { HeldAnswer } from "../tools/held_answer.ts";
import { newId } from "../tools/nonces.ts";
import type { ToolChoice } from "../tools/options.ts";
import { toolsOf } from "../tools/tool.ts";
import { wireOfBytes } from "../tools/wire.ts";
import { Failure, failureOf, refuse } from "./failure.ts";
import { type Conversation, conversationTokens } from "./messages.ts";
import type { Call, Served } from "./types.ts";

/** What a body asks of an answer's form. */
export interface Asked {
  /** The tools in OpenAI's form. */
  readonly tools: JsonValue | undefined;
  readonly choice: ToolChoice;
  readonly parallel: boolean;
  /** What the answer must be otherwise, and where it stops: neither goes with calls and thoughts. */
  readonly constraint: ConstraintOptions | undefined;
  readonly stop: readonly string[];
  /** The most tokens of thoughts. */
  readonly budget?: number | undefined;
  /** The names that fields have in the body, where they are not OpenAI's. */
  readonly rename?: ((name: string) => string) | undefined;
}

/** A prompt, and how its answer is held and read. */
export interface Prepared {
  readonly prompt: Uint32Array;
  /** What calls and thoughts are held to, in place of a constraint. */
  readonly held: HeldAnswer | undefined;
  /** Absent where the answer is text and nothing else. */
  readonly marks: AnswerMarks | undefined;
}

/** What finds the formats of a model's calls; formats and grammars are kept with it. */
const planners = new WeakMap<Served, Promise<Answers>>();
/** Models whose templates show no thoughts. */
const thoughtless = new WeakSet<Served>();

/** Prepares an answer. */
export async function prepareAnswer(
  call: Call,
  conversation: Conversation,
  asked: Asked,
  variables: Readonly<Record<string, JsonValue>>,
): Promise<Prepared> {
  const { tools, choice, constraint, stop, budget, rename = (name) => name } = asked;
  const hasTools = tools !== undefined && !(Array.isArray(tools) && tools.length === 0);
  if (hasTools) {
    if (conversation.begun !== "") {
      const name = rename("messages");
      refuse(name, `${name}: an answer that is begun cannot have tools; end with another role.`);
    }
    if (constraint) refuse("tools", "tools: expected none beside response_format and constraint.");
    if (stop.length > 0) {
      refuse(rename("stop"), `${rename("stop")}: expected none beside tools, whose calls it would cut.`);
    }
  } else if (choice !== "none" && choice !== "auto") {
    refuse("tool_choice", "tool_choice: expected none or auto, for there are no tools.");
  }
  const isPlain = constraint !== undefined || stop.length > 0 || conversation.begun !== "" ||
    thoughtless.has(call.served);
  if (!hasTools && budget === undefined && isPlain) {
    return { prompt: await conversationTokens(call, conversation, variables), held: undefined, marks: undefined };
  }
  return await prepareMarked(call, conversation, hasTools ? asked : { ...asked, tools: undefined }, variables);
}

async function prepareMarked(
  call: Call,
  { messages }: Conversation,
  { tools, choice, parallel, budget, rename = (name) => name }: Asked,
  variables: Readonly<Record<string, JsonValue>>,
): Promise<Prepared> {
  const { served, signal } = call;
  const { model, talk, template } = served;
  let planner = planners.get(served);
  if (!planner) planners.set(served, planner = import("../lightgpt/answers.ts").then(({ Answers }) => new Answers()));
  const host = { context: model.context, tokenizer: model.tokenizer, conversations: talk };
  try {
    const options: AnswerOptions = {
      variables,
      signal,
      ...(tools === undefined ? {} : { tools: toolsOf(tools), toolChoice: choice, parallelToolCalls: parallel }),
      ...(budget === undefined ? {} : { reasoning: { budget } }),
      ...(template === undefined ? {} : { template }),
    };
    const { ids, plan } = await (await planner).prepare(host, messages, options);
    const { held, marks } = plan;
    if (tools === undefined && marks.thoughts === undefined) {
      thoughtless.add(served);
      return { prompt: ids, held: undefined, marks: undefined };
    }
    return { prompt: ids, held, marks };
  } catch (error) {
    const { message, parts } = failureOf(error);
    const where = error instanceof LightGPTError ? error.detail.where : undefined;
    const param = parts.param ?? (where === "reasoning.budget" ? where : undefined);
    if (param === undefined && tools === undefined) throw error;
    const name = param === "toolChoice.name" ? "tool_choice" : param ?? "tools";
    const named = param === undefined ? `${name}: ${message}` : message; // some dialects tell nothing but the sentence
    throw new Failure(named.replaceAll(name, rename(name)), { ...parts, param: rename(name) }, { cause: error });
  }
}

/** A choice of tools as OpenAI's chats say it. */
export function readChoice(choice: unknown): ToolChoice {
  if (choice === undefined) return "auto";
  if (choice === "auto" || choice === "none" || choice === "required") return choice;
  const { type, name, function: named } = (choice ?? {}) as {
    type?: unknown;
    name?: unknown;
    function?: { name?: unknown };
  };
  const tool = named?.name ?? name;
  if (type === "function" && typeof tool === "string") return { name: tool };
  return refuse("tool_choice", 'tool_choice: expected "none", "auto", "required", or a function by its name.');
}

/** What came of a call's arguments as JSON; the first part has nothing but its name, or more. */
export interface CallPart {
  readonly type: "callPart";
  /** How many calls came before it. */
  readonly index: number;
  readonly id: string;
  readonly name: string;
  readonly text: string;
  readonly isFirst: boolean;
}

/** A call that came whole, behind its parts. */
export interface ToldCall {
  readonly type: "call";
  readonly id: string;
  readonly name: string;
  readonly input: Readonly<Record<string, JsonValue>>;
  /** The input as JSON, as its parts have it. */
  readonly text: string;
}

/** Part of an answer. */
export type Part =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "reasoning"; readonly text: string }
  | CallPart
  | ToldCall;

/** Part of a whole answer. */
export type WholePart = Exclude<Part, CallPart>;

/** Tells one answer apart. */
export class Teller {
  readonly #tokenizer: Tokenizer;
  readonly #reader: AnswerReader | undefined;
  readonly #name: () => string;
  #calls = 0;
  readonly #ids: string[] = [];
  #tokens = 0;
  #isThinking = false;
  /** Tokens of thoughts so far, with their marks. */
  reasoningTokens = 0;

  /** Without marks, all is text; `name` names calls to which the model gives no name. */
  constructor(tokenizer: Tokenizer, marks: AnswerMarks | undefined, name = () => `call_${newId()}`) {
    this.#tokenizer = tokenizer;
    this.#name = name;
    this.#reader = marks && new AnswerReader(marks);
  }

  /** Whether there were calls, and all of them came whole. */
  get hasCalls(): boolean {
    return this.#calls > 0 && !this.#reader?.isCut;
  }

  /** What one token adds. */
  push({ token, text }: Pick<Piece, "token" | "text">): Part[] {
    this.#tokens++;
    if (!this.#reader) return text === "" ? [] : [{ type: "text", text }];
    return this.#told(this.#reader.push(wireOfBytes(bytesOf(this.#tokenizer, token))));
  }

  /** What the end adds. */
  end(): Part[] {
    return this.#told(this.#reader?.end() ?? []);
  }

  /** The parts of a whole answer as a stream has them. */
  parts({ text, tokens }: Pick<Completion, "text" | "tokens">): Part[] {
    if (!this.#reader) return text === "" ? [] : [{ type: "text", text }];
    return [...tokens.flatMap((token) => this.push({ token, text: "" })), ...this.end()];
  }

  /** The parts of a whole answer; calls are whole, and neighbours of one kind are one. */
  whole(completion: Pick<Completion, "text" | "tokens">): WholePart[] {
    const parts: WholePart[] = [];
    for (const part of this.parts(completion)) {
      if (part.type === "callPart") continue;
      const last = parts.at(-1);
      if (last === undefined || last.type === "call" || part.type === "call" || last.type !== part.type) {
        parts.push(part);
      } else parts[parts.length - 1] = { ...last, text: last.text + part.text };
    }
    return parts;
  }

  #told(events: readonly AnswerEvent[]): Part[] {
    const isThinking = events.some(({ type }) => type === "reasoning") || (this.#isThinking && events.length === 0);
    if (isThinking) this.reasoningTokens = this.#tokens;
    this.#isThinking = isThinking;
    return events.map((event): Part => {
      if (event.type === "toolCallDelta") {
        const { index, name, text } = event;
        const isFirst = this.#ids[index] === undefined;
        return { type: "callPart", index, id: this.#idOf(index, event.id), name, text, isFirst };
      }
      if (event.type !== "toolCall") return event as Part;
      this.#calls++;
      const { id, name, arguments: input, text } = event.call;
      return { type: "call", id: this.#idOf(event.index, id), name, input, text };
    });
  }

  #idOf(index: number, own: string | undefined): string {
    return this.#ids[index] ??= own ?? this.#name();
  }
}
