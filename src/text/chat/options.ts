/**
 * Options for turning a conversation into a prompt: what users see, and the schema of it. What is JSON is copied, and checked
 * down to its leaves, when the template runs.
 *
 * @module
 */
import { checkObject, refuseOption } from "../../options/checks.ts";
import { boolean, type FieldsOf, other, text } from "../../options/schema.ts";
import type { JsonValue } from "./inputs.ts";

/**
 * Options for rendering a conversation.
 *
 * @example
 * ```ts
 * import { ChatTemplate, type RenderOptions } from "@lightgpt/lightgpt";
 *
 * const template = await ChatTemplate.parse("{{ messages[0].content }}{% if brief %} Be brief.{% endif %}");
 * const options: RenderOptions = { variables: { brief: true } };
 * console.log(template.render([{ role: "user", content: "Hello." }], options)); // Hello. Be brief.
 * ```
 */
export interface RenderOptions {
  /**
   * Whether the prompt ends with what begins an answer.
   * @default {true}
   */
  readonly addGenerationPrompt?: boolean;
  /**
   * Descriptions of tools, for templates that know them.
   * @default {none}
   */
  readonly tools?: JsonValue;
  /**
   * Further variables of the template, such as `enable_thinking` or `documents`. No control token is read in them.
   * @default {{}}
   */
  readonly variables?: Readonly<Record<string, JsonValue>>;
  /**
   * Variables that count as the template's own text, such as `bos_token`: control tokens are read in them. Never for what
   * came from a user.
   * @default {{}}
   */
  readonly tokens?: Readonly<Record<string, string>>;
  /**
   * The time that `strftime_now` takes for now.
   * @default {the time of the call}
   */
  readonly now?: Date;
}

/**
 * Options for turning a conversation into a prompt.
 *
 * @example
 * ```ts
 * import { type ConversationOptions, LightGPT } from "@lightgpt/lightgpt";
 *
 * const options: ConversationOptions = { template: "{% for m in messages %}{{ m.content }}\n{% endfor %}" };
 * await using lm = await LightGPT.load();
 * console.log(await lm.chatTokens([{ role: "user", content: "Hello!" }], options));
 * ```
 */
export interface ConversationOptions extends Omit<RenderOptions, "tokens"> {
  /**
   * A Jinja template in place of the model's own.
   * @default {the template in the model's file}
   */
  readonly template?: string;
}

const conversation = {
  addGenerationPrompt: boolean({ about: "Whether the prompt ends with what begins an answer.", default: true }),
  tools: other<JsonValue>()(
    {
      about: "Descriptions of tools, for templates that know them.",
      expected: "an array or an object",
      otherwise: "none",
    },
    (value, name) => {
      if (typeof value !== "object") refuseOption(name, "an array or an object", value);
      return value as JsonValue;
    },
  ),
  variables: record<JsonValue>("Further variables of the template."),
  now: other<Date>()(
    { about: "The time that the template takes for now.", expected: "a Date", otherwise: "the time of the call" },
    (value, name) => {
      if (!(value instanceof Date) || Number.isNaN(value.getTime())) refuseOption(name, "a Date", value);
      return value;
    },
  ),
} as const;

/** The schema of {@link RenderOptions}. */
export const renderFields = {
  ...conversation,
  tokens: record<string>("Variables that count as the template's own text."),
} as const satisfies FieldsOf<RenderOptions>;

/** The schema of {@link ConversationOptions}. */
export const conversationFields = {
  ...conversation,
  template: text({
    about: "A Jinja template in place of the model's own.",
    otherwise: "the template in the model's file",
  }),
} as const satisfies FieldsOf<ConversationOptions>;

/** Values by name; each is checked when the template runs. */
function record<T>(about: string) {
  return other<Readonly<Record<string, T>>>()(
    { about, expected: "an object", default: {}, otherwise: "{}" },
    (value, name) => {
      checkObject(name, value);
      return value as Readonly<Record<string, T>>;
    },
  );
}
