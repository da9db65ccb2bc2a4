/**
 * The items of a response's input as a conversation: messages, thoughts and calls of earlier answers, and what tools gave.
 *
 * @module
 */
import type { ChatMessage, JsonValue } from "../../text/chat/inputs.ts";
import { refuse } from "../failure.ts";
import { array, discriminatedUnion, literal, nullish, oneOf } from "../libraries.ts";
import { answerMessage, content, type Conversation, openEnd, readList, type SaidCall } from "../messages.ts";
import { known, readTree, text } from "../trees.ts";
import type { Call } from "../types.ts";

/** What items have that says nothing to a model. */
const own = { id: nullish(text), status: nullish(text), phase: nullish(text) };
const item = discriminatedUnion("type", [
  known({
    type: literal("message"),
    role: oneOf(["system", "developer", "user", "assistant"], "expected system, developer, user or assistant"),
    content,
    ...own,
  }),
  known({ type: literal("function_call"), call_id: text, name: text, arguments: text, ...own }),
  known({ type: literal("function_call_output"), call_id: text, output: content, ...own }),
  known({
    type: literal("reasoning"),
    content: nullish(array(known({ type: literal("reasoning_text"), text }))),
    summary: nullish(array(known({ type: literal("summary_text"), text }))),
    ...own,
  }),
], "expected an item of type message, function_call, function_call_output or reasoning");

type Item = ReturnType<typeof readTree<typeof item>>;

/** The conversation of an input, behind what was said `before`. */
export async function conversationOf(
  call: Call,
  input: unknown,
  before: readonly ChatMessage[],
): Promise<Conversation> {
  if (typeof input === "string") return { messages: [...before, { role: "user", content: input }], begun: "" };
  const given = Array.isArray(input)
    ? await Promise.all(input.map(async (one, index) => await referred(call, one, `input[${index}]`) ?? withType(one)))
    : input;
  const messages = new Turns();
  for (const one of readList(item, given, call, "input")) messages.add(one);
  return openEnd([...before, ...messages.all()]);
}

const reference = known({ type: literal("item_reference"), id: text });

/** The item that a reference names: one of a response that is kept, whose id those of its items have in them. */
async function referred({ answers, tenant }: Call, item: unknown, where: string): Promise<unknown> {
  const isNamed = item !== null && typeof item === "object" && (item as { type?: unknown }).type === "item_reference";
  if (!isNamed) return undefined;
  const { id } = readTree(reference, item, where);
  const [, response] = /^[a-z]+_([0-9a-f]{32})[0-9]+$/.exec(id) ?? [];
  const name = `${where}.id`;
  if (response === undefined) refuse(name, `${name}: expected the id of an item of a response of this server.`);
  const { output } = (await answers.find(`resp_${response}`, tenant.tenant)).response as { output: JsonValue[] };
  const found = output.find((one) => (one as { id?: JsonValue }).id === id);
  return found ?? refuse(name, `${name}: the response of this item does not have it.`);
}

/** A message need not say that it is one. */
function withType(item: unknown): unknown {
  const isPlain = item !== null && typeof item === "object" && !Array.isArray(item) && !("type" in item);
  return isPlain ? { ...item, type: "message" } : item;
}

/** Joins what belongs to one answer: its thoughts, its text, its calls. */
class Turns {
  readonly #messages: ChatMessage[] = [];
  #text: string | undefined;
  #reasoning: string | undefined;
  #calls: SaidCall[] = [];

  add(item: Item): void {
    switch (item.type) {
      case "message": {
        const { role, content } = item;
        if (role !== "assistant" || this.#text !== undefined || this.#calls.length > 0) this.#end();
        if (role === "assistant") this.#text = content;
        else this.#messages.push({ role: role === "developer" ? "system" : role, content });
        break;
      }
      case "reasoning": {
        if (this.#text !== undefined || this.#calls.length > 0) this.#end();
        const parts = (item.content ?? []).length > 0 ? item.content : item.summary;
        this.#reasoning = (this.#reasoning ?? "") + (parts ?? []).map((part) => part.text).join("\n");
        break;
      }
      case "function_call":
        this.#calls.push({ id: item.call_id, name: item.name, arguments: item.arguments });
        break;
      case "function_call_output":
        this.#end();
        this.#messages.push({ role: "tool", tool_call_id: item.call_id, content: item.output });
    }
  }

  all(): readonly ChatMessage[] {
    this.#end();
    return this.#messages;
  }

  #end(): void {
    if (this.#text === undefined && this.#calls.length === 0) return;
    this.#messages.push(answerMessage(this.#text, this.#calls, this.#reasoning));
    [this.#text, this.#reasoning, this.#calls] = [undefined, undefined, []];
  }
}
