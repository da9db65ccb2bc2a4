/**
 * What the prefix cache and the batcher cost and gain, on Deno or Bun. Without a name, all that need no large model:
 *
 *     bun bench/batching.ts [lookup|trace|step|soak]
 *     bun bench/batching.ts together|prefix|files MODEL        (MODEL: bench/tinyllama.ts makes one)
 *
 * @module
 */
import { median } from "../src/engine/median.ts";
import process from "node:process";
import { Batcher, LightGPT, Model, TokenCache } from "../mod.ts";
import { KvStore } from "../src/batching/kv_store.ts";
import { Scheduler } from "../src/batching/scheduler.ts";
import type { EvictionPolicy } from "../src/cache/evict.ts";
import type { StepRunner } from "../src/engine/step.ts";
import { StepTimes } from "../src/engine/step_times.ts";
import { resolveSampling } from "../src/sampling/resolve.ts";
import { SamplerState } from "../src/sampling/state.ts";

const greedy = { sampling: { temperature: 0 } } as const;

/** Token ids that every vocabulary has, other ones for each `salt`. */
function promptIds(count: number, salt = 0): number[] {
  return Array.from({ length: count }, (_, index) => 3 + (index * 79 + salt * 37 + (index >> 3)) % 251);
}

function report(what: string, figure: string, goal: string): void {
  console.log(`${what.padEnd(62)} ${figure.padStart(24)}   goal ${goal}`);
}

/** Looks a prefix of 4000 tokens up among 100 000 pages. */
function lookup(): void {
  const cache = new TokenCache<number>({ pageSize: 32 });
  const prompts = Array.from(
    { length: 800 },
    (_, prompt) =>
      Uint32Array.from({ length: 4000 }, (_, index) => (Math.imul(index + 1, 7919) + prompt * 104_729) % 32_000),
  );
  for (const prompt of prompts) cache.insert(prompt, Array.from({ length: 125 }, (_, page) => page));
  const times: number[] = [];
  for (let round = 0; round < 20; round++) {
    const begin = performance.now();
    // One prompt after the other, so that no page is in the processor's nearest cache.
    for (const prompt of prompts) cache.lookup(prompt);
    times.push((1000 * (performance.now() - begin)) / prompts.length);
  }
  report(`look-up of 4000 tokens among ${cache.stats().pages} pages`, `${median(times).toFixed(1)} us`, "<= 50 us");
}

/** 20 users who take 10 turns each at random times, after one system prompt of 200 tokens; a cache of half of it all. */
function trace(): void {
  const shares: Record<string, number> = {};
  for (const policy of ["lru", "lfu", "cost"] as const satisfies readonly EvictionPolicy[]) {
    let asked = 0;
    let found = 0;
    for (let seed = 1; seed <= 20; seed++) {
      let state = seed * 7919;
      const random = (below: number) => (state = (state * 48_271) % 2_147_483_647) % below;
      const text = (length: number) => Array.from({ length }, () => random(32_000));
      const system = text(200);
      const users = Array.from({ length: 20 }, () => ({ tokens: [...system], turns: 0 }));
      const pages = Math.ceil((200 + 20 * 10 * (60 + 120)) / 32);
      const cache = new TokenCache<number>({ pageSize: 32, bytesMax: pages >> 1, policy });
      for (let open = users; open.length > 0; open = users.filter(({ turns }) => turns < 10)) {
        const user = open[random(open.length)];
        if (!user) break;
        user.tokens.push(...text(20 + random(80)));
        cache.lookup(user.tokens);
        user.tokens.push(...text(60 + random(120)));
        cache.insert(user.tokens, Array.from({ length: Math.ceil(user.tokens.length / 32) }, () => 1));
        user.turns++;
      }
      asked += cache.stats().tokensAsked;
      found += cache.stats().tokensSaved;
    }
    shares[policy] = found / asked;
    report(
      `20 users x 10 turns, cache of half the trace, ${policy}`,
      `${(100 * found / asked).toFixed(1)} %`,
      ">= 60 %; the default is the one that wins",
    );
  }
}

/** What a step of 16 sequences costs apart from its arithmetic. */
async function step(): Promise<void> {
  const runner: StepRunner = {
    settings: { pages: 1024, pageSize: 32, batchTokens: 528, sequences: 16, logitRows: 64 },
    run: (sequences) =>
      Promise.resolve(
        sequences.map(({ sample }) => ({
          logits: new Float32Array(0),
          ...(sample ? { choices: [{ token: 7 }] } : {}),
        })),
      ),
    // Its sequences are never ahead of their readers.
    runChain: () => Promise.reject(new Error("expected steps, not a chain")),
    haltChain() {},
    handOver() {},
    goOn: () => false,
    cancel() {},
    dispose: () => Promise.resolve(),
  };
  const memory = { settings: runner.settings, copyPage() {}, discardPages: () => 0, leavePage() {} };
  const store = new KvStore(memory, { pageBytes: 1000, statePages: 0 }, {});
  const options = { queueMax: 100, maxWaitMs: 0, patience: 512, weights: new Map<string, number>() };
  const scheduler = new Scheduler(runner, store, new StepTimes(1), options);
  const steps = 1500;
  const settings = resolveSampling({ temperature: 0 });
  const all = async () => {
    await Promise.all(Array.from({ length: 16 }, async (_, index) => {
      const prompt = Uint32Array.of(index, 1, 2, 3);
      const sequence = scheduler.add({
        prompt,
        positions: 2000,
        salt: "",
        sample: { sampler: new SamplerState(settings), top: undefined },
        tenant: `${index % 4}`,
      });
      for (let token = 0; token < steps; token++) await sequence.next();
      sequence.end();
    }));
  };
  await all();
  const before = scheduler.meter.steps;
  const begin = performance.now();
  await all();
  const us = (1000 * (performance.now() - begin)) / (scheduler.meter.steps - before);
  report("a step of 16 sequences without its arithmetic", `${us.toFixed(1)} us`, "<= 100 us");
  await scheduler.dispose();
}

/** 10 000 requests of random kinds on the small model: what is left, and how memory moves. */
async function soak(): Promise<void> {
  await using lm = await LightGPT.load(undefined, { context: 128, kvBytesMax: 8 * 2 ** 20 });
  const one = async (index: number) => {
    const pieces = lm.batcher.submit({
      prompt: promptIds(1 + (index * 37) % 60, index % 9),
      maxTokens: index % 5,
      tenant: `${index % 97}`,
      ...(index % 11 === 0 ? { deadlineMs: 1 } : {}),
    });
    try {
      if (index % 7 === 0) await pieces.return({} as never);
      else for await (const _ of pieces);
    } catch { /* a deadline that was meant to pass */ }
  };
  const gc = (globalThis as { gc?: () => void }).gc ?? (() => {}); // Deno: --v8-flags=--expose-gc
  let before = 0;
  for (let index = 0; index < 16_000; index += 50) {
    await Promise.all(Array.from({ length: 50 }, (_, offset) => one(index + offset)));
    if (index === 6000) { // by then V8's heap has found its size
      gc();
      before = process.memoryUsage().rss;
    }
  }
  gc();
  const drift = (process.memoryUsage().rss - before) / 2 ** 20;
  const { queued, running, paused, pages, cache } = lm.batcher.stats();
  const left = queued + running + paused + pages.held - (cache?.pages ?? 0);
  report(
    "10 000 requests of random kinds: left over, resident memory",
    `${left}, ${drift.toFixed(1)} MiB`,
    "0, <= 16 MiB",
  );
}

/** 16 requests together against one after the other. */
async function together(path: string): Promise<void> {
  await using lm = await LightGPT.load(path, { context: 128, cache: false });
  const request = (salt: number, maxTokens: number) => lm.complete(promptIds(4, salt), { ...greedy, maxTokens });
  await request(0, 4);
  const begin = performance.now();
  let alone = 0;
  for (let salt = 0; salt < 2; salt++) alone += (await request(salt, 24)).generatedTokens;
  const aloneRate = (1000 * alone) / (performance.now() - begin);
  const middle = performance.now();
  const all = await Promise.all(Array.from({ length: 16 }, (_, salt) => request(salt, 24)));
  const rate = (1000 * all.reduce((sum, { generatedTokens }) => sum + generatedTokens, 0)) /
    (performance.now() - middle);
  report(
    "16 requests together against one after the other",
    `${rate.toFixed(1)} / ${aloneRate.toFixed(1)} = ${(rate / aloneRate).toFixed(2)} x`,
    "Q4_0 >= 5 x, Q8_0 >= 8 x",
  );
}

/** 100 requests that share 1000 tokens. */
async function prefix(path: string): Promise<void> {
  await using lm = await LightGPT.load(path, { context: 1100 });
  const shared = promptIds(1000);
  const cold = await lm.complete([...shared, 5, 6], { ...greedy, maxTokens: 8 });
  const stepMs = cold.decodeMs / 7;
  const hits: number[] = [];
  for (let index = 0; index < 100; index++) {
    hits.push((await lm.complete([...shared, 5, index + 9], { ...greedy, maxTokens: 1 })).prefillMs);
  }
  const { tokensAsked, tokensSaved } = lm.cache?.stats() ?? { tokensAsked: NaN, tokensSaved: NaN };
  report("first token without a hit", `${cold.prefillMs.toFixed(0)} ms`, "-");
  report("first token of a hit, in decode steps", `${(median(hits) / stepMs).toFixed(2)}`, "<= 2");
  report("tokens computed for 101 prompts of 1002", `${tokensAsked - tokensSaved}`, "1000 + 2 each = 1202");
}

/** Saving and loading what a long prompt left. */
async function files(path: string): Promise<void> {
  await using model = await Model.load(path, { context: 1100 });
  await using batcher = new Batcher(model, { kv: "f32" });
  await using other = new Batcher(model, { kv: "f32" });
  const prompt = promptIds(1024);
  const first = await batcher.complete(prompt, { ...greedy, maxTokens: 4 });
  const rates = { save: [] as number[], load: [] as number[] };
  for (let round = 0; round < 12; round++) {
    const chunks: Uint8Array[] = [];
    const begin = performance.now();
    const saved = await batcher.cache?.save(new WritableStream({ write: (chunk) => void chunks.push(chunk) }));
    const middle = performance.now();
    other.cache?.clear();
    const stream = new ReadableStream<Uint8Array>({
      pull(controller) {
        const chunk = chunks.shift();
        if (chunk) controller.enqueue(chunk);
        else controller.close();
      },
    });
    await other.cache?.load(stream);
    const end = performance.now();
    if (round === 0) continue; // the first also reads the model's file for its hash
    rates.save.push((saved?.bytes ?? 0) / (middle - begin) / 1e6);
    rates.load.push((saved?.bytes ?? 0) / (end - middle) / 1e6);
  }
  const again = await other.complete(prompt, { ...greedy, maxTokens: 4 });
  const isSame = again.tokens.join() === first.tokens.join();
  report(
    "a cache saved, and loaded",
    `${median(rates.save).toFixed(2)}, ${median(rates.load).toFixed(2)} GB/s`,
    ">= 1 GB/s",
  );
  report(
    "the same tokens after it, and of the prompt from the cache",
    `${isSame}, ${other.cache?.stats().tokensSaved}`,
    "true, 1024",
  );
}

const [name, path] = process.argv.slice(2);
const small = { lookup, trace, step, soak };
const large = { together, prefix, files };
if (name === undefined) { for (const run of Object.values(small)) await run(); }
else if (Object.hasOwn(small, name)) await small[name as keyof typeof small]();
else if (Object.hasOwn(large, name) && path) await large[name as keyof typeof large](path);
else {throw new RangeError(
    `${name}: expected one of ${Object.keys({ ...small, ...large }).join(", ")}, the last three with a model`,
  );}
