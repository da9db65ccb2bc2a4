/**
 * What the tensors of a layer are called in a Hugging Face folder, and in a GGUF file. Names have no `.weight` or `.bias` where
 * both kinds have both; `#` stands for the number of an expert.
 *
 * @module
 */

/** Where a tensor goes: to one of the file, or cut into several. */
export interface Cut {
  readonly into: readonly string[];
  /**
   * Of each matrix its two halves; its rows in turns; or, with the delta rule, its rows by groups of heads: queries, keys and values
   * of a group, and what gates them.
   */
  readonly by?: "halves" | "turns" | "groups";
  /** Each matrix is turned over first: a folder may have it with rows for columns. */
  readonly turned?: true;
  /**
   * What follows the heads of values, whose order is another in the file: rows behind queries and keys, rows, or columns; `shared`: each
   * head's rows of queries, keys and values lie together.
   */
  readonly heads?: "behind" | "rows" | "columns" | "shared";
  /** The matrices of all experts lie one below the other. */
  readonly stacked?: true;
  /** What is a vector in the folder is a matrix in the file: of rows of one value each, or of a row for each group of heads. */
  readonly as?: "column" | "groups";
}

export type Names = ReadonlyMap<string, string | Cut>;

export const names = (list: Readonly<Record<string, string | Cut>>): Names => new Map(Object.entries(list));
export const both = (...lists: readonly Names[]): Names => new Map(lists.flatMap((list) => [...list]));

/** Those that most have. */
export const PLAIN = names({
  "input_layernorm": "attn_norm",
  "self_attn.q_proj": "attn_q",
  "self_attn.k_proj": "attn_k",
  "self_attn.v_proj": "attn_v",
  "self_attn.qkv_proj": "attn_qkv",
  "self_attn.o_proj": "attn_output",
  "self_attn.q_norm": "attn_q_norm",
  "self_attn.k_norm": "attn_k_norm",
  "post_attention_layernorm": "ffn_norm",
  "mlp.gate_proj": "ffn_gate",
  "mlp.up_proj": "ffn_up",
  "mlp.gate_up_proj": "ffn_up",
  "mlp.down_proj": "ffn_down",
});

/** With a norm before and one behind attention and feed-forward. */
export const FOUR_NORMS = both(
  PLAIN,
  names({
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
  }),
);

/** As before, by GLM's names. */
export const GLM4 = both(
  PLAIN,
  names({
    "post_self_attn_layernorm": "post_attention_norm",
    "post_attention_layernorm": "ffn_norm",
    "post_mlp_layernorm": "post_ffw_norm",
  }),
);

/** With the norm before feed-forward under the name that others have behind attention. */
export const SECOND_NORM = both(PLAIN, names({ "post_attention_layernorm": "post_attention_norm" }));

/** Experts one by one, or all in a tensor; the expert that every token goes to. */
const EXPERTS = names({
  "mlp.gate": "ffn_gate_inp",
  "mlp.gate.e_score_correction_bias": "exp_probs_b.bias",
  "mlp.experts.#.gate_proj": "ffn_gate_exps",
  "mlp.experts.#.up_proj": "ffn_up_exps",
  "mlp.experts.#.down_proj": "ffn_down_exps",
  "mlp.experts.gate_up_proj": { into: ["ffn_gate_exps.weight", "ffn_up_exps.weight"], by: "halves" },
  "mlp.experts.down_proj": "ffn_down_exps.weight",
  "mlp.shared_expert.gate_proj": "ffn_gate_shexp",
  "mlp.shared_expert.up_proj": "ffn_up_shexp",
  "mlp.shared_expert.down_proj": "ffn_down_shexp",
  "mlp.shared_expert_gate": "ffn_gate_inp_shexp",
  "mlp.shared_experts.gate_proj": "ffn_gate_shexp",
  "mlp.shared_experts.up_proj": "ffn_up_shexp",
  "mlp.shared_experts.down_proj": "ffn_down_shexp",
});
export const MOE = both(PLAIN, EXPERTS);
export const MOE_SECOND_NORM = both(SECOND_NORM, EXPERTS);

/** Ernie's, which keeps the bias of the choice elsewhere, as a matrix of one row. */
export const ERNIE_MOE = both(MOE, names({ "mlp.moe_statics.e_score_correction_bias": "exp_probs_b.bias" }));

/** Mixtral's. */
export const MIXTRAL = both(
  PLAIN,
  names({
    "block_sparse_moe.gate": "ffn_gate_inp",
    "block_sparse_moe.experts.#.w1": "ffn_gate_exps",
    "block_sparse_moe.experts.#.w3": "ffn_up_exps",
    "block_sparse_moe.experts.#.w2": "ffn_down_exps",
  }),
);

/** Granite's, gate and up in one. */
export const GRANITE_MOE = both(
  PLAIN,
  names({
    "block_sparse_moe.router.layer": "ffn_gate_inp",
    "block_sparse_moe.input_linear": { into: ["ffn_gate_exps.weight", "ffn_up_exps.weight"], by: "halves" },
    "block_sparse_moe.output_linear": "ffn_down_exps",
    "shared_mlp.input_linear": { into: ["ffn_gate_shexp.weight", "ffn_up_shexp.weight"], by: "halves" },
    "shared_mlp.output_linear": "ffn_down_shexp",
  }),
);

/** Granite's with Mamba-2, which has the shared expert's names for a dense part where there are no experts. */
const MAMBA = names({
  "mamba.in_proj": "ssm_in",
  "mamba.conv1d": "ssm_conv1d",
  "mamba.dt_bias": "ssm_dt.bias",
  "mamba.A_log": { into: ["ssm_a"], as: "column" },
  "mamba.D": { into: ["ssm_d"], as: "column" },
  "mamba.norm": { into: ["ssm_norm.weight"], as: "groups" },
  "mamba.out_proj": "ssm_out",
});
export const GRANITE_HYBRID_MOE = both(GRANITE_MOE, MAMBA);
export const GRANITE_HYBRID = both(
  GRANITE_HYBRID_MOE,
  names({
    "shared_mlp.input_linear": { into: ["ffn_gate.weight", "ffn_up.weight"], by: "halves" },
    "shared_mlp.output_linear": "ffn_down",
  }),
);

/** gpt-oss's: its experts' matrices in blocks (whose tensors come in pairs), or as floats, turned over. */
export const GPT_OSS = both(
  SECOND_NORM,
  names({
    "self_attn.sinks": "attn_sinks.weight",
    "mlp.router": "ffn_gate_inp",
    "mlp.experts.gate_up_proj_blocks": { into: ["ffn_gate_exps.weight", "ffn_up_exps.weight"], by: "turns" },
    "mlp.experts.down_proj_blocks": "ffn_down_exps.weight",
    "mlp.experts.gate_up_proj": { into: ["ffn_gate_exps.weight", "ffn_up_exps.weight"], by: "turns", turned: true },
    "mlp.experts.down_proj": { into: ["ffn_down_exps.weight"], turned: true },
    "mlp.experts.gate_up_proj_bias": { into: ["ffn_gate_exps.bias", "ffn_up_exps.bias"], by: "turns" },
    "mlp.experts.down_proj_bias": "ffn_down_exps.bias",
  }),
);

/** Layers with the delta rule: what both families call the same. */
const DELTA = names({
  "linear_attn.norm": "ssm_norm",
  "linear_attn.conv1d": "ssm_conv1d",
  "linear_attn.A_log": "ssm_a",
  "linear_attn.dt_bias": "ssm_dt.bias",
  "linear_attn.out_proj": "ssm_out",
});

export const QWEN3_NEXT = both(
  MOE_SECOND_NORM,
  DELTA,
  names({
    "linear_attn.in_proj_qkvz": { into: ["attn_qkv.weight", "attn_gate.weight"], by: "groups" },
    "linear_attn.in_proj_ba": "ssm_ba",
  }),
);

/** Heads of values are neighbours in the folder where they take turns in the file. */
export const QWEN3_5 = both(
  MOE_SECOND_NORM,
  names({
    "linear_attn.norm": "ssm_norm",
    "linear_attn.conv1d": { into: ["ssm_conv1d.weight"], heads: "behind" },
    "linear_attn.A_log": { into: ["ssm_a"], heads: "columns" },
    "linear_attn.dt_bias": { into: ["ssm_dt.bias"], heads: "columns" },
    "linear_attn.in_proj_qkv": { into: ["attn_qkv.weight"], heads: "behind" },
    "linear_attn.in_proj_z": { into: ["attn_gate.weight"], heads: "rows" },
    "linear_attn.in_proj_a": { into: ["ssm_alpha.weight"], heads: "rows" },
    "linear_attn.in_proj_b": { into: ["ssm_beta.weight"], heads: "rows" },
    "linear_attn.out_proj": { into: ["ssm_out.weight"], heads: "columns" },
  }),
);

/** LFM2's, dense and with experts. */
export const LFM2 = names({
  "operator_norm": "attn_norm",
  "ffn_norm": "ffn_norm",
  "conv.conv": "shortconv.conv",
  "conv.in_proj": "shortconv.in_proj",
  "conv.out_proj": "shortconv.out_proj",
  "self_attn.q_proj": "attn_q",
  "self_attn.k_proj": "attn_k",
  "self_attn.v_proj": "attn_v",
  "self_attn.out_proj": "attn_output",
  "self_attn.q_layernorm": "attn_q_norm",
  "self_attn.k_layernorm": "attn_k_norm",
  "feed_forward.w1": "ffn_gate",
  "feed_forward.w3": "ffn_up",
  "feed_forward.w2": "ffn_down",
  "feed_forward.gate": "ffn_gate_inp",
  "feed_forward.expert_bias": "exp_probs_b.bias",
  "feed_forward.experts.#.w1": "ffn_gate_exps",
  "feed_forward.experts.#.w3": "ffn_up_exps",
  "feed_forward.experts.#.w2": "ffn_down_exps",
  "feed_forward.experts.gate_up_proj": { into: ["ffn_gate_exps.weight", "ffn_up_exps.weight"], by: "halves" },
  "feed_forward.experts.down_proj": "ffn_down_exps.weight",
});

/** Hunyuan's, whose norms of queries and keys have names of their own. */
export const HUNYUAN = both(
  PLAIN,
  names({ "self_attn.query_layernorm": "attn_q_norm", "self_attn.key_layernorm": "attn_k_norm" }),
);

/** Gemma 4's: inputs of layers, and experts beside a dense part. */
export const GEMMA4 = both(
  FOUR_NORMS,
  names({
    "layer_scalar": "layer_output_scale.weight",
    "per_layer_input_gate": "inp_gate",
    "per_layer_projection": "proj",
    "post_per_layer_input_norm": "post_norm",
    "router.proj": "ffn_gate_inp",
    "router.scale": "ffn_gate_inp.scale",
    "router.per_expert_scale": "ffn_down_exps.scale",
    "experts.gate_up_proj": "ffn_gate_up_exps.weight",
    "experts.down_proj": "ffn_down_exps.weight",
    "post_feedforward_layernorm_1": "post_ffw_norm_1",
    "pre_feedforward_layernorm_2": "pre_ffw_norm_2",
    "post_feedforward_layernorm_2": "post_ffw_norm_2",
  }),
);

/** The tensors of no layer. */
export const OUTER: ReadonlyMap<string, string> = new Map([
  ["model.embed_tokens", "token_embd"],
  ["model.norm", "output_norm"],
  ["model.embedding_norm", "token_embd_norm"],
  ["model.embed_tokens_per_layer", "per_layer_token_embd"],
  ["model.per_layer_model_projection", "per_layer_model_proj"],
  ["model.per_layer_projection_norm", "per_layer_proj_norm"],
  ["lm_head", "output"],
]);
