/**
 * A worker: takes jobs from the queue of its model when it has a free row, runs them by a backend, and sends what comes to the gateways
 * that asked. What a job does next is decided in `running.ts`; here it is done. Which places are looked at first is `Puller`'s part.
 *
 * @module
 */
import { LightGPTError } from "../../ffi/errors.ts";
import { currentRuntime } from "../../ffi/runtime/pick.ts";
import { type Clock, every } from "../batching/clock.ts";
import { readJob, readTexts } from "../server/job_text.ts";
import type { Backend, TextBackend } from "../server/types.ts";
import { answerWork, errorData, rowsWork, type Work } from "./crossing.ts";
import { GoneGateways } from "./gone_gateways.ts";
import { Outbox } from "./outbox.ts";
import { Puller } from "./puller.ts";
import { beatMs, type Registry, type WorkerEntry, workerKey } from "./registry.ts";
import { type Effect, JobRun } from "./running.ts";
import { askSubject, controlSubject } from "./subjects.ts";
import type { Control, Delivery, Envelope, Reply, Transport } from "./types.ts";

/** What a worker is made with. */
export interface WorkerParts {
  readonly id: string;
  readonly model: string;
  readonly fingerprint: string;
  /** Jobs at once. */
  readonly rows: number;
  readonly transport: Transport;
  /** Generates; undefined where the model only reads texts. */
  readonly backend: Backend | undefined;
  readonly texts: TextBackend;
  readonly registry: Registry;
  readonly clock: Clock;
  /** What it is doing, for others to see. */
  readonly figures: () => Pick<WorkerEntry, "tokensPerSecond" | "tokens" | "cacheAsked" | "cacheFound">;
  /** Called with what goes wrong and is not the fault of a job. */
  readonly troubled: (error: unknown) => void;
}

/** A job at work. */
interface Running {
  readonly run: JobRun;
  readonly envelope: Envelope;
  delivery: Delivery;
  readonly controller: AbortController;
  work: Promise<Work> | undefined;
}

/** Takes jobs and runs them. */
export class Worker {
  readonly #parts: WorkerParts;
  readonly #running = new Map<string, Running>();
  readonly #gone: GoneGateways;
  readonly #outbox: Outbox;
  readonly #puller: Puller;
  readonly #ends: (() => void)[] = [];
  #emptied: (() => void) | undefined;
  #isDraining = false;

  private constructor(parts: WorkerParts) {
    this.#parts = parts;
    this.#outbox = new Outbox(parts.transport, parts.clock);
    this.#gone = new GoneGateways(parts);
    this.#puller = new Puller({
      ...parts,
      room: () => parts.rows - this.#running.size,
      take: (delivery) => this.#take(delivery),
    });
  }

  /** Begins to work. */
  static async start(parts: WorkerParts): Promise<Worker> {
    const worker = new Worker(parts);
    const { transport, clock } = parts;
    worker.#ends.push(transport.subscribe(controlSubject(parts.id), (text) => worker.#hear(text)));
    worker.#ends.push(
      every(clock, transport.ackWaitMs / 4, () => worker.#tick()),
      every(clock, beatMs, () => void worker.#announce()),
    );
    await worker.#announce();
    await worker.#puller.start();
    return worker;
  }

  /** What it is called among others. */
  get id(): string {
    return this.#parts.id;
  }

  /** Jobs at work. */
  get running(): number {
    return this.#running.size;
  }

  /** Takes no more jobs, and puts those that it has back after `graceMs`, where they have not ended. */
  async drain(graceMs: number): Promise<void> {
    this.#isDraining = true;
    await this.#announce();
    await this.#puller.stop();
    if (this.#running.size > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#emptied = resolve;
      const cancel = this.#parts.clock.after(graceMs, resolve);
      await promise;
      cancel();
    }
    for (const running of [...this.#running.values()]) this.#carryOut(running, running.run.drain());
    this.#outbox.flush();
    for (const end of this.#ends.splice(0)) end();
    await this.#parts.transport.withdraw(workerKey({ fingerprint: this.#parts.fingerprint, worker: this.#parts.id }))
      .catch(this.#parts.troubled);
  }

  #take(delivery: Delivery): void {
    const { id, fingerprint } = this.#parts;
    const envelope = envelopeOf(delivery.text);
    if (envelope === undefined) return void this.#bury(delivery);
    const known = this.#running.get(envelope.id);
    if (known !== undefined) {
      // It was paused for so long that the queue gave the job away, and got it back: it goes on.
      known.delivery = delivery;
      return;
    }
    const run = new JobRun(envelope.id, id, delivery.deliveries);
    // A gateway that is gone wants nothing any more.
    const isNew = envelope.isNew === true && this.#parts.registry.gateways().has(envelope.gateway);
    const controller = new AbortController();
    const running: Running = { run, envelope, delivery, controller, work: undefined };
    this.#running.set(envelope.id, running);
    if (envelope.fingerprint === fingerprint) return this.#carryOut(running, run.begin(isNew));
    this.#carryOut(running, run.failed(wrongModel(envelope.fingerprint, fingerprint)));
  }

  /** Puts aside what is no job: it would come again and again. */
  async #bury(delivery: Delivery): Promise<void> {
    const { transport, fingerprint, troubled } = this.#parts;
    try {
      await transport.bury(fingerprint, crypto.randomUUID(), delivery.text);
      delivery.acknowledge();
      troubled(unreadable(delivery.text));
    } catch (error) {
      troubled(error); // it comes again, and is put aside then
    }
  }

  #hear(text: string): void {
    for (const control of JSON.parse(text) as Control[]) {
      const running = this.#running.get(control.job);
      if (running) this.#carryOut(running, running.run.told(control));
    }
  }

  #tick(): void {
    // What was made reaches a gateway before the question how much of it is there.
    this.#outbox.flush();
    for (const running of [...this.#running.values()]) this.#carryOut(running, running.run.tick());
  }

  #carryOut(running: Running, effects: readonly Effect[]): void {
    for (const effect of effects) this.#do(running, effect);
  }

  #do(running: Running, effect: Effect): void {
    const { delivery, envelope, controller } = running;
    switch (effect.do) {
      case "ask":
        return void this.#ask(running, effect);
      case "start":
        return this.#start(running, effect);
      case "next":
        return void this.#next(running);
      case "send":
        return this.#outbox.send(envelope.gateway, effect.frame);
      case "working":
        return delivery.working();
      case "acknowledge":
        return delivery.acknowledge();
      case "giveBack":
        return delivery.giveBack(effect.delayMs);
      case "stop":
        controller.abort();
        running.work?.then((work) => work.end(), () => {}); // it never began
        return;
      case "forget":
        this.#running.delete(envelope.id);
        this.#puller.wake();
        if (this.#running.size === 0) this.#emptied?.();
    }
  }

  async #ask(running: Running, { first, made }: Extract<Effect, { readonly do: "ask" }>): Promise<void> {
    const { run, envelope: { gateway } } = running;
    const { transport } = this.#parts;
    const text = await transport.request(
      askSubject(gateway),
      JSON.stringify(run.question(first)),
      transport.ackWaitMs / 2,
    );
    if (text !== undefined) {
      this.#gone.answered(gateway);
      this.#carryOut(running, run.replied(JSON.parse(text) as Reply, made));
    } else if (this.#gone.unanswered(gateway)) this.#carryOut(running, run.orphaned());
  }

  #start(running: Running, { have, tokens, mu }: Extract<Effect, { readonly do: "start" }>): void {
    const { envelope, controller: { signal } } = running;
    const { backend, texts: reader } = this.#parts;
    const begin = async (): Promise<Work> => {
      if (envelope.isTexts) {
        const { texts, ...order } = readTexts(envelope.job);
        return rowsWork(reader.read({ ...order, texts: texts.slice(have) }, signal), have);
      }
      if (backend === undefined) throw generatesNone(this.#parts.model);
      const job = readJob(envelope.job);
      const resume = mu === undefined ? { tokens } : { tokens, mu };
      return answerWork(await backend.submit(tokens.length === 0 ? job : { ...job, resume }, signal));
    };
    running.work = begin();
    running.work.catch((error: unknown) => this.#fail(running, error));
  }

  async #next(running: Running): Promise<void> {
    try {
      const told = await (await running.work as Work).next();
      this.#carryOut(running, "end" in told ? running.run.ended(told.end) : running.run.piece(told.piece));
    } catch (error) {
      this.#fail(running, error);
    }
  }

  #fail(running: Running, error: unknown): void {
    // What ends it here is no failure.
    if (running.run.isOver) return;
    // Its reader hears only that the worker has failed.
    if (!(error instanceof LightGPTError)) this.#parts.troubled(error);
    this.#carryOut(running, running.run.failed(errorData(error)));
  }

  async #announce(): Promise<void> {
    const { id: worker, model, fingerprint, rows, figures, transport, troubled } = this.#parts;
    const facts = { worker, model, fingerprint, rows, running: this.#running.size, isDraining: this.#isDraining };
    const entry: WorkerEntry = { ...facts, ...figures(), runtime: currentRuntime().name };
    await transport.announce(workerKey(entry), JSON.stringify(entry)).catch(troubled);
  }
}

/** The job that a text says; undefined where it says none. */
function envelopeOf(text: string): Envelope | undefined {
  try {
    const envelope = JSON.parse(text) as Envelope;
    const { id, gateway, fingerprint, job }: Record<string, unknown> = { ...envelope };
    return [id, gateway, fingerprint, job].every((one) => typeof one === "string") ? envelope : undefined;
  } catch {
    return undefined;
  }
}

function unreadable(text: string): LightGPTError {
  return new LightGPTError(
    "invalidArgument",
    "A message in the queue is no job; it lies with the dead letters (LG_DEAD).",
    {
      what: "a message in the queue that is no job",
      where: "queue",
      expected: "a job of a gateway",
      got: text.slice(0, 80),
    },
  );
}

function generatesNone(model: string): LightGPTError {
  return new LightGPTError("unsupported", `The model ${model} generates no text.`, {
    what: "a model that generates no text",
    where: "model",
    expected: "texts to read",
    got: "a job that generates",
  });
}

function wrongModel(got: string, expected: string): ReturnType<typeof errorData> {
  return {
    code: "unsupported",
    message: `A job for the model ${got} was given to a worker of ${expected}.`,
    detail: { what: "a job for another model", where: "fingerprint", expected, got },
  };
}
