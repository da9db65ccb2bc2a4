/**
 * The drafter of a model's own file (nextn): it computes what plain loops compute, in any pieces; its guesses change nothing, where
 * they are right a step keeps them, and what cannot be had is refused.
 *
 * @module
 */
import { assert, assertEquals, assertGreater, assertThrows } from "@std/assert";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Batcher, type Completion, type GenerateOptions, Model, UnsupportedError } from "../mod.ts";
import { Engine } from "../src/engine/engine.ts";
import { greedySampler } from "../src/engine/greedy.ts";
import type { StepResult } from "../src/engine/step.ts";
import { DraftModels } from "../src/batching/drafting/draft_models.ts";
import { States } from "../src/batching/drafting/states.ts";
import { readGguf } from "../src/files/gguf/read.ts";
import { encodeGguf } from "../scripts/gguf-writer.ts";
import { randomNumbers, u32 } from "./models.ts";
import { planDrafter } from "../src/model/architectures/nextn.ts";
import { planModel } from "../src/model/architectures/architectures.ts";
import { LayerModel } from "../src/model/layer_model.ts";
import { referencePass } from "./reference.ts";
import { llama, nemotronExperts, qwen35, type Shape, smallModel, withDirectory } from "./small-models.ts";

const moe = nemotronExperts();
const shapes: Readonly<Record<string, Shape>> = {
  qwen35: { ...qwen35, layers: 4 },
  glm: { architecture: "glm4moe", headNorms: true, biases: ["q", "k", "v"], ...glmExperts() },
  nemotron: {
    ...moe,
    layers: 6,
    kvHeads: [0, 0, 2, 0, 0, 2],
    feedForward: [0, 128, 0, 0, 96, 96],
    mixers: [...moe.mixers ?? [], "attention"],
  },
};

const tokens = Array.from({ length: 20 }, (_, index) => 3 + (index * 37) % 200);

/** The steps of an engine of one sequence over `model`. */
function engineOf(model: ConstructorParameters<typeof Engine>[0]): Engine {
  return new Engine(model, {
    kv: "f32",
    pageSize: 16,
    pages: 16,
    batchTokens: 64,
    sequences: 1,
    threads: 2,
    activationBits: 16,
    logitRows: 64,
  });
}

function assertNear(found: Float32Array, wanted: readonly Float64Array[], what: string): void {
  const all = wanted.flatMap((row) => [...row]);
  const most = Math.max(...all.map(Math.abs));
  const far = Math.max(...all.map((value, index) => Math.abs(value - (found[index] ?? NaN))));
  assert(found.length === all.length && far < 1e-4 * most, `${what}: ${far} of ${most}`);
}

describe("a drafter of the model's own", () => {
  const { ownGuesser } = DraftModels.prototype;
  before(() => {
    // Whatever that costs: steps of so small models are too short for guesses to pay.
    DraftModels.prototype.ownGuesser = function () {
      return Object.assign(ownGuesser.call(this), { isWeighed: false });
    };
  });
  after(() => {
    DraftModels.prototype.ownGuesser = ownGuesser;
  });

  for (const [name, shape] of Object.entries(shapes)) {
    it(`computes what plain loops compute, in any pieces (${name})`, () =>
      withFile(drafterModel(shape), async (path) => {
        const gguf = readGguf(path);
        const plan = planModel(gguf);
        const own = planDrafter(gguf, plan);
        const model = referencePass(gguf, plan, tokens);
        const drafter = referencePass(gguf, own, tokens.slice(1), model.states.slice(0, -1));
        using loaded = await Model.load(path);
        const trunk = engineOf(loaded);
        const pages = Array.from({ length: trunk.statePages + 2 }, (_, page) => page);
        const step = { id: 0, pages, logits: "none", states: true } as const;
        const [{ states }] = await trunk.run([{ ...step, position: 0, tokens }], false) as [StepResult];
        assert(states);
        assertNear(states, model.states, "states");
        const hidden = states.slice(0, -plan.hyperparameters.embedding);
        await trunk.dispose();
        using layer = await LayerModel.loadPlanned(own, gguf.files);
        const engine = engineOf(layer);
        const all = { ...step, logits: "all", pages: [0, 1], position: 0, tokens: tokens.slice(1), hidden } as const;
        const [{ logits, states: after }] = await engine.run([all], false) as [StepResult];
        assertNear(logits, drafter.logits, "logits");
        const [whole, given] = [logits.slice(), after?.slice()];
        const width = plan.hyperparameters.embedding;
        for (const [position, end] of [[0, 1], [1, 8], [8, 19]] as const) {
          const part = {
            tokens: tokens.slice(1 + position, 1 + end),
            hidden: hidden.slice(position * width, end * width),
          };
          const [result] = await engine.run([{ ...all, ...part, position }], false) as [StepResult];
          const vocabulary = plan.hyperparameters.vocabulary;
          assertEquals(result.logits, whole.slice(position * vocabulary, end * vocabulary));
          assertEquals(result.states, given?.slice(position * width, end * width));
        }
        await engine.dispose();
      }));

    it(`changes nothing (${name})`, () =>
      withFile(modelThatIsSure(shape), async (path) => {
        using model = await Model.load(path);
        for (const options of [{}, { cache: false, pageSize: 16, threads: 1 }] as const) {
          await using batcher = new Batcher(model, options);
          assertGreater((await compare(batcher)).guessed, 0);
        }
      }));
  }

  it("is right where it cannot be wrong: most steps keep guesses", () =>
    withFile(modelThatIsKnown(), async (path) => {
      using model = await Model.load(path);
      await using batcher = new Batcher(model);
      const { guessed, kept } = await compare(batcher);
      assert(kept > 0.9 * guessed && kept > 100, `${kept} of ${guessed}`);
    }));

  it("is refused where a file has none", () =>
    withFile(smallModel(llama), async (path) => {
      using model = await Model.load(path);
      await using batcher = new Batcher(model);
      const error = assertThrows(() => batcher.submit({ prompt: [3], draft: "nextn" }), UnsupportedError);
      assertEquals(error.message, `draft: expected a file with extra prediction layers, got none; ${path}.`);
      const processed = { prompt: [3], draft: "nextn", logitsProcessor: () => {} } as const;
      assertThrows(() => batcher.submit(processed), Error, 'draft: expected "auto" or "off" beside logitsProcessor');
    }));

  it("takes no word of another model for an engine's", async () => {
    await withFile(drafterModel(shapes.qwen35 as Shape), async (path) => {
      using layer = await LayerModel.loadPlanned(planDrafter(readGguf(path), planModel(readGguf(path))), [path]);
      const engine = engineOf(layer);
      const sample = { sampler: greedySampler(), top: 0 };
      const step = { id: 0, pages: [0], logits: "none", position: 0, tokens: [3], sample } as const;
      let message = "";
      await engine.run([step], false).catch((error) => message = error.message);
      assert(message.includes("hidden state of a sequence"), message);
      await engine.dispose();
    });
  });
});

describe("states that wait for a drafter", () => {
  const row = (position: number) => [position, -position];
  const rows = (position: number, count: number) =>
    Float32Array.from(Array.from({ length: count }, (_, index) => row(position + index)).flat());

  it("are those of the newest positions without a gap, each once", () => {
    const states = new States(2);
    states.add(10, rows(10, 30), 30);
    states.add(40, rows(40, 8), 3); // five were guesses that were wrong
    states.add(43, rows(43, 1), 1);
    assertEquals([states.first, states.end], [10, 44]);
    assertEquals(states.rows(39, 5), rows(39, 5));
    states.forget(20);
    states.add(0, rows(0, 50), 50); // read again after its pages were given up
    assertEquals([states.first, states.end], [20, 50]);
    assertEquals(states.rows(20, 30), rows(20, 30));
    states.add(60, rows(60, 2), 2);
    assertEquals([states.first, states.end], [60, 62]);
    for (let position = 62; position < 2000; position += 100) states.add(position, rows(position, 100), 100);
    assertEquals([states.first, states.end], [2062 - 512, 2062]);
    assertEquals(states.rows(1600, 400), rows(1600, 400));
    states.add(2062, rows(2062, 700), 700);
    assertEquals([states.first, states.end], [2762 - 512, 2762]);
    assertEquals(states.rows(2400, 300), rows(2400, 300));
  });
});

const prompts = [tokens.slice(0, 7), tokens.slice(3, 20), tokens.slice(0, 12)];
const requests: readonly GenerateOptions[] = [
  { sampling: { temperature: 0, seed: 1 }, logprobs: 1 },
  { sampling: { seed: 2, temperature: 0.8 } },
  { sampling: { seed: 3, penalties: { repetition: 1.2 } } },
];

/** Completes with guesses and without, alone and together; how many were guessed and kept. */
async function compare(batcher: Batcher): Promise<{ guessed: number; kept: number }> {
  const all = prompts.flatMap((prompt) =>
    requests.map((options) => ({ prompt, options: { ...options, maxTokens: 40 } }))
  );
  const resultOf = ({ tokens, logprobs, stopReason }: Completion) => ({ tokens, logprobs, stopReason });
  const without = [];
  for (const { prompt, options } of all) {
    without.push(resultOf(await batcher.complete(prompt, { ...options, draft: "off" })));
  }
  for (const [index, { prompt, options }] of all.entries()) {
    assertEquals(resultOf(await batcher.complete(prompt, { ...options, draft: "nextn" })), without[index]);
  }
  const draft = "nextn";
  const together = await Promise.all(all.map(({ prompt, options }) => batcher.complete(prompt, { ...options, draft })));
  assertEquals(together.map(resultOf), without);
  return batcher.stats().drafts;
}

/** Metadata and tensors of a file. */
type File = ReturnType<typeof smallModel>;

/** Calls `body` with the path of such a file. */
function withFile<T>({ values, tensors }: File, body: (path: string) => Promise<T>): Promise<T> {
  return withDirectory((directory) => {
    const path = join(directory, "model.gguf");
    writeFileSync(path, encodeGguf(values, tensors));
    return body(path);
  });
}

/** A small model whose last layer is a drafter's. */
function drafterModel(shape: Shape): File {
  const { values, tensors } = smallModel(shape);
  const embedding = 64;
  const block = (shape.layers ?? 3) - 1;
  values.set(`${shape.architecture}.nextn_predict_layers`, u32(1));
  const random = randomNumbers(5);
  const bell = () => (random(1 << 16) + random(1 << 16) + random(1 << 16) - 3 * 2 ** 15) / 2 ** 15;
  const add = (part: string, dims: number[], value: () => number) => {
    const data = Float32Array.from({ length: dims.reduce((a, b) => a * b) }, value);
    tensors.push({ name: `blk.${block}.nextn.${part}.weight`, type: 0, dims, data: new Uint8Array(data.buffer) });
  };
  for (const norm of ["enorm", "hnorm", "shared_head_norm"]) add(norm, [embedding], () => 1 + bell() / 4);
  add("eh_proj", [2 * embedding, embedding], () => bell() / Math.sqrt(2 * embedding));
  if (!shape.halves) return { values, tensors };
  // Where layers have one half each, a drafter's has both.
  for (const { name, ...rest } of tensors.filter(({ name }) => name.startsWith(`blk.${block - 1}.`))) {
    const own = name.replace(`blk.${block - 1}.`, `blk.${block}.`).replace("attn_norm", "post_attention_norm");
    tensors.push({ name: own, ...rest });
  }
  return { values, tensors };
}

/** One whose model and drafter give one token nearly all of the probability. */
function modelThatIsSure(shape: Shape): File {
  const file = drafterModel(shape);
  for (const { name, data } of file.tensors) if (/output_norm|shared_head_norm/.test(name)) multiply(data, 30);
  return file;
}

/** Multiplies all floats. */
function multiply(data: Uint8Array, factor: number): void {
  const floats = new Float32Array(data.buffer);
  floats.forEach((value, at) => floats[at] = factor * value);
}

/** One whose layers add nothing, so that the next token follows from the last one alone, which its drafter reads as it is. */
function modelThatIsKnown(): File {
  const { values, tensors } = drafterModel(llama);
  for (const { name, dims, data } of tensors) {
    const floats = new Float32Array(data.buffer);
    const [columns = 0] = dims;
    if (/attn_output|ffn_down/.test(name)) floats.fill(0);
    else if (/eh_proj/.test(name)) {
      floats.forEach((_, at) => floats[at] = at % columns === Math.floor(at / columns) ? 1 : 0);
    } else if (/enorm/.test(name)) floats.fill(1);
  }
  const norm = (name: string) => tensors.find((tensor) => tensor.name === name)?.data as Uint8Array;
  multiply(norm("output_norm.weight"), 30);
  norm("blk.2.nextn.shared_head_norm.weight").set(norm("output_norm.weight"));
  return { values, tensors };
}

function glmExperts(): Partial<Shape> {
  return {
    secondNorm: "post_attention_norm",
    experts: { count: 8, used: 2, width: 32, shared: 64, choiceBias: true, isDense: (layer) => layer === 0 },
    values: {
      "glm4moe.leading_dense_block_count": u32(1),
      "glm4moe.expert_shared_count": u32(2),
      "glm4moe.rope.dimension_count": u32(8),
    },
  };
}
