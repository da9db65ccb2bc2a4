/**
 * What one sequence that a chain leaves out costs those beside it, and what it gets itself: sequences with nothing but a seed, alone
 * and beside one more that has a mask of the caller's, a quick or a slow logits processor, or a model that guesses.
 *
 *     bun bench/beside.ts [MODEL] [PLAIN] [MS]            deno run -A bench/beside.ts [MODEL] [PLAIN] [MS]
 *
 * Tokens a second of each plain sequence and of the other one, medians of 3 windows of MS 600 milliseconds, each kind by turns.
 * Without a model it is the embedded one; PLAIN is 15. `LIGHTGPT_DRAFT` names a file of the model that guesses; without it none does.
 *
 * @module
 */
import process from "node:process";
import { Batcher, type GenerateOptions, Model, TokenMask } from "../mod.ts";
import { embeddedModel } from "../src/files/embedded.ts";
import { median } from "../src/engine/median.ts";
import { startTiming } from "./timing.mjs";

const [path, plainCount = "15", windowMs = "600"] = process.argv.slice(2);
const model = await Model.load(path || embeddedModel(), { context: 400 });
const end = [...model.tokenizer.endOfGeneration];
const spend = (ms: number) => () => {
  const until = performance.now() + ms;
  while (performance.now() < until);
};
const draftPath = process.env.LIGHTGPT_DRAFT;
const kinds: Record<string, Partial<GenerateOptions> | undefined> = {
  alone: undefined,
  "one more like them": {},
  mask: { sampling: { banned: new TokenMask(model.vocabulary, end) } },
  "processor, quick": { logitsProcessor: (logits) => end.forEach((id) => void (logits[id] = -Infinity)) },
  "processor, 5 ms": { logitsProcessor: spend(5) },
  ...(draftPath === undefined ? {} : { "draft model": { draft: { model: await Model.load(draftPath) } } }),
};
const plain = Number(plainCount);
await using batcher = new Batcher(model, { threads: 2 });
const stop = { on: false };

async function count(index: number, more: Partial<GenerateOptions>, tokens: number[]): Promise<void> {
  for (let turn = 0; !stop.on; turn++) {
    const sampling = { temperature: 1.2, topK: 40, banned: end, seed: 31 * index + turn, ...more.sampling };
    const prompt = `Once upon a time ${index} `;
    for await (const _ of batcher.generate(prompt, { draft: "off", maxTokens: 300, ...more, sampling })) {
      tokens[index] = (tokens[index] ?? 0) + 1;
      if (stop.on) break;
    }
  }
}

/** Tokens a second of each plain sequence, and of the other one. */
async function window(more: Partial<GenerateOptions> | undefined, ms: number): Promise<[number, number]> {
  stop.on = false;
  const tokens: number[] = [];
  const all = Array.from({ length: plain }, (_, index) => count(index, {}, tokens));
  if (more) all.push(count(plain, more, tokens));
  await new Promise((resolve) => setTimeout(resolve, ms / 3));
  const before = [...tokens];
  const begin = performance.now();
  await new Promise((resolve) => setTimeout(resolve, ms));
  const took = (performance.now() - begin) / 1000;
  const rates = tokens.map((now, index) => (now - (before[index] ?? 0)) / took);
  stop.on = true;
  await Promise.all(all);
  return [rates.slice(0, plain).reduce((sum, rate) => sum + rate, 0) / plain, rates[plain] ?? 0];
}

const timing = startTiming();
const found = new Map(Object.keys(kinds).map((kind) => [kind, [] as [number, number][]]));
for (let turn = 0; turn < 3; turn++) {
  for (const [kind, more] of Object.entries(kinds)) found.get(kind)?.push(await window(more, Number(windowMs)));
}
console.log(`${plain} plain sequences; tokens a second; others ${timing().others}`);
console.table(Object.fromEntries([...found].map(([kind, rates]) => [kind, {
  "each plain": Math.round(10 * median(rates.map(([rate]) => rate))) / 10,
  "the other": Math.round(10 * median(rates.map(([, rate]) => rate))) / 10,
}])));
await batcher.dispose();
model.dispose();
process.exit(0);
