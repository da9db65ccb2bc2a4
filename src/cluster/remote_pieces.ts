/**
 * An answer that comes from another machine, as the generator that skins know. It gives pieces as they come, pauses its worker when its
 * reader pauses, and ends the job when it is ended.
 *
 * @module
 */
import { errorOf } from "./crossing.ts";
import type { JobReading, Outcome, Said } from "./reading.ts";
import type { PartData } from "./types.ts";

/** What an answer needs of its gateway. */
export interface RemoteHost {
  /** Says something to workers. */
  say(said: readonly Said[]): void;
  /** The job is over: its end was read, or its reader has left. */
  over(): void;
}

/** What has crossed, as its reader takes it. */
export interface RemoteForm<Part extends PartData, Item, End> {
  item(part: Part): Item;
  end(parts: readonly Part[], end: Extract<Outcome, { readonly end: unknown }>["end"]): End;
}

/** The pieces of a job that runs elsewhere. */
export class RemotePieces<Part extends PartData, Item, End> implements AsyncGenerator<Item, End, void> {
  readonly #reading: JobReading<Part>;
  readonly #host: RemoteHost;
  readonly #form: RemoteForm<Part, Item, End>;
  #asked: Promise<unknown> = Promise.resolve();
  /** How many calls wait for a piece. */
  #waiting = 0;
  #wake: (() => void) | undefined;
  #failure: { readonly error: unknown } | undefined;

  /** Reads what comes of a job. */
  constructor(reading: JobReading<Part>, host: RemoteHost, form: RemoteForm<Part, Item, End>) {
    this.#reading = reading;
    this.#host = host;
    this.#form = form;
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
  next(): Promise<IteratorResult<Item, End>> {
    // What is there already needs no turn.
    const piece = this.#waiting > 0 || this.#failure !== undefined || this.#reading.isOver ? undefined : this.#read();
    if (piece !== undefined) return Promise.resolve({ done: false, value: piece });
    this.#waiting++;
    const next = this.#asked.then(() => this.#next()).finally(() => this.#waiting--);
    this.#asked = next.catch(() => {}); // the caller hears of it
    return next;
  }

  /** Ends the job. */
  async return(value: End | PromiseLike<End>): Promise<IteratorResult<Item, End>> {
    this.#leave();
    return { done: true, value: await value };
  }

  /** Ends the job with an error. */
  throw(error: unknown): Promise<IteratorResult<Item, End>> {
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

  #read(): Item | undefined {
    const { piece, said } = this.#reading.read();
    if (said.length > 0) this.#host.say(said);
    return piece === undefined ? undefined : this.#form.item(piece);
  }

  async #next(): Promise<IteratorResult<Item, End>> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure.error;
      if (this.#reading.isOver) return { done: true, value: undefined as never };
      const piece = this.#read();
      if (piece !== undefined) return { done: false, value: piece };
      const { outcome, pieces } = this.#reading;
      if (outcome !== undefined) {
        this.#leave();
        if ("error" in outcome) throw errorOf(outcome.error);
        return { done: true, value: this.#form.end(pieces, outcome.end) };
      }
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
  }
}
