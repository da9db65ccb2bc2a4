/**
 * Speculative decoding on three real tasks (`texts/`): repeating a file with edits, summarising an article, a free story. Each
 * answer is made without guesses and with them, by turns, and must be the same. What counts is the processor time of the whole
 * answer after its prompt was read once, for other programs disturb it least.
 *
 *     npm run bench -- speculation [MODEL.gguf] [ROUNDS]
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { homedir, loadavg } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { type GenerateOptions, LightGPT } from "../mod.ts";
import { show, summarize, table } from "./statistics.ts";

const usual = join(homedir(), ".cache", "lightgpt", "models", "smollm2-135m-instruct-q4_1.gguf");
const [path = usual, rounds = "3"] = process.argv.slice(2);

/** A task: its prompt, and how it is answered. */
interface Task {
  readonly name: string;
  readonly prompt: Uint32Array;
  readonly options: GenerateOptions;
}

function textOf(name: string): string {
  return readFileSync(new URL(`texts/${name}.txt`, import.meta.url), "utf8");
}

/** The tasks; a small model goes on with a file more surely than it answers a request for one. */
async function tasksOf(lm: LightGPT): Promise<Task[]> {
  const file = "\nThe whole file with the edits:\n\n```ts\n/** One thing that a customer buys. */\n";
  const greedy = { temperature: 0, seed: 1 };
  const article = await lm.chatTokens([{ role: "user", content: textOf("article") }]);
  return [
    {
      name: "repeat with edits",
      prompt: lm.tokenize(textOf("edit") + file),
      options: { maxTokens: 500, sampling: greedy },
    },
    { name: "summarise", prompt: article, options: { maxTokens: 300, sampling: greedy } },
    {
      name: "free story",
      prompt: lm.tokenize(textOf("story")),
      options: { maxTokens: 400, sampling: { temperature: 0.9, seed: 5 } },
    },
  ];
}

/** Processor milliseconds and tokens a second of one answer, and its tokens. */
async function answer(lm: LightGPT, { prompt, options }: Task, draft: "auto" | "off") {
  const before = process.cpuUsage();
  const { tokens, decodeMs } = await lm.complete(prompt, { ...options, draft });
  const { user, system } = process.cpuUsage(before);
  return {
    tokens: String(tokens),
    count: tokens.length,
    cpuMs: (user + system) / 1000,
    rate: 1000 * tokens.length / decodeMs,
  };
}

await using lm = await LightGPT.load(path, { context: 4096, adapt: false });
const rows = [["task", "tokens", "kept / guessed", "CPU without / with", "tokens a second, with / without"]];
for (const task of await tasksOf(lm)) {
  // The prompt comes into the cache, and steps of all sizes are measured.
  await answer(lm, task, "auto");
  const before = lm.batcher.stats().drafts;
  const cpu: number[] = [];
  const rate: number[] = [];
  let tokens = 0;
  for (let round = 0; round < Number(rounds); round++) {
    const first = round % 2 === 0 ? "off" : "auto";
    const one = await answer(lm, task, first);
    const two = await answer(lm, task, first === "off" ? "auto" : "off");
    const found = first === "off" ? { off: one, auto: two } : { off: two, auto: one };
    if (found.off.tokens !== found.auto.tokens) throw new Error(`${task.name}: other tokens with guesses`);
    cpu.push(found.off.cpuMs / found.auto.cpuMs);
    rate.push(found.auto.rate / found.off.rate);
    tokens = found.off.count;
  }
  const { guessed, kept } = lm.batcher.stats().drafts;
  const spread = (values: number[]) => {
    const summary = summarize(values);
    return summary ? `${show(summary.median)} (${show(summary.least)} to ${show(summary.most)})` : "";
  };
  const share = `${kept - before.kept} / ${guessed - before.guessed}`;
  rows.push([task.name, String(tokens), share, spread(cpu), spread(rate)]);
}
console.log(`${path}, ${rounds} rounds by turns, medians; load ${loadavg().map(show).join(" ")}`);
console.log(table(rows));
