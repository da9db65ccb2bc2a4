/**
 * The schema of the options for turning a conversation into a prompt. What is JSON is copied, and checked, when the template
 * runs.
 *
 * @module
 */
import { checkObject, refuseOption } from "../../options/checks.ts";
import { boolean, type FieldsOf, other, text } from "../../options/schema.ts";
import type { ConversationOptions } from "./conversation.ts";
import type { JsonValue } from "./template.ts";

/** The schema of {@link ConversationOptions}. */
export const conversationFields = {
  template: text({ about: "A Jinja template in place of the model's own.", otherwise: "the model's own" }),
  addGenerationPrompt: boolean({ about: "Whether the prompt ends with what begins an answer.", default: true }),
  tools: other<JsonValue>()(
    { about: "Descriptions of tools, where the template knows them.", expected: "an array or an object" },
    (value, name) => {
      if (value === null || typeof value !== "object") refuseOption(name, "an array or an object", value);
      return value as JsonValue;
    },
  ),
  variables: other<Readonly<Record<string, JsonValue>>>()(
    { about: "Further variables of the template.", expected: "an object", default: {}, otherwise: "none" },
    (value, name) => {
      checkObject(name, value);
      return value as Readonly<Record<string, JsonValue>>;
    },
  ),
  now: other<Date>()(
    { about: "The time that the template takes for now.", expected: "a Date", otherwise: "the time of the call" },
    (value, name) => {
      if (!(value instanceof Date) || Number.isNaN(value.getTime())) refuseOption(name, "a Date", value);
      return value;
    },
  ),
} as const satisfies FieldsOf<ConversationOptions>;
