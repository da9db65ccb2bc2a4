/**
 * Workers and gateways over a server of NATS, in one process: what they serve, and what they say of what is wrong.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { after, before, describe, it } from "node:test";
import { currentRuntime } from "../ffi/runtime/pick.ts";
import { LightGPT, LightGPTError } from "../mod.ts";
import { type ClusterWorker, openGateway, startWorker } from "../exports/cluster.ts";
import { createServer, type Server } from "../exports/server.ts";
import { loadLibraries } from "../src/cluster/libraries.ts";
import { Overview, overviewText } from "../src/cluster/overview.ts";
import { NatsTransport } from "../src/cluster/nats.ts";
import { askSubject, frameSubject } from "../src/cluster/subjects.ts";
import type { Envelope, Frame, Reply } from "../src/cluster/types.ts";
import { type NatsServer, noNats, startNats } from "./nats-server.ts";
import { posted, template } from "./small-server.ts";
import { hasTerminal, inTerminal } from "./terminal.ts";

const ackWaitMs = 300;
/** The command is the same on both runtimes, and takes a second to start. */
const noTerminal = (!hasTerminal && "needs python3") || ("Deno" in globalThis && "runs on Bun's turn");
const messages = [{ role: "user", content: "How is it?" }];

it("says how to get the clients of NATS where there are none", async () => {
  const none = () => Promise.reject(new Error("Cannot find package"));
  await assertRejects(() => loadLibraries(none), LightGPTError, "npm install @nats-io/transport-node");
});

/** The text of a body, and whether it broke off. */
async function readToEnd({ body }: Response): Promise<{ text: string; isBroken: boolean }> {
  const decoder = new TextDecoder();
  let text = "";
  try {
    for await (const chunk of body ?? []) text += decoder.decode(chunk, { stream: true });
    return { text, isBroken: false };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return { text, isBroken: true };
  }
}

describe("workers and gateways", { skip: noNats }, () => {
  let lm: LightGPT;
  let nats: NatsServer;
  let gateway: Server;
  let local: Server;
  let transport: NatsTransport;
  const workers: ClusterWorker[] = [];
  const options = () => ({ nats: nats.url, ackWaitMs });
  before(async () => {
    [nats, lm] = await Promise.all([startNats(), LightGPT.load(undefined, { kvBytesMax: 2 ** 26 })]);
    for (let index = 0; index < 2; index++) {
      workers.push(await startWorker(lm, { ...options(), name: "stories", template, rows: 4 }));
    }
    gateway = await openGateway(options());
    local = createServer({ models: { stories: lm }, template });
    transport = await NatsTransport.open({ url: nats.url, ackWaitMs, name: "test" });
  });
  after(async () => {
    await gateway?.close(0);
    await local?.close(0);
    for (const worker of workers) await worker.close();
    await transport?.close();
    await nats?.[Symbol.asyncDispose]();
    await lm?.dispose();
  });
  const ask = (server: Server, path: string, body: unknown) => server.fetch(posted(`http://localhost${path}`, body));

  it("answer as a server of one process does", async () => {
    const bodies: [string, Record<string, unknown>][] = [
      ["/v1/completions", { prompt: "Once upon a time", seed: 1, max_tokens: 20, logprobs: 2, n: 3 }],
      ["/v1/chat/completions", { messages, seed: 2, max_tokens: 20, mirostat: { tau: 4 }, logprobs: true }],
      ["/v1/chat/completions", { messages, seed: 2, max_tokens: 80, constraint: { regex: "[a-f]{9}" }, stream: true }],
      ["/v1/messages", { messages, seed: 3, max_tokens: 20 }],
      ["/tokenize", { messages }],
    ];
    const settled = (text: string) =>
      text.replace(/"(id|created)":("[^"]*"|\d+)/g, '"$1":0').replace(
        /"(cached|cache_read_input|input)_tokens":\d+/g,
        "",
      );
    for (const [path, body] of bodies) {
      const [theirs, ours] = await Promise.all([ask(gateway, path, body), ask(local, path, body)]);
      assertEquals([theirs.status, settled(await theirs.text())], [200, settled(await ours.text())], path);
    }
  });

  it("pause a stream whose reader does not read, and end one whose reader leaves", async () => {
    const response = await ask(gateway, "/v1/completions", { prompt: "Once", seed: 1, max_tokens: 400, stream: true });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    await reader.read();
    const tokens = () => lm.batcher.stats().tokens;
    let before = tokens();
    for (let now = -1; now !== before;) {
      [now, before] = [before, tokens()];
      await new Promise((resolve) => setTimeout(resolve, 60));
      before = tokens();
    }
    assertEquals(workers.reduce((sum, { running }) => sum + running, 0), 1);
    await reader.cancel();
    while (workers.some(({ running }) => running > 0)) await new Promise((resolve) => setTimeout(resolve, 5));
    const queue = await transport.queue(workers[0].fingerprint);
    for (let left = 1; left > 0;) left = (await queue.counts()).reduce((sum, { count }) => sum + count, 0);
  });

  it("refuse what no worker could do, and what is too long for a message", async () => {
    const status = async (body: unknown) => {
      const response = await ask(gateway, "/v1/completions", body);
      return [response.status, (await response.json()).error.code];
    };
    assertEquals(await status({ model: "other", prompt: "x" }), [404, "model_not_found"]);
    const long = "Once ".repeat(20_000);
    assertEquals(await status({ prompt: long }), [400, "context_length_exceeded"]);
    const constraint = { regex: `a|${"b".repeat(1 << 20)}` };
    const tooLong = await ask(gateway, "/v1/completions", { prompt: "x", stop: ["x".repeat(1 << 20)] });
    assertEquals([tooLong.status, (await tooLong.json()).error.code], [413, "request_too_large"]);
    assert((await ask(gateway, "/v1/completions", { prompt: "x", constraint })).status >= 400);
    assertEquals(await status({ prompt: "x", seed: "y" }), [400, null]);
  });

  it("give an error for a job of another model", async () => {
    const id = "b".repeat(32);
    const envelope: Envelope = { id, gateway: "test", fingerprint: "0".repeat(16), job: "{}" };
    const { promise, resolve } = Promise.withResolvers<Frame>();
    const ends = [
      transport.subscribe(frameSubject("test"), (text) => resolve((JSON.parse(text) as Frame[])[0])),
      transport.subscribe(askSubject("test"), (_, answer) => answer(JSON.stringify({ kind: "done" }))),
    ];
    const queue = await transport.queue(workers[0].fingerprint);
    await queue.add({ priority: 0, shard: 0 }, id, JSON.stringify(envelope));
    const { error } = await promise;
    assertEquals([error?.code, error?.detail.got], ["unsupported", envelope.fingerprint]);
    for (const end of ends) end();
  });

  it("give up a job that three workers have begun and none has gone on with", async () => {
    // Workers of another template have a queue of their own, which only this test takes from.
    const alone = await startWorker(lm, { ...options(), name: "alone", template: `${template} ` });
    await using server = await openGateway(options());
    const answer = ask(server, "/v1/completions", { model: "alone", prompt: "x", max_tokens: 3 });
    assertEquals((await answer).status, 200);
    const { fingerprint } = alone;
    const queue = await transport.queue(fingerprint);
    await alone.close();
    // The gateway knows the model still, for its worker was announced a moment ago by another key.
    const figures = { tokensPerSecond: 0, tokens: 0, cacheAsked: 0, cacheFound: 0, runtime: "bun" };
    const entry = { worker: "w", model: "alone", fingerprint, rows: 1, running: 0, isDraining: false, ...figures };
    await transport.announce(`worker.${fingerprint}.w`, JSON.stringify(entry));
    while (
      (await (await server.fetch(new Request("http://localhost/v1/models"))).text()).includes('"alone"') === false
    ) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const { promise: dead, resolve: buried } = Promise.withResolvers<string>();
    transport.subscribe(`lg.dead.${fingerprint}.*`, (text) => buried((JSON.parse(text) as Envelope).fingerprint));
    const failing = ask(server, "/v1/completions", { model: "alone", prompt: "x", max_tokens: 3 });
    const kinds: string[] = [];
    while (kinds.at(-1) !== "done") {
      await transport.announce(`worker.${fingerprint}.w`, JSON.stringify(entry));
      for (const { place } of await queue.counts()) {
        const delivery = await queue.take(place);
        if (delivery === undefined) continue;
        const { id, gateway: asked } = JSON.parse(delivery.text) as Envelope;
        const question = { job: id, worker: `w${kinds.length}`, first: true, deliveries: delivery.deliveries };
        const reply = JSON.parse(await transport.request(askSubject(asked), JSON.stringify(question), 30_000) ?? "{}");
        const { kind } = reply as Reply;
        if (kind === "done") delivery.acknowledge();
        // What is done with at once is the answer before: its worker was closed as it told the queue so.
        if (kind !== "done" || kinds.includes("open")) kinds.push(kind);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    // Handed over three times and begun each time: the fourth is told that it is done with. On a busy machine the gateway waits until
    // it is sure that the three are gone, and begins to count when its own reader asks; how many counted is in its error.
    const told = kinds.filter((kind) => kind !== "moved");
    assertEquals(told, [...Array.from({ length: Math.max(3, told.length - 1) }, () => "open"), "done"]);
    assertEquals(await dead, fingerprint);
    const response = await failing;
    const { text, isBroken } = await readToEnd(response);
    // Where a runtime does not tell that a client leaves, the head of a late answer goes ahead: its failure breaks the body.
    const { hearsLeaving } = currentRuntime();
    assertEquals([response.status, isBroken], hearsLeaving ? [500, false] : [200, true]);
    assert(JSON.parse(text).error.message.includes("3 workers have begun the job"));
  });

  it("are shown with their rows and their queue", async () => {
    const overview = await Overview.open(options());
    const models = await overview.models();
    await overview.close();
    const stories = models.find(({ model }) => model === "stories");
    assertEquals(stories?.workers.map(({ rows }) => rows), [4, 4]);
    const text = overviewText(models.filter(({ model }) => model === "stories"));
    assert(text.includes(`stories (${workers[0].fingerprint}): `) && text.includes("/4"), text);
    assertEquals(overviewText([]), "no worker is there\n");
  });

  it("are drawn anew on a terminal, until Ctrl-C", { skip: noTerminal }, async () => {
    const drawn = (what: string) => new RegExp(String.raw`\x1b\[H\x1b\[2J[\s\S]*?${what} \(`);
    // In a picture "late" stands in front of "stories": behind it, it can only come with the next one.
    const showing = inTerminal(["top", "--nats", nats.url], [[drawn("stories"), ""], [drawn("late"), "\x03"]]);
    const late = await startWorker(lm, { ...options(), name: "late", template: `${template}  ` });
    const screen = await showing;
    await late.close();
    assert(/\[exit (0|130)\]/.test(screen) && screen.includes("0/4"), screen);
  });

  it("say what is wrong with NATS", async () => {
    const wrong = (url: string, message: string) =>
      assertRejects(() => openGateway({ nats: url }), LightGPTError, message);
    await wrong("nats://127.0.0.1:9", "cannot be reached");
    await wrong("::", "expected an address");
    await using locked = await startNats(["--user", "one", "--pass", "secret"]);
    await wrong(locked.url, "refuses this user, password or token");
    await wrong(locked.url.replace("//", "//one:wrong@"), "refuses this user, password or token");
    await using open = await openGateway({ nats: locked.url.replace("//", "//one:secret@") });
    const response = await ask(open, "/v1/completions", { prompt: "x" });
    assertEquals([response.status, (await response.json()).error.code], [503, "no_worker"]);
    assertEquals((await open.fetch(new Request("http://localhost/ready"))).status, 503);
  });
});
