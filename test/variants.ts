/**
 * Variants of every architecture, as shapes of small models, each with what its plan must say: one line at least for a row
 * of the table. `variants.test.ts` computes them.
 *
 * @module
 */
import { type Expected, expertVariants } from "./expert-shapes.ts";
import { arrayOf, f32, flag, text, u32 } from "./models.ts";
import {
  falconH1,
  gemma3,
  gemma4,
  granitehybrid,
  lfm2,
  llama,
  nemotronExperts,
  nemotronH,
  phi3,
  qwen2,
  qwen35,
  type Shape,
  yarn,
} from "./small-models.ts";

/** Layers with experts of which one takes two for a token, the other five. */
const unlikeExperts: Shape = {
  ...nemotronExperts(24),
  values: { ...nemotronExperts(24).values, "nemotron_h_moe.expert_used_count": arrayOf("uint32", [0, 2, 0, 0, 5]) },
};

/** Each with what its plan must say. */
export const variants: [name: string, shape: Shape, expected: Expected][] = [
  ["llama with an output matrix", { ...llama, untied: true }, {
    ropeStyle: "norm",
    activation: "silu",
    attentionScale: 1 / 4,
  }],
  ["llama with biases everywhere", { ...llama, biases: ["q", "k", "v", "output"] }, {}],
  ["llama with as many KV heads as heads", { ...llama, kvHeads: 4 }, {}],
  ["llama with one KV head for eight", { ...llama, heads: 8, kvHeads: 1 }, {}],
  ["llama with long keys", { ...llama, keyLength: 24 }, { first: { kDim: 24, vDim: 24 } }],
  ["qwen2 with long keys and longer values", { ...qwen2, keyLength: 24, valueLength: 40 }, {
    first: { kDim: 24, vDim: 40 },
  }],
  ["qwen2 rotated in part", { ...qwen2, values: { "qwen2.rope.dimension_count": u32(8) } }, {
    rotation: { dimensions: 8 },
  }],
  [
    "llama with linear scaling",
    { ...llama, values: { "llama.rope.scaling.type": text("linear"), "llama.rope.scaling.factor": f32(4) } },
    { rotation: { scale: 0.25 } },
  ],
  ["llama with the old key of linear scaling", { ...llama, values: { "llama.rope.scale_linear": f32(2) } }, {
    rotation: { scale: 0.5 },
  }],
  [
    "llama whose scaling is switched off",
    { ...llama, values: { "llama.rope.scaling.type": text("none"), "llama.rope.scaling.factor": f32(4) } },
    { rotation: { scale: 1 } },
  ],
  ["llama with factors", { ...llama, vectors: { "rope_freqs.weight": [1, 1, 1, 2, 4, 8, 8, 8] } }, {}],
  [
    "llama with sizes for each layer",
    { ...llama, heads: [4, 8, 2], kvHeads: [2, 8, 1], feedForward: [96, 32, 160], keyLength: 16 },
    {},
  ],
  ["llama that states the scales that it has anyway", {
    ...llama,
    keyLength: 24,
    values: { "llama.attention.scale": f32(1 / Math.sqrt(24)), "llama.embedding_scale": f32(0) },
  }, { attentionScale: 1 / Math.sqrt(24), embeddingScale: 1 }],
  ["llama with a window, which is not applied", { ...llama, values: { "llama.attention.sliding_window": u32(4) } }, {
    windows: [0, 0, 0],
  }],
  ["llama with odd sizes", { ...llama, embedding: 60, heads: 3, kvHeads: 3, keyLength: 10, feedForward: 35 }, {}],
  ["mistral", { ...llama, architecture: "mistral" }, { ropeStyle: "norm" }],
  ["qwen2 with the embedding as output", qwen2, { ropeStyle: "neox" }],
  ["qwen3 with an output matrix", { architecture: "qwen3", headNorms: true, keyLength: 32, untied: true }, {}],
  ["gemma", { architecture: "gemma", keyLength: 32 }, { embeddingScale: 8, activation: "gelu", attentionSoftcap: 0 }],
  ["gemma2 by its defaults", { architecture: "gemma2", keyLength: 32, postNorms: true }, {
    attentionSoftcap: 50,
    logitSoftcap: 30,
    windows: [4096, 0, 4096],
  }],
  ["gemma2 with its own caps and window", {
    architecture: "gemma2",
    postNorms: true,
    values: {
      "gemma2.attn_logit_softcapping": f32(2),
      "gemma2.final_logit_softcapping": f32(3),
      "gemma2.attention.sliding_window": u32(7),
    },
  }, { attentionSoftcap: 2, logitSoftcap: 3, windows: [7, 0, 7] }],
  ["gemma2 with a rotary base of its windows", {
    architecture: "gemma2",
    postNorms: true,
    values: { "gemma2.attention.sliding_window": u32(7), "gemma2.rope.freq_base_swa": f32(500) },
  }, { turns: [2, 1, 2], rotation: { base: 10_000 }, windowRotation: { base: 500 } }],
  ["gemma3", gemma3, {
    windows: [9, 9, 9, 9, 9, 0, 9],
    rotation: { base: 1_000_000, scale: 1 / 8 },
    windowRotation: { base: 10_000, scale: 1 },
    turns: [2, 2, 2, 2, 2, 1, 2],
    embeddingScale: 8,
    attentionScale: 1 / Math.sqrt(32),
    attentionSoftcap: 0,
    logitSoftcap: 0,
  }],
  ["gemma3 with a pattern for each layer", {
    ...gemma3,
    layers: 3,
    values: {
      ...gemma3.values,
      "gemma3.attention.sliding_window_pattern": arrayOf("bool", [false, true, true]),
      "gemma3.rope.freq_base_swa": f32(5000),
      "gemma3.final_logit_softcapping": f32(4),
    },
  }, { windows: [0, 9, 9], windowRotation: { base: 5000 }, logitSoftcap: 4 }],
  ["gemma3 with another period", {
    ...gemma3,
    layers: 4,
    values: { ...gemma3.values, "gemma3.attention.sliding_window_pattern": u32(2) },
  }, { windows: [9, 0, 9, 0] }],
  ["llama with YaRN", { ...llama, values: yarn("llama") }, {
    // 16 ln(16 / (2 pi 32)) / (2 ln 10000) is below 0; for a beta of 1 it is 0.81.
    rotation: { scale: 1 / 4, rampBegin: 0, rampEnd: 1, magnitude: 1 + 0.1 * Math.log(4) },
  }],
  ["qwen3 with YaRN over long keys", {
    architecture: "qwen3",
    headNorms: true,
    keyLength: 32,
    values: { ...yarn("qwen3"), "qwen3.rope.scaling.original_context_length": u32(4096) },
  }, {
    // 32 ln(4096 / (2 pi 32)) / (2 ln 10000) = 5.2, and 11.3 for a beta of 1.
    rotation: { rampBegin: 5, rampEnd: 12 },
  }],
  ["mistral3 with numbers of YaRN, and temperatures", {
    ...llama,
    architecture: "mistral3",
    values: {
      ...yarn("mistral3"),
      "mistral3.rope.scaling.yarn_beta_fast": f32(2),
      "mistral3.rope.scaling.yarn_beta_slow": f32(0.5),
      "mistral3.rope.scaling.yarn_log_multiplier": f32(1),
      "mistral3.rope.scaling.attn_factor": f32(1.5),
      "mistral3.attention.temperature_scale": f32(0.125),
    },
  }, {
    rotation: { magnitude: 1.5, rampBegin: 0, rampEnd: 2 },
    temperatureScale: 0.125,
    temperatureContext: 16,
  }],
  ["lfm2", lfm2, { ropeStyle: "neox", turns: [0, 1, 0], windows: [0, 0, 0] }],
  ["lfm2 of odd sizes, with a window and five taps", {
    ...lfm2,
    embedding: 60,
    heads: 3,
    kvHeads: [0, 0, 1],
    feedForward: 35,
    taps: 5,
    values: { "lfm2.shortconv.l_cache": u32(5), "lfm2.attention.sliding_window": u32(7) },
  }, { windows: [0, 0, 7] }],
  ["qwen35", qwen35, { ropeStyle: "neox", turns: [0, 1, 0] }],
  ["qwen35 of odd sizes, the layers named one by one", {
    ...qwen35,
    embedding: 60,
    heads: 3,
    kvHeads: 1,
    feedForward: 35,
    delta: { heads: 6, groups: 3, size: 9, taps: 2 },
    values: {
      "qwen35.attention.recurrent_layers": arrayOf("bool", [true, false, true]),
      "qwen35.rope.dimension_sections": arrayOf("int32", [4, 3, 3, 0]),
      "qwen35.ssm.conv_kernel": u32(2),
      "qwen35.ssm.state_size": u32(9),
      "qwen35.ssm.time_step_rank": u32(6),
      "qwen35.ssm.group_count": u32(3),
    },
  }, { turns: [0, 1, 0] }],
  ["granitehybrid, rotated", granitehybrid, { turns: [0, 1, 0], residualScale: 0.25, logitScale: 4 }],
  ["granitehybrid, not rotated, of odd sizes", {
    ...granitehybrid,
    embedding: 60,
    heads: 3,
    kvHeads: [0, 0, 1],
    feedForward: 35,
    mixers: ["mamba", "mamba", "attention"],
    mamba: { heads: 9, groups: 3, size: 7, width: 11, taps: 3 },
    values: {
      ...granitehybrid.values,
      "granitehybrid.rope.scaling.finetuned": flag(false),
      "granitehybrid.ssm.conv_kernel": u32(3),
      "granitehybrid.ssm.inner_size": u32(99),
      "granitehybrid.ssm.state_size": u32(7),
      "granitehybrid.ssm.time_step_rank": u32(9),
      "granitehybrid.ssm.group_count": u32(3),
    },
  }, { turns: [0, 0, 0] }],
  ["granitehybrid without attention", {
    ...granitehybrid,
    kvHeads: 0,
    mixers: ["mamba", "mamba", "mamba"],
  }, { turns: [0, 0, 0] }],
  ["granitehybrid with experts, one of them shared", {
    ...granitehybrid,
    feedForward: 32,
    experts: { count: 5, used: 2, shared: 48 },
    values: { ...granitehybrid.values, "granitehybrid.expert_shared_feed_forward_length": u32(48) },
  }, { expertsUsed: 2, routerNormalises: true }],
  ["granitehybrid without a scale of logits", {
    ...granitehybrid,
    values: { ...granitehybrid.values, "granitehybrid.logit_scale": undefined },
  }, { logitScale: 1 }],
  ["falcon-h1", falconH1, { ropeStyle: "neox", turns: [1, 1, 1], first: { mixer: "paired" } }],
  ["falcon-h1 with norms of groups, biases and factors", {
    ...falconH1,
    biases: ["q", "k", "v", "output"],
    mamba: { heads: 6, groups: 2, size: 16, width: 16, taps: 4 },
    vectors: { "rope_freqs.weight": [1, 1, 1, 2, 4, 8, 8, 8] },
  }, {}],
  ["nemotron_h", nemotronH, {
    activation: "relu",
    feedForwardGate: false,
    turns: [0, 0, 0, 0, 0],
    first: { mixer: "mamba2", feedForward: 0 },
  }],
  ["nemotron_h with the epsilon of norms by deviation, and biases", {
    ...nemotronH,
    biases: ["output"],
    mixers: ["attention", "none", "attention", "mamba", "none"],
    kvHeads: [2, 0, 2, 0, 0],
    values: {
      ...nemotronH.values,
      "nemotron_h.attention.layer_norm_rms_epsilon": undefined,
    },
  }, { epsilon: Math.fround(0.01) }],
  ["nemotron_h with biases of its feed-forward parts", {
    ...nemotronH,
    vectors: {
      "blk.1.ffn_up.bias": Array.from({ length: 128 }, (_, at) => Math.sin(at)),
      "blk.1.ffn_down.bias": Array.from({ length: 64 }, (_, at) => Math.cos(at)),
    },
  }, {}],
  ["nemotron_h_moe whose layers use unlike numbers of experts", unlikeExperts, { expertsUsed: 5 }],
  ["nemotron_h_moe", nemotronExperts(), {
    routerScore: "sigmoid",
    routerNormalises: true,
    routerScale: 2.5,
  }],
  ["nemotron_h_moe with a narrower row, and numbers for each layer", nemotronExperts(24), {
    routerNormalises: true,
  }],
  ["mistral3 without any of these", { ...llama, architecture: "mistral3" }, { temperatureScale: 0 }],
  ["smollm3: each fourth layer is not rotated", { ...llama, architecture: "smollm3", layers: 5 }, {
    turns: [1, 1, 1, 0, 1],
  }],
  ["arcee", { ...llama, architecture: "arcee", ungated: true }, { activation: "relu", feedForwardGate: false }],
  ["ernie4_5", { ...llama, architecture: "ernie4_5" }, { ropeStyle: "norm", turns: [1, 1, 1] }],
  ["granite with its scales", {
    ...llama,
    architecture: "granite",
    values: {
      "granite.embedding_scale": f32(12),
      "granite.residual_scale": f32(0.25),
      "granite.attention.scale": f32(0.125),
      "granite.logit_scale": f32(8),
    },
  }, { embeddingScale: 12, residualScale: 0.25, attentionScale: 0.125, logitScale: 0.125 }],
  ["granite that is not rotated, with one scale", {
    ...llama,
    architecture: "granite",
    values: { "granite.rope.scaling.finetuned": flag(false), "granite.logit_scale": f32(4) },
  }, { turns: [0, 0, 0], embeddingScale: 1, residualScale: 1, attentionScale: 0.25, logitScale: 0.25 }],
  ["qwen3vl, text", {
    architecture: "qwen3vl",
    headNorms: true,
    values: { "qwen3vl.rope.dimension_sections": arrayOf("int32", [3, 3, 2, 0]), "qwen3vl.n_deepstack_layers": u32(3) },
  }, { ropeStyle: "neox" }],
  ["seed_oss", { ...qwen2, architecture: "seed_oss", secondNorm: "post_attention_norm", keyLength: 32 }, {}],
  ["hunyuan-dense with an alpha", {
    architecture: "hunyuan-dense",
    headNorms: true,
    values: { "hunyuan-dense.rope.scaling.alpha": f32(1000) },
  }, { queryNorms: "rotatedHeads" }],
  ["hunyuan-dense whose file states one expert", {
    architecture: "hunyuan-dense",
    headNorms: true,
    values: { "hunyuan-dense.expert_count": u32(1), "hunyuan-dense.expert_used_count": u32(1) },
  }, { expertsUsed: 0 }],
  ["olmo2 without windows", { architecture: "olmo2", headNorms: "rows", postNorms: "only" }, {
    queryNorms: "rows",
    windows: [0, 0, 0],
  }],
  ["olmo2 with windows and YaRN", {
    architecture: "olmo2",
    headNorms: "rows",
    postNorms: "only",
    layers: 5,
    values: { ...yarn("olmo2"), "olmo2.attention.sliding_window": u32(6) },
  }, {
    windows: [6, 6, 6, 0, 6],
    turns: [2, 2, 2, 1, 2],
    rotation: { scale: 1 / 4 },
    windowRotation: { scale: 1, magnitude: 1, rampBegin: -1, rampEnd: 0, base: 10_000 },
  }],
  ["exaone4 with factors", {
    architecture: "exaone4",
    headNorms: true,
    postNorms: "only",
    values: { "exaone4.attention.sliding_window": u32(4) },
    vectors: { "rope_freqs.weight": [1, 1, 1, 2, 4, 8, 8, 8] },
  }, { windows: [0, 0, 0], turns: [1, 1, 1] }],
  ["exaone4 of 64 layers, with windows", {
    architecture: "exaone4",
    headNorms: true,
    postNorms: "only",
    layers: 64,
    embedding: 32,
    heads: 2,
    kvHeads: 1,
    feedForward: 32,
    values: { "exaone4.attention.sliding_window": u32(4) },
  }, {
    windows: Array.from({ length: 64 }, (_, layer) => layer % 4 === 3 ? 0 : 4),
    turns: Array.from({ length: 64 }, (_, layer) => layer % 4 === 3 ? 0 : 1),
  }],
  ["gemma4", gemma4, {
    windows: [7, 0, 7, 0, 7, 0],
    turns: [2, 1, 2, 1, 2, 1],
    rotation: { dimensions: 32, factors: true, base: 1_000_000 },
    windowRotation: { dimensions: 16, factors: false, base: 10_000 },
    first: { kDim: 16, vDim: 16, kvHeads: 2 },
    keys: [["own", 0], ["own", 1], ["own", 2], ["asValues", 3], ["ofLayer", 2], ["ofLayer", 3]],
    attentionScale: 1,
    valueNorms: true,
    layerInputs: 8,
    logitSoftcap: 20,
  }],
  ["gemma4 with experts beside a dense part", {
    ...gemma4,
    // Few layers: these tell a rounding in the first one from none by 1e-4 of a std after six.
    layers: 3,
    keyLengths: [16, 32, 16],
    kvHeads: [2, 1, 2],
    layerInputs: undefined,
    keys: ["own", "asValues", "own"],
    experts: { count: 6, used: 2, width: 40, beside: true, isDense: (layer) => layer === 1 },
    values: {
      ...gemma4.values,
      "gemma4.attention.sliding_window_pattern": arrayOf("bool", [true, false, true]),
      "gemma4.embedding_length_per_layer_input": u32(0),
      "gemma4.attention.shared_kv_layers": undefined,
    },
  }, { expertsUsed: 2, routerScore: "softmax", routerNormalises: true, first: { feedForward: 96, experts: 6 } }],
  ["gemma4 without inputs, scales and shared keys", {
    ...gemma4,
    layerInputs: undefined,
    layerScales: false,
    keys: ["own", "asValues", "own", "own", "own", "own"],
    values: {
      ...gemma4.values,
      "gemma4.embedding_length_per_layer_input": u32(0),
      "gemma4.attention.shared_kv_layers": undefined,
    },
  }, { layerInputs: 0 }],
  ["stablelm, rotated in part, with biases", {
    architecture: "stablelm",
    layerNorms: "biases",
    biases: ["q", "k", "v"],
    untied: true,
    values: { "stablelm.rope.dimension_count": u32(4), "stablelm.use_parallel_residual": flag(false) },
  }, { norms: "deviation", parallel: false, rotation: { dimensions: 4 } }],
  ["stablelm with parallel halves", { architecture: "stablelm", layerNorms: "biases", parallel: true, untied: true }, {
    parallel: true,
  }],
  ["command-r", {
    architecture: "command-r",
    layerNorms: "plain",
    parallel: true,
    values: { "command-r.logit_scale": f32(0.0625) },
  }, { norms: "deviation", parallel: true, logitScale: 0.0625 }],
  ["command-r without a scale of logits", { architecture: "command-r", layerNorms: "plain", parallel: true }, {
    logitScale: 1,
  }],
  ["cohere2", {
    architecture: "cohere2",
    layerNorms: "plain",
    parallel: true,
    layers: 5,
    values: { "cohere2.logit_scale": f32(0.25), "cohere2.attention.sliding_window": u32(6) },
  }, { windows: [6, 6, 6, 0, 6], turns: [1, 1, 1, 0, 1], ropeStyle: "norm" }],
  ["glm4, rotated in part, with biases", {
    architecture: "glm4",
    fused: true,
    postNorms: true,
    biases: ["q", "k", "v"],
    values: { "glm4.rope.dimension_count": u32(8) },
  }, { ropeStyle: "norm", rotation: { dimensions: 8 } }],
  ["phi3 with its factors for long contexts", phi3, {
    rotation: { magnitude: Math.fround(1.19), dimensions: 12, factors: true },
    ropeFactors: 6,
    windows: [0, 0, 0],
  }],
  ["phi3 with its factors for short contexts", { ...phi3, context: 32 }, {}],
  ["phi3 with all matrices apart", { ...phi3, fused: false }, {}],
  ["phi3 without factors", { architecture: "phi3", fused: true, untied: true }, {
    rotation: { magnitude: 1, factors: false },
    ropeStyle: "neox",
  }],
  ...expertVariants,
];
