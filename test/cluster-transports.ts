/**
 * Transports for tests of a cluster, over others: one whose answers take their time, and one that ends what begins a job.
 *
 * @module
 */
import { askSubject } from "../src/cluster/subjects.ts";
import type { Envelope, Frame, Question, Transport, Vault, WorkQueue } from "../src/cluster/types.ts";

/** A transport that sends one piece of an answer every `pieceMs` milliseconds. */
export class SlowTransport implements Transport {
  readonly #inner: Transport;
  readonly #pieceMs: number;
  #sent: Promise<void> = Promise.resolve();

  constructor(inner: Transport, pieceMs: number) {
    this.#inner = inner;
    this.#pieceMs = pieceMs;
  }

  get ackWaitMs(): number {
    return this.#inner.ackWaitMs;
  }

  get textBytesMax(): number {
    return this.#inner.textBytesMax;
  }

  get isConnected(): boolean {
    return this.#inner.isConnected;
  }

  publish(subject: string, text: string): void {
    if (!subject.startsWith("lg.out.")) return this.#inner.publish(subject, text);
    // The pieces of several answers come side by side.
    const pieces = Math.max(1, ...(JSON.parse(text) as Frame[]).map(({ pieces }) => pieces.length));
    this.#sent = this.#sent.then(async () => {
      await new Promise((resolve) => setTimeout(resolve, this.#pieceMs * pieces));
      this.#inner.publish(subject, text);
    });
  }

  async request(subject: string, text: string, timeoutMs: number): Promise<string | undefined> {
    await this.#sent; // messages of a connection stay in order
    return await this.#inner.request(subject, text, timeoutMs);
  }

  subscribe(subject: string, heard: (text: string, answer: (text: string) => void) => void): () => void {
    return this.#inner.subscribe(subject, heard);
  }

  queue(fingerprint: string): Promise<WorkQueue> {
    return this.#inner.queue(fingerprint);
  }

  bury(fingerprint: string, id: string, text: string): Promise<void> {
    return this.#inner.bury(fingerprint, id, text);
  }

  announce(key: string, text: string): Promise<void> {
    return this.#inner.announce(key, text);
  }

  withdraw(key: string): Promise<void> {
    return this.#inner.withdraw(key);
  }

  watch(heard: (key: string, text: string | undefined) => void): Promise<() => void> {
    return this.#inner.watch(heard);
  }

  store(name: string, bytes: Uint8Array): Promise<void> {
    return this.#inner.store(name, bytes);
  }

  fetch(name: string): Promise<Uint8Array | undefined> {
    return this.#inner.fetch(name);
  }

  vault(name: string, ageMs: number): Promise<Vault> {
    return this.#inner.vault(name, ageMs);
  }

  async close(): Promise<void> {
    await this.#sent;
    await this.#inner.close();
  }
}

/** A transport of a gateway: what begins a job is ended before it is answered, and none begins without asking. */
export class DeadlyTransport extends SlowTransport {
  readonly #end: () => Promise<void>;

  constructor(inner: Transport, end: () => Promise<void>) {
    super(inner, 0);
    this.#end = end;
  }

  override async queue(fingerprint: string): Promise<WorkQueue> {
    const queue = await super.queue(fingerprint);
    const add: WorkQueue["add"] = (place, id, text) => {
      const { isNew: _, ...envelope } = JSON.parse(text) as Envelope;
      return queue.add(place, id, JSON.stringify(envelope));
    };
    return {
      add,
      has: (entry, id) => queue.has(entry, id),
      remove: (entry) => queue.remove(entry),
      take: (place) => queue.take(place),
      renew: (place) => queue.renew(place),
      counts: () => queue.counts(),
    };
  }

  override subscribe(subject: string, heard: (text: string, answer: (text: string) => void) => void): () => void {
    if (!subject.startsWith(askSubject(""))) return super.subscribe(subject, heard);
    let dying = Promise.resolve();
    return super.subscribe(subject, (text, answer) => {
      dying = dying.then(async () => {
        if ((JSON.parse(text) as Question).first) await this.#end();
        heard(text, answer);
      });
    });
  }
}
