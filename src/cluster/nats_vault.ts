/**
 * What gateways keep together, in NATS: records in a key-value bucket, files in an object store, logs in a stream with a subject for
 * each. An entry of a log that is longer than a message goes as several, and a reader has it when all of them are there.
 *
 * @module
 */
import type { StoredMsg } from "@nats-io/jetstream";
import type { KV } from "@nats-io/kv";
import type { ObjectStore } from "@nats-io/obj";
import { noRoom, unreachable } from "./failures.ts";
import { ensureStream, hasNoRoom, isApiError, keysOf, nanos, type QueueParts } from "./jetstream_queue.ts";
import { isLost, type Libraries, textBytesMost } from "./libraries.ts";
import type { Vault } from "./types.ts";

/** JetStream's number for a record that another has replaced. */
const replaced = 10071;
/** The header of a part of an entry: the entry, which part it is, and of how many. */
const partHeader = "lg-part";

/** What a vault is made with. */
export interface VaultParts extends Omit<QueueParts, "ackWaitMs"> {
  readonly name: string;
  readonly ageMs: number;
}

interface Stores {
  readonly records: KV;
  readonly files: ObjectStore;
}

/** A vault in NATS. */
export class NatsVault implements Vault {
  readonly #parts: VaultParts;
  readonly #stores: Stores;
  readonly #stream: string;
  /** The records. */
  readonly #bucket: string;

  private constructor(parts: VaultParts, stores: Stores) {
    this.#parts = parts;
    this.#stores = stores;
    this.#stream = `LG_LOG_${parts.name}`;
    this.#bucket = `lg-${parts.name}`;
  }

  /** Opens what is there, and makes what is not. */
  static async open(parts: VaultParts): Promise<NatsVault> {
    const { libraries: { kv, obj, jetstream: { StorageType } }, client, name, ageMs } = parts;
    const age = Number.isFinite(ageMs) ? Math.max(1, Math.round(ageMs)) : 0; // 0: for ever
    return await told(parts.libraries, async () => {
      const records = await new kv.Kvm(client).create(`lg-${name}`, { history: 1, ...(age > 0 ? { ttl: age } : {}) });
      const files = await new obj.Objm(client).create(`lg-${name}`, age > 0 ? { ttl: age * nanos } : {});
      const vault = new NatsVault(parts, { records, files });
      const logs = {
        name: vault.#stream,
        subjects: [vault.#subject(">")],
        storage: StorageType.File,
        allow_direct: true,
      };
      await ensureStream(parts, { ...logs, max_age: age * nanos });
      return vault;
    });
  }

  async read(key: string): Promise<{ readonly text: string; readonly revision: number } | undefined> {
    const entry = await this.#told(() => this.#stores.records.get(key));
    return entry?.operation === "PUT" ? { text: entry.string(), revision: entry.revision } : undefined;
  }

  async write(key: string, text: string, revision: number): Promise<boolean> {
    const { records } = this.#stores;
    try {
      await this.#told<unknown>(() => revision === 0 ? records.create(key, text) : records.update(key, text, revision));
      return true;
    } catch (error) {
      if (isApiError(error, replaced)) return false;
      throw error;
    }
  }

  async erase(key: string): Promise<void> {
    // Nothing is left of it: a word that it is erased would be among the keys.
    const [stream, filter] = [`KV_${this.#bucket}`, `$KV.${this.#bucket}.${key}`];
    await this.#told(() => this.#parts.manager.streams.purge(stream, { filter }));
  }

  async keys(beginning: string): Promise<readonly string[]> {
    return await this.#told(() => keysOf(this.#parts.manager, this.#bucket, `${beginning}.*`));
  }

  async append(log: string, text: string): Promise<void> {
    const { client, connection, libraries: { core } } = this.#parts;
    const bytes = new TextEncoder().encode(text);
    const most = textBytesMost(connection);
    const count = Math.max(1, Math.ceil(bytes.length / most));
    const entry = crypto.randomUUID();
    for (let part = 0; part < count; part++) {
      const headers = core.headers();
      headers.set(partHeader, `${entry} ${part} ${count}`);
      const data = bytes.subarray(part * most, (part + 1) * most);
      await this.#told(() => client.publish(this.#subject(log), data, count > 1 ? { headers } : {}));
    }
  }

  async entries(log: string, from: number): Promise<{ readonly texts: readonly string[]; readonly next: number }> {
    const texts: string[] = [];
    const open = new Map<string, { readonly first: number; readonly parts: Uint8Array[] }>();
    let next = from;
    for (;;) {
      const message = await this.#message(log, next);
      if (message === null) break;
      next = message.seq + 1;
      const [entry, part, count] = message.header.get(partHeader).split(" ");
      if (entry === "") {
        texts.push(message.string());
        continue;
      }
      const begun = open.get(entry) ?? { first: message.seq, parts: [] };
      begun.parts[Number(part)] = message.data;
      open.set(entry, begun);
      if (begun.parts.filter(Boolean).length < Number(count)) continue;
      open.delete(entry);
      texts.push(textOf(begun.parts));
    }
    // What is not whole yet is looked at again.
    return { texts, next: Math.min(next, ...[...open.values()].map(({ first }) => first)) };
  }

  follow(log: string, grown: () => void): () => void {
    const subscription = this.#parts.connection.subscribe(this.#subject(log), { callback: () => grown() });
    return () => subscription.unsubscribe();
  }

  async wipe(log: string): Promise<void> {
    const filter = this.#subject(log);
    await this.#told(() => this.#parts.manager.streams.purge(this.#stream, { filter }));
  }

  async put(name: string, bytes: Uint8Array): Promise<void> {
    await this.#told(() => this.#stores.files.putBlob({ name }, bytes));
  }

  async get(name: string): Promise<Uint8Array | undefined> {
    return await this.#told(() => this.#stores.files.getBlob(name)) ?? undefined;
  }

  async size(name: string): Promise<number | undefined> {
    const info = await this.#told(() => this.#stores.files.info(name));
    return info === null || info.deleted ? undefined : info.size;
  }

  async drop(name: string): Promise<void> {
    if (await this.size(name) !== undefined) await this.#told(() => this.#stores.files.delete(name));
  }

  async #message(log: string, from: number): Promise<StoredMsg | null> {
    const query = { seq: Math.max(1, from), next_by_subj: this.#subject(log) };
    return await this.#told(() => this.#parts.manager.direct.getMessage(this.#stream, query));
  }

  #told<T>(act: () => Promise<T>): Promise<T> {
    return told(this.#parts.libraries, act);
  }

  #subject(log: string): string {
    return `lg.log.${this.#parts.name}.${log}`;
  }
}

function textOf(parts: readonly Uint8Array[]): string {
  const decoder = new TextDecoder();
  return parts.map((part) => decoder.decode(part, { stream: true })).join("") + decoder.decode();
}

/** Does something with NATS; what it does not do for want of room or of a connection is said in words of ours. */
async function told<T>({ core }: Libraries, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (cause) {
    if (hasNoRoom(cause)) throw noRoom(cause);
    if (isLost(core, cause)) throw unreachable(cause);
    throw cause;
  }
}
