/**
 * Options of LightGPT: what users see, and the schema of it.
 *
 * @module
 */
import {
  cacheUseFields,
  generateFields,
  type GenerateOptions,
  requestAdaptersField,
  type RequestCacheOptions,
} from "../batching/request_options.ts";
import type { AdapterOptions } from "../model/adapter_options.ts";
import { type DownloadProgress, loadFields, type LoadProgress } from "../model/model.ts";
import type { PackedOptions, PackedUse } from "../model/packed/options.ts";
import { abortSignal, boolean, type FieldsOf, text } from "../options/schema.ts";
import { conversationFields, type ConversationOptions } from "../text/chat/options.ts";
import { optimizerFields, type OptimizerOptions } from "../tuning/options.ts";

/**
 * Options for loading a model to run it.
 *
 * @example
 * ```ts
 * import { LightGPT, type LightGPTOptions } from "@lightgpt/lightgpt";
 *
 * const options: LightGPTOptions = { threads: 4, context: 2048, kv: "q8_0" };
 * await using lm = await LightGPT.load("model.gguf", options);
 * ```
 */
export interface LightGPTOptions extends OptimizerOptions {
  /**
   * The most tokens of a prompt and its answer together.
   * @default {what the model was trained for, at most 8192}
   */
  readonly context?: number;
  /**
   * Adapters (LoRA) for requests to use; those that name none use all of these.
   * @default {none}
   */
  readonly adapters?: readonly AdapterOptions[];
  /** Called with the progress of loading. */
  readonly onProgress?: (progress: LoadProgress) => void;
  /** Called with how far fetching the model is, where it is given by its name and is not here. */
  readonly onDownload?: (progress: DownloadProgress) => void;
  /**
   * Cut words by default rules where the file names unknown ones; tokens may be slightly wrong then.
   * @default {false}
   */
  readonly allowUnknownPreTokenizer?: boolean;
  /**
   * Whether packed weights on disk are used, and kept for later starts: those load at once, and all processes share one copy.
   * @default {"auto"}
   */
  readonly packed?: PackedUse | PackedOptions;
}

/** The schema of {@link LightGPTOptions}. */
export const lightGptFields = {
  ...loadFields,
  ...optimizerFields,
} as const satisfies FieldsOf<LightGPTOptions>;

/**
 * Options for computing logits.
 *
 * @example
 * ```ts
 * import { LightGPT, type LogitsOptions } from "@lightgpt/lightgpt";
 *
 * const options: LogitsOptions = { all: true };
 * await using lm = await LightGPT.load();
 * const logits = await lm.logits(lm.tokenize("Once upon a time"), options);
 * ```
 */
export interface LogitsOptions {
  /**
   * Whether the logits after each token are computed, not only those after the last.
   * @default {false}
   */
  readonly all?: boolean;
  /** Ends the computation. */
  readonly signal?: AbortSignal;
  /**
   * The tenant whose prefixes are found in the cache, and whose share of the work it is.
   * @default {""}
   */
  readonly tenant?: string;
  /**
   * Whether the prefix cache is used, and with whom it is shared. With `all` it is not: each token gives a row, so each is read.
   * @default {true}
   */
  readonly cache?: boolean | RequestCacheOptions;
  /**
   * The adapters that the model is read with, of those that were loaded with it.
   * @default {all that were loaded, with their scales}
   */
  readonly adapters?: readonly AdapterOptions[];
}

/** The schema of {@link LogitsOptions}. */
export const logitsFields = {
  all: boolean({ about: "Whether the logits after each token are computed.", default: false }),
  signal: abortSignal("Ends the computation."),
  ...cacheUseFields,
  adapters: requestAdaptersField,
} as const satisfies FieldsOf<LogitsOptions>;

/**
 * Options for an answer in a conversation.
 *
 * @example
 * ```ts
 * import { type ChatOptions, LightGPT } from "@lightgpt/lightgpt";
 *
 * const options: ChatOptions = { maxTokens: 200, variables: { enable_thinking: false } };
 * await using lm = await LightGPT.load("model.gguf");
 * for await (const piece of lm.chat([{ role: "user", content: "Hello!" }], options)) console.log(piece.text);
 * ```
 */
export interface ChatOptions extends GenerateOptions, ConversationOptions {
  /**
   * The beginning of the answer, which the model goes on from; no control token is read in it, and it is no part of what
   * comes back.
   * @default {""}
   */
  readonly prefill?: string;
}

/** The schema of {@link ChatOptions}. */
export const chatFields = {
  ...conversationFields,
  ...generateFields,
  prefill: text({ about: "The beginning of the answer, which the model goes on from.", default: "" }),
} as const satisfies FieldsOf<ChatOptions>;

/**
 * Options for filling in a text.
 *
 * @example
 * ```ts
 * import { type InfillOptions, LightGPT } from "@lightgpt/lightgpt";
 *
 * const options: InfillOptions = { prefix: "def add(a, b):\n", suffix: "\nprint(add(1, 2))", maxTokens: 50 };
 * await using lm = await LightGPT.load("model.gguf");
 * lm.infill(options).then(({ text }) => console.log(text), ({ message }) => console.log(message));
 * ```
 */
export interface InfillOptions extends GenerateOptions {
  /** What stands before the text that is wanted. */
  readonly prefix: string;
  /** What stands behind it. */
  readonly suffix: string;
}

/** The schema of {@link InfillOptions}. */
export const infillFields = {
  ...generateFields,
  prefix: text({ about: "What stands before the text that is wanted.", required: true }),
  suffix: text({ about: "What stands behind it.", required: true }),
} as const satisfies FieldsOf<InfillOptions>;
