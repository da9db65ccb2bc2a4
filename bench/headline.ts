/**
 * The figures that this project was begun with, each measured: a plain program (`headline/plain.zig`: f32, one loop, one
 * thread, a new array for every result) against LightGPT, on TinyLlama's shape, in one run, taking turns. What a figure
 * was named as, and what is not comparable with it, is printed beside it.
 *
 *     npm run bench headline [-- --rounds 3] [--json FILE]
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { median } from "../src/engine/median.ts";
import { bytesPerToken, promptSource, timeDecode, timePrefill } from "../src/measuring/benchmark/timing.ts";
import { native } from "../ffi/native.ts";
import { LightGPT } from "../mod.ts";
import { makeTinyLlama, SHAPE } from "./tinyllama.ts";
import { allThreads } from "./plan.ts";
import { show, table } from "./statistics.ts";

/** What the plain program prints. */
interface Plain {
  productGMACs: number;
  tokenMs: number;
  /** Of one token. */
  allocationCalls: number;
  allocationBytes: number;
  layerBytes: number;
}

/** What LightGPT came to in a round, rates in tokens a second. */
interface Ours {
  decode: number;
  decodeOne: number;
  prefill: number;
  prefillOne: number;
  batch: number;
}

/** What steps ask memory for, a token. */
interface Allocations {
  nativeCalls: number;
  nativeBytes: number;
  scriptBytes: number;
}

const { values } = parseArgs({ options: { rounds: { type: "string", default: "3" }, json: { type: "string" } } });
const rounds = Number(values.rounds);
if (!(Number.isInteger(rounds) && rounds > 0)) {
  console.error(`headline: --rounds needs a count, got "${values.rounds}"`);
  process.exit(2);
}

const model = makeTinyLlama("q4_0");
const prompts = promptSource();
const program = (name: string) => fileURLToPath(new URL(`../zig-out/bin/${name}`, import.meta.url));
const runProgram = (name: string) =>
  JSON.parse(execFileSync(program(name), { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));

async function measureOurs(): Promise<Ours> {
  const one = await withThreads(1, async (lm) => ({
    decodeOne: rate(await timeDecode(lm, { batch: 1, context: 16, tokens: 24, prompts })),
    prefillOne: rate(await timePrefill(lm, prompts(256))),
  }));
  return await withThreads(allThreads, async (lm) => ({
    ...one,
    decode: rate(await timeDecode(lm, { batch: 1, context: 16, tokens: 48, prompts })),
    prefill: rate(await timePrefill(lm, prompts(256))),
    batch: rate(await timeDecode(lm, { batch: 16, context: 16, tokens: 16, prompts })),
  }));
}

async function withThreads<Result>(threads: number, action: (lm: LightGPT) => Promise<Result>): Promise<Result> {
  await using lm = await LightGPT.load(model, { threads, context: 512, cache: false });
  await timeDecode(lm, { batch: 1, context: 8, tokens: 4, prompts });
  return await action(lm);
}

function rate({ tokens, ms }: { tokens: number; ms: number }): number {
  return tokens / ms * 1000;
}

/**
 * What a token asks memory for once the first ones are through: of the native library, which counts, and of the runtime, by
 * how its heap grows between tokens (what a collection takes away meanwhile is not seen; so it is a lower bound).
 */
async function measureAllocations(lm: LightGPT): Promise<Allocations> {
  const tokens = 200;
  const warmUp = 40;
  let before = native().memory();
  let heap = process.memoryUsage().heapUsed;
  let grown = 0;
  let count = 0;
  for await (const _ of lm.generate(prompts(16), { maxTokens: tokens + warmUp, sampling: { temperature: 0 } })) {
    const now = process.memoryUsage().heapUsed;
    count++;
    if (count <= warmUp) {
      before = native().memory();
      grown = 0;
    } else grown += Math.max(0, now - heap);
    heap = process.memoryUsage().heapUsed;
  }
  const after = native().memory();
  const measured = count - warmUp;
  return {
    nativeCalls: (after.allocations - before.allocations) / measured,
    nativeBytes: (after.allocatedBytes - before.allocatedBytes) / measured,
    scriptBytes: grown / measured,
  };
}

const plains: Plain[] = [];
const ours: Ours[] = [];
for (let round = 0; round < rounds; round++) {
  if (round % 2 === 0) plains.push(runProgram("plain"));
  ours.push(await measureOurs());
  if (round % 2 === 1) plains.push(runProgram("plain"));
  process.stderr.write(`round ${round + 1} of ${rounds}\n`);
}
const kernels = Object.values(runProgram("order") as Record<string, { tokenGBs: number; tileGMACs: number }>).at(-1);
if (kernels === undefined) throw new Error("no kernels were measured");

await using lm = await LightGPT.load(model, { threads: allThreads, context: 512, cache: false });
const allocations = await measureAllocations(lm);
const bandwidth = native().bandwidth({ threads: allThreads, mebibytes: 1024 });
const of = <Round>(list: readonly Round[], field: (round: Round) => number) => median(list.map(field));
const plainToken = of(plains, ({ tokenMs }) => tokenMs);
const plainProduct = of(plains, ({ productGMACs }) => productGMACs);
const { allocationCalls, allocationBytes, layerBytes } = plains[0];
const decode = of(ours, (our) => our.decode);
// The weights of a layer as they lie in memory: what a token reads, less the output's share.
const outputShare = SHAPE.vocabulary * SHAPE.embedding /
  (SHAPE.layers * (layerBytes / 4) + SHAPE.vocabulary * SHAPE.embedding);
const ourLayerBytes = bytesPerToken(lm) * (1 - outputShare) / SHAPE.layers;
/** Bytes of a Q4_0 weight. */
const weightBytes = 18 / 32;
const plainBytes = SHAPE.layers * layerBytes + SHAPE.vocabulary * SHAPE.embedding * 4;

/** One line of the table. */
interface Line {
  what: string;
  plain: string;
  ours: string;
  ratio: number;
  named: string;
  goal: number;
  note: string;
}

const lines: Line[] = [
  {
    what: "matrix times vector, one core",
    plain: `${show(plainProduct)} GMAC/s`,
    ours: `${show(kernels.tokenGBs / weightBytes)} GMAC/s`,
    ratio: kernels.tokenGBs / weightBytes / plainProduct,
    named: "3.6 x",
    goal: 20,
    note: "f32 weights against Q4_0 with 8-bit activations",
  },
  {
    what: "matrix times 8 vectors, one core",
    plain: `${show(plainProduct)} GMAC/s`,
    ours: `${show(kernels.tileGMACs)} GMAC/s`,
    ratio: kernels.tileGMACs / plainProduct,
    named: "3.6 x",
    goal: 20,
    note: "weights in the cache",
  },
  {
    what: "memory of a layer",
    plain: `${show(layerBytes / 1e6)} MB`,
    ours: `${show(ourLayerBytes / 1e6)} MB`,
    ratio: layerBytes / ourLayerBytes,
    named: "4 x",
    goal: 4,
    note: "below f32; half as much below f16",
  },
  {
    what: "allocation, a token",
    plain: `${allocationCalls} calls, ${show(allocationBytes / 1e6)} MB`,
    ours: `${show(allocations.nativeCalls)} calls, ${show(allocations.nativeBytes)} B native`,
    ratio: allocationCalls / allocations.nativeCalls,
    named: "17 x",
    goal: 17,
    note: `JavaScript's heap grows by ${show(allocations.scriptBytes / 1000)} kB a token beside that`,
  },
  {
    what: `threading, prompt, ${allThreads} cores`,
    plain: `${show(of(ours, (our) => our.prefillOne))} tokens/s with one`,
    ours: `${show(of(ours, (our) => our.prefill))} tokens/s`,
    ratio: of(ours, (our) => our.prefill / our.prefillOne),
    named: "5.8 x on 8 cores (0.73 a core)",
    goal: 0.73 * allThreads,
    note: "8 cores were not at hand; by core",
  },
  {
    what: `threading, one sequence, ${allThreads} cores`,
    plain: `${show(of(ours, (our) => our.decodeOne))} tokens/s with one`,
    ours: `${show(decode)} tokens/s`,
    ratio: of(ours, (our) => our.decode / our.decodeOne),
    named: "5.8 x on 8 cores (0.73 a core)",
    goal: 0.73 * allThreads,
    note: "limited by memory that the cores share, not by cores",
  },
  {
    what: "batching, 16 sequences at once",
    plain: `${show(decode)} tokens/s of one`,
    ours: `${show(of(ours, (our) => our.batch))} tokens/s of all`,
    ratio: of(ours, (our) => our.batch / our.decode),
    named: "8 x",
    goal: 8,
    note: "the better one sequence is, the less is left to win",
  },
  {
    what: "whole token",
    plain: `${show(plainToken)} ms`,
    ours: `${show(1000 / decode)} ms`,
    ratio: plainToken * decode / 1000,
    named: "16.4 x",
    goal: 30,
    note: `f32 could not be faster than ${show(plainBytes / bandwidth * 1000)} ms on this memory`,
  },
];

console.log(
  `Plain program (f32, one thread, headline/plain.zig) against LightGPT (Q4_0, ${allThreads} threads, level ` +
    `${native().processor.level}), TinyLlama's shape, medians of ${rounds} rounds`,
);
const ratioText = (ratio: number) => Number.isFinite(ratio) ? `${show(ratio)} x` : "none left";
console.log(table(
  [
    ["", "plain", "LightGPT", "ratio", "named", "goal", "", ""],
    ...lines.map(({ what, plain, ours, ratio, named, goal, note }) => [
      what,
      plain,
      ours,
      ratioText(ratio),
      named,
      `${show(goal)} x`,
      ratio >= goal ? "reached" : "NOT reached",
      note,
    ]),
  ],
  8,
));
if (values.json !== undefined) {
  // JSON has no infinity: null where nothing is left.
  writeFileSync(
    values.json,
    JSON.stringify({ date: new Date().toISOString(), rounds, plains, ours, kernels, allocations, lines }, null, 1) +
      "\n",
  );
}
