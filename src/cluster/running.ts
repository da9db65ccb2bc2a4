/**
 * A job at a worker, as a state machine: what comes in (the gateway's replies, pieces from the model, time) gives what is to be done.
 * It knows no transport and no clock, so that a simulation can drive it through anything. A job is acknowledged only when the gateway
 * says that it has everything, or does not want it any more.
 *
 * @module
 */
import { windowPieces } from "./reading.ts";
import type { Control, EndData, ErrorData, Frame, PartData, Question, Reply, RowsEnd } from "./types.ts";

/** What is to be done. */
export type Effect =
  /** Ask the gateway how far the job is; `made` pieces are there. */
  | { readonly do: "ask"; readonly first: boolean; readonly made: number }
  /** Begin to generate, from where another worker broke off. */
  | {
    readonly do: "start";
    readonly have: number;
    readonly tokens: readonly number[];
    readonly mu?: number | undefined;
  }
  /** Ask the model for a piece. */
  | { readonly do: "next" }
  | { readonly do: "send"; readonly frame: Frame<PartData> }
  /** Tell the queue that the job is at work, is done, or goes back. */
  | { readonly do: "working" | "acknowledge" }
  | { readonly do: "giveBack"; readonly delayMs: number }
  /** End the generation. */
  | { readonly do: "stop" }
  /** Nothing more comes of it. */
  | { readonly do: "forget" };

/** Errors that are of this worker and not of the job: another may do better. */
const ownErrors: readonly string[] = ["closed", "cancelled", "outOfMemory", "queueFull", "library", "io"];
/** Until a job that this worker could not do is tried again. */
const giveBackMs = 500;

/** One job at a worker. */
export class JobRun {
  readonly job: string;
  readonly worker: string;
  readonly #deliveries: number;
  #state: "opening" | "running" | "finished" | "over" = "opening";
  readonly #pieces: PartData[] = [];
  /** The index of the first of the pieces that are here. */
  #base = 0;
  #upTo = 0;
  #outcome: Pick<Frame, "end" | "error"> = {};
  #isWaiting = false;
  /** Whether the gateway has said something since the last tick. */
  #hasHeard = true;

  /** The job was handed over, the so manyth time. */
  constructor(job: string, worker: string, deliveries: number) {
    this.job = job;
    this.worker = worker;
    this.#deliveries = deliveries;
  }

  /** Whether nothing more comes of it. */
  get isOver(): boolean {
    return this.#state === "over";
  }

  /** Whether the model works for it. */
  get isRunning(): boolean {
    return this.#state === "running";
  }

  /** What the gateway is asked. */
  question(isFirst: boolean): Question {
    const { job, worker } = this;
    return isFirst ? { job, worker, first: true, deliveries: this.#deliveries } : { job, worker };
  }

  /** It begins; where nothing has come of it yet and no other worker has had it, the gateway is not asked. */
  begin(isNew: boolean): Effect[] {
    if (!isNew || this.#deliveries > 1) return [{ do: "ask", first: true, made: 0 }];
    this.#state = "running";
    this.#upTo = windowPieces;
    return [{ do: "start", have: 0, tokens: [] }, ...this.#ask()];
  }

  /** The gateway has answered a question that was asked when `made` pieces were there. Those made since may be on their way. */
  replied(reply: Reply, made: number): Effect[] {
    if (this.isOver) return [];
    this.#hasHeard = true;
    if (reply.kind !== "open") return this.#leave(reply.kind === "done");
    if (this.#state === "opening") {
      // Another reply may still be on its way; the first one counts.
      if (reply.tokens === undefined) return [];
      this.#state = "running";
      this.#base = reply.have;
      this.#upTo = reply.upTo;
      return [{ do: "start", have: reply.have, tokens: reply.tokens, mu: reply.mu }, ...this.#ask()];
    }
    this.#upTo = Math.max(this.#upTo, reply.upTo);
    const isEndMissing = this.#state === "finished" && made === this.#made;
    const missing = reply.have < made || isEndMissing ? [this.#frame(reply.have)] : [];
    return [...missing, ...this.#ask()];
  }

  /** The gateway has said something. */
  told(control: Control): Effect[] {
    if (this.isOver) return [];
    this.#hasHeard = true;
    if (control.kind !== "credit") return this.#leave(control.kind === "done");
    this.#upTo = Math.max(this.#upTo, control.upTo);
    return this.#ask();
  }

  /** The model has given a piece. */
  piece(piece: PartData): Effect[] {
    this.#isWaiting = false;
    if (this.#state !== "running") return [];
    this.#pieces.push(piece);
    return [this.#frame(this.#made - 1), ...this.#ask()];
  }

  /** The answer has ended. */
  ended(end: EndData | RowsEnd): Effect[] {
    return this.#finish({ end });
  }

  /** It has failed. */
  failed(error: ErrorData): Effect[] {
    if (this.#state === "running" && ownErrors.includes(error.code)) {
      this.#state = "over";
      return [{ do: "giveBack", delayMs: giveBackMs }, { do: "forget" }];
    }
    return this.#finish({ error });
  }

  /** A quarter of the time has passed after which the queue would hand the job to another worker. */
  tick(): Effect[] {
    if (this.isOver) return [];
    const isSilent = !this.#hasHeard || this.#state === "finished";
    this.#hasHeard = false;
    if (!isSilent) return [{ do: "working" }];
    return [{ do: "working" }, { do: "ask", first: this.#state === "opening", made: this.#made }];
  }

  /** No gateway has been there for this job for so long that it is not waited for any more. */
  orphaned(): Effect[] {
    return this.isOver ? [] : this.#leave(true);
  }

  /** The worker takes no more part: the job goes to another one. */
  drain(): Effect[] {
    if (this.isOver) return [];
    this.#state = "over";
    const frame = { job: this.job, worker: this.worker, at: this.#made, pieces: [], returned: true } as const;
    return [{ do: "stop" }, { do: "send", frame }, { do: "giveBack", delayMs: 0 }, { do: "forget" }];
  }

  get #made(): number {
    return this.#base + this.#pieces.length;
  }

  #finish(outcome: Pick<Frame, "end" | "error">): Effect[] {
    this.#isWaiting = false;
    if (this.#state !== "running" && this.#state !== "opening") return [];
    this.#state = "finished";
    this.#outcome = outcome;
    return [this.#frame(this.#made)];
  }

  #leave(isDone: boolean): Effect[] {
    const stop: Effect[] = this.#state === "running" ? [{ do: "stop" }] : [];
    this.#state = "over";
    return [...stop, ...(isDone ? [{ do: "acknowledge" } as const] : []), { do: "forget" }];
  }

  /** Asks for a piece where one is wanted and none is on its way. */
  #ask(): Effect[] {
    if (this.#state !== "running" || this.#isWaiting || this.#made >= this.#upTo) return [];
    this.#isWaiting = true;
    return [{ do: "next" }];
  }

  #frame(from: number): Effect {
    const at = Math.min(Math.max(from, this.#base), this.#made);
    const pieces = this.#pieces.slice(at - this.#base);
    return { do: "send", frame: { job: this.job, worker: this.worker, at, pieces, ...this.#outcome } };
  }
}
