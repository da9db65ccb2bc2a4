//! The memory that every step works in, laid out once for the largest step an engine accepts; a step allocates nothing. The
//! system commits pages as they are touched, so generous bounds (logits of every row) cost address space only. What one kind
//! of layer needs besides lies with the kind (`layers/`).

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const Layout = @import("../host/memory.zig").Layout;
const Model = @import("../model/model.zig").Model;
const Options = @import("options.zig").Options;

pub const Scratch = struct {
    /// Floats between the rows of two tokens in the arrays below, all multiples of 16.
    embedding_stride: u32,
    input_stride: u32,
    vocabulary_stride: u32,

    /// The residual stream, and what a half of a layer adds to it.
    x: []f32,
    y: []f32,
    /// What a mixer gave, where the feed-forward part is added with it.
    held: []f32,
    /// Input rows of the next matrix product, and the same as integers.
    rows: []f32,
    input: Integers,
    /// Which sequence of the batch each token belongs to.
    token_sequence: []u32,
    /// Which token each row of logits comes from.
    logit_token: []u32,
    logits: []f32,
    /// A bit for each token whose logits are computed.
    wanted: []u32,
    /// A sampler's workspace for each thread that samples.
    sample: []u32,
    sample_stride: usize,

    /// `mixed_floats`: the longest row that a mixer puts together as the input of a product.
    pub fn init(layout: *Layout, model: *const Model, options: Options, mixed_floats: u32) Layout.Error!Scratch {
        const traits = model.traits;
        std.debug.assert(options.threads > 0 and options.batch_tokens > 0 and options.logit_rows > 0);
        const tokens: usize = options.batch_tokens;
        const stream_floats = traits.embedding * (1 + @as(u32, @intFromBool(traits.joins_states)));
        const input_stride = std.mem.alignForward(u32, @max(stream_floats, mixed_floats), level_table.span);
        const embedding_stride = level_table.wholeLanes(traits.embedding);
        const vocabulary_stride = level_table.wholeLanes(traits.vocabulary);
        const sample_stride = level_table.SampleLayout.of(traits.vocabulary).words();
        return .{
            .embedding_stride = embedding_stride,
            .input_stride = input_stride,
            .vocabulary_stride = vocabulary_stride,
            // Hidden states that sequences bring come after the tokens.
            .x = try layout.array(f32, (tokens + options.sequences) * embedding_stride),
            .y = try layout.array(f32, tokens * embedding_stride),
            .held = try layout.array(f32, if (traits.parallel) tokens * embedding_stride else 0),
            .rows = try layout.array(f32, tokens * input_stride),
            .input = try .init(layout, tokens, input_stride, options.activation_bits),
            .token_sequence = try layout.array(u32, tokens + options.sequences),
            .logit_token = try layout.array(u32, options.logit_rows),
            .logits = try layout.array(f32, @as(usize, options.logit_rows) * vocabulary_stride),
            .wanted = try layout.array(u32, std.math.divCeil(u32, traits.vocabulary, 32) catch unreachable),
            .sample = try layout.array(u32, @as(usize, options.threads) * sample_stride),
            .sample_stride = sample_stride,
        };
    }

    /// The residual stream of one token.
    pub fn hiddenRow(scratch: *const Scratch, token: usize) []f32 {
        return scratch.x[token * scratch.embedding_stride ..][0..scratch.embedding_stride];
    }

    pub fn logitRow(scratch: *const Scratch, row: usize) []f32 {
        return scratch.logits[row * scratch.vocabulary_stride ..][0..scratch.vocabulary_stride];
    }

    pub fn samplerOf(scratch: *const Scratch, thread: usize) [*]u32 {
        return scratch.sample[thread * scratch.sample_stride ..][0..scratch.sample_stride].ptr;
    }

    /// The input of a matrix product of `cols` columns for the first `tokens` rows.
    pub fn activations(scratch: *const Scratch, tokens: u32, cols: u32, bits: level_table.ActivationBits) level_table.Activations {
        std.debug.assert(cols <= scratch.input_stride);
        return scratch.input.activations(.{ .tokens = tokens, .cols = cols, .bits = bits }, scratch.rows, scratch.input_stride);
    }
};

/// Rows of activations as integers, in tiles (`level_table.zig`).
pub const Integers = struct {
    q: []i8,
    q_low: []i8,
    scales: []f32,
    sums: []i32,
    sums_low: []i32,

    pub fn init(layout: *Layout, tokens: usize, cols: usize, bits: level_table.ActivationBits) Layout.Error!Integers {
        std.debug.assert(cols % level_table.span == 0);
        const spans = cols / level_table.span;
        const low_tokens = if (bits == .int16) tokens else 0;
        return .{
            .q = try layout.array(i8, tokens * cols),
            .q_low = try layout.array(i8, low_tokens * cols),
            .scales = try layout.array(f32, tokens * spans),
            .sums = try layout.array(i32, tokens * spans * 2),
            .sums_low = try layout.array(i32, low_tokens * spans * 2),
        };
    }

    pub const Shape = struct { tokens: u32, cols: u32, bits: level_table.ActivationBits };

    /// These integers beside the floats of `rows`, which they are made from.
    pub fn activations(integers: *const Integers, shape: Shape, rows: []f32, stride: u32) level_table.Activations {
        return integers.activationsFrom(0, shape, rows, stride);
    }

    /// The same from row `first` on, as a batch of its own.
    pub fn activationsFrom(integers: *const Integers, first: usize, shape: Shape, rows: []f32, stride: u32) level_table.Activations {
        std.debug.assert(shape.cols <= stride and (first + shape.tokens) * stride <= rows.len);
        return integers.beside(first, shape, rows[first * stride ..], stride);
    }

    /// Those of a batch of their own, which begins at row `first` of them, beside floats that lie elsewhere.
    pub fn beside(integers: *const Integers, first: usize, shape: Shape, rows: []f32, stride: u32) level_table.Activations {
        const spans = first * (shape.cols / level_table.span);
        std.debug.assert((spans + shape.tokens * (shape.cols / level_table.span)) * level_table.span <= integers.q.len);
        const low_spans = if (shape.bits == .int16) spans else 0;
        return .{
            .tokens = shape.tokens,
            .cols = shape.cols,
            .bits = shape.bits,
            .row_stride = stride,
            .rows = rows.ptr,
            .q = integers.q[spans * level_table.span ..].ptr,
            .q_low = integers.q_low[low_spans * level_table.span ..].ptr,
            .scales = integers.scales[spans..].ptr,
            .sums = integers.sums[2 * spans ..].ptr,
            .sums_low = integers.sums_low[2 * low_spans ..].ptr,
        };
    }
};

/// Copies the integers of a token of one batch to a token of another, whose tiles lie otherwise.
pub fn copyIntegers(from: *const level_table.Activations, token: u32, to: *const level_table.Activations, place: u32) void {
    std.debug.assert(from.cols == to.cols and from.bits == to.bits and token < from.tokens and place < to.tokens);
    const spans = from.cols / level_table.span;
    const source: level_table.TilePlace = .of(from.tokens, token);
    const target: level_table.TilePlace = .of(to.tokens, place);
    for (0..spans) |number| {
        const f = source.span(spans, number);
        const t = target.span(spans, number);
        to.q[t * level_table.span ..][0..level_table.span].* = from.q[f * level_table.span ..][0..level_table.span].*;
        to.scales[t] = from.scales[f];
        to.sums[2 * t ..][0..2].* = from.sums[2 * f ..][0..2].*;
        if (from.bits == .int8) continue;
        to.q_low[t * level_table.span ..][0..level_table.span].* = from.q_low[f * level_table.span ..][0..level_table.span].*;
        to.sums_low[2 * t ..][0..2].* = from.sums_low[2 * f ..][0..2].*;
    }
}
