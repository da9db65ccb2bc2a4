/**
 * Options for a conversation that is kept: what users see, and the schema of it.
 *
 * @module
 */
import type { Completion } from "../batching/completion.ts";
import { type FieldsOf, other, text } from "../options/schema.ts";
import { guarded, refuseOption } from "../options/checks.ts";
import type { ChatMessage } from "../text/chat/inputs.ts";
import type { Tools } from "../tools/tool.ts";
import type { Answer } from "./answer_options.ts";
import { chatFields, type ChatOptions } from "./options.ts";

/**
 * What becomes of a conversation that has outgrown the context: `dropOldest` drops its oldest turns, `error` refuses the turn,
 * and a function gives the messages to go on with.
 *
 * @example
 * ```ts
 * import { LightGPT, type OnContextFull } from "@lightgpt/lightgpt";
 *
 * const onContextFull: OnContextFull = (messages) => messages.slice(-4);
 * await using lm = await LightGPT.load("model.gguf");
 * const session = lm.session({ onContextFull });
 * console.log((await session.reply("Hello!", { maxTokens: 20 })).text);
 * ```
 */
export type OnContextFull =
  | "dropOldest"
  | "error"
  | ((messages: readonly ChatMessage[]) => readonly ChatMessage[] | Promise<readonly ChatMessage[]>);

/**
 * Options for a session. Those of {@link ChatOptions} hold for each of its answers that says nothing else.
 *
 * @example
 * ```ts
 * import { LightGPT, type SessionOptions } from "@lightgpt/lightgpt";
 *
 * const options: SessionOptions = { system: "You are terse.", maxTokens: 50, sampling: { temperature: 0 } };
 * await using lm = await LightGPT.load("model.gguf");
 * const session = lm.session(options);
 * console.log((await session.reply("What is 2 + 2?")).text);
 * ```
 */
export interface SessionOptions extends Omit<ChatOptions, "resume" | "signal" | "addGenerationPrompt"> {
  /**
   * A system message, which stands before all others.
   * @default {none}
   */
  readonly system?: string;
  /**
   * The messages of a conversation that goes on, as {@link Session.toJSON} gives them.
   * @default {[]}
   */
  readonly messages?: readonly ChatMessage[];
  /**
   * What becomes of the conversation when the next answer has no room in the context.
   * @default {"dropOldest"}
   */
  readonly onContextFull?: OnContextFull;
}

const { resume: _resume, signal: _signal, addGenerationPrompt: _add, ...answering } = chatFields;

/** What of {@link SessionOptions} holds for each answer. */
export const sessionAnswerFields = answering;

/** The schema of {@link SessionOptions}. */
export const sessionFields = {
  ...answering,
  system: text({ about: "A system message, which stands before all others.", otherwise: "none" }),
  messages: other<readonly ChatMessage[]>()(
    {
      about: "The messages of a conversation that goes on.",
      expected: "an array of messages",
      default: [],
      otherwise: "[]",
    },
    messageList,
  ),
  onContextFull: other<OnContextFull>()(
    {
      about: "What becomes of the conversation when the next answer has no room in the context.",
      expected: '"dropOldest", "error" or a function',
      default: "dropOldest",
    },
    (value, name) => {
      if (value === "dropOldest" || value === "error" || typeof value === "function") return value as OnContextFull;
      return refuseOption(name, '"dropOldest", "error" or a function', value);
    },
  ),
} as const satisfies FieldsOf<SessionOptions>;

/** An array of messages; what is in them is checked where a template reads them. */
export function messageList(value: unknown, name: string): readonly ChatMessage[] {
  return guarded(name, () => {
    if (!Array.isArray(value)) return refuseOption(name, "an array of messages", value);
    for (const [index, message] of value.entries()) {
      const where = `${name}[${index}]`;
      if (message === null || typeof message !== "object") refuseOption(where, "a message", message);
      if (typeof message.role !== "string") refuseOption(`${where}.role`, "a string", message.role);
    }
    return [...value];
  });
}

/**
 * What an answer of a session came to.
 *
 * @example
 * ```ts
 * import { LightGPT, type SessionReply } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load("model.gguf");
 * const { text, dropped }: SessionReply = await lm.session().reply("Hello!", { maxTokens: 20 });
 * console.log(text, dropped.length, "messages were forgotten for it");
 * ```
 */
export interface SessionReply extends Completion {
  /** The messages that the session forgot, so that the answer had room. */
  readonly dropped: readonly ChatMessage[];
}

/**
 * What an answer of a session with tools or thoughts came to.
 *
 * @example
 * ```ts
 * import { LightGPT, type SessionAnswer } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load("model.gguf");
 * const answer: SessionAnswer = await lm.session().reply("Hello!", { reasoning: { budget: 20 }, maxTokens: 50 });
 * console.log(answer.reasoning, answer.text, answer.dropped.length);
 * ```
 */
export interface SessionAnswer<T extends Tools = Tools> extends Answer<T> {
  /** The messages that the session forgot, so that the answer had room. */
  readonly dropped: readonly ChatMessage[];
}

/**
 * A session as plain data, which {@link LightGPT.session} takes again.
 *
 * @example
 * ```ts
 * import { LightGPT, type SessionData } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load("model.gguf");
 * const data: SessionData = lm.session({ system: "You are terse." }).toJSON();
 * const again = lm.session(JSON.parse(JSON.stringify(data)));
 * console.log(again.messages);
 * ```
 */
export interface SessionData {
  /** The system message. */
  readonly system?: string;
  /** The messages after it. */
  readonly messages: readonly ChatMessage[];
}
