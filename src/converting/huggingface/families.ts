/**
 * The families of Hugging Face folders that become GGUF files, by the class that `config.json` names: what their tensors are called
 * and how they are changed, which keys they have of their own, and which settings have to have a certain value, since the
 * architecture computes no other.
 *
 * @module
 */
import { ENCODERS } from "./encoders.ts";
import { LATER_ENCODERS } from "./later_encoders.ts";
import * as names from "./names.ts";
import * as own from "./own_keys.ts";
import type { Family, Rule } from "./types.ts";

const SILU = ["silu", "swish"];
const GELU = ["gelu_pytorch_tanh", "gelu"];

const only = (key: string, ...allowed: unknown[]): Rule => ({ key, allowed });
const stated = (key: string, ...allowed: unknown[]): Rule => ({ key, allowed, required: true });

const GEMMA = { names: names.PLAIN, normsLessOne: true, activations: GELU, tied: true } as const;
const GEMMA3: Family = {
  ...GEMMA,
  architecture: "gemma3",
  names: names.FOUR_NORMS,
  window: 4096,
  ropeBase: 1e6,
  localRopeBase: 1e4,
};
/** Gemma3TextConfig's values in Transformers: published files leave out what equals them. */
const GEMMA3_TEXT = {
  vocab_size: 262_208,
  hidden_size: 2304,
  intermediate_size: 9216,
  num_hidden_layers: 26,
  num_attention_heads: 8,
  num_key_value_heads: 4,
  head_dim: 256,
  max_position_embeddings: 131_072,
  query_pre_attn_scalar: 256,
} as const;

const LLAMA: Family = {
  architecture: "llama",
  names: names.PLAIN,
  permuted: true,
  activations: SILU,
  scalings: ["llama3", "yarn"],
};
const QWEN: Family = { architecture: "qwen2", names: names.PLAIN, activations: SILU, scalings: ["yarn"] };
/** What newer families have in common: nothing that matters is left out. */
const NEW = { names: names.PLAIN, activations: SILU, explicit: true } as const;

const QWEN3MOE: Family = {
  ...NEW,
  architecture: "qwen3moe",
  names: names.MOE,
  scalings: ["yarn"],
  sparse: true,
  rules: [stated("norm_topk_prob", true), only("decoder_sparse_step", 1), only("mlp_only_layers", [])],
  ownKeys: own.experts,
};
const QWEN3_5: Family = {
  ...NEW,
  architecture: "qwen35",
  names: names.QWEN3_5,
  normsLessOne: true,
  rotated: 0.25,
  drafter: true,
  pre: "qwen35",
  rules: [only("attn_output_gate", true), only("attention_bias", false), only("mamba_ssm_dtype", "float32")],
  ownKeys: own.qwen3_5,
};
const QWEN3_5_MOE: Family = {
  ...QWEN3_5,
  architecture: "qwen35moe",
  sparse: true,
  rules: [...QWEN3_5.rules ?? [], only("norm_topk_prob", true), only("mlp_only_layers", [])],
};
const LFM2: Family = {
  ...NEW,
  architecture: "lfm2",
  names: names.LFM2,
  epsilon: "norm_eps",
  tied: true,
  pre: "lfm2",
  rules: [only("conv_bias", false)],
  ownKeys: own.lfm2,
};
const GRANITE: Family = {
  ...NEW,
  architecture: "granite",
  permuted: true,
  evenHeads: true,
  pre: "refact",
  ownKeys: own.granite,
};
const GRANITE_MOE: Family = {
  ...GRANITE,
  architecture: "granitemoe",
  names: names.GRANITE_MOE,
  ownKeys: own.graniteMoe,
};
const OLMO2: Family = {
  ...NEW,
  architecture: "olmo2",
  names: names.FOUR_NORMS,
  scalings: ["yarn"],
  pre: "olmo",
  ownKeys: own.olmo2,
};
const GEMMA4: Family = {
  ...NEW,
  architecture: "gemma4",
  names: names.GEMMA4,
  activations: GELU,
  tied: true,
  pre: "gemma4",
  localRopes: true,
  rules: [only("attention_bias", false), only("use_bidirectional_attention", false, "vision")],
  ownKeys: own.gemma4,
};
const MISTRAL3: Family = {
  ...NEW,
  architecture: "mistral3",
  permuted: true,
  scalings: ["yarn"],
  pre: "tekken",
  ownKeys: own.mistral3,
};
const ERNIE: Family = { ...NEW, architecture: "ernie4_5", rules: [only("use_bias", false)], tied: true };
const inner = { textConfig: {} } as const;

export const FAMILIES: ReadonlyMap<string, Family> = new Map<string, Family>([
  ["LlamaForCausalLM", LLAMA],
  ["MistralForCausalLM", LLAMA],
  ["MixtralForCausalLM", {
    ...LLAMA,
    explicit: true,
    names: names.MIXTRAL,
    rules: [only("sliding_window")],
    ownKeys: own.mixtral,
  }],
  ["Qwen2ForCausalLM", QWEN],
  ["Qwen2MoeForCausalLM", {
    ...QWEN,
    architecture: "qwen2moe",
    explicit: true,
    names: names.MOE,
    rules: [only("norm_topk_prob", false), only("decoder_sparse_step", 1), only("mlp_only_layers", [])],
    ownKeys: own.experts,
  }],
  ["Qwen3ForCausalLM", { ...QWEN, architecture: "qwen3" }],
  ["Qwen3MoeForCausalLM", QWEN3MOE],
  ["Qwen3VLForConditionalGeneration", {
    ...NEW,
    ...inner,
    architecture: "qwen3vl",
    rules: [only("attention_bias", false)],
    ownKeys: own.sections,
  }],
  ["Qwen3NextForCausalLM", {
    ...NEW,
    architecture: "qwen3next",
    names: names.QWEN3_NEXT,
    normsLessOne: true,
    rotated: 0.25,
    drafter: true,
    rules: QWEN3MOE.rules ?? [],
    ownKeys: own.qwen3Next,
  }],
  ["Qwen3_5ForCausalLM", QWEN3_5],
  ["Qwen3_5ForConditionalGeneration", { ...QWEN3_5, ...inner }],
  ["Qwen3_5MoeForCausalLM", QWEN3_5_MOE],
  ["Qwen3_5MoeForConditionalGeneration", { ...QWEN3_5_MOE, ...inner }],
  ["GemmaForCausalLM", { ...GEMMA, architecture: "gemma" }],
  ["Gemma2ForCausalLM", { ...GEMMA, architecture: "gemma2", names: names.FOUR_NORMS, window: 4096 }],
  ["Gemma3ForCausalLM", GEMMA3],
  ["Gemma3ForConditionalGeneration", { ...GEMMA3, textConfig: GEMMA3_TEXT }],
  ["Gemma4ForCausalLM", GEMMA4],
  ["Gemma4ForConditionalGeneration", { ...GEMMA4, ...inner }],
  ["Phi3ForCausalLM", { architecture: "phi3", names: names.PLAIN, activations: SILU }],
  ["GptOssForCausalLM", {
    ...NEW,
    architecture: "gpt-oss",
    names: names.GPT_OSS,
    scalings: ["yarn"],
    sparse: true,
    blocks: true,
    pre: "gpt-4o",
    rules: [only("swiglu_limit", 7), only("swiglu_alpha", 1.702), only("hidden_act", "silu")],
    ownKeys: own.gptOss,
  }],
  ["Lfm2ForCausalLM", LFM2],
  ["Lfm2MoeForCausalLM", {
    ...LFM2,
    architecture: "lfm2moe",
    rules: [...LFM2.rules ?? [], stated("norm_topk_prob", true), only("routed_scaling_factor", 1)],
    ownKeys: own.lfm2Moe,
  }],
  ["GraniteForCausalLM", GRANITE],
  ["GraniteMoeForCausalLM", GRANITE_MOE],
  ["GraniteMoeSharedForCausalLM", GRANITE_MOE],
  ["GraniteMoeHybridForCausalLM", {
    ...GRANITE,
    architecture: "granitehybrid",
    names: names.GRANITE_HYBRID_MOE,
    denseNames: names.GRANITE_HYBRID,
    rules: [
      stated("position_embedding_type", "nope", "rope"),
      only("mamba_proj_bias", false),
      only("mamba_conv_bias", true),
      only("normalization_function", "rmsnorm"),
    ],
    ownKeys: own.graniteHybrid,
  }],
  ["Olmo2ForCausalLM", OLMO2],
  ["Olmo3ForCausalLM", OLMO2],
  ["OlmoeForCausalLM", {
    ...NEW,
    architecture: "olmoe",
    names: names.MOE,
    pre: "olmo",
    rules: [only("norm_topk_prob", false), only("clip_qkv")],
    ownKeys: own.olmoe,
  }],
  ["SmolLM3ForCausalLM", {
    ...NEW,
    architecture: "smollm3",
    permuted: true,
    tied: true,
    scalings: ["yarn"],
    pre: "smaug-bpe",
    rules: [only("no_rope_layer_interval", 4), only("use_sliding_window", false), only("sliding_window")],
    ownKeys: own.smollm3,
  }],
  ["Glm4ForCausalLM", { ...NEW, architecture: "glm4", names: names.GLM4, rotated: 0.5, pre: "glm4" }],
  ["Glm4MoeForCausalLM", {
    ...NEW,
    architecture: "glm4moe",
    names: names.MOE_SECOND_NORM,
    rotated: 0.5,
    drafter: true,
    pre: "glm4",
    rules: [only("n_group", 1), only("topk_group", 1)],
    ownKeys: own.glm4Moe,
  }],
  ["Exaone4ForCausalLM", {
    ...NEW,
    architecture: "exaone4",
    names: names.FOUR_NORMS,
    scalings: ["llama3"],
    pre: "exaone4",
    ownKeys: own.exaone4,
  }],
  ["HunYuanDenseV1ForCausalLM", {
    ...NEW,
    architecture: "hunyuan-dense",
    names: names.HUNYUAN,
    scalings: ["dynamic"],
    pre: "hunyuan-dense",
    rules: [only("use_qk_norm", true), only("num_experts", 1)],
    ownKeys: own.hunyuan,
  }],
  ["Ernie4_5ForCausalLM", ERNIE],
  ["Ernie4_5_ForCausalLM", ERNIE],
  ["Ernie4_5_MoeForCausalLM", {
    ...ERNIE,
    architecture: "ernie4_5-moe",
    names: names.ERNIE_MOE,
    drafter: true,
    ownKeys: own.ernieMoe,
  }],
  ["SeedOssForCausalLM", {
    ...NEW,
    architecture: "seed_oss",
    names: names.SECOND_NORM,
    pre: "seed-coder",
    rules: [only("attention_out_bias", false), only("mlp_bias", false)],
  }],
  ["StableLmForCausalLM", {
    ...NEW,
    architecture: "stablelm",
    layerNorms: true,
    epsilon: "layer_norm_eps",
    rotated: 0.25,
    pre: "stablelm2",
    rules: [only("qk_layernorm", false)],
    ownKeys: own.stablelm,
  }],
  ["CohereForCausalLM", {
    ...NEW,
    architecture: "command-r",
    layerNorms: true,
    epsilon: "layer_norm_eps",
    tied: true,
    pre: "command-r",
    rules: [only("use_qk_norm", false), only("attention_bias", false)],
    ownKeys: own.cohere,
  }],
  ["Cohere2ForCausalLM", {
    ...NEW,
    architecture: "cohere2",
    layerNorms: true,
    epsilon: "layer_norm_eps",
    tied: true,
    pre: "command-r",
    rules: [only("attention_bias", false), only("use_parallel_block", true), only("use_qk_norm", false)],
    ownKeys: own.cohere2,
  }],
  ["Ministral3ForCausalLM", MISTRAL3],
  ["Mistral3ForConditionalGeneration", { ...MISTRAL3, ...inner }],
  ...ENCODERS,
  ...LATER_ENCODERS,
]);
