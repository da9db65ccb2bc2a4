/**
 * Conversations for templates that drop the calls of earlier answers: their text stands in the content. It is what a model wrote, so
 * no control token is read in it.
 *
 * @module
 */
import type { ChatMessage, JsonValue } from "../text/chat/inputs.ts";
import type { ReadCall, ToolFormat } from "./types.ts";
import { writeCalls } from "./write_calls.ts";

const asItIs = { own: (text: string) => text, given: (text: string) => text };

/** Messages with calls in their contents. */
export function writtenCalls(format: ToolFormat, messages: readonly ChatMessage[]): readonly ChatMessage[] {
  if (!Array.isArray(messages)) return messages; // rendering refuses it
  return messages.map((message: ChatMessage) => {
    const calls = message?.tool_calls;
    if (!Array.isArray(calls)) return message;
    const { tool_calls: _calls, ...rest } = message;
    const read = calls.map(readCall);
    if (read.includes(undefined)) return message;
    const content = typeof message.content === "string" ? message.content : "";
    return { ...rest, role: message.role, content: content + writeCalls(format, read as ReadCall[], asItIs) };
  });
}

function readCall(call: JsonValue): ReadCall | undefined {
  const { id, function: given } = (call ?? {}) as { id?: JsonValue; function?: JsonValue };
  const { name, arguments: values } = (given ?? {}) as { name?: JsonValue; arguments?: JsonValue };
  if (typeof name !== "string") return undefined;
  try {
    const read = typeof values === "string" ? JSON.parse(values) : values;
    if (read === null || typeof read !== "object" || Array.isArray(read)) return undefined;
    return { name, arguments: read, id: typeof id === "string" ? id : undefined };
  } catch {
    return undefined; // what is no JSON stays as it is
  }
}
