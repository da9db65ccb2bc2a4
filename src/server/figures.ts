/**
 * The figures of a server: those of each model by its name, what requests came to, and the same under the names that vLLM
 * gives them, which dashboards and gateways know.
 *
 * @module
 */
import { partsOf } from "../batching/batcher.ts";
import { expositionText, type Family, histogramSamples } from "../measuring/metrics/exposition.ts";
import { familiesOf, inSeconds, prefix } from "../measuring/metrics/prometheus.ts";
import { chooseMetrics } from "../measuring/metrics/table.ts";
import { LightGPT } from "../lightgpt/lightgpt.ts";
import type { ModelPool, Outcome } from "./types.ts";

/** Bounds of the histograms: seconds, and tokens; both grow about threefold. */
const secondBounds = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000];
const tokenBounds = [1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000];

/** Counts numbers by their size. */
class Counted {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  sum = 0;
  count = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Array(bounds.length + 1).fill(0);
  }

  add(value: number): void {
    const bucket = this.#bounds.findIndex((most) => value <= most);
    this.#counts[bucket < 0 ? this.#bounds.length : bucket]++;
    this.sum += value;
    this.count++;
  }

  get buckets(): { readonly most: number; readonly count: number }[] {
    return this.#counts.map((count, index) => ({ most: this.#bounds[index] ?? Infinity, count }));
  }
}

/** What came of the requests to one model. */
class Ends {
  readonly seconds = new Counted(secondBounds);
  readonly promptTokens = new Counted(tokenBounds);
  readonly tokens = new Counted(tokenBounds);
  readonly longest = new Counted(tokenBounds);
  readonly reasons = new Map<string, number>();
}

/** Counts what requests came to. */
export class Figures {
  readonly #statuses = new Map<number, number>();
  readonly #ends = new Map<string, Ends>();

  /** Counts a request that has ended. */
  add({ status, model, promptTokens = 0, tokens = 0, longest = 0, reasons = [] }: Outcome, ms: number): void {
    this.#statuses.set(status, (this.#statuses.get(status) ?? 0) + 1);
    if (model === undefined || (reasons.length === 0 && status === 200)) return;
    const ends = this.#endsOf(model);
    for (const reason of reasons.length > 0 ? reasons : [status === 499 ? "abort" : "error"]) {
      ends.reasons.set(reason, (ends.reasons.get(reason) ?? 0) + 1);
    }
    if (status !== 200) return;
    ends.seconds.add(ms / 1000);
    ends.promptTokens.add(promptTokens);
    ends.tokens.add(tokens);
    ends.longest.add(longest);
  }

  /** All figures as Prometheus reads them. */
  text(models: ModelPool): string {
    const statuses = [...this.#statuses].map(([status, value]) => ({ labels: { status: `${status}` }, value }));
    const requests: Family = {
      name: `${prefix}http_requests_total`,
      help: "Requests that have ended, by the status of the answer; 499 where the client left.",
      kind: "counter",
      samples: statuses,
    };
    return expositionText([
      requests,
      ...models.list.flatMap(({ name, served }) =>
        served?.lm instanceof LightGPT ? this.#familiesOf(name, served.lm) : []
      ),
    ]);
  }

  #endsOf(model: string): Ends {
    const known = this.#ends.get(model);
    if (known !== undefined) return known;
    const ends = new Ends();
    this.#ends.set(model, ends);
    return ends;
  }

  #familiesOf(name: string, lm: LightGPT): Family[] {
    const report = lm.metrics.report();
    const labels = { model_name: name };
    const { seconds, promptTokens, tokens, longest, reasons } = this.#endsOf(name);
    const { pageSize } = partsOf(lm.batcher).scheduler.store.pool;
    const pages = { block_size: `${pageSize}`, num_gpu_blocks: `${report.kv.pages}` };
    const one = (kind: "counter" | "gauge", suffix: string, help: string, value: number): Family => (
      { name: `vllm:${suffix}`, help, kind, samples: [{ labels, value }] }
    );
    const many = (suffix: string, help: string, counted: Parameters<typeof histogramSamples>[0]): Family => (
      { name: `vllm:${suffix}`, help, kind: "histogram", samples: histogramSamples(counted, labels) }
    );
    return [
      ...familiesOf(chooseMetrics(), report, labels),
      one("gauge", "num_requests_running", "Requests with a place in the batch.", report.running),
      one("gauge", "num_requests_waiting", "Requests without a place.", report.queued),
      one("gauge", "kv_cache_usage_perc", "Share of the KV pages that are held, 0 to 1.", report.kv.use),
      one("counter", "prompt_tokens_total", "Tokens of prompts, those of the cache included.", promptTokens.sum),
      one("counter", "generation_tokens_total", "Tokens chosen.", report.tokens),
      one("counter", "prefix_cache_queries_total", "Tokens asked of the cache.", report.cache?.tokensAsked ?? 0),
      one("counter", "prefix_cache_hits_total", "Tokens found in the cache.", report.cache?.tokensSaved ?? 0),
      one("counter", "num_preemptions_total", "Requests that gave up their pages.", report.preemptions),
      many("time_to_first_token_seconds", "From a request to its first token.", inSeconds(report.firstTokenMs)),
      many("inter_token_latency_seconds", "From a token to the next.", inSeconds(report.betweenTokensMs)),
      many("time_per_output_token_seconds", "The same by its older name.", inSeconds(report.betweenTokensMs)),
      many("request_queue_time_seconds", "Until a request had its place in the batch.", inSeconds(report.queueMs)),
      many("request_prefill_time_seconds", "From its place to its first token.", inSeconds(report.prefillMs)),
      many("request_decode_time_seconds", "From its first token to its last.", inSeconds(report.decodeMs)),
      many("e2e_request_latency_seconds", "From a request to its end.", seconds),
      many("request_prompt_tokens", "Tokens of the prompts of a request.", promptTokens),
      many("request_generation_tokens", "Tokens generated for a request.", tokens),
      many("request_max_num_generation_tokens", "Tokens of the longest answer of a request.", longest),
      {
        name: "vllm:cache_config_info",
        help: "Positions of a KV page, and the pages.",
        kind: "gauge",
        samples: [{ labels: { ...pages, ...labels }, value: 1 }],
      },
      {
        name: "vllm:request_success_total",
        help: "Answers by why they ended; abort where the client left.",
        kind: "counter",
        samples: [...reasons].map(([reason, value]) => ({ labels: { finished_reason: reason, ...labels }, value })),
      },
    ];
  }
}
