/**
 * `/v1/messages` and `/v1/messages/count_tokens`, as clients of Anthropic know them: messages of blocks, which are texts, thoughts,
 * calls of tools and their results.
 *
 * @module
 */
import type { Completion, Piece } from "../../batching/completion.ts";
import { type Fields, integer, text } from "../../options/schema.ts";
import type { ChatMessage, JsonValue } from "../../text/chat/inputs.ts";
import type { ToolChoice } from "../../tools/options.ts";
import {
  type Asked,
  type CallPart,
  type Part,
  prepareAnswer,
  type Prepared,
  Teller,
  type WholePart,
} from "../calls.ts";
import { refuse } from "../failure.ts";
import { jobsOf } from "../jobs.ts";
import {
  array,
  boolean,
  discriminatedUnion,
  literal,
  nullish,
  number,
  object,
  optional,
  record,
  string,
  union,
} from "../libraries.ts";
import { answerMessage, content as parts, type Conversation, openEnd, readList } from "../messages.ts";
import { answerNames, anything, only, readBody, samplingNames, samplingOf } from "../names.ts";
import { namedEvent, newId } from "../openai.ts";
import { any, known, readTree, text as words } from "../trees.ts";
import type { Call, Plan, Served, Writer } from "../types.ts";

const conversationNames = {
  model: text({ about: "The model." }),
  messages: { ...anything("The conversation."), isRequired: true },
  system: anything("What the model is told before the conversation."),
  tools: anything("The tools that the model may call."),
  tool_choice: anything("Whether and which are called: type auto, any, tool with a name, or none."),
  thinking: anything("Thoughts before the answer: type disabled, or enabled with budget_tokens."),
};

/** The fields of a body. */
export const messagesNames = {
  ...samplingNames,
  ...conversationNames,
  max_tokens: integer({
    about: "The most tokens to generate.",
    least: 1,
    most: Number.MAX_SAFE_INTEGER,
    required: true,
  }),
  stop_sequences: answerNames.stop,
  constraint: answerNames.constraint,
  stream: answerNames.stream,
  metadata: anything("Nothing: it is kept nowhere."),
  service_tier: only('"auto"', (value) => value === "auto"),
} as const satisfies Fields;

/** The fields of a body whose tokens are counted. */
export const countNames = conversationNames as Fields;

const hint = nullish(object({ type: string() }));
const textBlock = known({ type: literal("text"), text: words, cache_control: hint });
const userBlock = discriminatedUnion("type", [
  textBlock,
  known({
    type: literal("tool_result"),
    tool_use_id: words,
    content: optional(parts),
    is_error: nullish(boolean("expected a boolean")),
    cache_control: hint,
  }),
], "expected a block of type text or tool_result");
const answerBlock = discriminatedUnion("type", [
  textBlock,
  known({ type: literal("thinking"), thinking: words, signature: nullish(words) }),
  known({
    type: literal("tool_use"),
    id: words,
    name: words,
    input: record(string(), any, "expected an object"),
    cache_control: hint,
  }),
], "expected a block of type text, thinking or tool_use");
const message = discriminatedUnion("role", [
  known({ role: literal("user"), content: union([words, array(userBlock)], "expected a text or an array of blocks") }),
  known({
    role: literal("assistant"),
    content: union([words, array(answerBlock)], "expected a text or an array of blocks"),
  }),
], "expected an object whose role is user or assistant");

const tool = known({
  type: nullish(literal("custom", 'expected "custom"; this server has no tools of its own')),
  name: words,
  description: nullish(words),
  input_schema: record(string(), any, "expected a schema"),
  cache_control: hint,
});
const parallel = { disable_parallel_tool_use: nullish(boolean("expected a boolean")) };
const choice = discriminatedUnion("type", [
  known({ type: literal("auto"), ...parallel }),
  known({ type: literal("any"), ...parallel }),
  known({ type: literal("tool"), name: words, ...parallel }),
  known({ type: literal("none") }),
], "expected an object whose type is auto, any, tool or none");
const thinking = discriminatedUnion("type", [
  known({ type: literal("disabled") }),
  known({ type: literal("enabled"), budget_tokens: number("expected a number") }),
], "expected an object whose type is enabled or disabled");

/** What a body asks for. */
export async function planMessages(call: Call): Promise<Plan> {
  const { given, body } = readBody(messagesNames, call.body);
  const asked = { ...askedOf(given), stop: body.stop_sequences, constraint: given.constraint as Asked["constraint"] };
  const held = await prepareAnswer(call, conversationOf(call, given), asked, {});
  const jobs = await jobsOf(call, {
    prompts: [held.prompt],
    n: 1,
    sampling: samplingOf(given),
    maxTokens: body.max_tokens,
    stop: body.stop_sequences.length > 0 ? body.stop_sequences : undefined,
    constraint: asked.constraint,
    held: held.held,
    promptName: "messages",
  });
  const told = new MessageTold(call.served, held);
  return { jobs, whole: ([completion]) => told.whole(completion), writer: body.stream ? told : undefined };
}

/** How many tokens a body has. */
export async function countTokens(call: Call): Promise<JsonValue> {
  const { given } = readBody(countNames, call.body);
  const asked = { ...askedOf(given), stop: [], constraint: undefined };
  const { prompt } = await prepareAnswer(call, conversationOf(call, given), asked, {});
  return { input_tokens: prompt.length };
}

/** What a body says of tools and thoughts. */
function askedOf(given: Readonly<Record<string, unknown>>): Omit<Asked, "stop" | "constraint"> {
  const tools = given.tools === undefined
    ? []
    : readTree(array(tool, "expected an array of tools"), given.tools, "tools");
  const chosen = given.tool_choice === undefined ? undefined : readTree(choice, given.tool_choice, "tool_choice");
  const thoughts = given.thinking === undefined ? undefined : readTree(thinking, given.thinking, "thinking");
  return {
    tools: tools.map(({ name, description, input_schema }) => ({
      type: "function",
      function: { name, description: description ?? "", parameters: input_schema as JsonValue },
    })),
    choice: choiceOf(chosen),
    parallel: chosen?.type === "none" || chosen?.disable_parallel_tool_use !== true,
    budget: thoughts?.type === "enabled" ? thoughts.budget_tokens : undefined,
    rename: (name) =>
      name.replace(".function.parameters", ".input_schema").replace(".function", "")
        .replace("reasoning.budget", "thinking.budget_tokens").replace(/^stop$/, "stop_sequences"),
  };
}

function choiceOf(
  chosen: { readonly type: "auto" | "any" | "tool" | "none"; readonly name?: string } | undefined,
): ToolChoice {
  if (chosen === undefined || chosen.type === "auto") return "auto";
  if (chosen.type === "tool") return { name: chosen.name as string };
  return chosen.type === "any" ? "required" : "none";
}

function conversationOf(call: Call, { messages, system }: Readonly<Record<string, unknown>>): Conversation {
  const talk = openEnd(readList(message, messages, call, "messages").flatMap(messagesOf));
  if (system === undefined) return talk;
  const first: ChatMessage = { role: "system", content: readTree(parts, system, "system") };
  return { ...talk, messages: [first, ...talk.messages] };
}

/** A message of blocks as messages of templates: results of tools are messages of their own, before what the user says. */
function messagesOf(told: ReturnType<typeof readTree<typeof message>>, index: number): ChatMessage[] {
  const { role, content } = told;
  if (typeof content === "string") return [{ role, content }];
  const texts = content.flatMap((block) => block.type === "text" ? [block.text] : []);
  const joined = texts.length > 0 ? texts.join("\n") : undefined;
  if (told.role === "user") {
    const results = told.content as Exclude<typeof told.content, string>;
    const answered = results.flatMap((block): ChatMessage[] =>
      block.type === "tool_result"
        ? [{ role: "tool", tool_call_id: block.tool_use_id, content: block.content ?? "" }]
        : []
    );
    if (answered.length === 0 && joined === undefined) {
      refuse(`messages[${index}].content`, `messages[${index}].content: expected at least one block.`);
    }
    return [...answered, ...(joined === undefined ? [] : [{ role, content: joined }])];
  }
  const blocks = told.content as Exclude<typeof told.content, string>;
  const calls = blocks.flatMap((block) =>
    block.type === "tool_use" ? [{ id: block.id, name: block.name, arguments: JSON.stringify(block.input) }] : []
  );
  const thoughts = blocks.map((block) => block.type === "thinking" ? block.thinking : "").join("");
  return [answerMessage(joined, calls, thoughts === "" ? undefined : thoughts)];
}

/** Anthropic counts tokens that were found in the cache apart. */
function usage({ promptTokens, cachedTokens, generatedTokens }: Completion): Record<string, JsonValue> {
  return {
    input_tokens: promptTokens - cachedTokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cachedTokens,
    output_tokens: generatedTokens,
  };
}

type BlockEvent = Record<string, JsonValue>;

/** Tells a message, whole and as events. */
class MessageTold implements Writer {
  readonly #served: Served;
  readonly #promptTokens: number;
  readonly #teller: Teller;
  readonly #id = newId("msg_");
  /** The kind of block that is open, and how many came before it. */
  #open: "text" | "reasoning" | "call" | undefined;
  #index = 0;

  constructor(served: Served, { prompt, marks }: Prepared) {
    this.#served = served;
    this.#promptTokens = prompt.length;
    this.#teller = new Teller(served.model.tokenizer, marks);
  }

  whole(completion: Completion): JsonValue {
    const content = this.#teller.whole(completion).map(blockOf);
    return {
      ...this.#head(),
      content: content.length > 0 ? content : [{ type: "text", text: "" }],
      ...this.#stop(completion),
      usage: usage(completion),
    };
  }

  begin(): string {
    const message = {
      ...this.#head(),
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: { input_tokens: this.#promptTokens, output_tokens: 0 },
    };
    return namedEvent("message_start", { type: "message_start", message });
  }

  piece(_index: number, piece: Piece): string {
    return this.#teller.push(piece).map((part) => this.#part(part)).join("");
  }

  end(_index: number, completion: Completion): string {
    const rest = this.#teller.end().map((part) => this.#part(part)).join("");
    const empty = rest === "" && this.#open === undefined && this.#index === 0
      ? this.#part({ type: "text", text: "" })
      : "";
    return rest + empty + this.#close() +
      this.#event("message_delta", { delta: this.#stop(completion), usage: usage(completion) });
  }

  finish(): string {
    return this.#event("message_stop", {});
  }

  #part(part: Part): string {
    if (part.type === "call") return this.#close();
    if (part.type === "callPart") return this.#callPart(part);
    const { type, text } = part;
    let before = "";
    if (this.#open !== type) {
      before = this.#close() +
        this.#event("content_block_start", { index: this.#index, content_block: blockOf({ type, text: "" }) });
      this.#open = type;
    }
    if (text === "") return before;
    const delta = type === "text" ? { type: "text_delta", text } : { type: "thinking_delta", thinking: text };
    return before + this.#event("content_block_delta", { index: this.#index, delta });
  }

  #callPart({ id, name, text, isFirst }: CallPart): string {
    let before = "";
    if (isFirst) {
      before = this.#close() + this.#event("content_block_start", {
        index: this.#index,
        content_block: { type: "tool_use", id, name, input: {} },
      });
      this.#open = "call";
    }
    const delta = { type: "input_json_delta", partial_json: text };
    return text === "" ? before : before + this.#event("content_block_delta", { index: this.#index, delta });
  }

  /** Ends the block that is open. */
  #close(): string {
    if (this.#open === undefined) return "";
    this.#open = undefined;
    return this.#event("content_block_stop", { index: this.#index++ });
  }

  #stop({ stopReason, stop }: Completion): Record<string, JsonValue> {
    const cut = stopReason === "stop" ? "stop_sequence" : stopReason === "endOfText" ? "end_turn" : "max_tokens";
    return { stop_reason: this.#teller.hasCalls ? "tool_use" : cut, stop_sequence: stop ?? null };
  }

  #event(type: string, fields: BlockEvent): string {
    return namedEvent(type, { type, ...fields });
  }

  #head(): Record<string, JsonValue> {
    return { id: this.#id, type: "message", role: "assistant", model: this.#served.name };
  }
}

function blockOf(part: WholePart): JsonValue {
  if (part.type === "text") return { type: "text", text: part.text };
  if (part.type === "reasoning") return { type: "thinking", thinking: part.text, signature: "" };
  const { id, name, input } = part;
  return { type: "tool_use", id, name, input };
}
