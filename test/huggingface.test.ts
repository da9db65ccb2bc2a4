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
import { after, it } from "node:test";
import { LightGPT, LightGPTError, quantizeFile, type QuantizeFileOptions, Quantizer, readGguf } from "../mod.ts";
import { type Folder, folderOf, safetensors, writeFolder } from "./huggingface.ts";
import { describeKit, readJson } from "./kit.ts";

const directory = mkdtempSync(join(tmpdir(), "lightgpt-folder-"));
after(() => rmSync(directory, { recursive: true, force: true }));
const at = (name: string) => join(directory, name);

interface Manifest {
  models: { name: string; file: string; sequences: { ids: number[] }[] }[];
}

const names = ["llama", "llama3", "llama_rope_linear", "llama_tied", "mistral", "qwen2", "qwen3", "gemma", "gemma2"];
const texts = ["Hello world, the 1234 foxes!", "  two\n\nlines\tand ünïcödé 漢字 🦊", "", " "];

describeKit("a Hugging Face folder", (kit) => {
  const { models } = readJson<Manifest>(kit, "archs", "manifest.json");
  const pathOf = (name: string) => join(kit, "archs", `${name}.gguf`);
  const quantize = (input: string, output: string, more: Partial<QuantizeFileOptions> = {}) =>
    quantizeFile(input, at(output), { type: "f32", ...more });

  for (const name of names) {
    it(`of ${name} gives the same logits and tokens`, async () => {
      const folder = folderOf(pathOf(name));
      // What the file's frequencies were made with.
      if (name === "llama3") {
        folder.config.rope_scaling = {
          rope_type: "llama3",
          factor: 8,
          low_freq_factor: 1,
          high_freq_factor: 4,
          original_max_position_embeddings: 64,
        };
      }
      writeFolder(at(name), folder);
      await quantize(at(name), `${name}.gguf`);
      await using before = await LightGPT.load(pathOf(name), { kv: "f32" });
      await using made = await LightGPT.load(at(`${name}.gguf`), { kv: "f32" });
      assertEquals(made.model.plan.hyperparameters, before.model.plan.hyperparameters);
      for (const { ids } of models.find((model) => model.name === name)?.sequences ?? []) {
        const [a, b] = [await before.logits(ids), await made.logits(ids)];
        // Gemma's norms lost a bit when 1 was taken from them.
        if (!name.startsWith("gemma")) assertEquals(b, a);
        else a.forEach((value, i) => assert(Math.abs(value - b[i]) < 1e-4));
      }
      for (const text of texts) assertEquals(made.tokenize(text), before.tokenize(text), JSON.stringify(text));
      assertEquals(made.model.gguf.metadata.text("tokenizer.chat_template"), "{{ messages[0].content }}");
      const special = (lm: LightGPT) => [lm.model.tokenizer.bos, lm.model.tokenizer.eos, lm.model.tokenizer.addBos];
      assertEquals(special(made), special(before));
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

  /** A folder with something changed, and what the error says. */
  const refuse = async (change: (folder: Folder) => void, message: string, more: Partial<QuantizeFileOptions> = {}) => {
    const folder = folderOf(pathOf("qwen2"));
    change(folder);
    rmSync(at("bad"), { recursive: true, force: true });
    writeFolder(at("bad"), folder);
    await assertRejects(() => quantize(at("bad"), "bad.gguf", more), LightGPTError, message);
    assertEquals(readdirSync(directory).filter((name) => name.startsWith("bad.gguf")), []);
  };

  it("with settings that are not supported is refused by their names", async () => {
    const set = (key: string, value: unknown) => ({ config }: Folder) => config[key] = value;
    await refuse(set("architectures", ["MixtralForCausalLM"]), "expected one of LlamaForCausalLM");
    await refuse(set("rope_scaling", { rope_type: "yarn", factor: 4 }), 'rope_scaling.rope_type is "yarn"');
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
