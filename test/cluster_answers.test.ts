/**
 * Responses at several gateways: one that was begun at a gateway is told, followed, cancelled and forgotten at any other, and goes on
 * there, in the same words with the same numbers, when its own gateway is killed.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { LightGPT } from "../mod.ts";
import { openGateway } from "../exports/cluster.ts";
import { createServer, type Server } from "../exports/server.ts";
import { runBatchFiles } from "../src/server/batches/file_lines.ts";
import { NatsTransport } from "../src/cluster/nats.ts";
import { workerOver } from "../src/cluster/open.ts";
import { type Command, type NatsServer, noNats, startCommand, startNats } from "./nats-server.ts";
import { SlowTransport } from "./cluster-transports.ts";
import { eventsOf, posted, template } from "./small-server.ts";

const ackWaitMs = 500;

/** The chaos of `cluster_chaos.test.ts` runs on Bun's turn, this on Deno's. */
const elsewhere = !("Deno" in globalThis) && "runs on Deno's turn";

/** Asks a server, in this process or elsewhere. */
type Ask = (
  path: string,
  init?: { readonly method?: string; readonly body?: unknown; readonly form?: FormData },
) => Promise<Response>;

function asking(server: Server | string): Ask {
  return (path, { method = "GET", body, form } = {}) => {
    const url = `${typeof server === "string" ? server : "http://localhost"}${path}`;
    const request = body === undefined
      ? new Request(url, { method, ...(form ? { body: form } : {}) })
      : posted(url, body);
    return typeof server === "string" ? fetch(request) : server.fetch(request);
  };
}

/** The events of a body until there are `most`; then it is left. */
async function someEvents({ body }: Response, most: number): Promise<string[]> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.split("\n\n").length > most) break;
  }
  return text.split("\n\n").slice(0, most).flatMap((event) => /^data: (.*)$/m.exec(event)?.[1] ?? []);
}

describe("responses at several gateways", { skip: noNats }, () => {
  let lm: LightGPT;
  let nats: NatsServer;
  let first: Command;
  let killed: Ask;
  let other: Server;
  let worker: Awaited<ReturnType<typeof workerOver>>;
  const body = {
    model: "stories",
    input: "Once upon a time",
    temperature: 0.9,
    max_output_tokens: 90,
    include: ["message.output_text.logprobs"],
    top_logprobs: 2,
    constraint: { regex: "[A-Za-z ,.\\n]{3000,}" },
    background: true,
  };
  before(async () => {
    [nats, lm] = await Promise.all([startNats(), LightGPT.load(undefined, { kvBytesMax: 2 ** 26 })]);
    const transport = await NatsTransport.open({ url: nats.url, ackWaitMs, name: "slow worker" });
    worker = await workerOver(new SlowTransport(transport, 8), lm, { name: "stories", template, rows: 8 });
    first = await startCommand(["gateway", "--nats", nats.url, "--ack-wait", `${ackWaitMs}`, "--port", "0", "--quiet"]);
    killed = asking(/http:\/\/[\d.:]+/.exec(first.told())?.[0] ?? "");
    other = await openGateway({ nats: nats.url, ackWaitMs });
  });
  after(async () => {
    await other?.close(0);
    await worker?.close();
    await first?.[Symbol.asyncDispose]();
    await nats?.[Symbol.asyncDispose]();
    await lm?.dispose();
  });
  const there = (path: string, init?: Parameters<Ask>[1]) => asking(other)(path, init);
  const status = async (id: string) => (await (await there(`/v1/responses/${id}`)).json()).status as string;

  it("are followed at another, whole at both", async () => {
    const { id } = await (await killed("/v1/responses", { body })).json();
    const events = killed(`/v1/responses/${id}?stream=true`).then(eventsOf);
    assertEquals(await status(id), "in_progress");
    const [ours, theirs] = await Promise.all([
      there(`/v1/responses/${id}?stream=true`).then(eventsOf),
      events,
    ]);
    assertEquals(ours, theirs);
    assert(ours.length > 70);
    assertEquals(await status(id), "incomplete");
    const next = await there("/v1/responses", {
      body: { ...body, previous_response_id: id, background: false, max_output_tokens: 3 },
    });
    assertEquals((await next.json()).status, "incomplete");
  });

  it("that are kept without being in the background are found at another, and forgotten at both", async () => {
    const ask = { ...body, background: false, max_output_tokens: 4 };
    const kept = await (await killed("/v1/responses", { body: ask })).json();
    assertEquals(await (await there(`/v1/responses/${kept.id}`)).json(), kept);
    assertEquals((await (await there(`/v1/responses/${kept.id}`, { method: "DELETE" })).json()).deleted, true);
    const left = async () => (await (await killed(`/v1/responses/${kept.id}`)).text()).includes('"output"');
    while (await left()) await new Promise((resolve) => setTimeout(resolve, 10));
    assertEquals((await there(`/v1/responses/${kept.id}`)).status, 404);
    assertEquals((await there("/v1/responses/resp_x")).status, 404);
  });

  it("are cancelled at another", async () => {
    const begun = await killed("/v1/responses", { body });
    const { id } = await begun.json();
    const cancelled = await there(`/v1/responses/${id}/cancel`, { method: "POST" });
    assertEquals((await cancelled.json()).status, "cancelled");
    const told = async () => (await (await killed(`/v1/responses/${id}`)).json()).status;
    while (await told() !== "cancelled") await new Promise((resolve) => setTimeout(resolve, 10));
    while (worker.running > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  });

  it("go on at another when theirs is killed, asked for or not, and so do batches", { skip: elsewhere }, async () => {
    // More lines than a worker has rows and a gateway works at once: jobs of the dead one are in the way.
    const count = 40;
    const lines = Array.from({ length: count }, (_, index) => {
      const body = { model: "stories", prompt: `Line ${index}`, max_tokens: 24, temperature: 0.9 };
      return JSON.stringify({ custom_id: `${index}`, method: "POST", url: "/v1/completions", body });
    });
    const text = lines.join("\n");
    const form = new FormData();
    form.set("purpose", "batch");
    form.set("file", new File([text], "in.jsonl"));
    const file = await (await killed("/v1/files", { method: "POST", form })).json();
    const ask = { input_file_id: file.id, endpoint: "/v1/completions", completion_window: "24h" };
    const batch = await (await killed("/v1/batches", { body: ask })).json();
    const told = async () => await (await there(`/v1/batches/${batch.id}`)).json();
    assertEquals((await told()).status, "in_progress");
    const begin = async (seed: number) => {
      const { id } = await (await killed("/v1/responses", { body: { ...body, seed } })).json();
      return { id, events: await someEvents(await killed(`/v1/responses/${id}?stream=true`), 40) };
    };
    const [asked, alone] = await Promise.all([begin(1), begin(2)]);
    const { id, events } = asked;
    await first.end("SIGKILL");
    // A fast machine may have ended it already.
    assert(["in_progress", "completed"].includes((await told()).status));
    const rest = await eventsOf(await there(`/v1/responses/${id}?stream=true&starting_after=${events.length - 1}`));
    const whole = await eventsOf(await there(`/v1/responses/${id}?stream=true`));
    assertEquals([...events, ...rest], whole);
    assertEquals(whole.map((event) => JSON.parse(event).sequence_number), whole.map((_, index) => index));
    // The same as in one process that nothing happens to.
    const again = { ...body, background: false, stream: true, seed: 1 };
    const unbroken = await eventsOf(await there("/v1/responses", { body: again }));
    const deltas = (list: readonly string[]) =>
      list.map((event) => JSON.parse(event)).filter(({ type }) => type === "response.output_text.delta").map((
        { delta, logprobs },
      ) => ({ delta, logprobs }));
    assertEquals(deltas(whole), deltas(unbroken));
    while (await status(alone.id) === "in_progress") await new Promise((resolve) => setTimeout(resolve, 50));
    assertEquals(await status(alone.id), "incomplete");
    const replayed = await eventsOf(await there(`/v1/responses/${alone.id}?stream=true`));
    assertEquals(replayed.slice(0, alone.events.length), alone.events);
    while ((await told()).status === "in_progress") await new Promise((resolve) => setTimeout(resolve, 50));
    assertEquals((await told()).request_counts, { total: count, completed: count, failed: 0 });
    const results = await (await there(`/v1/files/${batch.output_file_id}/content`)).text();
    // The same bytes as in one process.
    await using server = createServer({ models: { stories: lm } });
    const folder = mkdtempSync(join(tmpdir(), "lightgpt-cluster-"));
    const [input, output] = [join(folder, "in"), join(folder, "out")];
    writeFileSync(input, text);
    await runBatchFiles({ fetch: server.fetch, input, output, atOnce: 8 });
    assertEquals(results, readFileSync(output, "utf8"));
    rmSync(folder, { recursive: true });
  });
});
