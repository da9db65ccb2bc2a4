//! A layer as its two halves, a mixer and a feed-forward, each of some kind with its sizes, and the tensors that it has. The
//! step runs kinds (`run/layers/`) and never asks for the name of an architecture. A new kind is a variant here, its tensors
//! in `tensors.zig`, and a file in `run/layers/`.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const KvSpec = @import("kv_spec.zig").KvSpec;
const Positions = @import("kv_spec.zig").Positions;
const State = @import("kv_spec.zig").State;
const tensors = @import("tensors.zig");
const traits_zig = @import("traits.zig");
const weights = @import("weights.zig");
const Report = @import("../host/report.zig").Report;
const Keys = @import("../wire.zig").choices.Keys;
const Role = weights.Role;
const Tensor = weights.Tensor;

pub const Mixer = union(enum) {
    attention: Attention,
    short_convolution: ShortConvolution,
    delta_rule: DeltaRule,
    latent: Latent,
    mamba2: Mamba2,
    paired: Paired,
    /// The layer is a feed-forward part alone.
    none,

    /// What of it is attention of grouped heads.
    pub fn attentionOf(mixer: Mixer) ?Attention {
        return switch (mixer) {
            .attention => |own| own,
            .paired => |own| own.attention,
            .short_convolution, .delta_rule, .latent, .mamba2, .none => null,
        };
    }
};

/// Attention and Mamba-2 over one input; what they give is added.
pub const Paired = struct { attention: Attention, mamba2: Mamba2 };

/// Mamba-2: each of `heads` has `width` channels with `size` states each; the heads of a group, which are neighbours, share what is
/// written to the states and how they are read.
pub const Mamba2 = struct {
    heads: u32,
    groups: u32,
    size: u32,
    width: u32,
    taps: u32,

    /// Those of all heads.
    pub fn inner(own: Mamba2) u32 {
        return own.heads * own.width;
    }

    /// Those that go through the short convolution: the heads', then what groups write and read.
    pub fn channels(own: Mamba2) u32 {
        return own.inner() + 2 * own.groups * own.size;
    }

    fn keeps(own: Mamba2) State {
        return .{
            .past = .{ .count = own.taps - 1, .floats = own.channels() },
            .heads = .{ .count = own.heads, .floats = own.size * level_table.wholeLanes(own.width) },
        };
    }
};

/// Attention whose keys and values of all heads are made from one latent row of a position, which is all that is kept.
pub const Latent = struct {
    heads: u32,
    /// Elements of the latent row.
    rank: u32,
    /// Elements of the row that queries are made from; 0: they are made from the stream.
    query_rank: u32,
    /// Elements of a head's key that are made from the latent row, and those that are rotated, after them; the rotated ones of a
    /// key are the same for all heads.
    plain: u32,
    rotated: u32,
    v_dim: u32,
    rotation: u32,
    scale: f32,
};

/// Attention of grouped heads.
pub const Attention = struct {
    heads: u32,
    kv_heads: u32,
    k_dim: u32,
    v_dim: u32,
    /// A key is visible when query position - key position < window; 0: all are.
    window: u32,
    /// Positions behind its own that a query sees; 0: causal.
    ahead: u32,
    /// The number of its rotation, from 1; 0: none.
    rotation: u32,
    keys: Keys,
    /// The layer that keeps what this one reads, where `keys` is `of_layer`.
    keys_layer: u32,
    /// Whether each head of values is normed, without a weight.
    value_norms: bool,
    scale: f32,
    /// 0: none.
    softcap: f32,
    /// The matrix of queries gives a gate behind each head's query, for what the head gives.
    is_gated: bool,

    /// Rows of the matrix of queries.
    pub fn queryRows(own: Attention) u32 {
        return own.heads * own.k_dim * (1 + @as(u32, @intFromBool(own.is_gated)));
    }

    fn keeps(own: Attention) Positions {
        std.debug.assert(own.kv_heads > 0);
        if (own.keys == .of_layer) return .none;
        return .{ .paged = .{ .heads = own.kv_heads, .k_dim = own.k_dim, .v_dim = own.v_dim, .windowed = own.window > 0 } };
    }
};

/// y = c * (the convolution of b * z); b, c and z are products of one input, `channels` each.
pub const ShortConvolution = struct {
    channels: u32,
    taps: u32,
};

/// The gated delta rule: each of `heads` has a matrix of `size` by `size`; `groups` of them share a query and a key.
pub const DeltaRule = struct {
    heads: u32,
    groups: u32,
    size: u32,
    taps: u32,
    /// Head h is of the group h mod groups; else heads of a group are neighbours.
    heads_in_turn: bool,
    /// One matrix makes both gates.
    gates_together: bool,
    /// One matrix makes queries, keys, values and z, group by group.
    rows_together: bool,

    /// Those that go through the short convolution: queries, keys, values.
    pub fn channels(own: DeltaRule) u32 {
        return (2 * own.groups + own.heads) * own.size;
    }
};

pub const FeedForward = union(enum) {
    dense: Dense,
    experts: Experts,
    beside: Beside,
    /// The layer is a mixer alone.
    none,
};

/// Experts beside a dense part: both read the stream, and what they give is added.
pub const Beside = struct { dense: Dense, experts: Experts };

/// act(gate) * up, then down; without a gate, up is its own.
pub const Dense = struct {
    width: u32,
    activation: level_table.ActivationKind,
    has_gate: bool,
};

/// A router chooses some of many dense parts for each token; one more may be every token's.
pub const Experts = struct {
    count: u32,
    /// That a token goes to.
    used: u32,
    width: u32,
    /// 0: there is none.
    shared_width: u32,
    /// Elements of the row that they read and give, but for the shared one; 0: they read the stream.
    latent: u32,
    activation: level_table.ActivationKind,
    has_gate: bool,
    score: level_table.RouterScore,
    groups: u32,
    groups_used: u32,
    normalises: bool,
    scale: f32,
};

pub const Layer = struct {
    mixer: Mixer,
    feed_forward: FeedForward,
    /// Floats of each token that the layer gets beside the stream; 0: none.
    inputs: u32,
    tensors: [Role.count]Tensor = @splat(.absent),

    /// The kinds that a model's traits and a layer's come to.
    pub fn init(traits: traits_zig.Traits, own: traits_zig.LayerTraits) Layer {
        return .{
            .mixer = switch (own.mixer) {
                .attention => .{ .attention = attentionOf(traits, own) },
                .paired => .{ .paired = .{ .attention = attentionOf(traits, own), .mamba2 = mamba2Of(own) } },
                .mamba2 => .{ .mamba2 = mamba2Of(own) },
                .none => .none,
                .latent => .{ .latent = .{
                    .heads = own.heads,
                    .rank = own.latent_rank,
                    .query_rank = own.query_rank,
                    .plain = own.k_dim - own.latent_rotated,
                    .rotated = own.latent_rotated,
                    .v_dim = own.v_dim,
                    .rotation = own.rotation,
                    .scale = traits.attention_scale,
                } },
                .short_convolution => .{ .short_convolution = .{ .channels = traits.embedding, .taps = own.conv_kernel } },
                .delta_rule => .{ .delta_rule = .{
                    .heads = own.state_heads,
                    .groups = own.state_groups,
                    .size = own.state_size,
                    .taps = own.conv_kernel,
                    .heads_in_turn = own.state_heads_in_turn,
                    .gates_together = own.state_gates_together,
                    .rows_together = own.state_rows_together,
                } },
            },
            .feed_forward = feedForwardOf(traits, own),
            .inputs = traits.layer_inputs,
        };
    }

    fn attentionOf(traits: traits_zig.Traits, own: traits_zig.LayerTraits) Attention {
        return .{
            .heads = own.heads,
            .kv_heads = own.kv_heads,
            .k_dim = own.k_dim,
            .v_dim = own.v_dim,
            .window = own.window,
            .ahead = own.ahead,
            .rotation = own.rotation,
            .keys = own.keys,
            .keys_layer = own.keys_layer,
            .value_norms = traits.value_norms,
            .scale = traits.attention_scale,
            .softcap = traits.attention_softcap,
            .is_gated = own.attention_gate,
        };
    }

    fn mamba2Of(own: traits_zig.LayerTraits) Mamba2 {
        std.debug.assert(own.state_groups > 0 and own.state_heads % own.state_groups == 0 and own.conv_kernel >= 2);
        return .{ .heads = own.state_heads, .groups = own.state_groups, .size = own.state_size, .width = own.state_width, .taps = own.conv_kernel };
    }

    fn feedForwardOf(traits: traits_zig.Traits, own: traits_zig.LayerTraits) FeedForward {
        std.debug.assert(own.experts > 0 or own.feed_forward > 0 or own.mixer != .none);
        if (own.experts == 0 and own.feed_forward == 0) return .none;
        const dense: Dense = .{ .width = own.feed_forward, .activation = traits.activation, .has_gate = traits.feed_forward_gate };
        if (own.experts == 0) return .{ .dense = dense };
        const experts: Experts = .{
            .count = own.experts,
            .used = own.experts_used,
            .width = own.expert_width,
            .shared_width = own.shared_width,
            .latent = own.expert_latent,
            .activation = traits.activation,
            .has_gate = traits.feed_forward_gate,
            .score = traits.router_score,
            .groups = traits.router_groups,
            .groups_used = traits.router_groups_used,
            .normalises = traits.router_normalises,
            .scale = traits.router_scale,
        };
        return if (own.feed_forward > 0) .{ .beside = .{ .dense = dense, .experts = experts } } else .{ .experts = experts };
    }

    /// What it keeps of a sequence.
    pub fn keeps(layer: *const Layer) KvSpec {
        return switch (layer.mixer) {
            .attention => |own| .{ .positions = own.keeps() },
            .mamba2 => |own| .{ .state = own.keeps() },
            .paired => |own| .{ .positions = own.attention.keeps(), .state = own.mamba2.keeps() },
            .none => .{},
            .latent => |own| .{ .positions = .{ .paged = .{ .heads = 1, .k_dim = own.rank + own.rotated, .v_dim = own.rank, .values_in_keys = true } } },
            .short_convolution => |own| .{ .state = .{ .past = .{ .count = own.taps - 1, .floats = own.channels } } },
            .delta_rule => |own| .{ .state = .{
                .past = .{ .count = own.taps - 1, .floats = own.channels() },
                .heads = .{ .count = own.heads, .floats = own.size * level_table.wholeLanes(own.size) },
            } },
        };
    }

    /// The first tensor that the layer's kinds must have and that is not there.
    pub fn missing(layer: *const Layer) ?Role {
        const of_inputs = [_][]const tensors.Slot{if (layer.inputs > 0) &tensors.layer_inputs else &.{}};
        for (layer.slotsOfMixer() ++ layer.slotsOfFeedForward() ++ of_inputs) |slots| {
            if (missingOf(slots, &layer.tensors)) |role| return role;
        }
        return if (layer.mixer == .latent) layer.missingOfLatent(layer.mixer.latent) else null;
    }

    /// The lists of the mixer's tensors; some are empty.
    fn slotsOfMixer(layer: *const Layer) [6][]const tensors.Slot {
        const none: []const tensors.Slot = &.{};
        const attention = layer.mixer.attentionOf();
        const of_heads: [3][]const tensors.Slot = if (attention) |own| .{
            &tensors.attention,
            if (own.keys == .of_layer) none else &tensors.own_keys,
            if (own.keys == .own) &tensors.own_values else none,
        } else @splat(none);
        return of_heads ++ @as([3][]const tensors.Slot, switch (layer.mixer) {
            .attention, .none => @splat(none),
            .latent => .{ &tensors.latent, none, none },
            .short_convolution => .{ &tensors.recurrent, none, none },
            .delta_rule => |own| .{
                &tensors.recurrent,
                if (own.rows_together) tensors.delta_rule[1..] else &tensors.delta_rule,
                if (own.gates_together) &tensors.gates_together else &tensors.gates_apart,
            },
            .mamba2, .paired => .{ &tensors.recurrent, &tensors.gated_recurrent, &tensors.mamba2 },
        });
    }

    /// The same of the feed-forward part.
    fn slotsOfFeedForward(layer: *const Layer) [6][]const tensors.Slot {
        std.debug.assert(layer.feed_forward != .none or layer.mixer != .none);
        const none: []const tensors.Slot = &.{};
        return switch (layer.feed_forward) {
            .none => @splat(none),
            .dense => |own| .{ &tensors.dense, if (own.has_gate) &tensors.dense_gate else none, none, none, none, none },
            .beside => .{ &tensors.dense, &tensors.dense_gate, &tensors.experts, &tensors.experts_gate, &tensors.beside, none },
            .experts => |own| .{
                &tensors.experts,
                if (own.has_gate) &tensors.experts_gate else none,
                if (own.shared_width > 0) &tensors.shared_expert else none,
                if (own.shared_width > 0 and own.has_gate) &tensors.shared_gate else none,
                if (own.latent > 0) &tensors.latent_experts else none,
                none,
            },
        };
    }

    /// Of latent attention, where one tensor or others do.
    fn missingOfLatent(layer: *const Layer, own: Latent) ?Role {
        if (layer.maybeMatrix(.attn_k_b) == null and layer.maybeMatrix(.attn_kv_b) == null) return .attn_k_b;
        const wanted: []const Role = if (own.query_rank > 0) &.{ .attn_q_a, .attn_q_a_norm, .attn_q_b, .attn_output } else &.{ .attn_q, .attn_output };
        return for (wanted) |role| {
            if (layer.tensors[@intFromEnum(role)] == .absent) break role;
        } else null;
    }

    /// Packs other blocks in a matrix's place, where they fit; false where not. No step may run meanwhile.
    pub fn replace(layer: *Layer, role: Role, format: *const level_table.Format, blocks: []const u8) bool {
        const old = switch (layer.tensors[@intFromEnum(role)]) {
            .matrix => |*packed_matrix| packed_matrix,
            else => return false,
        };
        std.debug.assert(old.rows > 0 and old.group_bytes % 64 == 0);
        if (old.scales != null) return false;
        const row_bytes: usize = @intCast(weights.rowBytes(format, old.cols));
        const group_bytes = format.groupBytes(old.cols);
        if (old.cols % format.block_elements != 0 or blocks.len != row_bytes * old.rows * old.slabs or group_bytes > old.group_bytes) return false;
        for (0..old.slabs) |slab| {
            const from = blocks.ptr + slab * old.rows * row_bytes;
            const to = old.packed_bytes + slab * old.groups() * group_bytes;
            for (0..old.groups()) |group| {
                const row = group * level_table.lanes;
                const rows: u32 = @intCast(@min(level_table.lanes, old.rows - row));
                if (format.pack(from + row * row_bytes, rows, old.cols, to + group * group_bytes) != 0) return false;
            }
        }
        std.debug.assert(group_bytes <= old.group_bytes);
        old.format = format;
        old.group_bytes = group_bytes;
        return true;
    }

    pub fn has(layer: *const Layer, role: Role) bool {
        return layer.tensors[@intFromEnum(role)] != .absent;
    }

    pub fn matrix(layer: *const Layer, role: Role) weights.Matrix {
        return layer.tensors[@intFromEnum(role)].matrix;
    }

    /// A matrix that some models have, or null.
    pub fn maybeMatrix(layer: *const Layer, role: Role) ?weights.Matrix {
        return switch (layer.tensors[@intFromEnum(role)]) {
            .matrix => |packed_matrix| packed_matrix,
            .absent => null,
            .vector, .rows => unreachable,
        };
    }

    /// A norm's weight or a bias, or null where the model has none.
    pub fn vector(layer: *const Layer, role: Role) ?[]const f32 {
        return switch (layer.tensors[@intFromEnum(role)]) {
            .vector => |values| values,
            .absent => null,
            .matrix, .rows => unreachable,
        };
    }
};

/// Checks that layers which read the keys and values of another read what it keeps, in the shape that it has.
pub fn checkKeys(layers: []const Layer, report: *Report) error{Refused}!void {
    for (layers, 0..) |layer, index| {
        const own = layer.mixer.attentionOf() orelse continue;
        if (own.keys == .as_values and own.k_dim != own.v_dim) return refuseKeys(report, index, own.keys_layer);
        if (own.keys != .of_layer) continue;
        std.debug.assert(index < layers.len);
        if (own.keys_layer >= index) return refuseKeys(report, index, own.keys_layer);
        const keeper = layers[own.keys_layer].mixer.attentionOf() orelse return refuseKeys(report, index, own.keys_layer);
        if (keeper.keys == .of_layer or keeper.kv_heads != own.kv_heads or keeper.k_dim != own.k_dim or keeper.v_dim != own.v_dim)
            return refuseKeys(report, index, own.keys_layer);
    }
}

fn refuseKeys(report: *Report, layer: usize, keeper: u32) error{Refused} {
    _ = report.fail(.model_format, "keys of a layer", .{ "layer {d}", .{layer} }, "those of a layer before it, of one shape", .{ "layer {d}", .{keeper} });
    return error.Refused;
}

/// The first tensor of a list that must be there and is not.
pub fn missingOf(slots: []const tensors.Slot, present: *const [Role.count]Tensor) ?Role {
    return for (slots) |slot| {
        if (slot.required and present[@intFromEnum(slot.role)] == .absent) break slot.role;
    } else null;
}
