/**
 * Samplers from outside: settings, what contradicts itself, state, bad input, log probabilities, reports. That they choose
 * what the books say is in `sampling.test.ts`.
 *
 * @module
 */
import { assert, assertAlmostEquals, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { describe, it } from "node:test";
import { InvalidArgumentError, LightGPTError } from "../ffi/errors.ts";
import { diversity } from "../src/sampling/diversity.ts";
import type { SamplingOptions } from "../src/sampling/options.ts";
import { resolveSampling } from "../src/sampling/resolve.ts";
import { Sampler } from "../src/sampling/sampler.ts";
import { TokenMask } from "../src/sampling/mask.ts";

const refused = (options: unknown, text: string) =>
  assertThrows(() => new Sampler(options as SamplingOptions), InvalidArgumentError, text);

function numbersOf(options: SamplingOptions) {
  return Object.fromEntries(
    resolveSampling(options).steps.map(({ method, count, numbers }) => [
      method,
      [count, ...numbers],
    ]),
  );
}

describe("sampling settings", () => {
  it("have defaults, and a random seed that is told", () => {
    const defaults = {
      topK: [40, 0, 0, 0],
      topP: [0, Math.fround(0.95), 0, 0],
      temperature: [0, Math.fround(0.8), 0, 0],
    };
    assertEquals(numbersOf({}), defaults);
    const { seed } = new Sampler();
    assert(Number.isSafeInteger(seed) && Number(seed) >= 0);
    assertNotEquals(new Sampler().seed, seed);
    assertEquals([new Sampler({ seed: 7 }).seed, new Sampler({ seed: 1n << 60n }).seed], [7, 1n << 60n]);
  });

  it("reach native code as it can hold them", () => {
    assertEquals(numbersOf({ temperature: 1, topK: 0, topP: 1 }), {});
    assertEquals(numbersOf({ temperature: 0, topK: 2 ** 32 - 1, topP: 1 }), {
      topK: [2 ** 32 - 1, 0, 0, 0],
      temperature: [0, 0, 0, 0],
    });
    const least = numbersOf({ temperature: 1e-300, topP: 1e-300, minP: 1e-300, typicalP: 1e-300 });
    for (const name of ["temperature", "topP", "minP", "typicalP"]) assert(least[name][1] > 0, `${name} is not 0`);
    assertEquals(numbersOf({ temperature: 1e9 }).temperature, [0, 1e9, 0, 0]);
    assertEquals(resolveSampling({ seed: 2n ** 64n - 1n }).seed, 2n ** 64n - 1n);
  });

  it("run in llama.cpp's order, or in another", () => {
    const all: SamplingOptions = {
      penalties: { repetition: 1.1 },
      dry: { multiplier: 1 },
      topNSigma: 1,
      typicalP: 0.9,
      minP: 0.1,
      xtc: { probability: 0.5 },
    };
    const order = ["penalties", "dry", "topNSigma", "topK", "typicalP", "topP", "minP", "xtc", "temperature"] as const;
    assertEquals(resolveSampling(all).steps.map(({ method }) => method), [...order]);
    const turned = order.toReversed();
    assertEquals(resolveSampling({ ...all, order: turned }).steps.map(({ method }) => method), turned);
    assertEquals(Object.keys(numbersOf({ order: ["topP"] })), ["topP"]);
    assertEquals(Object.keys(numbersOf({ mirostat: {} })), ["temperature", "mirostat"]);
  });

  it("are refused by name when they mean nothing", () => {
    const wrong: [string, unknown[]][] = [
      ["temperature", [-1, NaN, Infinity, 1e300, "1", null]],
      ["topK", [-1, 1.5, NaN, 2 ** 32, "40", 4n]],
      ["topP", [0, -0.1, 1.01, NaN, "0.9", null]],
      ["typicalP", [0, -0.1, 1.01, NaN, "0.9", null]],
      ["minP", [-0.1, 1.01, NaN, "0.9", null]],
      ["topNSigma", [-1, NaN, Infinity, "1", null]],
      ["minKeep", [0, -1, 1.5, NaN, "1"]],
      ["seed", [-1, 1.5, NaN, 2 ** 53, 2n ** 64n, -1n, "1", null]],
      ["allowed", [[], 7, "1", new Uint32Array(1), null]],
      ["banned", [7, "1", null]],
      ["bias", [7, [1], null]],
      ["order", ["topK", 7, null]],
    ];
    for (const [name, values] of wrong) {
      for (const value of values) {
        const error = assertThrows(
          () => new Sampler({ [name]: value }),
          InvalidArgumentError,
          name,
          `${name} ${String(value)}`,
        );
        assertEquals(error.detail.where, name);
      }
    }
    refused({ top_k: 4 }, 'unknown option "top_k"');
    refused(7, "sampling: expected an object");
    refused([], "sampling: expected an object");
    refused({ order: ["topQ"] }, "order[0]");
    refused({ order: ["topK", "topK"] }, "topK twice");
    refused({ allowed: [1.5] }, "allowed[0]");
    refused({ banned: [-1] }, "banned[0]");
    for (const bias of [{ 1: NaN }, { 1: Infinity }, { 1: "x" }, { x: 1 }, new Map([[-1, 1]])]) {
      refused({ bias }, "bias");
    }
    refused({ xtc: {} }, "xtc.probability");
    refused({ xtc: { probability: 0.5, threshold: 0.51 } }, "xtc.threshold");
    refused({ penalties: { repetition: 0 } }, "penalties.repetition");
    refused({ penalties: { presense: 1 } }, 'unknown option "presense"');
    refused({ penalties: { frequency: 1, window: 0 } }, "penalties.window");
    refused({ dry: {} }, "dry.multiplier");
    refused({ dry: { multiplier: 1, base: 0.5 } }, "dry.base");
    refused(
      { dry: { multiplier: 1, breakers: ["x"] } },
      "dry.breakers[0]: expected a token id, for no vocabulary is known",
    );
    refused({ dynamicTemperature: { exponent: 1 } }, "dynamicTemperature.range");
    refused({ mirostat: { tau: -1 } }, "mirostat.tau");
  });

  it("that contradict one another are refused", () => {
    for (
      const [name, value] of Object.entries({
        topK: 40,
        topP: 0.9,
        minP: 0.1,
        typicalP: 0.9,
        topNSigma: 1,
        xtc: { probability: 1 },
      })
    ) {
      refused({ mirostat: {}, [name]: value }, `mirostat: expected no ${name}`);
    }
    refused({ mirostat: {}, temperature: 0 }, "mirostat");
    refused({ temperature: 0, dynamicTemperature: { range: 1 } }, "dynamicTemperature");
    refused({ order: ["topP", "temperature"], topK: 40 }, "order");
    refused({ order: ["topP", "temperature"], penalties: { presence: 1 } }, "order");
    refused({ order: ["mirostat", "temperature"], mirostat: {} }, "mirostat at the end");
    refused({ penalties: { window: 100 } }, "penalties");
    refused({ bias: { 3: 1 }, banned: [3] }, "bias of token 3");
    refused({ bias: { 3: 1 }, banned: new TokenMask(10, [3]) }, "bias of token 3");
    new Sampler({ mirostat: {}, topK: 0, topP: 1, penalties: { presence: 1 } });
  });
});

const greedy = new Sampler({ temperature: 0 });

describe("logits", () => {
  it("with a NaN are refused by its index, greedy too", () => {
    for (const sampler of [greedy, new Sampler(), new Sampler({ banned: [70] }), new Sampler({ topK: 0, topP: 1 })]) {
      for (const at of [0, 17, 70, 99]) {
        const logits = new Float32Array(100);
        logits[at] = NaN;
        const error = assertThrows(() => sampler.sample(logits), LightGPTError, `logits[${at}]`);
        assertEquals([error.code, error.detail.where], ["nonFinite", `logits[${at}]`]);
      }
    }
  });

  it("of infinity win, of -infinity are banned, and some must be left", () => {
    const logits = new Float32Array(1000).fill(-Infinity);
    for (const sampler of [greedy, new Sampler(), new Sampler({ mirostat: {} }), new Sampler({ order: [] })]) {
      const error = assertThrows(() => sampler.sample(logits), InvalidArgumentError, "no token that may be chosen");
      assertEquals(error.detail.where, "logits");
    }
    logits[500] = -3e38;
    for (const sampler of [greedy, new Sampler(), new Sampler({ order: [] })]) {
      assertEquals(sampler.sample(logits), 500);
    }
    logits[700] = logits[900] = Infinity;
    for (const sampler of [greedy, new Sampler(), new Sampler({ order: [] })]) {
      assertEquals(sampler.choose(logits, 1), { token: 700, logprob: 0, top: [] });
    }
    assertEquals(new Sampler({ banned: [700], temperature: 0 }).sample(logits), 900);
    assertEquals(new Sampler({ bias: { 700: -Infinity }, temperature: 0 }).sample(logits), 900);
    assertThrows(() => new Sampler({ banned: [1], allowed: [1] }).sample(logits), InvalidArgumentError, "no token");
  });

  it("must be floats that native code may use", () => {
    const detached = new Float32Array(8);
    structuredClone(detached.buffer, { transfer: [detached.buffer] });
    const wrong: [unknown, string][] = [
      [new Float32Array(0), "1 to 4194304"],
      [[1, 2], "got Array"],
      [new Float64Array(2), "got Float64Array"],
      [new Uint32Array(2), "got Uint32Array"],
      [undefined, "got undefined"],
      [null, "got null"],
      [7, "got 7"],
      [new Float32Array(new SharedArrayBuffer(8)), "shared"],
      [new Float32Array(new ArrayBuffer(8, { maxByteLength: 16 })), "resizable"],
      [detached, "detached"],
      [Object.create(Float32Array.prototype), "got"],
    ];
    for (const [logits, text] of wrong) {
      assertThrows(() => greedy.sample(logits as Float32Array), Error, text);
      assertThrows(() => greedy.distribution(logits as Float32Array), Error);
      assertThrows(() => greedy.choose(logits as Float32Array), Error);
    }
    assertEquals(greedy.sample(new Float32Array(new ArrayBuffer(400), 12, 3)), 0, "an odd place is fine");
    for (const batch of [undefined, 7, new Float32Array(2)]) {
      assertThrows(() => greedy.sampleMany(batch as unknown as Float32Array[]), InvalidArgumentError, "batch");
    }
  });

  it("must have the tokens that the settings and the history name", () => {
    const logits = new Float32Array(10);
    const cases: [Sampler, string][] = [
      [new Sampler({ bias: { 10: 1 } }), "token 10"],
      [new Sampler({ banned: [3, 10] }), "banned"],
      [new Sampler({ allowed: [10] }), "allowed"],
      [new Sampler({ allowed: new TokenMask(11) }), "a mask of 10 tokens"],
      [new Sampler({ penalties: { presence: 1 } }).accept(10), "token 10"],
    ];
    for (const [sampler, text] of cases) assertThrows(() => sampler.sample(logits), InvalidArgumentError, text);
    for (const token of [-1, 1.5, NaN, "1", 2 ** 22]) {
      assertThrows(() => greedy.accept(token as number), InvalidArgumentError, "token");
    }
    assertThrows(() => greedy.choose(logits, 21), InvalidArgumentError, "top");
  });

  it("stay as they are", () => {
    const logits = Float32Array.from({ length: 500 }, (_, id) => Math.sin(id));
    const before = logits.slice();
    new Sampler({ bias: { 3: 5 }, banned: [4], penalties: { presence: 1 } }).accept(7).sample(logits);
    assertEquals(logits, before);
  });

  it("may have one token only, or a temperature or k of any size", () => {
    assertEquals(new Sampler({ mirostat: {} }).sample(Float32Array.of(-7)), 0);
    const logits = Float32Array.of(1, 3, 2);
    assertEquals(new Sampler({ temperature: 1e-9 }).sample(logits), 1);
    assertEquals(new Sampler({ temperature: 1e9, topK: 2 ** 32 - 1, topP: 1 }).distribution(logits).length, 3);
    assertEquals(greedy.sample(Float32Array.of(0, -0, 0)), 0, "ties go to the lower id");
  });
});

describe("a sampler's state", () => {
  const logits = Float32Array.from({ length: 300 }, (_, id) => 2 * Math.sin(id * 7));
  const options: SamplingOptions = { penalties: { presence: 0.5, window: 5 }, mirostat: { tau: 3 }, seed: 11 };
  const run = (sampler: Sampler, count: number) =>
    Array.from({ length: count }, () => {
      const token = sampler.sample(logits);
      sampler.accept(token);
      return token;
    });

  it("can be copied, and goes back to the beginning", () => {
    const sampler = new Sampler(options);
    const first = run(sampler, 20);
    assertEquals(run(new Sampler(options), 20), first);
    assertNotEquals(run(new Sampler({ ...options, seed: 12 }), 20), first);
    const copy = sampler.clone();
    const next = run(sampler, 20);
    assertEquals(run(copy, 20), next);
    assertEquals(copy.report(), sampler.report());
    sampler.reset();
    assertEquals(run(sampler, 20), first);
    assertEquals(sampler.seed, 11);
  });

  it("counts what is in the window and nothing else", () => {
    const sampler = new Sampler({ penalties: { frequency: 1, window: 3 }, temperature: 0 });
    const flat = Float32Array.of(10, 9.5, 0, 0);
    for (const [accepted, chosen] of [[0, 1], [1, 0], [0, 1], [3, 0], [3, 1], [3, 0]]) {
      assertEquals(sampler.accept(accepted).sample(flat), chosen);
    }
  });

  it("draws anew for each choice, of a batch too, and tells the distribution without drawing", () => {
    const sampler = new Sampler({ seed: 5, topK: 0, topP: 1 });
    const batch = sampler.clone().sampleMany(Array.from({ length: 50 }, () => logits));
    assertEquals(Array.from({ length: 50 }, () => (sampler.distribution(logits), sampler.sample(logits))), [...batch]);
    assert(new Set(batch).size > 20);
  });

  it("reads a mask at each choice", () => {
    const allowed = new TokenMask(300, [1]);
    const sampler = new Sampler({ allowed, banned: [5] });
    assertEquals(sampler.sample(logits), 1);
    allowed.delete(1).add(2).add(5);
    assertEquals([allowed.has(1), allowed.has(2)], [false, true]);
    assertEquals(sampler.sample(logits), 2);
    allowed.fill(true);
    assertEquals(new Sampler({ allowed, topK: 0, topP: 1 }).distribution(logits).length, 300);
    assertThrows(() => allowed.add(300), InvalidArgumentError, "0 to 299");
    assertThrows(() => new TokenMask(0), InvalidArgumentError, "vocabularySize");
  });

  it("tells log probabilities of the model, before any method", () => {
    const sampler = new Sampler({ banned: [2], temperature: 0 });
    const { token, logprob, top } = sampler.choose(Float32Array.of(0, Math.log(2), Math.log(5), -Infinity), 20);
    assertEquals([token, ...top.map(({ token }) => token)], [1, 2, 1, 0]);
    assertAlmostEquals(logprob, Math.log(2 / 8), 1e-6);
    for (const [index, share] of [5 / 8, 2 / 8, 1 / 8].entries()) {
      assertAlmostEquals(top[index].logprob, Math.log(share), 1e-6);
    }
  });

  it("reports what each method did", () => {
    const sampler = new Sampler({ topK: 10, topP: 1, minP: 0.99, temperature: 1 });
    for (let i = 0; i < 3; i++) sampler.sample(logits);
    const [topK, minP] = sampler.report();
    assertEquals(topK, { method: "topK", runs: 3, effective: 3, removed: 3 * 290, left: 30 });
    assertEquals([minP.method, minP.runs, minP.removed + minP.left], ["minP", 3, 30]);
  });
});

describe("diversity", () => {
  it("measures repetition and entropy", () => {
    const { distinct1, distinct2, distinct3, entropy, repetition } = diversity([1, 2, 1, 2, 1, 2, 1, 2]);
    assertEquals([distinct1, distinct2, distinct3, entropy, repetition], [2 / 8, 2 / 7, 2 / 6, 1, 1 - 2 / 5]);
    assertEquals(diversity(Uint32Array.of(5, 6, 7, 8, 9)).repetition, 0);
    assertEquals(diversity([]), { distinct1: 1, distinct2: 1, distinct3: 1, entropy: 0, repetition: 0 });
    for (const wrong of [null, 7, [1.5], [-1], ["x"]]) {
      assertThrows(() => diversity(wrong as number[]), InvalidArgumentError, "tokens");
    }
  });
});
