/**
 * What the AI SDK passes to a model of its fourth specification, and what it takes, as far as LightGPT reads and gives it.
 *
 * @module
 */

/**
 * Part of a message of the AI SDK: a text, thoughts, a call, a result; others are refused by their type.
 *
 * @example
 * ```ts
 * import type { AiSdkPart } from "@lightgpt/lightgpt/ai-sdk";
 *
 * const part: AiSdkPart = { type: "text", text: "Hello" };
 * console.log(part.type);
 * ```
 */
export interface AiSdkPart {
  /** What it is. */
  readonly type: string;
  /** Of a text or thoughts. */
  readonly text?: string;
  /** Of a call or a result. */
  readonly toolCallId?: string;
  /** Of a call or a result. */
  readonly toolName?: string;
  /** Of a call: its arguments. */
  readonly input?: unknown;
  /** Of a result. */
  readonly output?: { readonly type: string; readonly value?: unknown; readonly reason?: string };
}

/**
 * A message of the AI SDK.
 *
 * @example
 * ```ts
 * import type { AiSdkMessage } from "@lightgpt/lightgpt/ai-sdk";
 *
 * const message: AiSdkMessage = { role: "user", content: [{ type: "text", text: "Hello" }] };
 * console.log(message.role);
 * ```
 */
export interface AiSdkMessage {
  /** `system`, `user`, `assistant` or `tool`. */
  readonly role: string;
  /** What was said. */
  readonly content: string | readonly AiSdkPart[];
}

/**
 * A tool of the AI SDK.
 *
 * @example
 * ```ts
 * import type { AiSdkTool } from "@lightgpt/lightgpt/ai-sdk";
 *
 * const tool: AiSdkTool = { type: "function", name: "time", inputSchema: { type: "object" } };
 * console.log(tool.name);
 * ```
 */
export type AiSdkTool =
  | {
    readonly type: "function";
    readonly name: string;
    readonly description?: string | undefined;
    readonly inputSchema: unknown;
  }
  | { readonly type: "provider"; readonly name: string };

/**
 * A call of the AI SDK: what it asks of a model. What is absent, `chat` decides.
 *
 * @example
 * ```ts
 * import type { AiSdkCall } from "@lightgpt/lightgpt/ai-sdk";
 *
 * const call: AiSdkCall = { prompt: [{ role: "system", content: "Be terse." }], maxOutputTokens: 20 };
 * console.log(call.maxOutputTokens);
 * ```
 */
export interface AiSdkCall {
  /** The conversation. */
  readonly prompt: readonly AiSdkMessage[];
  /** The most tokens of the answer. */
  readonly maxOutputTokens?: number | undefined;
  /** As in `sampling`. */
  readonly temperature?: number | undefined;
  /** As in `sampling`. */
  readonly topP?: number | undefined;
  /** As in `sampling`. */
  readonly topK?: number | undefined;
  /** As in `sampling`. */
  readonly seed?: number | undefined;
  /** As `sampling.penalties.presence`. */
  readonly presencePenalty?: number | undefined;
  /** As `sampling.penalties.frequency`. */
  readonly frequencyPenalty?: number | undefined;
  /** Texts that end an answer. */
  readonly stopSequences?: string[] | undefined;
  /** What form an answer has. */
  readonly responseFormat?:
    | { readonly type: "text" }
    | { readonly type: "json"; readonly schema?: unknown }
    | undefined;
  /** The tools that may be called. */
  readonly tools?: readonly AiSdkTool[] | undefined;
  /** Whether and which tools are called. */
  readonly toolChoice?:
    | { readonly type: "auto" | "none" | "required" }
    | { readonly type: "tool"; readonly toolName: string }
    | undefined;
  /** How much a model thinks; `none` allows no thoughts. */
  readonly reasoning?: string | undefined;
  /** Ends the request. */
  readonly abortSignal?: AbortSignal | undefined;
  /** Options of each provider; those of `lightgpt` are options of `chat`. */
  readonly providerOptions?: Readonly<Record<string, Readonly<Record<string, unknown>>>> | undefined;
}

/**
 * Something that was asked and has no meaning here.
 *
 * @example
 * ```ts
 * import type { AiSdkWarning } from "@lightgpt/lightgpt/ai-sdk";
 *
 * const warning: AiSdkWarning = { type: "unsupported", feature: "stopSequences", details: "There are tools." };
 * console.log(warning.feature);
 * ```
 */
export interface AiSdkWarning {
  /** That it is not supported. */
  type: "unsupported";
  /** What. */
  feature: string;
  /** Why. */
  details: string;
}

/**
 * Part of an answer.
 *
 * @example
 * ```ts
 * import type { AiSdkContent } from "@lightgpt/lightgpt/ai-sdk";
 *
 * const content: AiSdkContent = { type: "reasoning", text: "Well." };
 * console.log(content.type);
 * ```
 */
export type AiSdkContent =
  | { type: "text"; text: string }
  | { type: "reasoning"; text: string }
  | { type: "tool-call"; toolCallId: string; toolName: string; input: string };

/**
 * How an answer ended, and what it cost.
 *
 * @example
 * ```ts
 * import type { AiSdkFinish } from "@lightgpt/lightgpt/ai-sdk";
 *
 * const tell = ({ finishReason, usage }: AiSdkFinish) => console.log(finishReason.unified, usage.outputTokens.total);
 * console.log(typeof tell);
 * ```
 */
export interface AiSdkFinish {
  /** Why it ended. */
  finishReason: { unified: "stop" | "length" | "tool-calls"; raw: string | undefined };
  /** The tokens that were read and made. */
  usage: {
    inputTokens: { total: number; noCache: number; cacheRead: number; cacheWrite: undefined };
    outputTokens: { total: number; text: undefined; reasoning: undefined };
  };
}

/**
 * A whole answer.
 *
 * @example
 * ```ts
 * import type { AiSdkResult } from "@lightgpt/lightgpt/ai-sdk";
 *
 * const tell = ({ content, warnings }: AiSdkResult) => console.log(content.length, warnings.length);
 * console.log(typeof tell);
 * ```
 */
export interface AiSdkResult extends AiSdkFinish {
  /** Its parts. */
  content: AiSdkContent[];
  /** What was asked and has no meaning here. */
  warnings: AiSdkWarning[];
  /** By which model, and when. */
  response: { modelId: string; timestamp: Date };
}

/**
 * Part of a stream.
 *
 * @example
 * ```ts
 * import type { AiSdkStreamPart } from "@lightgpt/lightgpt/ai-sdk";
 *
 * const part: AiSdkStreamPart = { type: "text-delta", id: "1", delta: "Hello" };
 * console.log(part.type);
 * ```
 */
export type AiSdkStreamPart =
  | { type: "stream-start"; warnings: AiSdkWarning[] }
  | { type: "response-metadata"; modelId: string; timestamp: Date }
  | { type: "text-start" | "text-end" | "reasoning-start" | "reasoning-end" | "tool-input-end"; id: string }
  | { type: "text-delta" | "reasoning-delta" | "tool-input-delta"; id: string; delta: string }
  | { type: "tool-input-start"; id: string; toolName: string }
  | Extract<AiSdkContent, { type: "tool-call" }>
  | ({ type: "finish" } & AiSdkFinish);
