/**
 * LangChain's conversation as messages of a chat template.
 *
 * @module
 */
import type { AIMessage, BaseMessage, ChatMessage as RoleMessage, ToolMessage } from "@langchain/core/messages";
import type { ChatMessage } from "../../text/chat/inputs.ts";
import { toolResult } from "../../tools/tool_result.ts";
import { assistantMessage, unreadable } from "./messages.ts";

/** Roles of templates by LangChain's names of messages. */
const roles: Readonly<Record<string, string>> = { human: "user", system: "system", developer: "system" };

/** The messages of a conversation; a part that no template of ours takes is refused by its place. */
export function conversationOf(messages: readonly BaseMessage[]): ChatMessage[] {
  /** Names of the calls so far: a result may have its call's id alone. */
  const named = new Map<string, string>();
  return messages.map((message, index) => {
    const where = `messages[${index}]`;
    if (message.getType() === "ai") return answered(message as AIMessage, where, named);
    const { text } = partsOf(message, where);
    if (message.getType() === "tool") {
      const { tool_call_id: id, name } = message as ToolMessage;
      return toolResult({ id, name: name ?? named.get(id) ?? "" }, text);
    }
    const role = message.getType() === "generic" ? (message as RoleMessage).role : roles[message.getType()];
    if (role === undefined) throw unreadable(message.getType(), where);
    return { role, content: text };
  });
}

function answered(message: AIMessage, where: string, named: Map<string, string>): ChatMessage {
  const { text, reasoning } = partsOf(message, where);
  const calls = (message.tool_calls ?? []).map(({ id = "", name, args }) => {
    named.set(id, name);
    return { id, name, input: args };
  });
  const { reasoning_content: thoughts } = message.additional_kwargs;
  return assistantMessage(text, typeof thoughts === "string" ? thoughts : reasoning, calls);
}

/** The texts of a message; an answer's calls stand beside its content, too. */
function partsOf({ content }: BaseMessage, where: string): { text: string; reasoning: string } {
  const said = { text: "", reasoning: "" };
  if (typeof content === "string") return { ...said, text: content };
  content.forEach((part, index) => {
    if (part.type === "text") said.text += String(part.text ?? "");
    else if (part.type === "reasoning") said.reasoning += String(part.reasoning ?? "");
    else if (part.type !== "tool_call") throw unreadable(String(part.type), `${where}.content[${index}]`);
  });
  return said;
}
