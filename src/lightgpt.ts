/**
 * The class most users need: a model, an engine and a batcher in one object. Text goes in, text comes out; requests that
 * run at the same time share steps.
 *
 * @module
 */
import { ClosedError, LightGPTError, OutOfMemoryError } from "../ffi/errors.ts";
import { native } from "../ffi/native.ts";
import { Batcher } from "./batcher.ts";
import type { ChatMessage } from "./chat.ts";
import { type ConversationOptions, conversationOptions, Conversations } from "./conversation.ts";
import { fetchEmbeddedModel } from "./embedded.ts";
import { Engine, type EngineSettings, pageBytes } from "./engine.ts";
import {
  checkIds,
  checkLength,
  type Completion,
  type GenerateOptions,
  Generation,
  type Host,
  type Piece,
} from "./generation.ts";
import { type LoadProgress, Model } from "./model.ts";
import {
  cancelledBy,
  checkFunction,
  checkKeys,
  checkSignal,
  choiceOption,
  integerOption,
  refuseOption,
} from "./options.ts";
import { chunkMost } from "./pace.ts";
import { pagesFor } from "./pages.ts";
import {
  comparePerplexity,
  type Comparison,
  measurePerplexity,
  type Perplexity,
  type PerplexityOptions,
} from "./perplexity.ts";
import type { EncodeOptions } from "./tokenizer/mod.ts";

/**
 * What may be said about loading a model to run it.
 *
 * @example
 * ```ts
 * import { LightGPT, type LightGPTOptions } from "@lightgpt/lightgpt";
 *
 * const options: LightGPTOptions = { threads: 4, context: 2048, kv: "q8_0" };
 * await using lm = await LightGPT.load("model.gguf", options);
 * ```
 */
export interface LightGPTOptions {
  /** Threads that compute. Default: one for each processor. */
  readonly threads?: number;
  /** Tokens of a prompt and what follows it. Default: what the model was trained for, at most 8192. */
  readonly context?: number;
  /** How keys and values are stored. Default `f16`. */
  readonly kv?: "f16" | "f32" | "q8_0";
  /** How activations are rounded before products with quantized weights. Default `int8`. */
  readonly activations?: "int8" | "int16";
  /** Positions of a KV page; results do not depend on it. Default 32. */
  readonly pageSize?: 16 | 32 | 64;
  /** Tokens of a prompt that one step reads; results do not depend on it. Default: as many as take about 50 ms. */
  readonly chunkTokens?: number;
  /** Ends loading. */
  readonly signal?: AbortSignal;
  /** Hears how far loading is. */
  readonly onProgress?: (progress: LoadProgress) => void;
  /** Cut words by default rules where the file names unknown ones; tokens may be slightly wrong then. Default: refuse. */
  readonly allowUnknownPreTokenizer?: boolean;
}

/**
 * What may be said about computing logits.
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
  /** The logits after each token, not only after the last. */
  readonly all?: boolean;
  /** Ends the computation. */
  readonly signal?: AbortSignal;
}

/**
 * What may be said about one answer in a conversation.
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
export interface ChatOptions extends GenerateOptions, ConversationOptions {}

const optionNames = [
  "threads",
  "context",
  "kv",
  "activations",
  "pageSize",
  "chunkTokens",
  "signal",
  "onProgress",
  "allowUnknownPreTokenizer",
] as const satisfies readonly (keyof LightGPTOptions)[];

const threadsMost = 256;
/** Most sequences of a step. */
const sequencesMost = 16;
/** Beyond the first, contexts get pages only within so much memory. */
const pageBudget = 2 ** 30;
/** Logits of a step get so much memory. */
const logitBudget = 2 ** 24;

/**
 * A language model, ready to run.
 *
 * @example
 * ```ts
 * import { LightGPT } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load(); // or a path: "model.gguf"
 * for await (const piece of lm.generate("Once upon a time", { maxTokens: 100 })) {
 *   console.log(piece.text);
 * }
 * ```
 */
export class LightGPT {
  /** The model: metadata, sizes, vocabulary. */
  readonly model: Model;
  /** Threads that compute. */
  readonly threads: number;
  readonly #batcher: Batcher;
  #conversations: Conversations | undefined;
  #disposed: Promise<void> | undefined;

  private constructor(model: Model, batcher: Batcher, threads: number) {
    this.model = model;
    this.threads = threads;
    this.#batcher = batcher;
  }

  /** Loads a GGUF file; without a path, the small model that comes with LightGPT. */
  static async load(path?: string, options: LightGPTOptions = {}): Promise<LightGPT> {
    checkKeys("options", options, optionNames);
    checkFunction("onProgress", options.onProgress);
    const settings = {
      kv: choiceOption("kv", options.kv, ["f16", "f32", "q8_0"], "f16"),
      pageSize: choiceOption("pageSize", options.pageSize, [16, 32, 64], 32),
      threads: integerOption("threads", options.threads, 1, threadsMost, defaultThreads()),
      activationBits: choiceOption("activations", options.activations, ["int8", "int16"], "int8") === "int8" ? 8 : 16,
    } as const;
    const chunk = options.chunkTokens === undefined
      ? undefined
      : integerOption("chunkTokens", options.chunkTokens, 1, chunkMost, chunkMost);
    const { context, signal, onProgress, allowUnknownPreTokenizer } = options;
    const model = await Model.load(path === undefined ? await fetchEmbeddedModel() : path, {
      ...(context === undefined ? {} : { context }),
      ...(signal === undefined ? {} : { signal }),
      ...(onProgress === undefined ? {} : { onProgress }),
      ...(allowUnknownPreTokenizer === undefined ? {} : { allowUnknownPreTokenizer }),
    });
    try {
      const engine = new Engine(model, { ...settings, ...sizes(model, settings) });
      return new LightGPT(model, new Batcher(engine, model.residentBytes, chunk), settings.threads);
    } catch (error) {
      model.dispose();
      throw error;
    }
  }

  /** Tokens that a prompt and what follows it may have. */
  get context(): number {
    return this.model.context;
  }

  /**
   * Continues a prompt, piece by piece; the generator's last value is what {@link LightGPT.complete} gives. Read it to its end, or
   * end it (`break`, `return()`, a signal): until then it keeps room for its whole length, which others may wait for.
   */
  generate(prompt: string | ArrayLike<number>, options: GenerateOptions = {}): AsyncGenerator<Piece, Completion, void> {
    if (typeof prompt !== "string" && (prompt === null || typeof prompt !== "object")) {
      refuseOption("prompt", "a string or an array of token ids", prompt);
    }
    return new Generation(() => this.#host(), prompt, options);
  }

  /** Continues a prompt and gives the whole at its end. */
  async complete(prompt: string | ArrayLike<number>, options: GenerateOptions = {}): Promise<Completion> {
    const pieces = this.generate(prompt, options);
    for (;;) {
      const { done, value } = await pieces.next();
      if (done) return value;
    }
  }

  /**
   * Answers a conversation, piece by piece, by the chat template in the model's file; the generator's last value is what
   * {@link LightGPT.complete} gives. Throws an {@link UnsupportedError} where the file has no template and none is given.
   */
  async *chat(
    messages: readonly ChatMessage[],
    options: ChatOptions = {},
  ): AsyncGenerator<Piece, Completion, void> {
    const entries = Object.entries(options);
    const isConversation = ([name]: [string, unknown]) => (conversationOptions as readonly string[]).includes(name);
    const prompt = await this.chatTokens(messages, Object.fromEntries(entries.filter(isConversation)));
    return yield* this.generate(prompt, Object.fromEntries(entries.filter((entry) => !isConversation(entry))));
  }

  /** The prompt that {@link LightGPT.chat} continues, as tokens. */
  async chatTokens(messages: readonly ChatMessage[], options: ConversationOptions = {}): Promise<Uint32Array> {
    const { tokenizer } = this.#host();
    checkKeys("options", options, conversationOptions);
    this.#conversations ??= new Conversations(this.model.gguf.metadata, tokenizer);
    return await this.#conversations.tokens(messages, options);
  }

  /** The tokens of a text: with those that the model wants at its ends, and none parsed from the text itself, unless asked. */
  tokenize(text: string, options?: EncodeOptions): Uint32Array {
    if (typeof text !== "string") refuseOption("text", "a string", text);
    return this.#host().tokenizer.encode(text, options);
  }

  /** The text of tokens. */
  detokenize(tokens: ArrayLike<number>): string {
    const { tokenizer } = this.#host();
    return tokenizer.decode(checkIds(tokens, tokenizer.vocabularySize));
  }

  /** The logits after the last of `tokens`, or, with `all`, after each, one row after the other. */
  async logits(tokens: ArrayLike<number>, options: LogitsOptions = {}): Promise<Float32Array> {
    this.#assertOpen();
    checkKeys("options", options, ["all", "signal"]);
    if (options.all !== undefined && typeof options.all !== "boolean") refuseOption("all", "a boolean", options.all);
    const { vocabulary } = this.model;
    const ids = checkIds(tokens, vocabulary);
    if (ids.length === 0) refuseOption("tokens", "at least one token", "none");
    const rows = options.all ? ids.length : 1;
    if (rows * vocabulary * 4 >= 2 ** 32) {
      throw new LightGPTError(
        "limit",
        `${rows} rows of ${vocabulary} logits are more than 4 GiB; ask for fewer at once.`,
      );
    }
    const logits = new Float32Array(rows * vocabulary);
    await this.#read(ids, rows === 1 ? "last" : "all", (row, position) => {
      logits.set(row, rows === 1 ? 0 : position * vocabulary);
    }, options.signal);
    return logits;
  }

  /** How well the model predicts a text. */
  async perplexity(text: string, options: PerplexityOptions = {}): Promise<Perplexity> {
    const { tokenizer, context } = this.#host();
    return await measurePerplexity(
      (tokens, receive, signal) => this.#read(tokens, "all", receive, signal),
      tokenizer,
      context,
      text,
      options,
    );
  }

  /** How far this model is from another one, the reference, on a text; both must have the same vocabulary. */
  async compare(reference: LightGPT, text: string, options: PerplexityOptions = {}): Promise<Comparison> {
    const { tokenizer, context } = this.#host();
    if (!(reference instanceof LightGPT)) refuseOption("reference", "a LightGPT", reference);
    const other = reference.#host().tokenizer;
    if (other.vocabularySize !== tokenizer.vocabularySize || other.bos !== tokenizer.bos) {
      refuseOption(
        "reference",
        `a model with the same vocabulary of ${tokenizer.vocabularySize}`,
        other.vocabularySize,
      );
    }
    return await comparePerplexity(
      (tokens, receive, signal) => this.#read(tokens, "all", receive, signal),
      (tokens, receive, signal) => reference.#read(tokens, "all", receive, signal),
      tokenizer,
      Math.min(context, reference.context),
      text,
      options,
    );
  }

  /** Ends all requests with an error of the code `closed` and frees all memory. Again is fine. */
  dispose(): Promise<void> {
    return this.#disposed ??= this.#batcher.dispose().finally(() => this.model.dispose());
  }

  /** {@link LightGPT.dispose}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  #host(): Host {
    this.#assertOpen();
    const { tokenizer, context, loadMs } = this.model;
    return { batcher: this.#batcher, tokenizer, context, loadMs };
  }

  #assertOpen(): void {
    if (this.#disposed === undefined) return;
    throw new ClosedError("LightGPT was used after it was disposed.", {
      what: "used after it was disposed",
      where: "LightGPT",
    });
  }

  /** Reads tokens for their logits. */
  async #read(
    tokens: Uint32Array,
    rows: "last" | "all",
    receive: (rows: Float32Array, position: number) => void,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    checkSignal(signal);
    checkLength("tokens", tokens.length, this.context);
    const sequence = this.#batcher.add({ prompt: tokens, positions: tokens.length, logits: { rows, receive } });
    const abort = () => sequence.end(cancelledBy(signal as AbortSignal));
    signal?.addEventListener("abort", abort, { once: true });
    try {
      await sequence.next();
    } finally {
      signal?.removeEventListener("abort", abort);
      sequence.end();
    }
  }
}

function defaultThreads(): number {
  return Math.min(threadsMost, Math.max(1, navigator.hardwareConcurrency));
}

/** What the engine should have room for: as many contexts as are cheap, and at least one. */
function sizes(model: Model, { kv, pageSize }: Pick<EngineSettings, "kv" | "pageSize">) {
  const pages = pagesFor(model.context, pageSize);
  const bytes = pages * pageBytes(model.plan.hyperparameters, kv, pageSize);
  const limit = native().memoryLimit;
  const left = limit === undefined ? Infinity : limit - model.residentBytes;
  if (bytes > left) {
    const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
    throw new OutOfMemoryError(
      `context: the keys and values of ${model.context} positions take ${gib(bytes)}, and of ${gib(limit as number)} ` +
        `of memory the weights leave ${gib(left)}; expected a smaller context, or kv "q8_0".`,
      { what: "not enough memory", where: "context", expected: `at most ${gib(left)}`, got: gib(bytes) },
    );
  }
  const contexts = Math.max(1, Math.min(sequencesMost, Math.floor(Math.min(pageBudget, left / 2) / bytes)));
  const logitRows = Math.floor(logitBudget / (4 * model.vocabulary));
  return {
    pages: pages * contexts,
    sequences: sequencesMost,
    batchTokens: chunkMost + sequencesMost,
    logitRows: Math.max(sequencesMost, Math.min(chunkMost, logitRows)),
  };
}
