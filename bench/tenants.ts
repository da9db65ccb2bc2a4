/**
 * Whether the time of an answer tells a tenant of a server what another has asked: a prompt that the other has in the prefix cache
 * against one that nothing has seen, by turns, on Deno or Bun:
 *
 *     bun bench/tenants.ts [MODEL]
 *
 * @module
 */
import process from "node:process";
import { createServer } from "../exports/server.ts";
import { LightGPT } from "../mod.ts";
import { median } from "../src/engine/median.ts";

const [rounds, warm, promptTokens] = [500, 100, 100];
const keys = ["the first one's secret", "the second one's secret"];
await using lm = await LightGPT.load(process.argv[2]);
await using server = createServer({ models: { model: lm }, keys });

/** How long an answer of one token takes, and how much of its prompt was in the cache. */
async function ask(key: string, prompt: readonly number[]): Promise<{ readonly ms: number; readonly cached: number }> {
  const headers = { "content-type": "application/json", authorization: `Bearer ${key}` };
  const body = JSON.stringify({ prompt, max_tokens: 1, seed: 1 });
  const begin = performance.now();
  const response = await server.fetch(
    new Request("http://127.0.0.1/v1/completions", { method: "POST", headers, body }),
  );
  const { usage } = await response.json();
  return { ms: performance.now() - begin, cached: usage.prompt_tokens_details.cached_tokens };
}

/** A prompt that begins like no other. */
function promptOf(number: number): number[] {
  return Array.from({ length: promptTokens }, (_, at) => 300 + (at === 0 ? number : (7 * at + 31 * number) % 97));
}

const [known, fresh]: number[][] = [[], []];
for (let round = 0; round < rounds; round++) {
  const [theirs, unseen] = [promptOf(2 * round), promptOf(2 * round + 1)];
  await ask(keys[0], theirs);
  const { cached } = await ask(keys[0], theirs);
  if (cached < promptTokens / 2) {
    throw new Error(`tenants: ${cached} tokens of a prompt that was asked before are there`);
  }
  // By turns, so that coming second is no difference between them.
  const asked = [[theirs, known], [unseen, fresh]] as const;
  for (const [prompt, times] of round % 2 === 0 ? asked : asked.toReversed()) {
    const { ms, cached } = await ask(keys[1], prompt);
    if (cached > 0) throw new Error("tenants: one has found another's prompt");
    if (round >= warm) times.push(ms);
  }
}
// Of each round, for what else the machine does changes slowly beside it.
const percent = 100 * median(known.map((ms, round) => ms / fresh[round] - 1));
console.log(
  `a prompt that another tenant has asked: ${median(known).toFixed(2)} ms, a new one: ${median(fresh).toFixed(2)} ms`,
);
console.log(`difference, median of the rounds: ${percent.toFixed(2)} %   goal < 2 % p50`);
