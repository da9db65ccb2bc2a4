/**
 * What gateways and dashboards read: every series that vLLM's dashboards draw is there, the text is what Prometheus reads, the
 * gauges are the scheduler's truth at any moment, and writing them costs a moment, whatever is open.
 *
 * @module
 */
import { assert, assertEquals, assertLess, assertMatch } from "@std/assert";
import { after, before, describe, it } from "node:test";
import { serveStories, type SmallServer } from "./small-server.ts";

/** The series of vLLM's own Grafana dashboards, of 2025 and 2026, and of the contract of inference gateways. */
const drawn = [
  "e2e_request_latency_seconds_bucket",
  "e2e_request_latency_seconds_sum",
  "e2e_request_latency_seconds_count",
  "prompt_tokens_total",
  "generation_tokens_total",
  "time_per_output_token_seconds_bucket",
  "time_per_output_token_seconds_sum",
  "time_per_output_token_seconds_count",
  "inter_token_latency_seconds_bucket",
  "inter_token_latency_seconds_sum",
  "inter_token_latency_seconds_count",
  "num_requests_running",
  "num_requests_waiting",
  "time_to_first_token_seconds_bucket",
  "time_to_first_token_seconds_sum",
  "time_to_first_token_seconds_count",
  "kv_cache_usage_perc",
  "request_prompt_tokens_bucket",
  "request_prompt_tokens_sum",
  "request_generation_tokens_bucket",
  "request_generation_tokens_sum",
  "request_success_total",
  "request_queue_time_seconds_sum",
  "request_prefill_time_seconds_sum",
  "request_decode_time_seconds_sum",
  "request_max_num_generation_tokens_sum",
  "prefix_cache_queries_total",
  "prefix_cache_hits_total",
  "num_preemptions_total",
  "cache_config_info",
];

describe("figures of a server", () => {
  let small: SmallServer;
  before(async () => {
    small = await serveStories({}, { batchSequences: 4, queueMax: 1000 });
  });
  after(() => small[Symbol.asyncDispose]());
  const text = async () => await (await small.get("/metrics")).text();
  const value = (figures: string, name: string) =>
    Number(new RegExp(`^vllm:${name}\\{(?:[^}]*,)?model_name="stories"[^}]*\\} (\\S+)$`, "m").exec(figures)?.[1]);

  it("have every series that dashboards draw, with the model's name, as Prometheus reads them", async () => {
    const body = { prompt: "Once", n: 2, max_tokens: 5, seed: 1, logit_bias: { 2: -100 } };
    await (await small.post("/v1/completions", body)).json();
    const figures = await text();
    assertEquals(drawn.filter((name) => Number.isNaN(value(figures, name))), []);
    assertEquals(["prompt_tokens_total", "generation_tokens_total"].map((name) => value(figures, name)), [4, 10]);
    assertEquals(value(figures, "request_max_num_generation_tokens_sum"), 5);
    assertMatch(figures, /^vllm:request_success_total\{finished_reason="length",model_name="stories"\} 2$/m);
    const { total } = small.lm.batcher.stats().pages;
    assertMatch(figures, new RegExp(`^vllm:cache_config_info\\{block_size="32",num_gpu_blocks="${total}",`, "m"));
    const types = new Map([...figures.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name, type]));
    for (const line of figures.split("\n")) {
      if (line === "" || line.startsWith("# ")) continue;
      const sample = /^([a-z][\w:]*?)(_bucket|_sum|_count)?(?:\{((?:\w+="[^"]*",?)*)\})? (\S+)$/.exec(line);
      assert(sample && !Number.isNaN(Number(sample[4].replace("Inf", "Infinity"))), line);
      const [, name, suffix = ""] = sample;
      assert(types.has(name + suffix) || types.get(name) === "histogram", line);
    }
    for (const [name, type] of types) {
      if (type !== "histogram") continue;
      const counts = [...figures.matchAll(new RegExp(`^${name}_bucket\\{.*\\} (\\d+)$`, "gm"))].map(([, n]) =>
        Number(n)
      );
      assertEquals(counts, counts.toSorted((a, b) => a - b), name);
      assertEquals(
        counts.at(-1),
        Number(new RegExp(`^${name}_count(?:\\{.*\\})? (\\d+)$`, "m").exec(figures)?.[1]),
        name,
      );
    }
  });

  it("are what the scheduler says, at a hundred moments of a load", async () => {
    const seen = { moments: 0, running: 0, waiting: 0 };
    // The load lasts until it was looked at so often: on a busy machine most moments are over before their figures are written.
    let isOver = false;
    const work = Promise.all(Array.from({ length: 24 }, async (_, client) => {
      for (let seed = client; seed === client || !isOver; seed += 24) {
        const body = { prompt: `The hen ${seed}`, max_tokens: 60, seed, stream: true };
        await (await small.post("/v1/completions", body)).text();
      }
    }));
    const truth = () => {
      const { queued, running, pages, tokens, preemptions } = small.lm.batcher.stats();
      const names = ["num_requests_waiting", "num_requests_running", "kv_cache_usage_perc"];
      const values = [queued, running, pages.held / pages.total, tokens, preemptions];
      return [...names, "generation_tokens_total", "num_preemptions_total"].map((name, at) =>
        [name, values[at]] as const
      );
    };
    try {
      while (seen.moments < 100 || seen.running < 4 || seen.waiting < 10) {
        const known = truth();
        const figures = await text();
        const isSame = JSON.stringify(truth()) === JSON.stringify(known);
        // In the turns of the event loop that an answer takes, a step may end.
        if (isSame) {
          seen.moments++;
          for (const [name, expected] of known) assertEquals(value(figures, name), expected, name);
          seen.waiting = Math.max(seen.waiting, known[0][1]);
          seen.running = Math.max(seen.running, known[1][1]);
        }
        await new Promise((turn) => setTimeout(turn, 0));
      }
    } finally {
      isOver = true;
      await work;
    }
  });

  it("are written in a moment while five hundred requests are open", async () => {
    const body = { prompt: "The owl", max_tokens: 40, stream: true };
    const open = await Promise.all(Array.from({ length: 500 }, () => small.post("/v1/completions", body)));
    assertEquals(small.server.open, 500);
    let least = Infinity;
    for (let tries = 0; tries < 20; tries++) {
      const begin = performance.now();
      await text();
      least = Math.min(least, performance.now() - begin);
    }
    await Promise.all(open.map((response) => response.body?.cancel()));
    assertLess(least, 50); // 2 on a machine that does nothing else
  });
});
