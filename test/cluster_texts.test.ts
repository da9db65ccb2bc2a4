/**
 * Vectors and scores through a gateway: the same bits as in one process, in orders that messages can carry, on workers that only read
 * texts and on those that generate; what a worker left undone, another goes on with.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { Embedder } from "../exports/embedding.ts";
import { LightGPT } from "../mod.ts";
import { type ClusterWorker, openGateway, startWorker } from "../exports/cluster.ts";
import { createServer, type Server } from "../exports/server.ts";
import { rowData } from "../src/cluster/crossing.ts";
import { NatsTransport } from "../src/cluster/nats.ts";
import { askSubject, frameSubject } from "../src/cluster/subjects.ts";
import type { Envelope } from "../src/cluster/types.ts";
import { readTexts, textsText } from "../src/server/job_text.ts";
import { LocalTexts, remoteReading } from "../src/server/text_backend.ts";
import type { TextsOrder } from "../src/server/types.ts";
import { describeWholeKit } from "./kit.ts";
import { type NatsServer, noNats, startNats } from "./nats-server.ts";
import { posted, template } from "./small-server.ts";

const ackWaitMs = 300;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describeWholeKit("texts through a gateway", "embed", (directory) => {
  let embedder: Embedder;
  let ranker: Embedder;
  let lm: LightGPT;
  let nats: NatsServer;
  let gateway: Server;
  let local: Server;
  const workers: Record<string, ClusterWorker> = {};
  const skip = noNats;
  before(async () => {
    [embedder, ranker, lm] = await Promise.all([
      Embedder.load(join(directory, "bert_mean.gguf")),
      Embedder.load(join(directory, "bert_rank.gguf")),
      LightGPT.load(undefined, { kvBytesMax: 2 ** 26 }),
    ]);
    if (skip !== false) return;
    nats = await startNats();
    const options = { nats: nats.url, ackWaitMs };
    for (const [name, model] of Object.entries({ vectors: embedder, ranks: ranker, stories: lm })) {
      workers[name] = await startWorker(model, { ...options, name, ...(model === lm ? { template } : {}) });
    }
    gateway = await openGateway(options);
    local = createServer({ models: { vectors: embedder, ranks: ranker, stories: lm }, template });
  });
  after(async () => {
    await gateway?.close(0);
    await local?.close(0);
    for (const worker of Object.values(workers)) await worker.close();
    await nats?.[Symbol.asyncDispose]();
    for (const one of [embedder, ranker, lm]) await one?.dispose();
  });
  const ask = async (server: Server, path: string, body: unknown) => {
    const response = await server.fetch(posted(`http://localhost${path}`, body));
    const text = await response.text();
    return [response.status, text.replace(/"(id|total_duration)":("[^"]*"|\d+)/g, "")];
  };
  const many = Array.from({ length: 300 }, (_, index) => `the cat ${"and the dog ".repeat(index % 7)}${index}`);

  it("are what they are in one process, and so is what is refused", { skip }, async () => {
    const query = "what is the capital of france";
    const cases: [number, string, Record<string, unknown>][] = [
      [200, "/v1/embeddings", { model: "vectors", input: many, encoding_format: "base64" }],
      [200, "/v1/embeddings", { model: "vectors", input: "the cat", dimensions: 8, prompt: "the " }],
      [200, "/v1/embeddings", { model: "vectors", input: [[4, 5, 6], [7, 8]], pooling: "cls", normalize: false }],
      [200, "/v1/embeddings", { model: "stories", input: ["Once", "upon a time"], pooling: "mean" }],
      [200, "/v1/embeddings", { model: "vectors", input: "a cat ".repeat(2000), truncate: true }],
      [200, "/api/embed", { model: "vectors", input: ["the cat", "the dog"] }],
      [200, "/v1/rerank", { model: "ranks", query, documents: [...many, "paris is the capital"], top_n: 5 }],
      [400, "/v1/embeddings", { model: "vectors", input: ["the cat", ""] }],
      [400, "/v1/embeddings", { model: "vectors", input: ["the cat", "a cat ".repeat(2000)] }],
      [400, "/v1/embeddings", { model: "vectors", input: "the cat", dimensions: 5000 }],
      [400, "/v1/embeddings", { model: "vectors", input: [[4, 5_000_000]] }],
      [400, "/v1/embeddings", { model: "stories", input: "Once" }],
      [400, "/v1/rerank", { model: "vectors", query, documents: ["the cat"] }],
      [400, "/v1/completions", { model: "vectors", prompt: "Once" }],
    ];
    for (const [status, path, body] of cases) {
      const [theirs, ours] = await Promise.all([ask(gateway, path, body), ask(local, path, body)]);
      assertEquals(theirs, ours, JSON.stringify(body).slice(0, 200));
      assertEquals(theirs[0], status, `${theirs[1]}`);
    }
  });

  it("end where a reader leaves", { skip }, async () => {
    const controller = new AbortController();
    const request = posted("http://localhost/v1/embeddings", { model: "vectors", input: [...many, ...many, ...many] });
    const asking = gateway.fetch(new Request(request, { signal: controller.signal })).catch(() => {});
    while (workers.vectors.running === 0) await pause(1);
    controller.abort();
    await asking;
    while (workers.vectors.running > 0) await pause(5);
  });

  it("go on at another worker behind what is there", { skip }, async () => {
    const { fingerprint } = workers.ranks;
    await workers.ranks.close();
    const transport = await NatsTransport.open({ url: nats.url, ackWaitMs, name: "test" });
    const entry = { worker: "w", model: "ranks", fingerprint, rows: 1, running: 0, isDraining: false };
    // A beat now and then, so that the gateway knows the model; and its job, which is left lying behind two rows.
    const announcing = setInterval(
      () => void transport.announce(`worker.${fingerprint}.w`, JSON.stringify(entry)),
      500,
    );
    await transport.announce(`worker.${fingerprint}.w`, JSON.stringify(entry));
    const body = { model: "ranks", query: "who is it", documents: many.slice(0, 40) };
    const listed = async () => (await gateway.fetch(new Request("http://localhost/v1/models"))).text();
    while (!(await listed()).includes('"ranks"')) await pause(10);
    const answer = ask(gateway, "/v1/rerank", body);
    const queue = await transport.queue(fingerprint);
    let taken: Envelope | undefined;
    while (taken === undefined) {
      for (const { place } of await queue.counts()) {
        const delivery = await queue.take(place);
        if (delivery !== undefined) taken = JSON.parse(delivery.text) as Envelope;
      }
    }
    const { id: job, gateway: to, job: text } = taken;
    await transport.request(askSubject(to), JSON.stringify({ job, worker: "w", first: true, deliveries: 1 }), 1000);
    const pieces: unknown[] = [];
    const order = readTexts(text);
    for await (const row of new LocalTexts(ranker).read(order, new AbortController().signal)) {
      if (pieces.length < 2) pieces.push(rowData(row));
    }
    transport.publish(frameSubject(to), JSON.stringify([{ job, worker: "w", at: 0, pieces }]));
    clearInterval(announcing);
    const before = order.texts.length;
    assertEquals(before, 40);
    workers.ranks = await startWorker(ranker, { nats: nats.url, ackWaitMs, name: "ranks" });
    assertEquals(await answer, await ask(local, "/v1/rerank", body));
    await transport.close();
  });

  it("go in orders of so many tokens, and the first that fails ends the others", async () => {
    const orders: TextsOrder[] = [];
    let ended = 0;
    const own = new LocalTexts(embedder);
    const backend = {
      async *read(order: TextsOrder, signal: AbortSignal) {
        orders.push(order);
        if (orders.length === 14) throw new Error("no worker");
        signal.addEventListener("abort", () => ended++);
        yield* own.read(readTexts(textsText(order)), signal);
      },
    };
    const parts = { model: embedder.model, context: embedder.context, tokensMost: 60, backend };
    const vectors = await remoteReading(parts).embed(many.slice(0, 20));
    assertEquals(vectors.data, (await embedder.embed(many.slice(0, 20))).data);
    const sizes = orders.map(({ texts }) => texts.reduce((sum, { tokens }) => sum + tokens.length, 0));
    assert(orders.length > 5 && orders.length < 13 && sizes.every((size) => size <= 60), `${sizes}`);
    orders.length = 12;
    await assertRejects(() => remoteReading(parts).embed(many), Error, "no worker");
    assert(ended > 0);
    // What another library could ask for, which this one cannot do.
    const wrong = (change: object, texts = [{ tokens: [4, 5], secondType: 0 }]) => {
      const result = {
        pooling: "mean",
        ranks: false,
        levels: false,
        dimensions: 0,
        normalises: true,
        ...change,
      } as const;
      return assertRejects(() => Array.fromAsync(own.read({ texts, result }, new AbortController().signal)));
    };
    await wrong({ ranks: true });
    await wrong({ dimensions: 1 << 20 });
    await wrong({ pooling: "rows" });
    await wrong({}, [{ tokens: [5_000_000], secondType: 0 }]);
    await wrong({}, [{ tokens: [4], secondType: 2 }]);
    await wrong({}, [{ tokens: [], secondType: 0 }]);
  });
});
