/**
 * What the server costs beside the model in process, on Deno or Bun. Clients run in a process of their own, on plain sockets:
 *
 *     bun bench/http.ts throughput [MODEL [STREAMS]]   tokens/s and processor time a token, over HTTP and in process
 *     bun bench/http.ts first [MODEL]                  how much later the first byte comes than the first token in process
 *     bun bench/http.ts many [MODEL]                   500 streams at once: how late the event loop is, and who waits longest
 *     bun bench/http.ts slow [MODEL]                   what one reader that reads nothing costs fifteen that do
 *     bun bench/http.ts soak [MODEL [MINUTES [N]]]     whether memory and descriptors grow while N clients come and go
 *
 * Without MODEL it is the embedded one. Deno's `soak` needs `--v8-flags=--expose-gc`: it looks at what is left behind collections.
 *
 * @module
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { connect, type Socket } from "node:net";
import process from "node:process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { createServer, listen } from "../exports/server.ts";
import { LightGPT } from "../mod.ts";
import { median } from "../src/engine/median.ts";

/** What clients are to do. */
interface Work {
  readonly port: number;
  readonly streams: number;
  readonly tokens: number;
  /** Ends no text before it should. */
  readonly bias: Readonly<Record<string, number>>;
  /** How many streams there are at once; all, where it is not said. */
  readonly atOnce?: number;
  /** One stream of so many is left half-way. */
  readonly leaves?: number;
  /** The first stream is asked for and never read: what is seen is of the others. */
  readonly stalls?: boolean;
}

/** What clients saw. */
interface Seen {
  readonly ms: number;
  /** Of each stream: from its request to its first event, and to its end. */
  readonly first: readonly number[];
  readonly whole: readonly number[];
  readonly events: number;
  /** When each first event was there, by the clock on the wall. */
  readonly at: readonly number[];
  /** Processor time of the clients. */
  readonly cpu: number;
}

/** What a client saw of one stream. */
type SeenOne = Record<"first" | "whole" | "events" | "at", number>;

const wallMs = () => performance.timeOrigin + performance.now();

function percentile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.ceil(share * values.length) - 1];
}

function report(what: string, figure: string, goal: string): void {
  console.log(`${what.padEnd(62)} ${figure.padStart(28)}   goal ${goal}`);
}

const bodyOf = ({ tokens, bias }: Work, index: number) => ({
  prompt: `Once upon a time ${index}`,
  max_tokens: tokens,
  seed: index,
  stream: true,
  logit_bias: bias,
});

/** Sockets that are not read, until the work is over. */
const stalled: Socket[] = [];

/** One stream over a socket of its own. */
function stream(work: Work, index: number): Promise<SeenOne> {
  const { promise, resolve, reject } = Promise.withResolvers<SeenOne>();
  const body = JSON.stringify(bodyOf(work, index));
  const begin = performance.now();
  let [first, events, at, rest] = [0, 0, 0, ""];
  const socket = connect(work.port, "127.0.0.1", () => {
    const head = ["POST /v1/completions HTTP/1.1", "host: 127.0.0.1", "content-type: application/json"];
    socket.write([...head, `content-length: ${body.length}`, "", body].join("\r\n"));
  });
  socket.setNoDelay(true);
  socket.on("error", reject);
  if (work.stalls && index === 0) {
    stalled.push(socket);
    return Promise.resolve({ first: NaN, whole: NaN, events: 0, at: NaN });
  }
  const isLeft = work.leaves !== undefined && index % work.leaves === 0;
  socket.setEncoding("latin1").on("data", (text: string) => {
    for (let found = text.indexOf("data: {"); found >= 0; found = text.indexOf("data: {", found + 1)) events++;
    if (first === 0 && events > 0) [first, at] = [performance.now() - begin, wallMs()];
    rest = (rest + text).slice(-40);
    if (!rest.includes("data: [DONE]") && !(isLeft && events > work.tokens / 2)) return;
    socket.destroy();
    resolve({ first, whole: performance.now() - begin, events, at });
  });
  socket.on("close", () => reject(new Error(`a stream ended early, after ${events} events: ${rest}`)));
  return promise;
}

/** Runs streams, so many at once as the work says. */
async function runAll({ streams, atOnce = streams }: Work, one: (index: number) => Promise<SeenOne>): Promise<Seen> {
  const before = process.cpuUsage();
  const begin = performance.now();
  const all: SeenOne[] = [];
  let next = 0;
  await Promise.all(Array.from({ length: atOnce }, async () => {
    while (next < streams) {
      const index = next++;
      all[index] = await one(index);
    }
  }));
  const ms = performance.now() - begin;
  const { user, system } = process.cpuUsage(before);
  const of = (name: keyof SeenOne) => all.map((seen) => seen[name]);
  const events = of("events").reduce((sum, count) => sum + count, 0);
  return { ms, first: of("first"), whole: of("whole"), at: of("at"), events, cpu: (user + system) / 1000 };
}

/** The process of the clients, and what waits for what they saw. It stays, as clients do: a fresh one compiles as it measures. */
let others:
  | { readonly child: ChildProcessByStdio<Writable, Readable, null>; readonly seen: AsyncIterator<string> }
  | undefined;

function startClients(): NonNullable<typeof others> {
  const start = "Deno" in globalThis ? ["run", "-A", "--no-check", "--quiet"] : [];
  const child = spawn(process.execPath, [...start, fileURLToPath(import.meta.url), "clients"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  return { child, seen: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
}

/** The same in another process. */
async function clients(work: Work): Promise<Seen> {
  others ??= startClients();
  others.child.stdin.write(`${JSON.stringify(work)}\n`);
  const { done, value } = await others.seen.next();
  if (done) throw new Error("clients: they have ended");
  return JSON.parse(value);
}

/** Streams in process, as the server's clients ask. */
async function inProcess(lm: LightGPT, work: Work): Promise<Seen> {
  const { bias } = work;
  return await runAll(work, async (index) => {
    const asked = performance.now();
    let [first, events, at] = [0, 0, 0];
    const { prompt, max_tokens: maxTokens, seed } = bodyOf(work, index);
    for await (const _ of lm.batcher.submit({ prompt, maxTokens, sampling: { seed, bias } })) {
      if (events++ === 0) [first, at] = [performance.now() - asked, wallMs()];
    }
    return { first, whole: performance.now() - asked, events, at };
  });
}

/** A model, a server on a socket, and what ends no text early. */
async function open(path: string | undefined, options: object = {}) {
  const lm = await LightGPT.load(path, { cache: false, ...options });
  const server = createServer({ models: { model: lm }, log: ({ error }) => void (error && console.error(error)) });
  const listening = await listen(server, { port: 0 });
  const bias = Object.fromEntries([...lm.model.tokenizer.endOfGeneration].map((token) => [token, -100]));
  const work: Work = { port: listening.port, streams: 0, tokens: 0, bias };
  return {
    lm,
    work,
    async [Symbol.asyncDispose]() {
      others?.child.stdin.end();
      await server.close(0);
      await listening.close();
      await lm.dispose();
    },
  };
}

async function throughput(path: string | undefined, streams: number): Promise<void> {
  await using opened = await open(path);
  const { lm } = opened;
  const isSmall = lm.model.residentBytes < 50e6;
  const work = { ...opened.work, streams, tokens: isSmall ? 400 : 60 };
  const tokens = work.streams * work.tokens;
  const [inside, http, cpu, theirs]: number[][] = [[], [], [], []];
  // A request costs a server that has just started several times what it costs one that has been asked for a while.
  const warm = { ...work, streams: isSmall ? 400 : 32, atOnce: 16, tokens: 4 };
  for (const some of [warm, work]) {
    await inProcess(lm, some);
    await clients(some);
  }
  for (let round = 0; round < (isSmall ? 11 : 4); round++) {
    const alone = await inProcess(lm, work);
    const before = process.cpuUsage();
    const served = await clients(work);
    const { user, system } = process.cpuUsage(before);
    inside.push(1000 * tokens / alone.ms);
    http.push(1000 * tokens / served.ms);
    cpu.push((user + system - 1000 * alone.cpu) / tokens);
    theirs.push(1000 * served.cpu / tokens);
  }
  const ratio = median(http.map((rate, round) => rate / inside[round]));
  report(`${streams} streams in process`, `${median(inside).toFixed(0)} tokens/s`, "-");
  report(`${streams} streams over HTTP`, `${median(http).toFixed(0)} tokens/s`, "-");
  report("over HTTP of in process, median of the rounds", ratio.toFixed(3), ">= 0.90");
  report("processor time more than in process, a token", `${median(cpu).toFixed(1)} us`, "-");
  report("processor time of the clients, a token", `${median(theirs).toFixed(1)} us`, "-");
}

async function first(path: string | undefined): Promise<void> {
  await using opened = await open(path);
  const { lm } = opened;
  const one = { ...opened.work, streams: 100, atOnce: 1, tokens: 1 };
  const [alone, served]: number[][] = [[], []];
  for (let round = 0; round < 8; round++) {
    const [inside, http] = [await inProcess(lm, one), await clients(one)];
    if (round < 2) continue; // both are warm now
    alone.push(...inside.first);
    served.push(...http.first.slice(10));
  }
  const added = (share: number) => `${(percentile(served, share) - percentile(alone, share)).toFixed(2)} ms`;
  report("one token, later than in process", added(0.5), "<= 1 ms p50");
  report("the same of the slowest hundredth", added(0.99), "<= 3 ms p99");
  // When each first token is there, beside fifteen other streams.
  const chosen: number[] = [];
  const submit = lm.batcher.submit.bind(lm.batcher);
  lm.batcher.submit = (request) => {
    const pieces = submit(request);
    const next = pieces.next.bind(pieces);
    const index = Number(request.sampling?.seed);
    pieces.next = () => {
      const piece = next();
      if (chosen[index] === undefined) void piece.then(() => chosen[index] ??= wallMs());
      return piece;
    };
    return pieces;
  };
  const { at } = await clients({ ...opened.work, streams: 160, atOnce: 16, tokens: 100 });
  const late = at.map((ms, index) => ms - chosen[index]).slice(16);
  report("from the first token to its event, 16 streams at once", `${median(late).toFixed(2)} ms`, "<= 2 ms p50");
}

async function many(path: string | undefined): Promise<void> {
  // Room for all of them: with less, one after the other has its turn, and the last one comes at twice the median's time.
  await using opened = await open(path, { queueMax: 1000, kvBytesMax: 2 ** 28 });
  const work = { ...opened.work, streams: 500, tokens: 200 };
  await clients({ ...work, streams: 16 });
  const late: number[] = [];
  let at = performance.now();
  const tick = setInterval(() => {
    const now = performance.now();
    late.push(Math.max(0, now - at - 5));
    at = now;
  }, 5);
  const { whole, ms } = await clients(work);
  clearInterval(tick);
  const sorted = whole.toSorted((a, b) => a - b);
  const p99 = percentile(late, 0.99);
  report("500 streams at once, all complete", `${(ms / 1000).toFixed(1)} s`, "all");
  report("the slowest of the median", (sorted[sorted.length - 1] / median(whole)).toFixed(2), "<= 1.5");
  report("delay of the event loop, p99", `${p99.toFixed(1)} ms`, "<= 50 ms");
}

async function slow(path: string | undefined): Promise<void> {
  await using opened = await open(path);
  const work = { ...opened.work, streams: 16, tokens: 400 };
  const losses: number[] = [];
  for (let round = 0; round < 12; round++) {
    const all = await clients(work);
    const rest = await clients({ ...work, stalls: true });
    const typical = ({ whole }: Seen) => median(whole.slice(1));
    if (round > 1) losses.push(100 * (typical(rest) / typical(all) - 1));
  }
  report("what fifteen readers lose beside one that reads nothing", `${median(losses).toFixed(1)} %`, "<= 3 %");
}

/** Collects all that nothing refers to: what is left is kept. */
function collect(): void {
  const { Bun, gc = Bun?.gc } = globalThis as { Bun?: { gc(isSync: boolean): void }; gc?: (isSync: boolean) => void };
  if (!gc) throw new Error("soak: expected --v8-flags=--expose-gc");
  for (let times = 0; times < 3; times++) gc(true);
}

/** How much a figure grows in an hour: the slope of the line through all of its points. */
function perHour(points: readonly (readonly [minute: number, value: number])[]): number {
  const mean = (of: (point: readonly [number, number]) => number) =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const [middle, level] = [mean(([minute]) => minute), mean(([, value]) => value)];
  const spread = mean(([minute]) => (minute - middle) ** 2);
  return 60 * mean(([minute, value]) => (minute - middle) * (value - level)) / spread;
}

async function soak(path: string | undefined, minutes: number, atOnce: number): Promise<void> {
  await using opened = await open(path);
  const { lm, work } = opened;
  const samples: { readonly minute: number; readonly mib: number; readonly files: number }[] = [];
  const heap: [minute: number, mib: number][] = [];
  const begin = performance.now();
  const minute = () => (performance.now() - begin) / 60_000;
  const timer = setInterval(() => {
    const files = readdirSync("/proc/self/fd").length;
    samples.push({ minute: minute(), mib: process.memoryUsage.rss() / 2 ** 20, files });
  }, 5000);
  let streams = 0;
  while (minute() < minutes) {
    await clients({ ...work, streams: 400, atOnce, tokens: 60, leaves: 10 });
    streams += 400;
    // Now and then only: a collector that is called all the time is not the one that servers have.
    if (minute() < heap.length * 5) continue;
    collect();
    heap.push([minute(), process.memoryUsage().heapUsed / 2 ** 20]);
    console.log(`minute ${minute().toFixed(0)}: ${streams} streams, heap ${heap.at(-1)?.[1].toFixed(2)} MiB`);
  }
  clearInterval(timer);
  while (lm.batcher.stats().running > 0) await new Promise((done) => setTimeout(done, 10));
  // The least of each minute: what is above it waits for the garbage collector.
  const byMinute = Map.groupBy(samples, ({ minute }) => Math.floor(minute)).values();
  const least = Array.from(byMinute, (some) => some.reduce((low, one) => one.mib < low.mib ? one : low));
  console.log(`MiB, the least of each minute: ${least.map(({ mib }) => mib.toFixed(0)).join(" ")}`);
  const settled = <T>(all: readonly T[], at: (one: T) => number) => all.filter((one) => at(one) > minutes / 3);
  const resident = settled(least, (one) => one.minute).map(({ minute, mib }) => [minute, mib] as const);
  const files = settled(samples, (one) => one.minute).map((one) => one.files);
  report(
    `${streams} streams in ${minutes} minutes, one of ten left half-way`,
    `${lm.batcher.stats().pages.held} pages held`,
    "0",
  );
  const mib = (slope: number) => `${slope.toFixed(2)} MiB an hour`;
  report("slope of the heap behind collections, after a third", mib(perHour(settled(heap, ([at]) => at))), "<= 1");
  report("slope of the resident memory, after a third", mib(perHour(resident)), "<= 1");
  report("open files", `${Math.min(...files)} to ${Math.max(...files)}`, "constant");
}

const [name = "", path, count = "16"] = process.argv.slice(2);
if (name === "clients") {
  for await (const line of createInterface({ input: process.stdin })) {
    const work: Work = JSON.parse(line);
    console.log(JSON.stringify(await runAll(work, (index) => stream(work, index))));
    for (const socket of stalled.splice(0)) socket.destroy();
  }
} else if (name === "throughput") await throughput(path || undefined, Number(count));
else if (name === "first") await first(path || undefined);
else if (name === "many") await many(path || undefined);
else if (name === "slow") await slow(path || undefined);
else if (name === "soak") {
  const [minutes = "60", atOnce = "12"] = process.argv.slice(4);
  await soak(path || undefined, Number(minutes), Number(atOnce));
} else {
  console.error(`http: expected throughput, first, many, slow or soak, got "${name}"`);
  process.exitCode = 2;
}
