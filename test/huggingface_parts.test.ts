/**
 * Hugging Face folders with more in them than a model's weights and settings: a part for pictures, buffers, numbers that only
 * Python's JSON has.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { LightGPTError, quantizeFile } from "../mod.ts";
import { type Folder, folderOf, gemma, phi3, withExactNorms, writeFolder } from "./huggingface.ts";
import { type Shape, smallModelBytes } from "./small-models.ts";

const directory = mkdtempSync(join(tmpdir(), "lightgpt-parts-"));
after(() => rmSync(directory, { recursive: true, force: true }));
const at = (name: string) => join(directory, name);
const quantize = (input: string, output: string) => quantizeFile(input, at(output), { type: "f32" });

function fileOf(name: string, shape: Shape): string {
  writeFileSync(at(`${name}-written.gguf`), smallModelBytes(shape));
  return at(`${name}-written.gguf`);
}

/** Expects that a folder is refused once something of it was changed. */
async function refuse(folder: Folder, change: (folder: Folder) => void, message: string): Promise<void> {
  change(folder);
  writeFolder(at("bad"), folder);
  await assertRejects(() => quantize(at("bad"), "bad.gguf"), LightGPTError, message);
}

describe("a folder", () => {
  it("of gemma3 with a part for pictures gives its text part, however it was saved", async () => {
    const path = withExactNorms(fileOf("gemma3-text", gemma), at("gemma3-text-exact.gguf"));
    writeFolder(at("text/gemma3"), folderOf(path));
    await quantize(at("text/gemma3"), "text.gguf");
    const pictures = [
      "vision_tower.vision_model.embeddings.patch_embedding.weight",
      "multi_modal_projector.mm_input_projection_weight",
    ];
    const f32Bytes = (length: number) => new Uint8Array(4 * length);
    for (const [older, prefix] of [[true, ""], [false, "model."]] as const) {
      const folder = folderOf(path);
      for (const tensor of folder.tensors) {
        tensor.name = older
          ? `language_model.${tensor.name}`
          : tensor.name.replace(/^model\./, "model.language_model.");
      }
      for (const name of pictures) {
        folder.tensors.push({ name: `${prefix}${name}`, dtype: "F32", shape: [2, 3], data: f32Bytes(6) });
      }
      const { architectures: _, ...inner } = folder.config;
      folder.config = {
        architectures: ["Gemma3ForConditionalGeneration"],
        model_type: "gemma3",
        text_config: { ...inner, model_type: "gemma3_text" },
        vision_config: { hidden_size: 7, num_attention_heads: "not read" },
      };
      writeFolder(at("pictures/gemma3"), folder);
      const { warnings } = await quantize(at("pictures/gemma3"), "pictures.gguf");
      assert(readFileSync(at("pictures.gguf")).equals(readFileSync(at("text.gguf"))), prefix);
      assertEquals(warnings.length, 1);
      assertStringIncludes(warnings[0] as string, `2 tensors that read pictures are left out, ${prefix}${pictures[0]}`);
    }
    // What the settings leave out is as Transformers has it: here all the sizes are, so that the matrices do not fit.
    const bare = folderOf(path);
    bare.config = { architectures: ["Gemma3ForConditionalGeneration"], text_config: { num_hidden_layers: 7 } };
    await refuse(bare, () => {}, "token_embd.weight is 64 x 278; expected 2304 x 262208");
    await refuse(bare, ({ config }) => delete config.text_config, "text_config is absent; expected an object");
    await refuse(bare, ({ config }) => config.quantization_config = {}, "quantization_config is {}, which is not");
  });

  it("may have Python's numbers in config.json, and buffers beside its weights", async () => {
    const path = fileOf("plain", phi3);
    writeFolder(at("plain/phi3"), folderOf(path));
    await quantize(at("plain/phi3"), "plain.gguf");
    const folder = folderOf(path);
    folder.tensors.push(
      { name: "model.layers.0.self_attn.rotary_emb.inv_freq", dtype: "F32", shape: [2], data: new Uint8Array(8) },
      { name: "model.embeddings.position_ids", dtype: "I64", shape: [1, 3], data: new Uint8Array(24) },
      { name: "model.extra", dtype: "F32", shape: [0], data: new Uint8Array(0) },
    );
    const config = JSON.stringify(folder.config).slice(0, -1);
    const python = `${config}, "limits": [0.0, Infinity, -Infinity], "note": "NaN \\" Infinity", "none": NaN}`;
    for (
      const text of [python, `${config}, "limits": [{"__float__": "Infinity"}, {"__float__": "NaN"}], "x": -Infinity}`]
    ) {
      writeFolder(at("python/phi3"), folder);
      writeFileSync(at("python/phi3/config.json"), text);
      await quantize(at("python/phi3"), "python.gguf");
      assert(readFileSync(at("python.gguf")).equals(readFileSync(at("plain.gguf"))), text);
    }
    // Where a number is wanted they are refused as what they are, and what Python does not write is no JSON.
    for (
      const [eps, message] of [
        ["Infinity", "rms_norm_eps is Infinity; expected a number above 0"],
        ['{"__float__": "NaN"}', "rms_norm_eps is NaN; expected a number above 0"],
        ['{"__float__": "inf"}', "it is no whole JSON file"],
        ["Infinit", "it is no whole JSON file"],
        ["+Infinity", "it is no whole JSON file"],
      ] as const
    ) {
      writeFileSync(at("python/phi3/config.json"), `${config}, "rms_norm_eps": ${eps}}`);
      await assertRejects(() => quantize(at("python/phi3"), "bad.gguf"), LightGPTError, message);
    }
    const extra = { name: "model.extra", dtype: "I64", shape: [1], data: new Uint8Array(8) };
    await refuse(folderOf(path), ({ tensors }) => tensors.push(extra), "it has no place there");
  });
});
