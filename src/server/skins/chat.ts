/**
 * `/v1/chat/completions`.
 *
 * @module
 */
import type { Completion, Piece } from "../../batching/completion.ts";
import type { ConstraintOptions } from "../../grammar/options.ts";
import { refuseOption } from "../../options/checks.ts";
import { boolean, choice, type Fields, other, text } from "../../options/schema.ts";
import type { JsonValue } from "../../text/chat/inputs.ts";
import { type Part, prepareAnswer, type Prepared, readChoice, Teller, type ToldCall } from "../calls.ts";
import { refuse } from "../failure.ts";
import { jobsOf } from "../jobs.ts";
import { effortVariable, readMessages } from "../messages.ts";
import {
  answerNames,
  anything,
  checkStreamOptions,
  harmlessNames,
  only,
  readBody,
  samplingNames,
  samplingOf,
  streamNames,
  tokensMost,
  topLogprobs,
} from "../names.ts";
import { chatLogprobs, Chunks, dataEvent, fingerprint, finishReason, newId, nowSeconds, usageOf } from "../openai.ts";
import { responseFormat } from "../response_format.ts";
import type { Call, Plan, Served, Writer } from "../types.ts";

/** The fields of a body. */
export const chatNames = {
  ...samplingNames,
  ...answerNames,
  ...harmlessNames,
  model: text({ about: "The model." }),
  messages: { ...anything("The conversation."), isRequired: true },
  max_tokens: tokensMost,
  max_completion_tokens: tokensMost,
  logprobs: boolean({ about: "Whether log probabilities are told.", default: false }),
  top_logprobs: topLogprobs,
  response_format: anything("What the answer must be: text, json_object or json_schema."),
  stream_options: streamNames,
  chat_template_kwargs: other<Readonly<Record<string, JsonValue>>>()(
    { about: "Further variables of the chat template.", expected: "an object" },
    (value, name) => {
      if (value === null || typeof value !== "object" || Array.isArray(value)) refuseOption(name, "an object", value);
      return value as Readonly<Record<string, JsonValue>>;
    },
  ),
  reasoning_effort: text({ about: "A variable of the chat template, where it knows it." }),
  tools: anything("The functions that the model may call."),
  tool_choice: anything("Whether and which are called: none, auto, required, or one by its name."),
  parallel_tool_calls: boolean({ about: "Whether an answer may have several calls.", default: true }),
  modalities: only('["text"]', (value) => JSON.stringify(value) === '["text"]'),
  verbosity: choice(["medium"], { about: "There is one." }),
} as const satisfies Fields;

/** What a chat body asks for. */
export async function planChat(call: Call): Promise<Plan> {
  const { given, body } = readBody(chatNames, call.body);
  const { served } = call;
  const conversation = readMessages(given.messages, call);
  const constraint = responseFormat(given.response_format, given.constraint as ConstraintOptions | undefined);
  if (!body.logprobs && body.top_logprobs !== undefined) refuse("top_logprobs", "top_logprobs: logprobs must be true.");
  checkStreamOptions(body);
  const variables = {
    ...body.reasoning_effort === undefined ? {} : effortVariable(served, body.reasoning_effort, "reasoning_effort"),
    ...body.chat_template_kwargs,
  };
  const held = await prepareAnswer(call, conversation, {
    tools: given.tools as JsonValue | undefined,
    choice: readChoice(given.tool_choice),
    parallel: body.parallel_tool_calls,
    constraint,
    stop: body.stop,
  }, variables);
  const jobs = await jobsOf(call, {
    prompts: [held.prompt],
    n: body.n,
    sampling: samplingOf(given),
    maxTokens: mostOf(body.max_completion_tokens, body.max_tokens),
    stop: body.stop.length > 0 ? body.stop : undefined,
    logprobs: body.logprobs ? body.top_logprobs ?? 0 : undefined,
    constraint,
    held: held.held,
    constraintName: given.response_format === undefined ? "constraint" : "response_format",
    promptName: "messages",
  });
  const told = new ChatTold(served, {
    n: body.n,
    logprobs: body.logprobs,
    usage: body.stream_options?.include_usage === true,
    marks: held.marks,
  });
  return { jobs, whole: (completions) => told.whole(completions), writer: body.stream ? told : undefined };
}

/** The most tokens, of which OpenAI has an old and a new name. */
function mostOf(most: number | undefined, old: number | undefined): number | undefined {
  if (most !== undefined && old !== undefined && most !== old) {
    refuse("max_tokens", "max_tokens: max_completion_tokens is the same, and says another number.");
  }
  return most ?? old;
}

/** Tells chat completions, whole and as events. */
class ChatTold implements Writer {
  readonly #served: Served;
  readonly #n: number;
  readonly #logprobs: boolean;
  readonly #usage: boolean;
  /** What tells each answer apart. */
  readonly #tellers: readonly Teller[];
  readonly #id = newId("chatcmpl-");
  readonly #created = nowSeconds();
  readonly #chunks: Chunks;

  constructor(
    served: Served,
    { n, logprobs, usage, marks }: {
      n: number;
      logprobs: boolean;
      usage: boolean;
      marks: Prepared["marks"];
    },
  ) {
    this.#served = served;
    this.#n = n;
    this.#logprobs = logprobs;
    this.#usage = usage;
    const { tokenizer } = served.model;
    this.#tellers = Array.from({ length: n }, () => new Teller(tokenizer, marks));
    this.#chunks = new Chunks(this.#head("chat.completion.chunk"), usage);
  }

  whole(completions: readonly Completion[]): JsonValue {
    const { tokenizer } = this.#served.model;
    const choices = completions.map((completion, index) => ({
      index,
      message: this.#message(index, completion),
      logprobs: this.#logprobs
        ? { content: (completion.logprobs ?? []).map((one) => chatLogprobs(tokenizer, one)), refusal: null }
        : null,
      finish_reason: this.#finish(index, completion),
    }));
    return { ...this.#head("chat.completion"), choices, usage: this.#counts(completions) };
  }

  begin(): string {
    const indices = Array.from({ length: this.#n }, (_, index) => index);
    return indices.map((index) => this.#chunk(index, { role: "assistant", content: "" }, null, null)).join("");
  }

  piece(index: number, piece: Piece): string {
    const deltas = this.#tellers[index].push(piece).flatMap(deltaOf);
    const { tokenizer } = this.#served.model;
    const logprobs = this.#logprobs ? { content: [chatLogprobs(tokenizer, piece)], refusal: null } : null;
    // The log probability comes with the first part; where there is none to tell yet, alone.
    if (deltas.length === 0 && this.#logprobs) deltas.push({ content: "" });
    return deltas.map((delta, at) => this.#chunk(index, delta, at === 0 ? logprobs : null, null)).join("");
  }

  end(index: number, completion: Completion): string {
    const rest = this.#tellers[index].end().flatMap(deltaOf);
    return rest.map((delta) => this.#chunk(index, delta, null, null)).join("") +
      this.#chunk(index, {}, null, this.#finish(index, completion));
  }

  finish(completions: readonly Completion[]): string {
    const usage = this.#usage
      ? dataEvent({ ...this.#head("chat.completion.chunk"), choices: [], usage: this.#counts(completions) })
      : "";
    return `${usage}data: [DONE]\n\n`;
  }

  #message(index: number, completion: Completion): JsonValue {
    const parts = this.#tellers[index].whole(completion);
    const joined = (type: "text" | "reasoning") => parts.map((part) => part.type === type ? part.text : "").join("");
    const calls = parts.flatMap((part) => part.type === "call" ? [callOf(part)] : []);
    const [content, reasoning] = [joined("text"), joined("reasoning")];
    return {
      role: "assistant",
      content: content === "" && calls.length > 0 ? null : content,
      refusal: null,
      ...(reasoning === "" ? {} : { reasoning_content: reasoning }),
      ...(calls.length === 0 ? {} : { tool_calls: calls }),
    };
  }

  #counts(completions: readonly Completion[]): JsonValue {
    return usageOf(completions, this.#n, this.#tellers.reduce((sum, { reasoningTokens }) => sum + reasoningTokens, 0));
  }

  /** An answer that was cut within a call has no such call, and says that it was cut. */
  #finish(index: number, completion: Completion): string {
    return this.#tellers[index].hasCalls ? "tool_calls" : finishReason(completion);
  }

  #chunk(index: number, delta: JsonValue, logprobs: JsonValue, finish_reason: string | null): string {
    return this.#chunks.of({ index, delta, logprobs, finish_reason });
  }

  #head(object: string): Record<string, JsonValue> {
    const [id, created, model] = [this.#id, this.#created, this.#served.name];
    return { id, object, created, model, system_fingerprint: fingerprint };
  }
}

function callOf({ id, name, text }: Pick<ToldCall, "id" | "name" | "text">): Record<string, JsonValue> {
  return { id, type: "function", function: { name, arguments: text } };
}

/** What a part adds to a message. A whole call adds nothing, for its parts came before it. */
function deltaOf(part: Part): Record<string, JsonValue>[] {
  if (part.type === "call") return [];
  if (part.type === "text") return [{ content: part.text }];
  if (part.type === "reasoning") return [{ reasoning_content: part.text }];
  const { index, text, isFirst } = part;
  return [{ tool_calls: [{ index, ...(isFirst ? callOf(part) : { function: { arguments: text } }) }] }];
}
