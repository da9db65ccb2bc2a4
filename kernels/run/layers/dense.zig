//! The feed-forward `dense`: gate and up, two matrices of one shape; act(gate) * up; down. Without a gate, up is its own. The thread
//! that has made some columns of gate and up makes their activation too, and quantizes it, while it is in the cache. It keeps nothing.

const std = @import("std");
const level_table = @import("../../level/level_table.zig");
const pool = @import("../../threads/pool.zig");
const Dense = @import("../../model/layer.zig").Dense;
const Half = @import("../pass.zig").Half;
const Input = @import("../pass.zig").Input;
const Integers = @import("../scratch.zig").Integers;
const Layout = @import("../../host/memory.zig").Layout;
const Model = @import("../../model/model.zig").Model;
const Options = @import("../options.zig").Options;
const Part = @import("../part.zig").Part;
const Pass = @import("../pass.zig").Pass;
const row = @import("../pass.zig").row;

pub const half: Half = .{ .norm = .ffn_norm, .norm_bias = .ffn_norm_bias, .inputs = &.{ .ffn_gate, .ffn_up }, .bias = .ffn_down_bias, .post_norm = .post_ffw_norm, .stream_norms = &.{.{ .weight = .layer_output_norm, .bias = .layer_output_norm_bias }} };
/// Products that a layer makes.
pub const products = 2;

pub const Scratch = struct {
    /// Floats between the rows of two tokens, a multiple of 16.
    stride: u32,
    gate: []f32,
    up: []f32,
    /// The activation as integers, which are made while gate's input is still read.
    activated: Integers,

    pub fn init(layout: *Layout, model: *const Model, options: Options) Layout.Error!Scratch {
        var width: u32 = 0;
        for (model.layers) |layer| switch (layer.feed_forward) {
            .dense => |own| width = @max(width, own.width),
            .experts, .none => {},
            .beside => |both| width = @max(width, both.dense.width),
        };
        const tokens: usize = options.batch_tokens;
        const stride = level_table.wholeLanes(width);
        return .{
            .stride = stride,
            .gate = try layout.array(f32, tokens * stride),
            .up = try layout.array(f32, tokens * stride),
            .activated = try .init(layout, tokens, std.mem.alignForward(u32, width, level_table.span), options.activation_bits),
        };
    }
};

/// From the input of gate and up to what is added to the stream, for all tokens.
pub fn run(pass: *Pass, scratch: *Scratch, own: Dense) void {
    const layer = pass.layer;
    const down = layer.matrix(.ffn_down);
    std.debug.assert(down.cols == own.width and down.cols <= scratch.stride);
    const bits = pass.work.options.activation_bits;
    var gated: Gated = .{ .pass = pass, .scratch = scratch, .own = own, .output = .{
        .activations = scratch.activated.activations(.{ .tokens = pass.tokens, .cols = down.cols, .bits = bits }, scratch.gate, scratch.stride),
        .quantize = down.format.kind == .block,
    } };
    const up: Part = .{ .matrix = layer.matrix(.ffn_up), .out = if (own.has_gate) scratch.up else scratch.gate, .stride = scratch.stride };
    if (own.has_gate)
        pass.setProduct(&.{ .{ .matrix = layer.matrix(.ffn_gate), .out = scratch.gate, .stride = scratch.stride }, up })
    else
        pass.setProduct(&.{up});
    // A span of the result is two groups.
    pool.parallel(pass.product.threads, pass.product.shareAlike(level_table.span / level_table.lanes), &gated, Gated.claim);
    pass.input = gated.output;
    pass.multiply(&.{.{ .matrix = down, .out = pass.scratch.y, .stride = pass.scratch.embedding_stride }});
}

const Gated = struct {
    pass: *Pass,
    scratch: *Scratch,
    own: Dense,
    output: Input,

    fn claim(context: *anyopaque, item: u32, _: u32) void {
        const gated: *const Gated = @ptrCast(@alignCast(context));
        const groups = gated.pass.product.multiplyAlike(item);
        const first = groups.begin * level_table.lanes;
        const last = @min(groups.end * level_table.lanes, gated.own.width);
        std.debug.assert(first < last and first % level_table.span == 0);
        for (0..gated.pass.tokens) |token| gated.activate(@intCast(token), first, last - first);
    }

    /// Columns [first, first + count) of the activation.
    fn activate(gated: *const Gated, token: u32, first: u32, count: u32) void {
        const pass = gated.pass;
        const gate = row(gated.scratch.gate, gated.scratch.stride, token) + first;
        const up = if (gated.own.has_gate) row(gated.scratch.up, gated.scratch.stride, token) + first else gate;
        if (pass.layer.vector(.ffn_gate_bias)) |bias| pass.level.add(gate, bias.ptr + first, count, gate);
        if (pass.layer.vector(.ffn_up_bias)) |bias| pass.level.add(up, bias.ptr + first, count, up);
        pass.level.gated(gated.own.activation, gate, up, count, gate);
        pass.quantizeSpans(&gated.output, token, first / level_table.span, (first + count) / level_table.span);
    }
};
