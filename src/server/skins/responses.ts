/**
 * `/v1/responses`: OpenAI's newer interface, which its own agents and the AI SDK use unless told otherwise. A response is kept
 * unless `store` is false, so that a later one can go on from it (`previous_response_id`); one in the background is made without
 * its client.
 *
 * @module
 */
import type { Completion, Piece } from "../../batching/completion.ts";
import type { ConstraintOptions } from "../../grammar/options.ts";
import { boolean, type Fields, group, type Resolved, text } from "../../options/schema.ts";
import type { ChatMessage, JsonValue } from "../../text/chat/inputs.ts";
import { prepareAnswer, type Prepared, readChoice, Teller } from "../calls.ts";
import { refuse } from "../failure.ts";
import { jobsOf } from "../jobs.ts";
import { array, literal, nullish, record, string } from "../libraries.ts";
import { answerMessage, type Conversation, effortVariable } from "../messages.ts";
import {
  answerNames,
  anything,
  checkStreamOptions,
  harmlessNames,
  only,
  readBody,
  samplingNames,
  samplingOf,
  tokensMost,
  topLogprobs,
  withoutNulls,
} from "../names.ts";
import { chatLogprobs, namedEvent, newId, nowSeconds } from "../openai.ts";
import { responseFormat } from "../response_format.ts";
import { any, known, readTree, text as words } from "../trees.ts";
import type { Background, Call, Kept, Named, Plan, Recording, Writer } from "../types.ts";
import { conversationOf } from "./response_input.ts";
import { OutputItems } from "./response_items.ts";

/** What `include` may name. Thoughts are told as they are, to be said again, so that nothing of them is encrypted. */
const logprobsName = "message.output_text.logprobs";
const includable: readonly unknown[] = [logprobsName, "reasoning.encrypted_content"];

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
    `some of ${includable.join(", ")}`,
    (value) => Array.isArray(value) && value.every((item) => includable.includes(item)),
  ),
  text: anything("What the answer must be: format of type text, json_object or json_schema."),
  constraint: answerNames.constraint,
  stop: answerNames.stop,
  stream: answerNames.stream,
  stream_options: group<{ readonly include_obfuscation?: boolean }>()({
    include_obfuscation: only<boolean>("false: events are not padded", (value) => value === false),
  }, { about: "What a stream tells." }),
  store: boolean({ about: "Whether the response is kept for later ones.", default: true }),
  background: boolean({ about: "Whether the response is made without its client.", default: false }),
  truncation: only<string>('"disabled": nothing is cut silently', (value) => value === "disabled"),
  reasoning: anything("effort: a variable of the chat template, where it knows it."),
  tools: anything("The functions that the model may call."),
  tool_choice: anything("Whether and which are called: none, auto, required, or one by its name."),
  parallel_tool_calls: boolean({ about: "Whether an answer may have several calls.", default: true }),
  max_tool_calls: anything("Nothing: it counts calls of the server's own tools, of which there are none."),
} as const satisfies Fields;

/** What `reasoning` may say beside the effort: what holds without it. Thoughts are told whole, which is no summary. */
const reasoningOnly = { summary: "auto", generate_summary: "auto", context: "auto", mode: "standard" };

const tool = known({
  type: literal("function", 'expected "function"; this server has no tools of its own'),
  name: words,
  description: nullish(words),
  parameters: nullish(record(string(), any, "expected a schema")),
  strict: any,
});

/** What a body asks for. */
export async function planResponses(call: Call): Promise<Plan> {
  const { given, body } = readBody(responsesNames, call.body);
  checkStreamOptions(body);
  const tells = body.include?.includes(logprobsName) === true;
  if (!tells && (body.top_logprobs ?? 0) > 0) {
    refuse("top_logprobs", `top_logprobs: include must name ${logprobsName}.`);
  }
  if (body.background && !body.store) refuse("store", "store: a response in the background is kept.");
  const { conversation, constraint, held } = await inputOf(call, given, body);
  const jobs = await jobsOf(call, {
    prompts: [held.prompt],
    n: 1,
    sampling: samplingOf(given),
    maxTokens: body.max_output_tokens,
    stop: body.stop.length > 0 ? body.stop : undefined,
    logprobs: tells ? body.top_logprobs ?? 0 : undefined,
    constraint,
    held: held.held,
    constraintName: given.text === undefined ? "constraint" : "text.format",
    promptName: "input",
  });
  const told = new ResponseTold(call, { conversation, given, held, store: body.store, background: body.background });
  return {
    jobs,
    whole: ([completion]) => told.whole(completion),
    writer: body.stream ? told : undefined,
    background: body.background ? told.background(body.stream) : undefined,
  };
}

/** How many tokens the prompt of a response has, whether there is room for an answer or not. */
export async function countInput(call: Call): Promise<JsonValue> {
  const { given, body } = readBody(responsesNames, call.body);
  const { held } = await inputOf(call, given, body);
  return { object: "response.input_tokens", input_tokens: held.prompt.length };
}

/** The conversation that a response goes on with, as tokens, and what its answer is held to. */
async function inputOf(
  call: Call,
  given: Readonly<Record<string, unknown>>,
  body: Resolved<typeof responsesNames>,
): Promise<{ conversation: Conversation; constraint: ConstraintOptions | undefined; held: Prepared }> {
  const conversation = await conversationOf(call, given.input, await messagesBefore(call, body.previous_response_id));
  const system: ChatMessage[] = body.instructions === undefined ? [] : [{ role: "system", content: body.instructions }];
  const whole = { ...conversation, messages: [...system, ...conversation.messages] };
  const constraint = formatOf(given.text, given.constraint as ConstraintOptions | undefined);
  const held = await prepareAnswer(call, whole, {
    tools: toolsOf(given.tools),
    choice: readChoice(given.tool_choice),
    parallel: body.parallel_tool_calls,
    constraint,
    stop: body.stop,
    rename: (name) => name.replace(".function", "").replace(/^messages/, "input"),
  }, effortOf(call, given.reasoning));
  return { conversation, constraint, held };
}

/** The conversation of an earlier response. */
async function messagesBefore({ answers, tenant }: Call, id: string | undefined): Promise<readonly ChatMessage[]> {
  if (id === undefined) return [];
  const { messages, response } = await answers.find(id, tenant.tenant);
  const name = "previous_response_id";
  return messages ?? refuse(name, `${name}: expected a response that has ended; this one is ${response.status}.`);
}

function toolsOf(tools: unknown): JsonValue | undefined {
  if (tools === undefined) return undefined;
  return readTree(array(tool, "expected an array of tools"), tools, "tools").map((one) => ({
    type: "function",
    function: { name: one.name, description: one.description ?? "", parameters: (one.parameters ?? {}) as JsonValue },
  }));
}

function formatOf(value: unknown, own: ConstraintOptions | undefined): ConstraintOptions | undefined {
  if (value === undefined) return own;
  const { format, verbosity, ...rest } = readObject(value, "text");
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined) refuse(`text.${unknown}`, `text.${unknown}: there are format and verbosity.`);
  if (verbosity !== undefined && verbosity !== "medium") refuse("text.verbosity", 'text.verbosity: expected "medium".');
  if (format === undefined) return own;
  const { type, schema } = readObject(format, "text.format");
  return responseFormat(type === "json_schema" ? { type, json_schema: { schema } } : format, own, "text.format");
}

function effortOf({ served }: Call, value: unknown): Record<string, JsonValue> {
  if (value === undefined) return {};
  const { effort, ...rest } = readObject(value, "reasoning");
  for (const [name, said] of Object.entries(rest)) {
    const where = `reasoning.${name}`;
    const only = reasoningOnly[name as keyof typeof reasoningOnly];
    if (only === undefined) refuse(where, `${where}: it is not supported; there is effort.`);
    if (said !== only) refuse(where, `${where}: expected "${only}".`);
  }
  if (effort === undefined) return {};
  if (typeof effort !== "string") refuse("reasoning.effort", "reasoning.effort: expected a text.");
  return effortVariable(served, effort, "reasoning.effort");
}

function readObject(value: unknown, where: string): Record<string, unknown> {
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    refuse(where, `${where}: expected an object.`);
  }
  return withoutNulls(value as Record<string, unknown>);
}

type Status = "queued" | "in_progress" | "completed" | "incomplete" | "failed" | "cancelled";

/** What a response is told with. */
interface Parts {
  readonly conversation: Conversation;
  /** The body. */
  readonly given: Readonly<Record<string, unknown>>;
  readonly held: Prepared;
  readonly store: boolean;
  readonly background: boolean;
}

/** Tells a response, whole and as events, each with its number. */
class ResponseTold implements Writer {
  readonly #call: Call;
  readonly #parts: Parts;
  readonly #teller: Teller;
  readonly #items: OutputItems;
  readonly #named: Named;
  #recording: Recording | undefined;
  #number = 0;

  constructor(call: Call, parts: Parts) {
    this.#call = call;
    this.#parts = parts;
    this.#named = call.named ?? { id: newId("resp_"), created: nowSeconds() };
    const name = namesBehind(this.#named.id);
    this.#items = new OutputItems((type, fields) => this.#event(type, fields), name);
    this.#teller = new Teller(call.served.model.tokenizer, parts.held.marks, () => name("call_"));
  }

  async whole(completion: Completion): Promise<JsonValue> {
    const { tokenizer } = this.#call.served.model;
    const logprobs = (completion.logprobs ?? []).map((one) => chatLogprobs(tokenizer, one));
    this.#items.add(this.#teller.parts(completion), logprobs);
    return await this.#ended(completion);
  }

  /** The same without its client. */
  background(isStream: boolean): Background {
    return {
      writer: this,
      isStream,
      named: this.#named,
      begun: (recording) => {
        this.#recording = recording;
        void this.#kept("queued", undefined);
        return this.#response("queued");
      },
      failed: async ({ message, code = "server_error" }) => {
        const isCancelled = code === "cancelled";
        const error = isCancelled ? null : { code, message };
        await this.#kept(isCancelled ? "cancelled" : "failed", undefined, { error });
      },
    };
  }

  begin(): string {
    if (!this.#parts.background) return this.#told("created", "in_progress") + this.#told("in_progress", "in_progress");
    void this.#kept("in_progress", undefined);
    return this.#told("created", "queued") + this.#told("queued", "queued") + this.#told("in_progress", "in_progress");
  }

  piece(_index: number, piece: Piece): string {
    const logprobs = piece.top === undefined ? [] : [chatLogprobs(this.#call.served.model.tokenizer, piece)];
    return this.#items.add(this.#teller.push(piece), logprobs);
  }

  async end(_index: number, completion: Completion): Promise<string> {
    const rest = this.#items.add(this.#teller.end(), []) + this.#items.end(statusOf(completion));
    return rest + this.#event(`response.${statusOf(completion)}`, { response: await this.#ended(completion) });
  }

  finish(): string {
    return "";
  }

  /** The response at its end. */
  async #ended(completion: Completion): Promise<JsonValue> {
    const { promptTokens, cachedTokens, generatedTokens } = completion;
    this.#items.end(statusOf(completion));
    const usage = {
      input_tokens: promptTokens,
      input_tokens_details: { cached_tokens: cachedTokens },
      output_tokens: generatedTokens,
      output_tokens_details: { reasoning_tokens: this.#teller.reasoningTokens },
      total_tokens: promptTokens + generatedTokens,
    };
    const { messages, begun } = this.#parts.conversation;
    const { text, reasoning, calls } = this.#items.said;
    const answer = answerMessage(begun + text, calls, reasoning === "" ? undefined : reasoning);
    return await this.#kept(statusOf(completion), [...messages, answer], { usage });
  }

  /** The response as it is now; kept unless the client said otherwise. */
  async #kept(status: Status, messages: Kept["messages"], more: Record<string, JsonValue> = {}): Promise<JsonValue> {
    const response = { ...this.#response(status), ...more };
    const { answers, tenant: { tenant } } = this.#call;
    const kept = { tenant, response, messages, recording: this.#recording };
    if (this.#parts.store) await answers.keep(this.#named.id, kept);
    return response;
  }

  #response(status: Status): Record<string, JsonValue> {
    const { given, background, store } = this.#parts;
    const asked = (name: string, otherwise: JsonValue = null) => (given[name] ?? otherwise) as JsonValue;
    return {
      id: this.#named.id,
      object: "response",
      created_at: this.#named.created,
      status,
      background,
      error: null,
      incomplete_details: status === "incomplete" ? { reason: "max_output_tokens" } : null,
      instructions: asked("instructions"),
      max_output_tokens: asked("max_output_tokens"),
      metadata: asked("metadata", {}),
      model: this.#call.served.name,
      output: [...this.#items.ended],
      parallel_tool_calls: asked("parallel_tool_calls", true),
      previous_response_id: asked("previous_response_id"),
      reasoning: asked("reasoning", { effort: null, summary: null }),
      store,
      temperature: asked("temperature"),
      text: asked("text", { format: { type: "text" } }),
      tool_choice: asked("tool_choice", "auto"),
      tools: asked("tools", []),
      top_logprobs: asked("top_logprobs", 0),
      top_p: asked("top_p"),
      truncation: "disabled",
      usage: null,
      user: asked("user"),
    };
  }

  #told(type: string, status: Status): string {
    return this.#event(`response.${type}`, { response: this.#response(status) });
  }

  #event(type: string, fields: Readonly<Record<string, JsonValue>>): string {
    return namedEvent(type, { type, sequence_number: this.#number++, ...fields });
  }
}

function statusOf({ stopReason }: Completion): "completed" | "incomplete" {
  return stopReason === "endOfText" || stopReason === "stop" ? "completed" : "incomplete";
}

/** Names for the parts of a response, which follow from its own: whatever server tells it, they are the same. */
function namesBehind(id: string): (prefix: string) => string {
  let count = 0;
  return (prefix) => `${prefix}${id.slice("resp_".length)}${count++}`;
}
