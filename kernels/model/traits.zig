//! What distinguishes one model of the llama family from another, as data: sizes, and the traits that TypeScript's table
//! of architectures (`src/model/architectures/architectures.ts`) resolved. A step asks these fields and never an architecture's name.
//! Every value is checked here again, although TypeScript has checked it: this is the native side's own line.

const std = @import("std");
const layouts = @import("../wire.zig").layouts;
const level_table = @import("../level/level_table.zig");
const limits = @import("../limits.zig");
const Report = @import("../host/report.zig").Report;
const Words = @import("../host/words.zig").Words;

pub const Traits = layouts.ModelHeader;
/// Traits that may differ from layer to layer.
pub const LayerTraits = layouts.ModelLayer;
/// One of the ways in which layers rotate.
pub const Rotation = layouts.ModelRotation;

pub fn readTraits(words: *Words, report: *Report) Words.Error!Traits {
    const traits = try words.record(Traits, report);
    if (!(traits.epsilon > 0)) return refuseText(report, "epsilon", "a number above 0");
    try checkHeads(report, traits);
    return traits;
}

/// What follows a pooled row: two matrices or none; a rank head of one row, or of as many as the stream is wide.
fn checkHeads(report: *Report, traits: Traits) error{Refused}!void {
    if ((traits.dense_inner > 0) != (traits.dense_width > 0)) return refuseText(report, "matrices behind a pooled row", "two of them");
    if (traits.rank_width == 1 and traits.rank_scores != 1) return refuse(report, "scores of a rank head of one row", 1, 1, traits.rank_scores);
    if (traits.rank_width > 1 and (traits.rank_width != traits.embedding or traits.rank_scores == 0)) return refuse(report, "rows of a rank head", traits.embedding, traits.embedding, traits.rank_width);
    if (traits.rank_softmax and traits.rank_scores != 2) return refuse(report, "scores that become probabilities", 2, 2, traits.rank_scores);
}

pub fn readRotation(words: *Words, report: *Report, traits: Traits) Words.Error!Rotation {
    const rotation = try words.record(Rotation, report);
    if (!(rotation.base > 0)) return refuseText(report, "rope base", "a number above 0");
    if (!(rotation.ramp_begin <= rotation.ramp_end)) return refuseText(report, "rope ramp", "an end behind its begin");
    std.debug.assert(rotation.dimensions >= 2);
    const pairs = rotation.dimensions / 2;
    if (rotation.dimensions % 2 != 0) return refuse(report, "rope dimensions (even)", 2, limits.head_dim_max, rotation.dimensions);
    if (rotation.factors and pairs != traits.rope_factors) return refuse(report, "rope factors", pairs, pairs, traits.rope_factors);
    return rotation;
}

pub fn readLayer(words: *Words, report: *Report, model: Traits, rotations: []const Rotation) Words.Error!LayerTraits {
    const traits = try words.record(LayerTraits, report);
    if (traits.rotation > rotations.len) return refuse(report, "rotation", 0, @intCast(rotations.len), traits.rotation);
    if (traits.rotation > 0 and rotations[traits.rotation - 1].dimensions > traits.k_dim)
        return refuse(report, "rope dimensions", 2, traits.k_dim, rotations[traits.rotation - 1].dimensions);
    switch (traits.mixer) {
        .attention => try checkAttention(report, traits),
        .latent => {},
        .short_convolution => try checkTaps(report, traits),
        .delta_rule => try checkHeadsWithState(report, traits),
        .mamba2 => try checkMamba2(report, traits),
        .paired => {
            try checkAttention(report, traits);
            try checkMamba2(report, traits);
        },
        .none => if (traits.experts == 0 and traits.feed_forward == 0) return refuseText(report, "layer", "a mixer or a feed-forward part"),
    }
    if (model.parallel and (traits.mixer == .none or (traits.experts == 0 and traits.feed_forward == 0)))
        return refuseText(report, "layer whose halves are added at once", "a mixer and a feed-forward part");
    try checkLatent(report, traits, rotations);
    if (traits.experts == 0) {
        if (traits.experts_used > 0 or traits.expert_width > 0 or traits.shared_width > 0 or traits.expert_latent > 0) return refuse(report, "experts of a layer that uses some, or has a width of theirs", 1, limits.experts_max, 0);
        return traits;
    }
    if (traits.feed_forward > 0 and (traits.shared_width > 0 or traits.expert_latent > 0 or !model.feed_forward_gate))
        return refuseText(report, "experts beside a dense part", "a gate, and neither a shared expert nor a narrower row");
    if (traits.expert_width == 0) return refuse(report, "width of experts", 1, limits.feed_forward_max, 0);
    try checkRouting(report, model, traits);
    return traits;
}

fn checkAttention(report: *Report, own: LayerTraits) error{Refused}!void {
    if (own.kv_heads == 0 or own.heads == 0 or own.heads % own.kv_heads != 0)
        return refuse(report, "heads, a multiple of the KV heads", own.kv_heads, limits.heads_max, own.heads);
    if (own.attention_gate and own.k_dim != own.v_dim) return refuse(report, "value length beside a gate", own.k_dim, own.k_dim, own.v_dim);
    if (@min(own.k_dim, own.v_dim) == 0) return refuse(report, "key and value lengths", 1, limits.head_dim_max, 0);
}

fn checkTaps(report: *Report, own: LayerTraits) error{Refused}!void {
    if (own.conv_kernel < 2) return refuse(report, "taps of a short convolution", 2, limits.conv_kernel_max, own.conv_kernel);
}

fn checkHeadsWithState(report: *Report, own: LayerTraits) error{Refused}!void {
    try checkTaps(report, own);
    if (own.state_size == 0) return refuse(report, "size of a state", 1, limits.state_size_max, 0);
    if (own.state_groups == 0 or own.state_heads == 0 or own.state_heads % own.state_groups != 0)
        return refuse(report, "heads with a state, a multiple of their groups", own.state_groups, limits.heads_max, own.state_heads);
}

fn checkMamba2(report: *Report, own: LayerTraits) error{Refused}!void {
    try checkHeadsWithState(report, own);
    if (own.state_width == 0) return refuse(report, "channels of a head with a state", 1, limits.head_dim_max, 0);
    std.debug.assert(own.state_heads * own.state_width <= limits.heads_max * limits.head_dim_max);
}

/// Latent rows and values are whole groups, so that a product of one head writes nothing of another's.
fn checkLatent(report: *Report, own: LayerTraits, rotations: []const Rotation) error{Refused}!void {
    if (own.mixer != .latent) {
        if (own.latent_rank > 0 or own.latent_rotated > 0 or own.query_rank > 0) return refuse(report, "latent row of a layer with parts of one", 1, limits.head_dim_max, 0);
        return;
    }
    if (own.latent_rank == 0 or own.heads == 0 or own.v_dim == 0) return refuse(report, "latent row, heads and values", 1, limits.heads_max, 0);
    if (own.kv_heads != 1 or own.window != 0 or own.keys != .own) return refuseText(report, "latent attention", "one latent row for all heads, and no window");
    if (own.rotation == 0 or rotations[own.rotation - 1].dimensions != own.latent_rotated or own.latent_rotated >= own.k_dim)
        return refuse(report, "rotated elements of a latent key", 2, own.k_dim - 1, own.latent_rotated);
    if (own.latent_rank + own.latent_rotated > limits.head_dim_max) return refuse(report, "latent row", 1, limits.head_dim_max, own.latent_rank + own.latent_rotated);
    if (own.latent_rank % level_table.lanes != 0 or own.v_dim % level_table.lanes != 0) return refuseText(report, "latent row and values", "multiples of 16 elements");
}

/// Each token finds as many experts as it goes to, in the groups that it may choose from.
fn checkRouting(report: *Report, model: Traits, own: LayerTraits) error{Refused}!void {
    const experts = own.experts;
    const groups = model.router_groups;
    if (experts % groups != 0) return refuse(report, "groups of experts, a divisor of their number", 1, experts, groups);
    const in_group = experts / groups;
    if (groups > 1 and in_group < 2) return refuse(report, "experts of a group", 2, experts, in_group);
    if (model.router_groups_used > groups) return refuse(report, "groups that are chosen from", 1, groups, model.router_groups_used);
    const most = model.router_groups_used * in_group;
    if (own.experts_used == 0 or own.experts_used > most) return refuse(report, "experts that a token goes to", 1, most, own.experts_used);
}

fn refuse(report: *Report, name: []const u8, least: u32, most: u32, got: u32) error{Refused} {
    _ = report.fail(.model_format, Traits.about, .{ "{s}", .{name} }, .{ "{d} to {d}", .{ least, most } }, .{ "{d}", .{got} });
    return error.Refused;
}

fn refuseText(report: *Report, name: []const u8, expected: []const u8) error{Refused} {
    _ = report.fail(.model_format, Traits.about, .{ "{s}", .{name} }, .{ "{s}", .{expected} }, "");
    return error.Refused;
}
