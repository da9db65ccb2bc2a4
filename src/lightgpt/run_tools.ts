/**
 * An agent's loop: the model answers, the functions of the tools that it calls are run, their results go back to it, and so on until
 * it answers with text alone, within a number of rounds and a time.
 *
 * @module
 */
import { guarded, refuseOption } from "../options/checks.ts";
import { untilAborted } from "../options/sliced.ts";
import { choice, type FieldsOf, integer, number, pickOptions, readOptions } from "../options/schema.ts";
import type { ChatMessage } from "../text/chat/inputs.ts";
import { callFields } from "../tools/options.ts";
import type { ToolCall, Tools } from "../tools/tool.ts";
import { toolResult } from "../tools/tool_result.ts";
import type { LightGPT } from "./lightgpt.ts";
import { type Answer, answerFields, type AnswerOptions } from "./answer_options.ts";

/**
 * Options for running tools.
 *
 * @example
 * ```ts
 * import { jsonSchema, type RunToolsOptions, tool } from "@lightgpt/lightgpt";
 *
 * const tools = { time: tool({ description: "The time.", input: jsonSchema({ type: "object" }), run: () => "noon" }) };
 * const options: RunToolsOptions<typeof tools> = { tools, rounds: 4, timeoutMs: 60_000, onError: "throw" };
 * console.log(options.rounds);
 * ```
 */
export interface RunToolsOptions<T extends Tools = Tools> extends AnswerOptions<T> {
  /** The tools, each with the function that does it. */
  readonly tools: T;
  /**
   * The most answers; in the last one no tool is called.
   * @default {8}
   */
  readonly rounds?: number;
  /**
   * Ends the run with an error of the code `cancelled` after this many milliseconds.
   * @default {no limit}
   */
  readonly timeoutMs?: number;
  /**
   * What becomes of an error that a function throws: the model gets its message as the result, or the run ends with it.
   * @default {"return"}
   */
  readonly onError?: "return" | "throw";
}

/** The schema of {@link RunToolsOptions}. */
export const runToolsFields = {
  ...answerFields,
  tools: { ...callFields.tools, isRequired: true },
  rounds: integer({ about: "The most answers.", least: 1, most: 1000, default: 8 }),
  timeoutMs: number({
    about: "Ends the run after this many milliseconds.",
    above: 0,
    most: 2 ** 31 - 1,
    otherwise: "no limit",
  }),
  onError: choice(["return", "throw"], {
    about: "What becomes of an error that a function throws.",
    default: "return",
  }),
} as const satisfies FieldsOf<RunToolsOptions>;

/**
 * What a run of tools came to.
 *
 * @example
 * ```ts
 * import type { ToolRun, Tools } from "@lightgpt/lightgpt";
 *
 * const show = ({ answer, rounds }: ToolRun<Tools>) => `${answer.text} (after ${rounds} rounds)`;
 * console.log(show.length);
 * ```
 */
export interface ToolRun<T extends Tools = Tools> {
  /** The last answer. */
  readonly answer: Answer<T>;
  /** The conversation with all answers and results. */
  readonly messages: readonly ChatMessage[];
  /** How many answers there were. */
  readonly rounds: number;
}

/**
 * Lets a model call tools until it answers with text.
 *
 * @param lm the model
 * @param messages the conversation
 * @param options the tools, and the limits
 * @returns the last answer, and the conversation
 * @throws {CancelledError} when the time is over or the signal is aborted
 *
 * @example
 * ```ts
 * import { jsonSchema, LightGPT, runTools, tool } from "@lightgpt/lightgpt";
 *
 * const tools = { time: tool({ description: "The time.", input: jsonSchema({ type: "object" }), run: () => "noon" }) };
 * await using lm = await LightGPT.load("model.gguf");
 * const { answer } = await runTools(lm, [{ role: "user", content: "How late is it?" }], { tools, rounds: 4 });
 * console.log(answer.text);
 * ```
 */
export async function runTools<T extends Tools>(
  lm: Pick<LightGPT, "reply">,
  messages: readonly ChatMessage[],
  options: RunToolsOptions<T>,
): Promise<ToolRun<T>> {
  if (typeof guarded("lm", () => lm?.reply) !== "function") refuseOption("lm", "a LightGPT", lm);
  const { tools, rounds, timeoutMs, onError, signal } = readOptions(runToolsFields, options);
  if (tools === undefined) refuseOption("tools", "an object of tools", tools);
  const all = guarded("messages", () => Array.isArray(messages) ? [...messages] : undefined);
  if (all === undefined) refuseOption("messages", "an array of messages", messages);
  for (const [name, tool] of Object.entries(tools)) {
    if (tool.run === undefined) refuseOption(`tools.${name}.run`, "a function", tool.run);
  }
  const own = pickOptions<AnswerOptions<T>>(answerFields, options);
  const limits = [signal, timeoutMs === undefined ? undefined : AbortSignal.timeout(Math.ceil(timeoutMs))];
  const ending = AbortSignal.any(limits.filter((one) => one !== undefined));
  for (let round = 1;; round++) {
    // A call that is required is required once.
    const toolChoice = round === rounds ? "none" : round === 1 ? own.toolChoice : "auto";
    const answer = await lm.reply<T>(all, { ...own, signal: ending, ...(toolChoice ? { toolChoice } : {}) });
    all.push(answer.message);
    if (answer.toolCalls.length === 0) return { answer, messages: all, rounds: round };
    const results = answer.toolCalls.map((call) => resultOf(call, tools, ending, onError));
    all.push(...await Promise.all(results));
  }
}

async function resultOf<T extends Tools>(
  call: ToolCall<T>,
  tools: Tools,
  signal: AbortSignal,
  onError: "return" | "throw",
): Promise<ChatMessage> {
  const { run } = tools[call.name];
  try {
    return toolResult(call, await untilAborted(() => run?.(call.input, { id: call.id, signal }), signal));
  } catch (error) {
    if (signal.aborted || onError === "throw") throw error;
    return toolResult(call, { error: error instanceof Error ? error.message : String(error) });
  }
}
