/**
 * What a choice costs, through `Sampler`, checks included: the settings people use, on two kinds of logits. On Bun, where
 * `npm run bench` has installed the peer, llama.cpp's sampler runs beside it on the same logits.
 *
 *     bun bench/sampling.ts [PART OF A NAME]        deno run -A bench/sampling.ts [PART OF A NAME]
 *
 * @module
 */
import { bench, do_not_optimize, run, summary } from "mitata";
import process from "node:process";
import { LightGPT, Sampler, type SamplingOptions } from "../mod.ts";

/** Random numbers that are the same in every run. */
function uniform(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
}

/** N(0, 1) x 3. */
function normal(size: number): Float32Array {
  const next = uniform(1);
  return Float32Array.from(
    { length: size },
    () => 3 * Math.sqrt(-2 * Math.log(next())) * Math.cos(2 * Math.PI * next()),
  );
}

/** The embedded model's logits, at even distances; between them tokens as unlikely as the less likely half. */
function spread(logits: Float32Array, size: number): Float32Array {
  const unlikely = logits.toSorted().subarray(0, logits.length / 2);
  const next = uniform(2);
  const large = Float32Array.from({ length: size }, () => unlikely[Math.floor(next() * unlikely.length)]);
  for (const [id, logit] of logits.entries()) large[Math.floor(id * size / logits.length)] = logit;
  return large;
}

await using lm = await LightGPT.load();
const real = await lm.logits(lm.tokenize("Once upon a time, there was a"));
const off = { topK: 0, topP: 1, temperature: 1, seed: 1 };
const settings: Record<string, SamplingOptions> = {
  "top-k 40, top-p 0.95, temperature 0.8": { seed: 1 },
  "top-p 0.9": { ...off, topP: 0.9 },
  "temperature 0.8": { ...off, temperature: 0.8 },
  greedy: { temperature: 0 },
  "all at once, 256 tokens of history": {
    seed: 1,
    topNSigma: 3,
    typicalP: 0.95,
    minP: 0.05,
    xtc: { probability: 0.5 },
    penalties: { repetition: 1.1, frequency: 0.1, presence: 0.1, window: 256 },
    dry: { multiplier: 0.8 },
  },
};
const filter = process.argv[2] ?? "";
const peer = process.versions.bun === undefined
  ? undefined
  : await import("./peers/sampler.mjs").catch(() => undefined);

for (const size of [32_000, 128_256, 151_936]) {
  for (const [kind, logits] of Object.entries({ normal: normal(size), real: spread(real, size) })) {
    for (const [name, options] of Object.entries(settings)) {
      const title = `${name}; ${kind}, ${size}`;
      if (!title.includes(filter)) continue;
      const sampler = new Sampler(options);
      const next = uniform(3);
      for (let i = 0; i < 256; i++) sampler.accept(Math.floor(next() * size));
      summary(() => {
        bench(title, () => do_not_optimize(sampler.sample(logits))).baseline(true);
        const other = peer?.sampler(options, logits);
        if (other) bench(`llama.cpp ${title}`, () => do_not_optimize(other()));
      });
    }
  }
}
const two = Float32Array.of(1, 2);
const smallest = new Sampler({ temperature: 0 });
if ("the way down and back".includes(filter)) {
  bench("the way down and back: two logits, greedy", () => do_not_optimize(smallest.sample(two)));
}

await run();
