/**
 * The result of a call as a message.
 *
 * @module
 */
import { guarded, refuseOption } from "../options/checks.ts";
import type { ChatMessage } from "../text/chat/inputs.ts";

/**
 * The result of a call as a message, which goes into the conversation behind the answer that has the call.
 *
 * @param call the call, or its id and name
 * @param result a text as it is, or another value as JSON
 * @returns the message
 * @throws {InvalidArgumentError} where the call has no id or name, or the result cannot be JSON
 *
 * @example
 * ```ts
 * import { toolResult } from "@lightgpt/lightgpt";
 *
 * console.log(toolResult({ id: "a1", name: "weather" }, { degrees: 21 }).content); // {"degrees":21}
 * ```
 */
export function toolResult(call: { readonly id: string; readonly name: string }, result: unknown): ChatMessage {
  const { id, name } = guarded("call", () => ({ id: call?.id, name: call?.name }));
  if (typeof id !== "string" || typeof name !== "string") refuseOption("call", "a call with id and name", call);
  const content = typeof result === "string" ? result : guarded("result", () => JSON.stringify(result) ?? "null");
  return { role: "tool", tool_call_id: id, name, content };
}
