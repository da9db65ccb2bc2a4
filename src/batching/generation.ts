/**
 * One request: a prompt goes in, pieces of text come out, as an async generator. It asks its sequence for a token when its
 * reader asks for a piece, so a slow reader costs no more than the tokens that its sequence may be ahead, and `break`, `return()` or a signal ends it at once, even while
 * a token is being made.
 *
 * @module
 */
import { AskedToken } from "./asked_token.ts";
import { CancelledError } from "../../ffi/errors.ts";
import { Answer, type Begun, type Host, type Prepared } from "./answer.ts";
import { wallClock } from "./clock.ts";
import type { Completion, Piece } from "./completion.ts";
import { checkDraft } from "./drafting/options.ts";
import { encodePrompt, resolvePrompt } from "./prompt.ts";
import { cutBy, expired } from "./errors.ts";
import { checkResume } from "./resume.ts";
import type { Sequence } from "./sequence.ts";
import { assertNotAborted, cancelledBy, refuseOption } from "../options/checks.ts";
import type { Resolved } from "../options/schema.ts";
import { constraintOf } from "../grammar/grammar.ts";
import { grammarOf, type ResolvedConstraint } from "../grammar/options.ts";
import { untilAborted } from "../options/sliced.ts";
import { type generateFields, type Prompt, saltOf } from "./request_options.ts";
import { resolveSampling } from "../sampling/resolve.ts";
import type { Choice } from "../sampling/state.ts";

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

  /**
   * Does what takes long before a request can begin: a long text becomes ids, texts that break repetitions their tokens, a
   * grammar is compiled.
   */
  async #begin({ host, prompt, options }: Prepared): Promise<Begun> {
    const { breakers, sampling, rules, place: { deadlineMs, ...place } } = options;
    const controller = this.#beginning = new AbortController();
    // The scheduler would begin to count when this is done.
    if (deadlineMs !== undefined) {
      this.#clearDeadline = wallClock.after(deadlineMs, () => this.#end(expired(deadlineMs)));
    }
    try {
      const ids = typeof prompt === "string" ? await encodePrompt(host, prompt, controller.signal) : prompt;
      const compile = (rules: ResolvedConstraint) =>
        untilAborted(() => grammarOf(rules, host.tokenizer), controller.signal);
      const constraint = rules ? constraintOf(await compile(rules)) : options.constraint;
      controller.signal.throwIfAborted();
      if (breakers.length === 0 || sampling.dry === undefined) return { ids, sampling, place, constraint };
      const { tokensContaining } = await import("../text/tokenizer/containing.ts");
      const found = await tokensContaining(host.tokenizer, breakers, controller.signal);
      const all = new Set([...sampling.dry.breakers, ...found]);
      return { ids, sampling: { ...sampling, dry: { ...sampling.dry, breakers: all } }, place, constraint };
    } catch (error) {
      throw controller.signal.aborted ? controller.signal.reason : error;
    } finally {
      this.#beginning = undefined;
    }
  }

  async *#run(prepare: () => Prepared): AsyncGenerator<Piece, Completion, void> {
    const begin = performance.now();
    const prepared = prepare();
    const { prompt, options, options: { signal, breakers, rules } } = prepared;
    let answer: Answer | undefined;
    let first = begin;
    const abort = () => this.#end(cancelledBy(signal as AbortSignal));
    signal?.addEventListener("abort", abort, { once: true });
    try {
      assertNotAborted(signal);
      const begun = typeof prompt === "string" || breakers.length > 0 || rules !== undefined
        ? await this.#begin(prepared)
        : { ids: prompt, sampling: options.sampling, place: options.place, constraint: options.constraint };
      answer = new Answer(prepared, begun);
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
            // What a stop string held back may be several pieces: none of them comes after the signal.
            assertNotAborted(signal);
            needsTurn = true;
          }
        }
      }
    } catch (error) {
      const reason = options.onAbort === "return" ? cutBy(error, signal) : undefined;
      if (reason === undefined) throw error;
      const { sampling, place } = options;
      answer ??= new Answer(prepared, { ids: new Uint32Array(), sampling, place, constraint: undefined });
      yield* answer.cut(reason);
    } finally {
      this.#clearDeadline?.();
      signal?.removeEventListener("abort", abort);
      if (this.#sequence) lost.unregister(this.#sequence);
      this.#sequence?.end();
    }
    return answer.completion(first - begin, performance.now() - first);
  }
}

/** Checks a request against the model; throws an `InvalidArgumentError` that names what is wrong. */
export function prepareRequest(host: Host, prompt: Prompt, options: Resolved<typeof generateFields>): Prepared {
  const { maxTokens = Number.MAX_SAFE_INTEGER, sampling, stop, logprobs, logitsProcessor, signal } = options;
  const { tenant, priority, deadlineMs, draft } = options;
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
    draft,
    signal,
    onAbort: options.onAbort,
    rules: options.constraint,
    resume: options.resume,
    place: {
      tenant,
      priority,
      deadlineMs,
      salt: saltOf(options),
      adapters: host.adapters.use(options.adapters, "adapters"),
    },
  };
  if (options.resume) checkResume(options.resume, resolved.sampling, sampling?.seed !== undefined);
  if (stop.length > 0 && !host.tokenizer.hasText) {
    refuseOption("stop", "none, for the tokens of this model have no text", stop.join(", "));
  }
  if (stop.length > 0 && options.constraint !== undefined) {
    refuseOption("stop", "none beside constraint, which says where the answer ends", stop.join(", "));
  }
  checkDraft(resolved);
  if (typeof draft === "object") host.draftModels.of(draft.model);
  if (draft === "nextn") host.draftModels.own();
  if (options.onAbort === "throw") assertNotAborted(signal);
  return { host, prompt: resolvePrompt(host, prompt), options: resolved };
}
