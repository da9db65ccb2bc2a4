/**
 * Options for making a conversation fit: what users see, and the schema of it.
 *
 * @module
 */
import { type FieldsOf, integer, other } from "../options/schema.ts";
import { refuseOption } from "../options/checks.ts";
import type { ChatMessage } from "../text/chat/inputs.ts";
import { conversationFields, type ConversationOptions } from "../text/chat/options.ts";

/**
 * Options for making a conversation fit.
 *
 * @example
 * ```ts
 * import { type FitOptions, LightGPT } from "@lightgpt/lightgpt";
 *
 * const article = "The fox went to the river. ".repeat(400);
 * const options: FitOptions = { tokens: 200, cut: 0 }; // the first message is shortened at its end
 * await using lm = await LightGPT.load("model.gguf");
 * const { messages, tokens } = await lm.fit([{ role: "user", content: `Summarize: ${article}` }], options);
 * console.log(messages, tokens);
 * ```
 */
export interface FitOptions extends ConversationOptions {
  /**
   * The most tokens that the conversation may take as a prompt.
   * @default {three quarters of the context}
   */
  readonly tokens?: number;
  /**
   * What gives way: `oldest` drops whole turns from the oldest on, and keeps what stands before the first turn (a system
   * message) and the last turn; a number is the index of the message whose text is shortened at its end, from -1 backwards for
   * the last ones.
   * @default {"oldest"}
   */
  readonly cut?: "oldest" | number;
}

/** The schema of {@link FitOptions}. */
export const fitFields = {
  ...conversationFields,
  tokens: integer({
    about: "The most tokens that the conversation may take as a prompt.",
    least: 1,
    most: 2 ** 31 - 1,
    otherwise: "three quarters of the context",
  }),
  cut: other<"oldest" | number>()(
    { about: "What gives way.", expected: '"oldest" or the index of a message', default: "oldest" },
    (value, name) => {
      if (value === "oldest" || Number.isSafeInteger(value)) return value as "oldest" | number;
      return refuseOption(name, '"oldest" or the index of a message', value);
    },
  ),
} as const satisfies FieldsOf<FitOptions>;

/**
 * A conversation that fits, and what it took.
 *
 * @example
 * ```ts
 * import { type Fitted, LightGPT } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load("model.gguf");
 * const { messages, dropped, tokens }: Fitted = await lm.fit([{ role: "user", content: "Hello!" }]);
 * console.log(messages.length, "messages of", tokens, "tokens;", dropped.length, "were dropped");
 * ```
 */
export interface Fitted {
  /** The conversation as it fits. */
  readonly messages: readonly ChatMessage[];
  /** The messages that were dropped, the oldest first. */
  readonly dropped: readonly ChatMessage[];
  /** How many tokens it takes as a prompt. */
  readonly tokens: number;
}
