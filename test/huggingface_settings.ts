/**
 * What folders of the kit's second set have in `config.json`, and what their tensors are called, by the architecture of the file
 * that one is made of.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { type Gguf, readGguf } from "../mod.ts";

export type Settings = Record<string, unknown>;

/** A file, and what is asked of it. */
export class File {
  readonly gguf: Gguf;
  readonly architecture: string;
  readonly #bytes: Uint8Array;

  constructor(path: string) {
    this.gguf = readGguf(path);
    this.architecture = this.gguf.metadata.text("general.architecture");
    this.#bytes = readFileSync(path);
  }

  /** A number under a key behind the architecture's name. */
  number(key: string): number | undefined {
    return this.gguf.metadata.get(`${this.architecture}.${key}`) as number | undefined;
  }

  array(key: string): number[] {
    return [...this.gguf.metadata.get(`${this.architecture}.${key}`) as unknown as Iterable<number>];
  }

  has(name: string): boolean {
    return this.gguf.tensors.has(name);
  }

  data(name: string): Uint8Array {
    const { offset = 0, bytes = 0 } = this.gguf.tensors.get(name) ?? {};
    return new Uint8Array(this.#bytes.subarray(offset, offset + bytes));
  }
}

/** How one architecture lies in a folder. */
export interface Kind {
  class: string;
  settings: (file: File) => Settings;
  /** Names that are others than most have; `#` is the number of an expert. */
  names?: Record<string, string>;
  permuted?: true;
  lessOne?: true;
  /** `one by one`, or gate and up in one tensor. */
  experts?: "one by one" | "halves" | "turns" | "together";
}

const behind = { post_attention_norm: "post_attention_layernorm", post_ffw_norm: "post_feedforward_layernorm" };
const second = { post_attention_norm: "post_attention_layernorm" };
const shared = (name: string) => ({
  ffn_gate_shexp: `mlp.${name}.gate_proj`,
  ffn_up_shexp: `mlp.${name}.up_proj`,
  ffn_down_shexp: `mlp.${name}.down_proj`,
});
const delta = {
  ...second,
  ...shared("shared_expert"),
  ffn_gate_inp_shexp: "mlp.shared_expert_gate",
  attn_qkv: "linear_attn.in_proj_qkv",
  attn_gate: "linear_attn.in_proj_z",
  ssm_conv1d: "linear_attn.conv1d",
  ssm_norm: "linear_attn.norm",
  ssm_beta: "linear_attn.in_proj_b",
  ssm_alpha: "linear_attn.in_proj_a",
  ssm_ba: "linear_attn.in_proj_ba",
  ssm_out: "linear_attn.out_proj",
};

const yarn = (file: File): Settings => ({
  rope_scaling: {
    rope_type: "yarn",
    factor: file.number("rope.scaling.factor"),
    original_max_position_embeddings: file.number("rope.scaling.original_context_length"),
    beta_fast: 32,
    beta_slow: 1,
  },
});
const experts = (file: File): Settings => ({
  num_experts: file.number("expert_count"),
  num_experts_per_tok: file.number("expert_used_count"),
  moe_intermediate_size: file.number("expert_feed_forward_length"),
  norm_topk_prob: true,
});
const kinds = (file: File, windowed: string, isWindowed: (layer: number) => boolean) => ({
  layer_types: Array.from(
    { length: file.number("block_count") ?? 0 },
    (_, layer) => isWindowed(layer) ? windowed : "full_attention",
  ),
});
const states = (file: File): Settings => ({
  linear_conv_kernel_dim: file.number("ssm.conv_kernel"),
  linear_key_head_dim: file.number("ssm.state_size"),
  linear_value_head_dim: file.number("ssm.state_size"),
  linear_num_key_heads: file.number("ssm.group_count"),
  linear_num_value_heads: file.number("ssm.time_step_rank"),
  ...kinds(file, "linear_attention", (layer) => layer % 4 < 3),
});
const scales = (file: File): Settings => ({
  attention_multiplier: file.number("attention.scale") ?? 1 / Math.sqrt(headDimOf(file)),
  embedding_multiplier: file.number("embedding_scale") ?? 1,
  residual_multiplier: file.number("residual_scale") ?? 1,
  logits_scaling: file.number("logit_scale"),
});
export const share = (file: File, headDim: number): Settings => ({
  partial_rotary_factor: (file.number("rope.dimension_count") ?? 0) / headDim,
});
export const headDimOf = (file: File) =>
  file.number("attention.key_length") ??
    (file.number("embedding_length") ?? 0) / (file.number("attention.head_count") ?? 1);

export const KINDS: Record<string, Kind> = {
  olmo2: { class: "Olmo2ForCausalLM", settings: () => ({}), names: behind },
  granite: { class: "GraniteForCausalLM", settings: scales, permuted: true },
  smollm3: { class: "SmolLM3ForCausalLM", settings: () => ({ no_rope_layers: [1, 1, 1, 0, 1] }), permuted: true },
  llama: {
    class: "LlamaForCausalLM",
    settings: (file) =>
      file.number("expert_count") === undefined ? yarn(file) : {
        architectures: ["MixtralForCausalLM"],
        num_local_experts: file.number("expert_count"),
        num_experts_per_tok: file.number("expert_used_count"),
      },
    permuted: true,
    names: {
      ffn_gate_inp: "block_sparse_moe.gate",
      ffn_gate_exps: "block_sparse_moe.experts.#.w1",
      ffn_up_exps: "block_sparse_moe.experts.#.w3",
      ffn_down_exps: "block_sparse_moe.experts.#.w2",
    },
  },
  mistral3: {
    class: "Ministral3ForCausalLM",
    settings: (file) => {
      const { rope_scaling } = yarn(file);
      const own = { mscale: 1, mscale_all_dim: 1, llama_4_scaling_beta: file.number("attention.temperature_scale") };
      return { rope_parameters: { ...rope_scaling as Settings, ...own, rope_theta: file.number("rope.freq_base") } };
    },
    permuted: true,
  },
  glm4: {
    class: "Glm4ForCausalLM",
    settings: (file) => share(file, headDimOf(file)),
    names: {
      post_attention_norm: "post_self_attn_layernorm",
      ffn_norm: "post_attention_layernorm",
      post_ffw_norm: "post_mlp_layernorm",
      ffn_up: "mlp.gate_up_proj",
    },
  },
  exaone4: { class: "Exaone4ForCausalLM", settings: () => ({}), names: behind },
  "hunyuan-dense": {
    class: "HunYuanDenseV1ForCausalLM",
    settings: () => ({ use_qk_norm: true, num_experts: 1 }),
    names: { attn_q_norm: "self_attn.query_layernorm", attn_k_norm: "self_attn.key_layernorm" },
  },
  ernie4_5: { class: "Ernie4_5ForCausalLM", settings: () => ({ use_bias: false }) },
  "ernie4_5-moe": {
    class: "Ernie4_5_MoeForCausalLM",
    settings: (file) => ({
      moe_num_experts: file.number("expert_count"),
      moe_k: file.number("expert_used_count"),
      moe_intermediate_size: file.number("expert_feed_forward_length"),
      moe_layer_start_index: file.number("leading_dense_block_count"),
      moe_layer_interval: file.number("interleave_moe_layer_step"),
      moe_num_shared_experts: 2,
    }),
    names: shared("shared_experts"),
  },
  qwen3vl: {
    class: "Qwen3VLForConditionalGeneration",
    settings: (file) => ({ rope_scaling: { mrope_section: file.array("rope.dimension_sections").slice(0, 3) } }),
  },
  qwen3moe: { class: "Qwen3MoeForCausalLM", settings: experts, experts: "one by one" },
  granitemoe: {
    class: "GraniteMoeForCausalLM",
    settings: (file) => ({
      ...scales(file),
      num_local_experts: file.number("expert_count"),
      num_experts_per_tok: file.number("expert_used_count"),
      shared_intermediate_size: file.number("expert_shared_feed_forward_length"),
    }),
    permuted: true,
    experts: "halves",
    names: {
      ffn_gate_inp: "block_sparse_moe.router.layer",
      ffn_gate_exps: "block_sparse_moe.input_linear.weight",
      ffn_down_exps: "block_sparse_moe.output_linear.weight",
      ffn_down_shexp: "shared_mlp.output_linear",
    },
  },
  "gpt-oss": {
    class: "GptOssForCausalLM",
    settings: (file) => ({
      ...yarn(file),
      num_local_experts: file.number("expert_count"),
      num_experts_per_tok: file.number("expert_used_count"),
      intermediate_size: file.number("expert_feed_forward_length"),
      swiglu_limit: 7,
      ...kinds(file, "sliding_attention", (layer) => layer % 2 === 0),
    }),
    experts: "turns",
    names: {
      ...second,
      ffn_gate_inp: "mlp.router",
      attn_sinks: "self_attn.sinks",
      ffn_gate_exps: "mlp.experts.gate_up_proj",
      ffn_down_exps: "mlp.experts.down_proj",
    },
  },
  glm4moe: {
    class: "Glm4MoeForCausalLM",
    settings: (file) => ({
      ...experts(file),
      num_experts: undefined,
      ...share(file, headDimOf(file)),
      n_routed_experts: file.number("expert_count"),
      n_shared_experts: file.number("expert_shared_count"),
      first_k_dense_replace: file.number("leading_dense_block_count"),
      routed_scaling_factor: file.number("expert_weights_scale"),
    }),
    names: { ...second, ...shared("shared_experts") },
  },
  lfm2: {
    class: "Lfm2ForCausalLM",
    settings: (file) => {
      const heads = file.array("attention.head_count_kv");
      return {
        num_key_value_heads: Math.max(...heads),
        layer_types: heads.map((count) => count === 0 ? "conv" : "full_attention"),
        conv_L_cache: file.number("shortconv.l_cache"),
        norm_eps: file.number("attention.layer_norm_rms_epsilon"),
      };
    },
    names: {
      attn_norm: "operator_norm",
      ffn_norm: "ffn_norm",
      "shortconv.conv": "conv.conv",
      "shortconv.in_proj": "conv.in_proj",
      "shortconv.out_proj": "conv.out_proj",
      attn_output: "self_attn.out_proj",
      attn_q_norm: "self_attn.q_layernorm",
      attn_k_norm: "self_attn.k_layernorm",
      ffn_gate: "feed_forward.w1",
      ffn_up: "feed_forward.w3",
      ffn_down: "feed_forward.w2",
      ffn_gate_inp: "feed_forward.gate",
      ffn_gate_exps: "feed_forward.experts.#.w1",
      ffn_up_exps: "feed_forward.experts.#.w3",
      ffn_down_exps: "feed_forward.experts.#.w2",
    },
  },
  qwen35: {
    class: "Qwen3_5ForCausalLM",
    settings: (file) => ({
      ...states(file),
      attn_output_gate: true,
      rope_parameters: {
        rope_type: "default",
        rope_theta: file.number("rope.freq_base"),
        mrope_section: file.array("rope.dimension_sections").slice(0, 3),
        ...share(file, headDimOf(file)),
      },
    }),
    names: delta,
    lessOne: true,
  },
  qwen3next: {
    class: "Qwen3NextForCausalLM",
    settings: (file) => ({
      ...states(file),
      ...experts(file),
      ...share(file, headDimOf(file)),
      shared_expert_intermediate_size: file.number("expert_shared_feed_forward_length"),
    }),
    names: delta,
    lessOne: true,
  },
  gemma4: {
    class: "Gemma4ForCausalLM",
    settings: (file) => {
      const windowed = file.array("attention.sliding_window_pattern").map(Boolean);
      const heads = file.gguf.metadata.get("gemma4.attention.head_count_kv");
      const [all, widths] = [typeof heads === "number" ? [heads] : file.array("attention.head_count_kv"), file];
      const wide = file.gguf.metadata.get("gemma4.feed_forward_length");
      const keyHeads = (is: boolean) => all.length === 1 ? all[0] : all[windowed.indexOf(is)];
      return {
        hidden_activation: "gelu_pytorch_tanh",
        hidden_act: undefined,
        intermediate_size: typeof wide === "number" ? wide : widths.array("feed_forward_length")[0],
        head_dim: file.number("attention.key_length_swa"),
        global_head_dim: file.number("attention.key_length"),
        num_key_value_heads: keyHeads(true),
        num_global_key_value_heads: keyHeads(false),
        layer_types: windowed.map((is) => is ? "sliding_attention" : "full_attention"),
        num_kv_shared_layers: file.number("attention.shared_kv_layers") ?? 0,
        hidden_size_per_layer_input: file.number("embedding_length_per_layer_input"),
        final_logit_softcapping: file.number("final_logit_softcapping"),
        enable_moe_block: file.number("expert_count") !== undefined,
        num_experts: file.number("expert_count"),
        top_k_experts: file.number("expert_used_count"),
        moe_intermediate_size: file.number("expert_feed_forward_length"),
        rope_parameters: {
          full_attention: {
            rope_type: "proportional",
            rope_theta: file.number("rope.freq_base"),
            partial_rotary_factor: factorsOf(file).filter((factor) => factor === 1).length / factorsOf(file).length,
          },
          sliding_attention: { rope_type: "default", rope_theta: file.number("rope.freq_base_swa") ?? 10_000 },
        },
      };
    },
    experts: "together",
    names: {
      ...behind,
      ffn_norm: "pre_feedforward_layernorm",
      layer_output_scale: "layer_scalar",
      inp_gate: "per_layer_input_gate",
      proj: "per_layer_projection",
      post_norm: "post_per_layer_input_norm",
      ffn_gate_inp: "router.proj",
      ffn_gate_up_exps: "experts.gate_up_proj",
      ffn_down_exps: "experts.down_proj",
      post_ffw_norm_1: "post_feedforward_layernorm_1",
      pre_ffw_norm_2: "pre_feedforward_layernorm_2",
      post_ffw_norm_2: "post_feedforward_layernorm_2",
    },
  },
};
KINDS.granitehybrid = {
  class: "GraniteMoeHybridForCausalLM",
  settings: (file) => {
    const heads = file.array("attention.head_count_kv");
    const inner = file.number("ssm.inner_size") ?? 0;
    return {
      ...scales(file),
      num_key_value_heads: Math.max(...heads),
      layer_types: heads.map((count) => count === 0 ? "mamba" : "attention"),
      position_embedding_type: file.gguf.metadata.flag("granitehybrid.rope.scaling.finetuned", true) ? "rope" : "nope",
      mamba_n_heads: file.number("ssm.time_step_rank"),
      mamba_d_head: inner / (file.number("ssm.time_step_rank") ?? 1),
      mamba_d_state: file.number("ssm.state_size"),
      mamba_n_groups: file.number("ssm.group_count"),
      mamba_d_conv: file.number("ssm.conv_kernel"),
      shared_intermediate_size: file.number("feed_forward_length"),
      num_local_experts: 0,
    };
  },
  permuted: true,
  names: {
    ssm_in: "mamba.in_proj",
    ssm_conv1d: "mamba.conv1d",
    ssm_norm: "mamba.norm",
    ssm_out: "mamba.out_proj",
    ffn_down: "shared_mlp.output_linear",
  },
};
KINDS.qwen2moe = {
  class: "Qwen2MoeForCausalLM",
  settings: (file) => ({
    ...experts(file),
    norm_topk_prob: false,
    shared_expert_intermediate_size: file.number("expert_shared_feed_forward_length"),
  }),
  names: { ...shared("shared_expert"), ffn_gate_inp_shexp: "mlp.shared_expert_gate" },
};
KINDS.olmoe = {
  class: "OlmoeForCausalLM",
  settings: (file) => ({
    ...experts(file),
    norm_topk_prob: false,
    intermediate_size: file.number("expert_feed_forward_length") ?? file.number("feed_forward_length"),
  }),
};
KINDS.seed_oss = {
  class: "SeedOssForCausalLM",
  settings: () => ({ attention_out_bias: false, mlp_bias: false }),
  names: second,
};
KINDS.qwen35moe = {
  ...KINDS.qwen35,
  class: "Qwen3_5MoeForCausalLM",
  settings: (file) => ({
    ...KINDS.qwen35.settings(file),
    ...experts(file),
    shared_expert_intermediate_size: file.number("expert_shared_feed_forward_length"),
  }),
  experts: "halves",
  names: { ...delta, ffn_gate_exps: "mlp.experts.gate_up_proj", ffn_down_exps: "mlp.experts.down_proj" },
};
KINDS.lfm2moe = {
  ...KINDS.lfm2,
  class: "Lfm2MoeForCausalLM",
  settings: (file) => ({
    ...KINDS.lfm2.settings(file),
    ...experts(file),
    num_dense_layers: file.number("leading_dense_block_count"),
  }),
};

function factorsOf(file: File): Float32Array {
  return new Float32Array(file.data("rope_freqs.weight").buffer);
}
