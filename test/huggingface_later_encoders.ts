/**
 * The kit's encoders as the folders that they would have been made of: names, settings, and how rows lie, by the inverse of what
 * importing does, written from what the two kinds of files say.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { readFileSync } from "node:fs";
import { type Gguf, readGguf } from "../mod.ts";
import { type Folder, type FolderTensor, vocabularyOf } from "./huggingface.ts";
import { tokenizerOf } from "./huggingface_encoders.ts";

/** How a kind's folder calls things, by what a file calls them. */
export interface Kind {
  readonly class: string;
  readonly layer: (number: string, part: string) => string;
  readonly parts: Readonly<Record<string, string>>;
  readonly outer: Readonly<Record<string, string>>;
  /** The settings of `config.json`, by what a file's keys say. */
  readonly settings: (key: (name: string) => unknown) => Record<string, unknown>;
  /** Changes a tensor's values on the way. */
  readonly change?: (tensor: FolderTensor, name: string, key: (name: string) => unknown) => void;
  readonly pooling?: string;
}

export const transformer = (key: (name: string) => unknown) => ({
  hidden_size: key("embedding_length"),
  intermediate_size: key("feed_forward_length"),
  num_hidden_layers: key("block_count"),
  num_attention_heads: key("attention.head_count"),
  num_key_value_heads: key("attention.head_count_kv"),
  max_position_embeddings: key("context_length"),
  vocab_size: key("vocab_size"),
});
export const JINA_PARTS = {
  attn_q: "attention.self.query",
  attn_k: "attention.self.key",
  attn_v: "attention.self.value",
  attn_q_norm: "attention.self.layer_norm_q",
  attn_k_norm: "attention.self.layer_norm_k",
  attn_output: "attention.output.dense",
  attn_output_norm: "attention.output.LayerNorm",
  attn_norm_2: "layer_norm_1",
};
export const BERT_OUTER = {
  token_embd: "embeddings.word_embeddings",
  token_types: "embeddings.token_type_embeddings",
  position_embd: "embeddings.position_embeddings",
  token_embd_norm: "embeddings.LayerNorm",
};
export const JINA: Kind = {
  class: "JinaBertForMaskedLM",
  layer: (number, part) => `bert.encoder.layer.${number}.${part}`,
  parts: { ...JINA_PARTS, ffn_up: "mlp.gated_layers", ffn_down: "mlp.wo", layer_output_norm: "mlp.layernorm" },
  outer: BERT_OUTER,
  settings: (key) => ({
    ...transformer(key),
    hidden_act: "gelu",
    layer_norm_eps: key("attention.layer_norm_epsilon"),
    type_vocab_size: 2,
    position_embedding_type: "alibi",
    feed_forward_type: "geglu",
    emb_pooler: "mean",
  }),
};
const NOMIC: Kind = {
  class: "NomicBertModel",
  layer: (number, part) => `encoder.layers.${number}.${part}`,
  parts: {
    attn_qkv: "attn.Wqkv",
    attn_output: "attn.out_proj",
    attn_output_norm: "norm1",
    layer_output_norm: "norm2",
    ffn_up: "mlp.fc11",
    ffn_gate: "mlp.fc12",
    ffn_down: "mlp.fc2",
  },
  outer: { ...BERT_OUTER, token_embd_norm: "emb_ln" },
  settings: (key) => ({
    n_embd: key("embedding_length"),
    n_inner: key("feed_forward_length"),
    n_layer: key("block_count"),
    n_head: key("attention.head_count"),
    n_positions: key("context_length"),
    vocab_size: key("vocab_size"),
    type_vocab_size: 2,
    layer_norm_epsilon: key("attention.layer_norm_epsilon"),
    rotary_emb_base: key("rope.freq_base"),
    rotary_emb_fraction: 1,
    rotary_emb_interleaved: false,
    rotary_emb_scale_base: null,
    activation_function: "swiglu",
    prenorm: false,
    causal: false,
  }),
  pooling: "mean_tokens",
};
const MODERN: Kind = {
  class: "ModernBertModel",
  layer: (number, part) => `layers.${number}.${part}`,
  parts: {
    attn_norm: "attn_norm",
    attn_qkv: "attn.Wqkv",
    attn_output: "attn.Wo",
    ffn_norm: "mlp_norm",
    ffn_up: "mlp.Wi",
    ffn_down: "mlp.Wo",
  },
  outer: {
    token_embd: "embeddings.tok_embeddings",
    token_embd_norm: "embeddings.norm",
    output_norm: "final_norm",
    cls: "head.dense",
    "cls.norm": "head.norm",
    "cls.output": "classifier",
  },
  settings: (key) => ({
    ...transformer(key),
    norm_eps: key("attention.layer_norm_epsilon"),
    local_attention: key("attention.sliding_window"),
    global_attn_every_n_layers: key("attention.sliding_window_pattern"),
    global_rope_theta: key("rope.freq_base"),
    local_rope_theta: key("rope.freq_base_swa"),
    hidden_activation: key("hidden_activation") ?? "gelu",
    classifier_pooling: "mean",
  }),
  pooling: "mean_tokens",
};
export const GEMMA: Kind = {
  class: "Gemma3TextModel",
  layer: (number, part) => `layers.${number}.${part}`,
  parts: {
    attn_norm: "input_layernorm",
    attn_q: "self_attn.q_proj",
    attn_k: "self_attn.k_proj",
    attn_v: "self_attn.v_proj",
    attn_q_norm: "self_attn.q_norm",
    attn_k_norm: "self_attn.k_norm",
    attn_output: "self_attn.o_proj",
    post_attention_norm: "post_attention_layernorm",
    ffn_norm: "pre_feedforward_layernorm",
    ffn_gate: "mlp.gate_proj",
    ffn_up: "mlp.up_proj",
    ffn_down: "mlp.down_proj",
    post_ffw_norm: "post_feedforward_layernorm",
  },
  outer: { token_embd: "embed_tokens", output_norm: "norm" },
  settings: (key) => ({
    ...transformer(key),
    head_dim: key("attention.key_length"),
    query_pre_attn_scalar: key("attention.key_length"),
    rms_norm_eps: key("attention.layer_norm_rms_epsilon"),
    sliding_window: key("attention.sliding_window"),
    _sliding_window_pattern: key("attention.sliding_window_pattern"),
    rope_theta: key("rope.freq_base"),
    rope_local_base_freq: key("rope.freq_base_swa"),
    hidden_activation: "gelu_pytorch_tanh",
    use_bidirectional_attention: true,
  }),
  change: (tensor, name) => {
    if (!/norm/.test(name)) return;
    tensor.data = new Uint8Array(new Float32Array(tensor.data.buffer).map((value) => value - 1).buffer);
  },
  pooling: "mean_tokens",
};
export const KINDS: Readonly<Record<string, Kind>> = {
  jina_v2: JINA,
  jina_v2_code: {
    ...JINA,
    parts: {
      ...JINA_PARTS,
      ffn_up: "mlp.up_gated_layer",
      ffn_down: "mlp.down_layer",
      layer_output_norm: "layer_norm_2",
    },
  },
  jina_v3: {
    class: "XLMRobertaModel",
    layer: (number, part) => `roberta.encoder.layers.${number}.${part}`,
    parts: {
      attn_qkv: "mixer.Wqkv",
      attn_output: "mixer.out_proj",
      attn_output_norm: "norm1",
      layer_output_norm: "norm2",
      ffn_up: "mlp.fc1",
      ffn_down: "mlp.fc2",
    },
    outer: {
      token_embd: "roberta.embeddings.word_embeddings",
      token_types: "roberta.embeddings.token_type_embeddings",
      token_embd_norm: "roberta.emb_ln",
    },
    settings: (key) => ({
      ...transformer(key),
      max_position_embeddings: Number(key("context_length")) + 2,
      hidden_act: "gelu",
      layer_norm_eps: key("attention.layer_norm_epsilon"),
      rotary_emb_base: key("rope.freq_base"),
      position_embedding_type: "rotary",
      type_vocab_size: 1,
      pad_token_id: 1,
    }),
    change: (tensor, name) => {
      // Wrapped, as adapters for tasks need it.
      if (/attn_(qkv|output)\.weight|ffn_/.test(name) && name.endsWith(".weight")) {
        tensor.name = tensor.name.replace(/\.weight$/, ".parametrizations.weight.original");
      }
    },
    pooling: "mean_tokens",
  },
  nomic_bert: NOMIC,
  nomic_bert_moe: {
    ...NOMIC,
    parts: {
      ...NOMIC.parts,
      ffn_up: "mlp.fc1",
      ffn_gate_inp: "mlp.router.layer",
      ffn_up_exps: "mlp.experts.mlp.w1",
      ffn_down_exps: "mlp.experts.mlp.w2",
    },
    settings: (key) => ({
      ...NOMIC.settings(key),
      type_vocab_size: 1,
      activation_function: "gelu",
      num_experts: key("expert_count"),
      moe_top_k: key("expert_used_count"),
      moe_every_n_layers: key("moe_every_n_layers"),
    }),
    change: (tensor, name) => {
      if (!name.includes("_exps")) return;
      tensor.name = tensor.name.replace(/\.weight$/, "");
      const [slabs, rows, columns] = tensor.shape as [number, number, number];
      tensor.shape = name.includes("down") ? [slabs * columns, rows] : [slabs * rows, columns];
      if (name.includes("down")) tensor.data = turned(tensor.data, slabs, rows, columns);
    },
  },
  modern_bert: MODERN,
  modern_bert_silu: { ...MODERN, class: "ModernBertForMaskedLM", pooling: "cls_token" },
  modern_bert_rank: { ...MODERN, class: "ModernBertForSequenceClassification", pooling: "cls_token" },
  neo_bert: {
    class: "NeoBERT",
    layer: (number, part) => `transformer_encoder.${number}.${part}`,
    parts: {
      attn_norm: "attention_norm",
      attn_qkv: "qkv",
      attn_output: "wo",
      ffn_norm: "ffn_norm",
      ffn_up: "ffn.w12",
      ffn_down: "ffn.w3",
    },
    outer: { token_embd: "encoder", "enc.output_norm": "layer_norm" },
    settings: (key) => ({
      ...transformer(key),
      intermediate_size: Number(key("feed_forward_length")) * 3 / 2,
      max_length: key("context_length"),
      norm_eps: key("attention.layer_norm_rms_epsilon"),
      hidden_act: "SwiGLU",
      rms_norm: true,
      rope: true,
    }),
    change: (tensor, name, key) => {
      if (!name.includes("attn_qkv")) return;
      const heads = Number(key("attention.head_count"));
      tensor.data = headsTogether(tensor.data, heads, tensor.data.length / 3 / heads);
    },
  },
  eurobert: {
    class: "EuroBertForMaskedLM",
    layer: (number, part) => `model.layers.${number}.${part}`,
    parts: { ...GEMMA.parts, ffn_norm: "post_attention_layernorm" },
    outer: { token_embd: "model.embed_tokens", output_norm: "model.norm" },
    settings: (key) => ({
      ...transformer(key),
      rms_norm_eps: key("attention.layer_norm_rms_epsilon"),
      rope_theta: key("rope.freq_base"),
      hidden_act: "silu",
    }),
    pooling: "mean_tokens",
  },
  gemma_emb: GEMMA,
  gemma_emb_plain: GEMMA,
};

/** Each of `slabs` matrices of `rows` rows turned over. */
function turned(data: Uint8Array, slabs: number, rows: number, columns: number): Uint8Array {
  const from = new Float32Array(data.slice().buffer);
  const to = from.map((_, at) => {
    const [slab, inside] = [Math.floor(at / (rows * columns)), at % (rows * columns)];
    return from[slab * rows * columns + (inside % rows) * columns + Math.floor(inside / rows)] as number;
  });
  assertEquals(to.length, slabs * rows * columns);
  return new Uint8Array(to.buffer);
}

/** Queries, keys and values, each all heads, as each head's three together. */
function headsTogether(data: Uint8Array, heads: number, headBytes: number): Uint8Array {
  const out = new Uint8Array(data.length);
  for (let head = 0; head < heads; head++) {
    for (let part = 0; part < 3; part++) {
      const from = (part * heads + head) * headBytes;
      out.set(data.subarray(from, from + headBytes), (head * 3 + part) * headBytes);
    }
  }
  return out;
}

/** A file's tensors as a folder has them; q, k and v in one where the kind has it so. */
function tensorsOf(path: string, kind: Kind, key: (name: string) => unknown): FolderTensor[] {
  const gguf = readGguf(path);
  const file = readFileSync(path);
  const made: FolderTensor[] = [];
  const bytesOf = (name: string) => {
    const { offset, bytes } = gguf.tensors.get(name) as { offset: number; bytes: number };
    return file.subarray(offset, offset + bytes);
  };
  for (const { name, dims } of gguf.tensors.values()) {
    const [, layer, part, end] = /^(?:blk\.(\d+)\.)?(.+)\.(weight|bias)$/.exec(name) as RegExpExecArray;
    if (part.startsWith("dense_")) continue; // in folders of their own
    let [base, data, shape] = [part, new Uint8Array(bytesOf(name)), [...dims].reverse()];
    const joins = "attn_qkv" in kind.parts && /^attn_[qkv]$/.test(base);
    if (joins && base !== "attn_q") continue;
    if (joins) {
      const all = ["q", "k", "v"].map((one) => bytesOf(name.replace("attn_q", `attn_${one}`)));
      data = new Uint8Array(all.flatMap((one) => [...one]));
      [base, shape] = ["attn_qkv", [3 * (shape[0] as number), ...shape.slice(1)]];
    }
    if (base === "ffn_up" && kind.parts.ffn_up === "mlp.up_gated_layer") {
      data = new Uint8Array([...data, ...bytesOf(name.replace("ffn_up", "ffn_gate"))]);
      shape[0] = 2 * (shape[0] as number);
    } else if (base === "ffn_gate" && kind.parts.ffn_up === "mlp.up_gated_layer") continue;
    const own = layer === undefined ? kind.outer[base] : kind.layer(layer, kind.parts[base] as string);
    const tensor = { name: `${own}.${end}`, dtype: "F32", shape, data };
    kind.change?.(tensor, name.replace(/attn_q\./, joins ? "attn_qkv." : "attn_q."), key);
    made.push(tensor);
  }
  return made;
}

/** A tokenizer with what stands before and behind texts. */
function vocabulary(gguf: Gguf): Pick<Folder, "tokenizer" | "tokenizerConfig"> {
  const { metadata } = gguf;
  if (["bert", "t5"].includes(metadata.text("tokenizer.ggml.model"))) return tokenizerOf(gguf);
  const made = vocabularyOf(gguf);
  const texts = [...metadata.array("tokenizer.ggml.tokens", 8) ?? []] as string[];
  const token = (name: string) => texts[metadata.get(`tokenizer.ggml.${name}_token_id`) as number];
  const id = (name: string) => ({ SpecialToken: { id: token(name), type_id: 0 } });
  const Sequence = (name: string) => ({ Sequence: { id: name, type_id: 0 } });
  const between = metadata.flag("tokenizer.ggml.add_sep_token", false) ? [id("eos"), id("eos")] : [id("eos")];
  const single = [id("bos"), Sequence("A"), id("eos")];
  const pair = [id("bos"), Sequence("A"), ...between, Sequence("B"), id("eos")];
  made.tokenizer.post_processor = { type: "TemplateProcessing", single, pair };
  const hasCls = metadata.get("tokenizer.ggml.cls_token_id") !== undefined;
  const tokenizerConfig = hasCls
    ? { ...made.tokenizerConfig, cls_token: token("cls"), sep_token: token("seperator") }
    : made.tokenizerConfig;
  return { tokenizer: made.tokenizer, tokenizerConfig };
}

export function folderOf(path: string, kind: Kind): Folder {
  const gguf = readGguf(path);
  const architecture = gguf.metadata.text("general.architecture");
  const key = (name: string) => gguf.metadata.get(`${architecture}.${name}`);
  const config = { architectures: [kind.class], ...kind.settings(key) };
  return { config, ...vocabulary(gguf), tensors: tensorsOf(path, kind, key) };
}
