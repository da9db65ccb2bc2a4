/**
 * The gateway's side of all jobs: puts them into the queues of their models, answers workers that ask how far a job is, and takes the
 * parts of answers. What a part means is decided in `reading.ts`.
 *
 * @module
 */
import { QueueFullError } from "../../ffi/errors.ts";
import { type Clock, every, pause } from "../batching/clock.ts";
import type { Completion, Piece } from "../batching/completion.ts";
import { expired } from "../batching/errors.ts";
import { cancelledBy } from "../options/checks.ts";
import { Failure } from "../server/failure.ts";
import { jobText, textsText } from "../server/job_text.ts";
import type { Job, TextsOrder } from "../server/types.ts";
import { completionFrom, pieceOf, rowOf } from "./crossing.ts";
import { tooLong, unreachable } from "./failures.ts";
import { JobReading, type Said } from "./reading.ts";
import { goneMs, type Registry } from "./registry.ts";
import { type RemoteForm, RemotePieces } from "./remote_pieces.ts";
import { Router } from "./routing.ts";
import { Stalls } from "./stalls.ts";
import { askSubject, controlSubject, frameSubject, newSubject, placeText } from "./subjects.ts";
import { Together } from "./together.ts";
import type {
  Control,
  Envelope,
  Frame,
  PartData,
  PieceData,
  Place,
  Question,
  Reply,
  RowData,
  Transport,
} from "./types.ts";

/** How long a job is tried to be put into a queue that cannot be reached, and how often. */
const addMs = 10_000;
const addAgainMs = 250;
/** How often jobs without a sign are looked for in the queue, and after how long a silence. */
const lookMs = 1000;
const silentMs = 6000;
/** How often workers are told where jobs lie whose workers have given no sign for so long that the queue has them again. */
const hintMs = 100;
/** How long a credit may wait for others: a worker has as many pieces left as again. */
const creditMs = 8;
/** How long a job goes on without a connection. */
const lostMs = 60_000;

/** What is written down of an answer, so that another gateway can go on with it. */
export interface AnswerLog {
  /** The pieces that are there, where it began at another gateway. */
  readonly before: readonly PieceData[];
  /** Something has come. */
  grown(reading: JobReading): void;
}

/** A job that is open. */
interface Open {
  /** Called when something has come. */
  readonly grown: () => void;
  readonly reading: JobReading<PartData>;
  readonly pieces: Pick<RemotePieces<PartData, unknown, unknown>, "fail" | "wake">;
  readonly envelope: Envelope;
  readonly place: Place;
  /** What the queue calls it. */
  entry: number;
  /** How often it was put into the queue. */
  copies: number;
  /** When something was heard of it, and when it was looked for in the queue since. */
  heardAt: number;
  lookedAt: number;
}

/** What a gateway wants done elsewhere. */
interface Wanted<Part extends PartData, Item, End> {
  readonly envelope: Pick<Envelope, "fingerprint" | "job" | "isTexts">;
  readonly place: Place;
  readonly signal: AbortSignal;
  readonly deadlineMs?: number | undefined;
  readonly form: RemoteForm<Part, Item, End>;
  readonly log?: { readonly before: readonly Part[]; grown(reading: JobReading<Part>): void } | undefined;
}

/** All jobs of a gateway. */
export class Hub {
  readonly id: string = crypto.randomUUID().replaceAll("-", "");
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #router = new Router();
  readonly #open = new Map<string, Open>();
  readonly #ends: (() => void)[] = [];
  readonly #controls: Together<Control>;
  #lostSince: number | undefined;
  readonly #registry: Pick<Registry, "hasWorker">;
  readonly #stalls: Stalls;
  #lookedAt: number;
  /** When workers may have been unheard last for a reason of this machine: it was not connected, or did not come to listen. */
  #deafAt = -Infinity;

  /** Begins to listen. */
  constructor(transport: Transport, clock: Clock, registry: Pick<Registry, "hasWorker" | "workers">) {
    this.#transport = transport;
    this.#clock = clock;
    this.#registry = registry;
    this.#stalls = new Stalls(registry);
    this.#lookedAt = clock.now();
    const say = (worker: string, controls: Control[]) =>
      transport.publish(controlSubject(worker), JSON.stringify(controls));
    this.#controls = new Together(clock, creditMs, say);
    this.#ends.push(
      transport.subscribe(askSubject(this.id), (text, answer) => answer(JSON.stringify(this.#answer(text)))),
      transport.subscribe(frameSubject(this.id), (text) => this.#take(JSON.parse(text) as Frame<PartData>[])),
      every(clock, lookMs, () => this.#look()),
      every(clock, hintMs, () => this.#hint()),
    );
  }

  /** Puts a job into the queue of its model, and gives what comes of it. */
  submit(
    fingerprint: string,
    job: Job,
    signal: AbortSignal,
    log?: AnswerLog,
  ): Promise<AsyncGenerator<Piece, Completion, void>> {
    const { tenant, prompt, priority, deadlineMs } = job;
    const hasLogprobs = job.logprobs !== undefined;
    return this.#begin<PieceData, Piece, Completion>({
      envelope: { fingerprint, job: jobText(job) },
      place: this.#router.place(tenant, prompt, priority),
      signal,
      deadlineMs,
      form: { item: pieceOf, end: (pieces, end) => completionFrom(pieces, end, hasLogprobs) },
      log,
    });
  }

  /** Has texts computed, and gives the numbers of each. */
  async *read(
    fingerprint: string,
    order: TextsOrder,
    priority: number,
    signal: AbortSignal,
  ): AsyncGenerator<Float32Array, void, void> {
    yield* await this.#begin<RowData, Float32Array, void>({
      envelope: { fingerprint, job: textsText(order), isTexts: true },
      place: this.#router.anywhere(priority),
      signal,
      form: { item: rowOf, end: () => {} },
    });
  }

  async #begin<Part extends PartData, Item, End>(
    { envelope: parts, place, signal, deadlineMs, form, log }: Wanted<Part, Item, End>,
  ): Promise<RemotePieces<Part, Item, End>> {
    const envelope: Envelope = {
      ...parts,
      id: crypto.randomUUID().replaceAll("-", ""),
      gateway: this.id,
      ...(log === undefined || log.before.length === 0 ? { isNew: true } : {}),
    };
    const text = JSON.stringify(envelope);
    if (!this.#fits(text)) throw tooLong("The request as a job", this.#transport.textBytesMax);
    const reading = new JobReading<Part>(envelope.id, log?.before);
    const undo: (() => void)[] = [];
    const over = () => {
      for (const act of undo.splice(0)) act();
      this.#over(envelope.id);
    };
    const pieces = new RemotePieces(reading, { say: (said) => this.#say(said), over }, form);
    const grown = () => log?.grown(reading);
    const now = this.#clock.now();
    const open = { grown, reading, pieces, envelope, place, entry: 0, copies: 0, heardAt: now, lookedAt: now };
    // A worker may ask before the queue has answered.
    this.#open.set(envelope.id, open);
    const abort = () => pieces.fail(cancelledBy(signal));
    signal.addEventListener("abort", abort, { once: true });
    undo.push(() => signal.removeEventListener("abort", abort));
    if (deadlineMs !== undefined) undo.push(this.#clock.after(deadlineMs, () => pieces.fail(expired(deadlineMs))));
    try {
      signal.throwIfAborted();
      await this.#add(open, text);
      return pieces;
    } catch (error) {
      pieces.fail(error);
      throw error;
    }
  }

  /** Ends all jobs and listens no more. */
  close(error: unknown): void {
    for (const { pieces } of [...this.#open.values()]) pieces.fail(error);
    this.#controls.flush();
    for (const end of this.#ends.splice(0)) end();
  }

  /** Whether a text goes into a message. */
  #fits(text: string): boolean {
    const most = this.#transport.textBytesMax;
    return 3 * text.length <= most || new TextEncoder().encode(text).length <= most;
  }

  /** Tries until the queue has it, for a while: a server of NATS may be on its way back. */
  async #add(open: Open, text: string): Promise<void> {
    const { envelope: { fingerprint }, place } = open;
    const end = this.#clock.now() + addMs;
    const name = entryName(open);
    for (;;) {
      try {
        open.entry = await (await this.#transport.queue(fingerprint)).add(place, name, text);
        open.heardAt = this.#clock.now();
        return this.#transport.publish(newSubject(fingerprint), placeText(place));
      } catch (error) {
        if (error instanceof QueueFullError || error instanceof Failure) throw error;
        if (this.#clock.now() >= end) throw unreachable(error);
      }
      if (open.reading.isOver) return;
      await pause(this.#clock, addAgainMs);
    }
  }

  #answer(text: string): Reply {
    const question = JSON.parse(text) as Question;
    const open = this.#open.get(question.job);
    // It has ended, or its reader has left.
    if (open === undefined) return { kind: "done" };
    open.heardAt = this.#clock.now();
    const reply = open.reading.ask(question, (worker) => this.#isThere(worker));
    if (open.reading.isPoison) void this.#bury(open);
    if (reply.kind !== "open" || reply.tokens === undefined || this.#fits(JSON.stringify(reply))) return reply;
    open.pieces.fail(tooLong(`What came of the job ${question.job}`, this.#transport.textBytesMax));
    return { kind: "done" };
  }

  #take(frames: readonly Frame<PartData>[]): void {
    for (const frame of frames) {
      const open = this.#open.get(frame.job);
      if (open === undefined) {
        this.#say([{ worker: frame.worker, control: { job: frame.job, kind: "done" } }]);
        continue;
      }
      open.heardAt = this.#clock.now();
      this.#say(open.reading.take(frame));
      open.grown();
      open.pieces.wake();
    }
  }

  #say(said: readonly Said[]): void {
    for (const { worker, control } of said) {
      this.#controls.waitingFor(worker).push(control);
      this.#controls.schedule(control.kind !== "credit");
    }
  }

  #over(id: string): void {
    const open = this.#open.get(id);
    this.#open.delete(id);
    if (open === undefined || open.entry === 0 || open.reading.outcome !== undefined) return;
    const remove = async () => await (await this.#transport.queue(open.envelope.fingerprint)).remove(open.entry);
    remove().catch(() => {}); // a worker that takes it asks first, and hears that it is done
  }

  /** Keeps a job that stops its workers, and tells its reader. */
  async #bury({ envelope, grown, pieces }: Open): Promise<void> {
    grown();
    try {
      await this.#transport.bury(envelope.fingerprint, envelope.id, JSON.stringify(envelope));
    } catch (error) {
      pieces.fail(unreachable(error));
    }
    pieces.wake();
  }

  /** Whether a worker lives, as far as is known. */
  #isThere(worker: string): boolean {
    const isHearing = this.#clock.now() - this.#lookedAt <= 2 * lookMs && this.#clock.now() - this.#deafAt > goneMs;
    return !isHearing || this.#registry.hasWorker(worker);
  }

  /** Tells workers of jobs that were taken up and whose worker is silent: it may be gone, and they need not find it out by looking. */
  #hint(): void {
    const heardBefore = this.#clock.now() - this.#transport.ackWaitMs;
    const told = new Set<string>();
    for (const { heardAt, reading, place, envelope: { fingerprint } } of this.#open.values()) {
      if (heardAt > heardBefore || !reading.isTaken || reading.outcome !== undefined) continue;
      const [subject, text] = [newSubject(fingerprint), placeText(place)];
      if (told.has(`${subject} ${text}`)) continue;
      told.add(`${subject} ${text}`);
      this.#transport.publish(subject, text);
    }
  }

  /** Looks after jobs of which nothing is heard. */
  #look(): void {
    const now = this.#clock.now();
    if (!this.#transport.isConnected || now - this.#lookedAt > 2 * lookMs) this.#deafAt = now;
    this.#lookedAt = now;
    if (!this.#transport.isConnected) {
      this.#lostSince ??= now;
      if (now - this.#lostSince < lostMs) return;
      for (const { pieces } of [...this.#open.values()]) pieces.fail(unreachable(undefined));
      return;
    }
    this.#lostSince = undefined;
    this.#stalls.look(new Set([...this.#open.values()].map(({ envelope }) => envelope.fingerprint)), now);
    for (const open of this.#open.values()) {
      if (open.entry === 0 || open.reading.outcome !== undefined) continue;
      if (now - Math.max(open.heardAt, open.lookedAt) < silentMs) continue;
      open.lookedAt = now;
      this.#restore(open).catch(() => {}); // it is asked for again in a while
    }
  }

  /** Puts a job back that the queue has lost, or hands to no worker. */
  async #restore(open: Open): Promise<void> {
    const { envelope, reading, place, copies } = open;
    const { fingerprint } = envelope;
    const queue = await this.#transport.queue(fingerprint);
    const hasIt = await queue.has(open.entry, entryName(open));
    if (reading.isOver || reading.outcome !== undefined) return;
    if (hasIt) {
      const heardAt = Math.max(open.heardAt, this.#deafAt);
      if (!this.#stalls.isStalled({ fingerprint, place, heardAt, copies }, this.#clock.now())) return;
      // Two of one job would be taken from one worker to the other and back.
      await queue.remove(open.entry);
      await queue.renew(place);
      if (reading.isOver || reading.outcome !== undefined) return;
    }
    open.copies++;
    const { isNew: _, ...begun } = envelope;
    await this.#add(open, JSON.stringify(begun));
  }
}

/** What the queue calls a job: NATS drops a message whose name it has had. */
function entryName({ envelope: { id }, copies }: Pick<Open, "envelope" | "copies">): string {
  return copies === 0 ? id : `${id}.${copies}`;
}
