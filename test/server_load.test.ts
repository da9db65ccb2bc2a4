/**
 * More requests than there is room for: the refused ones hear when to come again, in time; and what a server owes those that wait:
 * their order, and that another's leaving changes nothing for them.
 *
 * @module
 */
import { assert, assertEquals, assertLess } from "@std/assert";
import { it } from "node:test";
import { median } from "../src/engine/median.ts";
import { eventsOf, serveStories } from "./small-server.ts";

const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));

it("a request that finds the queue full is told when to come again: within twice the time that it takes", async () => {
  await using small = await serveStories({}, { batchSequences: 2, queueMax: 4, cache: false });
  const ends = [...small.lm.model.tokenizer.endOfGeneration];
  const logit_bias = Object.fromEntries(ends.map((token) => [token, -100]));
  const body = (seed: number) => ({ prompt: "The fox", max_tokens: 60, seed, logit_bias, stream: true });
  let answered = 0;
  let isOver = false;
  const ratios: number[] = [];
  const statuses = new Map<number, number>();
  /** A client that comes again when it was told to. */
  const client = async (seed: number) => {
    for (; !isOver; seed += 100) {
      let told: { readonly ms: number; readonly at: number } | undefined;
      for (;;) {
        const at = performance.now();
        const response = await small.post("/v1/completions", body(seed));
        statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
        if (response.status === 200) {
          if (told) ratios.push((at - told.at) / told.ms);
          assert((await response.text()).endsWith("data: [DONE]\n\n"));
          answered++;
          break;
        }
        const { error } = await response.json();
        assertEquals([response.status, error.code, error.type], [429, "queue_full", "rate_limit_error"]);
        const ms = Number(response.headers.get("retry-after-ms"));
        assert(ms >= 1 && Number(response.headers.get("retry-after")) === Math.ceil(ms / 1000), `${ms}`);
        told ??= { ms, at };
        await pause(ms);
        if (isOver) return;
      }
    }
  };
  const clients = Array.from({ length: 9 }, (_, seed) => client(seed));
  while (answered < 60 || ratios.length < 8) await pause(5);
  isOver = true;
  await Promise.all(clients);
  const [taken, refused] = [200, 429].map((status) => statuses.get(status) ?? 0);
  assert(refused >= ratios.length, JSON.stringify([...statuses]));
  assertLess(refused, taken, "most of those that come again when they are told to are taken");
  assertLess(median(ratios), 2, ratios.join(" "));
});

it("whether others come, leave or are refused, an answer has the same bits", async () => {
  await using small = await serveStories({}, { batchSequences: 3, queueMax: 6 });
  const body = { prompt: "The hen", max_tokens: 50, seed: 3, logprobs: 2, stream: true };
  const told = async () =>
    (await eventsOf(await small.post("/v1/completions", body))).map((event) =>
      event.replace(/"(id|created)":("[^"]*"|\d+)/g, "")
    );
  const alone = await told();
  let isOver = false;
  let left = 0;
  const others = Array.from({ length: 5 }, async (_, index) => {
    for (let seed = index; !isOver; seed += 5) {
      const other = await small.post("/v1/completions", { ...body, prompt: `The owl ${seed}`, seed });
      const reader = other.body?.getReader();
      for (let reads = seed % 4; reads > 0; reads--) await reader?.read();
      await reader?.cancel();
      left++;
      await pause(1);
    }
  });
  for (let round = 0; round < 6; round++) assertEquals(await told(), alone);
  isOver = true;
  await Promise.all(others);
  assertLess(10, left);
  assertEquals([small.server.open, small.lm.batcher.stats().running + small.lm.batcher.stats().paused], [0, 0]);
});
