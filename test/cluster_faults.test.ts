/**
 * What a cluster says where something is wrong that no job is to blame for: NATS that is lost, full or refuses, messages that are no
 * jobs, keys, a worker without its model.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { describe, it } from "node:test";
import { LightGPT } from "../mod.ts";
import { openGateway, startWorker } from "../exports/cluster.ts";
import { GoneGateways } from "../src/cluster/gone_gateways.ts";
import { Hub } from "../src/cluster/hub.ts";
import { NatsTransport } from "../src/cluster/nats.ts";
import { workerOver } from "../src/cluster/open.ts";
import { SharedAnswers } from "../src/cluster/shared_answers.ts";
import { askSubject, frameSubject } from "../src/cluster/subjects.ts";
import type { Reply, Transport, WorkQueue } from "../src/cluster/types.ts";
import { Failure } from "../src/server/failure.ts";
import type { Job } from "../src/server/types.ts";
import { FakeClock } from "./fake-clock.ts";
import { noNats, startCommand, startNats } from "./nats-server.ts";
import { posted, template } from "./small-server.ts";

const job: Job = { prompt: Uint32Array.of(1), sampling: { seed: 1 }, stop: [], tenant: "", priority: 5 };

/** A transport that a test holds in its hands. */
class Handed {
  readonly textBytesMax = 3072;
  readonly ackWaitMs = 2000;
  isConnected = true;
  isReachable = true;
  readonly added: string[] = [];
  readonly #heard = new Map<string, (text: string, answer: (text: string) => void) => void>();

  queue(): Promise<WorkQueue> {
    const add = (_place: unknown, _id: string, text: string) =>
      this.isReachable ? Promise.resolve(this.added.push(text)) : Promise.reject(new Error("no server"));
    return Promise.resolve({ add, remove: () => Promise.resolve() } as unknown as WorkQueue);
  }

  subscribe(subject: string, heard: (text: string, answer: (text: string) => void) => void): () => void {
    this.#heard.set(subject, heard);
    return () => {};
  }

  publish(): void {}

  /** Says something to the hub; gives what it answers. */
  say<T>(subject: string, value: unknown): T | undefined {
    let told: T | undefined;
    this.#heard.get(subject)?.(JSON.stringify(value), (text) => told = JSON.parse(text) as T);
    return told;
  }
}

const noWorkers = { hasWorker: () => false, workers: () => [] };

function hubOver(): { readonly hub: Hub; readonly transport: Handed; readonly clock: FakeClock } {
  const [transport, clock] = [new Handed(), new FakeClock()];
  return { hub: new Hub(transport as unknown as Transport, clock, noWorkers), transport, clock };
}

async function codeOf(work: Promise<unknown>, clock: FakeClock): Promise<unknown[]> {
  let failure: unknown;
  await clock.until(work.catch((error: unknown) => failure = error));
  assert(failure instanceof Failure, String(failure));
  return [failure.parts.status, failure.parts.code];
}

const passing = async (clock: FakeClock, ms: number) => {
  for (let tick = 0; tick < ms; tick++) await clock.tick();
};

describe("a gateway", () => {
  const signal = new AbortController().signal;

  it("says after ten seconds that no job can be put into the queue, and puts it there where NATS comes back", async () => {
    const { hub, transport, clock } = hubOver();
    transport.isReachable = false;
    const begin = clock.now();
    assertEquals(await codeOf(hub.submit("f", job, signal), clock), [503, "queue_unreachable"]);
    assert(clock.now() - begin >= 10_000 && clock.now() - begin < 11_000);
    const waiting = hub.submit("f", job, signal);
    await passing(clock, 5000);
    transport.isReachable = true;
    await clock.until(waiting);
    assertEquals(transport.added.length, 1);
  });

  it("ends streams after a minute without NATS, and not before", async () => {
    const { hub, transport, clock } = hubOver();
    const pieces = await hub.submit("f", job, signal);
    const next = pieces.next();
    next.catch(() => {});
    transport.isConnected = false;
    await passing(clock, 50_000);
    transport.isConnected = true;
    await passing(clock, 2000);
    const { id } = JSON.parse(transport.added[0]);
    transport.say(frameSubject(hub.id), [{ job: id, worker: "w", at: 0, pieces: [{ text: "a", token: 1 }] }]);
    assertEquals((await next).value?.text, "a");
    const second = pieces.next();
    transport.isConnected = false;
    const begin = clock.now();
    assertEquals(await codeOf(second, clock), [503, "queue_unreachable"]);
    assert(clock.now() - begin >= 60_000);
  });

  it("gives a job up whose tokens go into no message, and says it", async () => {
    const { hub, transport, clock } = hubOver();
    const pieces = await hub.submit("f", job, signal);
    const { id } = JSON.parse(transport.added[0]);
    const many = Array.from({ length: 1000 }, (_, token) => ({ text: "a", token }));
    transport.say(frameSubject(hub.id), [{ job: id, worker: "w", at: 0, pieces: many }]);
    const reply = transport.say<Reply>(askSubject(hub.id), { job: id, worker: "x", first: true, deliveries: 2 });
    assertEquals(reply, { kind: "done" });
    const rest = (async () => {
      for await (const _ of pieces) { /* what was there, and then the failure */ }
    })();
    assertEquals(await codeOf(rest, clock), [413, "request_too_large"]);
    const long = { ...job, stop: ["x".repeat(4096)] };
    assertEquals(await codeOf(hub.submit("f", long, signal), clock), [413, "request_too_large"]);
  });
});

describe("a gateway without an answer", () => {
  /** Asks each quarter of a second until it is gone; gives after how long it is. */
  async function goneAfter(announcedMs: number, lostMs = 0): Promise<number> {
    const clock = new FakeClock();
    await passing(clock, 20_000);
    const begin = clock.now();
    const passed = () => clock.now() - begin;
    const transport = { isConnected: true };
    const registry = { gateways: () => new Set(passed() < announcedMs ? ["a"] : []) };
    const watch = new GoneGateways({ transport, registry, clock });
    for (;;) {
      transport.isConnected = passed() >= lostMs;
      if (watch.unanswered("a")) return passed();
      await passing(clock, 250);
    }
  }

  it("is waited for as long as it is announced, for ten seconds at most", async () => {
    assertEquals(await goneAfter(Infinity), 10_000);
    // Just connected, a worker may not have heard of it: all are announced again within five seconds.
    assertEquals(await goneAfter(0), 5250);
    assertEquals(await goneAfter(7000), 7000);
  });

  it("is not gone while NATS is, and a while after", async () => {
    assertEquals(await goneAfter(0, 60_000), 60_000 - 250 + 5250);
    assertEquals(await goneAfter(Infinity, 60_000), 70_000);
  });

  it("that answers is there, and so is one that was not asked for a while", () => {
    const clock = { ms: 0, now: () => clock.ms };
    const watch = new GoneGateways({
      transport: { isConnected: true },
      registry: { gateways: () => new Set() },
      clock,
    });
    assertEquals(watch.unanswered("a"), false);
    clock.ms = 9900;
    assertEquals([watch.unanswered("a"), watch.unanswered("b")], [false, false]);
    clock.ms = 11_000;
    watch.answered("a");
    assertEquals([watch.unanswered("a"), watch.unanswered("b")], [false, true]);
  });
});

describe("responses whose gateways are gone", () => {
  it("are taken up though one of them cannot be read, which is told", async () => {
    const clock = new FakeClock();
    const records: Record<string, string> = { "live.a": "no JSON", "live.b": JSON.stringify({ owner: "gone" }) };
    const erased: string[] = [];
    const vault = {
      keys: () => Promise.resolve(Object.keys(records)),
      read: (key: string) => Promise.resolve(records[key] && { text: records[key], revision: 1 }),
      write: () => Promise.resolve(true),
      get: () => Promise.resolve(undefined),
      erase: (key: string) => Promise.resolve(void erased.push(key)),
    };
    const transport = { isConnected: true, subscribe: () => () => {} };
    const parts = { vault, transport, clock, hub: { id: "here" }, registry: { gateways: () => new Set() } };
    const told: string[] = [];
    const hear = (warning: Error) => void told.push(warning.name);
    process.on("warning", hear);
    try {
      const answers = new SharedAnswers(parts as unknown as ConstructorParameters<typeof SharedAnswers>[0]);
      answers.start(() => Promise.reject(new Error("none is there")));
      for (let ms = 0; ms < 20_000 && erased.length === 0; ms++) await clock.tick();
      await answers.leave();
      while (told.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    } finally {
      process.off("warning", hear);
    }
    assertEquals([erased[0], told[0]], ["live.b", "SyntaxError"]);
  });
});

/** What takes seconds in the client of NATS is seen once. */
const elsewhere = "Deno" in globalThis && "runs on Bun's turn";

describe("a cluster", { skip: noNats }, () => {
  const ask = async (server: { fetch(request: Request): Promise<Response> }, headers = {}) => {
    const response = await server.fetch(
      posted("http://localhost/v1/completions", { prompt: "x", max_tokens: 2 }, headers),
    );
    return [response.status, (await response.json()).error?.code];
  };

  it("puts messages aside that are no jobs, and takes keys", async () => {
    await using nats = await startNats();
    await using lm = await LightGPT.load(undefined, { kvBytesMax: 2 ** 26 });
    const transport = await NatsTransport.open({ url: nats.url, ackWaitMs: 300, name: "test" });
    const told: string[] = [];
    const troubled = (error: unknown) => void told.push(String(error));
    await using worker = await workerOver(transport, lm, { name: "stories", template, troubled });
    const queue = await transport.queue(worker.fingerprint);
    await using server = await openGateway({ nats: nats.url, keys: ["a long secret"] });
    for (const text of ["{", "null", '{"id": 3}']) {
      await queue.add({ priority: 0, shard: 0 }, crypto.randomUUID(), text);
    }
    while ((await queue.counts()).length > 0) await new Promise((resolve) => setTimeout(resolve, 10));
    assertEquals(told.map((one) => one.includes("is no job")), [true, true, true]);
    assertEquals(await ask(server), [401, "invalid_api_key"]);
    assertEquals(await ask(server, { authorization: "Bearer another" }), [401, "invalid_api_key"]);
    assertEquals(await ask(server, { authorization: "Bearer a long secret" }), [200, undefined]);
    // At a gateway with other keys a response is none of its tenants'.
    await using other = await openGateway({ nats: nats.url, keys: ["another secret"] });
    const headers = { authorization: "Bearer a long secret" };
    const body = { input: "x", max_output_tokens: 2 };
    const { id } = await (await server.fetch(posted("http://localhost/v1/responses", body, headers))).json();
    assert(typeof id === "string");
    const find = async ({ fetch }: { fetch(request: Request): Promise<Response> }, key: string) => {
      const request = new Request(`http://localhost/v1/responses/${id}`, {
        headers: { authorization: `Bearer ${key}` },
      });
      return (await fetch(request)).status;
    };
    assertEquals(await find(other, "a long secret"), 401);
    assertEquals(await find(other, "another secret"), 404);
    assertEquals(await find(server, "a long secret"), 200);
  });

  it("tells a NATS without room", async () => {
    const folder = mkdtempSync(join(tmpdir(), "lightgpt-nats-"));
    writeFileSync(join(folder, "nats.conf"), "jetstream { max_file_store: 300KB }\n");
    {
      await using nats = await startNats(["-c", join(folder, "nats.conf")]);
      await using server = await openGateway({ nats: nats.url });
      const form = new FormData();
      form.set("purpose", "batch");
      form.set("file", new File(["x".repeat(1 << 20)], "in.jsonl"));
      const headers = { "content-length": `${1 << 21}` };
      const request = new Request("http://localhost/v1/files", { method: "POST", body: form, headers });
      const response = await server.fetch(request);
      assertEquals([response.status, (await response.json()).error.code], [507, "no_room"]);
    }
    rmSync(folder, { recursive: true });
  });

  it("tells what its user may not do, and limits that leave no room", { skip: elsewhere }, async () => {
    const folder = mkdtempSync(join(tmpdir(), "lightgpt-nats-"));
    const permitted = (user: string, publish: string, subscribe: string) =>
      `{ user: ${user}, password: x, permissions: { publish: [${publish}], subscribe: [${subscribe}] } }`;
    const users = [
      "{ user: one, password: x }",
      permitted("plain", '"lg.>"', '">"'),
      permitted("deaf", '">"', '"_INBOX.>"'),
      permitted("mute", '"$JS.>", "$KV.>", "$O.>"', '">"'),
    ];
    const account = `jetstream: { max_consumers: 12 }, users: [${users.join(", ")}]`;
    writeFileSync(join(folder, "nats.conf"), `jetstream {}\naccounts { A { ${account} } }\n`);
    await using lm = await LightGPT.load(undefined, { kvBytesMax: 2 ** 26 });
    {
      await using nats = await startNats(["-c", join(folder, "nats.conf")]);
      const as = (user: string) => nats.url.replace("//", `//${user}:x@`);
      const failing = async (begin: () => Promise<{ close(): Promise<void> }>) => {
        try {
          await (await begin()).close();
          return "none";
        } catch (error) {
          return (error as Error).message.replace(/.* at \S+ /, "").replace(/[0-9a-f]{16,}/, "ID");
        }
      };
      const worker = (user: string) => failing(() => startWorker(lm, { nats: as(user), name: "m" }));
      const gateway = (user: string) => failing(() => openGateway({ nats: as(user) }));
      assertEquals([await worker("plain"), await gateway("plain")], [
        "does not let this user publish to $JS.API.INFO.",
        "does not let this user publish to $JS.API.INFO.",
      ]);
      assertEquals([await worker("deaf"), await gateway("deaf")], [
        "does not let this user subscribe to lg.new.ID.",
        "does not let this user subscribe to lg.responses.",
      ]);
      assertEquals([await worker("mute"), await gateway("mute")], [
        "does not let this user publish to lg.out.none.",
        "does not let this user publish to lg.new.none.",
      ]);
      await using _ = await startWorker(lm, { nats: as("one"), name: "m" });
      await using server = await openGateway({ nats: as("one") });
      const prompts = Array.from({ length: 40 }, (_, index) => ({ prompt: `${index} x`, max_tokens: 1 }));
      const ask = async (body: unknown) => (await server.fetch(posted("http://localhost/v1/completions", body))).status;
      // Places of the queue whose consumers cannot be made take no job, which would never be taken.
      assertEquals(new Set(await Promise.all(prompts.map(ask))), new Set([200, 507]));
    }
    rmSync(folder, { recursive: true });
  });

  it("goes on when a NATS that refused takes it again", { skip: elsewhere }, async () => {
    const right = ["--user", "one", "--pass", "secret"];
    await using nats = await startNats(right);
    await using server = await openGateway({ nats: nats.url.replace("//", "//one:secret@") });
    assertEquals(await ask(server), [503, "no_worker"]);
    await nats.kill();
    await nats.start(["--user", "one", "--pass", "other"]);
    await new Promise((resolve) => setTimeout(resolve, 800));
    await nats.kill();
    await nats.start(right);
    await new Promise((resolve) => setTimeout(resolve, 500));
    const list = () => server.fetch(new Request("http://localhost/v1/batches"));
    let status = 0;
    for (let round = 0; round < 1000 && status !== 200; round++) {
      status = (await list()).status;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assertEquals(status, 200);
  });

  it("has no worker without its model", async () => {
    await assertRejects(
      () => startCommand(["worker", "--nats", "nats://127.0.0.1:9", "--model", "/none/model.gguf"]),
      Error,
      "there is no such file",
    );
  });
});
