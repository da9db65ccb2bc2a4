/**
 * Options for an answer that comes in pieces of several kinds, and what it comes to: what users see, and the schema of it.
 *
 * @module
 */
import type { Completion } from "../batching/completion.ts";
import type { FieldsOf } from "../options/schema.ts";
import type { ChatMessage } from "../text/chat/inputs.ts";
import { callFields, type CallOptions } from "../tools/options.ts";
import { isTools, type ToolCall, type Tools } from "../tools/tool.ts";
import { chatFields, type ChatOptions } from "./options.ts";

/**
 * Options for an answer with tools or thoughts.
 *
 * @example
 * ```ts
 * import { type AnswerOptions, jsonSchema, LightGPT, tool } from "@lightgpt/lightgpt";
 *
 * const tools = { time: tool({ description: "The time.", input: jsonSchema({ type: "object" }) }) };
 * const options: AnswerOptions<typeof tools> = { tools, maxTokens: 200, reasoning: { budget: 100 } };
 * await using lm = await LightGPT.load("model.gguf");
 * for await (const piece of lm.chat([{ role: "user", content: "How late is it?" }], options)) console.log(piece.type);
 * ```
 */
export interface AnswerOptions<T extends Tools = Tools>
  extends Omit<ChatOptions, "tools" | "stop" | "resume" | "prefill">, CallOptions<T> {}

const { tools: _tools, stop: _stop, resume: _resume, prefill: _prefill, ...others } = chatFields;

/** The schema of {@link AnswerOptions}. */
export const answerFields = { ...others, ...callFields } as const satisfies FieldsOf<AnswerOptions>;

/**
 * A piece of an answer: text, thoughts, what comes of a call's arguments as JSON, or the whole call behind these. The first such
 * part of a call comes as soon as its name is known.
 *
 * @example
 * ```ts
 * import type { AnswerPiece, Tools } from "@lightgpt/lightgpt";
 *
 * const show = (piece: AnswerPiece<Tools>) => piece.type === "toolCall" ? `${piece.name}()` : piece.text;
 * console.log(show({ type: "text", text: "Hello" }));
 * ```
 */
export type AnswerPiece<T extends Tools = Tools> =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "reasoning"; readonly text: string }
  | { readonly type: "toolCallDelta"; readonly id: string; readonly name: keyof T & string; readonly text: string }
  | ToolCall<T>;

/**
 * What an answer with tools or thoughts came to.
 *
 * @example
 * ```ts
 * import { type Answer, jsonSchema, LightGPT, tool } from "@lightgpt/lightgpt";
 *
 * const tools = { time: tool({ description: "The time.", input: jsonSchema({ type: "object" }) }) };
 * await using lm = await LightGPT.load("model.gguf");
 * const answer: Answer<typeof tools> = await lm.reply([{ role: "user", content: "How late is it?" }], { tools });
 * console.log(answer.text, answer.reasoning, answer.toolCalls);
 * ```
 */
export interface Answer<T extends Tools = Tools> extends Omit<Completion, "toJSON"> {
  /** The text of the answer, without thoughts and calls. */
  readonly text: string;
  /** The thoughts before it. */
  readonly reasoning: string;
  /** The calls. */
  readonly toolCalls: readonly ToolCall<T>[];
  /** The answer as a message, for a conversation that goes on. */
  readonly message: ChatMessage;
  /** The same for `JSON.stringify`, which knows no bigint: such a seed is a string there. */
  toJSON(): Omit<Answer<T>, "seed" | "toJSON"> & { readonly seed: number | string };
}

/** Whether options ask for pieces of several kinds. */
export function asksForAnswer(options: object): options is AnswerOptions {
  const given = options as AnswerOptions;
  return isTools(given.tools) || given.toolChoice !== undefined || given.parallelToolCalls !== undefined ||
    given.reasoning !== undefined || given.toolFormat !== undefined;
}
