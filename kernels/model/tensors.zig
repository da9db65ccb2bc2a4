//! The tensors of a model as lists: those of no layer, those of each layer, and those of each kind of mixer and feed-forward,
//! with their shapes and whether a model must have them.

const std = @import("std");
const traits_zig = @import("traits.zig");
const Role = @import("../wire.zig").choices.Roles;

pub const Shape = struct { cols: u32, rows: u32, slabs: u32 };

pub const Slot = struct {
    role: Role,
    /// `rows` stays in its file, where a row is read when a token needs it.
    form: enum { matrix, vector, rows },
    required: bool = false,
    /// Of a matrix: its values are used one by one, so it has them as f32.
    is_f32: bool = false,
    /// Of a row; of a vector, its elements.
    cols: Size,
    rows: Size = .one,
    /// Matrices of this shape, one after the other.
    slabs: Size = .one,
};

/// Sizes that a model's traits give.
const Size = enum { one, embedding, vocabulary, rope_factors, query_norm, key_norm, queries, keys, values, heads, heads_out, feed_forward, experts, expert_width, expert_stream, expert_latent, expert_inner, expert_outputs, shared_width, layer_inputs, all_layer_inputs, taps, projected, convolved, mixed, state_heads, both_gates, state_norm, positions, token_types, dense_inner, dense_width, rank_width, rank_scores, both_streams, query_rank, latent_rank, latent_row, plain };

fn sizeOf(size: Size, traits: traits_zig.Traits, layer: traits_zig.LayerTraits) u32 {
    return switch (size) {
        .one => 1,
        .embedding => traits.embedding,
        .vocabulary => traits.vocabulary,
        .rope_factors => traits.rope_factors,
        .query_norm => if (traits.query_norms == .rows) layer.heads * layer.k_dim else layer.k_dim,
        .key_norm => if (traits.query_norms == .rows) layer.kv_heads * layer.k_dim else layer.k_dim,
        .queries => layer.heads * layer.k_dim * (1 + @as(u32, @intFromBool(layer.attention_gate))),
        .keys => layer.kv_heads * layer.k_dim,
        .values => layer.kv_heads * layer.v_dim,
        .heads => layer.heads,
        .heads_out => layer.heads * layer.v_dim,
        .feed_forward => layer.feed_forward,
        .experts => layer.experts,
        .expert_width => layer.expert_width,
        .expert_inner => layer.experts * layer.expert_width,
        .expert_stream => expertStream(traits, layer),
        .expert_latent => layer.expert_latent,
        .expert_outputs => layer.experts * expertStream(traits, layer),
        .shared_width => layer.shared_width,
        .layer_inputs => traits.layer_inputs,
        .all_layer_inputs => traits.layers * traits.layer_inputs,
        .query_rank => layer.query_rank,
        .latent_rank => layer.latent_rank,
        .latent_row => layer.latent_rank + layer.latent_rotated,
        .plain => layer.k_dim - layer.latent_rotated,
        .positions => traits.positions,
        .token_types => traits.token_types,
        .dense_inner => traits.dense_inner,
        .dense_width => traits.dense_width,
        .rank_width => traits.rank_width,
        .rank_scores => traits.rank_scores,
        .both_streams => 2 * traits.embedding,
        .taps => layer.conv_kernel,
        .state_heads => layer.state_heads,
        .both_gates => 2 * layer.state_heads,
        .state_norm => recurrentSizes(traits, layer).norm,
        .projected => recurrentSizes(traits, layer).projected,
        .convolved => recurrentSizes(traits, layer).convolved,
        .mixed => recurrentSizes(traits, layer).mixed,
    };
}

/// Elements of the row that experts read and give.
fn expertStream(traits: traits_zig.Traits, layer: traits_zig.LayerTraits) u32 {
    return if (layer.expert_latent > 0) layer.expert_latent else traits.embedding;
}

/// Columns of a mixer with a state: what its first matrix gives, what of that goes through the short convolution, and what its
/// last matrix takes; and the weights of its norm.
const RecurrentSizes = struct { projected: u32 = 0, convolved: u32 = 0, mixed: u32 = 0, norm: u32 = 0 };

fn recurrentSizes(traits: traits_zig.Traits, layer: traits_zig.LayerTraits) RecurrentSizes {
    return switch (layer.mixer) {
        .attention, .latent, .none => .{},
        .short_convolution => .{ .projected = 3 * traits.embedding, .convolved = traits.embedding, .mixed = traits.embedding },
        .delta_rule => {
            const values = layer.state_heads * layer.state_size;
            const channels = 2 * layer.state_groups * layer.state_size + values;
            const z = if (layer.state_rows_together) values else 0;
            return .{ .projected = channels + z, .convolved = channels, .mixed = values, .norm = layer.state_size };
        },
        .mamba2, .paired => {
            const inner = layer.state_heads * layer.state_width;
            const channels = inner + 2 * layer.state_groups * layer.state_size;
            return .{ .projected = channels, .convolved = channels, .mixed = inner, .norm = inner };
        },
    };
}

/// Of the whole model; without `output`, the embedding serves for it.
pub const globals = [_]Slot{
    .{ .role = .token_embd, .form = .matrix, .required = true, .cols = .embedding, .rows = .vocabulary },
    .{ .role = .output_norm, .form = .vector, .cols = .embedding },
    .{ .role = .output_norm_bias, .form = .vector, .cols = .embedding },
    .{ .role = .output, .form = .matrix, .cols = .embedding, .rows = .vocabulary },
    .{ .role = .rope_freqs, .form = .vector, .cols = .rope_factors },
    .{ .role = .position_embd, .form = .matrix, .cols = .embedding, .rows = .positions },
    .{ .role = .token_types, .form = .matrix, .cols = .embedding, .rows = .token_types },
    .{ .role = .token_embd_norm, .form = .vector, .cols = .embedding },
    .{ .role = .token_embd_norm_bias, .form = .vector, .cols = .embedding },
    .{ .role = .nextn_enorm, .form = .vector, .cols = .embedding },
    .{ .role = .nextn_hnorm, .form = .vector, .cols = .embedding },
    .{ .role = .nextn_eh_proj, .form = .matrix, .cols = .both_streams, .rows = .embedding },
};

/// What follows the pooled row of a text: two matrices of some models, and a rank head.
pub const heads = [_]Slot{
    .{ .role = .dense_2, .form = .matrix, .cols = .embedding, .rows = .dense_inner },
    .{ .role = .dense_3, .form = .matrix, .cols = .dense_inner, .rows = .dense_width },
    .{ .role = .cls, .form = .matrix, .cols = .embedding, .rows = .rank_width },
    .{ .role = .cls_bias, .form = .vector, .cols = .rank_width },
    .{ .role = .cls_norm, .form = .vector, .cols = .rank_width },
    .{ .role = .cls_output, .form = .matrix, .cols = .embedding, .rows = .rank_scores },
    .{ .role = .cls_output_bias, .form = .vector, .cols = .rank_scores },
};

/// Of a model whose layers get inputs beside the stream.
pub const global_inputs = [_]Slot{
    .{ .role = .per_layer_token_embd, .form = .rows, .required = true, .cols = .all_layer_inputs, .rows = .vocabulary },
    .{ .role = .per_layer_model_proj, .form = .matrix, .required = true, .cols = .embedding, .rows = .all_layer_inputs },
    .{ .role = .per_layer_proj_norm, .form = .vector, .required = true, .cols = .layer_inputs },
};

/// Of each layer of such a model.
pub const layer_inputs = [_]Slot{
    .{ .role = .inp_gate, .form = .matrix, .required = true, .cols = .embedding, .rows = .layer_inputs },
    .{ .role = .proj, .form = .matrix, .required = true, .cols = .layer_inputs, .rows = .embedding },
    .{ .role = .post_norm, .form = .vector, .required = true, .cols = .embedding },
};

/// Of every layer: the norms around its halves. Without one before it, a half reads the stream as it is.
pub const layer_norms = [_]Slot{
    .{ .role = .attn_norm, .form = .vector, .cols = .embedding },
    .{ .role = .attn_norm_bias, .form = .vector, .cols = .embedding },
    .{ .role = .ffn_norm_bias, .form = .vector, .cols = .embedding },
    .{ .role = .ffn_norm, .form = .vector, .cols = .embedding },
    .{ .role = .post_attention_norm, .form = .vector, .cols = .embedding },
    .{ .role = .post_ffw_norm, .form = .vector, .cols = .embedding },
    .{ .role = .layer_output_scale, .form = .vector, .cols = .one },
    .{ .role = .attn_output_norm, .form = .vector, .cols = .embedding },
    .{ .role = .attn_output_norm_bias, .form = .vector, .cols = .embedding },
    .{ .role = .attn_norm_2, .form = .vector, .cols = .embedding },
    .{ .role = .attn_norm_2_bias, .form = .vector, .cols = .embedding },
    .{ .role = .layer_output_norm, .form = .vector, .cols = .embedding },
    .{ .role = .layer_output_norm_bias, .form = .vector, .cols = .embedding },
};

/// Of the mixer `attention`, with keys and with values of its own.
pub const own_keys = [_]Slot{.{ .role = .attn_k, .form = .matrix, .required = true, .cols = .embedding, .rows = .keys }};
pub const own_values = [_]Slot{.{ .role = .attn_v, .form = .matrix, .required = true, .cols = .embedding, .rows = .values }};
/// Of the mixer `attention`.
pub const attention = [_]Slot{
    .{ .role = .attn_q, .form = .matrix, .required = true, .cols = .embedding, .rows = .queries },
    .{ .role = .attn_output, .form = .matrix, .required = true, .cols = .heads_out, .rows = .embedding },
    .{ .role = .attn_q_bias, .form = .vector, .cols = .queries },
    .{ .role = .attn_k_bias, .form = .vector, .cols = .keys },
    .{ .role = .attn_v_bias, .form = .vector, .cols = .values },
    .{ .role = .attn_output_bias, .form = .vector, .cols = .embedding },
    .{ .role = .attn_q_norm, .form = .vector, .cols = .query_norm },
    .{ .role = .attn_k_norm, .form = .vector, .cols = .key_norm },
    .{ .role = .attn_q_norm_bias, .form = .vector, .cols = .query_norm },
    .{ .role = .attn_k_norm_bias, .form = .vector, .cols = .key_norm },
    .{ .role = .attn_sinks, .form = .vector, .cols = .heads },
};

/// Of the mixers that have a state.
pub const recurrent = [_]Slot{
    .{ .role = .ssm_in, .form = .matrix, .required = true, .cols = .embedding, .rows = .projected },
    .{ .role = .ssm_conv1d, .form = .matrix, .required = true, .is_f32 = true, .cols = .taps, .rows = .convolved },
    .{ .role = .ssm_out, .form = .matrix, .required = true, .cols = .mixed, .rows = .embedding },
};

/// Of those of them that have heads with a state, besides; the first may be a part of `ssm_in`.
pub const gated_recurrent = [_]Slot{
    .{ .role = .ssm_gate, .form = .matrix, .required = true, .cols = .embedding, .rows = .mixed },
    .{ .role = .ssm_a, .form = .vector, .required = true, .cols = .state_heads },
    .{ .role = .ssm_dt_bias, .form = .vector, .required = true, .cols = .state_heads },
};
const state_norm: Slot = .{ .role = .ssm_norm, .form = .vector, .required = true, .cols = .state_norm };
/// Of the mixer `delta_rule` besides, and its gates in either form.
pub const delta_rule = gated_recurrent ++ [_]Slot{state_norm};
pub const gates_apart = [_]Slot{
    .{ .role = .ssm_beta, .form = .matrix, .required = true, .cols = .embedding, .rows = .state_heads },
    .{ .role = .ssm_alpha, .form = .matrix, .required = true, .cols = .embedding, .rows = .state_heads },
};
pub const gates_together = [_]Slot{
    .{ .role = .ssm_ba, .form = .matrix, .required = true, .cols = .embedding, .rows = .both_gates },
};

/// Of the mixer `mamba2` besides; it may have a norm, too.
pub const mamba2 = [_]Slot{
    .{ .role = .ssm_dt, .form = .matrix, .required = true, .cols = .embedding, .rows = .state_heads },
    .{ .role = .ssm_d, .form = .vector, .required = true, .cols = .state_heads },
    .{ .role = .ssm_conv1d_bias, .form = .vector, .cols = .convolved },
};

/// Of any matrix: what its results are multiplied by, a number for each slab.
pub const scales = [_]Slot{.{ .role = .scale, .form = .vector, .cols = .one }};

/// Of the mixer `latent`, besides `attn_output`, and `attn_q` where queries are made from the stream.
pub const latent = [_]Slot{
    .{ .role = .attn_q_a, .form = .matrix, .cols = .embedding, .rows = .query_rank },
    .{ .role = .attn_q_a_norm, .form = .vector, .cols = .query_rank },
    .{ .role = .attn_q_b, .form = .matrix, .cols = .query_rank, .rows = .queries },
    .{ .role = .attn_kv_a_mqa, .form = .matrix, .required = true, .cols = .embedding, .rows = .latent_row },
    .{ .role = .attn_kv_a_norm, .form = .vector, .required = true, .cols = .latent_rank },
    .{ .role = .attn_k_b, .form = .matrix, .cols = .plain, .rows = .latent_rank, .slabs = .heads },
    .{ .role = .attn_v_b, .form = .matrix, .required = true, .cols = .latent_rank, .rows = .values, .slabs = .heads },
    .{ .role = .attn_kv_b, .form = .matrix, .cols = .latent_rank, .rows = .plain, .slabs = .heads },
};

/// Of the feed-forward `dense`, with a gate and without.
pub const dense_gate = [_]Slot{
    .{ .role = .ffn_gate, .form = .matrix, .required = true, .cols = .embedding, .rows = .feed_forward },
    .{ .role = .ffn_gate_bias, .form = .vector, .cols = .feed_forward },
};
pub const dense = [_]Slot{
    .{ .role = .ffn_up, .form = .matrix, .required = true, .cols = .embedding, .rows = .feed_forward },
    .{ .role = .ffn_down, .form = .matrix, .required = true, .cols = .feed_forward, .rows = .embedding },
    .{ .role = .ffn_up_bias, .form = .vector, .cols = .feed_forward },
    .{ .role = .ffn_down_bias, .form = .vector, .cols = .embedding },
};

/// Of the feed-forward `experts`, with a gate and without.
pub const experts_gate = [_]Slot{
    .{ .role = .ffn_gate_exps, .form = .matrix, .required = true, .cols = .expert_stream, .rows = .expert_width, .slabs = .experts },
    .{ .role = .ffn_gate_exps_bias, .form = .vector, .cols = .expert_inner },
};
pub const experts = [_]Slot{
    .{ .role = .ffn_gate_inp, .form = .matrix, .required = true, .cols = .embedding, .rows = .experts },
    .{ .role = .ffn_up_exps, .form = .matrix, .required = true, .cols = .expert_stream, .rows = .expert_width, .slabs = .experts },
    .{ .role = .ffn_down_exps, .form = .matrix, .required = true, .cols = .expert_width, .rows = .expert_stream, .slabs = .experts },
    .{ .role = .ffn_gate_inp_bias, .form = .vector, .cols = .experts },
    .{ .role = .exp_probs_b, .form = .vector, .cols = .experts },
    .{ .role = .ffn_up_exps_bias, .form = .vector, .cols = .expert_inner },
    .{ .role = .ffn_down_exps_bias, .form = .vector, .cols = .expert_outputs },
    .{ .role = .ffn_down_exps_scale, .form = .vector, .cols = .experts },
};

/// Of experts that work on a narrower row than the stream: what makes it, and what makes it wide again.
pub const latent_experts = [_]Slot{
    .{ .role = .ffn_latent_down, .form = .matrix, .required = true, .cols = .embedding, .rows = .expert_latent },
    .{ .role = .ffn_latent_up, .form = .matrix, .required = true, .cols = .expert_latent, .rows = .embedding },
};

/// Of a layer whose experts lie beside a dense part: each with norms of its own, the router with a scale of its input.
pub const beside = [_]Slot{
    .{ .role = .ffn_gate_inp_scale, .form = .vector, .required = true, .cols = .embedding },
    .{ .role = .post_ffw_norm_1, .form = .vector, .required = true, .cols = .embedding },
    .{ .role = .pre_ffw_norm_2, .form = .vector, .required = true, .cols = .embedding },
    .{ .role = .post_ffw_norm_2, .form = .vector, .required = true, .cols = .embedding },
};

/// Of the expert that every token goes to, where there is one; what weighs it is one row.
pub const shared_gate = [_]Slot{.{ .role = .ffn_gate_shexp, .form = .matrix, .required = true, .cols = .embedding, .rows = .shared_width }};
pub const shared_expert = [_]Slot{
    .{ .role = .ffn_up_shexp, .form = .matrix, .required = true, .cols = .embedding, .rows = .shared_width },
    .{ .role = .ffn_down_shexp, .form = .matrix, .required = true, .cols = .shared_width, .rows = .embedding },
    .{ .role = .ffn_gate_inp_shexp, .form = .matrix, .cols = .embedding },
};

/// Each role's slot; the compiler stops where a role has none or two.
const slots: [Role.count]Slot = blk: {
    var found: [Role.count]?Slot = @splat(null);
    for (globals ++ heads ++ global_inputs ++ layer_norms ++ layer_inputs ++ attention ++ own_keys ++ own_values ++ recurrent ++ delta_rule ++ gates_apart ++ gates_together ++ mamba2 ++ scales ++ dense ++ dense_gate ++ experts ++ experts_gate ++ latent_experts ++ shared_expert ++ shared_gate ++ beside ++ latent) |slot| {
        const place = &found[@intFromEnum(slot.role)];
        if (place.* != null) @compileError("two lists of tensors have " ++ @tagName(slot.role));
        place.* = slot;
    }
    var all: [Role.count]Slot = undefined;
    for (&all, found, 0..) |*slot, maybe, number| {
        slot.* = maybe orelse @compileError("no list of tensors has " ++ @tagName(@as(Role, @enumFromInt(number))));
    }
    break :blk all;
};

pub fn isMatrix(role: Role) bool {
    return slots[@intFromEnum(role)].form == .matrix;
}

/// Whether a tensor of another type than F32 is refused.
pub fn isF32(role: Role) bool {
    const slot = slots[@intFromEnum(role)];
    return slot.form == .vector or slot.is_f32;
}

/// Whether it stays in its file.
pub fn isRows(role: Role) bool {
    return slots[@intFromEnum(role)].form == .rows;
}

/// Whether its products are made head by head, beside the others.
pub fn isOfHeads(role: Role) bool {
    return role == .attn_k_b or role == .attn_v_b or role == .attn_kv_b;
}

/// Whether it is an expert's own, whose products are made beside the others.
pub fn isOfExperts(role: Role) bool {
    std.debug.assert(@intFromEnum(role) < Role.count);
    return for (experts ++ experts_gate ++ shared_expert ++ shared_gate) |slot| {
        if (slot.role == role) break role != .ffn_gate_inp;
    } else false;
}

/// Whether there is one for the whole model, not one for each layer.
pub fn isGlobal(role: Role) bool {
    return for (globals ++ heads ++ global_inputs) |slot| {
        if (slot.role == role) break true;
    } else false;
}

pub fn shapeOf(role: Role, traits: traits_zig.Traits, layer: traits_zig.LayerTraits) Shape {
    const slot = slots[@intFromEnum(role)];
    std.debug.assert(slot.form != .vector or (slot.rows == .one and slot.slabs == .one));
    return .{ .cols = sizeOf(slot.cols, traits, layer), .rows = sizeOf(slot.rows, traits, layer), .slabs = sizeOf(slot.slabs, traits, layer) };
}

test "vectors are one row" {
    for (slots) |slot| if (slot.form == .vector) {
        try std.testing.expectEqual(Size.one, slot.rows);
        try std.testing.expectEqual(Size.one, slot.slabs);
    };
}
