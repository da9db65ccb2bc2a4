/**
 * A grammar in a sampler of one's own, outside of any batch.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { after, before, describe, it } from "node:test";
import { type Constraint, Grammar, InvalidArgumentError, LightGPT, LightGPTError, Sampler, TokenMask } from "../mod.ts";
import { embeddedModel } from "../src/files/embedded.ts";

describe("a sampler with a grammar", () => {
  let lm: LightGPT;
  before(async () => {
    lm = await LightGPT.load(embeddedModel(), { threads: 1 });
  });
  after(() => lm.dispose());

  const logitsOf = (seed: number) => {
    return Float32Array.from({ length: lm.model.vocabulary }, (_, token) => 9 * Math.sin(token * (seed + 1)));
  };

  it("chooses what the grammar allows, until nothing may follow", async () => {
    const grammar = await Grammar.regex("[A-Z][a-z]{2,5} (and|or) [0-9]{3}", lm.model.tokenizer);
    for (let seed = 0; seed < 20; seed++) {
      const sampler = new Sampler({ temperature: 2, topK: 0, topP: 1, seed, grammar: grammar.matcher() });
      const tokens: number[] = [];
      while (!sampler.isDone) {
        const token = sampler.sample(logitsOf(seed + tokens.length));
        assert(sampler.distribution(logitsOf(seed)).every((one) => one.probability > 0));
        sampler.accept(token);
        tokens.push(token);
      }
      assertMatch(lm.detokenize(tokens).trimStart(), /^[A-Z][a-z]{2,5} (and|or) [0-9]{3}$/);
    }
  });

  it("gives the tokens that a request gives", async () => {
    const prompt = lm.tokenize("The hero was ");
    const constraint = { regex: "[a-z]{3,9}( [a-z]{2,7}){2}\\." };
    const sampling = { seed: 9, temperature: 1.2, penalties: { repetition: 1.3 } };
    const wanted = await lm.complete(prompt, { constraint, sampling });
    const matcher = (await Grammar.regex(constraint.regex, lm.model.tokenizer)).matcher();
    const sampler = new Sampler({ ...sampling, grammar: matcher }).begin(prompt);
    const tokens: number[] = [];
    while (!sampler.isDone) {
      tokens.push(sampler.sample(await lm.logits([...prompt, ...tokens])));
      sampler.accept(tokens.at(-1) as number);
    }
    assertEquals(tokens, wanted.tokens);
  });

  it("has a matcher of its own, also in its copies, and begins again with it", async () => {
    const matcher = (await Grammar.choice(["yes", "no"], lm.model.tokenizer)).matcher();
    const sampler = new Sampler({ temperature: 0, grammar: matcher });
    const first = sampler.sample(logitsOf(0));
    const copy = sampler.clone();
    sampler.accept(first);
    assert(matcher.allows(first));
    assertEquals(copy.sample(logitsOf(0)), first);
    const [other] = lm.tokenize("x", { addSpecial: false });
    assertThrows(() => copy.accept(other), LightGPTError, "grammar");
    sampler.reset();
    assertEquals(sampler.sample(logitsOf(0)), first);
    assertEquals(new Sampler().isDone, false);
  });

  it("says what it cannot hold", async () => {
    const { tokenizer } = lm.model;
    const matcher = (await Grammar.regex("[a-z]+", tokenizer)).matcher();
    assertThrows(() => new Sampler({ grammar: {} as Constraint }), InvalidArgumentError, "grammar");
    const small = new Sampler({ grammar: matcher });
    assertThrows(() => small.sample(new Float32Array(64)), InvalidArgumentError, "mask");
    const digits = new Sampler({ grammar: matcher, allowed: [...tokenizer.encode("9", { addSpecial: false })] });
    assertThrows(() => digits.sample(logitsOf(0)), InvalidArgumentError, "allowed");
    const none: Constraint = {
      isDone: false,
      words: () => new TokenMask(lm.model.vocabulary).words,
      accept: () => {},
      clone: () => none,
    };
    assertThrows(() => new Sampler({ grammar: none }).sample(logitsOf(0)), InvalidArgumentError, "vocabulary");
  });
});
