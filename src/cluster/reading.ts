/**
 * An answer at the gateway, as a state machine: what came of it, what its reader has read, and which worker has the job. It knows no
 * transport and no clock, so that a simulation can drive it through anything. Two rules make it exact: a piece counts by its index,
 * whatever worker sends it, for all of them compute the same; and a worker that takes a job up is told the tokens so far.
 *
 * @module
 */
import type { Control, EndData, ErrorData, Frame, PartData, PieceData, Question, Reply, RowsEnd } from "./types.ts";

/** Pieces that a worker may be ahead of the reader. */
export const windowPieces = 64;
/** Workers that may take a job up, one after the other, without a single piece in between. */
const attemptsMost = 3;
/** How often a job is kept from further workers until it is known whether those that took it up live: then it is given up, too. */
const keptMost = 40;

/** Something to be said to a worker. */
export interface Said {
  readonly worker: string;
  readonly control: Control;
}

/** How an answer ended. */
export type Outcome = { readonly end: EndData | RowsEnd } | { readonly error: ErrorData };

/** One answer as the gateway has it. */
export class JobReading<Part extends PartData = PieceData> {
  readonly job: string;
  /** All pieces so far. */
  readonly pieces: Part[];
  /** How it ended. */
  outcome: Outcome | undefined;
  /** Whether its worker is to be told that a job which stops one after the other is not tried again. */
  isPoison = false;
  /** Nothing wants it any more. */
  isOver = false;
  #owner: string | undefined;
  #kept = 0;
  /** Who took it up last, where that does not count yet: its reader has more pieces than it reads, and wanted none. */
  #taken: { readonly worker: string; readonly deliveries: number } | undefined;
  #read: number;
  #upTo: number;
  /** Workers that took it up since the last piece and were not heard again when another had, and which deliveries they took. */
  readonly #attempts = new Map<string, number[]>();

  /** Nothing has come but `before`, which its reader has: the job was begun at another gateway. */
  constructor(job: string, before: readonly Part[] = []) {
    this.job = job;
    this.pieces = [...before];
    this.#read = before.length;
    this.#upTo = before.length + windowPieces;
  }

  /** Whether a worker has taken it up. */
  get isTaken(): boolean {
    return this.#owner !== undefined;
  }

  /** A worker asks how far the job is; `isThere` says of another whether it lives, as far as that is known. */
  ask({ worker, first, deliveries = 1 }: Question, isThere: (worker: string) => boolean): Reply {
    if (this.isOver || this.outcome !== undefined) return { kind: "done" };
    // One that begins a new job does not ask.
    if (!first) this.#owner ??= worker;
    if (!first && worker !== this.#owner) {
      this.#attempts.delete(worker); // it lives
      return { kind: "moved" };
    }
    const progress = { kind: "open", have: this.pieces.length, upTo: this.#upTo } as const;
    if (!first) return progress;
    // So it may have been taken up before without a word.
    if (this.#owner === undefined && deliveries > 1 && this.pieces.length === 0) this.#attempts.set("", [1]);
    const own = this.#attempts.get(worker) ?? [];
    if (!own.includes(deliveries)) {
      const refusal = this.#refusal(worker, isThere);
      if (refusal !== undefined) return refusal;
      this.#taken = { worker, deliveries };
      if (this.pieces.length < this.#upTo) this.#count();
    }
    this.#owner = worker;
    const tokens = this.pieces.flatMap((piece) => "token" in piece ? [piece.token] : []);
    const last = this.pieces.at(-1);
    const mu = last !== undefined && "mu" in last ? last.mu : undefined;
    return mu === undefined ? { ...progress, tokens } : { ...progress, tokens, mu };
  }

  /** The worker that took it up is asked for a piece: from now on that it took it up counts. */
  #count(): void {
    if (this.#taken === undefined) return;
    const { worker, deliveries } = this.#taken;
    this.#attempts.set(worker, [...this.#attempts.get(worker) ?? [], deliveries]);
    this.#taken = undefined;
  }

  /** What a worker hears in place of a job that enough others took up; undefined where it may have it. */
  #refusal(worker: string, isThere: (worker: string) => boolean): Reply | undefined {
    const all = [...this.#attempts];
    const count = (some: typeof all) => some.reduce((sum, [, { length }]) => sum + length, 0);
    if (count(all) < attemptsMost) return undefined;
    // One that asks for it anew has let go of it; another that lives may be slow, and be heard yet.
    const certain = count(all.filter(([one]) => one === worker || !isThere(one)));
    if (certain < attemptsMost && this.#kept++ < keptMost) return { kind: "moved" };
    this.isPoison = true;
    this.outcome = { error: poison(this.job, count(all)) };
    return { kind: "done" };
  }

  /** A part of the answer has come. */
  take({ worker, at, pieces, end, error, returned }: Frame<Part>): Said[] {
    if (this.isOver || this.outcome !== undefined) return [this.#say(worker, { kind: "done" })];
    const have = this.pieces.length;
    // What is missing in between comes again: the worker asks where it stands when it hears nothing.
    if (at > have) return [];
    this.pieces.push(...pieces.slice(have - at));
    // What was put back in order begins anew; what was left lying by a worker that died counts.
    if (this.pieces.length > have || returned) {
      this.#attempts.clear();
      this.#taken = undefined;
      this.#kept = 0;
    }
    if (error !== undefined) this.outcome = { error };
    else if (end !== undefined) this.outcome = { end };
    if (this.outcome !== undefined) return [this.#say(worker, { kind: "done" })];
    this.#owner ??= worker;
    if (worker === this.#owner) return [];
    this.#attempts.delete(worker);
    return [this.#say(worker, { kind: "moved" })];
  }

  /** The next piece for the reader, if there is one, and what is to be said for it. */
  read(): { readonly piece: Part | undefined; readonly said: readonly Said[] } {
    if (this.#read === this.pieces.length) return { piece: undefined, said: [] };
    const piece = this.pieces[this.#read++];
    if (this.#upTo - this.#read > windowPieces / 2) return { piece, said: [] };
    this.#upTo = this.#read + windowPieces;
    this.#count();
    const owner = this.#owner;
    return { piece, said: owner === undefined ? [] : [this.#say(owner, { kind: "credit", upTo: this.#upTo })] };
  }

  /** The reader has left. */
  leave(): Said[] {
    this.isOver = true;
    return this.#owner === undefined ? [] : [this.#say(this.#owner, { kind: "done" })];
  }

  #say(worker: string, control: Reply | { readonly kind: "credit"; readonly upTo: number }): Said {
    return { worker, control: { job: this.job, ...control } as Control };
  }
}

function poison(job: string, attempts: number): ErrorData {
  const what = "a job that stops its workers";
  return {
    code: "incomplete",
    message:
      `${attempts} workers have begun the job ${job}, one after the other, and none gave a token: it is not tried ` +
      "again. It lies with the dead letters.",
    detail: { what, where: job },
  };
}
