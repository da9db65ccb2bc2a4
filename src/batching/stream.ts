/**
 * The pieces of a request that runs a few tokens ahead of its reader: a reader that takes a little time for each piece misses no
 * step. When the reader stops, the request stops, too, after these few tokens.
 *
 * @module
 */
import type { Completion, Piece } from "./completion.ts";
import type { Generation } from "./generation.ts";

interface Reader {
  resolve(result: IteratorResult<Piece, Completion>): void;
  reject(error: unknown): void;
}

/** How a stream ended: with a value or an error. */
type Outcome = { readonly value: Completion | undefined } | { readonly error: unknown };

/** Reads a generation ahead. */
export class PieceStream implements AsyncGenerator<Piece, Completion, void> {
  readonly #generation: Generation;
  readonly #ahead: number;
  readonly #pieces: Piece[] = [];
  readonly #readers: Reader[] = [];
  #outcome: Outcome | undefined;
  #isPumping = false;

  /** Begins at once, and stays at most `ahead` pieces ahead. */
  constructor(generation: Generation, ahead: number) {
    this.#generation = generation;
    this.#ahead = ahead;
    this.#pump();
  }

  /** The next piece. */
  next(): Promise<IteratorResult<Piece, Completion>> {
    const piece = this.#pieces.shift();
    if (piece) {
      this.#pump();
      return Promise.resolve({ done: false, value: piece });
    }
    return new Promise((resolve, reject) => {
      this.#readers.push({ resolve, reject });
      if (this.#outcome) this.#settle();
      else this.#pump();
    });
  }

  /** Ends the request; pieces that were not read are dropped. */
  async return(value: Completion | PromiseLike<Completion>): Promise<IteratorResult<Piece, Completion>> {
    const result = await value;
    this.#end({ value: result });
    await this.#generation.return(result).catch(() => {}); // the piece in the making fails; nothing waits for it
    return { done: true, value: result };
  }

  /** Ends the request with an error. */
  async throw(error: unknown): Promise<IteratorResult<Piece, Completion>> {
    this.#end({ value: undefined });
    await this.#generation.throw(error).catch(() => {}); // as with `return`
    throw error;
  }

  /** Itself, for `for await`. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Ends the request, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#end({ value: undefined });
    await this.#generation[Symbol.asyncDispose]().catch(() => {}); // as with `return`
  }

  #pump(): void {
    if (this.#isPumping || this.#outcome) return;
    this.#isPumping = true;
    this.#read().finally(() => this.#isPumping = false);
  }

  async #read(): Promise<void> {
    while (!this.#outcome && this.#pieces.length < this.#ahead + this.#readers.length) {
      try {
        const { done, value } = await this.#generation.next();
        if (this.#outcome) return;
        if (done) this.#end({ value }, true);
        else {
          this.#pieces.push(value);
          this.#hand();
        }
      } catch (error) {
        if (!this.#outcome) this.#end({ error }, true);
      }
    }
  }

  #hand(): void {
    while (this.#pieces.length > 0 && this.#readers.length > 0) {
      this.#readers.shift()?.resolve({ done: false, value: this.#pieces.shift() as Piece });
    }
  }

  /** Pieces that were read ahead come before the end, unless the reader ends the stream. */
  #end(outcome: Outcome, keepsPieces = false): void {
    if (this.#outcome) return;
    if (!keepsPieces) this.#pieces.length = 0;
    this.#outcome = outcome;
    this.#settle();
  }

  /** Tells waiting readers the end: the first gets the error or the result, the others that there is nothing more. */
  #settle(): void {
    for (const reader of this.#readers.splice(0)) {
      const outcome = this.#outcome as Outcome;
      this.#outcome = { value: undefined };
      if ("error" in outcome) reader.reject(outcome.error);
      else reader.resolve({ done: true, value: outcome.value as Completion });
    }
  }
}
