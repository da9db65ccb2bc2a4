//! The memory in which texts' rows are pooled (`pooling.zig`): a row of each text, and what a matrix makes of it. An engine that keeps
//! positions pools nothing, and has none.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const Integers = @import("scratch.zig").Integers;
const Layout = @import("../host/memory.zig").Layout;
const Model = @import("../model/model.zig").Model;
const Options = @import("options.zig").Options;

pub const Pooled = struct {
    /// Floats between the rows of two texts, a multiple of 32.
    stride: u32,
    /// A row of each text, and what a matrix makes of it.
    rows: []f32,
    made: []f32,
    /// The rows as integers.
    integers: Integers,

    pub fn init(layout: *Layout, model: *const Model, options: Options) Layout.Error!Pooled {
        const traits = &model.traits;
        const texts: usize = if (options.keeps) 0 else options.sequences;
        const widest = @max(traits.embedding, traits.dense_inner, traits.dense_width, traits.rank_width, traits.rank_scores);
        const stride = std.mem.alignForward(u32, widest, level_table.span);
        return .{
            .stride = stride,
            .rows = try layout.array(f32, texts * stride),
            .made = try layout.array(f32, texts * stride),
            .integers = try .init(layout, texts, stride, options.activation_bits),
        };
    }

    /// Elements of a text's row before it is cut.
    pub fn widthOf(model: *const Model) u32 {
        const traits = &model.traits;
        return if (traits.dense_width > 0) traits.dense_width else traits.embedding;
    }

    pub fn resultOf(pooled: *const Pooled, text: u32) []const f32 {
        const begin = @as(usize, text) * pooled.stride;
        std.debug.assert(begin + pooled.stride <= pooled.rows.len);
        return pooled.rows[begin..][0..pooled.stride];
    }
};
