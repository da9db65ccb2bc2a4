//! What a tensor is for. Which roles a layer has, and of which shape, `tensors.zig` says.

/// In the order of `ROLES` in `ffi/abi.ts`.
pub const Role = enum(u32) {
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

    pub const count = @typeInfo(Role).@"enum".fields.len;
};
