/**
 * Sampling as part of a step: the same choices as a `Sampler` alone makes from the same logits, log probabilities, and logits
 * processors that change what is chosen, or fail.
 *
 * @module
 */
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { after, before, describe, it } from "node:test";
import { InvalidArgumentError, LightGPT, LightGPTError, Sampler, type SamplingOptions, TokenMask } from "../mod.ts";

describe("a request", () => {
  const prompt = "Once upon a time";
  let lm: LightGPT;
  before(async () => {
    lm = await LightGPT.load();
  });
  after(() => lm.dispose());

  it("chooses as a sampler alone does, with any methods, also beside others", async () => {
    const settings: SamplingOptions[] = [
      { seed: 1, temperature: 0 },
      { seed: 2 },
      {
        seed: 3,
        topK: 0,
        topP: 1,
        penalties: { repetition: 1.2, presence: 0.2, window: 20 },
        dry: { multiplier: 0.8 },
      },
      { seed: 4, topK: 100, minP: 0.02, typicalP: 0.9, topNSigma: 3, xtc: { probability: 0.5 }, minKeep: 2 },
      { seed: 5, mirostat: { tau: 4 }, bias: { 261: 2, 13: -Infinity }, dynamicTemperature: { range: 0.5 } },
      { seed: 6, order: ["temperature", "topP", "penalties"], penalties: { frequency: 0.3 }, banned: [13, 384] },
      { seed: 7, allowed: new TokenMask(lm.model.vocabulary, Array.from({ length: 900 }, (_, i) => 300 + i)) },
    ];
    const ids = [...lm.tokenize(prompt)];
    const completions = await Promise.all(settings.map((sampling) => lm.complete(ids, { sampling, maxTokens: 12 })));
    for (const [index, sampling] of settings.entries()) {
      const sampler = new Sampler(sampling);
      const all = [...ids];
      for (const id of ids) sampler.accept(id);
      for (const token of completions[index].tokens) {
        assertEquals(
          token,
          sampler.sample(await lm.logits(all)),
          `settings ${index}, token ${all.length - ids.length}`,
        );
        sampler.accept(token);
        all.push(token);
      }
      assertEquals(completions[index].sampling, sampler.report());
    }
  });

  it("tells log probabilities", async () => {
    const ids = lm.tokenize(prompt);
    const logits = await lm.logits(ids);
    const total = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
    for (const logprobs of [0, 3]) {
      const { value } = await lm.generate(ids, { maxTokens: 1, logprobs, sampling: { temperature: 0 } }).next();
      assert(value !== undefined && "token" in value);
      assertAlmostEquals(value.logprob as number, logits[value.token] - total, 1e-5);
      assertEquals(value.top?.length, logprobs);
      if (logprobs > 0) assertEquals(value.top?.[0], { token: value.token, logprob: value.logprob });
    }
    const { value } = await lm.generate(ids, { maxTokens: 1 }).next();
    assert(value !== undefined && "token" in value && value.logprob === undefined && value.top === undefined);
    for (const logprobs of [-1, 21, 1.5, "3"]) {
      await assertRejects(() => lm.complete(ids, { logprobs: logprobs as number }), InvalidArgumentError, "logprobs");
    }
  });

  it("may have its logits changed before each choice", async () => {
    const options = { maxTokens: 20, sampling: { seed: 9 } };
    const plain = await lm.complete(prompt, options);
    const seen: number[][] = [];
    const ids = [...lm.tokenize(prompt)];
    const [same, other] = await Promise.all([
      lm.complete(prompt, {
        ...options,
        logitsProcessor: (logits, { prompt, generated }) => {
          assertEquals([logits.length, ...prompt], [lm.model.vocabulary, ...ids]);
          seen.push([...generated]);
        },
      }),
      lm.complete(prompt, {
        ...options,
        logitsProcessor: (logits) => {
          logits.fill(-Infinity);
          logits[400] = 0;
        },
      }),
    ]);
    assertEquals(same.tokens, plain.tokens);
    assertEquals(seen, plain.tokens.map((_, index) => plain.tokens.slice(0, index)));
    assertEquals(other.tokens, new Array(20).fill(400));
  });

  it("ends by its own processor's fault, and no other does", async () => {
    const good = lm.complete(prompt, { maxTokens: 30, sampling: { seed: 9 } });
    const at = (step: number, act: (logits: Float32Array) => unknown) =>
      lm.complete(prompt, {
        maxTokens: 30,
        logitsProcessor: (logits, { generated }) => generated.length === step ? act(logits) as void : undefined,
      });
    const own = new Error("mine");
    const results = await Promise.allSettled([
      at(5, () => {
        throw own;
      }),
      at(3, (logits) => void (logits[77] = NaN)),
      at(2, () => Promise.resolve()),
      at(1, (logits) => void logits.fill(-Infinity)),
    ]);
    const reasons = results.map((result) => result.status === "rejected" ? result.reason : undefined);
    assertEquals(reasons[0], own);
    assert(reasons[1] instanceof LightGPTError && reasons[1].code === "nonFinite");
    assertEquals(reasons[1].detail.where, "logits[77]");
    assert(reasons[2] instanceof InvalidArgumentError && reasons[2].message.includes("returns nothing"));
    assert(reasons[3] instanceof InvalidArgumentError && reasons[3].message.includes("no token that may be chosen"));
    assertEquals((await good).tokens, (await lm.complete(prompt, { maxTokens: 30, sampling: { seed: 9 } })).tokens);
    await assertRejects(
      () => lm.complete(prompt, { logitsProcessor: 7 as never }),
      InvalidArgumentError,
      "logitsProcessor",
    );
  });

  it("is refused where its settings and the vocabulary don't go together", async () => {
    const size = lm.model.vocabulary;
    const wrong: [SamplingOptions, string][] = [
      [{ bias: { [size]: 1 } }, "bias"],
      [{ banned: [size] }, "banned"],
      [{ allowed: new TokenMask(size + 1, [1]) }, "mask"],
    ];
    for (const [sampling, text] of wrong) {
      await assertRejects(() => lm.complete(prompt, { sampling }), InvalidArgumentError, text);
    }
    const nothing = { sampling: { allowed: [5], banned: [5] } };
    await assertRejects(() => lm.complete(prompt, nothing), InvalidArgumentError, "no token may be chosen");
  });

  it("may name DRY's breakers as text", async () => {
    const red = lm.tokenize("red", { addSpecial: false }).at(-1) as number;
    const choose = async (breakers: string[], multiplier = 200) => {
      const sampling = { temperature: 0, bias: { [red]: 100 }, dry: { multiplier, allowedLength: 1, breakers } };
      return (await lm.complete([red, red, red], { maxTokens: 1, sampling })).tokens[0];
    };
    assertEquals(await choose([], 0), red, "without DRY");
    assert(await choose([]) !== red, "a repetition is punished");
    assertEquals(await choose([lm.detokenize([red]).trim()]), red, "a breaker ends it");
  });
});
