/**
 * `/v1/messages` and `/v1/messages/count_tokens`, as clients of Anthropic know them.
 *
 * @module
 */
import type { Completion, Piece } from "../../batching/completion.ts";
import { type Fields, integer, text } from "../../options/schema.ts";
import type { ChatMessage, JsonValue } from "../../text/chat/inputs.ts";
import { jobsOf } from "../jobs.ts";
import { type Conversation, conversationTokens, readContent, readMessages } from "../messages.ts";
import { answerNames, anything, only, readBody, samplingNames, samplingOf } from "../names.ts";
import { namedEvent, newId } from "../openai.ts";
import type { Call, Plan, Served, Writer } from "../types.ts";

const conversationNames = {
  model: text({ about: "The model." }),
  messages: { ...anything("The conversation."), isRequired: true },
  system: anything("What the model is told before the conversation."),
  tools: only("an empty array: tools are not supported yet", (value) => Array.isArray(value) && value.length === 0),
  tool_choice: only('{"type": "none"}', (value) => (value as { type?: unknown })?.type === "none"),
  thinking: only('{"type": "disabled"}', (value) => (value as { type?: unknown })?.type === "disabled"),
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
  metadata: anything("Nothing: no answer is stored."),
  service_tier: only('"auto"', (value) => value === "auto"),
} as const satisfies Fields;

/** The fields of a body whose tokens are counted. */
export const countNames = conversationNames as Fields;

/** What a body asks for. */
export async function planMessages(call: Call): Promise<Plan> {
  const { given, body } = readBody(messagesNames, call.body);
  const prompt = await conversationTokens(call, conversationOf(call, given), {});
  const jobs = await jobsOf(call, {
    prompts: [prompt],
    n: 1,
    sampling: samplingOf(given),
    maxTokens: body.max_tokens,
    stop: body.stop_sequences.length > 0 ? body.stop_sequences : undefined,
    constraint: given.constraint as NonNullable<unknown> | undefined,
    promptName: "messages",
  });
  const told = new MessageTold(call.served, prompt.length);
  return { jobs, whole: ([completion]) => told.whole(completion), writer: body.stream ? told : undefined };
}

/** How many tokens a conversation has. */
export async function countTokens(call: Call): Promise<JsonValue> {
  const { given } = readBody(countNames, call.body);
  return { input_tokens: (await conversationTokens(call, conversationOf(call, given), {})).length };
}

function conversationOf(call: Call, { messages, system }: Readonly<Record<string, unknown>>): Conversation {
  const talk = readMessages(messages, call, ["user", "assistant"]);
  if (system === undefined) return talk;
  const first: ChatMessage = { role: "system", content: readContent(system, "system") };
  return { ...talk, messages: [first, ...talk.messages] };
}

function stopReason({ stopReason }: Completion): string {
  if (stopReason === "endOfText") return "end_turn";
  return stopReason === "stop" ? "stop_sequence" : "max_tokens";
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

/** Tells a message, whole and as events. */
class MessageTold implements Writer {
  readonly #served: Served;
  readonly #promptTokens: number;
  readonly #id = newId("msg_");

  constructor(served: Served, promptTokens: number) {
    this.#served = served;
    this.#promptTokens = promptTokens;
  }

  whole(completion: Completion): JsonValue {
    return {
      ...this.#head(),
      content: [{ type: "text", text: completion.text }],
      stop_reason: stopReason(completion),
      stop_sequence: completion.stop ?? null,
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
    const content_block = { type: "text", text: "" };
    return namedEvent("message_start", { type: "message_start", message }) +
      namedEvent("content_block_start", { type: "content_block_start", index: 0, content_block });
  }

  piece(_index: number, { text }: Piece): string {
    if (text === "") return "";
    const delta = { type: "text_delta", text };
    return namedEvent("content_block_delta", { type: "content_block_delta", index: 0, delta });
  }

  end(_index: number, completion: Completion): string {
    const delta = { stop_reason: stopReason(completion), stop_sequence: completion.stop ?? null };
    return namedEvent("content_block_stop", { type: "content_block_stop", index: 0 }) +
      namedEvent("message_delta", { type: "message_delta", delta, usage: usage(completion) });
  }

  finish(): string {
    return namedEvent("message_stop", { type: "message_stop" });
  }

  #head(): Record<string, JsonValue> {
    return { id: this.#id, type: "message", role: "assistant", model: this.#served.name };
  }
}
