/**
 * `/api/chat`, `/api/generate`, `/api/tags` and `/api/show`, as clients of Ollama know them: lines of JSON, durations in
 * nanoseconds, options in a group of their own. What an option would change and cannot is refused by name.
 *
 * @module
 */
import type { Completion, Piece } from "../../batching/completion.ts";
import type { ConstraintOptions } from "../../grammar/options.ts";
import { boolean, type Fields, group, integer, text } from "../../options/schema.ts";
import type { SamplingOptions } from "../../sampling/options.ts";
import { samplingFields } from "../../sampling/schema.ts";
import type { ChatMessage, JsonValue } from "../../text/chat/inputs.ts";
import { refuse } from "../failure.ts";
import { jobsOf, promptTokens } from "../jobs.ts";
import { conversationTokens, readMessages, templateVariable } from "../messages.ts";
import { answerNames, anything, drawSeed, only, readBody, withoutNulls } from "../names.ts";
import type { Call, Plan, Served, Writer } from "../types.ts";

const penalties = samplingFields.penalties.fields as Fields;
const mirostat = samplingFields.mirostat.fields as Fields;
/** What decides how fast an answer comes, and not what it is. */
const paces = [
  "num_keep",
  "num_batch",
  "num_gpu",
  "main_gpu",
  "num_thread",
  "numa",
  "low_vram",
  "f16_kv",
  "use_mmap",
  "use_mlock",
];

/** The group `options` of a body. */
const optionNames: Fields = {
  ...Object.fromEntries(paces.map((name) => [name, anything("Nothing: how a model runs is the server's part.")])),
  temperature: samplingFields.temperature,
  top_k: samplingFields.topK,
  top_p: samplingFields.topP,
  min_p: samplingFields.minP,
  typical_p: samplingFields.typicalP,
  seed: samplingFields.seed,
  repeat_penalty: penalties.repetition,
  repeat_last_n: integer({ about: "How many of the last tokens penalties count.", least: 1, most: 2 ** 30 }),
  frequency_penalty: penalties.frequency,
  presence_penalty: penalties.presence,
  mirostat: only("0 or 2", (value) => value === 0 || value === 2),
  mirostat_tau: mirostat.tau,
  mirostat_eta: mirostat.eta,
  num_predict: integer({ about: "The most tokens to generate; below 0 as many as fit.", least: -2, most: 2 ** 31 }),
  num_ctx: integer({ about: "At most the model's context here.", least: 1, most: 2 ** 31 }),
  stop: answerNames.stop,
};

const common = {
  model: text({ about: "The model." }),
  stream: boolean({ about: "Whether the answer is sent as it comes.", default: true }),
  format: anything('"json", or a JSON schema that the answer meets.'),
  options: group<Record<string, unknown>>()(optionNames as never, { about: "How tokens are chosen." }),
  keep_alive: anything("Nothing: how long models stay is the server's part."),
  think: boolean({ about: "The variable enable_thinking of the chat template, where it knows it." }),
} as const;

/** The fields of `/api/chat`. */
export const chatNames = {
  ...common,
  messages: anything("The conversation; without one, the model is only loaded."),
  tools: only("an empty array: tools are not supported yet", (value) => Array.isArray(value) && value.length === 0),
} as const satisfies Fields;

/** The fields of `/api/generate`. */
export const generateNames = {
  ...common,
  prompt: text({ about: "What the user says; without it, the model is only loaded.", default: "" }),
  system: text({ about: "What the model is told before." }),
  raw: boolean({ about: "Whether the prompt is continued as it is, without the chat template.", default: false }),
  suffix: only("the empty text", (value) => value === ""),
  images: only("an empty array", (value) => Array.isArray(value) && value.length === 0),
} as const satisfies Fields;

/** What a conversation asks for. */
export async function planChat(call: Call): Promise<Plan> {
  const { given, body } = readBody(chatNames, call.body);
  const { messages = [] } = given;
  if (Array.isArray(messages) && messages.length === 0) return loaded(call.served, "message", body.stream);
  const conversation = readMessages(messages, call);
  const prompt = await conversationTokens(call, conversation, thinking(call.served, body.think));
  return await plan(call, prompt, given, "message", body.stream);
}

/** What a prompt asks for. */
export async function planGenerate(call: Call): Promise<Plan> {
  const { given, body } = readBody(generateNames, call.body);
  const { served } = call;
  if (body.prompt === "") return loaded(served, "response", body.stream);
  if (body.raw) {
    if (body.system !== undefined) refuse("system", "system: expected none beside raw.");
    return await plan(call, await promptTokens(call, body.prompt, "prompt"), given, "response", body.stream);
  }
  const system: ChatMessage[] = body.system === undefined ? [] : [{ role: "system", content: body.system }];
  const messages = [...system, { role: "user", content: body.prompt }];
  const prompt = await conversationTokens(call, { messages, begun: "" }, thinking(served, body.think));
  return await plan(call, prompt, given, "response", body.stream);
}

function thinking(served: Served, think: boolean | undefined): Record<string, JsonValue> {
  // A template without thought has none to leave out.
  return think === undefined ? {} : templateVariable(served, "enable_thinking", think, think ? "think" : undefined);
}

type Field = "message" | "response";

async function plan(
  call: Call,
  prompt: Uint32Array,
  { options, format }: Readonly<Record<string, unknown>>,
  field: Field,
  isStream: boolean,
): Promise<Plan> {
  const chosen = withoutNulls(options as Record<string, unknown> ?? {});
  const { model } = call.served;
  const { num_ctx, num_predict, stop } = chosen as { num_ctx?: number; num_predict?: number; stop?: string[] };
  if ((num_ctx ?? 0) > model.context) {
    refuse("num_ctx", `num_ctx: the context of this model is ${model.context} here, got ${num_ctx}.`);
  }
  const jobs = await jobsOf(call, {
    prompts: [prompt],
    n: 1,
    sampling: samplingOf(chosen),
    maxTokens: num_predict === undefined || num_predict < 0 ? undefined : num_predict,
    stop: stop?.length === 0 ? undefined : stop,
    constraint: constraintOf(format),
    constraintName: "format",
    promptName: field === "message" ? "messages" : "prompt",
  });
  const told = new LinesTold(call.served, field);
  return { jobs, whole: ([completion]) => told.whole(completion), writer: isStream ? told : undefined };
}

/** A request for nothing loads the model, which has happened when it comes here. */
function loaded(served: Served, field: Field, isStream: boolean): Plan {
  const told = new LinesTold(served, field);
  const line = told.line("", { done_reason: "load", done: true });
  const writer = { begin: () => `${JSON.stringify(line)}\n`, piece: () => "", end: () => "", finish: () => "" };
  return { jobs: [], whole: () => line, writer: isStream ? writer : undefined };
}

function constraintOf(format: unknown): ConstraintOptions | undefined {
  if (format === undefined || format === "") return undefined;
  if (format === "json") return { schema: { type: "object" } };
  if (typeof format !== "object") refuse("format", 'format: expected "json" or a JSON schema.');
  return { schema: format as NonNullable<unknown> };
}

/** Ollama's names to ours; the fields have been checked. */
function samplingOf(given: Readonly<Record<string, unknown>>): SamplingOptions & { readonly seed: number } {
  const found: Record<string, unknown> = {};
  const rename = (names: Readonly<Record<string, string>>, to: Record<string, unknown>) => {
    for (const [theirs, ours] of Object.entries(names)) if (given[theirs] !== undefined) to[ours] = given[theirs];
    return to;
  };
  const simple = {
    temperature: "temperature",
    top_k: "topK",
    top_p: "topP",
    min_p: "minP",
    typical_p: "typicalP",
    seed: "seed",
  };
  rename(simple, found);
  const counts = { repeat_penalty: "repetition", frequency_penalty: "frequency", presence_penalty: "presence" };
  const used = rename({ ...counts, repeat_last_n: "window" }, {});
  if (Object.keys(used).length > 0) found.penalties = used;
  const surprise = rename({ mirostat_tau: "tau", mirostat_eta: "eta" }, {});
  if (given.mirostat === 2) found.mirostat = surprise;
  else if (Object.keys(surprise).length > 0) refuse("mirostat_tau", "mirostat_tau, mirostat_eta: mirostat must be 2.");
  return { seed: drawSeed(), ...found } as SamplingOptions & { readonly seed: number };
}

const nanoseconds = (ms: number) => Math.round(ms * 1e6);

/** Tells lines: each a part of the answer, the last with the counts. */
class LinesTold implements Writer {
  readonly #served: Served;
  readonly #field: Field;

  constructor(served: Served, field: Field) {
    this.#served = served;
    this.#field = field;
  }

  whole(completion: Completion): JsonValue {
    return this.line(completion.text, this.#counts(completion));
  }

  begin(): string {
    return "";
  }

  piece(_index: number, { text }: Piece): string {
    return text === "" ? "" : `${JSON.stringify(this.line(text, { done: false }))}\n`;
  }

  end(_index: number, completion: Completion): string {
    return `${JSON.stringify(this.line("", this.#counts(completion)))}\n`;
  }

  finish(): string {
    return "";
  }

  line(content: string, more: Record<string, JsonValue>): Record<string, JsonValue> {
    const answer: Record<string, JsonValue> = this.#field === "message"
      ? { message: { role: "assistant", content } }
      : { response: content };
    return { model: this.#served.name, created_at: new Date().toISOString(), ...answer, ...more };
  }

  #counts({ stopReason, promptTokens, generatedTokens, prefillMs, decodeMs }: Completion): Record<string, JsonValue> {
    return {
      done_reason: stopReason === "endOfText" || stopReason === "stop" ? "stop" : "length",
      done: true,
      total_duration: nanoseconds(prefillMs + decodeMs),
      load_duration: 0,
      prompt_eval_count: promptTokens,
      prompt_eval_duration: nanoseconds(prefillMs),
      eval_count: generatedTokens,
      eval_duration: nanoseconds(decodeMs),
    };
  }
}

/** What a list says of a model; of one that is not loaded, its name. */
export function tag(name: string, created: number, served: Served | undefined): JsonValue {
  return {
    name,
    model: name,
    modified_at: new Date(created * 1000).toISOString(),
    size: served?.model.residentBytes ?? 0,
    digest: "",
    details: details(served),
  };
}

function details(served: Served | undefined): Record<string, JsonValue> {
  if (served === undefined) return { format: "gguf" };
  const { plan, gguf } = served.model;
  const family = gguf.metadata.text("general.architecture");
  return {
    parent_model: "",
    format: "gguf",
    family,
    families: [family],
    parameter_size: parametersText(plan.parameters),
    quantization_level: "",
  };
}

function parametersText(parameters: number): string {
  return parameters >= 1e9 ? `${(parameters / 1e9).toFixed(1)}B` : `${(parameters / 1e6).toFixed(2)}M`;
}

/** The fields of `/api/show`. */
export const showNames = {
  model: text({ about: "The model." }),
  verbose: boolean({ about: "Nothing: lists are never told.", default: false }),
} as const satisfies Fields;

/** What is known of a model: its template, and what its file says in numbers and texts. */
export function show({ body, served }: Call): JsonValue {
  readBody(showNames, body);
  const { metadata } = served.model.gguf;
  const key = "tokenizer.chat_template";
  const facts = Object.fromEntries(
    [...metadata.keys()].flatMap((name) => {
      const value = name === key ? undefined : metadata.get(name);
      const isPlain = typeof value === "string" || typeof value === "number" || typeof value === "boolean";
      return isPlain ? [[name, value as JsonValue]] : [];
    }),
  );
  return {
    template: served.template ?? (metadata.has(key) ? metadata.text(key) : ""),
    parameters: `num_ctx ${served.model.context}`,
    details: details(served),
    model_info: facts,
    capabilities: ["completion"],
  };
}
