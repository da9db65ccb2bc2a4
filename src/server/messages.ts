/**
 * The messages of a conversation as clients send them, in the shape that templates know: parts of text become one text, a
 * developer is the system, and an answer that is only begun stays open, so that the model goes on with it.
 *
 * @module
 */
import type { ChatMessage, JsonValue } from "../text/chat/inputs.ts";
import { refuse } from "./failure.ts";
import type { Call, Served } from "./types.ts";

/** A conversation, and the beginning of the answer that the client has given. */
export interface Conversation {
  readonly messages: readonly ChatMessage[];
  readonly begun: string;
}

const rolesOfOpenAi = ["system", "developer", "user", "assistant", "tool"] as const;
const messageNames = ["role", "content", "name", "refusal", "tool_calls", "tool_call_id", "reasoning_content"];

/** Reads `messages` of a body, of which each has one of `roles`. */
export function readMessages(
  value: unknown,
  { limits }: Pick<Call, "limits">,
  roles: readonly string[] = rolesOfOpenAi,
  name = "messages",
): Conversation {
  if (!Array.isArray(value) || value.length === 0) refuse(name, `${name}: expected an array of messages.`);
  if (value.length > limits.messagesMax) {
    refuse(name, `${name}: expected at most ${limits.messagesMax}, got ${value.length}.`);
  }
  const messages = value.map((message: unknown, index) => readMessage(message, `${name}[${index}]`, roles));
  const last = messages.at(-1) as ChatMessage;
  if (last.role !== "assistant" || last.tool_calls !== undefined) return { messages, begun: "" };
  return { messages: messages.slice(0, -1), begun: last.content as string };
}

function readMessage(message: unknown, where: string, roles: readonly string[]): ChatMessage {
  if (message === null || typeof message !== "object" || Array.isArray(message)) {
    refuse(where, `${where}: expected an object with role and content.`);
  }
  const { role, content, ...rest } = message as Record<string, unknown>;
  if (typeof role !== "string" || !roles.includes(role)) {
    refuse(`${where}.role`, `${where}.role: expected ${roles.join(", ")}.`);
  }
  for (const [name, value] of Object.entries(rest)) {
    const isEmpty = value === null || (Array.isArray(value) && value.length === 0);
    if (!messageNames.includes(name) && !isEmpty) {
      refuse(`${where}.${name}`, `${where}.${name}: it is not supported; there are ${messageNames.join(", ")}.`);
    }
  }
  if (rest.name !== undefined && typeof rest.name !== "string") {
    refuse(`${where}.name`, `${where}.name: expected a text.`);
  }
  const calls = role === "assistant" ? readCalls(rest.tool_calls, `${where}.tool_calls`) : [];
  return {
    role: role === "developer" ? "system" : role,
    content: calls.length > 0 && (content === null || content === undefined)
      ? null
      : readContent(content, `${where}.content`),
    ...(rest.name === undefined ? {} : { name: rest.name as string }),
    ...(typeof rest.reasoning_content === "string" ? { reasoning_content: rest.reasoning_content } : {}),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
    ...(role === "tool" ? { tool_call_id: readId(rest.tool_call_id, `${where}.tool_call_id`) } : {}),
  };
}

/** The calls of an answer that was given before. */
function readCalls(calls: unknown, where: string): JsonValue[] {
  if (calls === undefined || calls === null) return [];
  if (!Array.isArray(calls)) refuse(where, `${where}: expected an array of calls.`);
  return calls.map((call: unknown, index) => {
    const at = `${where}[${index}]`;
    const { id, function: called } = (call ?? {}) as {
      id?: unknown;
      function?: { name?: unknown; arguments?: unknown };
    };
    const { name, arguments: text } = called ?? {};
    if (typeof name !== "string") refuse(`${at}.function.name`, `${at}.function.name: expected a text.`);
    if (typeof text !== "string") {
      refuse(`${at}.function.arguments`, `${at}.function.arguments: expected JSON as text.`);
    }
    return { id: readId(id, `${at}.id`), type: "function", function: { name, arguments: text } };
  });
}

function readId(id: unknown, where: string): string {
  return typeof id === "string" ? id : refuse(where, `${where}: expected the id of a call.`);
}

/** A text, or parts of text. */
export function readContent(content: unknown, where: string): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) refuse(where, `${where}: expected a text or an array of parts.`);
  return content.map((part: unknown, index) => {
    const at = `${where}[${index}]`;
    if (part === null || typeof part !== "object") refuse(at, `${at}: expected an object with type and text.`);
    const { type, text } = part as Record<string, unknown>;
    if (type !== "text" && type !== "input_text" && type !== "output_text") {
      refuse(`${at}.type`, `${at}.type: expected "text"; this server reads nothing else.`);
    }
    if (typeof text !== "string") refuse(`${at}.text`, `${at}.text: expected a text.`);
    return text;
  }).join("\n");
}

/** A variable of the chat template; refused as `param` where the template does not know it, and so would ignore it. */
export function templateVariable(
  { model, template }: Served,
  name: string,
  value: JsonValue,
  param: string | undefined,
): Record<string, JsonValue> {
  const key = "tokenizer.chat_template";
  const { metadata } = model.gguf;
  const source = template ?? (metadata.has(key) ? metadata.text(key) : "");
  if (param !== undefined && !source.includes(name)) {
    refuse(param, `${param}: the chat template of this model does not know ${name}.`);
  }
  return { [name]: value };
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
