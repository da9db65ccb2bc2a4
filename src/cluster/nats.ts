/**
 * The transport over NATS: messages between machines, the queues of models, the machines that are there, and the headers of model files. The client
 * connects again by itself when a server goes; what is sent meanwhile is kept for a while or lost, which the protocol lives with.
 *
 * @module
 */
import type { JetStreamClient, JetStreamManager } from "@nats-io/jetstream";
import type { KV } from "@nats-io/kv";
import type { ObjectStore } from "@nats-io/obj";
import type { NatsConnection, PermissionViolationError } from "@nats-io/transport-node";
import { emitWarning } from "node:process";
import type { LightGPTError } from "../../ffi/errors.ts";
import { ensureStream, JetStreamQueue, keysOf, managerOf, silent } from "./jetstream_queue.ts";
import { NatsVault } from "./nats_vault.ts";
import { connect, isLost, type Libraries, loadLibraries, textBytesMost } from "./libraries.ts";
import { notAllowed, refusedBy, violationOf } from "./refusals.ts";
import type { Transport, Vault, WorkQueue } from "./types.ts";

/** Milliseconds after which what is announced is forgotten. */
const announcedMs = 5000;
/** The bucket of what is announced. */
const registryName = "lg";
/** The stream of jobs that are not tried again, and how many it keeps. */
const dead = { name: "LG_DEAD", most: 1000 } as const;

/** Options for the connection: where NATS is, and how long a job may give no sign. */
export interface NatsOptions {
  readonly url: string;
  readonly ackWaitMs: number;
  /** What the connection is called on the server. */
  readonly name: string;
}

interface Parts {
  readonly libraries: Libraries;
  readonly connection: NatsConnection;
  readonly client: JetStreamClient;
  readonly manager: JetStreamManager;
  readonly registry: KV;
  readonly objects: ObjectStore;
  readonly ackWaitMs: number;
}

/** Everything over one connection to NATS. */
export class NatsTransport implements Transport {
  readonly ackWaitMs: number;
  readonly #parts: Parts;
  readonly #queues = new Map<string, Promise<WorkQueue>>();
  #isConnected = true;
  /** What the server has not allowed last. */
  #refused: LightGPTError | undefined;

  private constructor(parts: Parts) {
    this.#parts = parts;
    this.ackWaitMs = parts.ackWaitMs;
    void this.#follow();
  }

  /** Connects; rejects where there is no server, it refuses, or it has no JetStream. */
  static async open({ url, ackWaitMs, name }: NatsOptions): Promise<NatsTransport> {
    const libraries = await loadLibraries();
    const connection = await connect(libraries, url, name);
    try {
      const manager = await managerOf(libraries, connection);
      const client = libraries.jetstream.jetstream(connection, { timeout: 5000 });
      const registry = await new libraries.kv.Kvm(client).create(registryName, { ttl: announcedMs, history: 1 });
      const objects = await new libraries.obj.Objm(client).create("lg-models", {});
      return new NatsTransport({ libraries, connection, client, manager, registry, objects, ackWaitMs });
    } catch (error) {
      await connection.close();
      throw toldOf({ libraries, connection }, error);
    }
  }

  get textBytesMax(): number {
    return textBytesMost(this.#parts.connection);
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  publish(subject: string, text: string): void {
    const { connection } = this.#parts;
    if (!connection.isClosed() && !connection.isDraining()) connection.publish(subject, text);
  }

  async request(subject: string, text: string, timeoutMs: number): Promise<string | undefined> {
    const { connection, libraries: { core } } = this.#parts;
    try {
      return (await connection.request(subject, text, { timeout: timeoutMs })).string();
    } catch (error) {
      if (isLost(core, error)) return undefined;
      throw error;
    }
  }

  subscribe(subject: string, heard: (text: string, answer: (text: string) => void) => void): () => void {
    const subscription = this.#parts.connection.subscribe(subject, {
      callback: (error, message) => {
        // An error here is the end of the subscription, of which the connection tells.
        if (error === null) heard(message.string(), (text) => void message.respond(text));
      },
    });
    return () => subscription.unsubscribe();
  }

  /** An error as a user understands it: of a server that does not answer or refuses, the client says a few words. */
  told(error: unknown): unknown {
    return toldOf(this.#parts, error);
  }

  /** Rejects where the server does not let this user publish to some subjects, or subscribe to those that are subscribed to. */
  async allowed(subjects: readonly string[]): Promise<void> {
    const { connection } = this.#parts;
    for (const subject of subjects) this.publish(subject, ""); // nothing listens there
    await connection.flush();
    await new Promise((resolve) => setTimeout(resolve, 0)); // what was said before is heard now
    if (this.#refused !== undefined) throw this.#refused;
  }

  queue(fingerprint: string): Promise<WorkQueue> {
    const known = this.#queues.get(fingerprint);
    if (known !== undefined) return known;
    const opening: Promise<WorkQueue> = JetStreamQueue.open(this.#parts, fingerprint);
    opening.catch(() => this.#queues.delete(fingerprint)); // the caller hears of it
    this.#queues.set(fingerprint, opening);
    return opening;
  }

  async bury(fingerprint: string, id: string, text: string): Promise<void> {
    const { client, libraries: { jetstream: { StorageType } } } = this.#parts;
    const kept = { name: dead.name, subjects: ["lg.dead.>"], storage: StorageType.File, max_msgs: dead.most };
    await ensureStream(this.#parts, kept);
    await client.publish(`lg.dead.${fingerprint}.${id}`, text, { msgID: id });
  }

  async announce(key: string, text: string): Promise<void> {
    await this.#parts.registry.put(key, text);
  }

  async withdraw(key: string): Promise<void> {
    await this.#parts.registry.delete(key);
  }

  async watch(heard: (key: string, text: string | undefined) => void): Promise<() => void> {
    const { registry } = this.#parts;
    const entries = await registry.watch();
    const hear = async () => {
      for await (const entry of entries) heard(entry.key, entry.operation === "PUT" ? entry.string() : undefined);
    };
    void hear();
    // The caller knows all that is there when this returns; the watch tells it some time later.
    for (const key of await keysOf(this.#parts.manager, registryName, ">")) {
      const entry = await registry.get(key);
      if (entry?.operation === "PUT") heard(key, entry.string());
    }
    return () => entries.stop();
  }

  async store(name: string, bytes: Uint8Array): Promise<void> {
    if (await this.#parts.objects.info(name) !== null) return;
    await this.#parts.objects.putBlob({ name }, bytes);
  }

  async fetch(name: string): Promise<Uint8Array | undefined> {
    return await this.#parts.objects.getBlob(name) ?? undefined;
  }

  async vault(name: string, ageMs: number): Promise<Vault> {
    return await NatsVault.open({ ...this.#parts, name, ageMs });
  }

  async close(): Promise<void> {
    const { connection } = this.#parts;
    if (connection.isClosed()) return;
    // Draining waits for a server that may be gone.
    await (this.#isConnected ? connection.drain() : connection.close());
  }

  async #follow(): Promise<void> {
    const { connection, libraries } = this.#parts;
    for await (const status of connection.status()) {
      if (status.type === "disconnect" || status.type === "close") this.#isConnected = false;
      else if (status.type === "reconnect") this.#isConnected = true;
      else if (status.type === "error") this.#refuse(violationOf(libraries, status.error));
    }
  }

  #refuse(violation: PermissionViolationError | undefined): void {
    if (violation === undefined) return;
    const refused = notAllowed(this.#parts.connection, violation);
    // Permissions may change under those that run.
    if (refused.message !== this.#refused?.message) emitWarning(refused);
    this.#refused = refused;
  }
}

function toldOf({ libraries, connection }: Pick<Parts, "libraries" | "connection">, error: unknown): unknown {
  const violation = violationOf(libraries, error);
  if (violation !== undefined) return notAllowed(connection, violation);
  if (error instanceof libraries.core.TimeoutError) return silent(connection, error);
  return error instanceof libraries.jetstream.JetStreamApiError ? refusedBy(connection, error) : error;
}
