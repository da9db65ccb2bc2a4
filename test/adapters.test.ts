/**
 * Adapters (LoRA): a model with one gives what the model with merged weights gives; a scale of 0 and no adapter give the same
 * bits; requests with different adapters share steps and no prefixes; what does not belong to the model is refused.
 *
 * @module
 */
import { assert, assertEquals, assertLess, assertNotEquals, assertRejects } from "@std/assert";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { type AdapterOptions, LightGPT, type LightGPTError, quantizeFile } from "../mod.ts";
import { saltWith } from "../src/batching/adapters.ts";
import { encodeGguf, type NewTensor } from "../scripts/gguf-writer.ts";
import { adapterOf, type AdapterShape, merged, writeAdapter } from "./adapter-files.ts";
import { lightgpt } from "./command.ts";
import { f32, text, u32, type Values } from "./models.ts";
import { repository } from "./kit.ts";
import { nemotronExperts, type Shape, smallModel, withDirectory } from "./small-models.ts";

const llama: Shape = { architecture: "llama", untied: true };
const mixtral: Shape = { architecture: "llama", feedForward: 64, experts: { count: 8, used: 2 } };
const sharing: Shape = {
  architecture: "qwen2moe",
  biases: ["q", "k", "v"],
  experts: { count: 6, used: 2, width: 32, shared: 64, sharedGate: true },
  values: { "qwen2moe.expert_shared_feed_forward_length": u32(64) },
};
const tales = join(repository, "models", "tinytales-q4_0.gguf");
const ids = Uint32Array.from({ length: 41 }, (_, index) => 3 + (index * 37) % 200);

/** Calls `body` with the paths of a model, of two adapters for it, and of the model with the first merged into it. */
function withAdapters(
  shape: Shape,
  first: AdapterShape,
  body: (paths: { model: string; one: string; two: string; merged: string }) => Promise<void>,
): Promise<void> {
  return withDirectory(async (directory) => {
    const paths = { model: "model", one: "one", two: "two", merged: "merged" };
    for (const name of Object.keys(paths) as (keyof typeof paths)[]) paths[name] = join(directory, `${name}.gguf`);
    const { values, tensors } = smallModel(shape);
    writeFileSync(paths.model, encodeGguf(values, tensors));
    writeAdapter(paths.one, paths.model, first);
    writeAdapter(paths.two, paths.model, { rank: 3, alpha: 6, seed: 8 });
    const added = merged(tensors, adapterOf(paths.model, first).tensors, first.alpha / first.rank);
    writeFileSync(paths.merged, encodeGguf(values, added));
    await body(paths);
  });
}

async function logitsOf(path: string, adapters: readonly AdapterOptions[], threads = 1): Promise<Float32Array> {
  await using lm = await LightGPT.load(path, { adapters, threads, kv: "f32" });
  return await lm.logits(ids, { all: true });
}

/** The largest difference, in units of the standard deviation. */
function distance(a: Float32Array, b: Float32Array): number {
  const mean = b.reduce((sum, value) => sum + value, 0) / b.length;
  const deviation = Math.sqrt(b.reduce((sum, value) => sum + (value - mean) ** 2, 0) / b.length);
  return a.reduce((most, value, index) => Math.max(most, Math.abs(value - b[index])), 0) / deviation;
}

describe("a model with an adapter", () => {
  const shapes: Record<string, [Shape, AdapterShape]> = {
    "all matrices of layers": [llama, { rank: 8, alpha: 16, seed: 1 }],
    "a rank that fills no vector, and the output": [llama, { rank: 5, alpha: 2, seed: 2, only: /^(blk|output\.)/ }],
    "a rank above 16": [llama, { rank: 19, alpha: 19, seed: 3 }],
    "the values alone": [llama, { rank: 4, alpha: 4, seed: 4, only: /attn_v/ }],
    "experts, and their router": [mixtral, { rank: 6, alpha: 12, seed: 7 }],
    "experts whose gate and up are one tensor": [
      {
        ...mixtral,
        architecture: "qwen3moe",
        headNorms: true,
        experts: { count: 12, used: 3, width: 32, joined: true },
      },
      { rank: 5, alpha: 5, seed: 8, only: /_exps/ },
    ],
    "a shared expert": [sharing, { rank: 4, alpha: 8, seed: 9, only: /_(exps|shexp)/ }],
    "experts on a narrower row": [nemotronExperts(32), { rank: 4, alpha: 8, seed: 10, only: /_(exps|shexp)/ }],
    "tensors that are several matrices": [{ architecture: "phi3", fused: true }, { rank: 6, alpha: 12, seed: 5 }],
  };
  for (const [name, [shape, adapter]] of Object.entries(shapes)) {
    it(`gives what merged weights give: ${name}`, () =>
      withAdapters(shape, adapter, async ({ model, one, merged }) => {
        const [plain, with1, expected] = [
          await logitsOf(model, []),
          await logitsOf(model, [{ path: one }]),
          await logitsOf(merged, []),
        ];
        assertLess(distance(with1, expected), 4e-5);
        assert(distance(plain, expected) > 0.1, "the adapter changes nothing");
        assertEquals(await logitsOf(model, [{ path: one }], 3), with1);
      }));
  }

  it("with a scale of 0, and where a request asks for none, has the bits of the model alone", () =>
    withAdapters(llama, { rank: 8, alpha: 16, seed: 1 }, async ({ model, one }) => {
      const plain = await logitsOf(model, []);
      assertEquals(await logitsOf(model, [{ path: one, scale: 0 }]), plain);
      await using lm = await LightGPT.load(model, { adapters: [{ path: one }], kv: "f32" });
      assertNotEquals(await lm.logits(ids, { all: true }), plain);
      assertEquals(await lm.logits(ids, { all: true, adapters: [] }), plain);
      assertEquals(await lm.logits(ids, { all: true, adapters: [{ path: one, scale: 0 }] }), plain);
    }));

  it("takes half of it with half the scale, and an alpha of 0 as one that equals the rank", () =>
    withAdapters(llama, { rank: 8, alpha: 8, seed: 1 }, async ({ model, one, two, merged }) => {
      writeAdapter(two, model, { rank: 8, alpha: 16, seed: 1 });
      const expected = await logitsOf(merged, []);
      assertLess(distance(await logitsOf(model, [{ path: two, scale: 0.5 }]), expected), 2e-5);
      writeAdapter(two, model, { rank: 8, alpha: 0, seed: 1 });
      assertEquals(await logitsOf(model, [{ path: two }]), await logitsOf(model, [{ path: one }]));
    }));
});

describe("requests with different adapters", () => {
  for (const threads of [1, 2, 3]) {
    it(`have the same bits in one batch as alone, with ${threads} threads`, () =>
      withDirectory(async (directory) => {
        const [one, two] = ["one", "two"].map((name, index) =>
          writeAdapter(join(directory, name), tales, { rank: 4 + 13 * index, alpha: 8, seed: 6 + index })
        );
        const uses: AdapterOptions[][] = [
          [],
          [{ path: one }],
          [{ path: one }],
          [{ path: two, scale: 0.25 }],
          [{ path: two }, { path: one }],
          [{ path: one, scale: -0.5 }, { path: two }],
        ];
        const load = (chunkTokens: number, threads: number) =>
          LightGPT.load(tales, { adapters: [{ path: one }, { path: two }], chunkTokens, threads });
        const answer = (lm: LightGPT, index: number) =>
          lm.complete(Uint32Array.from({ length: 30 }, (_, at) => 3 + (at * 7 + index * (at > 12 ? 1 : 0)) % 300), {
            adapters: uses[index],
            maxTokens: 12,
            logprobs: 0,
            sampling: { temperature: 0 },
          });
        const probabilities = (completion: Awaited<ReturnType<typeof answer>>) =>
          completion.logprobs?.map(({ token, logprob }) => [token, logprob]);
        const alone = [];
        for (const index of uses.keys()) {
          await using lm = await load(512, 1);
          alone.push(probabilities(await answer(lm, index)));
        }
        for (const chunk of [7, 512]) {
          await using lm = await load(chunk, threads);
          const together = await Promise.all([...uses.keys()].map((index) => answer(lm, index)));
          assertEquals(together.map(probabilities), alone);
          const again = await Promise.all([...uses.keys()].map((index) => answer(lm, index)));
          assertEquals(again.map(probabilities), alone);
          assert(again.every(({ cachedTokens }) => cachedTokens === 30), "prefixes are found with the same adapters");
        }
      }));
  }

  it("have the same bits in one batch as alone where experts are quantized", () =>
    withDirectory(async (directory) => {
      const [model, exact] = ["model", "exact"].map((name) => join(directory, `${name}.gguf`));
      const { values, tensors } = smallModel(sharing);
      writeFileSync(exact, encodeGguf(values, tensors));
      const [one, two] = [5, 19].map((rank) =>
        writeAdapter(join(directory, `${rank}`), exact, { rank, alpha: 2 * rank, seed: rank, only: /_(exps|shexp)/ })
      );
      await quantizeFile(exact, model, { type: "q8_0" });
      const uses: AdapterOptions[][] = [[], [{ path: one }], [{ path: two, scale: 0.5 }], [{ path: one }, {
        path: two,
      }]];
      const read = (lm: LightGPT) =>
        Promise.all(uses.map((adapters, index) => lm.logits(ids.map((id) => id + index), { all: true, adapters })));
      const load = (threads: number, chunkTokens: number) =>
        LightGPT.load(model, { adapters: [{ path: one }, { path: two }], threads, chunkTokens, kv: "f32" });
      const alone: Float32Array[] = [];
      for (const [index, adapters] of uses.entries()) {
        await using lm = await load(1, 512);
        alone.push(await lm.logits(ids.map((id) => id + index), { all: true, adapters }));
        if (index > 0) {
          assertNotEquals(alone[index], await lm.logits(ids.map((id) => id + index), { all: true, adapters: [] }));
        }
      }
      for (const [threads, chunk] of [[1, 7], [3, 512]]) {
        await using lm = await load(threads, chunk);
        assertEquals(await read(lm), alone);
      }
    }));

  it("share no prefixes, whatever the tenant calls itself", () => {
    const salts = ["", "a", "\u0001", "\u0001adapters x*1\u0001a", "\u0001\u0001a"];
    const all = salts.flatMap((salt) => ["", "x*1", "y*1"].map((key) => saltWith(salt, key, "")));
    assertEquals(new Set(all).size, all.length);
    assertEquals(saltWith("a", "x*1", "x*1"), "a");
  });
});

describe("a saved cache", () => {
  it("is for the adapters that it was saved with", () =>
    withDirectory(async (directory) => {
      const one = writeAdapter(join(directory, "one"), tales, { rank: 4, alpha: 8, seed: 6 });
      const chunks: Uint8Array[] = [];
      const stream = () => new Blob(chunks as Uint8Array<ArrayBuffer>[]).stream();
      {
        await using lm = await LightGPT.load(tales, { adapters: [{ path: one }] });
        await lm.complete(ids, { maxTokens: 1 });
        await lm.cache?.save(new WritableStream({ write: (chunk) => void chunks.push(chunk) }));
      }
      await using same = await LightGPT.load(tales, { adapters: [{ path: one }] });
      await same.cache?.load(stream());
      assertEquals((await same.complete(ids, { maxTokens: 1 })).cachedTokens, ids.length);
      await using other = await LightGPT.load(tales, { adapters: [{ path: one, scale: 0.5 }] });
      await assertRejects(() => other.cache?.load(stream()) ?? Promise.resolve());
    }));
});

describe("an adapter is refused", () => {
  const refused = (
    change: Partial<AdapterShape> & { tensors?: (tensors: NewTensor[]) => NewTensor[] },
    code: string,
    message: RegExp,
  ) =>
    withDirectory(async (directory) => {
      const model = join(directory, "model.gguf");
      const { values, tensors } = smallModel(llama);
      writeFileSync(model, encodeGguf(values, tensors));
      const path = join(directory, "adapter.gguf");
      const made = adapterOf(model, { rank: 4, alpha: 8, seed: 1, ...change });
      writeFileSync(path, encodeGguf(made.values, change.tensors?.(made.tensors) ?? made.tensors));
      const error = await assertRejects(() => LightGPT.load(model, { adapters: [{ path }] })) as LightGPTError;
      assertEquals([error.code, message.test(error.message)], [code, true], error.message);
      assert(error.message.includes(path), error.message);
    });
  const keys = (values: Record<string, Values[string] | undefined>) => ({ values });
  const first = (change: (tensor: NewTensor) => NewTensor) => ({
    tensors: ([one, ...rest]: NewTensor[]) => [change(one), ...rest],
  });

  it("where it is a model", () => refused(keys({ "general.type": text("model") }), "modelFormat", /general\.type/));
  it("where its kind is unknown", () => refused(keys({ "adapter.type": text("loha") }), "unsupported", /loha/));
  it("of another architecture", () =>
    refused(
      keys({ "general.architecture": text("qwen2") }),
      "modelFormat",
      /llama, as the model .*'qwen2'|'qwen2'.*llama/,
    ));
  it("without alpha", () => refused(keys({ "adapter.lora.alpha": undefined }), "modelFormat", /adapter\.lora\.alpha/));
  it("with an alpha that is no number", () =>
    refused(keys({ "adapter.lora.alpha": f32(NaN) }), "modelFormat", /adapter\.lora\.alpha/));
  it("for some tokens only", () =>
    refused(keys({ "adapter.alora.invocation_tokens": text("1") }), "unsupported", /invocation_tokens/));
  it("without tensors", () => refused({ tensors: () => [] }, "modelFormat", /no tensors/));
  it("for a tensor that there is not", () =>
    refused(
      { tensors: (all) => all.map((tensor) => ({ ...tensor, name: tensor.name.replace("blk.0", "blk.7") })) },
      "modelFormat",
      /has no tensor blk\.7/,
    ));
  it("with half of a pair", () => refused({ tensors: (all) => all.slice(1) }, "modelFormat", /lora_a is missing/));
  it("with other tensors", () =>
    refused(first((tensor) => ({ ...tensor, name: "blk.0.attn_q.lora_magnitude" })), "unsupported", /lora_magnitude/));
  it("of another shape", () =>
    refused(first((tensor) => ({ ...tensor, dims: [32, 8] })), "modelFormat", /32 x 8; expected 64 x 8/));
  it("of the embeddings", () => refused({ only: /token_embd/ }, "unsupported", /changes the embeddings/));
  it("with values that are not finite", () =>
    refused(
      first((tensor) => {
        const data = tensor.data.slice();
        new Float32Array(data.buffer)[5] = NaN;
        return { ...tensor, data };
      }),
      "nonFinite",
      /not finite/,
    ));

  it("as a model", () =>
    withDirectory(async (directory) => {
      const path = writeAdapter(join(directory, "one"), tales, { rank: 4, alpha: 8, seed: 6 });
      const error = await assertRejects(() => LightGPT.load(path)) as LightGPTError;
      assertEquals([error.code, /adapters/.test(error.message)], ["unsupported", true], error.message);
    }));

  it("where a request names one that was not loaded, twice, or with a scale that is no number", async () => {
    await using lm = await LightGPT.load(tales);
    const cases: [unknown, RegExp][] = [
      [[{ path: "other" }], /adapters\[0\]\.path: expected none/],
      [[{ path: "a" }, { path: "a" }], /adapters\[1\]\.path: expected each adapter once/],
      [[{ path: "a", scale: NaN }], /adapters\[0\]\.scale: expected a number/],
      [[{}], /adapters\[0\]\.path/],
      ["a", /adapters: expected an array/],
      [Array.from({ length: 9 }, (_, index) => ({ path: `${index}` })), /at most 8/],
    ];
    for (const [adapters, message] of cases) {
      const error = await assertRejects(() =>
        lm.complete("Once", { adapters: adapters as AdapterOptions[], maxTokens: 1 })
      ) as LightGPTError;
      assertEquals([error.code, message.test(error.message)], ["invalidArgument", true], error.message);
    }
  });
});

it("the command takes adapters: --lora FILE and --lora FILE:SCALE", () =>
  withDirectory(async (directory) => {
    const path = writeAdapter(join(directory, "one.gguf"), tales, { rank: 4, alpha: 30, seed: 6 });
    const words = ["run", "Once upon a time", "--max-tokens", "12", "--temperature", "0"];
    const [plain, zero, one, half] = await Promise.all(
      [[], ["--lora", `${path}:0`], ["--lora", path], ["--lora", `${path}:0.5`]].map((more) =>
        lightgpt([...words, ...more])
      ),
    );
    for (const { code, stderr } of [plain, zero, one, half]) assertEquals(code, 0, stderr);
    assertEquals(zero.stdout, plain.stdout);
    assertNotEquals(one.stdout, plain.stdout);
    assertNotEquals(half.stdout, one.stdout);
  }));
