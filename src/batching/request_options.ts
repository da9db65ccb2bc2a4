/**
 * Options of one request: what users see, and the schema of it.
 *
 * @module
 */
import { LIMITS } from "../../ffi/wire.ts";
import { refuseOption } from "../options/checks.ts";
import {
  abortSignal,
  boolean,
  callback,
  choice,
  type FieldsOf,
  integer,
  number,
  other,
  readOptions,
  type Resolved,
  text,
} from "../options/schema.ts";
import {
  constraintFields,
  type ConstraintOptions,
  readConstraint,
  type ResolvedConstraint,
} from "../grammar/options.ts";
import { draftField, type DraftOption } from "./drafting/options.ts";
import { type AdapterOptions, adaptersField } from "../model/adapter_options.ts";
import { resumeField, type ResumeOptions } from "./resume.ts";
import type { LogitsProcessor } from "../sampling/logits_processor.ts";
import type { SamplingOptions } from "../sampling/options.ts";
import { samplingFields } from "../sampling/schema.ts";
import { resolveStops } from "../text/stop.ts";

/**
 * Options for one request's use of the prefix cache.
 *
 * @example
 * ```ts
 * import { LightGPT, type RequestCacheOptions } from "@lightgpt/lightgpt";
 *
 * const cache: RequestCacheOptions = { shared: true };
 * await using lm = await LightGPT.load();
 * const [, second] = [
 *   await lm.complete("Once upon a time there was a small red fox", { maxTokens: 9, tenant: "one", cache }),
 *   await lm.complete("Once upon a time there was a small red hen", { maxTokens: 9, tenant: "two", cache }),
 * ];
 * console.log(second.cachedTokens, "tokens of the prompt were not read again");
 * ```
 */
export interface RequestCacheOptions {
  /**
   * Whether the request shares prefixes with all requests that say so, and with those that have no tenant, in place of its
   * tenant's own. How fast an answer begins can then tell one tenant that another's text begins with the same words.
   * @default {false}
   */
  readonly shared?: boolean;
  /**
   * A name in place of the tenant's: requests with the same one share prefixes.
   * @default {the tenant}
   */
  readonly salt?: string;
}

/** The schema of {@link RequestCacheOptions}. */
export const requestCacheFields = {
  shared: boolean({ about: "Whether prefixes are shared with all requests that say so.", default: false }),
  salt: text({ about: "Requests with the same name here share prefixes.", otherwise: "the tenant" }),
} as const satisfies FieldsOf<RequestCacheOptions>;

/** The schema of what tokens that are read have to do with the cache, for requests and for logits. */
export const cacheUseFields = {
  tenant: text({ about: "The tenant that the request belongs to.", default: "" }),
  cache: other<boolean | RequestCacheOptions, Resolved<typeof requestCacheFields> | undefined>()(
    {
      about: "Whether the request uses the prefix cache, and with whom it shares.",
      expected: "a boolean or an object",
      default: true,
      fields: requestCacheFields,
    },
    (value, name) => {
      if (value === false) return undefined;
      const read = readOptions(requestCacheFields, value === true ? {} : value, name);
      if (read.shared && read.salt !== undefined) refuseOption(`${name}.salt`, "none beside shared", read.salt);
      return read;
    },
  ),
} as const;

/** The schema of the adapters of a request. */
export const requestAdaptersField = adaptersField(
  "The adapters that the request uses, of those that were loaded with the model.",
  "all that were loaded, with their scales",
);

/** The salt under which a request finds and leaves prefixes; undefined where it does not use the cache. */
export function saltOf({ tenant, cache }: Resolved<typeof cacheUseFields>): string | undefined {
  return cache && (cache.shared ? "" : cache.salt ?? tenant);
}

/**
 * Options for one request.
 *
 * @example
 * ```ts
 * import { type GenerateOptions, LightGPT } from "@lightgpt/lightgpt";
 *
 * const options: GenerateOptions = { maxTokens: 100, stop: ["\n\n", "The end"], sampling: { temperature: 0 } };
 * await using lm = await LightGPT.load();
 * for await (const { text } of lm.generate("Once upon a time", options)) console.log(text);
 * ```
 */
export interface GenerateOptions {
  /**
   * The most tokens to generate.
   * @default {until the model ends the text, or the context is full}
   */
  readonly maxTokens?: number;
  /**
   * How tokens are chosen.
   * @default { temperature: 0.8, topK: 40, topP: 0.95 }
   */
  readonly sampling?: SamplingOptions;
  /**
   * Strings that end the answer. No part of one is shown.
   * @default {none}
   */
  readonly stop?: string | readonly string[];
  /**
   * Whether each token comes with its log probability, and with how many (0 to 20) of the likeliest tokens in its place.
   * @default {without log probabilities}
   */
  readonly logprobs?: number;
  /**
   * What the answer must be: a token that would break it is never chosen. An answer that `maxTokens` cuts may be incomplete.
   * @default {anything}
   */
  readonly constraint?: ConstraintOptions;
  /**
   * The tokens that this request gave before it broke off, on this machine or another; with mirostat {@link ResumeOptions}. It
   * goes on after them as if nothing had happened, where all else is as it was, the seed too. What comes is the rest; the
   * completion is the whole.
   * @default {from the beginning}
   */
  readonly resume?: ArrayLike<number> | ResumeOptions;
  /**
   * What guesses the next tokens, so that one step may verify and choose several: `lookup` finds them where the last ones stood
   * before, an object names a model of the same vocabulary, `auto` is `lookup` where it pays. Results do not depend on it.
   * @default {"auto"}
   */
  readonly draft?: DraftOption;
  /** Called before each token is chosen; it sees the logits and may change them. */
  readonly logitsProcessor?: LogitsProcessor;
  /** Ends the request, as `onAbort` says. */
  readonly signal?: AbortSignal;
  /**
   * What a request comes to that `signal` or `deadlineMs` ends: `throw` is an error of the code `cancelled`, `return` the
   * completion so far, whose `stopReason` is `aborted` or `deadline`.
   * @default {"throw"}
   */
  readonly onAbort?: "throw" | "return";
  /**
   * From 0 to 9: of the requests that wait, those with a higher priority go first.
   * @default {5}
   */
  readonly priority?: number;
  /**
   * Ends the request after this many milliseconds, as `onAbort` says.
   * @default {no deadline}
   */
  readonly deadlineMs?: number;
  /**
   * The tenant that the request belongs to. Tenants share the work fairly, and none finds another's prefixes in the cache.
   * @default {""}
   */
  readonly tenant?: string;
  /**
   * Whether the request takes keys and values of a known prefix from the cache, and leaves its own there; an object says with
   * which other requests it shares them.
   * @default {true}
   */
  readonly cache?: boolean | RequestCacheOptions;
  /**
   * The adapters that the request uses, of those that were loaded with the model, with scales of its own.
   * @default {all that were loaded, with their scales}
   */
  readonly adapters?: readonly AdapterOptions[];
}

/** The schema of {@link GenerateOptions}. */
export const generateFields = {
  maxTokens: integer({
    about: "The most tokens to generate.",
    least: 0,
    most: Number.MAX_SAFE_INTEGER,
    otherwise: "until the text ends or the context is full",
    flag: { value: "N", about: "generate at most N tokens" },
  }),
  // What it comes to is found where a vocabulary is at hand: in `resolveSampling`.
  sampling: other<SamplingOptions>()(
    { about: "How tokens are chosen.", expected: "an object", fields: samplingFields },
    (value, name) => {
      readOptions(samplingFields, value, name, "");
      return value as SamplingOptions;
    },
  ),
  stop: other<string | readonly string[], readonly string[]>()(
    {
      about: "Strings that end the answer.",
      expected: "a string or an array of strings",
      default: [],
      otherwise: "none",
    },
    resolveStops,
  ),
  logprobs: integer({
    about: "How many of the likeliest tokens are told in each place, with log probabilities.",
    least: 0,
    most: LIMITS.logprobsMax,
    otherwise: "without log probabilities",
  }),
  constraint: other<ConstraintOptions, ResolvedConstraint>()(
    {
      about: "What the answer must be.",
      expected: "an object with schema, regex, grammar or choice",
      otherwise: "anything",
      fields: constraintFields,
    },
    readConstraint,
  ),
  resume: resumeField,
  draft: draftField,
  logitsProcessor: callback<LogitsProcessor>({
    about: "Called before each token is chosen; it may change the logits.",
  }),
  signal: abortSignal("Ends the request."),
  onAbort: choice(["throw", "return"], {
    about: "What a request comes to that its signal or its deadline ends: an error, or the completion so far.",
    default: "throw",
  }),
  priority: integer({
    about: "Of the requests that wait, those with a higher priority go first.",
    least: 0,
    most: 9,
    default: 5,
  }),
  deadlineMs: number({
    about: "Ends the request after this many milliseconds.",
    above: 0,
    most: Infinity,
    otherwise: "no deadline",
  }),
  ...cacheUseFields,
  adapters: requestAdaptersField,
} as const satisfies FieldsOf<GenerateOptions>;

/**
 * A prompt: a text, or token ids.
 *
 * @example
 * ```ts
 * import { LightGPT, type Prompt } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * const prompts: Prompt[] = ["Once upon a time", lm.tokenize("Once upon a time"), [1, 2, 3]];
 * for (const prompt of prompts) console.log((await lm.complete(prompt, { maxTokens: 5 })).text);
 * ```
 */
export type Prompt = string | ArrayLike<number>;

/** A prompt whose kind is right; its tokens are checked where the vocabulary is at hand. */
export function checkPrompt(prompt: unknown, name: string = "prompt"): Prompt {
  if (typeof prompt === "string" || (prompt !== null && typeof prompt === "object")) return prompt as Prompt;
  return refuseOption(name, "a string or an array of token ids", prompt);
}

/**
 * A request: a prompt and its options.
 *
 * @example
 * ```ts
 * import { type BatchRequest, LightGPT } from "@lightgpt/lightgpt";
 *
 * const request: BatchRequest = { prompt: "Once upon a time", maxTokens: 50, tenant: "trial", priority: 3, deadlineMs: 5000 };
 * await using lm = await LightGPT.load();
 * for await (const { text } of lm.batcher.submit(request)) console.log(text);
 * ```
 */
export interface BatchRequest extends GenerateOptions {
  /** A text or token ids. */
  readonly prompt: Prompt;
  /**
   * Pieces that are made before they are read.
   * @default {4}
   */
  readonly readAhead?: number;
}

/** The schema of {@link BatchRequest}. */
export const requestFields = {
  ...generateFields,
  prompt: other<Prompt>()(
    { about: "A text or token ids.", expected: "a string or an array of token ids", required: true },
    checkPrompt,
  ),
  readAhead: integer({ about: "Pieces that are made before they are read.", least: 1, most: 1 << 16, default: 4 }),
} as const satisfies FieldsOf<BatchRequest>;
