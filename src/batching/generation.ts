/**
 * One request: a prompt goes in, pieces of text come out, as an async generator. It asks its sequence for a token when its
 * reader asks for a piece, so a slow reader costs nothing, and `break`, `return()` or a signal ends it at once, even while
 * a token is being made.
 *
 * @module
 */
import { CancelledError, InvalidArgumentError } from "../../ffi/errors.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Sequence, SequenceOptions } from "./sequence.ts";
import { assertNotAborted, cancelledBy, refuseOption } from "../options/checks.ts";
import type { Resolved } from "../options/schema.ts";
import { type generateFields, type Prompt, saltOf } from "./request_options.ts";
import { type LogitsProcessor, processing } from "../sampling/logits_processor.ts";
import { resolveSampling, type Sampling } from "../sampling/resolve.ts";
import type { MethodReport } from "../sampling/report.ts";
import { type Choice, SamplerState, seedOf, type TokenLogprob } from "../sampling/state.ts";
import { StopFilter } from "../text/stop.ts";
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
  /** The text; empty while a character or a possible stop string is incomplete. */
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
export interface Host {
  /** Runs the sequence. */
  readonly scheduler: Scheduler;
  /** Turns text into tokens and back. */
  readonly tokenizer: Tokenizer;
  /** Positions of the context. */
  readonly context: number;
  /** How long loading took. */
  readonly loadMs: number;
}

/** Ends the sequence of a generator that was dropped half-read: the net below `return()`. */
const lost = new FinalizationRegistry<Sequence>((sequence) => sequence.end());

/** The async generator of one request. */
export class Generation implements AsyncGenerator<Piece, Completion, void> {
  readonly #pieces: AsyncGenerator<Piece, Completion, void>;
  #sequence: Sequence | undefined;

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
    this.#sequence?.end(new CancelledError("The generator was ended by return().", { what: "cancelled" }));
    return this.#pieces.return(value);
  }

  /** Ends the request with an error. */
  throw(error: unknown): Promise<IteratorResult<Piece, Completion>> {
    this.#sequence?.end(error);
    return this.#pieces.throw(error);
  }

  /** Itself, for `for await`. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Ends the request, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#sequence?.end(new CancelledError("The generator was disposed.", { what: "cancelled" }));
    await this.#pieces[Symbol.asyncDispose]();
  }

  async *#run(prepare: () => Prepared): AsyncGenerator<Piece, Completion, void> {
    const begin = performance.now();
    const { host, ids, options: { maxTokens, sampling, stops, top, logitsProcessor, signal, place } } = prepare();
    const { scheduler, tokenizer, context } = host;
    assertNotAborted(signal);
    const sampler = new SamplerState(sampling);
    sampler.check(tokenizer.vocabularySize);
    for (const id of ids) sampler.accept(id);
    const most = Math.min(maxTokens, context - ids.length);
    const text = textAfter(ids, tokenizer, stops);
    const tokens: number[] = [];
    const logprobs: Required<Choice>[] = [];
    let stopReason: Completion["stopReason"] = most === maxTokens ? "maxTokens" : "context";
    let first = begin;
    if (most > 0) {
      // The last token is chosen and never read.
      const sequence = scheduler.add({
        ...place,
        prompt: ids,
        positions: ids.length + most - 1,
        sample: { sampler, top },
        process: logitsProcessor && processing(logitsProcessor, ids, tokens),
      });
      this.#sequence = sequence;
      lost.register(this, sequence, sequence);
      const abort = () => sequence.end(cancelledBy(signal as AbortSignal));
      signal?.addEventListener("abort", abort, { once: true });
      try {
        while (tokens.length < most) {
          const choice = await sequence.next() as Choice;
          const { token } = choice;
          if (first === begin) first = performance.now();
          if (tokenizer.endOfGeneration.has(token)) {
            stopReason = "endOfText";
            const rest = text.end();
            if (rest !== "") yield new Piece(rest, choice);
            break;
          }
          tokens.push(token);
          if (top !== undefined) logprobs.push(choice as Required<Choice>);
          let shown = text.push(token);
          if (tokens.length === most) shown += text.end();
          yield new Piece(shown, choice);
          if (text.stopped) {
            stopReason = "stop";
            break;
          }
        }
      } finally {
        signal?.removeEventListener("abort", abort);
        lost.unregister(sequence);
        sequence.end();
      }
    }
    const end = performance.now();
    return completionOf({
      text: text.shown,
      tokens,
      promptTokens: ids.length,
      cachedTokens: this.#sequence?.saved ?? 0,
      generatedTokens: tokens.length,
      loadMs: host.loadMs,
      prefillMs: first - begin,
      decodeMs: tokens.length > 0 ? end - first : 0,
      stopReason,
      seed: seedOf(sampling.seed),
      sampling: sampler.report,
      ...(top === undefined ? {} : { logprobs }),
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

  get stopped(): boolean {
    return this.#filter.stopped;
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
  /** The prompt. */
  readonly ids: Uint32Array;
  /** The options. */
  readonly options: ResolvedOptions;
}

/** Checks a request against the model; throws an {@link InvalidArgumentError} that names what is wrong. */
export function prepareRequest(host: Host, prompt: Prompt, options: Resolved<typeof generateFields>): Prepared {
  const { tokenizer } = host;
  const { maxTokens = Number.MAX_SAFE_INTEGER, sampling, stop, logprobs, logitsProcessor, signal } = options;
  const { tenant, priority, deadlineMs } = options;
  const resolved = {
    maxTokens,
    sampling: resolveSampling(sampling, (text) => tokensWith(tokenizer, text)),
    stops: stop,
    top: logprobs,
    logitsProcessor,
    signal,
    place: { tenant, priority, deadlineMs, salt: saltOf(options) },
  };
  assertNotAborted(signal);
  return { host, ids: resolvePrompt(host, prompt), options: resolved };
}

interface ResolvedOptions {
  maxTokens: number;
  sampling: Sampling;
  stops: readonly string[];
  top: number | undefined;
  logitsProcessor: LogitsProcessor | undefined;
  signal: AbortSignal | undefined;
  /** How the sequence gets its place. */
  place: Pick<SequenceOptions, "tenant" | "priority" | "deadlineMs" | "salt">;
}

/** The tokens whose text has `text` in it. */
function* tokensWith(tokenizer: Tokenizer, text: string): Iterable<number> {
  const decoder = new TextDecoder();
  for (let token = 0; token < tokenizer.vocabularySize; token++) {
    if (decoder.decode(tokenizer.piece(token)).includes(text)) yield token;
  }
}

/** The ids of a prompt: at least one, and no more than the context holds. */
function resolvePrompt({ tokenizer, context }: Host, prompt: Prompt): Uint32Array {
  let ids = typeof prompt === "string" ? tokenizer.encode(prompt) : checkIds(prompt, tokenizer.vocabularySize);
  if (ids.length === 0) {
    if (tokenizer.bos === undefined) {
      throw new InvalidArgumentError(
        "prompt: expected at least one token, got none; this model has no token that begins a text.",
        { what: "an empty prompt", where: "prompt", expected: "at least one token", got: "none" },
      );
    }
    ids = Uint32Array.of(tokenizer.bos);
  }
  checkLength("prompt", ids.length, context);
  return ids;
}

/** Throws where more tokens were given than the context holds. */
export function checkLength(what: string, tokens: number, context: number): void {
  if (tokens <= context) return;
  throw new InvalidArgumentError(`${what}: ${tokens} tokens are more than the context of ${context} holds.`, {
    what: "too long for the context",
    where: what,
    expected: `at most ${context} tokens`,
    got: `${tokens}`,
  });
}

/** Token ids that a caller gave, checked. */
export function checkIds(ids: ArrayLike<number>, vocabulary: number): Uint32Array {
  if (ids === null || typeof ids !== "object" || !Number.isInteger(ids.length) || ids.length < 0) {
    refuseOption("tokens", "an array of token ids", ids);
  }
  for (let index = 0; index < ids.length; index++) {
    const id = ids[index];
    if (!Number.isInteger(id) || id < 0 || id >= vocabulary) {
      refuseOption(`tokens[${index}]`, `an id from 0 to ${vocabulary - 1}`, id);
    }
  }
  return Uint32Array.from(ids);
}
