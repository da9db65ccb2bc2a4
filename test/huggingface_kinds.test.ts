/**
 * Hugging Face folders of the architectures of the kit's second set: made of its files and made files again, they have the same
 * tensors bit for bit, the same keys, tokens and logits. A setting that would compute something else is refused by name.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { LightGPT, LightGPTError, quantizeFile, readGguf } from "../mod.ts";
import { planModel } from "../src/model/architectures/architectures.ts";
import { ARCHITECTURES } from "../src/model/architectures/table.ts";
import { type Folder, writeFolder } from "./huggingface.ts";
import { kindFolderOf, kindNames, withExactValues } from "./huggingface_kinds.ts";
import { flag } from "./models.ts";
import { variants } from "./variants.ts";
import { type Shape, smallModelBytes } from "./small-models.ts";
import { describeWholeKit, readJson } from "./kit.ts";

const directory = mkdtempSync(join(tmpdir(), "lightgpt-kinds-"));
after(() => rmSync(directory, { recursive: true, force: true }));
const at = (name: string) => join(directory, name);

interface Manifest {
  models: { name: string; file: string; arch: string; sequences: { ids: number[] }[]; texts: { text: string }[] }[];
}

/** Files whose factors no setting says: they were made for the kit. */
const withoutSettings = new Set(["exaone4"]);
const quantize = (input: string, output: string) => quantizeFile(input, at(output), { type: "f32" });

/** The tensors of a file, with what they hold. */
function contents(path: string): Map<string, { dims: readonly number[]; type: number; data: Uint8Array }> {
  const bytes = readFileSync(path);
  return new Map(
    [...readGguf(path).tensors.values()].map(({ name, dims, type, offset, bytes: length }) => [
      name,
      { dims, type, data: bytes.subarray(offset, offset + length) },
    ]),
  );
}

/** Blocks stay as they are. */
const tensorTypes = [{ pattern: "_exps.weight", format: "mxfp4" }] as const;

/** A file, made a folder and a file again, has the same tensors, keys, tokens and logits. */
async function comesBack(name: string, path: string, ids: number[], texts: string[]) {
  const original = withExactValues(path, at(`${name}-exact.gguf`));
  writeFolder(at(name), kindFolderOf(original), name.length % 3 + 1);
  await quantizeFile(at(name), at(`${name}.gguf`), {
    type: "f32",
    tensorTypes: name.includes("mxfp4") ? tensorTypes : [],
  });
  const [before, made] = [original, at(`${name}.gguf`)].map(contents);
  if (withoutSettings.has(name)) before.delete("rope_freqs.weight");
  assertEquals([...made.keys()].sort(), [...before.keys()].sort());
  for (const [tensor, { dims, type, data }] of before) {
    const other = made.get(tensor);
    assertEquals([other?.dims, other?.type], [dims, type], tensor);
    assert(Buffer.compare(data, other?.data ?? new Uint8Array()) === 0, `${tensor} has other values`);
  }
  if (withoutSettings.has(name)) return;
  await using a = await LightGPT.load(original, { kv: "f32" });
  await using b = await LightGPT.load(at(`${name}.gguf`), { kv: "f32" });
  assertEquals(b.model.plan.hyperparameters, a.model.plan.hyperparameters);
  assertEquals(await b.logits(ids), await a.logits(ids));
  // A small gemma4 has another kind of vocabulary than all that are published.
  if (name.startsWith("gemma4") && a.model.gguf.metadata.text("tokenizer.ggml.model") === "llama") return;
  for (const text of texts) assertEquals(b.tokenize(text), a.tokenize(text), text);
  const pre = (lm: LightGPT) => ["model", "pre"].map((key) => lm.model.gguf.metadata.get(`tokenizer.ggml.${key}`));
  if (a.model.gguf.metadata.has("tokenizer.ggml.pre")) assertEquals(pre(b), pre(a));
}

describe("a Hugging Face folder of a small model", () => {
  const wanted = [
    "lfm2moe with a dense layer",
    "qwen2moe",
    "olmoe",
    "granitemoe with a shared expert",
    "gemma4",
    "gemma4 with experts beside a dense part",
    "exaone4 of 64 layers, with windows",
    "seed_oss",
    "stablelm, rotated in part, with biases",
    "stablelm with parallel halves",
    "command-r",
    "cohere2",
  ];
  const found = variants.filter(([name]) => wanted.includes(name));

  it("is made of all that are named", () => assertEquals(found.map(([name]) => name).sort(), wanted.toSorted()));

  for (const [name, shape] of found) {
    it(`(${name}) gives the same tensors, keys, tokens and logits`, async () => {
      const file = at(`${name}-written.gguf`);
      const values = { ...shape.values, "tokenizer.ggml.add_space_prefix": flag(false) };
      // Folders of gemma4 have gate and up of its experts in one tensor, and so have its files.
      const joined = shape.architecture === "gemma4" && shape.experts !== undefined;
      const experts = joined ? { experts: { ...shape.experts, joined } } : {};
      writeFileSync(file, smallModelBytes({ ...shape, ...experts, values } as Shape));
      await comesBack(name, file, Array.from({ length: 20 }, (_, i) => 3 + (i * 89) % 270), ["Hello  world, 12"]);
    });
  }
});

describeWholeKit("a Hugging Face folder of the second set", "archs2", (kit) => {
  const models = readJson<Manifest>(kit, "manifest.json").models.filter(({ arch }) =>
    kindNames.includes(arch) && ARCHITECTURES.has(arch)
  );
  const fileOf = (wanted: string) => join(kit, models.find(({ name }) => name === wanted)?.file ?? "");

  for (const { name, file, sequences, texts } of models) {
    // No setting says how wide the layers of this one are; the small models below have another.
    if (name === "gemma4") continue;
    it(`of ${name} gives the same tensors, keys, tokens and logits`, async () => {
      await comesBack(name, join(kit, file), sequences[0].ids, texts.map(({ text }) => text));
    });
  }

  /** Expects that a folder is refused once something of it was changed. */
  async function refuse(name: string, change: (folder: Folder) => void, message: string) {
    const folder = kindFolderOf(fileOf(name));
    change(folder);
    rmSync(at("bad"), { recursive: true, force: true });
    writeFolder(at("bad"), folder);
    await assertRejects(() => quantize(at("bad"), "bad.gguf"), LightGPTError, message);
  }
  const set = (values: Record<string, unknown>) => ({ config }: Folder) => void Object.assign(config, values);

  it("with settings that would compute something else is refused by their names", async () => {
    await refuse("qwen3moe", set({ norm_topk_prob: false }), "norm_topk_prob is false");
    await refuse("qwen3moe", set({ norm_topk_prob: undefined }), "norm_topk_prob is absent");
    await refuse("qwen3moe", set({ mlp_only_layers: [0] }), "mlp_only_layers is [0]");
    await refuse("qwen3moe", set({ sliding_window: 64, use_sliding_window: true }), "use_sliding_window is true");
    await refuse("qwen3moe", set({ rope_theta: undefined }), "rope_theta is absent");
    await refuse("granite", set({ sliding_window: 64 }), "sliding_window is 64, which is not supported; expected none");
    await refuse("granite", set({ num_local_experts: 4 }), "num_local_experts is 4");
    await refuse("smollm3", set({ no_rope_layers: [1, 1, 0, 1, 1] }), "no_rope_layers is [1,1,0,1,1]");
    await refuse("glm4", set({ partial_rotary_factor: 2 }), "partial_rotary_factor is 2; expected an even part");
    await refuse("lfm2", set({ conv_bias: true }), "conv_bias is true");
    await refuse("lfm2", set({ layer_types: ["conv"] }), "conv or full_attention for each of 5 layers");
    await refuse("hunyuan_dense", set({ num_experts: 16 }), "num_experts is 16");
    await refuse("exaone4", set({ sliding_window: 4096 }), "none in a model of other than 64 layers");
    await refuse("ernie4_5_moe", set({ moe_layer_end_index: 1 }), "moe_layer_end_index is 1");
    await refuse("gptoss", set({ swiglu_limit: 9 }), "swiglu_limit is 9");
    await refuse("gptoss", set({ layer_types: ["full_attention", "full_attention"] }), "a window in the first layer");
    await refuse("gptoss", set({ quantization_config: { quant_method: "fp8" } }), "or mxfp4");
    await refuse("qwen35", set({ attn_output_gate: false }), "attn_output_gate is false");
    await refuse("qwen35", set({ linear_value_head_dim: 8 }), "linear_value_head_dim is 8");
    await refuse("gemma4", ({ config }) => {
      (config.rope_parameters as Record<string, Record<string, unknown>>).full_attention.rope_type = "default";
    }, 'rope_type is "default"');
    const scaling = (values: Record<string, unknown>) => ({ config }: Folder) =>
      void Object.assign(config.rope_scaling as object, values);
    await refuse("llama_yarn", scaling({ beta_fast: 16 }), "rope_scaling.beta_fast is 16");
    await refuse("llama_yarn", scaling({ attention_factor: 1 }), "rope_scaling.attention_factor is 1");
    await refuse("llama_yarn", scaling({ mscale: 1 }), "rope_scaling.mscale is 1");
    await refuse("llama_yarn", scaling({ truncate: false }), "rope_scaling.truncate is false");
    await refuse("llama_yarn", scaling({ factor: undefined }), "rope_scaling.factor is absent");
  });

  it("whose tensors are not whole is refused by what is missing or wrong", async () => {
    const without = (pattern: RegExp) => ({ tensors }: Folder) =>
      void tensors.splice(tensors.findIndex(({ name }) => pattern.test(name)), 1);
    await refuse("qwen3moe", without(/0\.mlp\.experts\.3\.up_proj/), "layers.0.mlp.experts.3.up_proj.weight beside it");
    await refuse("qwen3moe", without(/0\.mlp\.experts\.15\.up_proj/), "experts.15.up_proj.weight beside it");
    await refuse("qwen3moe", set({ num_experts: 15 }), "the experts differ");
    await refuse("qwen3moe", ({ tensors }) => {
      const found = tensors.find(({ name }) => name.includes("experts.2.down_proj"));
      found?.shape.reverse();
    }, "as other experts");
    await refuse("gptoss_mxfp4", without(/down_proj_scales/), "a tensor of scales beside it");
    await refuse("gptoss_mxfp4", ({ tensors }) => {
      const found = tensors.find(({ name }) => name.endsWith("down_proj_scales"));
      if (found !== undefined) found.shape = [found.shape[0], found.shape[1] * found.shape[2]];
    }, "scales U8 [experts, rows, blocks]");
    await refuse("qwen35", set({ linear_num_key_heads: 3 }), "linear_num_value_heads is 4; expected a multiple of 3");
    await refuse("granitemoe", without(/input_linear/), "ffn_gate_exps.weight is missing");
  });

  it("leaves out extra prediction layers and says so", async () => {
    const folder = kindFolderOf(fileOf("qwen35"));
    folder.tensors.push({ name: "mtp.fc.weight", dtype: "F32", shape: [1, 2], data: new Uint8Array(8) });
    writeFolder(at("drafter"), folder);
    const { warnings } = await quantize(at("drafter"), "drafter.gguf");
    assertEquals(warnings, [
      "1 tensors of extra prediction layers are left out, mtp.fc.weight the first: they take no part in what the model says.",
    ]);
    assertEquals(planModel(readGguf(at("drafter.gguf"))).hyperparameters.layers, 4);
  });
});
