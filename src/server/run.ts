/**
 * Runs the jobs of one request side by side and gives what comes of them in the order in which it comes. One that fails ends
 * the others, and so does leaving.
 *
 * @module
 */
import type { Completion, Piece } from "../batching/completion.ts";
import type { Backend, Job } from "./types.ts";

/** Something of one of the answers. */
export type RunEvent =
  | { readonly index: number; readonly piece: Piece }
  | { readonly index: number; readonly completion: Completion };

interface Pending {
  readonly index: number;
  readonly pieces: AsyncGenerator<Piece, Completion, void>;
  readonly next: Promise<{ readonly from: Pending; readonly result: IteratorResult<Piece, Completion> }>;
}

/** The jobs of one request at work. */
export class Run {
  readonly completions: Completion[] = [];
  #pending: Pending[] = [];

  private constructor(begun: readonly AsyncGenerator<Piece, Completion, void>[]) {
    this.#pending = begun.map((pieces, index) => ask(index, pieces));
  }

  /** Begins all jobs at once; rejects where there is no room for one of them. */
  static async begin(backend: Backend, jobs: readonly Job[], signal: AbortSignal): Promise<Run> {
    const tried = await Promise.allSettled(jobs.map((job) => backend.submit(job, signal)));
    const begun = tried.flatMap((one) => one.status === "fulfilled" ? [one.value] : []);
    const refused = tried.find((one) => one.status === "rejected");
    if (refused === undefined) return new Run(begun);
    for (const pieces of begun) void pieces.return(undefined as never);
    throw refused.reason;
  }

  /** What comes next; undefined once all answers have ended. */
  async next(): Promise<RunEvent | undefined> {
    if (this.#pending.length === 0) return undefined;
    try {
      const { from, result } = await Promise.race(this.#pending.map(({ next }) => next));
      const { index, pieces } = from;
      const others = this.#pending.filter((one) => one !== from);
      // Whose turn it was goes to the end, so that none is passed over.
      this.#pending = result.done ? others : [...others, ask(index, pieces)];
      if (!result.done) return { index, piece: result.value };
      this.completions[index] = result.value;
      return { index, completion: result.value };
    } catch (error) {
      this.end();
      throw error;
    }
  }

  /** Ends all that is still under way, before the next step. Again is fine. */
  end(): void {
    for (const { pieces, next } of this.#pending.splice(0)) {
      next.catch(() => {}); // it ends by what ends it here
      void pieces.return(undefined as never);
    }
  }
}

function ask(index: number, pieces: AsyncGenerator<Piece, Completion, void>): Pending {
  const from: Pending = { index, pieces, next: pieces.next().then((result) => ({ from, result })) };
  from.next.catch(() => {}); // heard by the race, unless that is over
  return from;
}
