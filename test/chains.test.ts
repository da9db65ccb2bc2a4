/**
 * Chained steps: tokens, log probabilities and reports are those of steps that are taken one by one, over all samplers and
 * mixes; and each thing that ends a chain ends it where it would end without one.
 *
 * @module
 */
import { assert, assertEquals, assertGreater, assertLessOrEqual, assertRejects } from "@std/assert";
import { after, before, describe, it } from "node:test";
import {
  Batcher,
  type BatcherOptions,
  ClosedError,
  type Completion,
  type GenerateOptions,
  InvalidArgumentError,
  LightGPTError,
  Model,
  type Piece,
  TokenMask,
} from "../mod.ts";
import { partsOf } from "../src/batching/batcher.ts";
import { embeddedModel } from "../src/files/embedded.ts";
import { turn } from "../ffi/runtime/builtins.ts";
import { Engine } from "../src/engine/engine.ts";
import { Matcher } from "../src/grammar/matcher.ts";
import { StepTimes } from "../src/engine/step_times.ts";

/** Tokens of the embedded model. */
const vocabulary = 2048;

const requests: readonly GenerateOptions[] = [
  { sampling: { seed: 0, temperature: 0 }, logprobs: 3 },
  { sampling: { seed: 1, temperature: 1.2, topK: 0 }, logprobs: 0 },
  { sampling: { seed: 2, typicalP: 0.8, minP: 0.01, xtc: { probability: 0.5, threshold: 0.1 } } },
  { sampling: { seed: 3, temperature: 2, penalties: { repetition: 1.3, frequency: 0.2, window: 16 } }, logprobs: 2 },
  { sampling: { seed: 4, dry: { multiplier: 0.8 }, bias: { 400: 2 }, banned: [301] } },
  { sampling: { seed: 5, mirostat: { tau: 3, eta: 0.2 } } },
  { sampling: { seed: 6 }, stop: ["had a", "ball. ", "the "] },
  { sampling: { seed: 7 }, constraint: { regex: "( Tom had a (red|blue) (ball|hat)\\.){2,5}" }, logprobs: 1 },
  { sampling: { seed: 8, temperature: 0 }, constraint: { choice: [" Tom had a red ball and a blue hat.", " no"] } },
  { sampling: { seed: 9, temperature: 2, banned: [13] }, constraint: { regex: "[A-Z][a-z ,]{10,60}\\." } },
  { sampling: { seed: 10 }, logitsProcessor: (logits) => void (logits[301] = -Infinity) },
  { sampling: { seed: 11 }, draft: "lookup" },
  {
    sampling: { seed: 12, penalties: { repetition: 1.2 }, banned: new TokenMask(vocabulary, [301, 302]) },
    logprobs: 1,
  },
];

/** Whether steps look so short that they run in the event loop's place, and the round of a chain that fails; 0: none. */
const world = { isInline: false, failsIn: 0 };
/** Chains, their rounds, choices whose mask came late, rounds that sequences sat out, and those that they came back for. */
const counts = { chains: 0, rounds: 0, late: 0, pauses: 0, returns: 0 };

/** Has each batcher do as `world` says, and counts. */
function watch(): () => void {
  const { runChain, handOver, goOn } = Engine.prototype;
  const { isShort, isInline, roundsInline, expect } = StepTimes.prototype;
  Object.assign(StepTimes.prototype, {
    isShort: () => world.isInline,
    isInline: () => world.isInline,
    roundsInline: () => 31,
    // What JavaScript does for a sequence that pauses takes longer.
    expect: () => 0,
  });
  Engine.prototype.runChain = function (sequences, isInline, chain) {
    assertEquals(isInline, world.isInline);
    counts.chains++;
    let round = 0;
    return runChain.call(this, sequences, isInline, {
      ...chain,
      take: ({ results, ...rest }) => {
        counts.rounds++;
        counts.pauses += results.filter((result) => result === undefined).length;
        if (++round !== world.failsIn) return chain.take({ results, ...rest });
        world.failsIn = 0;
        const error = new LightGPTError("nonFinite", "a fault of the test");
        return chain.take({ ...rest, results: results.map((result) => result && { error, logits: result.logits }) });
      },
    });
  };
  Engine.prototype.handOver = function (...given) {
    counts.late++;
    handOver.apply(this, given);
  };
  Engine.prototype.goOn = function (...given) {
    const isTaken = goOn.apply(this, given);
    counts.returns += Number(isTaken);
    return isTaken;
  };
  return () => {
    Object.assign(Engine.prototype, { runChain, handOver, goOn });
    Object.assign(StepTimes.prototype, { isShort, isInline, roundsInline, expect });
  };
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await turn();
}

/** All of a completion but times and what the cache had. */
function resultOf({ text, tokens, stopReason, stop, seed, sampling, logprobs, mu, generatedTokens }: Completion) {
  return { text, tokens, stopReason, stop, seed, sampling, logprobs, mu, generatedTokens };
}

const prompts = ["Once upon a time", "The red fox had a ball. The red fox had", "One day, Lily"];

describe("chained steps", () => {
  let model: Model;

  let restore = () => {};
  before(async () => {
    restore = watch();
    model = await Model.load(embeddedModel(), { context: 200 });
  });
  after(() => {
    model.dispose();
    restore();
  });

  function open(options: BatcherOptions = {}): Batcher {
    return new Batcher(model, { pageSize: 16, threads: 2, ...options });
  }

  const all = requests.flatMap((options, index) =>
    [prompts[index % 3], prompts[(index + 1) % 3]].map((prompt) => ({
      prompt: prompt as string,
      options: { draft: "off" as const, maxTokens: 20 + 7 * (index % 4), ...options },
    }))
  );

  it("give what steps give that are taken one by one: alone, together, in few pages, beside the event loop and in its place", async () => {
    const expected: unknown[] = [];
    {
      await using batcher = open({ tokensAhead: 0 });
      for (const { prompt, options } of all) expected.push(resultOf(await batcher.complete(prompt, options)));
    }
    for (const isInline of [true, false]) {
      world.isInline = isInline;
      for (const tokensAhead of [1, 4, 31]) {
        await using batcher = open({ tokensAhead, cache: tokensAhead !== 1 });
        Object.assign(counts, { chains: 0, rounds: 0, late: 0, pauses: 0, returns: 0 });
        for (const [index, { prompt, options }] of all.entries()) {
          assertEquals(resultOf(await batcher.complete(prompt, options)), expected[index]);
        }
        const together = await Promise.all(all.map(({ prompt, options }) => batcher.complete(prompt, options)));
        assertEquals(together.map(resultOf), expected);
        assertGreater(counts.rounds, counts.chains + 20, `chained, inline ${isInline}, ahead ${tokensAhead}`);
        if (!isInline) assertGreater(counts.late, 20);
        if (!isInline) assertGreater(counts.pauses + counts.returns, 0, "chained beside those that pause");
      }
    }
    world.isInline = false;
    // Sequences lose their pages while they are chained.
    await using batcher = open();
    const scheduler = partsOf(batcher).scheduler;
    const chained = all.filter(({ options }) => !options.logitsProcessor);
    const running = Promise.all(chained.map(({ prompt, options }) => batcher.complete(prompt, options)));
    for (const [round, pages] of [13, 400, 13, 400, 13, 400].entries()) {
      await until(() => batcher.stats().tokens > 40 * (round + 1));
      await scheduler.betweenSteps(() => scheduler.limitPages(pages));
    }
    const together = await running;
    assertEquals(together.map(resultOf), expected.filter((_, index) => !all[index]?.options.logitsProcessor));
    assertGreater(batcher.stats().preemptions, 5);
  });

  it("stop with a reader that stops, after what it may be ahead, and go on with it", async () => {
    for (const isInline of [true, false]) {
      world.isInline = isInline;
      await using batcher = open({ tokensAhead: 3 });
      const pieces = batcher.generate("Once upon a time", { draft: "off", maxTokens: 30, sampling: { seed: 1 } });
      const tokens: number[] = [];
      for (let count = 0; count < 5; count++) tokens.push(((await pieces.next()).value as Piece).token);
      await until(() => batcher.stats().paused === 1);
      const before = batcher.stats();
      for (let wait = 0; wait < 20; wait++) await turn();
      assertEquals(batcher.stats().steps, before.steps);
      assertLessOrEqual(before.steps, 5 + 3);
      assertEquals(before.tokens, 5);
      for await (const { token } of pieces) tokens.push(token);
      const whole = await batcher.complete("Once upon a time", { draft: "off", maxTokens: 30, sampling: { seed: 1 } });
      assertEquals(tokens, whole.tokens);
    }
  });

  it("end at once with a request that is given up, and with the batcher", async () => {
    await using batcher = open();
    const controller = new AbortController();
    const options = { draft: "off", sampling: { seed: 1 } } as const;
    const other = batcher.complete("One day, Lily", { ...options, maxTokens: 60 });
    const pieces = batcher.generate("Once upon a time", { ...options, maxTokens: 150, signal: controller.signal });
    for (let count = 0; count < 9; count++) await pieces.next();
    const next = pieces.next();
    controller.abort();
    await next.catch((error) => assertEquals(error.code, "cancelled"));
    await assertRejects(async () => {
      for await (const _ of pieces);
      throw controller.signal.reason;
    });
    const alone = open({ tokensAhead: 0 });
    assertEquals((await other).tokens, (await alone.complete("One day, Lily", { ...options, maxTokens: 60 })).tokens);
    await alone.dispose();

    const left = batcher.complete("Once upon a time", { ...options, maxTokens: 150 });
    await until(() => batcher.stats().running === 1);
    const [error] = await Promise.all([assertRejects(() => left), batcher.dispose()]);
    assert(error instanceof ClosedError);
  });

  it("let others in, and work between steps", async () => {
    await using batcher = open();
    const options = { draft: "off", sampling: { seed: 1, temperature: 2 } } as const;
    const long = batcher.complete("Once upon a time", { ...options, maxTokens: 150 });
    await until(() => batcher.stats().tokens > 10);
    const scheduler = partsOf(batcher).scheduler;
    const { tokens } = batcher.stats();
    await scheduler.betweenSteps(() => scheduler.limitPages(40));
    assertLessOrEqual(batcher.stats().tokens - tokens, 31, "a job waits for a round, not for a chain");
    const short = await batcher.complete("One day", { ...options, maxTokens: 3 });
    assertEquals(short.generatedTokens, 3);
    assertEquals((await long).generatedTokens, 150);
  });

  it("give a failing sequence's reader the tokens before its failure", async () => {
    await using batcher = open({ tokensAhead: 8 });
    world.failsIn = 7;
    const tokens: number[] = [];
    const error = await assertRejects(async () => {
      for await (const { token } of batcher.generate("Once upon a time", { draft: "off", maxTokens: 50 })) {
        tokens.push(token);
        // It fails before its reader takes more.
        await until(() => batcher.stats().running + batcher.stats().paused === 0);
      }
    });
    assertEquals((error as { code?: string }).code, "nonFinite");
    assertEquals(tokens.length, 1 + 6, "one of the prompt's step, and one of each round before");
    assertEquals((await batcher.complete("One day", { draft: "off", maxTokens: 9 })).generatedTokens, 9);
  });

  it("wait for none that JavaScript chooses for: it pauses, comes back, and is given up as any other", async () => {
    // A chain ends after so many rounds in which JavaScript did nothing, so the other request takes 75 of them at most.
    await using batcher = open({ tokensAhead: 4 });
    const options = { draft: "off", sampling: { seed: 1 }, maxTokens: 150 } as const;
    const alone = await batcher.complete("Once upon a time", options);
    Object.assign(counts, { rounds: 0, pauses: 0, returns: 0 });
    let isEnded = false;
    const plain = batcher.complete("Once upon a time", options).finally(() => isEnded = true);
    let isThere = false;
    const slow = {
      ...options,
      logitsProcessor: () => {
        isThere = true;
        const end = performance.now() + 1;
        while (performance.now() < end);
      },
    };
    const controller = new AbortController();
    const given = batcher.complete("One day", { ...slow, signal: controller.signal });
    const other = await batcher.complete("One day", { ...slow, maxTokens: 15 });
    assert(isThere && !isEnded, "none waits for the end of the others' chain");
    assertEquals(other.generatedTokens, 15);
    controller.abort();
    await assertRejects(() => given);
    assertEquals((await plain).tokens, alone.tokens);
    assertGreater(counts.pauses + counts.returns, 0);
  });

  it("wait for masks that take long, with the event loop free, and give the same", async () => {
    const expected: unknown[] = [];
    {
      await using batcher = open({ tokensAhead: 0 });
      for (const { prompt, options } of all) expected.push(resultOf(await batcher.complete(prompt, options)));
    }
    const { prepare, accept, words } = Matcher.prototype;
    const left = new WeakMap<Matcher, number>();
    Matcher.prototype.accept = function (...given) {
      left.delete(this);
      accept.apply(this, given);
    };
    Matcher.prototype.prepare = function () {
      left.set(this, (left.get(this) ?? 4) - 1);
      return (left.get(this) as number) <= 0 && prepare.call(this);
    };
    Matcher.prototype.words = function () {
      assert((left.get(this) ?? 1) <= 0, "words before they are there");
      return words.call(this);
    };
    try {
      await using batcher = open({ tokensAhead: 4 });
      counts.late = 0;
      const together = await Promise.all(all.map(({ prompt, options }) => batcher.complete(prompt, options)));
      assertEquals(together.map(resultOf), expected);
      for (const [index, { prompt, options }] of all.entries()) {
        assertEquals(resultOf(await batcher.complete(prompt, options)), expected[index]);
      }
      assertGreater(counts.late, 20);
      // Given up, one of which the mask is never made holds up no other that is in the chain with it.
      Matcher.prototype.prepare = () => true;
      const controller = new AbortController();
      const { signal } = controller;
      const plain = batcher.complete(all[0].prompt, { ...all[0].options, maxTokens: 60 });
      const held = batcher.generate("One day", { constraint: { regex: "[a-z ]{90}" }, draft: "off", signal });
      Matcher.prototype.words = words;
      for (let count = 0; count < 9; count++) await held.next();
      let calls = 0;
      Matcher.prototype.prepare = () => {
        if (++calls === 9) setTimeout(() => controller.abort(), 0);
        return false;
      };
      await assertRejects(async () => {
        for await (const _ of held);
      }, LightGPTError);
      assertGreater(calls, 8);
      assertEquals((await plain).tokens.length, 60);
    } finally {
      Object.assign(Matcher.prototype, { prepare, accept, words });
    }
  });

  it("fail one of theirs whose mask cannot be had, and no other", async () => {
    await using batcher = open();
    const options = { draft: "off", sampling: { seed: 1 }, maxTokens: 80 } as const;
    const alone = await batcher.complete("Once upon a time", options);
    const { words } = Matcher.prototype;
    let masks = 0;
    Matcher.prototype.words = function () {
      if (++masks > 20) throw new RangeError("no mask");
      return words.call(this);
    };
    try {
      const plain = batcher.complete("Once upon a time", options);
      const held = batcher.complete("One day", { ...options, constraint: { regex: "[A-Z][a-z ,]{70,80}" } });
      await assertRejects(() => held, RangeError, "no mask");
      assertEquals((await plain).tokens, alone.tokens);
    } finally {
      Matcher.prototype.words = words;
    }
  });

  it("are counted as steps", async () => {
    await using batcher = open();
    const seen: number[] = [];
    partsOf(batcher).scheduler.meter.listeners.add({ step: ({ ms, tokens }) => seen.push(ms * tokens) });
    const { generatedTokens } = await batcher.complete("Once upon a time", { draft: "off", maxTokens: 40 });
    assertEquals(batcher.stats().steps, seen.length);
    assertEquals(seen.length, generatedTokens);
    assert(seen.every((ms) => ms > 0));
  });

  for (const tokensAhead of [-1, 32, 1.5, "4"]) {
    it(`refuse tokensAhead ${JSON.stringify(tokensAhead)}`, async () => {
      await assertRejects(
        () => Promise.resolve().then(() => open({ tokensAhead } as unknown as BatcherOptions)),
        InvalidArgumentError,
        "tokensAhead",
      );
    });
  }
});
