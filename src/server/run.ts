/**
 * Runs the jobs of one request side by side and gives what comes of them in the order in which it comes: all that is there at a
 * time, for what reads it comes less often than tokens of a fast model do. One that fails ends the others, and so does leaving.
 *
 * @module
 */
import { CancelledError } from "../../ffi/errors.ts";
import type { Completion, Piece } from "../batching/completion.ts";
import type { Backend, Job } from "./types.ts";

/** Something of one of the answers. */
export type RunEvent =
  | { readonly index: number; readonly piece: Piece }
  | { readonly index: number; readonly completion: Completion };

/** Pieces of each answer that may be there before they are taken; then the answer pauses. */
const aheadMost = 32;

/** What the reader of a run waits for. */
interface Wait {
  isMet(): boolean;
  resolve(): void;
}

/** The jobs of one request at work. It has one reader. */
export class Run {
  readonly completions: Completion[] = [];
  readonly #most: number;
  /** The answers that are under way. */
  readonly #open: Set<AsyncGenerator<Piece, Completion, void>>;
  #events: RunEvent[] = [];
  #failure: { readonly error: unknown } | undefined;
  #wait: Wait | undefined;
  /** Go on with the answers that have paused. */
  #paused: (() => void)[] = [];

  private constructor(begun: readonly AsyncGenerator<Piece, Completion, void>[]) {
    this.#most = aheadMost * begun.length;
    this.#open = new Set(begun);
    begun.forEach((pieces, index) => void this.#read(index, pieces));
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

  /** Whether all answers have ended properly, and what came of them has been taken. */
  get isFinished(): boolean {
    return this.#open.size === 0 && this.#events.length === 0 && this.#failure === undefined;
  }

  /**
   * All that is there, once something is, or nothing after so many milliseconds. Rejects where an answer has failed, after what
   * came before.
   */
  async take(silenceMs: number = Infinity): Promise<readonly RunEvent[]> {
    if (this.#events.length === 0) await this.#until(() => this.#events.length > 0, silenceMs);
    const events = this.#events;
    if (events.length === 0 && this.#failure) throw this.#failure.error;
    this.#events = [];
    for (const goOn of this.#paused.splice(0)) goOn();
    return events;
  }

  /** Waits for more to take, at most so many milliseconds, and no longer than more can come. */
  async fill(ms: number): Promise<void> {
    if (ms > 0) await this.#until(() => this.#events.length >= this.#most, ms);
  }

  /** Ends all that is still under way, before the next step. Again is fine. */
  end(): void {
    if (this.#open.size > 0) this.#fail(new CancelledError("The request was ended."));
  }

  /** Reads an answer to its end. */
  async #read(index: number, pieces: AsyncGenerator<Piece, Completion, void>): Promise<void> {
    try {
      while (this.#open.has(pieces)) {
        const { done, value } = await pieces.next();
        if (!this.#open.has(pieces)) return;
        if (done) {
          this.completions[index] = value;
          this.#open.delete(pieces);
          this.#events.push({ index, completion: value });
        } else this.#events.push({ index, piece: value });
        this.#changed();
        if (this.#events.length >= this.#most) await new Promise<void>((goOn) => this.#paused.push(goOn));
      }
    } catch (error) {
      if (this.#open.has(pieces)) this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#failure = { error };
    const open = [...this.#open];
    this.#open.clear();
    for (const pieces of open) void pieces.return(undefined as never);
    for (const goOn of this.#paused.splice(0)) goOn();
    this.#changed();
  }

  /** Waits until something holds or all answers have ended, and no longer than so many milliseconds. */
  async #until(isMet: () => boolean, ms: number): Promise<void> {
    if (isMet() || this.#open.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wait = { isMet, resolve };
    const timer = ms === Infinity ? undefined : setTimeout(resolve, ms);
    await promise;
    clearTimeout(timer);
    this.#wait = undefined;
  }

  #changed(): void {
    if (this.#wait && (this.#open.size === 0 || this.#wait.isMet())) this.#wait.resolve();
  }
}
