/**
 * `/v1/responses`: OpenAI's newer interface, which its own agents and the AI SDK use unless told otherwise. A response is kept
 * unless `store` is false, so that a later one can go on from it (`previous_response_id`).
 *
 * @module
 */
import type { Completion, Piece } from "../../batching/completion.ts";
import type { ConstraintOptions } from "../../grammar/options.ts";
import { boolean, choice, type Fields, text } from "../../options/schema.ts";
import type { ChatMessage, JsonValue } from "../../text/chat/inputs.ts";
import { refuse } from "../failure.ts";
import { jobsOf } from "../jobs.ts";
import { type Conversation, conversationTokens, readMessages, templateVariable } from "../messages.ts";
import {
  answerNames,
  anything,
  harmlessNames,
  only,
  readBody,
  samplingNames,
  samplingOf,
  streamNames,
  tokensMost,
  topLogprobs,
  withoutNulls,
} from "../names.ts";
import { chatLogprobs, namedEvent, newId, nowSeconds } from "../openai.ts";
import { responseFormat } from "../response_format.ts";
import type { Call, Plan, Writer } from "../types.ts";

/** What `include` may name. */
const logprobsName = "message.output_text.logprobs";
const isList = (value: unknown, test: (item: unknown) => boolean) => Array.isArray(value) && value.every(test);

/** The fields of a body. */
export const responsesNames = {
  ...samplingNames,
  ...harmlessNames,
  model: text({ about: "The model." }),
  input: { ...anything("A text, or the items of a conversation."), isRequired: true },
  instructions: text({
    about: "What the model is told before; a response that goes on from this one does not inherit it.",
  }),
  previous_response_id: text({ about: "The response whose conversation goes on." }),
  max_output_tokens: tokensMost,
  top_logprobs: topLogprobs,
  include: only<readonly string[]>(
    `[] or ["${logprobsName}"]`,
    (value) => isList(value, (item) => item === logprobsName),
  ),
  text: anything("What the answer must be: format of type text, json_object or json_schema."),
  constraint: answerNames.constraint,
  stop: answerNames.stop,
  stream: answerNames.stream,
  stream_options: streamNames,
  store: boolean({ about: "Whether the response is kept for later ones.", default: true }),
  background: only<boolean>("false: responses are made while the client waits", (value) => value === false),
  truncation: only<string>('"disabled": nothing is cut silently', (value) => value === "disabled"),
  reasoning: anything("effort: a variable of the chat template, where it knows it."),
  tools: only<unknown>("an empty array: tools are not supported yet", (value) => isList(value, () => false)),
  tool_choice: choice(["none", "auto"], { about: "Without tools, none and auto are the same." }),
  parallel_tool_calls: boolean({ about: "Without tools, nothing." }),
} as const satisfies Fields;

/** What a body asks for. */
export async function planResponses(call: Call): Promise<Plan> {
  const { given, body } = readBody(responsesNames, call.body);
  const before = body.previous_response_id === undefined
    ? []
    : call.answers.find(body.previous_response_id, call.tenant.tenant).messages;
  const conversation = conversationOf(call, given.input, before);
  const system: ChatMessage[] = body.instructions === undefined ? [] : [{ role: "system", content: body.instructions }];
  const whole = { ...conversation, messages: [...system, ...conversation.messages] };
  const prompt = await conversationTokens(call, whole, effortOf(call, given.reasoning));
  const tells = (body.include?.length ?? 0) > 0;
  const jobs = await jobsOf(call, {
    prompts: [prompt],
    n: 1,
    sampling: samplingOf(given),
    maxTokens: body.max_output_tokens,
    stop: body.stop.length > 0 ? body.stop : undefined,
    logprobs: tells ? body.top_logprobs ?? 0 : undefined,
    constraint: formatOf(given.text, given.constraint as ConstraintOptions | undefined),
    constraintName: given.text === undefined ? "constraint" : "text.format",
    promptName: "input",
  });
  if (!tells && (body.top_logprobs ?? 0) > 0) {
    refuse("top_logprobs", `top_logprobs: include must name ${logprobsName}.`);
  }
  const told = new ResponseTold(call, conversation, given, body.store);
  return { jobs, whole: ([completion]) => told.whole(completion), writer: body.stream ? told : undefined };
}

/** The items of `input` after the conversation that goes on. */
function conversationOf(call: Call, input: unknown, before: readonly ChatMessage[]): Conversation {
  if (typeof input === "string") return { messages: [...before, { role: "user", content: input }], begun: "" };
  if (!Array.isArray(input)) refuse("input", "input: expected a text or an array of items.");
  const items = input.map((item: unknown, index) => {
    if (item === null || typeof item !== "object") refuse(`input[${index}]`, `input[${index}]: expected an object.`);
    const { type = "message", id: _, status: __, ...message } = item as Record<string, unknown>;
    if (type !== "message") {
      refuse(`input[${index}].type`, `input[${index}].type: expected "message"; other items are not supported yet.`);
    }
    return message;
  });
  const { messages, begun } = readMessages(items, call, undefined, "input");
  return { messages: [...before, ...messages], begun };
}

function formatOf(value: unknown, own: ConstraintOptions | undefined): ConstraintOptions | undefined {
  if (value === undefined) return own;
  const { format, verbosity, ...rest } = readObject(value, "text");
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined) refuse(`text.${unknown}`, `text.${unknown}: there are format and verbosity.`);
  if (verbosity !== undefined && verbosity !== "medium") refuse("text.verbosity", 'text.verbosity: expected "medium".');
  if (format === undefined) return own;
  const { type, schema } = readObject(format, "text.format");
  return responseFormat(type === "json_schema" ? { type, json_schema: { schema } } : format, own);
}

function effortOf({ served }: Call, value: unknown): Record<string, JsonValue> {
  if (value === undefined) return {};
  const { effort, summary, ...rest } = readObject(value, "reasoning");
  const [unknown] = [...Object.keys(rest), ...(summary === undefined ? [] : ["summary"])];
  if (unknown !== undefined) {
    refuse(`reasoning.${unknown}`, `reasoning.${unknown}: it is not supported; there is effort.`);
  }
  if (effort === undefined) return {};
  if (typeof effort !== "string") refuse("reasoning.effort", "reasoning.effort: expected a text.");
  return templateVariable(served, "reasoning_effort", effort, "reasoning.effort");
}

function readObject(value: unknown, where: string): Record<string, unknown> {
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    refuse(where, `${where}: expected an object.`);
  }
  return withoutNulls(value as Record<string, unknown>);
}

type Status = "in_progress" | "completed" | "incomplete";

/** Tells a response, whole and as events, each with its number. */
class ResponseTold implements Writer {
  readonly #call: Call;
  readonly #conversation: Conversation;
  readonly #given: Readonly<Record<string, unknown>>;
  readonly #store: boolean;
  readonly #id = newId("resp_");
  readonly #messageId = newId("msg_");
  readonly #created = nowSeconds();
  readonly #logprobs: JsonValue[] = [];
  #number = 0;

  constructor(call: Call, conversation: Conversation, given: Readonly<Record<string, unknown>>, store: boolean) {
    this.#call = call;
    this.#conversation = conversation;
    this.#given = given;
    this.#store = store;
  }

  whole(completion: Completion): JsonValue {
    const { tokenizer } = this.#call.served.model;
    this.#logprobs.push(...(completion.logprobs ?? []).map((one) => chatLogprobs(tokenizer, one)));
    return this.#ended(completion);
  }

  begin(): string {
    const response = this.#response("in_progress", []);
    const place = { output_index: 0, item: this.#item("in_progress", []) };
    return this.#event("response.created", { response }) +
      this.#event("response.in_progress", { response }) +
      this.#event("response.output_item.added", place) +
      this.#event("response.content_part.added", { ...this.#place(), part: this.#part("", []) });
  }

  piece(_index: number, piece: Piece): string {
    const logprobs = piece.top === undefined ? [] : [chatLogprobs(this.#call.served.model.tokenizer, piece)];
    this.#logprobs.push(...logprobs);
    if (piece.text === "" && logprobs.length === 0) return "";
    return this.#event("response.output_text.delta", { ...this.#place(), delta: piece.text, logprobs });
  }

  end(_index: number, completion: Completion): string {
    const { text } = completion;
    const part = this.#part(text, this.#logprobs);
    const status = statusOf(completion);
    return this.#event("response.output_text.done", { ...this.#place(), text, logprobs: this.#logprobs }) +
      this.#event("response.content_part.done", { ...this.#place(), part }) +
      this.#event("response.output_item.done", { output_index: 0, item: this.#item(status, [part]) }) +
      this.#event(`response.${status}`, { response: this.#ended(completion) });
  }

  finish(): string {
    return "";
  }

  /** The response at its end, which is kept unless the client said otherwise. */
  #ended(completion: Completion): JsonValue {
    const status = statusOf(completion);
    const { text, promptTokens, cachedTokens, generatedTokens } = completion;
    const item = this.#item(status, [this.#part(text, this.#logprobs)]);
    const usage = {
      input_tokens: promptTokens,
      input_tokens_details: { cached_tokens: cachedTokens },
      output_tokens: generatedTokens,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: promptTokens + generatedTokens,
    };
    const response = { ...this.#response(status, [item]), usage };
    if (this.#store) {
      const { messages, begun } = this.#conversation;
      const { answers, tenant: { tenant } } = this.#call;
      answers.keep(this.#id, {
        tenant,
        response,
        messages: [...messages, { role: "assistant", content: begun + text }],
      });
    }
    return response;
  }

  #response(status: Status, output: readonly JsonValue[]): Record<string, JsonValue> {
    const asked = (name: string, otherwise: JsonValue = null) => (this.#given[name] ?? otherwise) as JsonValue;
    return {
      id: this.#id,
      object: "response",
      created_at: this.#created,
      status,
      background: false,
      error: null,
      incomplete_details: status === "incomplete" ? { reason: "max_output_tokens" } : null,
      instructions: asked("instructions"),
      max_output_tokens: asked("max_output_tokens"),
      metadata: asked("metadata", {}),
      model: this.#call.served.name,
      output,
      parallel_tool_calls: true,
      previous_response_id: asked("previous_response_id"),
      reasoning: asked("reasoning", { effort: null, summary: null }),
      store: this.#store,
      temperature: asked("temperature"),
      text: asked("text", { format: { type: "text" } }),
      tool_choice: "auto",
      tools: [],
      top_logprobs: asked("top_logprobs", 0),
      top_p: asked("top_p"),
      truncation: "disabled",
      usage: null,
      user: asked("user"),
    };
  }

  #item(status: Status, content: readonly JsonValue[]): JsonValue {
    return { id: this.#messageId, type: "message", status, role: "assistant", content };
  }

  #part(text: string, logprobs: readonly JsonValue[]): JsonValue {
    return { type: "output_text", text, annotations: [], logprobs };
  }

  #place(): Record<string, JsonValue> {
    return { item_id: this.#messageId, output_index: 0, content_index: 0 };
  }

  #event(type: string, fields: Record<string, JsonValue>): string {
    return namedEvent(type, { type, sequence_number: this.#number++, ...fields });
  }
}

function statusOf({ stopReason }: Completion): "completed" | "incomplete" {
  return stopReason === "endOfText" || stopReason === "stop" ? "completed" : "incomplete";
}
