/**
 * An answer that comes from another machine, as the generator that skins know. It gives pieces as they come, pauses its worker when its
 * reader pauses, and ends the job when it is ended.
 *
 * @module
 */
import type { Completion, Piece } from "../batching/completion.ts";
import { completionFrom, errorOf, pieceOf } from "./crossing.ts";
import type { JobReading, Said } from "./reading.ts";

/** What an answer needs of its gateway. */
export interface RemoteHost {
  /** Says something to workers. */
  say(said: readonly Said[]): void;
  /** The job is over: its end was read, or its reader has left. */
  over(): void;
}

/** The pieces of a job that runs elsewhere. */
export class RemotePieces implements AsyncGenerator<Piece, Completion, void> {
  readonly #reading: JobReading;
  readonly #host: RemoteHost;
  readonly #hasLogprobs: boolean;
  #asked: Promise<unknown> = Promise.resolve();
  /** How many calls wait for a piece. */
  #waiting = 0;
  #wake: (() => void) | undefined;
  #failure: { readonly error: unknown } | undefined;

  /** Reads what comes of a job. */
  constructor(reading: JobReading, host: RemoteHost, hasLogprobs: boolean) {
    this.#reading = reading;
    this.#host = host;
    this.#hasLogprobs = hasLogprobs;
  }

  /** Something has come. */
  wake(): void {
    this.#wake?.();
  }

  /** Ends it with an error. */
  fail(error: unknown): void {
    if (this.#reading.isOver) return;
    this.#failure = { error };
    this.#leave();
  }

  /** The next piece. */
  next(): Promise<IteratorResult<Piece, Completion>> {
    // What is there already needs no turn.
    const piece = this.#waiting > 0 || this.#failure !== undefined || this.#reading.isOver ? undefined : this.#read();
    if (piece !== undefined) return Promise.resolve({ done: false, value: piece });
    this.#waiting++;
    const next = this.#asked.then(() => this.#next()).finally(() => this.#waiting--);
    this.#asked = next.catch(() => {}); // the caller hears of it
    return next;
  }

  /** Ends the job. */
  async return(value: Completion | PromiseLike<Completion>): Promise<IteratorResult<Piece, Completion>> {
    this.#leave();
    return { done: true, value: await value };
  }

  /** Ends the job with an error. */
  throw(error: unknown): Promise<IteratorResult<Piece, Completion>> {
    this.fail(error);
    return Promise.reject(error);
  }

  /** Itself, for `for await`. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Ends the job, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#leave();
    return Promise.resolve();
  }

  #leave(): void {
    if (this.#reading.isOver) return;
    this.#host.say(this.#reading.leave());
    this.#host.over();
    this.wake();
  }

  #read(): Piece | undefined {
    const { piece, said } = this.#reading.read();
    if (said.length > 0) this.#host.say(said);
    return piece === undefined ? undefined : pieceOf(piece);
  }

  async #next(): Promise<IteratorResult<Piece, Completion>> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure.error;
      if (this.#reading.isOver) return { done: true, value: undefined as never };
      const piece = this.#read();
      if (piece !== undefined) return { done: false, value: piece };
      const { outcome, pieces } = this.#reading;
      if (outcome !== undefined) {
        this.#leave();
        if ("error" in outcome) throw errorOf(outcome.error);
        return { done: true, value: completionFrom(pieces, outcome.end, this.#hasLogprobs) };
      }
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
  }
}
