/**
 * The AI SDK's conversation as messages of a chat template.
 *
 * @module
 */
import { refuseOption } from "../../options/checks.ts";
import type { ChatMessage } from "../../text/chat/inputs.ts";
import { toolResult } from "../../tools/tool_result.ts";
import type { AiSdkMessage, AiSdkPart } from "./ai_sdk_types.ts";
import { assistantMessage, type MadeCall, unreadable } from "./messages.ts";

/** The messages of a prompt; a part that no template of ours takes is refused by its place. */
export function promptMessages(prompt: readonly AiSdkMessage[]): ChatMessage[] {
  if (!Array.isArray(prompt)) refuseOption("prompt", "an array of messages", prompt);
  return prompt.flatMap((message: AiSdkMessage, index) => messagesOf(message, `prompt[${index}]`));
}

function messagesOf({ role, content }: AiSdkMessage, where: string): ChatMessage[] {
  if (typeof content === "string") return [{ role, content }];
  if (role === "tool") return content.flatMap((part, index) => resultOf(part, `${where}.content[${index}]`));
  const said = { text: "", reasoning: "", calls: [] as MadeCall[] };
  content.forEach((part, index) => {
    if (part.type === "text") said.text += part.text ?? "";
    else if (part.type === "reasoning") said.reasoning += part.text ?? "";
    else if (part.type === "tool-call") said.calls.push(callOf(part));
    else throw unreadable(part.type, `${where}.content[${index}]`);
  });
  if (role !== "assistant") return [{ role, content: said.text }];
  return [assistantMessage(said.text, said.reasoning, said.calls)];
}

function callOf({ toolCallId: id = "", toolName: name = "", input }: AiSdkPart): MadeCall {
  return { id, name, input };
}

function resultOf({ type, toolCallId = "", toolName = "", output }: AiSdkPart, where: string): ChatMessage[] {
  if (type === "tool-approval-response") return []; // it was for the program: the call's result follows
  if (type !== "tool-result" || output === undefined) throw unreadable(type, where);
  const call = { id: toolCallId, name: toolName };
  if (output.type === "execution-denied") return [toolResult(call, output.reason ?? "The call was not allowed.")];
  if (output.type !== "content") return [toolResult(call, output.value ?? null)];
  const parts = output.value as AiSdkPart[];
  const other = parts.find(({ type }) => type !== "text");
  if (other !== undefined) throw unreadable(other.type, where);
  return [toolResult(call, parts.map(({ text }) => text ?? "").join("\n"))];
}
