/**
 * What a request came to so far: its tokens, its text as it may be shown, and whether it has ended. When it is asked for a
 * token is the generator's part.
 *
 * @module
 */
import type { DraftModels } from "./drafting/draft_models.ts";
import { type DraftOption, guesserOf, hasChangingMask } from "./drafting/options.ts";
import type { Scheduler } from "./scheduler.ts";
import { type Completion, completionOf, Piece, type ToldChoice } from "./completion.ts";
import type { ResolvedConstraint } from "../grammar/options.ts";
import { checkLength, type PromptHost } from "./prompt.ts";
import type { Resume } from "./resume.ts";
import type { Sequence } from "./sequence.ts";
import type { SequenceOptions } from "./sequence_options.ts";
import { type LogitsProcessor, processing } from "../sampling/logits_processor.ts";
import type { Sampling } from "../sampling/resolve.ts";
import type { Adapters } from "../model/adapter.ts";
import type { Constraint } from "../sampling/constraint.ts";
import { refuseOption } from "../options/checks.ts";
import { type Choice, SamplerState, seedOf } from "../sampling/state.ts";
import { StopFilter } from "../text/stop.ts";
import type { StreamDecoder } from "../text/tokenizer/stream.ts";
import type { Tokenizer } from "../text/tokenizer/types.ts";

/** What a request needs of the model that serves it. */
export interface Host extends PromptHost {
  /** Runs the sequence. */
  readonly scheduler: Scheduler;
  /** The models that guess for it. */
  readonly draftModels: DraftModels;
  /** The adapters that were loaded with the model. */
  readonly adapters: Adapters;
  /** How long loading took. */
  readonly loadMs: number;
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

/** The options of a request, checked. */
interface ResolvedOptions {
  maxTokens: number;
  sampling: Sampling;
  /** Texts that break repetitions: their tokens are not in `sampling` yet. */
  breakers: readonly string[];
  stops: readonly string[];
  top: number | undefined;
  logitsProcessor: LogitsProcessor | undefined;
  draft: DraftOption;
  signal: AbortSignal | undefined;
  onAbort: "throw" | "return";
  /** Which tokens may come, where that depends on what came; it is used up by the request. */
  constraint?: Constraint;
  /** The same as it was given, to be compiled when the request begins. */
  rules?: ResolvedConstraint | undefined;
  /** What it goes on from. */
  resume?: Resume | undefined;
  /** How the sequence gets its place. */
  place: Pick<SequenceOptions, "tenant" | "priority" | "deadlineMs" | "salt" | "adapters">;
}

/** What a request needs to enter the scheduler, when all of it is known. */
export interface Begun {
  readonly ids: Uint32Array;
  readonly sampling: Sampling;
  readonly place: Prepared["options"]["place"];
  readonly constraint: Constraint | undefined;
}

/** What a request came to so far: its tokens, its text, and whether it has ended. */
export class Answer {
  /** Whether no more tokens are wanted. */
  isEnded: boolean;
  readonly #host: Host;
  readonly #options: ResolvedOptions;
  readonly #begun: Begun;
  readonly #sampler: SamplerState;
  readonly #text: TextStream;
  readonly #tokens: number[] = [];
  readonly #logprobs: ToldChoice[] = [];
  readonly #most: number;
  /** Mirostat's threshold after the last token. */
  #mu: number;
  #sequence: Sequence | undefined;
  #stopReason: Completion["stopReason"];
  /** A piece of which text is held back: if the next token ends the text, the rest is this piece's. */
  #held: { readonly text: string; readonly choice: Choice; readonly isGiven?: true } | undefined;

  constructor({ host, options }: Prepared, begun: Begun) {
    const { tokenizer, context } = host;
    const { ids, sampling } = begun;
    this.#host = host;
    this.#options = options;
    this.#begun = begun;
    this.#sampler = new SamplerState(sampling, begun.constraint);
    this.#sampler.check(tokenizer.vocabularySize);
    this.#sampler.begin(ids);
    this.#text = textAfter(ids, tokenizer, options.stops);
    this.#most = Math.min(options.maxTokens, context - ids.length);
    this.#stopReason = this.#most === options.maxTokens ? "maxTokens" : "context";
    this.isEnded = this.#most === 0;
    if (options.resume) this.#resume(options.resume);
    this.#mu = this.#sampler.mu;
  }

  /** Takes over the tokens of a request that broke off: everything is then as it was after the last of them. */
  #resume({ tokens, mu }: Resume): void {
    const { tokenizer, context } = this.#host;
    checkLength("prompt and resume", this.#begun.ids.length + tokens.length, context);
    for (const [index, token] of tokens.entries()) {
      const name = `resume.tokens[${index}]`;
      const isToken = token < tokenizer.vocabularySize && !tokenizer.endOfGeneration.has(token);
      if (!isToken) refuseOption(name, "a token that does not end the text", token);
      if (this.isEnded) refuseOption(name, "none: the answer has ended before it", token);
      this.#sampler.resume(token);
      this.take({ token });
    }
    if (mu !== undefined) this.#sampler.mu = mu;
    // The text of these tokens was given; only what is held back of it may still come.
    if (this.#held) this.#held = { text: "", choice: this.#held.choice, isGiven: true };
  }

  /** Enters the scheduler. */
  enter(): Sequence {
    const { ids, place, sampling } = this.#begun;
    const { logitsProcessor, top, draft, stops } = this.#options;
    const { scheduler, draftModels, tokenizer } = this.#host;
    const isReadAlone = logitsProcessor !== undefined || hasChangingMask(sampling);
    // What a recurrent layer has come to behind a stop string is of no use to what follows the text.
    const isCutBack = stops.length > 0 && scheduler.store.statePages > 0;
    return this.#sequence = scheduler.add({
      ...place,
      prompt: this.#tokens.length === 0 ? ids : Uint32Array.from([...ids, ...this.#tokens]),
      isResumed: this.#tokens.length > 0,
      // The last token is chosen and never read.
      positions: ids.length + this.#most - 1,
      sample: { sampler: this.#sampler, top },
      guesser: guesserOf({ draft, sampling, logitsProcessor }, draftModels, tokenizer.endOfGeneration),
      ahead: isReadAlone || isCutBack ? 0 : scheduler.tokensAhead,
      ends: tokenizer.endOfGeneration,
      process: logitsProcessor && processing(logitsProcessor, ids, this.#tokens),
    });
  }

  /** Takes a token; gives the pieces that are complete now. */
  take(choice: Choice): Piece[] {
    const { token } = choice;
    this.#mu = choice.mu ?? this.#mu;
    if (this.#host.tokenizer.endOfGeneration.has(token)) return this.cut("endOfText");
    const held = this.#held;
    this.#held = undefined;
    const pieces = held && !held.isGiven ? [new Piece(held.text, held.choice)] : [];
    this.#tokens.push(token);
    if (this.#options.top !== undefined && choice.top) this.#logprobs.push(choice as ToldChoice);
    let text = this.#text.push(token);
    // A constraint may be where tokens have led it that were not taken yet.
    const isDone = this.#sampler.isDone && this.#sequence?.hasReady !== true;
    const isLast = this.#tokens.length === this.#most || isDone;
    if (isLast) text += this.#text.end();
    if (this.#text.stopped) this.#end("stop");
    else if (isLast) this.#end(isDone ? "endOfText" : this.#stopReason);
    if (this.#text.isHolding && !this.isEnded) this.#held = { text, choice };
    else pieces.push(new Piece(text, choice));
    return pieces;
  }

  /** Ends it after the last token that was taken; gives the piece that was held back, if one was. */
  cut(reason: Completion["stopReason"]): Piece[] {
    const held = this.#held;
    this.#held = undefined;
    this.#end(reason);
    const rest = this.#text.end();
    return held && !(held.isGiven && rest === "") ? [new Piece(held.text + rest, held.choice)] : [];
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
      cachedTokens: Math.min(this.#sequence?.saved ?? 0, this.#begun.ids.length),
      generatedTokens: this.#tokens.length,
      loadMs: this.#host.loadMs,
      prefillMs,
      decodeMs: this.#tokens.length > 0 ? decodeMs : 0,
      stopReason: this.#stopReason,
      ...(this.#text.found === undefined ? {} : { stop: this.#text.found }),
      seed: seedOf(this.#begun.sampling.seed),
      sampling: this.#sampler.report,
      ...(this.#options.top === undefined ? {} : { logprobs: this.#logprobs }),
      ...(this.#sampler.hasMu ? { mu: this.#mu } : {}),
    });
  }
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

  /** The stop string that has come. */
  get found(): string | undefined {
    return this.#filter.found;
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
