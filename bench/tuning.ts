/**
 * What tuning gains and what it must not lose, on Deno or Bun. MODEL: a file (`bench/tinyllama.ts` makes one), or none for the
 * embedded model.
 *
 *     bun bench/tuning.ts default [MODEL]     tuned against default settings (`taskset -c 0` before it: on one core)
 *     bun bench/tuning.ts threads [MODEL]     the same where 64 threads are asked for
 *     bun bench/tuning.ts neighbour [MODEL]   the same where another process keeps one processor busy
 *     bun bench/tuning.ts grid [MODEL]        tuned against the best of a full grid
 *     bun bench/tuning.ts compete [MODEL]     two processes at once against one alone
 *
 * The first three take the beginning of a kind of work (`prompt`, `generating`, `requests`) after MODEL, to do only that.
 *
 * @module
 */
import { spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { native } from "../ffi/native.ts";
import { LIMITS } from "../ffi/wire.ts";
import { type Batcher, Model, Optimizer, type OptimizerOptions, type TunedSettings } from "../mod.ts";
import { median } from "../src/engine/median.ts";
import { promptSource } from "../src/measuring/benchmark/timing.ts";
import { embeddedModel } from "../src/files/embedded.ts";
import { usableThreads } from "../src/machine/machine.ts";
import { compareTimes, type TimeComparison } from "../src/tuning/tuner/compare.ts";
import { seededRandom } from "../src/tuning/tuner/race.ts";
import { ModelSubject } from "../src/tuning/tuner/subject.ts";
import { chunkMost, layerMsMost, StepTimes } from "../src/engine/step_times.ts";

const context = 512;
const prompts = promptSource();
/** No text ends before it should. */
let greedy = { sampling: { temperature: 0, banned: [] as number[] }, cache: false };
const self = fileURLToPath(import.meta.url);

/** Milliseconds of each kind of work. */
const works = {
  async "a prompt of 256 tokens"(batcher: Batcher) {
    return (await batcher.complete(prompts(256), { ...greedy, maxTokens: 1 })).prefillMs;
  },
  async "generating, one request"(batcher: Batcher, tokens: number) {
    const { decodeMs, generatedTokens } = await batcher.complete(prompts(8), { ...greedy, maxTokens: tokens });
    return decodeMs / (generatedTokens - 1);
  },
  async "32 requests of 16 + 16 tokens"(batcher: Batcher) {
    const begin = performance.now();
    const all = Array.from({ length: 32 }, () => batcher.complete(prompts(16), { ...greedy, maxTokens: 16 }));
    const tokens = (await Promise.all(all)).reduce((sum, { generatedTokens }) => sum + generatedTokens, 0);
    return (performance.now() - begin) / tokens;
  },
};

async function load(path: string): Promise<Model> {
  const model = await Model.load(path, { context });
  greedy = { ...greedy, sampling: { temperature: 0, banned: [...model.tokenizer.endOfGeneration] } };
  return model;
}

function report(what: string, { gain, low, high, pairs }: TimeComparison, goal: string): void {
  const shown = `${(1 + gain).toFixed(3)} x (${(1 + low).toFixed(3)} to ${(1 + high).toFixed(3)}, ${pairs} pairs)`;
  console.log(`${what.padEnd(50)} ${shown.padStart(36)}   goal ${goal}`);
}

/** Tunes, then measures tuned and other settings in turns. */
async function compare(
  path: string,
  options: OptimizerOptions,
  other: OptimizerOptions,
  only: string,
  goal: string,
): Promise<void> {
  await using model = await load(path);
  await using tuned = await Optimizer.open(model, { ...options, tune: "again" });
  await using plain = await Optimizer.open(model, other);
  for (const { text } of tuned.events) console.log(`  ${text}`);
  const spin = tuned.profile?.settings.spinLoops ?? LIMITS.spinsDefault;
  console.log(`  tuned in ${((tuned.profile?.ms ?? 0) / 1000).toFixed(1)} s`);
  const isSmall = model.residentBytes < 1e8;
  const rounds = isSmall ? 30 : 6;
  for (const [name, work] of Object.entries(works)) {
    if (!name.includes(only)) continue;
    const times: [number[], number[]] = [[], []];
    for (let round = -1; round < rounds; round++) {
      for (const which of round % 2 === 0 ? [0, 1] as const : [1, 0] as const) {
        native().spin(which === 1 ? spin : LIMITS.spinsDefault);
        const ms = await work((which === 1 ? tuned : plain).batcher, isSmall ? 100 : 16);
        if (round >= 0) times[which].push(ms); // the first finds out how long steps take
      }
    }
    report(name, compareTimes(...times), goal);
  }
}

/** Starts this file in a process of its own; gives what it prints. */
function child(words: string[]): { kill(): void; output: Promise<string> } {
  const flags = "Deno" in globalThis ? ["run", "-A", "--no-check"] : [];
  const started = spawn(process.execPath, [...flags, self, ...words], { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  started.stdout.on("data", (chunk) => text += chunk);
  return { kill: () => started.kill("SIGKILL"), output: new Promise((done) => started.on("close", () => done(text))) };
}

async function threads(path: string, only: string): Promise<void> {
  console.log(`64 threads asked for, on ${usableThreads()} processors:`);
  await compare(path, { threads: 64 }, { threads: 64 }, only, ">= 1.1 x");
}

async function neighbour(path: string, only: string): Promise<void> {
  const other = child(["burn"]);
  try {
    console.log("A neighbour that keeps one processor busy; against all threads in every step:");
    await compare(path, {}, { threads: usableThreads() }, only, ">= 1.1 x");
    console.log("against the default, which gives short steps one thread where that is faster:");
    await compare(path, {}, {}, only, ">= 0.95 x");
  } finally {
    other.kill();
  }
}

/** All combinations that tuning chooses from, each measured as often, in turns; then the best of them against the choice. */
async function grid(path: string): Promise<void> {
  await using model = await load(path);
  await using tuned = await Optimizer.open(model, { tune: "again" });
  if (!tuned.profile) throw new Error("nothing was measured");
  const choice = tuned.profile.settings;
  console.log(`  chosen in ${(tuned.profile.ms / 1000).toFixed(1)} s: ${JSON.stringify(choice)}`);
  const threads = usableThreads();
  const subject = new ModelSubject(model, { kv: "f16", activationBits: 8, threads });
  const counts = Array.from({ length: threads }, (_, index) => index + 1);
  const pages = [16, 32, 64] as const;
  const decodes = counts.flatMap((decodeThreads) =>
    pages.flatMap((pageSize) =>
      [200, 2000, 20_000].map((spinLoops) => ({ ...choice, decodeThreads, pageSize, spinLoops }))
    )
  );
  const isSmall = model.residentBytes < 1e8;
  const chunks = await shortChunks(subject, choice);
  const prefills = counts.flatMap((prefillThreads) =>
    pages.flatMap((pageSize) => chunks.map((chunkTokens) => ({ ...choice, prefillThreads, pageSize, chunkTokens })))
  );
  const decode = (settings: TunedSettings) => subject.decode(settings, 1);
  const tokens = isSmall ? 256 : 64;
  const times = new StepTimes(model.residentBytes, undefined, subject.layers);
  const prefill = async (settings: TunedSettings) => {
    for (let at = 0; at < tokens;) {
      // The most chunk means that it adapts.
      const chunk = Math.min(settings.chunkTokens < chunkMost ? settings.chunkTokens : times.chunk, tokens - at);
      const begin = performance.now();
      await subject.prefill(settings, chunk, at);
      if (settings.chunkTokens === chunkMost) times.record(chunk, performance.now() - begin, chunk);
      at += chunk;
    }
  };
  try {
    await against("generating", decodes, choice, decode);
    await against(`reading ${tokens} tokens`, prefills, choice, prefill);
  } finally {
    native().spin(LIMITS.spinsDefault);
    await subject.dispose();
  }
}

/** Chunks whose layers take at most 50 ms, so that cancelling is prompt: no other can be chosen. */
async function shortChunks(subject: ModelSubject, settings: TunedSettings): Promise<number[]> {
  const chunks = [16];
  for (const chunk of [32, 64, 128, 256]) {
    let least = Infinity;
    for (let count = 0; count < 3; count++) {
      const begin = performance.now();
      await subject.prefill(settings, chunk);
      least = Math.min(least, performance.now() - begin);
    }
    if (least / subject.layers > layerMsMost) break;
    chunks.push(chunk);
  }
  return chunks;
}

async function against(
  what: string,
  all: readonly TunedSettings[],
  choice: TunedSettings,
  work: (settings: TunedSettings) => Promise<void>,
): Promise<void> {
  const time = async (settings: TunedSettings) => {
    const begin = performance.now();
    let count = 0;
    do {
      await work(settings);
      count++;
    } while (performance.now() - begin < 3);
    return (performance.now() - begin) / count;
  };
  const random = seededRandom(3);
  const times = all.map((): number[] => []);
  for (let round = 0; round < 5; round++) {
    const order = all.map((_, index) => ({ index, key: random() })).sort((a, b) => a.key - b.key);
    for (const { index } of order) times[index]?.push(await time(all[index] as TunedSettings));
  }
  const best = all[times.map(median).reduce((best, ms, index, list) => ms < (list[best] as number) ? index : best, 0)];
  const pairs: [number[], number[]] = [[], []];
  for (let round = 0; round < 20; round++) {
    for (const which of round % 2 === 0 ? [0, 1] as const : [1, 0] as const) {
      pairs[which].push(await time(which === 0 ? best as TunedSettings : choice));
    }
  }
  console.log(`  the best of ${all.length} for ${what}: ${JSON.stringify(best)}`);
  report(`${what}, tuned against the best of the grid`, compareTimes(...pairs), ">= 0.95 x");
}

/** Tokens that this process generates in some seconds, after it has said that it is ready. */
async function worker(path: string, seconds: number): Promise<void> {
  await using model = await load(path);
  await using optimizer = await Optimizer.open(model);
  await optimizer.batcher.complete(prompts(8), { ...greedy, maxTokens: 8 });
  const begin = performance.now();
  let tokens = 0;
  while (performance.now() - begin < 1000 * seconds) {
    for await (const _ of optimizer.batcher.generate(prompts(8), { ...greedy, maxTokens: 64 })) {
      tokens++;
      if (performance.now() - begin >= 1000 * seconds) break;
    }
  }
  console.log(tokens / (performance.now() - begin) * 1000);
}

async function compete(path: string): Promise<void> {
  const seconds = 4;
  const run = async (count: number) => {
    const all = Array.from({ length: count }, () => child(["worker", path, `${seconds}`]).output);
    return (await Promise.all(all)).reduce((sum, text) => sum + Number(text), 0);
  };
  const rates: [number[], number[]] = [[], []];
  for (let round = 0; round < 3; round++) {
    rates[0].push(await run(1));
    rates[1].push(await run(2));
  }
  const shown = rates[1].map((rate, round) => (rate / (rates[0][round] as number)).toFixed(2)).join(", ");
  console.log(
    `alone ${rates[0].map((rate) => rate.toFixed(1)).join(", ")} tokens/s; two together ${
      rates[1].map((rate) => rate.toFixed(1)).join(", ")
    }`,
  );
  console.log(
    `two at once against one alone: ${(median(rates[1]) / median(rates[0])).toFixed(3)} x (${shown})   goal >= 0.85 x`,
  );
}

function burn(): void {
  for (let value = 0;; value++) Math.sqrt(value);
}

const [name, path = embeddedModel(), more = ""] = process.argv.slice(2);
if (name === "default") await compare(path, {}, {}, more, ">= 0.95 x");
else if (name === "threads") await threads(path, more);
else if (name === "neighbour") await neighbour(path, more);
else if (name === "grid") await grid(path);
else if (name === "compete") await compete(path);
else if (name === "worker") await worker(path, Number(more));
else if (name === "burn") burn();
else throw new RangeError(`${name}: expected default, threads, neighbour, grid or compete, and a model`);
