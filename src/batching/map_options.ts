/**
 * Options and results of `map`: what users see, and the schema of it.
 *
 * @module
 */
import { refuseOption } from "../options/checks.ts";
import { callback, choice, type FieldsOf, integer, other } from "../options/schema.ts";
import { conversationFields, type ConversationOptions } from "../text/chat/options.ts";
import type { ChatMessage } from "../text/chat/template.ts";
import type { Completion } from "./completion.ts";
import { checkPrompt, generateFields, type GenerateOptions, type Prompt } from "./request_options.ts";

/**
 * How far `map` is.
 *
 * @example
 * ```ts
 * import { LightGPT, type MapProgress } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * const onProgress = ({ done, failed }: MapProgress) => console.error(done, "done,", failed, "of them failed");
 * for await (const { completion } of lm.batcher.map(["The fox", "The hen"], { maxTokens: 9, onProgress })) {
 *   console.log(completion?.text);
 * }
 * ```
 */
export interface MapProgress {
  /** Prompts that have a result, whether it was handed over yet or not. */
  readonly done: number;
  /** Those of them whose result is an error. */
  readonly failed: number;
}

/** The schema of what holds for one prompt of `map`: options of a request, and of a conversation. */
export const eachFields = {
  ...conversationFields,
  ...generateFields,
} as const satisfies FieldsOf<GenerateOptions & ConversationOptions>;

/**
 * A prompt of `map` with an id and options of its own, or a conversation in its place.
 *
 * @example
 * ```ts
 * import { LightGPT, type MapRequest } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * const requests: MapRequest[] = [
 *   { id: "fox", prompt: "The fox", maxTokens: 5 },
 *   { id: "hen", messages: [{ role: "user", content: "The hen" }], template: "{{ messages[0].content }}" },
 * ];
 * for await (const { id, completion } of lm.batcher.map(requests, { maxTokens: 9 })) console.log(id, completion?.text);
 * ```
 */
export interface MapRequest extends GenerateOptions, ConversationOptions {
  /** A text or token ids; or give `messages`. */
  readonly prompt?: Prompt;
  /** A conversation, which becomes a prompt by the chat template in the model's file, or by `template`. */
  readonly messages?: readonly ChatMessage[];
  /** Comes back with the result. */
  readonly id?: unknown;
}

/** The schema of {@link MapRequest}. */
export const mapRequestFields = {
  ...eachFields,
  prompt: other<Prompt>()(
    { about: "A text or token ids.", expected: "a string or an array of token ids" },
    checkPrompt,
  ),
  messages: other<readonly ChatMessage[]>()(
    { about: "A conversation in place of the prompt.", expected: "an array of messages" },
    (value, name) => Array.isArray(value) ? value : refuseOption(name, "an array of messages", value),
  ),
  id: other<unknown>()({ about: "Comes back with the result.", expected: "anything" }, (value) => value),
} as const satisfies FieldsOf<MapRequest>;

/**
 * The prompts of `map`.
 *
 * @example
 * ```ts
 * import { LightGPT, type MapSource } from "@lightgpt/lightgpt";
 *
 * const source: MapSource = ["The fox", { id: 2, prompt: "The hen", maxTokens: 3 }];
 * await using lm = await LightGPT.load();
 * for await (const { completion } of lm.batcher.map(source, { maxTokens: 5 })) console.log(completion?.text);
 * ```
 */
export type MapSource = Iterable<Prompt | MapRequest> | AsyncIterable<Prompt | MapRequest>;

/**
 * Options for many prompts: what holds for each, unless it has its own, and what holds for all.
 *
 * @example
 * ```ts
 * import { LightGPT, type MapOptions } from "@lightgpt/lightgpt";
 *
 * const options: MapOptions = { maxTokens: 20, sampling: { temperature: 0 }, order: "finished", retries: 2 };
 * await using lm = await LightGPT.load();
 * for await (const { index, completion } of lm.batcher.map(["The fox", "The hen"], options)) {
 *   console.log(index, completion?.text);
 * }
 * ```
 */
export interface MapOptions extends GenerateOptions, ConversationOptions {
  /**
   * Prompts that run at once.
   * @default {twice as many as a step takes}
   */
  readonly ahead?: number;
  /**
   * The most results that wait behind one that is not finished; where there are more, no prompt begins.
   * @default {4096}
   */
  readonly bufferMax?: number;
  /**
   * Whether results come in the order of the prompts, or as they are finished.
   * @default {"given"}
   */
  readonly order?: "given" | "finished";
  /**
   * How often a request that fails is tried again. One that would fail again (a wrong argument, what is not supported) is not,
   * nor one that its signal ends.
   * @default {0}
   */
  readonly retries?: number;
  /** Called with the counts after each result. */
  readonly onProgress?: (progress: MapProgress) => void;
}

/** The schema of {@link MapOptions}. */
export const mapFields = {
  ...eachFields,
  ahead: integer({
    about: "Prompts that run at once.",
    least: 1,
    most: 1 << 16,
    otherwise: "twice as many as a step takes",
  }),
  bufferMax: integer({
    about: "The most results that wait behind one that is not finished.",
    least: 1,
    most: 1 << 24,
    default: 4096,
  }),
  order: choice(["given", "finished"], {
    about: "Whether results come in the order of the prompts, or as they are finished.",
    default: "given",
  }),
  retries: integer({ about: "How often a request that fails is tried again.", least: 0, most: 1000, default: 0 }),
  onProgress: callback<(progress: MapProgress) => void>({ about: "Called with the counts after each result." }),
} as const satisfies FieldsOf<MapOptions>;

/**
 * What became of one prompt: a completion, or an error.
 *
 * @example
 * ```ts
 * import { LightGPT, type MapResult } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * const results: MapResult[] = await Array.fromAsync(lm.batcher.map(["The fox", "The hen"], { maxTokens: 9 }));
 * console.log(results.map(({ completion, error }) => completion?.text ?? error));
 * ```
 */
export interface MapResult {
  /** Which prompt, from 0 on. */
  readonly index: number;
  /** The id of its {@link MapRequest}, where it has one. */
  readonly id?: unknown;
  /** What it came to. */
  readonly completion?: Completion;
  /** Why it came to nothing. */
  readonly error?: unknown;
}
