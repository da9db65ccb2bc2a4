/**
 * A conversation that is kept: each turn adds a message and its answer. A turn that fails leaves the conversation as it was;
 * one that is stopped keeps what was said.
 *
 * @module
 */
import { LightGPTError } from "../../ffi/errors.ts";
import { cutBy } from "../batching/errors.ts";
import type { Completion, Piece } from "../batching/completion.ts";
import { guarded, refuseOption } from "../options/checks.ts";
import { showAsLine } from "../options/inspect.ts";
import { pickOptions, readOptions } from "../options/schema.ts";
import type { ChatMessage } from "../text/chat/inputs.ts";
import type { Tools } from "../tools/tool.ts";
import { type Answer, answerFields, type AnswerOptions, type AnswerPiece, asksForAnswer } from "./answer_options.ts";
import { lastOf } from "./cut.ts";
import type { Count } from "./fit.ts";
import type { Fitted } from "./fit_options.ts";
import { chatFields, type ChatOptions } from "./options.ts";
import {
  messageList,
  type OnContextFull,
  type SessionAnswer,
  sessionAnswerFields,
  type SessionData,
  sessionFields,
  type SessionOptions,
  type SessionReply,
} from "./session_options.ts";

/** What a session needs of its model. */
export interface SessionHost {
  /** Tokens that a prompt and its answer may have. */
  readonly context: number;
  /** Makes the prompt of a conversation. */
  prepare(messages: readonly ChatMessage[], options: ChatOptions | AnswerOptions): Promise<PreparedAnswer>;
}

/** The prompt of a conversation. */
export interface PreparedAnswer {
  /** How many tokens it has. */
  readonly tokens: number;
  /** Answers it. */
  answer(): AsyncGenerator<Piece, Completion, void> | AsyncGenerator<AnswerPiece, Answer, void>;
}

/** How answers end that are stopped. */
const stopReasons: readonly Completion["stopReason"][] = ["aborted", "deadline"];

/**
 * What a turn says: a text of the user, a message, or several (such as the results of tools).
 *
 * @example
 * ```ts
 * import { LightGPT, type Turn } from "@lightgpt/lightgpt";
 *
 * const turns: Turn[] = ["Hello!", { role: "user", content: "Who are you?" }];
 * await using lm = await LightGPT.load("model.gguf");
 * const session = lm.session({ maxTokens: 20 });
 * for (const turn of turns) console.log((await session.reply(turn)).text);
 * ```
 */
export type Turn = string | ChatMessage | readonly ChatMessage[];

/**
 * A conversation that is kept, from {@link LightGPT.session}.
 *
 * @example
 * ```ts
 * import { LightGPT } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load("model.gguf");
 * const session = lm.session({ system: "You are terse.", maxTokens: 100 });
 * for await (const piece of session.chat("Who wrote Faust?")) console.log(piece.text);
 * const { text } = await session.reply("When?");
 * console.log(text, session.messages.length);
 * ```
 */
export class Session {
  static {
    showAsLine(Session, ({ system, messages }) => ({ system, messages: messages.length }));
  }
  /** The system message. */
  readonly system: string | undefined;
  readonly #host: SessionHost;
  readonly #options: ChatOptions;
  readonly #onContextFull: OnContextFull;
  #messages: readonly ChatMessage[];
  #isAnswering = false;

  /** For one model. */
  constructor(host: SessionHost, options: SessionOptions) {
    const { system, messages, onContextFull } = readOptions(sessionFields, options);
    this.#host = host;
    this.system = system;
    this.#messages = [...messages];
    this.#onContextFull = onContextFull;
    this.#options = pickOptions(sessionAnswerFields, options);
  }

  /** The messages so far, without the system message. */
  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  /**
   * Answers a turn piece by piece; the generator's last value is what {@link Session.reply} gives. What was said stays also
   * where the answer is stopped; an error takes the turn back.
   *
   * @param turn what the user says, or messages to add
   * @param options options for this answer
   * @returns the pieces
   * @throws {LightGPTError} with the code `limit` where the conversation is too long and may not be shortened
   */
  chat(turn: Turn, options?: ChatOptions): AsyncGenerator<Piece, SessionReply, void>;
  /**
   * The same with tools that the model may call, or with its thoughts told apart. The results of calls are the next turn.
   *
   * @param turn what the user says, or messages to add
   * @param options the tools, and options for this answer
   * @returns the pieces
   */
  chat<T extends Tools>(
    turn: Turn,
    options: AnswerOptions<T>,
  ): AsyncGenerator<AnswerPiece<T>, SessionAnswer<T>, void>;
  /**
   * Answers in either way.
   *
   * @param turn what the user says, or messages to add
   * @param options options for this answer
   * @returns the pieces
   */
  chat(turn: Turn, options: ChatOptions | AnswerOptions = {}): AsyncGenerator {
    return this.#answer(this.#messages, messagesOf(turn), options as ChatOptions);
  }

  /**
   * Answers a turn and gives the whole at its end.
   *
   * @param turn what the user says, or messages to add
   * @param options options for this answer
   * @returns the whole
   */
  reply(turn: Turn, options?: ChatOptions): Promise<SessionReply>;
  /**
   * The same with tools that the model may call, or with its thoughts told apart.
   *
   * @param turn what the user says, or messages to add
   * @param options the tools, and options for this answer
   * @returns text, thoughts and calls
   */
  reply<T extends Tools>(turn: Turn, options: AnswerOptions<T>): Promise<SessionAnswer<T>>;
  /**
   * Answers in either way.
   *
   * @param turn what the user says, or messages to add
   * @param options options for this answer
   * @returns the whole
   */
  async reply(turn: Turn, options: ChatOptions | AnswerOptions = {}): Promise<unknown> {
    return await lastOf(this.chat(turn, options as ChatOptions));
  }

  /**
   * Answers the last turn anew, in place of the answer that it has; the same where it has none yet.
   *
   * @param options options for this answer
   * @returns the pieces
   */
  regenerate(options: ChatOptions = {}): AsyncGenerator<Piece, SessionReply, void> {
    const last = this.#messages.findLastIndex(({ role }) => role !== "assistant");
    if (last < 0) refuseOption("session", "a turn that can be answered anew", "an empty conversation");
    return this.#answer(this.#messages.slice(0, last + 1), [], options);
  }

  /** Forgets all messages; the system message stays. */
  clear(): void {
    this.#assertIdle();
    this.#messages = [];
  }

  /**
   * The session as plain data. What the model read of it is in the prefix cache: with `lm.cache.save(path)` beside this, a
   * session goes on in another process without reading it again.
   */
  toJSON(): SessionData {
    return { ...(this.system === undefined ? {} : { system: this.system }), messages: this.#messages };
  }

  async *#answer(
    before: readonly ChatMessage[],
    turn: readonly ChatMessage[],
    options: ChatOptions,
  ): AsyncGenerator<Piece, SessionReply, void> {
    this.#assertIdle();
    const isAnswer = guarded("options", () => asksForAnswer(options));
    readOptions(isAnswer ? answerFields : chatFields, options);
    const all: ChatOptions = guarded("options", () => ({ ...this.#options, ...options }));
    let said = "";
    let isStopped = true;
    this.#isAnswering = true;
    try {
      const { messages, dropped, prepared } = await this.#prepare([...before, ...turn], all);
      await using pieces = prepared.answer() as AsyncGenerator<Piece, Completion, void>;
      try {
        let next = await pieces.next();
        for (; !next.done; next = await pieces.next()) {
          said += spoken(next.value);
          yield next.value;
        }
        isStopped = stopReasons.includes(next.value.stopReason);
        if (!isStopped) this.#messages = [...messages, messageOf(next.value, all)];
        return Object.assign(next.value, { dropped });
      } catch (error) {
        isStopped = cutBy(error, all.signal) !== undefined;
        throw error;
      } finally {
        // By its signal, its deadline, or a reader that has left.
        if (isStopped && said !== "") this.#messages = [...messages, assistant(said, all)];
      }
    } finally {
      this.#isAnswering = false;
    }
  }

  /** The conversation as it goes on, and its prompt: what was counted last is what is answered, unless something was dropped. */
  async #prepare(
    messages: readonly ChatMessage[],
    options: ChatOptions,
  ): Promise<Fitted & { readonly prepared: PreparedAnswer }> {
    const prepare = (messages: readonly ChatMessage[]) => this.#host.prepare(this.#withSystem(messages), options);
    let counted: readonly ChatMessage[] | undefined;
    let prepared: PreparedAnswer | undefined;
    const fitted = await this.#fit(messages, options, async (messages) => {
      prepared = await prepare(messages);
      counted = messages;
      return prepared.tokens;
    });
    const isCounted = prepared !== undefined && counted === fitted.messages;
    return { ...fitted, prepared: isCounted ? prepared as PreparedAnswer : await prepare(fitted.messages) };
  }

  /** With room for an answer of a quarter of the context, or of `maxTokens`. */
  async #fit(messages: readonly ChatMessage[], { maxTokens = Infinity }: ChatOptions, count: Count): Promise<Fitted> {
    const { context } = this.#host;
    const most = context - Math.min(maxTokens, Math.ceil(context / 4));
    const how = this.#onContextFull;
    if (how === "dropOldest") {
      const { dropOldest } = await import("./fit.ts");
      // More goes than has to: the next turns then find their beginning in the cache.
      return await dropOldest(messages, { most, aim: Math.floor(most * 3 / 4) }, count);
    }
    const tokens = await count(messages);
    if (tokens <= most) return { messages, dropped: [], tokens };
    if (how === "error") throw full(tokens, most);
    const chosen = messageList(await how(messages), "onContextFull");
    const left = await count(chosen);
    if (left > most) throw full(left, most);
    return { messages: chosen, dropped: messages.filter((message) => !chosen.includes(message)), tokens: left };
  }

  #withSystem(messages: readonly ChatMessage[]): readonly ChatMessage[] {
    return this.system === undefined ? messages : [{ role: "system", content: this.system }, ...messages];
  }

  #assertIdle(): void {
    if (!this.#isAnswering) return;
    throw new LightGPTError("invalidArgument", "A session answers one turn at a time; await the answer before.", {
      what: "a turn before the answer to the last one has ended",
      where: "session",
      expected: "one turn at a time; other sessions answer meanwhile",
    });
  }
}

function messagesOf(turn: Turn): readonly ChatMessage[] {
  return guarded("turn", () => {
    if (typeof turn === "string") return [{ role: "user", content: turn }];
    return messageList(Array.isArray(turn) ? turn : [turn], "turn");
  });
}

/** What a piece adds to the text of an answer. */
function spoken(piece: Piece | AnswerPiece): string {
  return "type" in piece && piece.type !== "text" ? "" : (piece as Piece).text;
}

function assistant(text: string, { prefill = "" }: ChatOptions): ChatMessage {
  return { role: "assistant", content: prefill + text };
}

/** An answer as a message. */
function messageOf(end: Completion | Answer, options: ChatOptions): ChatMessage {
  return "message" in end ? end.message : assistant(end.text, options);
}

function full(tokens: number, most: number): LightGPTError {
  return new LightGPTError("limit", `The conversation takes ${tokens} tokens; with room for an answer, ${most} fit.`, {
    what: "a full context",
    where: "messages",
    expected: `at most ${most} tokens`,
    got: `${tokens}`,
  });
}
