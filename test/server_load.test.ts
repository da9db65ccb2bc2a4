/**
 * More requests than there is room for: the refused ones hear when to come again, in time; and what a server owes those that wait:
 * their order, and that another's leaving changes nothing for them.
 *
 * @module
 */
import { assert, assertEquals, assertLess, assertThrows } from "@std/assert";
import { it } from "node:test";
import { QueueFullError } from "../mod.ts";
import { eventsOf, serveStories } from "./small-server.ts";

const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));

it("a request that finds the queue full is told when to come again, as the batcher tells it, and is served in the end", async () => {
  await using small = await serveStories({}, { batchSequences: 2, queueMax: 4, cache: false });
  const body = (seed: number) => ({ prompt: "The fox", max_tokens: 40, seed, stream: true });
  // Readers that do not read on fill the queue.
  const lazy = Array.from(
    { length: 4 },
    () => small.lm.batcher.submit({ prompt: "The hen", sampling: { temperature: 0 } }),
  );
  while (small.lm.batcher.stats().paused < 4) await pause(1);
  const before = performance.now();
  const refused = await small.post("/v1/completions", body(0));
  const ms = Number(refused.headers.get("retry-after-ms"));
  assertEquals([refused.status, Number(refused.headers.get("retry-after"))], [429, Math.ceil(ms / 1000)]);
  const { error } = await refused.json();
  assertEquals([error.code, error.type], ["queue_full", "rate_limit_error"]);
  // One that is refused after it is told a later time.
  const later = assertThrows(() => small.lm.batcher.submit({ prompt: "The owl" }), QueueFullError);
  assert(ms >= 1 && performance.now() + later.retryAfterMs > before + ms - 1, `${ms}, then ${later.retryAfterMs}`);
  let refusals = 0;
  /** A client that comes again when it is told to. */
  const client = async (seed: number) => {
    for (let answers = 0; answers < 4;) {
      const response = await small.post("/v1/completions", body(seed + 100 * answers));
      const text = await response.text();
      if (response.status === 200) {
        assert(text.endsWith("data: [DONE]\n\n"), text.slice(-100));
        answers++;
        continue;
      }
      refusals++;
      const told = Number(response.headers.get("retry-after-ms"));
      assert(response.status === 429 && told >= 1, `${response.status}: ${text}`);
      await pause(told);
    }
  };
  const clients = Promise.all(Array.from({ length: 9 }, (_, seed) => client(seed)));
  while (refusals < 9) await Promise.race([pause(1), clients]);
  for (const pieces of lazy) await pieces[Symbol.asyncDispose]();
  await clients;
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
