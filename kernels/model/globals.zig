//! The tensors of a model that are of no layer, by their roles. Most models have three or four of them; what a text's pooled row
//! goes through in embedding and reranking models is asked for here as well.

const std = @import("std");
const weights = @import("weights.zig");
const traits_zig = @import("traits.zig");
const Role = weights.Role;

pub const Globals = struct {
    tensors: [Role.count]weights.Tensor = @splat(.absent),

    pub fn matrix(globals: *const Globals, role: Role) ?weights.Matrix {
        return switch (globals.tensors[@intFromEnum(role)]) {
            .matrix => |own| own,
            .absent => null,
            .vector, .rows => unreachable,
        };
    }

    pub fn vector(globals: *const Globals, role: Role) ?[]const f32 {
        return switch (globals.tensors[@intFromEnum(role)]) {
            .vector => |values| values,
            .absent => null,
            .matrix, .rows => unreachable,
        };
    }

    /// The first tensor that the traits speak of and that is not there.
    pub fn missing(globals: *const Globals, traits: traits_zig.Traits) ?Role {
        const wanted = [_]struct { size: u32, role: Role }{
            .{ .size = traits.positions, .role = .position_embd },
            .{ .size = traits.token_types, .role = .token_types },
            .{ .size = traits.dense_inner, .role = .dense_2 },
            .{ .size = traits.dense_width, .role = .dense_3 },
            .{ .size = traits.rank_width, .role = .cls },
            .{ .size = if (traits.rank_width == 1) 0 else traits.rank_scores, .role = .cls_output },
            .{ .size = @intFromBool(traits.joins_states), .role = .nextn_enorm },
            .{ .size = @intFromBool(traits.joins_states), .role = .nextn_hnorm },
            .{ .size = @intFromBool(traits.joins_states), .role = .nextn_eh_proj },
        };
        std.debug.assert(traits.rank_width != 1 or traits.rank_scores == 1);
        return for (wanted) |own| {
            if (own.size > 0 and globals.tensors[@intFromEnum(own.role)] == .absent) break own.role;
        } else null;
    }
};
