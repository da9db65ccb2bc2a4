/**
 * Messages of a chat template, made of what frameworks tell: the answer of a model with its thoughts and calls, and the one sentence
 * that refuses what no model here reads.
 *
 * @module
 */
import { UnsupportedError } from "../../../ffi/errors.ts";
import type { ChatMessage, JsonValue } from "../../text/chat/inputs.ts";

/** A call of a tool. */
export interface MadeCall {
  readonly id: string;
  readonly name: string;
  /** Its arguments, as JSON text or as a value. */
  readonly input: unknown;
}

/** What a model said before. */
export function assistantMessage(text: string, reasoning: string, calls: readonly MadeCall[]): ChatMessage {
  return {
    role: "assistant",
    content: text === "" && calls.length > 0 ? null : text,
    ...(reasoning === "" ? {} : { reasoning_content: reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: calls.map(callOf) }),
  };
}

function callOf({ id, name, input }: MadeCall): JsonValue {
  const written = typeof input === "string" ? input : JSON.stringify(input ?? {});
  return { id, type: "function", function: { name, arguments: written } };
}

/** The error about a part of a message that is no text, call or result. */
export function unreadable(type: string, where: string): UnsupportedError {
  return new UnsupportedError(`${where}: a part of the type "${type}"; LightGPT reads text, calls and their results.`, {
    what: "a part that no model here reads",
    where,
    expected: "text",
    got: type,
  });
}
