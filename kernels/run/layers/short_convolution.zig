//! The mixer `short_convolution`: b, c and z are products of one input; y = c * (the convolution of b * z); the product of y. Its
//! state is the last few b * z of each channel.

const std = @import("std");
const level_table = @import("../../level/level_table.zig");
const pool = @import("../../threads/pool.zig");
const recurrent = @import("recurrent.zig");
const Half = @import("../pass.zig").Half;
const Pass = @import("../pass.zig").Pass;
const Run = recurrent.Run;
const Scratch = recurrent.Scratch;
const ShortConvolution = @import("../../model/layer.zig").ShortConvolution;
const row = @import("../pass.zig").row;

pub const half: Half = .{ .norm = .attn_norm, .inputs = &.{.ssm_in}, .bias = .attn_output_bias, .post_norm = .post_attention_norm };
/// Products that a layer makes.
pub const products = 2;

/// Less work than this (inputs of channels) is done before another thread has heard of it.
const shared_inputs_min = 16 << 10;
/// Channels of an item: a span of the next product's input.
const item_channels = level_table.span;

/// Floats of a token's projections.
pub fn projectedFloats(own: ShortConvolution) u32 {
    return 3 * own.channels;
}

/// From the input of b, c and z to what is added to the stream, for all tokens.
pub fn run(pass: *Pass, scratch: *const Scratch, own: ShortConvolution) void {
    pass.multiply(&.{.{ .matrix = pass.layer.matrix(.ssm_in), .out = scratch.rows, .stride = scratch.stride }});
    const out = pass.layer.matrix(.ssm_out);
    pass.setInput(pass.tokens, out);
    goOn(pass, scratch, own, scratch.runsOfStep(pass));
    pass.multiply(&.{.{ .matrix = out, .out = pass.scratch.y, .stride = pass.scratch.embedding_stride }});
}

/// Lets states go on over the drafts that were chosen.
pub fn takeDrafts(pass: *Pass, scratch: *const Scratch, own: ShortConvolution) void {
    goOn(pass, scratch, own, scratch.runsOfDrafts(pass));
}

fn goOn(pass: *const Pass, scratch: *const Scratch, own: ShortConvolution, runs: []const Run) void {
    std.debug.assert(scratch.stride >= 3 * own.channels + level_table.lanes and runs.len <= pass.sequences().len);
    const spans = std.math.divCeil(u32, own.channels, item_channels) catch unreachable;
    var going: Going = .{ .pass = pass, .stride = scratch.stride, .own = own, .runs = runs, .spans = spans };
    const threads = if (pass.tokens * own.channels < shared_inputs_min) 1 else pass.threads;
    pool.parallel(threads, @intCast(runs.len * spans), &going, Going.item);
}

/// How the channels of all runs are shared out.
const Going = struct {
    pass: *const Pass,
    stride: u32,
    own: ShortConvolution,
    runs: []const Run,
    spans: u32,

    /// An item is a span of channels of one run.
    fn item(context: *anyopaque, number: u32, _: u32) void {
        const going: *const Going = @ptrCast(@alignCast(context));
        const pass = going.pass;
        const channels = going.own.channels;
        const one = &going.runs[number / going.spans];
        const begin = number % going.spans * item_channels;
        const end = @min(begin + item_channels, channels);
        var args = recurrent.convolution(pass, one, going.stride, pass.layer.matrix(.ssm_conv1d));
        args.before = one.rows;
        args.after = one.rows + channels;
        args.x = one.rows + 2 * channels;
        const first = one.first orelse return pass.level.convolve(&args, begin, end);
        args.out = row(pass.scratch.rows, pass.scratch.input_stride, first);
        args.out_stride = pass.scratch.input_stride;
        pass.level.convolve(&args, begin, end);
        for (first..first + one.tokens) |token| pass.quantizeSpans(&pass.input, @intCast(token), begin / level_table.span, end / level_table.span);
    }
};
