/**
 * `/v1/messages` and `/v1/messages/count_tokens`, as clients of Anthropic know them: messages of blocks, which are texts, thoughts,
 * calls of tools and their results. How an answer is told is in `message_told.ts`.
 *
 * @module
 */
import { choice, type Fields, integer, text } from "../../options/schema.ts";
import type { ChatMessage, JsonValue } from "../../text/chat/inputs.ts";
import type { ToolChoice } from "../../tools/options.ts";
import { type Asked, prepareAnswer } from "../calls.ts";
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
import { answerMessage, content as parts, type Conversation, effortVariable, openEnd, readList } from "../messages.ts";
import { answerNames, anything, only, readBody, samplingNames, samplingOf } from "../names.ts";
import { responseFormat } from "../response_format.ts";
import { any, known, readTree, text as words } from "../trees.ts";
import type { Call, Plan } from "../types.ts";
import { MessageTold } from "./message_told.ts";

const conversationNames = {
  model: text({ about: "The model." }),
  messages: { ...anything("The conversation."), isRequired: true },
  system: anything("What the model is told before the conversation."),
  tools: anything("The tools that the model may call."),
  tool_choice: anything("Whether and which are called: type auto, any, tool with a name, or none."),
  thinking: anything("Thoughts before the answer: type disabled, adaptive, or enabled with budget_tokens."),
  output_config: anything("format: a JSON schema that the answer meets; effort: as reasoning_effort of chats."),
  cache_control: anything("Nothing: prefixes are found without it."),
  speed: only('"standard"', (value) => value === "standard"),
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
  service_tier: choice(["auto", "standard_only"], { about: "There is one tier." }),
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
    is_error: nullish(boolean("expected a boolean")), // no template has a place for it
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
  known({ role: literal("system"), content: parts }),
  known({ role: literal("user"), content: union([words, array(userBlock)], "expected a text or an array of blocks") }),
  known({
    role: literal("assistant"),
    content: union([words, array(answerBlock)], "expected a text or an array of blocks"),
  }),
], "expected an object whose role is user, assistant or system");

const tool = known({
  type: nullish(literal("custom", 'expected "custom"; this server has no tools of its own')),
  name: words,
  description: nullish(words),
  input_schema: record(string(), any, "expected a schema"),
  cache_control: hint,
  strict: any, // all calls are held to their schemas
  eager_input_streaming: any, // all are told as they come
});
const parallel = { disable_parallel_tool_use: nullish(boolean("expected a boolean")) };
const toolChoice = discriminatedUnion("type", [
  known({ type: literal("auto"), ...parallel }),
  known({ type: literal("any"), ...parallel }),
  known({ type: literal("tool"), name: words, ...parallel }),
  known({ type: literal("none") }),
], "expected an object whose type is auto, any, tool or none");
const shown = nullish(literal("summarized", 'expected "summarized"; thoughts are told whole'));
const thinking = discriminatedUnion("type", [
  known({ type: literal("disabled") }),
  // As without the field: the model decides.
  known({ type: literal("adaptive"), display: shown }),
  known({ type: literal("enabled"), budget_tokens: number("expected a number"), display: shown }),
], "expected an object whose type is enabled, adaptive or disabled");
const outputConfig = known({
  effort: nullish(words),
  format: nullish(
    known({
      type: literal("json_schema", 'expected "json_schema"'),
      schema: record(string(), any, "expected a schema"),
    }),
  ),
});

/** What a body asks for. */
export async function planMessages(call: Call): Promise<Plan> {
  const { given, body } = readBody(messagesNames, call.body);
  const { format, variables } = outputOf(call, given);
  const constraint = responseFormat(format, given.constraint as Asked["constraint"], formatName);
  const asked = { ...askedOf(given), stop: body.stop_sequences, constraint };
  const held = await prepareAnswer(call, conversationOf(call, given), asked, variables);
  const jobs = await jobsOf(call, {
    prompts: [held.prompt],
    n: 1,
    sampling: samplingOf(given),
    maxTokens: body.max_tokens,
    stop: body.stop_sequences.length > 0 ? body.stop_sequences : undefined,
    constraint,
    constraintName: format === undefined ? "constraint" : formatName,
    held: held.held,
    promptName: "messages",
  });
  const told = new MessageTold(call.served, held);
  return { jobs, whole: ([completion]) => told.whole(completion), writer: body.stream ? told : undefined };
}

/** How many tokens a body has. */
export async function countTokens(call: Call): Promise<JsonValue> {
  const { given } = readBody(countNames, call.body);
  const { format, variables } = outputOf(call, given);
  const asked = { ...askedOf(given), stop: [], constraint: responseFormat(format, undefined, formatName) };
  const { prompt } = await prepareAnswer(call, conversationOf(call, given), asked, variables);
  return { input_tokens: prompt.length };
}

const formatName = "output_config.format";

/** What a body says of the answer's form, and how much the model is to think. */
function outputOf(
  { served }: Call,
  { output_config }: Readonly<Record<string, unknown>>,
): { readonly format: JsonValue | undefined; readonly variables: Record<string, JsonValue> } {
  if (output_config === undefined) return { format: undefined, variables: {} };
  const { effort, format } = readTree(outputConfig, output_config, "output_config");
  return {
    format: format ? { type: format.type, json_schema: { schema: format.schema as JsonValue } } : undefined,
    variables: effort ? effortVariable(served, effort, "output_config.effort") : {},
  };
}

/** What a body says of tools and thoughts. */
function askedOf(given: Readonly<Record<string, unknown>>): Omit<Asked, "stop" | "constraint"> {
  const tools = given.tools === undefined
    ? []
    : readTree(array(tool, "expected an array of tools"), given.tools, "tools");
  const chosen = given.tool_choice === undefined ? undefined : readTree(toolChoice, given.tool_choice, "tool_choice");
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
