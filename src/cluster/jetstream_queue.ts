/**
 * The queue of one model in JetStream: a stream from which a job goes when it is acknowledged, and a consumer for each place, made when
 * a worker first asks there, for NATS 2.9 knows consumers of one subject only. Jobs are pulled one by one and never ahead.
 *
 * @module
 */
import type { JetStreamClient, JetStreamManager } from "@nats-io/jetstream";
import type { Msg, NatsConnection } from "@nats-io/transport-node";
import { LightGPTError, QueueFullError } from "../../ffi/errors.ts";
import { noRoom, refused } from "./failures.ts";
import type { Libraries } from "./libraries.ts";
import { PullInbox } from "./pull_inbox.ts";
import { notAllowed, violationOf } from "./refusals.ts";
import type { Delivery, Place, WorkQueue } from "./types.ts";

/** Jobs that may lie in the queue of a model. */
const jobsMost = 10_000;
/** JetStream's number for a stream that takes no more messages, and for a stream and a consumer that are not there. */
const errors = { full: 10077, noStream: 10059, noConsumer: 10014 } as const;
/** Its numbers for a server without room: memory and files, of the server and of the account; consumers; streams. */
const noRoomErrors = [10023, 10028, 10047, 10002, 10026, 10027];
/** How long JetStream may take until it says that it is there. */
const openMs = 15_000;
/** Nanoseconds of a millisecond. */
export const nanos = 1_000_000;

/** What a queue is made with. */
export interface QueueParts {
  readonly libraries: Libraries;
  readonly connection: NatsConnection;
  readonly client: JetStreamClient;
  readonly manager: JetStreamManager;
  readonly ackWaitMs: number;
}

/** The queue of a model. */
export class JetStreamQueue implements WorkQueue {
  readonly #parts: QueueParts;
  readonly #fingerprint: string;
  readonly #stream: string;
  /** The consumers that are known to be there. */
  readonly #consumers = new Set<string>();
  /** The inboxes of places that have been pulled from. */
  readonly #inboxes = new Map<string, PullInbox>();
  /** The consumers that did not answer the last pull. */
  readonly #silent = new Set<string>();

  private constructor(parts: QueueParts, fingerprint: string) {
    this.#parts = parts;
    this.#fingerprint = fingerprint;
    this.#stream = `LG_${fingerprint}`;
  }

  /** Opens the queue, and makes it where there is none. */
  static async open(parts: QueueParts, fingerprint: string): Promise<JetStreamQueue> {
    const queue = new JetStreamQueue(parts, fingerprint);
    const { jetstream: { RetentionPolicy, StorageType, DiscardPolicy } } = parts.libraries;
    await ensureStream(parts, {
      name: queue.#stream,
      subjects: [`lg.${fingerprint}.job.>`],
      retention: RetentionPolicy.Workqueue,
      storage: StorageType.File,
      discard: DiscardPolicy.New,
      max_msgs: jobsMost,
    });
    return queue;
  }

  async add(place: Place, id: string, text: string): Promise<number> {
    try {
      await this.#ensureConsumer(place);
      const { seq } = await this.#parts.client.publish(this.#subject(place), text, { msgID: id, timeout: 2000 });
      return seq;
    } catch (error) {
      if (isApiError(error, errors.full)) throw new QueueFullError(jobsMost, jobsMost, 1000);
      if (hasNoRoom(error)) throw noRoom(error);
      const violation = violationOf(this.#parts.libraries, error);
      if (violation !== undefined) throw refused(notAllowed(this.#parts.connection, violation));
      throw error;
    }
  }

  async has(entry: number, id: string): Promise<boolean> {
    const message = await this.#parts.manager.streams.getMessage(this.#stream, { seq: entry });
    return message?.header.get("Nats-Msg-Id") === id;
  }

  async remove(entry: number): Promise<void> {
    try {
      await this.#parts.manager.streams.deleteMessage(this.#stream, entry, false);
    } catch (error) {
      if (!(error instanceof this.#parts.libraries.jetstream.JetStreamApiError)) throw error; // it is gone already
    }
  }

  async take(place: Place): Promise<Delivery | undefined> {
    const subject = `$JS.API.CONSUMER.MSG.NEXT.${this.#stream}.${consumerOf(place)}`;
    const message = await this.#pull(subject, place);
    // A status in place of a job: there is none.
    if (message.headers?.code) return undefined;
    return this.#delivery(message);
  }

  async renew(place: Place): Promise<void> {
    const { consumers } = this.#parts.manager;
    const name = consumerOf(place);
    // Only a worker says how long a job may give no sign.
    const { config } = await consumers.info(this.#stream, name);
    await consumers.delete(this.#stream, name);
    await consumers.add(this.#stream, config);
  }

  async counts(): Promise<readonly { readonly place: Place; readonly count: number }[]> {
    const subjects = await subjectsOf(this.#parts.manager, this.#stream, `lg.${this.#fingerprint}.job.>`);
    return Object.entries(subjects).flatMap(([subject, count]) => {
      const [, priority, shard] = /\.p(\d+)\.s(\d+)$/.exec(subject) ?? [];
      return shard === undefined ? [] : [{ place: { priority: Number(priority), shard: Number(shard) }, count }];
    });
  }

  #delivery(message: Msg): Delivery | undefined {
    const { reply } = message;
    if (reply === undefined) return undefined;
    const { connection } = this.#parts;
    const say = (text: string) => {
      if (!connection.isClosed() && !connection.isDraining()) connection.publish(reply, text);
    };
    return {
      text: message.string(),
      deliveries: Number(reply.split(".")[4]),
      working: () => say("+WPI"),
      acknowledge: () => say("+ACK"),
      giveBack: (delayMs) => say(`-NAK {"delay": ${Math.round(delayMs * nanos)}}`),
    };
  }

  async #pull(subject: string, place: Place): Promise<Msg> {
    const name = consumerOf(place);
    const inbox = await this.#inboxOf(place);
    try {
      const message = await inbox.next(subject);
      this.#silent.delete(name);
      return message;
    } catch (error) {
      // A server says nothing where there is no such consumer.
      inbox.close();
      this.#inboxes.delete(name);
      // It was there, for it was made or found in between.
      if (this.#silent.delete(name)) await this.renew(place);
      else this.#silent.add(name);
      throw error;
    }
  }

  async #inboxOf(place: Place): Promise<PullInbox> {
    const name = consumerOf(place);
    const known = this.#inboxes.get(name);
    if (known !== undefined) return known;
    await this.#addConsumer(place);
    const { connection, libraries: { core } } = this.#parts;
    const inbox = new PullInbox(connection, core, (message) => this.#delivery(message)?.giveBack(0));
    this.#inboxes.set(name, inbox);
    return inbox;
  }

  /** Makes the consumer of a place; a worker's word on how long a job may give no sign replaces an earlier one. */
  async #addConsumer(place: Place): Promise<void> {
    const { manager, ackWaitMs, libraries: { jetstream: { AckPolicy } } } = this.#parts;
    await manager.consumers.add(this.#stream, {
      durable_name: consumerOf(place),
      filter_subject: this.#subject(place),
      ack_policy: AckPolicy.Explicit,
      ack_wait: ackWaitMs * nanos,
      max_deliver: -1,
      max_ack_pending: jobsMost,
    });
  }

  /** Sees to it that workers can take jobs of a place: where no consumer can be made, a job would lie there for ever. */
  async #ensureConsumer(place: Place): Promise<void> {
    const name = consumerOf(place);
    if (this.#consumers.has(name)) return;
    try {
      await this.#parts.manager.consumers.info(this.#stream, name);
    } catch (error) {
      if (!isApiError(error, errors.noConsumer)) throw error;
      await this.#addConsumer(place);
    }
    this.#consumers.add(name);
  }

  #subject({ priority, shard }: Place): string {
    return `lg.${this.#fingerprint}.job.p${priority}.s${shard}`;
  }
}

/** The subjects of a stream that a filter lets through, and how many messages each has. */
export async function subjectsOf(
  manager: JetStreamManager,
  stream: string,
  filter: string,
): Promise<Readonly<Record<string, number>>> {
  const { state } = await manager.streams.info(stream, { subjects_filter: filter });
  return state.subjects ?? {};
}

/**
 * The keys of a bucket that a filter lets through, erased ones among them. The client's own way asks a consumer how many there are, and
 * where one of them goes before it comes, it waits for up to half a minute.
 */
export async function keysOf(manager: JetStreamManager, bucket: string, filter: string): Promise<string[]> {
  const beginning = `$KV.${bucket}.`;
  const subjects = await subjectsOf(manager, `KV_${bucket}`, beginning + filter);
  return Object.keys(subjects).map((subject) => subject.slice(beginning.length));
}

/** Makes a stream where there is none of its name. */
export async function ensureStream(
  { manager }: Pick<QueueParts, "manager">,
  config: Parameters<JetStreamManager["streams"]["add"]>[0] & { readonly name: string },
): Promise<void> {
  try {
    await manager.streams.info(config.name);
  } catch (error) {
    if (!isApiError(error, errors.noStream)) throw error;
    await manager.streams.add(config);
  }
}

/** Whether JetStream has said that it has no room. */
export function hasNoRoom(error: unknown): error is Error {
  return noRoomErrors.some((number) => isApiError(error, number));
}

/** Whether JetStream has answered with this number. */
export function isApiError(error: unknown, number: number): boolean {
  return error instanceof Error && (error as { code?: unknown }).code === number;
}

function consumerOf({ priority, shard }: Place): string {
  return `p${priority}s${shard}`;
}

/** NATS is there, and has not answered in time. */
export function silent(connection: NatsConnection, cause: Error): LightGPTError {
  const where = connection.getServer();
  return new LightGPTError("io", `NATS at ${where} does not answer: some seconds have passed.`, {
    what: "NATS does not answer",
    where,
    expected: "a server that is not overloaded",
    got: cause.message,
  }, { cause });
}

/** JetStream, which a server may have been started without. */
export async function managerOf(
  { core, jetstream }: Libraries,
  connection: NatsConnection,
): Promise<JetStreamManager> {
  try {
    return await jetstream.jetstreamManager(connection, { timeout: openMs });
  } catch (cause) {
    // The transport tells these, as wherever they come.
    if (cause instanceof core.TimeoutError || violationOf({ core }, cause) !== undefined) throw cause;
    const where = connection.getServer();
    throw new LightGPTError("io", `NATS at ${where} has no JetStream: start it as nats-server -js -sd FOLDER.`, {
      what: "NATS without JetStream",
      where,
      expected: "nats-server -js",
      got: cause instanceof Error ? cause.message : String(cause),
    }, { cause });
  }
}
