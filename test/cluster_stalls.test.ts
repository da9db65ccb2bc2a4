/**
 * A queue that has jobs and hands them to no worker, as one of NATS may that was killed: gateways and workers get it going again, and
 * leave one alone that only has too few workers. The first tests wind the clock, and their workers and gateway are the product's.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { type Completion, completionOf, Piece } from "../src/batching/completion.ts";
import { Hub } from "../src/cluster/hub.ts";
import { JetStreamQueue, type QueueParts } from "../src/cluster/jetstream_queue.ts";
import { NatsTransport } from "../src/cluster/nats.ts";
import { Registry } from "../src/cluster/registry.ts";
import { placeText } from "../src/cluster/subjects.ts";
import type { Delivery, Place, Transport, WorkQueue } from "../src/cluster/types.ts";
import { Worker } from "../src/cluster/worker.ts";
import type { Backend, Job, TextBackend } from "../src/server/types.ts";
import { mix } from "./cluster-simulation.ts";
import { FakeClock } from "./fake-clock.ts";
import { noNats, startNats, surely } from "./nats-server.ts";

const ackWaitMs = 600;
const length = 40;
const signal = new AbortController().signal;

interface Waiting {
  readonly id: string;
  readonly place: string;
  readonly text: string;
  deliveries: number;
  dueAt: number;
}

/** A queue whose places may stop handing out what is there. */
class WoundQueue implements WorkQueue {
  readonly #clock: FakeClock;
  readonly jobs = new Map<number, Waiting>();
  /** Up to which entry jobs are passed over. */
  passedOver = 0;
  renewed = 0;
  /** Jobs that were put in beside themselves. */
  doubles = 0;
  #last = 0;

  constructor(clock: FakeClock) {
    this.#clock = clock;
  }

  /** The last entry. */
  get last(): number {
    return this.#last;
  }

  add(place: Place, id: string, text: string): Promise<number> {
    const jobOf = (text: string) => JSON.parse(text).id;
    if ([...this.jobs.values()].some((job) => jobOf(job.text) === jobOf(text))) this.doubles++;
    this.jobs.set(++this.#last, { id, place: placeText(place), text, deliveries: 0, dueAt: 0 });
    return Promise.resolve(this.#last);
  }

  has(entry: number, id: string): Promise<boolean> {
    return Promise.resolve(this.jobs.get(entry)?.id === id);
  }

  remove(entry: number): Promise<void> {
    return Promise.resolve(void this.jobs.delete(entry));
  }

  take(place: Place): Promise<Delivery | undefined> {
    const now = this.#clock.now();
    const isDue = ([entry, job]: [number, Waiting]) =>
      job.place === placeText(place) && job.dueAt <= now && entry > this.passedOver;
    const [entry, job] = [...this.jobs].find(isDue) ?? [];
    if (entry === undefined || job === undefined) return Promise.resolve(undefined);
    job.dueAt = now + ackWaitMs;
    return Promise.resolve({
      text: job.text,
      deliveries: ++job.deliveries,
      working: () => void (job.dueAt = this.#clock.now() + ackWaitMs),
      acknowledge: () => void this.jobs.delete(entry),
      giveBack: (delayMs) => void (job.dueAt = this.#clock.now() + delayMs),
    });
  }

  renew(place: Place): Promise<void> {
    this.renewed++;
    this.passedOver = 0;
    for (const job of this.jobs.values()) {
      if (job.place === placeText(place)) [job.deliveries, job.dueAt] = [0, 0];
    }
    return Promise.resolve();
  }

  counts(): Promise<{ place: Place; count: number }[]> {
    const places = [...this.jobs.values()].map(({ place }) => place.split(".").map(Number));
    return Promise.resolve(places.map(([priority, shard]) => ({ place: { priority, shard }, count: 1 })));
  }
}

type Heard = (text: string, answer: (text: string) => void) => void;

/** What all machines hear of one another. */
class Air {
  readonly heard = new Map<string, Set<Heard>>();
  readonly watching = new Set<(key: string, text: string) => void>();
}

/** The transport of one machine, which may be lost. */
function machineIn(air: Air, queue: WorkQueue): { transport: Transport; lose(): void } {
  let isLost = false;
  const tell = (subject: string, text: string, answer: (text: string) => void) => {
    if (!isLost) { for (const hear of air.heard.get(subject) ?? []) queueMicrotask(() => hear(text, answer)); }
  };
  const transport: Partial<Transport> = {
    ackWaitMs,
    textBytesMax: 1 << 20,
    isConnected: true,
    publish: (subject, text) => tell(subject, text, () => {}),
    request: (subject, text) => new Promise((resolve) => tell(subject, text, resolve)),
    subscribe: (subject, heard) => {
      const all = air.heard.get(subject) ?? new Set();
      air.heard.set(subject, all.add((text, answer) => isLost ? undefined : heard(text, answer)));
      return () => {};
    },
    queue: () =>
      Promise.resolve({
        add: (place: Place, id: string, text: string) => queue.add(place, id, text),
        has: (entry: number, id: string) => queue.has(entry, id),
        remove: (entry: number) => queue.remove(entry),
        renew: (place: Place) => queue.renew(place),
        counts: () => queue.counts(),
        take: async (place: Place) => {
          const delivery = isLost ? undefined : await queue.take(place);
          return delivery && { ...delivery, working: () => isLost ? undefined : delivery.working() };
        },
      }),
    announce: (key, text) => {
      if (!isLost) { for (const hear of air.watching) hear(key, text); }
      return Promise.resolve();
    },
    watch: (heard) => {
      air.watching.add(heard);
      return Promise.resolve(() => {});
    },
  };
  return { transport: transport as Transport, lose: () => void (isLost = true) };
}

const tokensOf = (seed: number) => Array.from({ length }, (_, index) => mix(seed, index) % 1000);

/** Gives a token each `tokenMs` milliseconds. */
function backendOver(clock: FakeClock, tokenMs: number): Backend {
  async function* generate({ sampling: { seed }, resume }: Job): AsyncGenerator<Piece, Completion, void> {
    const tokens = tokensOf(Number(seed));
    for (const token of tokens.slice(resume?.tokens.length ?? 0)) {
      await clock.sleep(tokenMs);
      yield new Piece(`${token} `, { token });
    }
    const times = { loadMs: 0, prefillMs: 0, decodeMs: 0 };
    const counts = { promptTokens: 1, cachedTokens: 0, generatedTokens: length };
    return completionOf({ ...times, ...counts, text: "", tokens, stopReason: "maxTokens", seed: 1, sampling: [] });
  }
  return { submit: (job) => Promise.resolve(generate(job)) };
}

/** A gateway and a way to start workers, over one queue. */
async function cluster() {
  const [air, clock] = [new Air(), new FakeClock()];
  const queue = new WoundQueue(clock);
  const { transport } = machineIn(air, queue);
  const hub = new Hub(transport, clock, await Registry.open(transport, clock));
  const work = async (id: string, rows: number, tokenMs: number) => {
    const { transport, lose } = machineIn(air, queue);
    const figures = () => ({ tokensPerSecond: 0, tokens: 0, cacheAsked: 0, cacheFound: 0 });
    const troubled = (error: unknown) => {
      throw error;
    };
    const backend = backendOver(clock, tokenMs);
    const registry = await Registry.open(transport, clock);
    const texts = {} as TextBackend; // nothing asks for texts here
    const model = { model: "m", fingerprint: "f" };
    await Worker.start({ ...model, id, rows, transport, backend, texts, registry, clock, figures, troubled });
    return lose;
  };
  const told: Record<number, number[]> = {};
  const ended = new Set<number>();
  const read = async (seed: number) => {
    told[seed] = [];
    const job: Job = { prompt: Uint32Array.of(seed), sampling: { seed }, stop: [], tenant: "", priority: 5 };
    for await (const { token } of await hub.submit("f", job, signal)) told[seed].push(token);
    ended.add(seed);
  };
  const pass = async (ms: number) => {
    for (let tick = 0; tick < ms; tick++) await clock.tick();
  };
  return { queue, work, told, ended, read, pass };
}

describe("a queue that hands out nothing", () => {
  it("is got going again by the gateway: what was taken, what was not, each token once", async () => {
    const { queue, work, told, ended, read, pass } = await cluster();
    const lose = await work("first", 1, 20);
    void read(1);
    await pass(200);
    assert(told[1].length > 2 && told[1].length < length);
    // The worker dies, and NATS comes back with consumers that are ahead of the stream.
    lose();
    await work("second", 4, 20);
    queue.passedOver = queue.last + 2;
    void read(2);
    void read(3);
    void read(4);
    await pass(11_000);
    // What is behind what is passed over is handed out.
    assertEquals([...ended], [4]);
    await pass(60_000);
    assertEquals(ended, new Set([1, 2, 3, 4]));
    for (const seed of ended) assertEquals(told[seed], tokensOf(seed));
    assertEquals([queue.jobs.size, queue.doubles, queue.renewed >= 1], [0, 0, true]);
  });

  it("takes a job's entry for another's after a loss, and finds out", async () => {
    const { queue, work, told, ended, read, pass } = await cluster();
    void read(1);
    await pass(1);
    const [entry, job] = [...queue.jobs][0];
    queue.jobs.set(entry, { ...job, id: "another", text: "{}", dueAt: Infinity });
    await work("first", 1, 20);
    await pass(10_000);
    assertEquals([[...ended], told[1], queue.renewed], [[1], tokensOf(1), 0]);
  });

  it("is left alone while no row is free", async () => {
    const { queue, work, told, ended, read, pass } = await cluster();
    await work("only", 1, 1000);
    void read(1);
    await pass(10);
    void read(2);
    await pass(2 * 1000 * length + 5000);
    assertEquals([[...ended], told[2], queue.renewed, queue.last], [[1, 2], tokensOf(2), 0, 2]);
  });
});

describe("a queue in JetStream", () => {
  it("makes a consumer anew that answers no pull twice", async () => {
    const done: string[] = [];
    const config = { durable_name: "p1s5", ack_wait: 7 };
    const act = (kind: string) => (_: string, what: unknown) => {
      done.push(what === config ? `${kind} again` : kind);
      return Promise.resolve({ config });
    };
    const consumers = { info: act("info"), delete: act("delete"), add: act("add") };
    const streams = { info: () => Promise.resolve({}) };
    class TimeoutError extends Error {}
    const parts = {
      libraries: {
        core: { TimeoutError, createInbox: () => "inbox" },
        jetstream: { RetentionPolicy: {}, StorageType: {}, DiscardPolicy: {}, AckPolicy: {} },
      },
      connection: { subscribe: () => ({ unsubscribe: () => {} }), publish: () => done.push("pull") },
      manager: { consumers, streams },
      ackWaitMs,
    };
    const queue = await JetStreamQueue.open(parts as unknown as QueueParts, "f");
    const { setTimeout: real } = globalThis;
    globalThis.setTimeout = ((call: () => void) => real(call, 0)) as typeof setTimeout;
    try {
      for (let pull = 0; pull < 3; pull++) {
        await assertRejects(() => queue.take({ priority: 1, shard: 5 }), TimeoutError);
      }
    } finally {
      globalThis.setTimeout = real;
    }
    const again = ["info", "delete", "add again"];
    assertEquals(done, ["add", "pull", "add", "pull", ...again, "add", "pull"]);
  });

  const place = { priority: 1, shard: 5 };
  const open = (url: string, ackWaitMs = 60_000) => surely(() => NatsTransport.open({ url, ackWaitMs, name: "test" }));
  /** Takes a job; a busy machine may miss the time of a pull. */
  const takeFrom = async (queue: WorkQueue) => {
    for (;;) {
      try {
        return await queue.take(place);
      } catch (error) {
        if (!(error instanceof Error && error.name === "TimeoutError")) throw error;
      }
    }
  };

  it("hands out anew what lies at a place, and tells entries apart by names", { skip: noNats }, async () => {
    await using nats = await startNats();
    const [worker, gateway] = [await open(nats.url), await open(nats.url, 1000)];
    const [taking, adding] = [await worker.queue("f"), await gateway.queue("f")];
    const entry = await adding.add(place, "a", "one");
    await adding.add(place, "b", "two");
    const take = async () => (await takeFrom(taking))?.text;
    assertEquals([await take(), await take(), await take()], ["one", "two", undefined]);
    assertEquals([await adding.has(entry, "a"), await adding.has(entry, "b")], [true, false]);
    await adding.remove(entry);
    assertEquals(await adding.has(entry, "a"), false);
    await adding.renew(place);
    assertEquals([await take(), await take()], ["two", undefined]);
    await Promise.all([worker.close(), gateway.close()]);
  });

  it("hands jobs out again after a crash that lost the end of the stream", { skip: noNats }, async () => {
    const folder = mkdtempSync(join(tmpdir(), "lightgpt-nats-"));
    const [messages, older] = [join(folder, "jetstream/$G/streams/LG_f/msgs"), join(folder, "older")];
    {
      await using nats = await startNats(["-sd", folder]);
      const work = async (jobs: readonly string[]) => {
        const transport = await open(nats.url);
        const queue = await transport.queue("f");
        for (const job of jobs) {
          await queue.add(place, job, job);
          (await takeFrom(queue))?.acknowledge();
        }
        await transport.close();
        // Told to end, it writes down all that it has; then files are put back as a crash leaves them.
        const ended = new Promise((resolve) => nats.child().once("exit", resolve));
        nats.child().kill("SIGTERM");
        await ended;
      };
      await work(["a"]);
      cpSync(messages, older, { recursive: true });
      await nats.start();
      await work(["b", "c", "d"]);
      rmSync(messages, { recursive: true });
      cpSync(older, messages, { recursive: true });
      await nats.start();
      const transport = await open(nats.url);
      const queue = await transport.queue("f");
      await queue.add(place, "e", "e");
      // It lies there, and the consumer believes that it has handed it out.
      assertEquals([await queue.counts(), await takeFrom(queue)], [[{ place, count: 1 }], undefined]);
      await queue.renew(place);
      assertEquals((await takeFrom(queue))?.text, "e");
      await transport.close();
    }
    rmSync(folder, { recursive: true });
  });
});
