/**
 * A step with drafts: the choices of its rows are those of the same tokens fed one by one, with a sampler that remembers
 * (penalties, DRY, mirostat, log probabilities, a bias), beside other sequences; what follows a wrong draft is not chosen.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { after, before, describe, it } from "node:test";
import { Engine } from "../src/engine/engine.ts";
import type { StepSequence } from "../src/engine/step.ts";
import { embeddedModel } from "../src/files/embedded.ts";
import { Model } from "../src/model/model.ts";
import { resolveSampling } from "../src/sampling/resolve.ts";
import { type Choice, SamplerState } from "../src/sampling/state.ts";

const prompt = Uint32Array.from({ length: 20 }, (_, index) => 300 + (index * 37) % 900);
const drafted = 4;
const top = 3;

describe("a step with drafts", () => {
  let model: Model;
  let engine: Engine;

  before(async () => {
    model = await Model.load(embeddedModel());
    engine = new Engine(model, {
      kv: "f16",
      pageSize: 32,
      pages: 16,
      batchTokens: 128,
      sequences: 4,
      threads: 2,
      activationBits: 8,
      logitRows: 64,
    });
  });

  after(async () => {
    await engine.dispose();
    model.dispose();
  });

  const samplers: Record<string, Parameters<typeof resolveSampling>[0]> = {
    "plain": { temperature: 1.5, seed: 3 },
    "with a memory": {
      temperature: 2,
      seed: (7n << 33n) + 5n,
      penalties: { repetition: 1.3, frequency: 0.4, presence: 0.1, window: 16 },
      dry: { multiplier: 0.8 },
      bias: { 400: 2, 500: -3 },
      banned: [301],
    },
    "mirostat": { temperature: 2, seed: 9, mirostat: { tau: 4, eta: 0.2 } },
  };

  for (const [name, options] of Object.entries(samplers)) {
    const fresh = () => {
      const state = new SamplerState(resolveSampling(options));
      for (const token of prompt) state.accept(token);
      return state;
    };
    const sequence = (
      tokens: ArrayLike<number>,
      position: number,
      sampler: SamplerState,
      drafts = 0,
    ): StepSequence => ({
      id: 1,
      position,
      tokens,
      drafts,
      pages: [3, 5],
      logits: "last",
      sample: { sampler, top },
    });
    const other: StepSequence = { id: 2, position: 0, tokens: [5, 6, 7], pages: [9], logits: "last" };

    it(`chooses what single steps choose (${name})`, async () => {
      const alone: Choice[] = [];
      const sampler = fresh();
      let tokens: ArrayLike<number> = prompt;
      let position = 0;
      let last = new Float32Array(0);
      for (let index = 0; index <= drafted; index++) {
        const [result] = await engine.run([sequence(tokens, position, sampler)], false);
        assertEquals(result?.error, undefined);
        const [choice] = result?.choices as [Choice];
        alone.push(choice);
        sampler.accept(choice.token);
        last = Float32Array.from(result?.logits ?? []);
        position += tokens.length;
        tokens = [choice.token];
      }
      const guesses = alone.slice(0, drafted).map(({ token }) => token);
      const all = Uint32Array.from([...prompt, ...guesses]);
      const [beside, together] = await engine.run([other, sequence(all, 0, fresh(), drafted)], false);
      assertEquals(together?.choices, alone);
      assertEquals(Float32Array.from(together?.logits ?? []), last);
      assertEquals(beside?.logits.length, last.length);

      all[prompt.length + 1] ^= 1;
      const [wrong, after] = await engine.run([sequence(all, 0, fresh(), drafted), other], false);
      assertEquals(wrong?.choices, alone.slice(0, 2));
      assertEquals(after?.choices, undefined);
      assertEquals(after?.logits.length, last.length);
    });
  }
});
