/**
 * One request: a prompt goes in, pieces of text come out, as an async generator. It asks its sequence for a token when its
 * reader asks for a piece, so a slow reader costs nothing, and `break`, `return()` or a signal ends it at once, even while
 * a token is being made.
 *
 * @module
 */
import { AskedToken } from "./asked_token.ts";
import { CancelledError } from "../../ffi/errors.ts";
import type { Scheduler } from "./scheduler.ts";
import { wallClock } from "./clock.ts";
import { encodePrompt, type PromptHost, resolvePrompt } from "./prompt.ts";
import { expired } from "./errors.ts";
import type { Sequence, SequenceOptions } from "./sequence.ts";
import { assertNotAborted, cancelledBy, refuseOption } from "../options/checks.ts";
import type { Resolved } from "../options/schema.ts";
import { type generateFields, type Prompt, saltOf } from "./request_options.ts";
import { type LogitsProcessor, processing } from "../sampling/logits_processor.ts";
import { resolveSampling, type Sampling } from "../sampling/resolve.ts";
import type { Constraint } from "../sampling/constraint.ts";
import type { MethodReport } from "../sampling/report.ts";
import { type Choice, SamplerState, seedOf, type TokenLogprob } from "../sampling/state.ts";
import { StopFilter } from "../text/stop.ts";
import { tokensContaining } from "../text/tokenizer/containing.ts";
import type { StreamDecoder, Tokenizer } from "../text/tokenizer/tokenizer.ts";

/**
 * What one token adds to the text.
 *
 * @example
 * ```ts
 * import { LightGPT, type Piece } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * const pieces: Piece[] = [];
 * for await (const piece of lm.generate("Once upon a time", { maxTokens: 9 })) pieces.push(piece);
 * console.log(pieces.join("")); // a piece as a string is its text
 * ```
 */
export class Piece {
  /** The text; empty while a character or a possible stop string is incomplete. The texts of all pieces are the whole. */
  readonly text: string;
  /** The id of the token. */
  readonly token: number;

  /** ln(probability) of the token in the model's own distribution, before any method; where `logprobs` asked for it. */
  readonly logprob: number | undefined;
  /** The likeliest tokens in its place, the likeliest first; where `logprobs` asked for them. */
  readonly top: readonly TokenLogprob[] | undefined;

  /** A piece of text and its token. */
  constructor(text: string, { token, logprob, top }: Choice) {
    this.text = text;
    this.token = token;
    this.logprob = logprob;
    this.top = top;
  }

  /** The text. */
  toString(): string {
    return this.text;
  }
}

/**
 * What a request came to.
 *
 * @example
 * ```ts
 * import { type Completion, LightGPT } from "@lightgpt/lightgpt";
 *
 * await using lm = await LightGPT.load();
 * const { text, stopReason, generatedTokens, decodeMs }: Completion = await lm.complete("Once upon a time");
 * console.log(text, stopReason, (1000 * generatedTokens) / decodeMs, "tokens a second");
 * ```
 */
export interface Completion {
  /** The generated text, without the prompt. */
  readonly text: string;
  /** The generated tokens, without one that ended the text. */
  readonly tokens: number[];
  /** How many tokens the prompt has. */
  readonly promptTokens: number;
  /** How many of them were found in the prefix cache, and not read. */
  readonly cachedTokens: number;
  /** How many tokens were generated. */
  readonly generatedTokens: number;
  /** How long loading the model took. */
  readonly loadMs: number;
  /** From the request to its first token. */
  readonly prefillMs: number;
  /** From the first token to the last. */
  readonly decodeMs: number;
  /** Why it ended: the model ended the text, or as asked for, or the context is full. */
  readonly stopReason: "endOfText" | "maxTokens" | "stop" | "context";
  /** The seed: with it, the same request gives the same tokens. A bigint only where it is above 2^53 - 1. */
  readonly seed: number | bigint;
  /** What each method of the sampler did. */
  readonly sampling: readonly MethodReport[];
  /** Of each of `tokens` its log probability, and the likeliest in its place; where `logprobs` asked for them. */
  readonly logprobs?: readonly Required<Choice>[];
  /** The same for `JSON.stringify`, which knows no bigint: such a seed is a string there. */
  toJSON(): Omit<Completion, "seed" | "toJSON"> & { readonly seed: number | string };
}

/** What a request needs of the model that serves it. */
export interface Host extends PromptHost {
  /** Runs the sequence. */
  readonly scheduler: Scheduler;
  /** How long loading took. */
  readonly loadMs: number;
}

/** Ends the sequence of a generator that was dropped half-read: the net below `return()`. */
const lost = new FinalizationRegistry<Sequence>((sequence) => sequence.end());

/** The async generator of one request. */
export class Generation implements AsyncGenerator<Piece, Completion, void> {
  readonly #pieces: AsyncGenerator<Piece, Completion, void>;
  #sequence: Sequence | undefined;
  /** Ends what is done before there is a sequence. */
  #beginning: AbortController | undefined;
  #clearDeadline: (() => void) | undefined;

  /** Nothing happens before the first piece is asked for; then `prepare` is called, which may throw. */
  constructor(prepare: () => Prepared) {
    this.#pieces = this.#run(prepare);
  }

  /** The next piece. */
  next(): Promise<IteratorResult<Piece, Completion>> {
    return this.#pieces.next();
  }

  /** Ends the request. A `next()` that is still waiting fails with the code `cancelled`. */
  return(value: Completion | PromiseLike<Completion>): Promise<IteratorResult<Piece, Completion>> {
    this.#end(new CancelledError("The generator was ended by return().", { what: "cancelled" }));
    return this.#pieces.return(value);
  }

  /** Ends the request with an error. */
  throw(error: unknown): Promise<IteratorResult<Piece, Completion>> {
    this.#end(error);
    return this.#pieces.throw(error);
  }

  /** Itself, for `for await`. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Ends the request, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#end(new CancelledError("The generator was disposed.", { what: "cancelled" }));
    await this.#pieces[Symbol.asyncDispose]();
  }

  #end(error: unknown): void {
    this.#beginning?.abort(error);
    this.#sequence?.end(error);
  }

  /** Does what takes long before a request can begin: a long text becomes ids, texts that break repetitions their tokens. */
  async #begin({ host, prompt, options }: Prepared): Promise<Begun> {
    const { breakers, sampling, place: { deadlineMs, ...place } } = options;
    const controller = this.#beginning = new AbortController();
    // The scheduler would begin to count when this is done.
    if (deadlineMs !== undefined) {
      this.#clearDeadline = wallClock.after(deadlineMs, () => this.#end(expired(deadlineMs)));
    }
    try {
      const ids = typeof prompt === "string" ? await encodePrompt(host, prompt, controller.signal) : prompt;
      if (breakers.length === 0 || sampling.dry === undefined) return { ids, sampling, place };
      const found = await tokensContaining(host.tokenizer, breakers, controller.signal);
      const all = new Set([...sampling.dry.breakers, ...found]);
      return { ids, sampling: { ...sampling, dry: { ...sampling.dry, breakers: all } }, place };
    } catch (error) {
      throw controller.signal.aborted ? controller.signal.reason : error;
    } finally {
      this.#beginning = undefined;
    }
  }

  async *#run(prepare: () => Prepared): AsyncGenerator<Piece, Completion, void> {
    const begin = performance.now();
    const prepared = prepare();
    const { prompt, options, options: { signal, breakers } } = prepared;
    assertNotAborted(signal);
    const abort = () => this.#end(cancelledBy(signal as AbortSignal));
    signal?.addEventListener("abort", abort, { once: true });
    try {
      const begun = typeof prompt === "string" || breakers.length > 0
        ? await this.#begin(prepared)
        : { ids: prompt, sampling: options.sampling, place: options.place };
      const answer = new Answer(prepared, begun);
      let first = begin;
      if (!answer.isEnded) {
        const sequence = this.#sequence = answer.enter();
        lost.register(this, sequence, sequence);
        let ahead: AskedToken | undefined;
        while (!answer.isEnded) {
          // What is there already, or was held back, comes after a turn of the event loop, as all that a step gives does.
          let needsTurn = ahead?.isThere === true;
          const choice = await (ahead?.token ?? sequence.next()) as Choice;
          ahead = undefined;
          if (first === begin) first = performance.now();
          for (const piece of answer.take(choice)) {
            if (needsTurn) {
              // Asked before the turn: after it the sequence would come too late for the step that the others are in.
              if (!answer.isEnded) ahead ??= new AskedToken(sequence);
              await wallClock.turn();
            }
            yield piece;
            needsTurn = true;
          }
        }
      }
      return answer.completion(first - begin, performance.now() - first);
    } finally {
      this.#clearDeadline?.();
      signal?.removeEventListener("abort", abort);
      if (this.#sequence) lost.unregister(this.#sequence);
      this.#sequence?.end();
    }
  }
}

/** What a request needs to enter the scheduler, when all of it is known. */
interface Begun {
  readonly ids: Uint32Array;
  readonly sampling: Sampling;
  readonly place: Prepared["options"]["place"];
}

/** What a request came to so far: its tokens, its text, and whether it has ended. */
class Answer {
  /** Whether no more tokens are wanted. */
  isEnded: boolean;
  readonly #host: Host;
  readonly #options: ResolvedOptions;
  readonly #begun: Begun;
  readonly #sampler: SamplerState;
  readonly #text: TextStream;
  readonly #tokens: number[] = [];
  readonly #logprobs: Required<Choice>[] = [];
  readonly #most: number;
  #sequence: Sequence | undefined;
  #stopReason: Completion["stopReason"];
  /** A piece of which text is held back: if the next token ends the text, the rest is this piece's. */
  #held: { readonly text: string; readonly choice: Choice } | undefined;

  constructor({ host, options }: Prepared, begun: Begun) {
    const { tokenizer, context } = host;
    const { ids, sampling } = begun;
    this.#host = host;
    this.#options = options;
    this.#begun = begun;
    this.#sampler = new SamplerState(sampling, options.constraint);
    this.#sampler.check(tokenizer.vocabularySize);
    this.#sampler.begin(ids);
    this.#text = textAfter(ids, tokenizer, options.stops);
    this.#most = Math.min(options.maxTokens, context - ids.length);
    this.#stopReason = this.#most === options.maxTokens ? "maxTokens" : "context";
    this.isEnded = this.#most === 0;
  }

  /** Enters the scheduler. */
  enter(): Sequence {
    const { ids, place } = this.#begun;
    const { logitsProcessor, top } = this.#options;
    return this.#sequence = this.#host.scheduler.add({
      ...place,
      prompt: ids,
      // The last token is chosen and never read.
      positions: ids.length + this.#most - 1,
      sample: { sampler: this.#sampler, top },
      process: logitsProcessor && processing(logitsProcessor, ids, this.#tokens),
    });
  }

  /** Takes a token; gives the pieces that are complete now. */
  take(choice: Choice): Piece[] {
    const { token } = choice;
    const held = this.#held;
    this.#held = undefined;
    if (this.#host.tokenizer.endOfGeneration.has(token)) {
      this.#end("endOfText");
      return held ? [new Piece(held.text + this.#text.end(), held.choice)] : [];
    }
    const pieces = held ? [new Piece(held.text, held.choice)] : [];
    this.#tokens.push(token);
    if (this.#options.top !== undefined) this.#logprobs.push(choice as Required<Choice>);
    let text = this.#text.push(token);
    const isLast = this.#tokens.length === this.#most || this.#sampler.isDone;
    if (isLast) text += this.#text.end();
    if (this.#text.stopped) this.#end("stop");
    else if (isLast) this.#end(this.#sampler.isDone ? "endOfText" : this.#stopReason);
    if (this.#text.isHolding && !this.isEnded) this.#held = { text, choice };
    else pieces.push(new Piece(text, choice));
    return pieces;
  }

  #end(reason: Completion["stopReason"]): void {
    this.#stopReason = reason;
    this.isEnded = true;
  }

  /** What it came to. */
  completion(prefillMs: number, decodeMs: number): Completion {
    return completionOf({
      text: this.#text.shown,
      tokens: this.#tokens,
      promptTokens: this.#begun.ids.length,
      cachedTokens: this.#sequence?.saved ?? 0,
      generatedTokens: this.#tokens.length,
      loadMs: this.#host.loadMs,
      prefillMs,
      decodeMs: this.#tokens.length > 0 ? decodeMs : 0,
      stopReason: this.#stopReason,
      seed: seedOf(this.#begun.sampling.seed),
      sampling: this.#sampler.report,
      ...(this.#options.top === undefined ? {} : { logprobs: this.#logprobs }),
    });
  }
}

/** A completion of its figures. What makes JSON of it is no figure, so nothing lists it. */
function completionOf(figures: Omit<Completion, "toJSON">): Completion {
  return Object.defineProperty(figures, "toJSON", {
    value: () => ({ ...figures, seed: typeof figures.seed === "bigint" ? `${figures.seed}` : figures.seed }),
  }) as Completion;
}

/** The text of an answer to a prompt. A space at its beginning belongs to it, unless the whole text begins here. */
function textAfter(ids: Uint32Array, tokenizer: Tokenizer, stops: readonly string[]): TextStream {
  const continued = ids.length > 1 || ids[0] !== tokenizer.bos;
  return new TextStream(tokenizer.stream({ continued }), new StopFilter(stops));
}

/** Text as it is shown: whole characters, and nothing of a stop string. */
class TextStream {
  /** All that was shown so far. */
  shown = "";
  readonly #decoder: StreamDecoder;
  readonly #filter: StopFilter;

  constructor(decoder: StreamDecoder, filter: StopFilter) {
    this.#decoder = decoder;
    this.#filter = filter;
  }

  /** Whether a stop string has come. */
  get stopped(): boolean {
    return this.#filter.stopped;
  }

  /** Whether text is held back that may still be shown. */
  get isHolding(): boolean {
    return this.#filter.isHolding || this.#decoder.isHolding;
  }

  push(token: number): string {
    return this.#show(this.#filter.push(this.#decoder.push(token)));
  }

  /** What was held back, when no more comes. */
  end(): string {
    const rest = this.#filter.push(this.#decoder.end());
    return this.#show(rest + this.#filter.end());
  }

  #show(text: string): string {
    this.shown += text;
    return text;
  }
}

/** A request whose prompt and options have been checked. */
export interface Prepared {
  /** What serves it. */
  readonly host: Host;
  /** The prompt: its ids, or a text that takes long to tokenize. */
  readonly prompt: Uint32Array | string;
  /** The options. */
  readonly options: ResolvedOptions;
}

/** Checks a request against the model; throws an `InvalidArgumentError` that names what is wrong. */
export function prepareRequest(host: Host, prompt: Prompt, options: Resolved<typeof generateFields>): Prepared {
  const { maxTokens = Number.MAX_SAFE_INTEGER, sampling, stop, logprobs, logitsProcessor, signal } = options;
  const { tenant, priority, deadlineMs } = options;
  const breakers: string[] = [];
  const resolved = {
    maxTokens,
    // Looking through the vocabulary takes long: that is done once the request begins.
    sampling: resolveSampling(sampling, (text) => {
      breakers.push(text);
      return [];
    }),
    breakers,
    stops: stop,
    top: logprobs,
    logitsProcessor,
    signal,
    place: { tenant, priority, deadlineMs, salt: saltOf(options) },
  };
  if (stop.length > 0 && !host.tokenizer.hasText) {
    refuseOption("stop", "none, for the tokens of this model have no text", stop.join(", "));
  }
  assertNotAborted(signal);
  return { host, prompt: resolvePrompt(host, prompt), options: resolved };
}

interface ResolvedOptions {
  maxTokens: number;
  sampling: Sampling;
  /** Texts that break repetitions: their tokens are not in `sampling` yet. */
  breakers: readonly string[];
  stops: readonly string[];
  top: number | undefined;
  logitsProcessor: LogitsProcessor | undefined;
  signal: AbortSignal | undefined;
  /** Which tokens may come, where that depends on what came; it is used up by the request. */
  constraint?: Constraint;
  /** How the sequence gets its place. */
  place: Pick<SequenceOptions, "tenant" | "priority" | "deadlineMs" | "salt">;
}
