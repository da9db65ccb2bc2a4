//! The choices of the border that cross as their numbers: a part of the table in `wire.zig`, which has everything else.

const level_table = @import("level/level_table.zig");

/// Choices that cross as their numbers. TypeScript has the names, in its own spelling unless `as_spelled` is declared.
pub const choices = struct {
    /// What a native function returns below 0, and why a sequence failed.
    pub const Statuses = @import("status.zig").Status;
    pub const SamplingMethods = level_table.Method;
    /// How keys and values are stored.
    pub const KvTypes = level_table.KvType;
    /// How rotary positions pair the elements of a head: not at all, (2k, 2k + 1), or (k, k + n/2).
    pub const RopeStyles = level_table.RopeStyle;
    /// What the norms of queries and keys work on: each head before rotation, the row of all heads before rotation, or each head
    /// after rotation.
    pub const QueryNorms = enum(u32) { heads, rows, rotated_heads };
    /// The kinds of mixers; `paired` is attention and Mamba-2 over one input.
    pub const Mixers = enum(u32) { attention, short_convolution, delta_rule, latent, mamba2, paired, none };
    /// What norms divide by: the root mean square, or, with the mean taken away first, the standard deviation.
    pub const Norms = enum(u32) { root_mean_square, deviation };
    /// Which keys and values a layer of attention reads: its own; its own, whose values are the keys before their norm; those of
    /// a layer before it.
    pub const Keys = enum(u32) { own, as_values, of_layer };
    /// The function between the two halves of a feed-forward layer; `gelu` by the hyperbolic tangent, `gelu_erf` by the error
    /// function, `plain_gelu_erf` the same where there is no gate to leave up out; `clamped` as gpt-oss has it;
    /// `relu` squared where there is no gate, for then up is its own gate.
    pub const Activations = level_table.ActivationKind;
    /// What a router chooses experts by, and what their weights are made from: the softmax of all its logits, the sigmoid of each, or
    /// the logits themselves, of which then the softmax of those chosen is taken.
    pub const RouterScores = level_table.RouterScore;
    /// What follows the first matrix of a rank head.
    pub const RankActivations = enum(u32) { tanh, gelu_erf };
    /// What a step gives of a text: nothing, the row of each token, their mean, the first or the last of them.
    pub const Poolings = enum(u32) { none, rows, mean, first, last };
    /// How the rows of an index of vectors are kept.
    pub const VectorKinds = level_table.VectorKind;
    pub const Roundings = level_table.Rounding;
    pub const OutlierPolicies = level_table.Outliers;
    pub const FloatSources = level_table.Source;

    /// What a tensor is for. Norm weights, biases and rope factors are f32.
    pub const Roles = enum(u32) {
        token_embd,
        output_norm,
        output,
        rope_freqs,
        attn_norm,
        attn_q,
        attn_k,
        attn_v,
        attn_output,
        ffn_norm,
        ffn_gate,
        ffn_up,
        ffn_down,
        attn_q_bias,
        attn_k_bias,
        attn_v_bias,
        attn_output_bias,
        attn_q_norm,
        attn_k_norm,
        post_attention_norm,
        post_ffw_norm,
        ffn_gate_bias,
        ffn_up_bias,
        ffn_down_bias,
        ssm_in,
        ssm_conv1d,
        ssm_out,
        layer_output_scale,
        per_layer_token_embd,
        per_layer_model_proj,
        per_layer_proj_norm,
        inp_gate,
        proj,
        post_norm,
        attn_sinks,
        ffn_gate_inp,
        ffn_gate_exps,
        ffn_up_exps,
        ffn_down_exps,
        ffn_gate_inp_shexp,
        ffn_gate_shexp,
        ffn_up_shexp,
        ffn_down_shexp,
        ffn_gate_inp_bias,
        exp_probs_b,
        ffn_gate_exps_bias,
        ffn_up_exps_bias,
        ffn_down_exps_bias,
        attn_norm_bias,
        ffn_norm_bias,
        output_norm_bias,
        ffn_gate_inp_scale,
        ffn_down_exps_scale,
        post_ffw_norm_1,
        pre_ffw_norm_2,
        post_ffw_norm_2,
        ssm_gate,
        ssm_beta,
        ssm_alpha,
        ssm_ba,
        ssm_a,
        ssm_dt_bias,
        ssm_norm,
        scale,
        attn_q_a,
        attn_q_a_norm,
        attn_q_b,
        attn_kv_a_mqa,
        attn_kv_a_norm,
        attn_k_b,
        attn_v_b,
        /// Of old files: the rows that make keys. Those that make values are `attn_v_b`.
        attn_kv_b,
        ssm_conv1d_bias,
        /// The rows of a Mamba-2's first matrix that make time steps; the others are `ssm_gate` and `ssm_in`.
        ssm_dt,
        ssm_d,
        ffn_latent_down,
        ffn_latent_up,
        position_embd,
        token_types,
        token_embd_norm,
        token_embd_norm_bias,
        /// Of models whose halves are normed with the stream, once they are added to it.
        attn_output_norm,
        attn_output_norm_bias,
        attn_norm_2,
        attn_norm_2_bias,
        layer_output_norm,
        layer_output_norm_bias,
        attn_q_norm_bias,
        attn_k_norm_bias,
        dense_2,
        dense_3,
        cls,
        cls_bias,
        cls_norm,
        cls_output,
        cls_output_bias,
        /// Of the layer of a drafter: what its token's embedding and the hidden state are normed by, and what joins them.
        nextn_enorm,
        nextn_hnorm,
        nextn_eh_proj,

        /// GGUF names them so.
        pub const as_spelled = true;
        pub const count = @typeInfo(Roles).@"enum".fields.len;
    };

    /// The rows of logits that a step hands out for a sequence: of none, of the last or of all of its tokens.
    pub const LogitRows = enum(u32) { none, last, all };

    /// Where packed weights come from and go to: packed into memory; shown from a packed file; packed, and kept in a new one.
    pub const Packings = enum(u32) { memory, shown, kept };

    /// How far loading is. `shared`: ready, and the weights are those of a packed file. The last three are ready, too, but the weights
    /// could not be kept: the disk is full, the file would be larger than the system allows, it cannot be written.
    pub const LoadStates = enum(u32) { loading, ready, shared, full, too_large, unwritable };

    /// What `lg_describe` tells of.
    pub const Topics = enum(u32) { formats, processor };
};

/// The buffers of words that TypeScript writes; each holds records of `layouts`.
pub const Buffer = enum { model, engine, batch, sampler, quantize, product, calibrate, gram, adapter, walk, search };
