/**
 * Models whose layers keep a state in place of keys: it begins empty, a copy of its pages is the state, drafts that were not
 * chosen leave nothing in it, and a sequence that lost its pages goes on as if nothing had happened.
 *
 * @module
 */
import { assert, assertEquals, assertGreater } from "@std/assert";
import { join } from "node:path";
import { it } from "node:test";
import { Batcher, Model, readGguf } from "../mod.ts";
import { planModel } from "../src/model/architectures/architectures.ts";
import { Engine, kvSizes } from "../src/engine/engine.ts";
import type { StepSequence } from "../src/engine/step.ts";
import { resolveSampling } from "../src/sampling/resolve.ts";
import { SamplerState } from "../src/sampling/state.ts";
import { describeWholeKit } from "./kit.ts";

/** One model of each kind of state. */
const NAMES = ["lfm2", "qwen35", "qwen3next", "granitehybrid", "falcon_h1", "nemotron_h"];
const context = 96;
const ids = (count: number, salt = 0) => Uint32Array.from({ length: count }, (_, i) => (i * 37 + salt * 11) % 280);

interface Opened {
  readonly model: Model;
  readonly engine: Engine;
  /** Pages of one sequence of three: its state's, then those of up to 64 positions. */
  pages(sequence: 0 | 1 | 2, positions: number): number[];
}

async function withEngine(path: string, body: (opened: Opened) => Promise<void>): Promise<void> {
  const model = await Model.load(path, { context });
  const settings = { kv: "f16", pageSize: 16, pages: 256, batchTokens: 128, sequences: 4, threads: 2 } as const;
  const engine = new Engine(model, { ...settings, activationBits: 8, logitRows: 64 });
  try {
    const pages = (sequence: number, positions: number) => {
      const first = sequence * (engine.statePages + 4);
      return Array.from({ length: engine.statePages + Math.ceil(positions / 16) }, (_, page) => first + page);
    };
    await body({ model, engine, pages });
  } finally {
    await engine.dispose();
    model.dispose();
  }
}

async function logitsOf(engine: Engine, ...sequences: Omit<StepSequence, "logits">[]): Promise<Float32Array[]> {
  const results = await engine.run(sequences.map((sequence) => ({ ...sequence, logits: "last" })), false);
  return results.map(({ error, logits }) => {
    assertEquals(error, undefined);
    assertGreater(logits.length, 0);
    return logits.slice();
  });
}

describeWholeKit("states of layers", "archs2", (directory) => {
  for (const name of NAMES) {
    const path = join(directory, `${name}.gguf`);

    it(`${name}: begins empty at position 0, whatever its pages hold`, () =>
      withEngine(path, async ({ engine, pages }) => {
        assertGreater(engine.statePages, 0);
        const first = { id: 1, position: 0, tokens: ids(20), pages: pages(0, 40) };
        const fresh = await logitsOf(engine, first);
        const [later] = await logitsOf(engine, { ...first, position: 20 });
        assert(fresh[0]?.some((logit, index) => logit !== later?.[index]), "the state changes what comes");
        assertEquals(await logitsOf(engine, first), fresh);
      }));

    it(`${name}: goes on from a copy of its pages, and neither disturbs the other`, () =>
      withEngine(path, async ({ engine, pages }) => {
        const [one, two] = [pages(0, 40), pages(1, 40)];
        await logitsOf(engine, { id: 1, position: 0, tokens: ids(20), pages: one });
        one.forEach((page, index) => engine.copyPage(page, two[index] as number));
        const next = { position: 20, tokens: ids(9, 1) };
        const both = await logitsOf(engine, { id: 1, ...next, pages: one }, { id: 2, ...next, pages: two });
        assertEquals(both[0], both[1]);
        const whole = { id: 3, position: 0, tokens: Uint32Array.of(...ids(20), ...ids(9, 1)), pages: pages(2, 40) };
        assertEquals(await logitsOf(engine, whole), [both[0]]);
      }));

    for (const right of [0, 1, 3, 4]) {
      it(`${name}: takes ${right} of 4 drafts, and nothing of the others`, () =>
        withEngine(path, async ({ engine, pages }) => {
          const sampler = () => ({ sampler: new SamplerState(resolveSampling({ temperature: 0 })), top: undefined });
          const single = { id: 1, logits: "none", pages: pages(0, 60) } as const;
          const chosen: number[] = [];
          let tokens: ArrayLike<number> = ids(21);
          for (let position = 0; chosen.length < 6; position += tokens.length, tokens = chosen.slice(-1)) {
            const [result] = await engine.run([{ ...single, position, tokens, sample: sampler() }], false);
            chosen.push(result?.choices?.[0]?.token as number);
          }
          const guesses = chosen.slice(0, 4).map((token, index) => index < right ? token : (token + 1) % 280);
          const other = { id: 2, position: 0, tokens: ids(7, 3), pages: pages(1, 30), logits: "none" } as const;
          const drafted: StepSequence = {
            id: 3,
            position: 0,
            tokens: Uint32Array.of(...ids(21), ...guesses),
            drafts: 4,
            pages: pages(2, 60),
            logits: "none",
            sample: sampler(),
          };
          const both = [drafted, { ...other, drafts: 2, sample: sampler() }];
          const results = await engine.run(right % 2 === 0 ? both : both.reverse(), false);
          const { choices } = results[right % 2] ?? {};
          assertEquals(choices?.map(({ token }) => token), chosen.slice(0, right + 1));
          const rest = Uint32Array.of(chosen[right] as number, ...ids(5, 2));
          const position = 21 + right;
          const again = { id: 4, position: 0, tokens: Uint32Array.of(...ids(21), ...chosen.slice(0, right), ...rest) };
          const [goneOn] = await logitsOf(engine, { id: 3, position, tokens: rest, pages: drafted.pages });
          assertEquals(await logitsOf(engine, { ...again, pages: pages(0, 60) }), [goneOn]);
        }));
    }

    it(`${name}: a sequence that gave its pages up goes on with the same tokens`, async () => {
      const { pageBytes, statePages } = kvSizes(planModel(readGguf(path)), "f16", 16);
      const model = await Model.load(path, { context });
      // Pages of one context and two states: two of these sequences begin beside each other, and do not end so.
      const kvBytesMax = pageBytes * (2 * statePages + context / 16);
      const batcher = new Batcher(model, { pageSize: 16, kvBytesMax, cache: false, threads: 2 });
      try {
        const request = (salt: number) =>
          batcher.complete(ids(30, salt), { maxTokens: 40, sampling: { seed: 5, temperature: 1.2 } });
        const alone = [];
        for (const salt of [1, 2, 3]) alone.push((await request(salt)).tokens);
        const together = await Promise.all([1, 2, 3].map(request));
        assertEquals(together.map(({ tokens }) => tokens), alone);
        assertGreater(batcher.stats().preemptions, 0);
      } finally {
        await batcher.dispose();
        model.dispose();
      }
    });
  }
});
