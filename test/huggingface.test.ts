/**
 * Hugging Face folders become GGUF files: the same logits and tokens as the file that the folder was made of, in one piece
 * or several; what is damaged, missing or not supported is refused before anything is written.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { LightGPT, LightGPTError, quantizeFile, type QuantizeFileOptions, Quantizer, readGguf } from "../mod.ts";
import { planModel } from "../src/model/architectures/architectures.ts";
import { type Folder, folderOf, gemma, phi3, safetensors, withExactNorms, writeFolder } from "./huggingface.ts";
import { describeWholeKit, readJson } from "./kit.ts";
import { f32, text } from "./models.ts";
import { type Shape, smallModelBytes } from "./small-models.ts";

const directory = mkdtempSync(join(tmpdir(), "lightgpt-folder-"));
after(() => rmSync(directory, { recursive: true, force: true }));
const at = (name: string) => join(directory, name);

interface Manifest {
  models: { name: string; file: string; sequences: { ids: number[] }[] }[];
}

const names = ["llama", "llama3", "llama_rope_linear", "llama_tied", "mistral", "qwen2", "qwen3", "gemma", "gemma2"];
const texts = [
  "Hello world, the 1234 foxes!",
  "the abc<|im_end|> a\n<tool> b",
  "  two\n\nlines\tand ünïcödé 漢字 🦊",
  "",
  " ",
];

const quantize = (input: string, output: string, more: Partial<QuantizeFileOptions> = {}) =>
  quantizeFile(input, at(output), { type: "f32", ...more });

/** The folder of a file, made a file again, gives what the file gives, bit for bit. */
async function comesBack(name: string, path: string, sequences: number[][], change?: (folder: Folder) => void) {
  const original = withExactNorms(path, at(`${name}-original.gguf`));
  const folder = folderOf(original);
  change?.(folder);
  writeFolder(at(name), folder);
  await quantize(at(name), `${name}.gguf`);
  await using before = await LightGPT.load(original, { kv: "f32" });
  await using made = await LightGPT.load(at(`${name}.gguf`), { kv: "f32" });
  assertEquals(made.model.plan.hyperparameters, before.model.plan.hyperparameters);
  for (const ids of sequences) assertEquals(await made.logits(ids), await before.logits(ids));
  for (const words of texts) {
    for (const parseSpecial of [false, true]) {
      const tokens = (lm: LightGPT) => lm.tokenize(words, { parseSpecial });
      assertEquals(tokens(made), tokens(before), JSON.stringify(words));
    }
  }
  assertEquals(made.model.gguf.metadata.text("tokenizer.chat_template"), "{{ messages[0].content }}");
  const special = (lm: LightGPT) => [lm.model.tokenizer.bos, lm.model.tokenizer.eos, lm.model.tokenizer.addBos];
  assertEquals(special(made), special(before));
}

/** Expects that a folder with something changed is refused with a message, and leaves nothing. */
function refusalsOf(folder: () => Folder) {
  return async (change: (folder: Folder) => void, message: string, more: Partial<QuantizeFileOptions> = {}) => {
    const changed = folder();
    change(changed);
    rmSync(at("bad"), { recursive: true, force: true });
    writeFolder(at("bad"), changed);
    await assertRejects(() => quantize(at("bad"), "bad.gguf", more), LightGPTError, message);
    assertEquals(readdirSync(directory).filter((name) => name.startsWith("bad.gguf")), []);
  };
}

describeWholeKit("a Hugging Face folder", "archs", (kit) => {
  const { models } = readJson<Manifest>(kit, "manifest.json");
  const pathOf = (name: string) => join(kit, `${name}.gguf`);

  for (const name of names) {
    it(`of ${name} gives the same logits and tokens`, async () => {
      const sequences = models.find((model) => model.name === name)?.sequences.map(({ ids }) => ids) ?? [];
      await comesBack(name, pathOf(name), sequences, ({ config }) => {
        if (name === "mistral") config.architectures = ["MistralForCausalLM"];
        // What the file's frequencies were made with.
        if (name === "llama3") {
          config.rope_scaling = {
            rope_type: "llama3",
            factor: 8,
            low_freq_factor: 1,
            high_freq_factor: 4,
            original_max_position_embeddings: 64,
          };
        }
      });
    });
  }

  it("may lie in several files, of F16 and BF16 too, and is quantized like a GGUF file", async () => {
    const folder = folderOf(pathOf("llama"));
    writeFolder(at("whole/model"), folder);
    writeFolder(at("parts/model"), folder, 3);
    const report = await quantize(at("whole/model"), "one.gguf", { type: "q8_0" });
    await quantize(at("parts/model"), "three.gguf", { type: "q8_0" });
    await quantize(pathOf("llama"), "gguf.gguf", { type: "q8_0" });
    assert(readFileSync(at("one.gguf")).equals(readFileSync(at("three.gguf"))));
    assertEquals(report.warnings, []);
    const [made, direct] = ["one.gguf", "gguf.gguf"].map((name) => readGguf(at(name)));
    for (const [name, { offset, bytes }] of direct.tensors) {
      const { offset: other = 0 } = made.tensors.get(name) ?? {};
      const same = readFileSync(at("one.gguf")).subarray(other, other + bytes);
      assert(same.equals(readFileSync(at("gguf.gguf")).subarray(offset, offset + bytes)), name);
    }
    // The same values as F32 and in two bytes.
    const quantizer = new Quantizer();
    const [wide, narrow] = [structuredClone(folder), structuredClone(folder)];
    for (const [index, tensor] of folder.tensors.entries()) {
      const format = index % 2 === 0 ? "bf16" : "f16";
      const made = await quantizer.quantize(new Float32Array(tensor.data.buffer as ArrayBuffer), { format });
      Object.assign(narrow.tensors[index], { dtype: format.toUpperCase(), data: made.blocks });
      const values = await quantizer.dequantize(made);
      wide.tensors[index].data = new Uint8Array(values.buffer);
    }
    writeFolder(at("wide"), wide);
    writeFolder(at("narrow"), narrow);
    for (const name of ["wide", "narrow"]) await quantize(at(name), `${name}.gguf`);
    await using a = await LightGPT.load(at("wide.gguf"));
    await using b = await LightGPT.load(at("narrow.gguf"));
    assertEquals(await b.logits([1, 50, 60]), await a.logits([1, 50, 60]));
  });

  const refuse = refusalsOf(() => folderOf(pathOf("qwen2")));

  it("with settings that are not supported is refused by their names", async () => {
    const set = (key: string, value: unknown) => ({ config }: Folder) => config[key] = value;
    await refuse(set("architectures", ["MambaForCausalLM"]), "expected one of LlamaForCausalLM");
    await refuse(set("rope_scaling", { rope_type: "dynamic", factor: 4 }), 'rope_scaling.rope_type is "dynamic"');
    await refuse(set("hidden_act", "relu"), 'hidden_act is "relu", which is not supported');
    await refuse(set("quantization_config", { bits: 4 }), "weights as floats");
    await refuse(set("use_sliding_window", true), "use_sliding_window is true");
    await refuse(set("num_hidden_layers", 1.5), "expected a whole number");
    await refuse(set("num_hidden_layers", 3), "blk.2.attn_norm.weight is missing");
    await refuse(set("num_hidden_layers", 1), "it has no place there");
    await refuse(set("vocab_size", 100), "ids below vocab_size");
    await refuse(set("intermediate_size", 161), "blk.0.ffn_gate.weight is 64 x 160");
    await refuse(set("max_position_embeddings", undefined), "max_position_embeddings is absent");
    await refuse(() => {}, "calibrated for the GGUF file", { rounding: "calibrated" });
  });

  it("with another tokenizer is refused, or cut by default rules where that is asked for", async () => {
    const model = (values: Record<string, unknown>) => ({ tokenizer }: Folder) => {
      tokenizer.model = { ...tokenizer.model as Record<string, unknown>, ...values };
    };
    await refuse(model({ type: "Unigram" }), "model.type is Unigram, which is not supported");
    await refuse(model({ vocab: { a: -1 } }), "ids below vocab_size");
    await refuse(model({ merges: ["a"] }), "pairs of tokens");
    await refuse(({ tokenizer }) => tokenizer.normalizer = { type: "NFKC" }, "the normalizer is NFKC");
    const unknown = ({ tokenizer }: Folder) => {
      tokenizer.pre_tokenizer = { type: "Split", pattern: { Regex: "\\w+" }, behavior: "Isolated" };
    };
    await refuse(unknown, "allowUnknownPreTokenizer");
    const folder = folderOf(pathOf("qwen2"));
    unknown(folder);
    writeFolder(at("unknown"), folder);
    await quantize(at("unknown"), "unknown.gguf", { allowUnknownPreTokenizer: true });
    assertEquals(readGguf(at("unknown.gguf")).metadata.text("tokenizer.ggml.pre"), "default");
  });

  it("that is damaged or not whole is refused with the file and the field", async () => {
    const weights = folderOf(pathOf("qwen2")).tensors;
    const first = weights[0].name;
    type Entry = { dtype: string; shape: unknown; data_offsets: number[] };
    const entry = (change: (entry: Entry) => void) => safetensors(weights, (header) => change(header[first] as Entry));
    const whole = safetensors(weights);
    const longer = new Uint8Array(whole.length + 1);
    longer.set(whole);
    const cases: [Uint8Array | string, string][] = [
      ["", "it has 0 bytes"],
      [whole.slice(0, 100), "no safetensors file, or a part of one"],
      [whole.slice(0, whole.length - 1), "of"],
      [longer, "a file that ends with its last tensor"],
      [new Uint8Array(64).fill(255), "its header would have"],
      [entry((e) => e.dtype = "F99"), 'has the type "F99"'],
      [entry((e) => e.dtype = "F64"), `expected ${2 * weights[0].data.length}, for F64`],
      [entry((e) => e.shape = [1]), "for F32 of the shape 1"],
      [entry((e) => e.shape = [-1, 2 ** 53]), "whole numbers"],
      [entry((e) => e.data_offsets[1] -= 4), "for F32 of the shape"],
      [entry((e) => e.data_offsets.reverse()), "its first byte, and that after its last"],
      [
        safetensors(weights, (header) => {
          const [a, b] = [header[first], header[weights[1].name]] as Entry[];
          b.data_offsets = [0, b.data_offsets[1] - b.data_offsets[0]];
          assert(a.data_offsets[0] === 0);
        }),
        "shares bytes with another tensor",
      ],
    ];
    for (const [bytes, message] of cases) {
      writeFolder(at("damaged"), folderOf(pathOf("qwen2")));
      writeFileSync(at("damaged/model.safetensors"), bytes);
      const error = await quantize(at("damaged"), "damaged.gguf").then(() => undefined, (error) => error);
      assert(error instanceof LightGPTError, message);
      assertStringIncludes(error.message, message);
      assertStringIncludes(error.message, "damaged");
    }
    for (const name of ["config.json", "tokenizer.json"]) {
      writeFolder(at("damaged"), folderOf(pathOf("qwen2")));
      writeFileSync(at(`damaged/${name}`), '{"half":');
      await assertRejects(() => quantize(at("damaged"), "damaged.gguf"), LightGPTError, "it is no whole JSON file");
      rmSync(at(`damaged/${name}`));
      await assertRejects(() => quantize(at("damaged"), "damaged.gguf"), LightGPTError, `${name} is missing`);
    }
    writeFolder(at("damaged"), folderOf(pathOf("qwen2")));
    rmSync(at("damaged/tokenizer.json"));
    writeFileSync(at("damaged/tokenizer.model"), "x");
    await assertRejects(
      () => quantize(at("damaged"), "damaged.gguf"),
      LightGPTError,
      "there is a tokenizer.model but no",
    );
    rmSync(at("damaged/model.safetensors"));
    writeFolder(at("damaged"), folderOf(pathOf("qwen2")), 2);
    rmSync(at("damaged/model-2-of-2.safetensors"));
    await assertRejects(
      () => quantize(at("damaged"), "damaged.gguf"),
      LightGPTError,
      "model-2-of-2.safetensors is missing",
    );
    const outside = { weight_map: { x: "../one/model.safetensors" } };
    writeFileSync(at("damaged/model.safetensors.index.json"), JSON.stringify(outside));
    await assertRejects(() => quantize(at("damaged"), "damaged.gguf"), LightGPTError, "plain names");
    assertEquals(readdirSync(directory).filter((name) => name.startsWith("damaged.gguf")), []);
  });
});

describe("a folder of a small model", () => {
  const ids = Array.from({ length: 24 }, (_, i) => 3 + (i * 89) % 270);
  const fileOf = (name: string, shape: Shape) => {
    writeFileSync(at(`${name}-written.gguf`), smallModelBytes(shape));
    return at(`${name}-written.gguf`);
  };
  const set = (values: Record<string, unknown>) => ({ config }: Folder) => void Object.assign(config, values);

  it("of gemma3 gives the same logits and tokens, as older and newer config.json have it", async () => {
    const path = fileOf("gemma3", gemma);
    // Spaces are replaced and then cut at, and a token for pictures has no row in the embedding.
    const likeGemma = ({ tokenizer }: Folder) => {
      tokenizer.pre_tokenizer = { type: "Split", pattern: { String: " " }, behavior: "MergedWithPrevious" };
      Object.assign((tokenizer.model as { vocab: object }).vocab, { "<picture>": 278 });
      (tokenizer.added_tokens as unknown[]).push({ id: 278, content: "<picture>", special: true });
    };
    await comesBack("gemma3", path, [ids, [2]], likeGemma);
    const newer = folderOf(at("gemma3-original.gguf"));
    likeGemma(newer);
    for (const key of ["rope_theta", "rope_local_base_freq", "rope_scaling", "sliding_window_pattern"]) {
      delete newer.config[key];
    }
    set({
      layer_types: Array.from({ length: 7 }, (_, i) => i === 5 ? "full_attention" : "sliding_attention"),
      rope_parameters: {
        full_attention: { rope_type: "linear", factor: 8, rope_theta: 1e6 },
        sliding_attention: { rope_type: "default", rope_theta: 12_000 },
      },
    })(newer);
    writeFolder(at("newer/gemma3"), newer);
    await quantize(at("newer/gemma3"), "newer.gguf");
    assert(readFileSync(at("newer.gguf")).equals(readFileSync(at("gemma3.gguf"))));
    // What is not said is as Transformers has it.
    for (const key of ["rope_parameters", "layer_types", "sliding_window"]) delete newer.config[key];
    writeFolder(at("newer/gemma3"), newer);
    await quantize(at("newer/gemma3"), "bare.gguf");
    const { rotations, perLayer } = planModel(readGguf(at("bare.gguf"))).hyperparameters;
    assertEquals(rotations.map(({ base, scale }) => [base, scale]), [[1e6, 1], [1e4, 1]]);
    assertEquals([perLayer[0].window, perLayer[5].window], [4096, 0]);
  });

  it("of phi3 gives the same logits and tokens, its matrices in one piece", async () => {
    const path = fileOf("phi3", phi3);
    await comesBack("phi3", path, [ids, [2]]);
    const { tensors, metadata } = readGguf(at("phi3.gguf"));
    assertEquals(tensors.get("blk.0.attn_qkv.weight")?.dims, [64, 128]);
    assertEquals(tensors.get("blk.0.ffn_up.weight")?.dims, [64, 192]);
    assertEquals(metadata.text("general.name"), "phi3");
    // By another folder's name its tokens would not take the space behind them.
    writeFolder(at("instruct"), folderOf(path));
    await quantize(at("instruct"), "instruct.gguf");
    assertEquals(readGguf(at("instruct.gguf")).metadata.text("general.name"), "Phi-3 instruct");
    // Newer files have the share that is rotated beside the base.
    const newer = folderOf(path);
    delete newer.config.partial_rotary_factor;
    delete newer.config.rope_theta;
    newer.config.rope_parameters = { rope_type: "default", rope_theta: 20_000, partial_rotary_factor: 0.75 };
    writeFolder(at("newer/phi3"), newer);
    await quantize(at("newer/phi3"), "newer.gguf");
    assert(readFileSync(at("newer.gguf")).equals(readFileSync(at("phi3.gguf"))));
    // Linear scaling, and matrices apart, as some write them.
    const apart: Shape = {
      ...phi3,
      fused: false,
      values: { ...phi3.values, "phi3.rope.scaling.type": text("linear"), "phi3.rope.scaling.factor": f32(4) },
    };
    await comesBack("phi3-apart", fileOf("phi3-apart", apart), [ids]);
  });

  it("of gemma3 that would compute something else is refused by what does", async () => {
    const path = fileOf("gemma3-refused", gemma);
    const refuse = refusalsOf(() => folderOf(path));
    const kinds = (period: number) =>
      Array.from({ length: 7 }, (_, i) => i % period === period - 1 ? "full_attention" : "sliding_attention");
    await refuse(set({ layer_types: kinds(2) }), "expected full attention in each sixth layer");
    await refuse(set({ sliding_window_pattern: 2 }), "sliding_window_pattern is 2, which is not supported");
    await refuse(set({ _sliding_window_pattern: 2 }), "_sliding_window_pattern is 2");
    await refuse(set({ sliding_window: "wide" }), 'sliding_window is "wide"; expected a whole number');
    await refuse(set({ query_pre_attn_scalar: 48 }), "query_pre_attn_scalar is 48");
    await refuse(set({ final_logit_softcapping: 30 }), "final_logit_softcapping is 30");
    await refuse(set({ use_bidirectional_attention: true }), "use_bidirectional_attention is true");
    await refuse(set({ rope_scaling: { rope_type: "yarn", factor: 8 } }), 'rope_scaling.rope_type is "yarn"');
    await refuse(set({ rope_scaling: { rope_type: "linear" } }), "rope_scaling.factor is absent");
    await refuse(
      set({ rope_parameters: { sliding_attention: { rope_type: "linear", factor: 2 } } }),
      'rope_parameters.sliding_attention.rope_type is "linear"',
    );
    await refuse(
      ({ tensors }) => void tensors.splice(tensors.findIndex(({ name }) => /k_norm/.test(name)), 1),
      "missing",
    );
    await refuse(({ tokenizer }) => {
      Object.assign((tokenizer.model as { vocab: object }).vocab, { "<picture>": 278 });
    }, 'ids below vocab_size, 278 ("<picture>" has 278)');
  });

  it("of phi3 that would compute something else is refused by what does", async () => {
    const path = fileOf("phi3-refused", phi3);
    const refuse = refusalsOf(() => folderOf(path));
    const factors = { long_factor: [1, 1, 1, 1, 1, 1], short_factor: [1, 1, 1, 1, 1, 1] };
    for (const type of ["longrope", "su", "yarn", "dynamic"]) {
      await refuse(
        set({ rope_scaling: { type, ...factors } }),
        `rope_scaling.type is "${type}", which is not supported`,
      );
    }
    const nested = { full_attention: { rope_type: "default", rope_theta: 1e5 } };
    await refuse(set({ rope_parameters: nested }), "expected the same for all layers");
    await refuse(set({ partial_rotary_factor: 0.7 }), "partial_rotary_factor is 0.7; expected an even part of a head");
    await refuse(set({ num_key_value_heads: 4 }), "attn_qkv.weight is 64 x 128; expected 64 x 192");
    await refuse(set({ intermediate_size: 97 }), "blk.0.ffn_up.weight is 64 x 192; expected 64 x 194");
    await refuse(({ tensors }) => {
      const fused = tensors.find(({ name }) => name.endsWith("1.self_attn.qkv_proj.weight"));
      Object.assign(fused ?? {}, { name: "model.layers.1.self_attn.q_proj.weight" });
    }, "blk.1.attn_q.weight is 64 x 128; expected 64 x 64");
  });
});
