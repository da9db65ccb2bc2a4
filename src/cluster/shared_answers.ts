/**
 * The responses of all gateways. What has ended is kept where every gateway finds it. Of one in the background its request, its job
 * and its pieces are written down: another gateway tells it from its beginning on, in the same words with the same numbers, follows
 * it while its own gateway is there, and goes on with its job when that is gone.
 *
 * @module
 */
import { emitWarning } from "node:process";
import { CancelledError, type ErrorCode, LightGPTError } from "../../ffi/errors.ts";
import { type Clock, every } from "../batching/clock.ts";
import type { Completion, Piece } from "../batching/completion.ts";
import { type Answers, noResponse, recordingOf } from "../server/answers.ts";
import { Failure } from "../server/failure.ts";
import { jobText, readJob } from "../server/job_text.ts";
import type { AnswerStore, Backend, Begun, Job, Kept, Named, Recording, Tenant } from "../server/types.ts";
import { AnswerReader, AnswerWriter } from "./answer_log.ts";
import { completionFrom, errorOf, pieceOf } from "./crossing.ts";
import type { GatewayModels } from "./gateway_models.ts";
import type { Hub } from "./hub.ts";
import { JobReading } from "./reading.ts";
import { goneMs, type Registry } from "./registry.ts";
import { responsesSubject } from "./subjects.ts";
import type { Transport, Vault } from "./types.ts";

/** How often answers without a gateway are looked for, and an answer elsewhere is asked whether it has one. */
const lookMs = 1000;
/** How long an answer that is followed is looked for without a connection. */
const lostMs = 60_000;
/** Errors after which nothing more comes of an answer. */
const over: readonly ErrorCode[] = ["cancelled", "incomplete"];

/** What the responses of all gateways are made with. */
export interface SharedParts {
  /** Those that are here. */
  readonly local: Answers;
  readonly vault: Vault;
  readonly transport: Transport;
  readonly registry: Registry;
  readonly hub: Hub;
  readonly models: GatewayModels;
  readonly clock: Clock;
}

/** What is written down of a response when it begins. */
interface Stored {
  readonly named: Named;
  readonly body: Begun["body"];
  readonly tenant: Tenant;
  readonly model: string;
  readonly fingerprint: string;
  readonly job: string;
}

/** Whose a response is that has not ended. */
interface Live {
  readonly owner: string;
  readonly isCancelled?: true;
}

/** What gateways say to one another. */
interface Ending {
  readonly id: string;
  readonly kind: "cancel" | "forget";
  readonly tenant: string;
}

/** The responses of all gateways, as one of them sees them. */
export class SharedAnswers implements AnswerStore {
  readonly #parts: SharedParts;
  /** What was written down of the responses that are told here. */
  readonly #stored = new Map<string, Stored>();
  /** Those whose jobs are this gateway's. */
  readonly #mine = new Set<string>();
  /** Those that are forgotten while they end. */
  readonly #forgotten = new Set<string>();
  readonly #opening = new Map<string, Promise<void>>();
  readonly #ends: (() => void)[] = [];
  #goOn: ((begun: Begun) => Promise<Recording>) | undefined;
  #connectedAt: number;
  #looking: Promise<void> | undefined;
  #isClosing = false;

  /** Knows what is here. */
  constructor(parts: SharedParts) {
    this.#parts = parts;
    this.#connectedAt = parts.clock.now();
  }

  /** Begins to look after responses whose gateways are gone; `goOn` tells one here. */
  start(goOn: (begun: Begun) => Promise<Recording>): void {
    const { transport, clock } = this.#parts;
    this.#goOn = goOn;
    this.#ends.push(
      transport.subscribe(responsesSubject, (text) => this.#hear(JSON.parse(text) as Ending)),
      every(clock, lookMs, () => this.#looking ??= this.#look().finally(() => this.#looking = undefined)),
    );
  }

  /** From now on what breaks off here is left to other gateways. */
  async leave(): Promise<void> {
    this.#isClosing = true;
    for (const end of this.#ends.splice(0)) end();
    await this.#looking;
  }

  async keep(id: string, kept: Kept): Promise<void> {
    const { local, vault } = this.#parts;
    if (!this.#forgotten.has(id)) await local.keep(id, kept);
    const { status } = kept.response;
    const isBroken = status === "cancelled" || status === "failed";
    if (status === "queued" || status === "in_progress" || (isBroken && this.#isClosing)) return;
    const { recording, ...plain } = kept;
    try {
      // What another gateway makes is kept by that one.
      if (recording !== undefined && !this.#mine.has(id)) return;
      if (!this.#forgotten.has(id)) await vault.put(endedName(id), new TextEncoder().encode(JSON.stringify(plain)));
      if (recording !== undefined) await vault.erase(liveKey(id));
    } finally {
      for (const ids of [this.#stored, this.#mine, this.#forgotten]) ids.delete(id);
    }
  }

  async find(id: string, tenant: string): Promise<Kept> {
    const { local, vault } = this.#parts;
    const here = local.peek(id, tenant);
    if (here !== undefined) return here;
    if (!/^resp_[0-9a-f]{32}$/.test(id)) noResponse(id);
    const stored = await this.#read<Stored>(begunName(id));
    if (stored !== undefined) {
      if (stored.tenant.tenant !== tenant) noResponse(id);
      await this.#open(id, stored);
      const found = await local.find(id, tenant);
      // One that has ended is told in a moment: all of it is there.
      if (await vault.read(liveKey(id)) !== undefined) return found;
      await found.recording?.settled;
      return await local.find(id, tenant);
    }
    const ended = await this.#read<Kept>(endedName(id));
    if (ended === undefined || ended.tenant !== tenant) return noResponse(id);
    await local.keep(id, ended);
    return ended;
  }

  async cancel(id: string, tenant: string): Promise<Kept> {
    if (recordingOf(await this.find(id, tenant)).isLive) {
      await this.#end({ id, kind: "cancel", tenant });
      return await this.#parts.local.cancel(id, tenant);
    }
    return await this.find(id, tenant);
  }

  async forget(id: string, tenant: string): Promise<void> {
    const { vault } = this.#parts;
    await this.find(id, tenant);
    await this.#end({ id, kind: "forget", tenant });
    this.#forget(id, tenant);
    await Promise.all([vault.drop(begunName(id)), vault.drop(endedName(id)), vault.wipe(logName(id))]);
  }

  backendOf(begun: Begun): Backend {
    return { submit: (job, signal) => this.#submit(begun, job, signal) };
  }

  async #submit(begun: Begun, job: Job, signal: AbortSignal): Promise<AsyncGenerator<Piece, Completion, void>> {
    const { named: { id, created }, body, tenant, served } = begun;
    const known = this.#stored.get(id);
    if (known !== undefined) return this.#tell(known, signal);
    const { vault, hub, models } = this.#parts;
    const fingerprint = models.fingerprintOf(served);
    const stored = { named: { id, created }, body, tenant, model: served.name, fingerprint, job: jobText(job) };
    // It is known here before it can be found among those that may have lost their gateways.
    this.#stored.set(id, stored);
    this.#mine.add(id);
    try {
      await vault.write(liveKey(id), JSON.stringify({ owner: hub.id } satisfies Live), 0);
      await vault.put(begunName(id), new TextEncoder().encode(JSON.stringify(stored)));
      return this.#tell(stored, signal, await this.#run(stored, [], signal));
    } catch (error) {
      // Its client hears that there is none.
      this.#stored.delete(id);
      this.#mine.delete(id);
      await Promise.all([vault.erase(liveKey(id)), vault.drop(begunName(id))]);
      throw error;
    }
  }

  /** Runs the job of a response behind the pieces that there are, and writes down what comes. */
  async #run(
    { named: { id }, fingerprint, job }: Stored,
    before: JobReading["pieces"],
    signal: AbortSignal,
  ): Promise<AsyncGenerator<Piece, Completion, void>> {
    const { vault, hub, clock } = this.#parts;
    const writer = new AnswerWriter(vault, logName(id), clock, before);
    const pieces = await hub.submit(fingerprint, readJob(job), signal, writer);
    return writtenDown(pieces, writer);
  }

  /** The pieces of a response: those that are written down, those that another gateway writes, and those that come here. */
  async *#tell(
    stored: Stored,
    signal: AbortSignal,
    begun?: AsyncGenerator<Piece, Completion, void>,
  ): AsyncGenerator<Piece, Completion, void> {
    if (begun !== undefined) return yield* begun;
    const { vault, clock } = this.#parts;
    const { id } = stored.named;
    const reading = new JobReading(id);
    const log = new AnswerReader(vault, logName(id));
    const hasLogprobs = readJob(stored.job).logprobs !== undefined;
    let [told, heardAt] = [0, clock.now()];
    for (;;) {
      let running: AsyncGenerator<Piece, Completion, void> | undefined;
      try {
        const whose = await this.#claim(id);
        await log.into(reading);
        if (whose === "cancelled") throw new CancelledError("The response was cancelled.");
        if (reading.outcome === undefined && whose === "none") throw await this.#broken(id);
        if (reading.outcome === undefined && whose === "own") running = await this.#run(stored, reading.pieces, signal);
        heardAt = clock.now();
      } catch (error) {
        // A server of NATS may be on its way back, a queue may be full for a while.
        const isOver = error instanceof LightGPTError && over.includes(error.code);
        if (isOver || clock.now() - heardAt > lostMs) throw error;
      }
      for (; told < reading.pieces.length; told++) yield pieceOf(reading.pieces[told]);
      if (running !== undefined) return yield* running;
      const { outcome, pieces } = reading;
      if (outcome === undefined) await this.#news(id, signal);
      else if ("error" in outcome) throw errorOf(outcome.error);
      else return completionFrom(pieces, outcome.end, hasLogprobs);
    }
  }

  /** Whose it is to go on with a response: this gateway's, another's, or none's, for it is over or cancelled. */
  async #claim(id: string): Promise<"own" | "other" | "none" | "cancelled"> {
    const { vault, hub, registry, clock, transport } = this.#parts;
    const record = await vault.read(liveKey(id));
    if (record === undefined) return "none";
    const live = JSON.parse(record.text) as Live;
    const { owner, isCancelled } = live;
    // Without a connection nothing was heard of it, which says nothing.
    const isHeard = transport.isConnected && clock.now() - this.#connectedAt > goneMs;
    const isFree = isHeard && !registry.gateways().has(owner);
    const own = JSON.stringify({ ...live, owner: hub.id } satisfies Live);
    const isOwn = owner === hub.id || (isFree && await vault.write(liveKey(id), own, record.revision));
    if (isOwn) this.#mine.add(id);
    return isCancelled ? "cancelled" : isOwn ? "own" : "other";
  }

  /** How a response has ended that has no proper end. */
  async #broken(id: string): Promise<LightGPTError> {
    const ended = await this.#read<Kept>(endedName(id));
    const { error } = (ended?.response ?? {}) as { readonly error?: { readonly message: string } | null };
    if (!error) return new CancelledError("The response was cancelled.");
    return new LightGPTError("incomplete", error.message, { what: "a response that has failed", where: id });
  }

  /** Waits until something was written of a response, or for a while. */
  async #news(id: string, signal: AbortSignal): Promise<void> {
    const { vault, clock } = this.#parts;
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = () => resolve();
    const ends = [vault.follow(logName(id), wake), clock.after(lookMs, wake)];
    signal.addEventListener("abort", wake, { once: true });
    await promise;
    signal.removeEventListener("abort", wake);
    for (const end of ends) end();
    signal.throwIfAborted();
  }

  /** Tells a response here that began elsewhere. */
  #open(id: string, stored: Stored): Promise<void> {
    const opening = this.#opening.get(id) ?? (async () => {
      const { local, models } = this.#parts;
      const { named, body, tenant, model, fingerprint } = stored;
      if (local.peek(id, tenant.tenant) !== undefined) return;
      this.#stored.set(id, stored);
      const served = await models.serve(fingerprint, model);
      await this.#goOn?.({ named, body, tenant, served });
    })().finally(() => this.#opening.delete(id));
    this.#opening.set(id, opening);
    return opening;
  }

  /** Goes on with responses whose gateways are gone. */
  async #look(): Promise<void> {
    const { transport, clock, vault } = this.#parts;
    if (!transport.isConnected) this.#connectedAt = clock.now();
    if (!transport.isConnected) return;
    for (const key of await this.#tried(() => vault.keys("live")) ?? []) {
      const id = key.slice("live.".length);
      if (!this.#stored.has(id)) await this.#tried(() => this.#takeUp(id));
    }
  }

  /** Goes on with a response whose gateway is gone. */
  async #takeUp(id: string): Promise<void> {
    await this.#claim(id);
    if (!this.#mine.has(id)) return;
    const stored = await this.#read<Stored>(begunName(id));
    if (stored !== undefined) await this.#open(id, stored);
    else await this.#parts.vault.erase(liveKey(id));
  }

  /** Where NATS is not there, or the model is not, it is tried again in a while; what else goes wrong holds up no other response. */
  async #tried<T>(act: () => Promise<T>): Promise<T | undefined> {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof Failure || error instanceof LightGPTError)) emitWarning(error as Error);
    }
  }

  /** Says to all that a response ends. */
  async #end(ending: Ending): Promise<void> {
    const { vault, transport } = this.#parts;
    const key = liveKey(ending.id);
    for (let record = await vault.read(key); record !== undefined; record = await vault.read(key)) {
      const { owner } = JSON.parse(record.text) as Live;
      const text = JSON.stringify({ owner, isCancelled: true } satisfies Live);
      if (await vault.write(key, text, record.revision)) break;
    }
    transport.publish(responsesSubject, JSON.stringify(ending));
  }

  #hear({ id, kind, tenant }: Ending): void {
    if (kind === "forget") return this.#forget(id, tenant);
    this.#parts.local.peek(id, tenant)?.recording?.cancel();
  }

  /** Forgets a response here, and ends its work. */
  #forget(id: string, tenant: string): void {
    const { local } = this.#parts;
    const here = local.peek(id, tenant);
    if (here?.recording?.isLive) this.#forgotten.add(id);
    here?.recording?.cancel();
    local.drop(id);
  }

  async #read<T>(name: string): Promise<T | undefined> {
    const bytes = await this.#parts.vault.get(name);
    return bytes && JSON.parse(new TextDecoder().decode(bytes)) as T;
  }
}

/** The same pieces; it ends when its end is written down. */
async function* writtenDown(
  pieces: AsyncGenerator<Piece, Completion, void>,
  writer: AnswerWriter,
): AsyncGenerator<Piece, Completion, void> {
  try {
    return yield* pieces;
  } finally {
    await writer.settled();
  }
}

/** The names of what is kept. */
const liveKey = (id: string) => `live.${id}`;
const begunName = (id: string) => `begun.${id}`;
const endedName = (id: string) => `ended.${id}`;
const logName = (id: string) => `answer.${id}`;
