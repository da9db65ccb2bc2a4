/**
 * The class most users need: a model, an engine and a batcher in one object. Text goes in, text comes out; requests that
 * run at the same time share steps.
 *
 * @module
 */
import { ClosedError, LightGPTError } from "../../ffi/errors.ts";
import type { AccuracyOptions } from "../measuring/accuracy.ts";
import type { ModelPlan } from "../model/architectures/architectures.ts";
import { type Batcher, partsOf, type PrefixCache } from "../batching/batcher.ts";
import { type LogitsRequest, readLogits, readRows } from "../batching/read_logits.ts";
import type { ChatMessage } from "../text/chat/template.ts";
import { Conversations } from "../text/chat/conversation.ts";
import { conversationFields, type ConversationOptions } from "../text/chat/options.ts";
import type { Completion, Piece } from "../batching/completion.ts";
import { checkLength } from "../batching/prompt.ts";
import { generateFields, type GenerateOptions, type Prompt, saltOf } from "../batching/request_options.ts";
import { assertGenerates } from "../model/generates.ts";
import { factsOf, loadAccepted, loadFields, type Model } from "../model/model.ts";
import type { Metrics } from "../measuring/metrics/metrics.ts";
import { openOptimizer, type Optimizer } from "../tuning/optimizer.ts";
import { optimizerFields, splitOptimizerOptions } from "../tuning/options.ts";
import { assertRoomFor, memoryLimit } from "../tuning/memory_limit.ts";
import { guarded, refuseOption } from "../options/checks.ts";
import { tokenIds } from "../options/token_ids.ts";
import { showAsLine } from "../options/inspect.ts";
import { given, pickOptions, readOptions } from "../options/schema.ts";
import {
  chatFields,
  type ChatOptions,
  infillFields,
  type InfillOptions,
  lightGptFields,
  type LightGPTOptions,
  logitsFields,
  type LogitsOptions,
} from "./options.ts";
import { LIMITS } from "../../ffi/wire.ts";
import type { Embedder } from "../embedding/embedder.ts";
import type { EmbedInput, EmbedSource, RankedDocument } from "../embedding/types.ts";
import type { Embeddings } from "../embedding/embeddings.ts";
import type { EmbedOptions, RerankOptions } from "../embedding/options.ts";
import type { Comparison } from "../measuring/comparison.ts";
import type { Perplexity, PerplexityOptions } from "../measuring/perplexity.ts";
import { cutPrompt, lastOf, unread } from "./cut.ts";
import { type Answer, type AnswerOptions, type AnswerPiece, asksForAnswer } from "./answer_options.ts";
import type { Answers } from "./answers.ts";
import type { Tools } from "../tools/tool.ts";
import { fitFields, type FitOptions, type Fitted } from "./fit_options.ts";
import { type PreparedAnswer, Session } from "./session.ts";
import { messageList, type SessionOptions } from "./session_options.ts";
import type { ObjectOptions, ObjectPart, ObjectResult } from "./object_options.ts";
import type { StandardSchema } from "../grammar/standard/types.ts";
import { infillPrompt } from "../text/infill.ts";
import type { EncodeOptions, Tokenizer } from "../text/tokenizer/types.ts";

/** What reads whole texts by a model that generates. */
export let textsOf: (lm: LightGPT) => Promise<Embedder>;

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
  static {
    textsOf = (lm) => lm.#texts();
    showAsLine(LightGPT, ({ model, context, threads }) => ({ ...factsOf(model), context, threads }));
  }
  /** The model: metadata, sizes, vocabulary. */
  readonly model: Model;
  /** Threads that compute. */
  readonly threads: number;
  /** What runs the requests; it takes requests with more to say too. */
  readonly batcher: Batcher;
  /** What found the settings, and says why. */
  readonly optimizer: Optimizer;
  #conversations: Conversations | undefined;
  #answers: Promise<Answers> | undefined;
  #embedder: Promise<Embedder> | undefined;
  #disposed: Promise<void> | undefined;

  private constructor(model: Model, optimizer: Optimizer) {
    this.model = model;
    this.optimizer = optimizer;
    this.batcher = optimizer.batcher;
    this.threads = this.batcher.threads;
  }

  /**
   * Loads a model: a GGUF file by its path or `file:` URL, or by a name, which is fetched once (`smollm2:135m`,
   * `hf:user/repo:Q4_K_M`, `hf:user/repo/file.gguf`, `https://...gguf`, `ollama:name`, `lmstudio:user/repo`). Without any, the small
   * one that comes with LightGPT.
   */
  static async load(path?: string | URL, options: LightGPTOptions = {}): Promise<LightGPT> {
    // What is wrong should show before a model is loaded.
    readOptions(lightGptFields, options);
    const split = splitOptimizerOptions(pickOptions(optimizerFields, options));
    // A share of what is free is one of what is free now, not of what the model leaves.
    const limit = memoryLimit(split.serving.memory);
    const accept = (plan: ModelPlan, context: number) => {
      assertGenerates(plan);
      assertRoomFor(plan, { ...split.pages, context }, limit);
    };
    const model = await loadAccepted(path, pickOptions(loadFields, options), accept);
    try {
      return new LightGPT(model, await openOptimizer(model, split, limit));
    } catch (error) {
      model.dispose();
      throw error;
    }
  }

  /** Metrics: counts and times of steps, requests, the cache and memory. */
  get metrics(): Metrics {
    return this.optimizer.metrics;
  }

  /** The keys and values that are kept for later requests; undefined with the option `cache: false`. */
  get cache(): PrefixCache | undefined {
    return this.batcher.cache;
  }

  /** Tokens that a prompt and what follows it may have. */
  get context(): number {
    return this.model.context;
  }

  /**
   * Continues a prompt, piece by piece; the generator's last value is what {@link LightGPT.complete} gives. Read it to its end, or
   * end it (`break`, `return()`, a signal): until then it counts among the requests that are open.
   */
  generate(prompt: string | ArrayLike<number>, options: GenerateOptions = {}): AsyncGenerator<Piece, Completion, void> {
    return this.batcher.generate(prompt, options);
  }

  /** Continues a prompt and gives the whole at its end. */
  complete(prompt: string | ArrayLike<number>, options: GenerateOptions = {}): Promise<Completion> {
    return this.batcher.complete(prompt, options);
  }

  /**
   * Writes what stands between two texts.
   *
   * @param options the two texts, and how to generate
   * @throws {UnsupportedError} if the model was not trained for it: its vocabulary has no tokens that mark the texts
   *
   * @example
   * ```ts
   * import { LightGPT } from "@lightgpt/lightgpt";
   *
   * await using lm = await LightGPT.load("model.gguf");
   * try {
   *   const { text } = await lm.infill({ prefix: "def add(a, b):\n", suffix: "\nprint(add(1, 2))", maxTokens: 50 });
   *   console.log(text);
   * } catch (error) {
   *   console.log(`${error}`); // most models that are not of code cannot fill in
   * }
   * ```
   */
  async infill(options: InfillOptions): Promise<Completion> {
    const { prefix, suffix, signal } = readOptions(infillFields, options);
    const { tokenizer, gguf: { metadata }, context } = this.model;
    const prompt = await infillPrompt({ prefix, suffix }, { metadata, tokenizer }, { context, ...given({ signal }) });
    return await this.complete(prompt, pickOptions(generateFields, options));
  }

  /**
   * Answers a conversation piece by piece, by the chat template in the model's file; the generator's last value is what
   * {@link LightGPT.complete} gives.
   *
   * @param messages the conversation
   * @param options how to render it, and how to generate
   * @returns the pieces
   * @throws {UnsupportedError} where the file has no template and none is given
   */
  chat(messages: readonly ChatMessage[], options?: ChatOptions): AsyncGenerator<Piece, Completion, void>;
  /**
   * The same with tools that the model may call, or with its thoughts told apart: each piece says whether it is text, thoughts or
   * a call, and the last value has all of them.
   *
   * @param messages the conversation
   * @param options the tools, and how to generate
   * @returns the pieces
   * @throws {UnsupportedError} where it is not known how the model writes calls
   */
  chat<T extends Tools>(
    messages: readonly ChatMessage[],
    options: AnswerOptions<T>,
  ): AsyncGenerator<AnswerPiece<T>, Answer<T>, void>;
  /** Answers `messages` in either way. */
  chat(messages: readonly ChatMessage[], options: ChatOptions | AnswerOptions = {}): AsyncGenerator {
    return guarded("options", () => asksForAnswer(options))
      ? this.#answer(messages, options as AnswerOptions)
      : this.#chat(messages, options as ChatOptions);
  }

  async *#answer(
    messages: readonly ChatMessage[],
    options: AnswerOptions,
  ): AsyncGenerator<AnswerPiece, Answer, void> {
    return yield* (await this.#answering()).stream(this.#answerHost(this.context), messages, options);
  }

  #answerHost(context: number) {
    return {
      context,
      tokenizer: this.#tokenizer,
      conversations: this.#talk,
      generate: (prompt: Prompt, options: GenerateOptions) => this.generate(prompt, options),
    };
  }

  /** Most programs never need what finds and reads calls. */
  #answering(): Promise<Answers> {
    return this.#answers ??= import("./answers.ts").then(({ Answers }) => new Answers());
  }

  async *#chat(messages: readonly ChatMessage[], options: ChatOptions): AsyncGenerator<Piece, Completion, void> {
    const { signal, prefill } = readOptions(chatFields, options);
    const { context } = this;
    const limits = { context, begun: prefill, ...(signal === undefined ? {} : { signal }) };
    const prompt = await this.#talk.tokens(messages, pickOptions(conversationFields, options), limits)
      .catch((error) => cutPrompt(error, options));
    return yield* this.generate(prompt ?? unread, pickOptions(generateFields, options));
  }

  /**
   * Answers a conversation and gives the whole at its end: text, tokens, how many there are, and why it ended.
   *
   * @param messages the conversation
   * @param options how to render it, and how to generate
   * @returns the whole
   *
   * @example
   * ```ts
   * import { LightGPT } from "@lightgpt/lightgpt";
   *
   * await using lm = await LightGPT.load("model.gguf");
   * const { text, stopReason } = await lm.reply([{ role: "user", content: "Hello!" }], { maxTokens: 100 });
   * console.log(text, stopReason);
   * ```
   */
  reply(messages: readonly ChatMessage[], options?: ChatOptions): Promise<Completion>;
  /**
   * The same with tools that the model may call, or with its thoughts told apart.
   *
   * @param messages the conversation
   * @param options the tools, and how to generate
   * @returns text, thoughts and calls, and the answer as a message
   * @throws {LightGPTError} with the code `incomplete` where a call was cut, with the code `invalidOutput` where the check of its
   * tool's schema refuses its input
   */
  reply<T extends Tools>(messages: readonly ChatMessage[], options: AnswerOptions<T>): Promise<Answer<T>>;
  /** Answers `messages` in either way. */
  async reply(messages: readonly ChatMessage[], options: ChatOptions | AnswerOptions = {}): Promise<unknown> {
    return await lastOf(this.chat(messages, options as ChatOptions));
  }

  /**
   * Has the model write an object of a schema, after a prompt or in a conversation. No token that would break the schema is
   * chosen; at the end the schema's own check has its say, and what it makes of the object is given.
   *
   * @param prompt a text, token ids, or the messages of a conversation
   * @param options the schema, and how to generate
   * @returns the object, and what a completion has
   * @throws {ObjectError} with the code `incomplete` where `maxTokens`, the context or `deadlineMs` cut the object, with the code
   * `invalidOutput` where the schema's own check refuses it
   *
   * @example
   * ```ts
   * import { jsonSchema, LightGPT } from "@lightgpt/lightgpt";
   *
   * const schema = jsonSchema<{ name: string; age: number }>({
   *   type: "object",
   *   properties: { name: { type: "string", maxLength: 20 }, age: { type: "integer", minimum: 1, maximum: 99 } },
   *   required: ["name", "age"],
   * });
   * await using lm = await LightGPT.load();
   * const { object } = await lm.object("The hero of the story: ", { schema, maxTokens: 200 });
   * console.log(object.name, object.age);
   * ```
   */
  async object<S extends StandardSchema>(
    prompt: Prompt | readonly ChatMessage[],
    options: ObjectOptions<S>,
  ): Promise<ObjectResult<S>> {
    const { writeObject } = await import("./objects.ts");
    return await lastOf(writeObject(this, prompt, options));
  }

  /**
   * The same as {@link LightGPT.object}, as a value that grows; the generator's last value is what that gives.
   *
   * @param prompt a text, token ids, or the messages of a conversation
   * @param options the schema, and how to generate
   * @returns parts of the object as they come; the last has the whole as the model wrote it
   */
  async *objectStream<S extends StandardSchema>(
    prompt: Prompt | readonly ChatMessage[],
    options: ObjectOptions<S>,
  ): AsyncGenerator<ObjectPart<S>, ObjectResult<S>, void> {
    const { streamObject } = await import("./objects.ts");
    return yield* streamObject(this, prompt, options);
  }

  /**
   * A conversation that is kept: it has a history, forgets the oldest turns where the context is full, and becomes plain data.
   *
   * @param options a system message, the messages so far, and options for all its answers
   * @returns the session
   *
   * @example
   * ```ts
   * import { LightGPT } from "@lightgpt/lightgpt";
   *
   * await using lm = await LightGPT.load("model.gguf");
   * const session = lm.session({ system: "You are terse.", maxTokens: 100 });
   * console.log((await session.reply("Who wrote Faust?")).text);
   * console.log((await session.reply("When?")).text);
   * ```
   */
  session(options: SessionOptions = {}): Session {
    const { context } = this;
    this.#assertOpen();
    return new Session({
      context,
      prepare: (messages, options) => this.#prepare(messages, options),
    }, options);
  }

  /**
   * How many tokens a text has, as {@link LightGPT.tokenize} makes them, or a conversation, as a prompt.
   *
   * @param input a text, or the messages of a conversation
   * @param options how a conversation is rendered
   * @returns the number of tokens
   */
  async countTokens(input: string | readonly ChatMessage[], options: ConversationOptions = {}): Promise<number> {
    const tokenizer = this.#tokenizer;
    readOptions(conversationFields, options);
    if (typeof input === "string") return (await tokenizer.encodeAsync(input)).length;
    return (await this.#talk.tokens(messageList(input, "input"), options)).length;
  }

  /**
   * Makes a conversation fit: drops its oldest turns, or shortens one of its messages, until its prompt has at most `tokens`
   * tokens.
   *
   * @param messages the conversation
   * @param options how much it may take, and what gives way
   * @returns what is left, and what was dropped
   * @throws {InvalidArgumentError} where what must stay is too long
   *
   * @example
   * ```ts
   * import { LightGPT } from "@lightgpt/lightgpt";
   *
   * await using lm = await LightGPT.load("model.gguf");
   * const conversation = [{ role: "user", content: "Hello!" }];
   * const { messages, dropped } = await lm.fit(conversation, { tokens: lm.context - 200 });
   * console.log((await lm.reply(messages, { maxTokens: 200 })).text, dropped.length);
   * ```
   */
  async fit(messages: readonly ChatMessage[], options: FitOptions = {}): Promise<Fitted> {
    const talk = this.#talk;
    const { tokens = Math.ceil(this.context * 3 / 4), cut } = readOptions(fitFields, options);
    const rendering = pickOptions<ConversationOptions>(conversationFields, options);
    const count = async (messages: readonly ChatMessage[]) => (await talk.tokens(messages, rendering)).length;
    const all = messageList(messages, "messages");
    const { dropOldest, shorten } = await import("./fit.ts");
    return cut === "oldest" ? dropOldest(all, { most: tokens }, count) : shorten(all, { at: cut, most: tokens }, count);
  }

  /** The prompt of an answer, of any length. */
  async #prepare(messages: readonly ChatMessage[], options: ChatOptions | AnswerOptions): Promise<PreparedAnswer> {
    if (!guarded("options", () => asksForAnswer(options))) {
      const { prefill = "", ...chat } = options as ChatOptions;
      const prompt = await this.#talk.tokens(messages, pickOptions(conversationFields, chat), { begun: prefill });
      return { tokens: prompt.length, answer: () => this.generate(prompt, pickOptions(generateFields, chat)) };
    }
    const [answers, host] = [await this.#answering(), this.#answerHost(Number.MAX_SAFE_INTEGER)];
    const prepared = await answers.prepare(host, messages, options as AnswerOptions);
    return { tokens: prepared.ids.length, answer: () => answers.answer(host, prepared, options as AnswerOptions) };
  }

  /** The prompt that {@link LightGPT.chat} makes of `messages` and continues, as tokens. */
  async chatTokens(messages: readonly ChatMessage[], options: ConversationOptions = {}): Promise<Uint32Array> {
    const talk = this.#talk;
    readOptions(conversationFields, options);
    return await talk.tokens(messages, options);
  }

  /** The tokens of a text: with those that the model wants at its ends, and none parsed from the text itself, unless asked. */
  tokenize(text: string, options: EncodeOptions = {}): Uint32Array {
    return this.#tokenizer.encode(text, options);
  }

  /** The text of tokens. */
  detokenize(tokens: ArrayLike<number>): string {
    const tokenizer = this.#tokenizer;
    return tokenizer.decode(tokenIds("tokens", tokens, tokenizer.vocabularySize));
  }

  /**
   * The logits after the last of `tokens`, or, with `all`, after each, one row after the other. What was read before is found
   * in the prefix cache, as for requests, unless `all` wants a row for each token.
   */
  async logits(tokens: ArrayLike<number>, options: LogitsOptions = {}): Promise<Float32Array> {
    this.#assertOpen();
    const { all, signal, adapters, ...cacheUse } = readOptions(logitsFields, options);
    const { vocabulary } = this.model;
    const ids = tokenIds("tokens", tokens, vocabulary);
    if (ids.length === 0) refuseOption("tokens", "at least one token", "none");
    const rows = all ? ids.length : 1;
    if (rows * vocabulary * 4 >= 2 ** 32) {
      throw new LightGPTError(
        "limit",
        `${rows} rows of ${vocabulary} logits are more than 4 GiB; ask for fewer at once.`,
      );
    }
    const logits = new Float32Array(rows * vocabulary);
    await this.#read({
      tokens: ids,
      rows: rows === 1 ? "last" : "all",
      receive: (row, position) => logits.set(row, rows === 1 ? 0 : position * vocabulary),
      signal,
      tenant: cacheUse.tenant,
      salt: saltOf(cacheUse),
      adapters: this.model.adapters.use(adapters, "adapters"),
    });
    return logits;
  }

  /**
   * Makes a vector of each text, by the rows behind the last norm; how they are pooled, the file says, or `pooling`.
   *
   * @param inputs a text, or many: strings, or arrays of token ids
   * @param options what vectors are like
   * @returns the vectors in one block
   * @throws {LightGPTError} where neither says how rows are pooled
   *
   * @example
   * ```ts
   * import { LightGPT } from "@lightgpt/lightgpt";
   *
   * await using lm = await LightGPT.load();
   * const { dimensions, count } = await lm.embed(["Once upon a time", "The end"], { pooling: "mean" });
   * console.log(count, dimensions);
   * ```
   */
  async embed(inputs: EmbedInput | EmbedSource, options: EmbedOptions = {}): Promise<Embeddings> {
    return await (await this.#texts()).embed(inputs, options);
  }

  /**
   * Scores how well each document answers a query, where the model has a head for it, as rerankers made of generating models do.
   *
   * @param query the question
   * @param documents what may answer it
   * @param options how many are wanted
   * @returns the documents, the best first
   * @throws {UnsupportedError} where the model has no head that ranks
   */
  async rerank(query: string, documents: readonly string[], options: RerankOptions = {}): Promise<RankedDocument[]> {
    return await (await this.#texts()).rerank(query, documents, options);
  }

  /** What reads whole texts, made on first use. */
  #texts(): Promise<Embedder> {
    this.#assertOpen();
    const { threads } = this;
    const context = Math.min(this.context, LIMITS.batchTokensMax);
    return this.#embedder ??= import("../embedding/embedder.ts").then(({ Embedder }) =>
      Embedder.over(this.model, { context, threads })
    );
  }

  /** How well the model predicts a text. All tokens are read, whatever the prefix cache has: each is predicted. */
  async perplexity(text: string, options: PerplexityOptions = {}): Promise<Perplexity> {
    const tokenizer = this.#tokenizer;
    const { measurePerplexity } = await import("../measuring/perplexity.ts");
    return await measurePerplexity({ tokenizer, context: this.context }, this.#rows, text, options);
  }

  /**
   * How near this model, as it runs, is to a reference on a text: KL divergence, equal choices, ratio of perplexities. The
   * reference is the file that it was made from, which is loaded for it and freed again, another model that runs, or what one
   * said earlier (`klDivergenceBase`).
   * {@link LightGPT.metrics} tells the figures from then on.
   */
  async accuracy(options: AccuracyOptions): Promise<Comparison> {
    this.#assertOpen();
    return await this.optimizer.accuracy(options);
  }

  /** Ends all requests with an error of the code `closed` and frees all memory. Again is fine. */
  dispose(): Promise<void> {
    return this.#disposed ??= this.#dispose();
  }

  /** {@link LightGPT.dispose}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  async #dispose(): Promise<void> {
    try {
      await (await this.#embedder)?.dispose();
      await this.optimizer.dispose();
    } finally {
      this.model.dispose();
    }
  }

  get #talk(): Conversations {
    const tokenizer = this.#tokenizer;
    return this.#conversations ??= new Conversations(this.model.gguf.metadata, tokenizer);
  }

  get #tokenizer(): Tokenizer {
    this.#assertOpen();
    return this.model.tokenizer;
  }

  #assertOpen(): void {
    if (this.#disposed === undefined) return;
    throw new ClosedError("LightGPT was used after it was disposed.", {
      what: "used after it was disposed",
      where: "LightGPT",
    });
  }

  /** Reads tokens for the logits after each, part by part. */
  readonly #rows = (tokens: Uint32Array, first: number, signal: AbortSignal | undefined) =>
    readRows(partsOf(this.batcher).scheduler, tokens, first, this.model.vocabulary, signal);

  /** Reads tokens for their logits. */
  async #read(request: LogitsRequest): Promise<void> {
    checkLength("tokens", request.tokens.length, this.context);
    await readLogits(partsOf(this.batcher).scheduler, request);
  }
}
