/**
 * Small models of any architecture with random weights, made from a few sizes: what the tests of architectures load. The
 * names and shapes of the tensors are written out here once more, apart from `src/architectures`.
 *
 * @module
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseGguf } from "../src/files/gguf/read.ts";
import { type ModelPlan, planModel } from "../src/model/architectures/architectures.ts";
import { encodeGguf, type NewTensor } from "../scripts/gguf-writer.ts";
import { arrayOf, f32, flag, memorySource, randomNumbers, spm, text, u32, type Values } from "./models.ts";

/** What a small model looks like. */
export interface Shape {
  architecture: string;
  layers?: number;
  embedding?: number;
  /** One number for all layers, or one each. */
  heads?: number | number[];
  kvHeads?: number | number[];
  feedForward?: number | number[];
  keyLength?: number;
  valueLength?: number;
  context?: number;
  /** Metadata besides, or instead; `undefined` leaves a key out. */
  values?: Record<string, Values[string] | undefined>;
  /** Whether there is an output matrix apart from the embedding. */
  untied?: boolean;
  /** Layers that have a short convolution of so many taps in place of attention are those without heads of keys. */
  taps?: number;
  /** Layers with a delta rule, all but each second, and attention whose results are gated; `old`: with less tensors. */
  delta?: { heads: number; groups: number; size: number; taps: number; together?: boolean; old?: boolean };
  /** Mamba-2, in the layers that `mixers` names. */
  mamba?: { heads: number; groups: number; size: number; width: number; taps: number; bare?: boolean };
  /** What each layer has for a mixer; `both` is attention and Mamba-2, `none` a feed-forward part alone. */
  mixers?: readonly ("mamba" | "attention" | "both" | "none")[];
  /** Layers with a mixer have no feed-forward part. */
  halves?: boolean;
  /** Feed-forward parts have no gate. */
  ungated?: boolean;
  /** The name of the last norm, where it is another. */
  outputNorm?: string;
  /** Biases of attention. */
  biases?: readonly ("q" | "k" | "v" | "output")[];
  /** Norms of q and k: of each head, or of the row. */
  headNorms?: boolean | "rows";
  /** Norms behind attention and feed-forward; with `only` none before them. */
  postNorms?: boolean | "only";
  /** The length of keys and values in each layer, where it is not `keyLength` everywhere. */
  keyLengths?: number[];
  /** What each layer has of keys and values. */
  keys?: readonly ("own" | "asValues" | "none")[];
  /** Floats that each layer gets beside the stream. */
  layerInputs?: number;
  /** Whether each layer ends with a scale. */
  layerScales?: boolean;
  /** Norms by deviation, with biases or without; the key of their epsilon is another. */
  layerNorms?: "biases" | "plain";
  /** There is no norm before the feed-forward part. */
  parallel?: boolean;
  /** The name of the norm before the feed-forward part. */
  secondNorm?: string;
  /** That norm's tensor has its name alone, without `.weight`. */
  bareSecondNorm?: boolean;
  /** q, k and v as one tensor, gate and up as one. */
  fused?: boolean;
  /** A score of no position for each head. */
  sinks?: boolean;
  /** Experts in place of the dense feed-forward part. */
  experts?: ExpertShape;
  /** The vocabulary's metadata; a small SentencePiece one unless given. */
  vocabulary?: Values;
  /** Names of tensors that are left out. */
  absent?: readonly string[];
  /** Tensors besides, with their values. */
  vectors?: Record<string, number[]>;
}

/** What the experts of a small model look like. */
export interface ExpertShape {
  count: number;
  used: number;
  /** Their width, where it is not that of a dense layer. */
  width?: number;
  /** The width of the shared expert. */
  shared?: number;
  /** Whether a row weighs the shared expert. */
  sharedGate?: boolean;
  /** A bias on scores for the choice alone. */
  choiceBias?: boolean;
  /** Biases of the router and of each expert. */
  biases?: boolean;
  /** Gate and up as one tensor. */
  joined?: boolean;
  /** The length of the narrower row that they work on. */
  latent?: number;
  /** Whether a dense part lies beside them, with norms of its own, and experts have scales. */
  beside?: boolean;
  /** Whether a layer is dense. */
  isDense?: (layer: number) => boolean;
}

/** One of gemma3: seven layers, of which the sixth sees all positions. */
export const gemma3: Shape = {
  architecture: "gemma3",
  layers: 7,
  keyLength: 32,
  headNorms: true,
  postNorms: true,
  values: {
    "gemma3.attention.sliding_window": u32(9),
    "gemma3.rope.freq_base": f32(1_000_000),
    "gemma3.rope.scaling.type": text("linear"),
    "gemma3.rope.scaling.factor": f32(8),
  },
};

/** One of gemma4: two head sizes, keys as values, shared keys, inputs of layers. */
export const gemma4: Shape = {
  architecture: "gemma4",
  layers: 6,
  keyLength: 32,
  keyLengths: [16, 32, 16, 32, 16, 32],
  kvHeads: [2, 1, 2, 1, 2, 1],
  keys: ["own", "own", "own", "asValues", "none", "none"],
  headNorms: true,
  postNorms: true,
  layerInputs: 8,
  layerScales: true,
  values: {
    "gemma4.attention.key_length_swa": u32(16),
    "gemma4.attention.value_length_swa": u32(16),
    "gemma4.attention.sliding_window": u32(7),
    "gemma4.attention.sliding_window_pattern": arrayOf("bool", [true, false, true, false, true, false]),
    "gemma4.attention.shared_kv_layers": u32(2),
    "gemma4.embedding_length_per_layer_input": u32(8),
    "gemma4.rope.freq_base": f32(1_000_000),
    "gemma4.rope.dimension_count_swa": u32(16),
    "gemma4.final_logit_softcapping": f32(20),
  },
  vectors: { "rope_freqs.weight": [1, 1, 1, 1, ...new Array<number>(12).fill(1e30)] },
};

/** One of llama, as plain as a model can be. */
export const llama: Shape = { architecture: "llama" };

/** One of qwen2. */
export const qwen2: Shape = { architecture: "qwen2", biases: ["q", "k", "v"] };

/** One of phi3: fused tensors, rotated in part, with factors for long and for short contexts. */
export const phi3: Shape = {
  architecture: "phi3",
  fused: true,
  untied: true,
  values: {
    "phi3.rope.dimension_count": u32(12),
    "phi3.attention.sliding_window": u32(5),
    "phi3.rope.scaling.original_context_length": u32(32),
    "phi3.rope.scaling.attn_factor": f32(1.19),
  },
  vectors: {
    "rope_factors_long.weight": [1, 1.1, 1.5, 3, 8, 20],
    "rope_factors_short.weight": [1, 1, 1.05, 1.1, 1.2, 1.3],
  },
};

/** One of lfm2: a layer with attention between two with a short convolution. */
export const lfm2: Shape = {
  architecture: "lfm2",
  kvHeads: [0, 2, 0],
  headNorms: true,
  taps: 3,
  outputNorm: "token_embd_norm",
  values: { "lfm2.shortconv.l_cache": u32(3) },
};

/** One of qwen35: a layer with attention between two with a delta rule. */
export const qwen35: Shape = {
  architecture: "qwen35",
  headNorms: true,
  secondNorm: "post_attention_norm",
  delta: { heads: 4, groups: 2, size: 16, taps: 4 },
  values: {
    "qwen35.full_attention_interval": u32(2),
    "qwen35.rope.dimension_count": u32(8),
    "qwen35.rope.dimension_sections": arrayOf("int32", [2, 1, 1, 0]),
    "qwen35.ssm.conv_kernel": u32(4),
    "qwen35.ssm.inner_size": u32(64),
    "qwen35.ssm.state_size": u32(16),
    "qwen35.ssm.time_step_rank": u32(4),
    "qwen35.ssm.group_count": u32(2),
  },
};

/** One of granitehybrid: a layer with attention between two with Mamba-2. */
export const granitehybrid: Shape = {
  architecture: "granitehybrid",
  kvHeads: [0, 2, 0],
  mixers: ["mamba", "attention", "mamba"],
  mamba: { heads: 8, groups: 2, size: 16, width: 16, taps: 4 },
  values: {
    "granitehybrid.logit_scale": f32(0.25),
    "granitehybrid.residual_scale": f32(0.25),
    ...mambaValues("granitehybrid", 8),
  },
};

/** One of falcon-h1: attention and Mamba-2 in each layer, without a norm of groups. */
export const falconH1: Shape = {
  architecture: "falcon-h1",
  keyLength: 16,
  untied: true,
  secondNorm: "ffn_norm",
  bareSecondNorm: true,
  mixers: ["both", "both", "both"],
  mamba: { heads: 6, groups: 2, size: 16, width: 16, taps: 4, bare: true },
  values: mambaValues("falcon-h1"),
};

/** One of nemotron_h: layers of one half each. */
export const nemotronH: Shape = {
  architecture: "nemotron_h",
  layers: 5,
  keyLength: 16,
  kvHeads: [0, 0, 2, 0, 0],
  feedForward: [0, 128, 0, 0, 96],
  mixers: ["mamba", "none", "attention", "mamba", "none"],
  halves: true,
  ungated: true,
  mamba: { heads: 6, groups: 2, size: 16, width: 16, taps: 4 },
  values: { ...mambaValues("nemotron_h"), "nemotron_h.attention.layer_norm_epsilon": f32(0.01) },
};

/** One of nemotron_h_moe; `latent` is the length of the row that its experts work on. */
export function nemotronExperts(latent?: number): Shape {
  const key = (name: string) => `nemotron_h_moe.${name}`;
  const values = Object.entries(nemotronH.values ?? {}).map(([name, value]) => [
    name.replace("nemotron_h", "nemotron_h_moe"),
    value,
  ]);
  return {
    ...nemotronH,
    architecture: "nemotron_h_moe",
    experts: { count: 8, used: 3, width: 32, shared: 48, choiceBias: true, ...latent === undefined ? {} : { latent } },
    values: {
      ...Object.fromEntries(values),
      [key("expert_shared_feed_forward_length")]: u32(48),
      [key("expert_weights_norm")]: flag(true),
      [key("expert_weights_scale")]: f32(2.5),
      ...latent === undefined ? {} : {
        [key("moe_latent_size")]: u32(latent),
        [key("expert_feed_forward_length")]: arrayOf("uint32", [0, 32, 0, 0, 32]),
        [key("expert_used_count")]: arrayOf("uint32", [0, 3, 0, 0, 3]),
      },
    },
  };
}

/** Metadata of a Mamba-2 with heads of 16 channels. */
function mambaValues(architecture: string, heads = 6): NonNullable<Shape["values"]> {
  const sizes = { conv_kernel: 4, inner_size: 16 * heads, state_size: 16, time_step_rank: heads, group_count: 2 };
  return Object.fromEntries(
    Object.entries(sizes).map(([name, size]) => [`${architecture}.ssm.${name}`, u32(size)]),
  );
}

/** Four times the original context of 16. */
export const yarn = (architecture: string) => ({
  [`${architecture}.rope.scaling.type`]: text("yarn"),
  [`${architecture}.rope.scaling.factor`]: f32(4),
  [`${architecture}.rope.scaling.original_context_length`]: u32(16),
});

/** Metadata and tensors of a small model. */
export function smallModel(shape: Shape): { values: Map<string, Values[string]>; tensors: NewTensor[] } {
  const { architecture: name, layers = 3, embedding = 64, heads = 4, kvHeads = 2, feedForward = 96 } = shape;
  const keyLength = shape.keyLength ?? embedding / first(heads);
  const valueLength = shape.valueLength ?? keyLength;
  const vocabulary = shape.vocabulary ?? spm();
  const tokens = (vocabulary["tokenizer.ggml.tokens"].value as { length: number } & object).length;
  const perLayer = (value: number | number[]) => typeof value === "number" ? u32(value) : arrayOf("uint32", value);
  const all: Shape["values"] = {
    "general.architecture": text(name),
    [`${name}.block_count`]: u32(layers),
    [`${name}.context_length`]: u32(shape.context ?? 128),
    [`${name}.embedding_length`]: u32(embedding),
    [`${name}.feed_forward_length`]: perLayer(feedForward),
    ...(shape.experts === undefined ? {} : {
      [`${name}.expert_count`]: u32(shape.experts.count),
      [`${name}.expert_used_count`]: u32(shape.experts.used),
      [`${name}.expert_feed_forward_length`]: shape.experts.width === undefined ? undefined : u32(shape.experts.width),
    }),
    [`${name}.attention.head_count`]: perLayer(heads),
    [`${name}.attention.head_count_kv`]: perLayer(kvHeads),
    [`${name}.attention.layer_norm_${shape.layerNorms ? "" : "rms_"}epsilon`]: f32(1e-5),
    ...(shape.keyLength === undefined ? {} : {
      [`${name}.attention.key_length`]: u32(keyLength),
      [`${name}.attention.value_length`]: u32(valueLength),
    }),
    ...vocabulary,
    ...shape.values,
  };
  const values = new Map(
    Object.entries(all).filter((entry): entry is [string, Values[string]] => entry[1] !== undefined),
  );

  const random = randomNumbers(23);
  const tensors: NewTensor[] = [];
  const add = (name: string, dims: number[], value: () => number) => {
    const data = Float32Array.from({ length: dims.reduce((a, b) => a * b) }, value);
    if (!shape.absent?.includes(name)) tensors.push({ name, type: 0, dims, data: new Uint8Array(data.buffer) });
  };
  const bell = () => (random(1 << 16) + random(1 << 16) + random(1 << 16) - 3 * 2 ** 15) / 2 ** 15;
  const matrix = (name: string, columns: number, rows: number) =>
    add(`${name}.weight`, [columns, rows], () => bell() / Math.sqrt(columns));
  const norm = (name: string, length: number) => add(`${name}.weight`, [length], () => 1 + bell() / 4);
  const bias = (name: string, length: number) => add(`${name}.bias`, [length], () => bell() / 2);

  matrix("token_embd", embedding, tokens);
  for (let layer = 0; layer < layers; layer++) {
    const at = (value: number | number[]) => typeof value === "number" ? value : value[layer];
    const block = (part: string) => `blk.${layer}.${part}`;
    const [kLength, vLength] = shape.keyLengths === undefined
      ? [keyLength, valueLength]
      : [shape.keyLengths[layer], shape.keyLengths[layer]];
    const [q, k, v] = [at(heads) * kLength, at(kvHeads) * kLength, at(kvHeads) * vLength];
    const keys = shape.keys?.[layer] ?? "own";
    if (shape.postNorms !== "only") norm(block("attn_norm"), embedding);
    if (shape.layerNorms === "biases") bias(block("attn_norm"), embedding);
    const { delta } = shape;
    const isDelta = delta !== undefined && layer % 2 === 0;
    const mixer = shape.mixers?.[layer];
    const isAttention = !isDelta && k > 0 && mixer !== "none";
    if (shape.mamba !== undefined && (mixer === "mamba" || mixer === "both")) addMamba(block, shape.mamba);
    if (isDelta) {
      const [values, channels] = [delta.heads * delta.size, (2 * delta.groups + delta.heads) * delta.size];
      if (delta.old) matrix(block("ssm_in"), embedding, channels + values);
      else {
        matrix(block("attn_qkv"), embedding, channels);
        matrix(block("attn_gate"), embedding, values);
      }
      if (delta.together) matrix(block("ssm_ba"), embedding, 2 * delta.heads);
      else for (const gate of ["ssm_beta", "ssm_alpha"]) matrix(block(gate), embedding, delta.heads);
      matrix(block("ssm_conv1d"), delta.taps, channels);
      add(block("ssm_a"), [delta.heads], () => -0.2 - Math.abs(bell()));
      bias(block("ssm_dt"), delta.heads);
      norm(block("ssm_norm"), delta.size);
      matrix(block("ssm_out"), values, embedding);
    } else if (shape.taps !== undefined && k === 0) {
      matrix(block("shortconv.in_proj"), embedding, 3 * embedding);
      matrix(block("shortconv.conv"), shape.taps, embedding);
      matrix(block("shortconv.out_proj"), embedding, embedding);
    } else if (shape.fused) {
      matrix(block("attn_qkv"), embedding, q + k + v);
    } else if (isAttention || shape.mixers === undefined) {
      matrix(block("attn_q"), embedding, delta ? 2 * q : q);
      if (keys !== "none") matrix(block("attn_k"), embedding, k);
      if (keys === "own") matrix(block("attn_v"), embedding, v);
    }
    if (isAttention) matrix(block("attn_output"), at(heads) * vLength, embedding);
    for (const part of isAttention ? shape.biases ?? [] : []) {
      bias(block(`attn_${part}`), { q, k, v, output: embedding }[part]);
    }
    if (shape.sinks) add(`${block("attn_sinks")}.weight`, [at(heads)], () => 2 * bell());
    if (shape.headNorms && isAttention) {
      norm(block("attn_q_norm"), shape.headNorms === "rows" ? q : kLength);
      if (keys !== "none") norm(block("attn_k_norm"), shape.headNorms === "rows" ? k : kLength);
    }
    if (shape.postNorms) {
      norm(block("post_attention_norm"), embedding);
      norm(block("post_ffw_norm"), embedding);
    }
    if (shape.halves && mixer !== "none") continue;
    if (shape.bareSecondNorm) add(block("ffn_norm"), [embedding], () => 1 + bell() / 4);
    else if (shape.postNorms !== "only" && !shape.parallel && !shape.halves) {
      norm(block(shape.secondNorm ?? "ffn_norm"), embedding);
    }
    if (shape.layerNorms === "biases" && !shape.parallel) bias(block("ffn_norm"), embedding);
    if (shape.experts !== undefined && !shape.experts.isDense?.(layer)) {
      addExperts(block, shape.experts, at(feedForward));
      if (!shape.experts.beside) continue;
      norm(block("post_ffw_norm_1"), embedding);
      norm(block("pre_ffw_norm_2"), embedding);
      norm(block("post_ffw_norm_2"), embedding);
      add(`${block("ffn_gate_inp")}.scale`, [embedding], () => 4 + bell());
      add(`${block("ffn_down_exps")}.scale`, [shape.experts.count], () => 1 + bell() / 2);
    }
    if (!shape.fused && !shape.ungated) matrix(block("ffn_gate"), embedding, at(feedForward));
    matrix(block("ffn_up"), embedding, (shape.fused ? 2 : 1) * at(feedForward));
    matrix(block("ffn_down"), at(feedForward), embedding);
    if (shape.layerScales) norm(block("layer_output_scale"), 1);
    if (shape.layerInputs === undefined) continue;
    matrix(block("inp_gate"), embedding, shape.layerInputs);
    matrix(block("proj"), shape.layerInputs, embedding);
    norm(block("post_norm"), embedding);
  }
  if (shape.layerInputs !== undefined) {
    matrix("per_layer_token_embd", layers * shape.layerInputs, tokens);
    matrix("per_layer_model_proj", embedding, layers * shape.layerInputs);
    norm("per_layer_proj_norm", shape.layerInputs);
  }
  norm(shape.outputNorm ?? "output_norm", embedding);
  if (shape.layerNorms === "biases") bias("output_norm", embedding);
  if (shape.untied) matrix("output", embedding, tokens);
  for (const [name, numbers] of Object.entries(shape.vectors ?? {})) {
    let at = 0;
    add(name, [numbers.length], () => numbers[at++]);
  }
  return { values, tensors };

  function addMamba(block: (part: string) => string, mamba: NonNullable<Shape["mamba"]>): void {
    const { heads, groups, size, width, taps, bare } = mamba;
    const [inner, channels] = [heads * width, heads * width + 2 * groups * size];
    matrix(block("ssm_in"), embedding, inner + channels + heads);
    matrix(block("ssm_conv1d"), taps, channels);
    if (!bare) bias(block("ssm_conv1d"), channels);
    bias(block("ssm_dt"), heads);
    add(block("ssm_a"), [1, heads], () => -0.2 - Math.abs(bell()));
    add(block("ssm_d"), [1, heads], () => 1 + bell() / 2);
    if (!bare) add(`${block("ssm_norm")}.weight`, [inner / groups, groups], () => 1 + bell() / 4);
    matrix(block("ssm_out"), inner, embedding);
  }

  function addExperts(block: (part: string) => string, experts: ExpertShape, feedForward: number): void {
    const { count, width = feedForward, shared, latent } = experts;
    const stream = latent ?? embedding;
    const slabs = (part: string, columns: number, rows: number) =>
      add(`${block(part)}.weight`, [columns, rows, count], () => bell() / Math.sqrt(columns));
    // Logits that lie apart: arithmetic in f32 must choose as in f64.
    add(`${block("ffn_gate_inp")}.weight`, [embedding, count], () => 4 * bell() / Math.sqrt(embedding));
    if (latent !== undefined) {
      matrix(block("ffn_latent_down"), embedding, latent);
      matrix(block("ffn_latent_up"), latent, embedding);
    }
    const inner = shape.ungated ? ["ffn_up_exps"] : ["ffn_gate_exps", "ffn_up_exps"];
    if (experts.joined) slabs("ffn_gate_up_exps", stream, 2 * width);
    else for (const part of inner) slabs(part, stream, width);
    slabs("ffn_down_exps", width, stream);
    if (experts.choiceBias) bias(block("exp_probs_b"), count);
    if (experts.biases) {
      bias(block("ffn_gate_inp"), count);
      const rows = { ffn_gate_exps: width, ffn_up_exps: width, ffn_down_exps: embedding };
      for (const [part, length] of Object.entries(rows)) add(`${block(part)}.bias`, [length, count], () => bell() / 2);
    }
    if (shared === undefined) return;
    if (!shape.ungated) matrix(block("ffn_gate_shexp"), embedding, shared);
    matrix(block("ffn_up_shexp"), embedding, shared);
    matrix(block("ffn_down_shexp"), shared, embedding);
    if (experts.sharedGate) add(`${block("ffn_gate_inp_shexp")}.weight`, [embedding], bell);
  }
}

function first(value: number | number[]): number {
  return typeof value === "number" ? value : value[0];
}

/** The file of a small model. */
export function smallModelBytes(shape: Shape): Uint8Array {
  const { values, tensors } = smallModel(shape);
  return encodeGguf(values, tensors);
}

/** The plan of a small model. */
export function planSmall(shape: Shape, context?: number): ModelPlan {
  const gguf = parseGguf(memorySource("small", smallModelBytes(shape)));
  return planModel(gguf, context === undefined ? {} : { context });
}

/** Calls `body` with a directory that is gone afterwards. */
export async function withDirectory<T>(body: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), "lightgpt-models-"));
  try {
    return await body(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Calls `body` with the path of a small model's file. */
export function withModelFile<T>(shape: Shape, body: (path: string) => Promise<T>): Promise<T> {
  return withDirectory((directory) => {
    const path = join(directory, "model.gguf");
    writeFileSync(path, smallModelBytes(shape));
    return body(path);
  });
}
