//! The memory a step works in, laid out once for the largest step an engine accepts; a step allocates nothing. The
//! system commits pages as they are touched, so generous bounds (logits of every row) cost address space only.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const Layout = @import("../host/memory.zig").Layout;
const Model = @import("../model/model.zig").Model;
const Options = @import("options.zig").Options;

pub const Scratch = struct {
    /// Floats between the rows of two tokens in the arrays below, all multiples of 16.
    embedding_stride: u32,
    input_stride: u32,
    q_stride: u32,
    k_stride: u32,
    v_stride: u32,
    feed_forward_stride: u32,
    vocabulary_stride: u32,
    rope_stride: u32,

    /// The residual stream, and what a block adds to it.
    x: []f32,
    y: []f32,
    /// Input rows of the next matrix product, and the same as integers; what enters the last product of a layer, whose
    /// rows are `gate`, is quantized while the former is still read.
    rows: []f32,
    input: Integers,
    activated: Integers,
    q: []f32,
    k: []f32,
    v: []f32,
    gate: []f32,
    up: []f32,
    /// Rope angles of each token, for global and local layers.
    cos: []f32,
    sin: []f32,
    cos_local: []f32,
    sin_local: []f32,
    /// Which sequence of the batch each token belongs to.
    token_sequence: []u32,
    /// First attention item of each sequence, then their number.
    attention_items: []u32,
    /// Which token each row of logits comes from.
    logit_token: []u32,
    /// How many parts of a KV head's attention are yet to end.
    attention_left: []std.atomic.Value(u32),
    logits: []f32,
    partials: []f32,
    /// A sampler's workspace for each thread that samples.
    sample: []u32,
    sample_stride: usize,

    pub fn init(layout: *Layout, model: *const Model, options: Options) Layout.Error!Scratch {
        const traits = model.traits;
        var heads: u32 = 0;
        var kv_heads: u32 = 0;
        var feed_forward: u32 = 0;
        for (model.layers) |layer| {
            heads = @max(heads, layer.traits.heads);
            kv_heads = @max(kv_heads, layer.traits.kv_heads);
            feed_forward = @max(feed_forward, layer.traits.feed_forward);
        }
        const tokens: usize = options.batch_tokens;
        const input_stride = alignTo(@max(traits.embedding, heads * traits.v_dim), level_table.span);
        const blocks = std.math.divCeil(usize, @as(usize, options.pages) * options.page_size, level_table.attention_block) catch unreachable;
        const embedding_stride = alignTo(traits.embedding, level_table.lanes);
        const q_stride = alignTo(heads * traits.k_dim, level_table.lanes);
        const k_stride = alignTo(kv_heads * traits.k_dim, level_table.lanes);
        const v_stride = alignTo(kv_heads * traits.v_dim, level_table.lanes);
        const feed_forward_stride = alignTo(feed_forward, level_table.lanes);
        const vocabulary_stride = alignTo(traits.vocabulary, level_table.lanes);
        const rope_stride = alignTo(traits.rope_dim / 2, level_table.lanes);
        const sample_stride = level_table.SampleLayout.of(traits.vocabulary).words();
        return .{
            .embedding_stride = embedding_stride,
            .input_stride = input_stride,
            .q_stride = q_stride,
            .k_stride = k_stride,
            .v_stride = v_stride,
            .feed_forward_stride = feed_forward_stride,
            .vocabulary_stride = vocabulary_stride,
            .rope_stride = rope_stride,
            // Hidden states that sequences bring come after the tokens.
            .x = try layout.array(f32, (tokens + options.sequences) * embedding_stride),
            .y = try layout.array(f32, tokens * embedding_stride),
            .rows = try layout.array(f32, tokens * input_stride),
            .input = try .init(layout, tokens, input_stride, options.activation_bits),
            .activated = try .init(layout, tokens, alignTo(feed_forward, level_table.span), options.activation_bits),
            .q = try layout.array(f32, tokens * q_stride),
            .k = try layout.array(f32, tokens * k_stride),
            .v = try layout.array(f32, tokens * v_stride),
            .gate = try layout.array(f32, tokens * feed_forward_stride),
            .up = try layout.array(f32, tokens * feed_forward_stride),
            .cos = try layout.array(f32, tokens * rope_stride),
            .sin = try layout.array(f32, tokens * rope_stride),
            .cos_local = try layout.array(f32, tokens * rope_stride),
            .sin_local = try layout.array(f32, tokens * rope_stride),
            .token_sequence = try layout.array(u32, tokens + options.sequences),
            .attention_items = try layout.array(u32, options.sequences + 1),
            .logit_token = try layout.array(u32, options.logit_rows),
            .attention_left = try layout.array(std.atomic.Value(u32), kv_heads),
            .logits = try layout.array(f32, @as(usize, options.logit_rows) * vocabulary_stride),
            .partials = try layout.array(f32, blocks * heads * level_table.partialFloats(traits.v_dim)),
            .sample = try layout.array(u32, @as(usize, options.threads) * sample_stride),
            .sample_stride = sample_stride,
        };
    }

    fn alignTo(value: u32, multiple: u32) u32 {
        return std.mem.alignForward(u32, value, multiple);
    }

    /// The residual stream of one token.
    pub fn hiddenRow(scratch: *const Scratch, token: usize) []f32 {
        return scratch.x[token * scratch.embedding_stride ..][0..scratch.embedding_stride];
    }

    pub fn logitRow(scratch: *const Scratch, row: usize) []f32 {
        return scratch.logits[row * scratch.vocabulary_stride ..][0..scratch.vocabulary_stride];
    }

    /// The input of a matrix product of `cols` columns for the first `tokens` rows.
    pub fn activations(scratch: *const Scratch, tokens: u32, cols: u32, bits: level_table.ActivationBits) level_table.Activations {
        std.debug.assert(cols <= scratch.input_stride);
        return scratch.input.activations(tokens, cols, bits, scratch.rows, scratch.input_stride);
    }

    /// The same for what the feed-forward's activation leaves in `gate`.
    pub fn activatedInput(scratch: *const Scratch, tokens: u32, cols: u32, bits: level_table.ActivationBits) level_table.Activations {
        std.debug.assert(cols <= scratch.feed_forward_stride);
        return scratch.activated.activations(tokens, cols, bits, scratch.gate, scratch.feed_forward_stride);
    }
};

/// Rows of activations as integers, in tiles (`level_table.zig`).
const Integers = struct {
    q: []i8,
    q_low: []i8,
    scales: []f32,
    sums: []i32,
    sums_low: []i32,

    fn init(layout: *Layout, tokens: usize, cols: usize, bits: level_table.ActivationBits) Layout.Error!Integers {
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

    fn activations(integers: *const Integers, tokens: u32, cols: u32, bits: level_table.ActivationBits, rows: []f32, stride: u32) level_table.Activations {
        return .{
            .tokens = tokens,
            .cols = cols,
            .bits = bits,
            .row_stride = stride,
            .rows = rows.ptr,
            .q = integers.q.ptr,
            .q_low = integers.q_low.ptr,
            .scales = integers.scales.ptr,
            .sums = integers.sums.ptr,
            .sums_low = integers.sums_low.ptr,
        };
    }
};
