/**
 * A cluster of processes whose parts are killed, paused and lost under streams that are sampled, penalized, constrained and tell their
 * log probabilities: every reader gets the bits of the unbroken run. The night run of `npm run reliability` does more of it.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { native } from "../ffi/native.ts";
import { LightGPT } from "../mod.ts";
import { openGateway } from "../exports/cluster.ts";
import { createServer, type Server } from "../exports/server.ts";
import { NatsTransport } from "../src/cluster/nats.ts";
import { gatewayOver } from "../src/cluster/open.ts";
import { DeadlyTransport } from "./cluster-transports.ts";
import { type Command, type NatsServer, noNats, runtimes, startCommand, startNats, surely } from "./nats-server.ts";
import { runBatchFiles } from "../src/server/batches/file_lines.ts";
import { mix } from "./cluster-simulation.ts";
import { isNight, isWholeNight, note, often } from "./counts.ts";
import { repository } from "./kit.ts";
import { posted } from "./small-server.ts";

const ackWaitMs = 600;
const hourMs = 3_600_000;
/** The processes take a while to start: they are started on one runtime's turn, and are of both. */
const elsewhere = "Deno" in globalThis && "runs on Bun's turn, with workers on both";
const streams = often(18, 100);
/** Two workers have room for all streams: else those of a third would wait for others to end. */
const rows = streams / 2 + 2;
/** Seconds of faults of all kinds: some in the gate, and as many as are asked for (LIGHTGPT_CHAOS_S=60), ten minutes at night. */
const chaosS = Number(process.env.LIGHTGPT_CHAOS_S ?? often(6, 600));

/** What a stream asks for. */
function bodyOf(index: number): Record<string, unknown> {
  const schema = { type: "object", properties: { story: { type: "string", minLength: 60 } }, required: ["story"] };
  return {
    model: "stories",
    prompt: `Story ${index}: once upon a time`,
    stream: true,
    seed: index,
    temperature: 0.9,
    frequency_penalty: 0.3,
    logprobs: 2,
    max_tokens: 110,
    ...(index % 3 === 0 ? { constraint: { schema } } : {}),
  };
}

/**
 * Reads a stream, a little slower than it comes; gives its choices and the longest silence. Calls `came` with each part. Where no worker
 * is there for a moment, it asks again, as clients do.
 */
async function read(
  server: Server,
  body: unknown,
  delayMs: number,
  came: () => void = () => {},
): Promise<{ told: unknown[]; pauseMs: number }> {
  let response = await server.fetch(posted("http://localhost/v1/completions", body));
  while (response.status === 503) {
    await response.body?.cancel();
    await new Promise((resolve) => setTimeout(resolve, 100));
    response = await server.fetch(posted("http://localhost/v1/completions", body));
  }
  assertEquals(response.status, 200);
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const decoder = new TextDecoder();
  let [text, pauseMs, last] = ["", 0, Infinity];
  for (;;) {
    const { done, value } = await reader.read();
    const now = performance.now();
    pauseMs = Math.max(pauseMs, now - last);
    if (done) break;
    text += decoder.decode(value, { stream: true });
    came();
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
    last = performance.now();
  }
  assert(text.endsWith("data: [DONE]\n\n"), text.slice(-200));
  const events = text.split("\n\n").flatMap((event) => /^data: (\{.*)$/m.exec(event)?.[1] ?? []);
  return { told: events.map((event) => JSON.parse(event).choices), pauseMs };
}

describe("a cluster", { skip: noNats || elsewhere }, () => {
  let lm: LightGPT;
  let nats: NatsServer;
  let gateway: Server;
  let unbroken: unknown[][];
  const workers: Command[] = [];
  const startWorker = async (index: number) => {
    const words = ["worker", "--nats", nats.url, "--name", "stories", "--ack-wait", `${ackWaitMs}`];
    // Other runtimes, processors and clocks give the same bits, too.
    const runtime = [...runtimes[index % runtimes.length], "--preload", join(repository, "test/skewed-clock.ts")];
    const skewMs = [0, hourMs, -hourMs][index];
    const { levels } = native().processor;
    const level = levels[Math.max(0, levels.length - 1 - index)];
    const env = { LIGHTGPT_CPU: level, LIGHTGPT_TEST_SKEW_MS: `${skewMs}` };
    const all = [...words, "--rows", `${rows}`, "--threads", "1"];
    const worker = await surely(() => startCommand(all, { runtime, env }));
    const [, said] = /the clock says (\S+)/.exec(worker.told()) ?? [];
    // A start may take long; an hour is what is looked for.
    assert(Math.abs(Date.parse(said) - Date.now() - skewMs) < hourMs / 2, worker.told());
    return worker;
  };
  before(async () => {
    [nats, lm] = await Promise.all([startNats(), LightGPT.load(undefined, { kvBytesMax: 2 ** 26 })]);
    workers.push(...await Promise.all([0, 1, 2].map(startWorker)));
    gateway = await surely(() => openGateway({ nats: nats.url, ackWaitMs }));
    await using server = createServer({ models: { stories: lm } });
    const all = await Promise.all(Array.from({ length: streams }, (_, index) => read(server, bodyOf(index), 0)));
    unbroken = all.map(({ told }) => told);
  });
  after(async () => {
    await gateway?.close(0);
    await Promise.all(workers.map((worker) => worker[Symbol.asyncDispose]()));
    await nats?.[Symbol.asyncDispose]();
    await lm?.dispose();
  });

  /**
   * Does something to the cluster while all streams are read; gives the longest silence. `act` may wait until all streams go on: three
   * workers that are killed before one token of a job has come are a reason to give the job up.
   */
  async function underStreams(act: (goingOn: () => Promise<void>) => Promise<void>): Promise<number> {
    // On a busy machine workers are silent for a while, and the gateway knows of none then.
    for (let known = false; !known; await new Promise((resolve) => setTimeout(resolve, 20))) {
      known = (await (await gateway.fetch(new Request("http://localhost/v1/models"))).text()).includes('"stories"');
    }
    const parts = Array.from({ length: streams }, () => 0);
    const readOne = async (index: number) => {
      try {
        return await read(gateway, bodyOf(index), 8, () => parts[index]++);
      } finally {
        parts[index] = Infinity;
      }
    };
    const reading = Promise.all(parts.map((_, index) => readOne(index)));
    reading.catch(() => {}); // awaited below
    const goingOn = async () => {
      const before = [...parts];
      while (parts.some((count, index) => count < Infinity && count <= before[index])) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    };
    await new Promise((resolve) => setTimeout(resolve, 500));
    await act(goingOn);
    const all = await reading;
    for (const [index, { told }] of all.entries()) assertEquals(told, unbroken[index], `stream ${index}`);
    note(40, "streams under a fault", streams);
    return Math.max(...all.map(({ pauseMs }) => pauseMs));
  }

  it("gives the same bits when a worker is killed", async () => {
    const pauseMs = await underStreams(async () => void await workers[0].end("SIGKILL"));
    // Beside other tests the machine is busy, and any pause is possible: how long it is, a night without them shows.
    console.log(`${streams} streams, one of three workers killed: the longest pause is ${Math.round(pauseMs)} ms`);
    if (isWholeNight) assert(pauseMs <= ackWaitMs + 500, `${pauseMs} ms`);
    workers[0] = await startWorker(0);
  });

  it("gives nothing twice when a paused worker wakes", async () => {
    await underStreams(async () => {
      workers[1].child.kill("SIGSTOP");
      await new Promise((resolve) => setTimeout(resolve, 3 * ackWaitMs));
      workers[1].child.kill("SIGCONT");
    });
  });

  it("goes on at once when a worker is told to end", async () => {
    await underStreams(async () => assertEquals(await workers[2].end("SIGTERM"), 0));
    workers[2] = await startWorker(2);
  });

  it("writes each line of a batch once when a worker is killed", async () => {
    const folder = mkdtempSync(join(tmpdir(), "lightgpt-cluster-"));
    const at = (name: string) => join(folder, name);
    const count = often(100, 10_000);
    const max_tokens = often(24, 8); // at night the lines are many, and short
    const lines = Array.from({ length: count }, (_, index) => {
      const body = { model: "stories", prompt: `Line ${index}: once`, max_tokens, temperature: 0.9 };
      return JSON.stringify({ custom_id: `${index}`, method: "POST", url: "/v1/completions", body });
    });
    writeFileSync(at("in"), lines.join("\n"));
    let killed: Promise<void> | undefined;
    let kills = 0;
    const kill = async () => {
      const index = kills++ % workers.length;
      await workers[index].end("SIGKILL");
      workers[index] = await startWorker(index);
      // At night the next one after twenty seconds.
      if (!isNight) return;
      await new Promise((resolve) => setTimeout(resolve, 20_000));
      killed = undefined;
    };
    const onProgress = (done: number) => {
      if (done <= 20 || killed !== undefined) return;
      killed = kill();
      killed.catch(() => {}); // awaited below
    };
    await runBatchFiles({ fetch: gateway.fetch, input: at("in"), output: at("out"), atOnce: 32, onProgress });
    await killed;
    note(40, "workers killed under a batch", kills);
    await using server = createServer({ models: { stories: lm } });
    await runBatchFiles({ fetch: server.fetch, input: at("in"), output: at("same"), atOnce: 32 });
    const text = readFileSync(at("out"), "utf8");
    assertEquals(
      text.trimEnd().split("\n").map((line) => JSON.parse(line).custom_id),
      lines.map((_, index) => `${index}`),
    );
    assert(text === readFileSync(at("same"), "utf8"), "the same bytes as in one process");
    rmSync(folder, { recursive: true });
  });

  it("loses no job when NATS is killed and comes back", async () => {
    await underStreams(async () => {
      await nats.kill();
      await new Promise((resolve) => setTimeout(resolve, isNight ? 5000 : 1500));
      await nats.start();
    });
    await underStreams(() => Promise.resolve());
  });

  it("gives a job up that ends three workers, and keeps it", { skip: !isNight && "runs at night" }, async () => {
    let deaths = 0;
    // All are killed when one has begun, before it hears what to begin with.
    const die = async () => {
      deaths++;
      await Promise.all(workers.map((worker) => worker.end("SIGKILL")));
      workers.splice(0, 3, ...await Promise.all([0, 1, 2].map(startWorker)));
    };
    const inner = await surely(() => NatsTransport.open({ url: nats.url, ackWaitMs, name: "test" }));
    const { promise: buried, resolve: bury } = Promise.withResolvers<string>();
    inner.subscribe("lg.dead.>", bury);
    await using server = await gatewayOver(new DeadlyTransport(inner, die), {});
    const body = { model: "stories", prompt: "once", max_tokens: 3 };
    const response = await server.fetch(posted("http://localhost/v1/completions", body));
    assert((await response.json()).error.message.includes("3 workers have begun the job"));
    assert((await buried).includes('"gateway"'));
    // A worker that asks again before it dies counts once.
    assert(deaths >= 4, `${deaths} deaths`);
  });

  it("holds under one fault after the other", async () => {
    const end = performance.now() + 1000 * chaosS;
    let faults = 0;
    for (let round = 0; round === 0 || performance.now() < end; round++) {
      await underStreams(async (goingOn) => {
        for (let fault = 0; fault < (isNight ? 3 : 2); fault++, faults++) {
          await goingOn();
          await doHarm(mix(round, fault));
        }
      });
    }
    note(40, "faults of a cluster under streams", faults);
  });

  /** One of all faults, to one of all parts. */
  async function doHarm(seed: number): Promise<void> {
    const index = seed % workers.length;
    const spanMs = (mix(seed, 1) % 40) * ackWaitMs / 10;
    const kind = mix(seed, 2) % 5;
    if (kind === 0) {
      await nats.kill();
      await new Promise((resolve) => setTimeout(resolve, spanMs));
      return await nats.start();
    }
    if (kind <= 2) {
      await workers[index].end(kind === 1 ? "SIGKILL" : "SIGTERM");
      workers[index] = await startWorker(index);
      return;
    }
    // One worker is cut off from all, or all from all.
    const process = kind === 3 ? workers[index].child : nats.child();
    process.kill("SIGSTOP");
    await new Promise((resolve) => setTimeout(resolve, spanMs));
    process.kill("SIGCONT");
  }
});
