/**
 * Hugging Face folders of encoders that are not BERT's make: DistilBERT, Jina's, Nomic's, ModernBERT, NeoBERT, EuroBERT,
 * EmbeddingGemma. The kit's files made folders and files again have the same tokens and, bit for bit, the same vectors and scores.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, it } from "node:test";
import { Embedder } from "../exports/embedding.ts";
import { LightGPTError, quantizeFile, readGguf } from "../mod.ts";
import { safetensors, withExactNorms, writeFolder } from "./huggingface.ts";
import { writePooling } from "./huggingface_encoders.ts";
import {
  BERT_OUTER,
  folderOf,
  GEMMA,
  JINA,
  JINA_PARTS,
  type Kind,
  KINDS,
  transformer,
} from "./huggingface_later_encoders.ts";
import { describeWholeKit } from "./kit.ts";

const directory = mkdtempSync(join(tmpdir(), "lightgpt-later-encoders-"));
after(() => rmSync(directory, { recursive: true, force: true }));

/** The steps behind a pooled row, in folders of their own. */
function writeDense(folder: string, original: string): object[] {
  const gguf = readGguf(original);
  const file = readFileSync(original);
  return ["dense_2", "dense_3"].flatMap((name, index) => {
    const tensor = gguf.tensors.get(`${name}.weight`);
    if (tensor === undefined) return [];
    const path = `${index + 2}_Dense`;
    const shape = [...tensor.dims].reverse();
    const data = new Uint8Array(file.subarray(tensor.offset, tensor.offset + tensor.bytes));
    mkdirSync(join(folder, path), { recursive: true });
    const bytes = safetensors([{ name: "linear.weight", dtype: "F32", shape, data }]);
    writeFileSync(join(folder, path, "model.safetensors"), bytes);
    const activation_function = "torch.nn.modules.linear.Identity";
    writeFileSync(join(folder, path, "config.json"), JSON.stringify({ bias: false, activation_function }));
    return [{ type: "sentence_transformers.models.Dense", path }];
  });
}

const TEXTS = ["what is the capital of france", "The Cat, and: the dog!", "Zürich 東京", "paris  is   "];

/** Both files have the same tokens, vectors and scores. */
async function assertSame(original: string, made: string): Promise<void> {
  await using before = await Embedder.load(original);
  await using after = await Embedder.load(made);
  const ids = (embedder: Embedder) => TEXTS.map((text) => embedder.model.tokenizer.encode(text));
  assertEquals(ids(after), ids(before));
  assertEquals(after.context, before.context);
  if (before.model.plan.hyperparameters.rankScores > 0) {
    return assertEquals(await after.rerank("the cat", TEXTS), await before.rerank("the cat", TEXTS));
  }
  assertEquals((await after.embed(TEXTS)).data, (await before.embed(TEXTS)).data);
}

describeWholeKit("folders of later encoders", "embed", (kit) => {
  for (const [name, kind] of Object.entries(KINDS)) {
    it(`${name} (${kind.class}) comes back`, async () => {
      const [folder, made] = [join(directory, name), join(directory, `${name}.gguf`)];
      const original = withExactNorms(join(kit, `${name}.gguf`), join(directory, `${name}-exact.gguf`));
      writeFolder(folder, folderOf(original, kind));
      if (kind.pooling !== undefined) writePooling(folder, kind.pooling, writeDense(folder, original));
      await quantizeFile(folder, made, { type: "f32" });
      await assertSame(original, made);
    });
  }

  it("DistilBERT is BERT without types of tokens", async () => {
    const bert = join(kit, "bert_mean.gguf");
    const without = (name: string) => name !== "token_types.weight";
    const parts = (kind: Kind) => {
      const folder = folderOf(bert, kind);
      folder.tensors = folder.tensors.filter((tensor) => !tensor.name.includes("undefined"));
      return folder;
    };
    const original: Kind = {
      ...JINA,
      class: "BertModel",
      parts: {
        ...JINA_PARTS,
        ffn_up: "intermediate.dense",
        ffn_down: "output.dense",
        layer_output_norm: "output.LayerNorm",
      },
      settings: (key) => ({
        ...transformer(key),
        hidden_act: "gelu",
        layer_norm_eps: 1e-12,
        type_vocab_size: 2,
      }),
    };
    const distil: Kind = {
      class: "DistilBertForMaskedLM",
      layer: (number, part) => `distilbert.transformer.layer.${number}.${part}`,
      parts: {
        attn_q: "attention.q_lin",
        attn_k: "attention.k_lin",
        attn_v: "attention.v_lin",
        attn_output: "attention.out_lin",
        attn_output_norm: "sa_layer_norm",
        ffn_up: "ffn.lin1",
        ffn_down: "ffn.lin2",
        layer_output_norm: "output_layer_norm",
      },
      outer: Object.fromEntries(Object.entries(BERT_OUTER).filter(([name]) => without(`${name}.weight`))),
      settings: (key) => ({
        dim: key("embedding_length"),
        hidden_dim: key("feed_forward_length"),
        n_layers: key("block_count"),
        n_heads: key("attention.head_count"),
        max_position_embeddings: key("context_length"),
        vocab_size: key("vocab_size"),
        activation: "gelu",
      }),
    };
    const plain = parts(original);
    // A table of zeros adds nothing.
    for (const tensor of plain.tensors) if (/token_type/.test(tensor.name)) tensor.data.fill(0);
    const files = [];
    for (const [name, folder] of [["bert", plain], ["distil", parts(distil)]] as const) {
      const path = join(directory, name);
      writeFolder(path, folder);
      writePooling(path, "mean_tokens");
      await quantizeFile(path, `${path}.gguf`, { type: "f32" });
      files.push(`${path}.gguf`);
    }
    assert(!readGguf(files[1] as string).tensors.has("token_types.weight"));
    await assertSame(files[0] as string, files[1] as string);
  });

  it("refuses what a file has no place for, by name", async () => {
    const cases: [string, string, Record<string, unknown>][] = [
      ["nomic_bert", "rotary_emb_interleaved", { rotary_emb_interleaved: true }],
      ["nomic_bert", "activation_function", { activation_function: "relu" }],
      ["nomic_bert", "n_embd", { n_embd: "many" }],
      ["nomic_bert_moe", "moe_normalize_expert_weights", { moe_normalize_expert_weights: true }],
      ["modern_bert", "attention_bias", { attention_bias: true }],
      ["modern_bert_rank", "classifier_pooling", { classifier_pooling: "cls" }],
      ["jina_v2", "position_embedding_type", { position_embedding_type: "absolute" }],
      ["jina_v2", "feed_forward_type", { feed_forward_type: "reglu" }],
      ["neo_bert", "rms_norm", { rms_norm: false }],
      ["gemma_emb", "use_bidirectional_attention", { use_bidirectional_attention: false }],
      ["gemma_emb", "query_pre_attn_scalar", { query_pre_attn_scalar: 3 }],
    ];
    for (const [name, includes, change] of cases) {
      const folder = join(directory, "refused");
      rmSync(folder, { recursive: true, force: true });
      const parts = folderOf(join(kit, `${name}.gguf`), KINDS[name] as Kind);
      Object.assign(parts.config, change);
      writeFolder(folder, parts);
      const call = () => quantizeFile(folder, join(directory, "none.gguf"), { type: "f32" });
      const { message } = await assertRejects(call, LightGPTError);
      assertStringIncludes(message, includes);
    }
  });

  it("refuses matrices behind a pooled row that a file cannot hold", async () => {
    const folder = join(directory, "dense");
    const original = join(kit, "gemma_emb.gguf");
    writeFolder(folder, folderOf(original, GEMMA));
    const call = () => quantizeFile(folder, join(directory, "none.gguf"), { type: "f32" });
    const steps = writeDense(folder, original);
    const cases: [string, () => void][] = [
      ["1 of Dense", () => writePooling(folder, "mean_tokens", steps.slice(1))],
      ["Tanh", () => {
        writePooling(folder, "mean_tokens", steps);
        writeFileSync(join(folder, "2_Dense/config.json"), JSON.stringify({ bias: false }));
      }],
      ["model.safetensors", () => {
        writeDense(folder, original);
        rmSync(join(folder, "3_Dense/model.safetensors"));
      }],
    ];
    for (const [includes, change] of cases) {
      change();
      assertStringIncludes((await assertRejects(call, LightGPTError)).message, includes);
    }
  });
});
