/**
 * The messages of a conversation as clients of OpenAI send them, in the shape that templates know: parts of text become one text, a
 * developer is the system, and an answer that is only begun stays open, so that the model goes on with it.
 *
 * @module
 */
import type { ChatMessage, JsonValue } from "../text/chat/inputs.ts";
import { given } from "../options/schema.ts";
import { refuse } from "./failure.ts";
import {
  array,
  discriminatedUnion,
  literal,
  nullish,
  oneOf,
  type output,
  pipe,
  transform,
  union,
} from "./libraries.ts";
import { any, known, readTree, type Schema, text } from "./trees.ts";
import type { Call, Served } from "./types.ts";

/** A conversation, and the beginning of the answer that the client has given. */
export interface Conversation {
  readonly messages: readonly ChatMessage[];
  readonly begun: string;
}

const part = known({
  type: oneOf(["text", "input_text", "output_text"], 'expected "text"; this server reads nothing else'),
  text,
  cache_control: nullish(known({ type: literal("ephemeral"), ttl: nullish(text) })),
  prompt_cache_breakpoint: any,
  logprobs: nullish(array(known({}))),
}, "expected an object with type and text");

/** A text, or parts of text. */
export const content = union([
  text,
  pipe(array(part), transform((parts) => parts.map((one) => one.text).join("\n"))),
], "expected a text or an array of parts");

/** A call as it is said again to the model that made it. */
export interface SaidCall {
  readonly id: string;
  readonly name: string;
  /** JSON. */
  readonly arguments: string;
}

const call = known({
  id: text,
  index: any, // said again as a stream told it
  type: nullish(literal("function", 'expected "function"')),
  function: known({ name: text, arguments: text }),
});
const name = nullish(text);
const message = discriminatedUnion("role", [
  known({ role: oneOf(["system", "developer", "user"]), content, name }),
  known({
    role: literal("assistant"),
    content: nullish(content),
    name,
    refusal: nullish(text),
    reasoning_content: nullish(text),
    reasoning: nullish(text), // the same, as vLLM and OpenRouter name it
    tool_calls: nullish(array(call, "expected an array of calls")),
  }),
  known({ role: literal("tool"), content, name, tool_call_id: text }),
], "expected an object whose role is system, developer, user, assistant or tool");

/** Reads `messages` of a body. */
export function readMessages(value: unknown, where: Pick<Call, "limits">, name = "messages"): Conversation {
  return openEnd(readList(message, value, where, name).map(messageOf));
}

/** Reads a list of messages, which has at least one and not too many. */
export function readList<S extends Schema>(
  schema: S,
  value: unknown,
  { limits }: Pick<Call, "limits">,
  name: string,
): output<S>[] {
  if (!Array.isArray(value) || value.length === 0) refuse(name, `${name}: expected an array of messages.`);
  if (value.length > limits.messagesMax) {
    refuse(name, `${name}: expected at most ${limits.messagesMax}, got ${value.length}.`);
  }
  return value.map((one: unknown, index) => readTree(schema, one, `${name}[${index}]`));
}

/** A conversation whose last message may be the beginning of the answer. */
export function openEnd(messages: readonly ChatMessage[]): Conversation {
  const last = messages.at(-1);
  if (last?.role !== "assistant" || last.tool_calls !== undefined) return { messages, begun: "" };
  return { messages: messages.slice(0, -1), begun: last.content as string };
}

function messageOf(told: output<typeof message>, index: number): ChatMessage {
  const named = given({ name: told.name ?? undefined });
  if (told.role === "tool") {
    return { role: "tool", content: told.content, ...named, tool_call_id: told.tool_call_id };
  }
  if (told.role !== "assistant") {
    return { role: told.role === "developer" ? "system" : told.role, content: told.content, ...named };
  }
  const calls = (told.tool_calls ?? []).map(({ id, function: called }) => ({ id, ...called }));
  if (calls.length === 0 && (told.content ?? undefined) === undefined) {
    refuse(`messages[${index}].content`, `messages[${index}].content: expected a text or an array of parts.`);
  }
  const thoughts = told.reasoning_content ?? told.reasoning ?? undefined;
  return { ...answerMessage(told.content ?? undefined, calls, thoughts), ...named };
}

/** An answer that was given before: its text, its calls, its thoughts. */
export function answerMessage(
  content: string | undefined,
  calls: readonly SaidCall[],
  reasoning: string | undefined,
): ChatMessage {
  const tool_calls: JsonValue[] = calls.map(({ id, ...called }) => ({ id, type: "function", function: called }));
  return {
    role: "assistant",
    content: content ?? (calls.length > 0 ? null : ""),
    ...given({ reasoning_content: reasoning, tool_calls: calls.length > 0 ? tool_calls : undefined }),
  };
}

/** A variable of the chat template; refused as `param` where the template does not know it, and so would ignore it. */
export function templateVariable(
  served: Served,
  name: string,
  value: JsonValue,
  param: string | undefined,
): Record<string, JsonValue> {
  if (param !== undefined && !templateOf(served).includes(name)) {
    refuse(param, `${param}: the chat template of this model does not know ${name}.`);
  }
  return { [name]: value };
}

/** How much a model is to think, in the words of its template; `none` holds by itself where a template knows no thoughts. */
export function effortVariable(served: Served, effort: string, param: string): Record<string, JsonValue> {
  const template = templateOf(served);
  if (effort === "none" && !template.includes("reasoning_effort")) {
    if (template.includes("enable_thinking")) return { enable_thinking: false };
    if (!template.includes("think")) return {};
  }
  return templateVariable(served, "reasoning_effort", effort, param);
}

function templateOf({ model, template }: Served): string {
  const key = "tokenizer.chat_template";
  const { metadata } = model.gguf;
  return template ?? (metadata.has(key) ? metadata.text(key) : "");
}

/** The tokens of a conversation, ready to be continued. */
export async function conversationTokens(
  { served: { model, talk, template }, signal }: Call,
  { messages, begun }: Conversation,
  variables: Readonly<Record<string, JsonValue>>,
): Promise<Uint32Array> {
  const options = { variables, ...(template === undefined ? {} : { template }) };
  const tokens = await talk.tokens(messages, options, { signal, context: model.context, begun });
  return tokens;
}
