/**
 * Hugging Face folders of models that embed or rank: the kit's files made folders and files again have the same tensors, tokens,
 * vectors and scores; a cross-encoder keeps its pooler. What a file has no place for is refused by name.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, it } from "node:test";
import { Embedder } from "../exports/embedding.ts";
import { type Gguf, LightGPTError, quantizeFile, readGguf } from "../mod.ts";
import { type Folder, type FolderTensor, writeFolder } from "./huggingface.ts";
import { contents, tokenizerOf, writePooling } from "./huggingface_encoders.ts";
import { describeWholeKit } from "./kit.ts";

const directory = mkdtempSync(join(tmpdir(), "lightgpt-encoders-"));
after(() => rmSync(directory, { recursive: true, force: true }));

const LAYER: Record<string, string> = {
  attn_q: "attention.self.query",
  attn_k: "attention.self.key",
  attn_v: "attention.self.value",
  attn_output: "attention.output.dense",
  attn_output_norm: "attention.output.LayerNorm",
  ffn_up: "intermediate.dense",
  ffn_down: "output.dense",
  layer_output_norm: "output.LayerNorm",
};
const OUTER: Record<string, string> = {
  token_embd: "embeddings.word_embeddings",
  position_embd: "embeddings.position_embeddings",
  token_types: "embeddings.token_type_embeddings",
  token_embd_norm: "embeddings.LayerNorm",
};
/** Rows that RoBERTa's table has for no token. */
const unusedRows = 2;

interface Kind {
  readonly class: string;
  readonly prefix: string;
  readonly heads: Record<string, string>;
  readonly isRoberta?: boolean;
}
const BERT: Kind = { class: "BertModel", prefix: "", heads: {} };
const KINDS: Record<string, Kind> = {
  bert_mean: BERT,
  bert_cls: { ...BERT, class: "BertForMaskedLM", prefix: "bert." },
  bert_rank: {
    class: "BertForSequenceClassification",
    prefix: "bert.",
    heads: { cls: "bert.pooler.dense", "cls.output": "classifier" },
  },
  xlmr_rank: {
    class: "XLMRobertaForSequenceClassification",
    prefix: "roberta.",
    heads: { cls: "classifier.dense", "cls.output": "classifier.out_proj" },
    isRoberta: true,
  },
};

function tensorsOf(path: string, gguf: Gguf, { prefix, heads, isRoberta }: Kind, old: boolean): FolderTensor[] {
  const file = readFileSync(path);
  return [...gguf.tensors.values()].map(({ name, dims, offset, bytes }) => {
    const [, layer, part, kind] = /^(?:blk\.(\d+)\.)?(.+)\.(weight|bias)$/.exec(name) as RegExpExecArray;
    const base = layer === undefined
      ? heads[part as string] ?? prefix + OUTER[part as string]
      : `${prefix}encoder.layer.${layer}.${LAYER[part as string]}`;
    const ending = old && base.endsWith("LayerNorm") ? { weight: "gamma", bias: "beta" }[kind as "weight"] : kind;
    let data = new Uint8Array(file.subarray(offset, offset + bytes));
    const shape = [...dims].reverse();
    if (isRoberta && part === "position_embd") {
      const before = unusedRows * (dims[0] as number) * 4;
      data = new Uint8Array([...new Uint8Array(before).fill(1), ...data]);
      shape[0] = (shape[0] as number) + unusedRows;
    }
    // A classifier of one label is a matrix of one row in the folder.
    return { name: `${base}.${ending}`, dtype: "F32", shape, data };
  });
}

function folderOf(path: string, kind: Kind, old = false): Folder {
  const gguf = readGguf(path);
  const number = (key: string) => gguf.metadata.get(`bert.${key}`) as number;
  const config = {
    architectures: [kind.class],
    hidden_act: "gelu",
    hidden_size: number("embedding_length"),
    intermediate_size: number("feed_forward_length"),
    num_hidden_layers: number("block_count"),
    num_attention_heads: number("attention.head_count"),
    max_position_embeddings: number("context_length") + (kind.isRoberta ? unusedRows : 0),
    layer_norm_eps: number("attention.layer_norm_epsilon"),
    type_vocab_size: gguf.metadata.get("tokenizer.ggml.token_type_count"),
    vocab_size: number("vocab_size"),
    position_embedding_type: "absolute",
    ...(kind.isRoberta ? { pad_token_id: 1 } : {}),
  };
  return { config, ...tokenizerOf(gguf), tensors: tensorsOf(path, gguf, kind, old) };
}

describeWholeKit("folders of models that embed or rank", "embed", (kit) => {
  for (const [name, kind] of Object.entries(KINDS)) {
    it(`${name} (${kind.class}) comes back`, async () => {
      const [original, folder, made] = [
        join(kit, `${name}.gguf`),
        join(directory, name),
        join(directory, `${name}.gguf`),
      ];
      writeFolder(folder, folderOf(original, kind, name === "bert_cls"));
      if (name === "bert_mean") writePooling(folder, "mean_tokens");
      if (name === "bert_cls") writePooling(folder, "cls_token");
      await quantizeFile(folder, made, { type: "f32" });
      assertEquals(contents(made), contents(original));
      const [a, b] = [readGguf(original), readGguf(made)].map(({ metadata }) => metadata) as [
        Gguf["metadata"],
        Gguf["metadata"],
      ];
      const same = [
        "bert.pooling_type",
        "bert.attention.causal",
        "bert.context_length",
        "tokenizer.ggml.add_sep_token",
      ];
      for (const key of [...a.keys()].filter((key) => key.endsWith("_token_id")).concat(same)) {
        assertEquals(b.get(key), a.get(key), key);
      }
      await using before = await Embedder.load(original);
      await using after = await Embedder.load(made);
      const texts = ["what is the capital of france", "The Cat, and: the dog!", "Zürich 東京", "paris  is   "];
      const ids = (embedder: Embedder) => texts.map((text) => embedder.model.tokenizer.encode(text));
      assertEquals(ids(after), ids(before));
      if (kind.heads.cls === undefined) {
        assertEquals((await after.embed(texts)).data, (await before.embed(texts)).data);
      } else {
        assertEquals(await after.rerank("the cat", texts), await before.rerank("the cat", texts));
      }
      for (const type of ["f16", "q8_0", "q4_0"]) {
        const small = join(directory, `${name}-${type}.gguf`);
        await quantizeFile(folder, small, { type });
        const types = new Map([...readGguf(small).tensors].map(([tensor, found]) => [tensor, found.type]));
        assertEquals([types.get("position_embd.weight"), types.get("token_types.weight")], [0, 0]);
      }
    });
  }

  it("refuses what a file has no place for, by name", async () => {
    const folder = join(directory, "refused");
    const original = join(kit, "bert_mean.gguf");
    const dense = { type: "sentence_transformers.models.Dense", path: "2_Dense" };
    const normalizer = { type: "BertNormalizer", clean_text: false };
    const cases: [string, (parts: Folder) => void, (() => void) | undefined][] = [
      ["hidden_act", (parts) => parts.config.hidden_act = "gelu_new", undefined],
      ["position_embedding_type", (parts) => parts.config.position_embedding_type = "relative_key", undefined],
      ["is_decoder", (parts) => parts.config.is_decoder = true, undefined],
      ["type_vocab_size", (parts) => parts.config.type_vocab_size = "two", undefined],
      ["normalizer.clean_text", (parts) => parts.tokenizer.normalizer = normalizer, undefined],
      ["pre_tokenizer", (parts) => parts.tokenizer.pre_tokenizer = { type: "Whitespace" }, undefined],
      [
        "position_embd.weight",
        (parts) => parts.tensors.splice(parts.tensors.findIndex((t) => /posit/.test(t.name)), 1),
        undefined,
      ],
      ["models.Dense", () => {}, () => writePooling(folder, "mean_tokens", [dense])],
      ["max_tokens", () => {}, () => writePooling(folder, "max_tokens")],
      ["modules.json", () => {}, () => writeFileSync(join(folder, "modules.json"), '{"type": 1}')],
      ["modules.json", () => {}, () => writeFileSync(join(folder, "modules.json"), "[{")],
    ];
    for (const [includes, change, beside] of cases) {
      rmSync(folder, { recursive: true, force: true });
      const parts = folderOf(original, BERT);
      change(parts);
      writeFolder(folder, parts);
      beside?.();
      const call = () => quantizeFile(folder, join(directory, "none.gguf"), { type: "f32" });
      const { message } = await assertRejects(call, LightGPTError);
      assertStringIncludes(message, includes);
    }
  });

  it("leaves heads out that take no part, and says so; a pooling that is missing, too", async () => {
    const folder = join(directory, "heads");
    const parts = folderOf(join(kit, "bert_mean.gguf"), BERT);
    const data = new Uint8Array(48 * 48 * 4);
    parts.tensors.push({ name: "pooler.dense.weight", dtype: "F32", shape: [48, 48], data });
    writeFolder(folder, parts);
    writePooling(folder, "mean_tokens");
    rmSync(join(folder, "1_Pooling"), { recursive: true });
    const { warnings } = await quantizeFile(folder, join(directory, "heads.gguf"), { type: "f32" });
    assertEquals(warnings.length, 2);
    assert(warnings.some((warning) => warning.includes("pooler.dense.weight")));
    assert(warnings.some((warning) => warning.includes("1_Pooling")));
    await using embedder = await Embedder.load(join(directory, "heads.gguf"));
    await assertRejects(() => embedder.embed("the cat"), LightGPTError, "pooling");
    assertEquals((await embedder.embed("the cat", { pooling: "mean" })).count, 1);
  });
});
