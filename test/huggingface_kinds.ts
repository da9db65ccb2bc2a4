/**
 * Hugging Face folders made of the kit's second set: how tensors lie there. Written from what the two kinds of files say, as
 * the inverse of what importing does; names and settings are in `huggingface_settings.ts`.
 *
 * @module
 */
import { readFileSync, writeFileSync } from "node:fs";
import { readGguf } from "../mod.ts";
import { type Folder, type FolderTensor, halvesApart, vocabularyOf } from "./huggingface.ts";
import { File, headDimOf, type Kind, KINDS, type Settings, share } from "./huggingface_settings.ts";

const layerNames: Record<string, string> = {
  attn_norm: "input_layernorm",
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
  attn_q_norm: "self_attn.q_norm",
  attn_k_norm: "self_attn.k_norm",
  attn_qkv: "self_attn.qkv_proj",
  ffn_norm: "post_attention_layernorm",
  ffn_gate: "mlp.gate_proj",
  ffn_up: "mlp.up_proj",
  ffn_down: "mlp.down_proj",
  ffn_gate_inp: "mlp.gate",
  ffn_gate_exps: "mlp.experts.#.gate_proj",
  ffn_up_exps: "mlp.experts.#.up_proj",
  ffn_down_exps: "mlp.experts.#.down_proj",
};
const outerNames: Record<string, string> = {
  token_embd: "model.embed_tokens",
  output_norm: "model.norm",
  output: "lm_head",
  token_embd_norm: "model.embedding_norm",
  per_layer_token_embd: "model.embed_tokens_per_layer",
  per_layer_model_proj: "model.per_layer_model_projection",
  per_layer_proj_norm: "model.per_layer_projection_norm",
};

KINDS["command-r"] = {
  class: "CohereForCausalLM",
  settings: (file) => ({
    logit_scale: file.number("logit_scale"),
    layer_norm_eps: file.number("attention.layer_norm_epsilon"),
    use_qk_norm: false,
  }),
};
KINDS.cohere2 = {
  class: "Cohere2ForCausalLM",
  settings: (file) => ({ ...KINDS["command-r"].settings(file), sliding_window_pattern: 4 }),
};
KINDS.stablelm = {
  class: "StableLmForCausalLM",
  settings: (file) => ({
    layer_norm_eps: file.number("attention.layer_norm_epsilon"),
    use_parallel_residual: !file.has("blk.0.ffn_norm.weight"),
    ...(file.number("rope.dimension_count") === undefined
      ? { partial_rotary_factor: 1 }
      : share(file, headDimOf(file))),
  }),
};

/** The architectures that a folder can be made of. */
export const kindNames: readonly string[] = Object.keys(KINDS);

/** A file of the kit as a folder. */
export function kindFolderOf(path: string): Folder {
  const file = new File(path);
  const { number } = { number: (key: string) => file.number(key) };
  const kind = KINDS[file.architecture];
  const config = {
    architectures: [kind.class],
    hidden_size: number("embedding_length"),
    ...(typeof number("feed_forward_length") === "number" ? { intermediate_size: number("feed_forward_length") } : {}),
    num_hidden_layers: number("block_count"),
    num_attention_heads: number("attention.head_count"),
    num_key_value_heads: number("attention.head_count_kv"),
    ...(number("attention.key_length") === undefined ? {} : { head_dim: number("attention.key_length") }),
    max_position_embeddings: number("context_length"),
    rms_norm_eps: number("attention.layer_norm_rms_epsilon"),
    rope_theta: number("rope.freq_base") ?? 10_000,
    vocab_size: number("vocab_size") ?? file.gguf.metadata.array("tokenizer.ggml.tokens", 8)?.length,
    hidden_act: "silu",
    tie_word_embeddings: !file.has("output.weight"),
    ...(number("attention.sliding_window") === undefined ? {} : { sliding_window: number("attention.sliding_window") }),
    ...kind.settings(file),
  };
  const tensors = [...file.gguf.tensors.keys()].flatMap((name) => tensorsOf(file, name, kind));
  const vocabulary = vocabularyOf(file.gguf);
  if (!kind.class.endsWith("ForConditionalGeneration")) return { config, tensors, ...vocabulary };
  const { architectures, ...inner } = config as Settings;
  const nested = tensors.map((tensor) => ({
    ...tensor,
    name: tensor.name.replace(/^model\./, "model.language_model."),
  }));
  return { config: { architectures, text_config: inner }, tensors: nested, ...vocabulary };
}

/** What a tensor of the file is in the folder. */
function tensorsOf(file: File, name: string, kind: Kind): FolderTensor[] {
  if (
    name === "rope_freqs.weight" || (kind.experts === "halves" || kind.experts === "turns") && /ffn_up_exps/.test(name)
  ) {
    return [];
  }
  const [, layer, base = "", suffix = ""] = /^(?:blk\.(\d+)\.)?(.*?)(\.weight|\.bias|\.scale)?$/.exec(name) ?? [];
  const prefix = layer === undefined ? "" : `model.layers.${layer}.`;
  const dims = file.gguf.tensors.get(name)?.dims ?? [];
  const shape = [...dims].reverse();
  const data = file.data(name);
  const one = (folderName: string, data: Uint8Array, to = shape): FolderTensor[] => [
    { name: prefix + folderName, dtype: "F32", shape: to, data },
  ];
  const known = kind.names?.[base] ?? (layer === undefined ? outerNames : layerNames)[base];
  if (base === "exp_probs_b") {
    const at = { lfm2moe: "feed_forward.expert_bias", "ernie4_5-moe": "mlp.moe_statics.e_score_correction_bias" };
    const own = at[file.architecture as keyof typeof at] ?? "mlp.gate.e_score_correction_bias";
    return one(own, data, file.architecture === "ernie4_5-moe" ? [1, ...shape] : shape);
  }
  if (file.architecture === "granitehybrid") {
    if (base === "ssm_a") return one("mamba.A_log", logarithms(data), [shape[0]]);
    if (base === "ssm_d") return one("mamba.D", data, [shape[0]]);
    if (base === "ssm_dt") return one("mamba.dt_bias", data);
    if (base === "ssm_norm") return one("mamba.norm.weight", data, [shape[0] * shape[1]]);
    if (base === "ffn_up") return [];
    if (base === "ffn_gate") {
      const bytes = paired(data, file.data(name.replace("gate", "up")), 1);
      return one("shared_mlp.input_linear.weight", bytes, [2 * shape[0], shape[1]]);
    }
  }
  if (base === "ssm_a") return one("linear_attn.A_log", logarithms(groupedHeads(file, base, data, shape)));
  if (base === "ssm_dt") return one("linear_attn.dt_bias", groupedHeads(file, base, data, shape));
  if (suffix === ".scale") return one(base === "ffn_gate_inp" ? "router.scale" : "router.per_expert_scale", data);
  if (file.architecture === "granitemoe" && base === "ffn_up_shexp") return [];
  if (file.architecture === "granitemoe" && base === "ffn_gate_shexp") {
    const bytes = paired(data, file.data(name.replace("gate", "up")), 1);
    return one("shared_mlp.input_linear.weight", bytes, [2 * shape[0], shape[1]]);
  }
  if (/_exps$/.test(base)) return expertTensors(file, name, kind, prefix);
  if (file.architecture === "qwen3next" && base === "attn_gate") return [];
  if (file.architecture === "qwen3next" && base === "attn_qkv") {
    return one("linear_attn.in_proj_qkvz.weight", byGroups(file, data, file.data(name.replace("qkv", "gate"))), [
      data.length / 4 / dims[0] + (file.number("ssm.inner_size") ?? 0),
      dims[0],
    ]);
  }
  let changed = groupedHeads(file, base, data, shape);
  if (kind.permuted && /^attn_[qk]$/.test(base)) changed = halvesApart(data, shape[0], headDimOf(file));
  if (kind.lessOne && /norm/.test(base) && base !== "ssm_norm") {
    changed = new Uint8Array(new Float32Array(data.buffer).map((value) => value - 1).buffer);
  }
  if (/conv1d|shortconv\.conv/.test(base) && suffix === ".weight") {
    return one(`${known}.weight`, changed, [shape[0], 1, shape[1]]);
  }
  if (base === "ffn_gate_inp_shexp") return one(`${known}.weight`, changed, [1, ...shape]);
  return one(base === "attn_sinks" || base === "layer_output_scale" ? known : `${known}${suffix}`, changed);
}

/** Experts one by one, or gate and up in one tensor: the one behind the other, or row by row in turns. */
function expertTensors(file: File, name: string, kind: Kind, prefix: string): FolderTensor[] {
  const [base, suffix] = name.split(".").slice(2);
  const { dims = [], type = 0 } = file.gguf.tensors.get(name) ?? {};
  const data = file.data(name);
  const known = (kind.names?.[base] ?? layerNames[base]) + (suffix === "bias" ? "_bias" : "");
  const [columns, rows, count] = suffix === "bias" ? [1, ...dims] : dims;
  const one = (name: string, bytes: Uint8Array, shape: number[], dtype = "F32") => ({
    name: prefix + name,
    dtype,
    shape,
    data: bytes,
  });
  if (known.includes("#")) {
    const size = data.length / count;
    return Array.from(
      { length: count },
      (_, expert) =>
        one(`${known.replace("#", `${expert}`)}.weight`, data.slice(expert * size, (expert + 1) * size), [
          rows,
          columns,
        ]),
    );
  }
  const isPair = base === "ffn_gate_exps";
  const up = isPair ? file.data(name.replace("gate", "up")) : undefined;
  const bytes = up === undefined ? data : paired(data, up, kind.experts === "turns" ? count * rows : count);
  const height = isPair ? 2 * rows : rows;
  if (type !== 0) {
    const blocks = bytes.length / 17;
    const codes = new Uint8Array(16 * blocks);
    for (let block = 0; block < blocks; block++) {
      codes.set(neighbours(bytes.subarray(17 * block + 1, 17 * block + 17)), 16 * block);
    }
    const each = columns / 32;
    return [
      one(`${known}_blocks`, codes, [count, height, each, 16], "U8"),
      one(`${known}_scales`, bytes.filter((_, at) => at % 17 === 0), [count, height, each], "U8"),
    ];
  }
  if (kind.experts !== "turns" || suffix === "bias") {
    return [one(known, bytes, suffix === "bias" ? [count, height] : [count, height, columns])];
  }
  // As floats gpt-oss has its matrices turned over.
  const [from, to] = [new Float32Array(bytes.buffer), new Float32Array(bytes.length / 4)];
  for (let at = 0; at < from.length; at++) {
    const [expert, row, column] = [Math.floor(at / columns / height), Math.floor(at / columns) % height, at % columns];
    to[(expert * columns + column) * height + row] = from[at];
  }
  return [one(known, new Uint8Array(to.buffer), [count, columns, height])];
}

/** Runs of two tensors in turns. */
function paired(first: Uint8Array, second: Uint8Array, runs: number): Uint8Array {
  const size = first.length / runs;
  const out = new Uint8Array(2 * first.length);
  for (let run = 0; run < runs; run++) {
    out.set(first.subarray(run * size, (run + 1) * size), 2 * run * size);
    out.set(second.subarray(run * size, (run + 1) * size), (2 * run + 1) * size);
  }
  return out;
}

/** Codes of four bits, half a block apart, as neighbours. */
function neighbours(block: Uint8Array): Uint8Array {
  const codes = Array.from({ length: 32 }, (_, i) => i < 16 ? block[i] & 15 : block[i - 16] >> 4);
  return Uint8Array.from({ length: 16 }, (_, i) => codes[2 * i] | codes[2 * i + 1] << 4);
}

/** Qwen 3.5's heads with a state, those of a group together. */
function groupedHeads(file: File, base: string, data: Uint8Array, shape: number[]): Uint8Array {
  const concerned = ["attn_qkv", "attn_gate", "ssm_conv1d", "ssm_beta", "ssm_alpha", "ssm_out", "ssm_a", "ssm_dt"];
  if (!file.architecture.startsWith("qwen35") || !concerned.includes(base)) return data;
  const [heads, groups, size] = ["time_step_rank", "group_count", "state_size"].map((key) =>
    file.number(`ssm.${key}`) ?? 0
  );
  const out = new Uint8Array(data);
  const isColumns = base === "ssm_out";
  const rows = isColumns ? shape[0] : 1;
  const before = /qkv|conv/.test(base) ? 2 * groups * size * shape[1] * 4 : 0;
  const bytes = (data.length / rows - before) / heads;
  for (let row = 0; row < rows; row++) {
    for (let head = 0; head < heads; head++) {
      const [group, inGroup] = [head % groups, Math.floor(head / groups)];
      const from = row * (data.length / rows) + before;
      const to = from + (group * (heads / groups) + inGroup) * bytes;
      out.set(data.subarray(from + head * bytes, from + (head + 1) * bytes), to);
    }
  }
  return out;
}

/** Qwen 3 Next's queries, keys, values and gates, group by group. */
function byGroups(file: File, qkv: Uint8Array, gate: Uint8Array): Uint8Array {
  const [heads, groups, size] = ["time_step_rank", "group_count", "state_size"].map((key) =>
    file.number(`ssm.${key}`) ?? 0
  );
  const row = 4 * (file.number("embedding_length") ?? 0);
  const [key, value] = [size * row, heads / groups * size * row];
  const out = new Uint8Array(qkv.length + gate.length);
  let to = 0;
  const put = (bytes: Uint8Array) => {
    out.set(bytes, to);
    to += bytes.length;
  };
  for (let group = 0; group < groups; group++) {
    put(qkv.subarray(group * key, (group + 1) * key));
    put(qkv.subarray((groups + group) * key, (groups + group + 1) * key));
    put(qkv.subarray(2 * groups * key + group * value, 2 * groups * key + (group + 1) * value));
    put(gate.subarray(group * value, (group + 1) * value));
  }
  return out;
}

function logarithms(data: Uint8Array): Uint8Array {
  return new Uint8Array(new Float32Array(data.buffer).map((value) => Math.log(-value)).buffer);
}

/**
 * A copy of a file that a folder can be made of and back without the loss of a bit: norms keep their bits when 1 is taken from them,
 * and how fast states decay is what its logarithm gives.
 */
export function withExactValues(path: string, copy: string): string {
  const { metadata, tensors } = readGguf(path);
  const kind = KINDS[metadata.text("general.architecture")];
  const hasStates = [...tensors.keys()].some((name) => name.endsWith("ssm_a"));
  if (kind.lessOne === undefined && !hasStates) return path;
  const bytes = readFileSync(path);
  for (const { name, offset, bytes: length } of tensors.values()) {
    for (let at = offset; at < offset + length; at += 4) {
      const value = bytes.readFloatLE(at);
      if (kind.lessOne && name.includes("norm")) bytes.writeFloatLE(Math.round(value * 2 ** 16) / 2 ** 16, at);
      if (name.endsWith("ssm_a")) bytes.writeFloatLE(-Math.exp(Math.fround(Math.log(-value))), at);
    }
  }
  writeFileSync(copy, bytes);
  return copy;
}
