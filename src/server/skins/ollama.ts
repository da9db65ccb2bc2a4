/**
 * `/api/chat` and `/api/generate`, as clients of Ollama know them: lines of JSON, durations in nanoseconds, options in a group of
 * their own. What an option would change and cannot is refused by name.
 *
 * @module
 */
import type { ConstraintOptions } from "../../grammar/options.ts";
import { refuseOption } from "../../options/checks.ts";
import { boolean, type Fields, group, integer, other, text } from "../../options/schema.ts";
import type { SamplingOptions } from "../../sampling/options.ts";
import { samplingFields } from "../../sampling/schema.ts";
import type { ChatMessage, JsonValue } from "../../text/chat/inputs.ts";
import { refuse } from "../failure.ts";
import { jobsOf, promptTokens } from "../jobs.ts";
import { prepareAnswer, type Prepared } from "../calls.ts";
import { array, discriminatedUnion, literal, nullish, oneOf, record, string } from "../libraries.ts";
import { answerMessage, type Conversation, openEnd, readList, templateVariable } from "../messages.ts";
import { answerNames, anything, drawSeed, only, readBody, topLogprobs, withoutNulls } from "../names.ts";
import { any, known, text as words } from "../trees.ts";
import type { Call, Plan, Served } from "../types.ts";
import { infillTokens } from "./completions.ts";
import { type Field, LinesTold } from "./ollama_lines.ts";

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
  repeat_last_n: integer({
    about: "How many of the last tokens penalties count: 0 for none of them, -1 for all.",
    least: -1,
    most: 2 ** 30,
  }),
  frequency_penalty: penalties.frequency,
  presence_penalty: penalties.presence,
  mirostat: only("0 or 2", (value) => value === 0 || value === 2),
  mirostat_tau: mirostat.tau,
  mirostat_eta: mirostat.eta,
  num_predict: integer({ about: "The most tokens to generate; below 0 as many as fit.", least: -2, most: 2 ** 31 }),
  num_ctx: integer({ about: "At most the model's context here.", least: 1, most: 2 ** 31 }),
  stop: answerNames.stop,
  tfs_z: only("1", (value) => value === 1),
  penalize_newline: only("true", (value) => value === true),
  logits_all: only("false", (value) => value === false),
  vocab_only: only("false", (value) => value === false),
  embedding_only: only("false", (value) => value === false),
};

const levels = ["low", "medium", "high"];
const thinkWords = "true, false, low, medium or high";

const common = {
  model: text({ about: "The model." }),
  stream: boolean({ about: "Whether the answer is sent as it comes.", default: true }),
  format: anything('"json", or a JSON schema that the answer meets.'),
  options: group<Record<string, unknown>>()(optionNames as never, { about: "How tokens are chosen." }),
  keep_alive: anything("Nothing: how long models stay is the server's part."),
  think: other<boolean | string>()(
    { about: "Whether or how much the model thinks, where its chat template knows that.", expected: thinkWords },
    (value, name) => {
      const isKnown = typeof value === "boolean" || (typeof value === "string" && levels.includes(value));
      return isKnown ? value : refuseOption(name, thinkWords, value);
    },
  ),
  logprobs: boolean({ about: "Whether log probabilities are told.", default: false }),
  top_logprobs: topLogprobs,
} as const;

/** The fields of `/api/chat`. */
export const chatNames = {
  ...common,
  messages: anything("The conversation; without one, the model is only loaded."),
  tools: anything("The functions that the model may call."),
} as const satisfies Fields;

/** The fields of `/api/generate`. */
export const generateNames = {
  ...common,
  prompt: text({ about: "What the user says; without it, the model is only loaded.", default: "" }),
  system: text({ about: "What the model is told before." }),
  raw: boolean({ about: "Whether the prompt is continued as it is, without the chat template.", default: false }),
  suffix: text({ about: "What stands behind the answer, where the model can fill in.", default: "" }),
  images: only("an empty array", (value) => Array.isArray(value) && value.length === 0),
} as const satisfies Fields;

const call = known({
  id: nullish(words),
  function: known({ name: words, arguments: record(string(), any), index: any }),
});
const message = discriminatedUnion("role", [
  known({ role: oneOf(["system", "user"]), content: words }),
  known({
    role: literal("assistant"),
    content: nullish(words),
    thinking: nullish(words),
    tool_calls: nullish(array(call, "expected an array of calls")),
  }),
  known({ role: literal("tool"), content: words, tool_name: nullish(words), tool_call_id: nullish(words) }),
], "expected an object whose role is system, user, assistant or tool");

/** What a conversation asks for. */
export async function planChat(call: Call): Promise<Plan> {
  const { given, body } = readBody(chatNames, call.body);
  const { messages = [] } = given;
  if (Array.isArray(messages) && messages.length === 0) return loaded(call.served, "message", body.stream);
  const talk = { conversation: readTalk(messages, call), tools: given.tools as JsonValue | undefined };
  return await plan(call, await held(call, talk, given, body.think), { given, body, field: "message" });
}

/** What a prompt asks for. */
export async function planGenerate(call: Call): Promise<Plan> {
  const { given, body } = readBody(generateNames, call.body);
  const { served } = call;
  if (body.prompt === "") return loaded(served, "response", body.stream);
  if (body.suffix !== "") {
    if (body.system !== undefined) refuse("system", "system: expected none beside suffix.");
    const prompt = await infillTokens(call, body.prompt, body.suffix, "prompt");
    return await plan(call, { prompt, held: undefined, marks: undefined }, { given, body, field: "response" });
  }
  if (body.raw) {
    if (body.system !== undefined) refuse("system", "system: expected none beside raw.");
    const prompt = await promptTokens(call, body.prompt, "prompt");
    return await plan(call, { prompt, held: undefined, marks: undefined }, { given, body, field: "response" });
  }
  const system: ChatMessage[] = body.system === undefined ? [] : [{ role: "system", content: body.system }];
  const messages = [...system, { role: "user", content: body.prompt }];
  const talk = { conversation: { messages, begun: "" }, tools: undefined };
  return await plan(call, await held(call, talk, given, body.think), { given, body, field: "response" });
}

/** A conversation whose calls have ids: results of tools come in the order of the calls. */
function readTalk(messages: unknown, where: Call): Conversation {
  let count = 0;
  const waiting: string[] = [];
  return openEnd(
    readList(message, messages, where, "messages").map((told, index): ChatMessage => {
      if (told.role === "tool") {
        const id = told.tool_call_id ?? waiting.shift();
        const name = `messages[${index}].role`;
        if (id === undefined) refuse(name, `${name}: expected a call before the result of a tool.`);
        return { role: "tool", content: told.content, tool_call_id: id };
      }
      if (told.role !== "assistant") return told as ChatMessage;
      const calls = (told.tool_calls ?? []).map(({ id, function: called }) => {
        const own = id ?? `call_${count++}`;
        waiting.push(own);
        return { id: own, name: called.name, arguments: JSON.stringify(called.arguments) };
      });
      return answerMessage(told.content ?? undefined, calls, told.thinking ?? undefined);
    }),
  );
}

/** The prompt of a conversation, and how its answer is held. */
async function held(
  call: Call,
  { conversation, tools }: { readonly conversation: Conversation; readonly tools: JsonValue | undefined },
  { options, format }: Readonly<Record<string, unknown>>,
  think: boolean | string | undefined,
): Promise<Prepared> {
  const { stop = [] } = (options ?? {}) as { stop?: string[] };
  const asked = { tools, choice: "auto" as const, parallel: true, constraint: constraintOf(format), stop };
  return await prepareAnswer(call, conversation, asked, thinking(call.served, think));
}

function thinking(served: Served, think: boolean | string | undefined): Record<string, JsonValue> {
  if (typeof think === "string") return templateVariable(served, "reasoning_effort", think, "think");
  // A template without thought has none to leave out.
  return think === undefined ? {} : templateVariable(served, "enable_thinking", think, think ? "think" : undefined);
}

/** A body, as it was given and as it was read, and where its answer goes. */
interface Wanted {
  readonly given: Readonly<Record<string, unknown>>;
  readonly body: {
    readonly stream: boolean;
    readonly logprobs: boolean;
    readonly top_logprobs?: number | undefined;
  };
  readonly field: Field;
}

async function plan(
  call: Call,
  { prompt, held: calls, marks }: Prepared,
  { given: { options, format }, body: { stream, logprobs, top_logprobs }, field }: Wanted,
): Promise<Plan> {
  if (!logprobs && top_logprobs !== undefined) refuse("top_logprobs", "top_logprobs: logprobs must be true.");
  const chosen = withoutNulls(options as Record<string, unknown> ?? {});
  const { model } = call.served;
  const { num_ctx, num_predict, stop } = chosen as { num_ctx?: number; num_predict?: number; stop?: string[] };
  if ((num_ctx ?? 0) > model.context) {
    refuse("num_ctx", `num_ctx: the context of this model is ${model.context} here, got ${num_ctx}.`);
  }
  const jobs = await jobsOf(call, {
    prompts: [prompt],
    n: 1,
    sampling: samplingOf(chosen, model.context),
    logprobs: logprobs ? top_logprobs ?? 0 : undefined,
    maxTokens: num_predict === undefined || num_predict < 0 ? undefined : num_predict,
    stop: stop?.length === 0 ? undefined : stop,
    constraint: constraintOf(format),
    held: calls,
    constraintName: "format",
    promptName: field === "message" ? "messages" : "prompt",
  });
  const told = new LinesTold(call.served, field, marks);
  return { jobs, whole: ([completion]) => told.whole(completion), writer: stream ? told : undefined };
}

/** A request for nothing loads the model, which has happened when it comes here. */
function loaded(served: Served, field: Field, isStream: boolean): Plan {
  const line = new LinesTold(served, field).loaded();
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
function samplingOf(
  given: Readonly<Record<string, unknown>>,
  context: number,
): SamplingOptions & { readonly seed: number } {
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
  const { repeat_last_n: last } = given;
  const used = last === 0 ? {} : rename(counts, last === undefined ? {} : { window: last === -1 ? context : last });
  if (Object.keys(used).length > 0) found.penalties = used;
  const surprise = rename({ mirostat_tau: "tau", mirostat_eta: "eta" }, {});
  if (given.mirostat === 2) found.mirostat = surprise;
  else if (Object.keys(surprise).length > 0) refuse("mirostat_tau", "mirostat_tau, mirostat_eta: mirostat must be 2.");
  return { seed: drawSeed(), ...found } as SamplingOptions & { readonly seed: number };
}
