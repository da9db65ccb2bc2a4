/**
 * The native sampler against the book: chains of all methods on random and tied logits give the same candidates and the same
 * token; what is drawn follows the probabilities.
 *
 * @module
 */
import { assertEquals, assertLess } from "@std/assert";
import { describe, it } from "node:test";
import type { SamplingMethod, SamplingOptions } from "../src/sampling/options.ts";
import { resolveSampling } from "../src/sampling/resolve.ts";
import { Sampler } from "../src/sampling/sampler.ts";
import { byTheBook } from "./sampling-reference.ts";

/** Random numbers that every run and both runtimes share. */
class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** From 0 to below 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(this.#state ^ this.#state >>> 15, 1 | this.#state);
    x = x + Math.imul(x ^ x >>> 7, 61 | x) ^ x;
    return ((x ^ x >>> 14) >>> 0) / 2 ** 32;
  }

  below(n: number): number {
    return Math.floor(this.next() * n);
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)];
  }

  /** Nearly normal. */
  normal(): number {
    let sum = -6;
    for (let i = 0; i < 12; i++) sum += this.next();
    return sum;
  }
}

function logitsOf(random: Random, size: number, round: number): Float32Array {
  const spread = random.pick([0.01, 1, 3, 30]);
  return Float32Array.from({ length: size }, () => {
    if (round % 4 === 1) return Math.round(random.normal() * 2);
    if (round % 4 === 2 && random.next() < 0.3) return -Infinity;
    return random.normal() * spread;
  });
}

const cutsOf: Record<string, (random: Random, size: number) => unknown> = {
  topK: (random, size) => random.pick([1, 2, 5, 40, 1 + random.below(size), 2 * size]),
  topP: (random) => random.pick([1e-9, 0.3, 0.9, 0.95, 0.999999, random.next() || 1]),
  typicalP: (random) => random.pick([1e-9, 0.3, 0.9, 0.95, random.next() || 1]),
  minP: (random) => random.pick([1e-9, 0.01, 0.05, 0.5, 1, random.next()]),
  topNSigma: (random) => 0.01 + 3 * random.next(),
  xtc: (random) => ({ probability: random.pick([0.5, 1]), threshold: random.next() / 2 * random.next() }),
};

/** Any settings that go together. */
function optionsOf(random: Random, size: number, round: number): SamplingOptions {
  const seed = BigInt(random.below(2 ** 32)) << 32n | BigInt(random.below(2 ** 32));
  const options: Record<string, unknown> = { seed };
  const mirostat = round % 5 === 0;
  for (const [name, make] of Object.entries(cutsOf)) {
    if (!mirostat && random.next() < 0.5) options[name] = make(random, size);
  }
  if (mirostat) options.mirostat = { tau: 6 * random.next(), eta: random.next() };
  options.temperature = random.pick(mirostat ? [0.5, 1, 2] : [0, 1e-9, 0.3, 0.8, 1, 2, 1e9]);
  if (options.temperature as number > 0 && random.next() < 0.3) {
    options.dynamicTemperature = { range: random.next(), exponent: random.pick([1, 0.5, 2]) };
  }
  if (random.next() < 0.5) {
    options.penalties = {
      repetition: 0.5 + random.next(),
      frequency: random.next() - 0.3,
      presence: random.next() - 0.3,
      window: 1 + random.below(40),
    };
  }
  if (random.next() < 0.5) {
    options.dry = {
      multiplier: random.next(),
      base: 1 + random.next(),
      allowedLength: 1 + random.below(3),
      window: random.pick([5, 20, 100]),
      breakers: random.next() < 0.5 ? [] : [random.below(8)],
    };
  }
  if (random.next() < 0.2) options.minKeep = 1 + random.below(20);
  const some = () => Array.from({ length: 1 + random.below(8) }, () => random.below(size));
  if (random.next() < 0.2) options.bias = new Map(some().map((id) => [id, random.pick([-Infinity, 3, -2.5])]));
  if (random.next() < 0.2 && options.bias === undefined) options.banned = some();
  if (random.next() < 0.1) options.allowed = Array.from({ length: size }, (_, id) => id).filter((id) => id % 3 < 2);
  if (!mirostat && random.next() < 0.5) {
    const order: SamplingMethod[] = [
      "penalties",
      "dry",
      "topNSigma",
      "topK",
      "typicalP",
      "topP",
      "minP",
      "xtc",
      "temperature",
    ];
    options.order = order.map((method) => ({ method, key: random.next() })).sort((a, b) => a.key - b.key).map((x) =>
      x.method
    );
  }
  return options;
}

function compare(random: Random, size: number, round: number): void {
  const options = optionsOf(random, size, round);
  const logits = logitsOf(random, size, round);
  const history = Array.from({ length: random.below(60) }, () => random.below(Math.min(size, 8)));
  const sampler = new Sampler(options);
  for (const token of history) sampler.accept(token);
  const sampling = resolveSampling(options);
  let { mu } = sampling;
  for (let choice = 0; choice < 2; choice++) {
    const expected = byTheBook(sampling, logits, { history, choice, mu });
    if (expected === undefined) return;
    const where = `round ${round}, ${size} logits, choice ${choice}`;
    const found = sampler.distribution(logits);
    assertEquals(new Map(found.map(({ token, probability }) => [token, probability])), expected.candidates, where);
    assertEquals(sampler.sample(logits), expected.token, where);
    mu = expected.mu;
    sampler.accept(expected.token);
    history.push(expected.token);
  }
}

describe("the native sampler chooses as the book says", () => {
  it("from few tokens, in any order of methods", () => {
    const random = new Random(1);
    for (let round = 0; round < 500; round++) compare(random, 1 + random.below(120), round);
  });

  it("from many tokens", () => {
    const random = new Random(2);
    for (let round = 0; round < 60; round++) compare(random, 500 + random.below(4000), round);
  });
});

/** Below it lies all but 1/1000 of a chi-square distribution (Wilson and Hilferty, 1931). */
function critical(degrees: number): number {
  const v = 2 / (9 * degrees);
  return degrees * (1 - v + 3.0902 * Math.sqrt(v)) ** 3;
}

describe("drawn frequencies pass a chi-square test", () => {
  const logits = Float32Array.from({ length: 200 }, (_, id) => 3 * Math.sin(id * id));
  const draws = 100_000;
  const settings: SamplingOptions[] = [
    { temperature: 1, topK: 0, topP: 1 },
    { temperature: 1.5, topK: 20, topP: 0.95 },
    { temperature: 0.7, topK: 0, topP: 0.8, minP: 0.02 },
    { temperature: 1, topK: 0, topP: 1, typicalP: 0.7 },
  ];
  for (const [index, options] of settings.entries()) {
    it(`with settings ${index}`, () => {
      const sampler = new Sampler({ ...options, seed: 1000 + index });
      const expected = sampler.distribution(logits);
      const counts = new Float64Array(logits.length);
      for (let i = 0; i < draws; i++) counts[sampler.sample(logits)]++;
      let chi = 0;
      let rare = { expected: 0, found: 0 };
      let degrees = -1;
      const add = (mean: number, found: number) => {
        chi += (found - mean) ** 2 / mean;
        degrees++;
      };
      for (const { token, probability } of expected) {
        if (probability * draws >= 10) add(probability * draws, counts[token]);
        else rare = { expected: rare.expected + probability * draws, found: rare.found + counts[token] };
      }
      if (rare.expected > 0) add(rare.expected, rare.found);
      assertEquals(counts.reduce((a, b) => a + b), draws);
      assertEquals(expected.reduce((sum, { token }) => sum + counts[token], 0), draws);
      assertLess(chi, critical(degrees));
    });
  }
});
