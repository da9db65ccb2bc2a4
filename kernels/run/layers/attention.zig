//! The mixer `attention`: products for q, k and v; biases, norms of heads, rotation; keys and values to their page; each query
//! over the positions it sees; the product of what the heads give. It keeps keys and values of every position.
//!
//! The arithmetic of one query is the level's (`op/attention.zig`, docs/design/contract.md, "Attention").

const std = @import("std");
const assert = std.debug.assert;
const level_table = @import("../../level/level_table.zig");
const pool = @import("../../threads/pool.zig");
const Attention = @import("../../model/layer.zig").Attention;
const limits = @import("../../limits.zig");
const Layout = @import("../../host/memory.zig").Layout;
const Model = @import("../../model/model.zig").Model;
const Options = @import("../options.zig").Options;
const Pass = @import("../pass.zig").Pass;
const Half = @import("../pass.zig").Half;
const Role = @import("../../model/weights.zig").Role;
const Sequence = @import("../batch.zig").Sequence;
const row = @import("../pass.zig").row;

/// Less attention than this (products of a query's and a key's elements) is done before another thread has heard of it.
const shared_products_min = 64 << 10;
/// Tokens whose queries one item handles together.
const tile_tokens = 8;
/// A single sequence's attention is shared out by blocks from this many blocks on.
const split_blocks_min = 4;

pub const half: Half = .{ .norm = .attn_norm, .inputs = &.{ .attn_q, .attn_k, .attn_v }, .bias = .attn_output_bias, .post_norm = .post_attention_norm };
/// Products that a layer makes.
pub const products = 2;

pub const Scratch = struct {
    /// Floats between the rows of two tokens, multiples of 16.
    q_stride: u32,
    k_stride: u32,
    v_stride: u32,
    rope_stride: u32,
    q: []f32,
    k: []f32,
    v: []f32,
    /// Rope angles of each token, for global and local layers.
    cos: []f32,
    sin: []f32,
    cos_local: []f32,
    sin_local: []f32,
    /// First item of each sequence, then their number.
    items: []u32,
    /// How many parts of a KV head's attention are yet to end.
    left: []std.atomic.Value(u32),
    partials: []f32,

    pub fn init(layout: *Layout, model: *const Model, options: Options) Layout.Error!Scratch {
        var heads: u32 = 0;
        var kv_heads: u32 = 0;
        var queries: u32 = 0;
        var keys: u32 = 0;
        var values: u32 = 0;
        var partial_floats: u32 = 0;
        for (model.layers) |layer| {
            const own = layer.mixer.attention;
            heads = @max(heads, own.heads);
            kv_heads = @max(kv_heads, own.kv_heads);
            queries = @max(queries, own.heads * own.k_dim);
            keys = @max(keys, own.kv_heads * own.k_dim);
            values = @max(values, own.kv_heads * own.v_dim);
            partial_floats = @max(partial_floats, level_table.partialFloats(own.v_dim));
        }
        assert(kv_heads > 0 and heads >= kv_heads and model.traits.rope_dim % 2 == 0);
        const tokens: usize = options.batch_tokens;
        const blocks = std.math.divCeil(usize, @as(usize, options.pages) * options.page_size, level_table.attention_block) catch unreachable;
        const q_stride = aligned(queries);
        const k_stride = aligned(keys);
        const v_stride = aligned(values);
        const rope_stride = aligned(model.traits.rope_dim / 2);
        return .{
            .q_stride = q_stride,
            .k_stride = k_stride,
            .v_stride = v_stride,
            .rope_stride = rope_stride,
            .q = try layout.array(f32, tokens * q_stride),
            .k = try layout.array(f32, tokens * k_stride),
            .v = try layout.array(f32, tokens * v_stride),
            .cos = try layout.array(f32, tokens * rope_stride),
            .sin = try layout.array(f32, tokens * rope_stride),
            .cos_local = try layout.array(f32, tokens * rope_stride),
            .sin_local = try layout.array(f32, tokens * rope_stride),
            .items = try layout.array(u32, options.sequences + 1),
            .left = try layout.array(std.atomic.Value(u32), kv_heads),
            .partials = try layout.array(f32, blocks * heads * partial_floats),
        };
    }

    fn aligned(floats: u32) u32 {
        return std.mem.alignForward(u32, floats, level_table.lanes);
    }

    /// What the layers share of a token: the angles of its position.
    pub fn prepareToken(scratch: *const Scratch, pass: *const Pass, token: u32, position: u32) void {
        const traits = &pass.model.traits;
        assert(position < limits.context_max);
        if (traits.rope_style == .none) return;
        const pairs = traits.rope_dim / 2;
        const global = .{ row(scratch.cos, scratch.rope_stride, token), row(scratch.sin, scratch.rope_stride, token) };
        const local = .{ row(scratch.cos_local, scratch.rope_stride, token), row(scratch.sin_local, scratch.rope_stride, token) };
        pass.level.ropeAngles(pass.model.rope_freqs.ptr, pairs, position, traits.rope_magnitude, global[0], global[1]);
        pass.level.ropeAngles(pass.model.rope_local_freqs.ptr, pairs, position, 1, local[0], local[1]);
    }
};

/// From the input of q, k and v to what is added to the stream, for all tokens.
pub fn run(pass: *Pass, scratch: *Scratch, own: Attention) void {
    const layer = pass.layer;
    assert(own.heads % own.kv_heads == 0);
    assert(layer.matrix(.attn_q).rows == own.heads * own.k_dim and layer.matrix(.attn_output).cols == own.heads * own.v_dim);
    const mixing: Mixing = .{ .pass = pass, .scratch = scratch, .own = own };
    pass.multiply(&.{
        .{ .matrix = layer.matrix(.attn_q), .out = scratch.q, .stride = scratch.q_stride },
        .{ .matrix = layer.matrix(.attn_k), .out = scratch.k, .stride = scratch.k_stride },
        .{ .matrix = layer.matrix(.attn_v), .out = scratch.v, .stride = scratch.v_stride },
    });
    pass.forTokens(&mixing, Mixing.rotateAndStore);
    const output = layer.matrix(.attn_output);
    pass.setInput(pass.tokens, output);
    mixing.attend();
    if (!mixing.headsAreSpans()) pass.forTokens(@as(*const Pass, pass), Pass.quantizeInput);
    pass.multiply(&.{.{ .matrix = output, .out = pass.scratch.y, .stride = pass.scratch.embedding_stride }});
}

const Mixing = struct {
    pass: *Pass,
    scratch: *Scratch,
    own: Attention,

    /// Biases, norms of heads, rotation; then keys and values go to their page.
    fn rotateAndStore(mixing: *const Mixing, token: u32) void {
        const pass = mixing.pass;
        const own = mixing.own;
        const scratch = mixing.scratch;
        const traits = &pass.model.traits;
        const sequence = pass.sequenceOf(token);
        assert(token >= sequence.first and token - sequence.first < sequence.tokens.len);
        const q = row(scratch.q, scratch.q_stride, token);
        const k = row(scratch.k, scratch.k_stride, token);
        const v = row(scratch.v, scratch.v_stride, token);
        pass.addBias(q, .attn_q_bias);
        pass.addBias(k, .attn_k_bias);
        pass.addBias(v, .attn_v_bias);
        mixing.normHeads(q, own.heads, .attn_q_norm);
        mixing.normHeads(k, own.kv_heads, .attn_k_norm);
        if (traits.rope_style != .none) {
            const rotation: level_table.Rotation = .{
                .head_dim = own.k_dim,
                .n_rot = traits.rope_dim,
                .style = traits.rope_style,
                .cos = row(if (own.rope_local) scratch.cos_local else scratch.cos, scratch.rope_stride, token),
                .sin = row(if (own.rope_local) scratch.sin_local else scratch.sin, scratch.rope_stride, token),
            };
            pass.level.rope(q, own.heads, &rotation);
            pass.level.rope(k, own.kv_heads, &rotation);
        }
        const kept = mixing.keptOf(sequence);
        pass.level.kvWrite(&kept, sequence.position + token - sequence.first, k, v);
    }

    fn normHeads(mixing: *const Mixing, values: [*]f32, heads: u32, role: Role) void {
        const pass = mixing.pass;
        const weight = pass.layer.vector(role) orelse return;
        const dim: u32 = @intCast(weight.len);
        assert(dim == mixing.own.k_dim);
        for (0..heads) |head| pass.level.rmsNorm(values + head * dim, weight.ptr, pass.model.traits.epsilon, dim, values + head * dim);
    }

    fn keptOf(mixing: *const Mixing, sequence: *const Sequence) level_table.KvLayer {
        const pass = mixing.pass;
        // Else the level would read page numbers beyond the sequence's.
        assert(sequence.position + sequence.tokens.len <= sequence.pages.len * pass.work.kv.page_size);
        return pass.work.kv.ofLayer(pass.index, pass.layer.mixer.keeps(), sequence.pages);
    }

    fn argsOf(mixing: *const Mixing, sequence: *const Sequence) level_table.Attention {
        const scratch = mixing.scratch;
        const shared = mixing.pass.scratch;
        return .{
            .kv = mixing.keptOf(sequence),
            .q = row(scratch.q, scratch.q_stride, sequence.first),
            .q_stride = scratch.q_stride,
            .out = row(shared.rows, shared.input_stride, sequence.first),
            .out_stride = shared.input_stride,
            .heads = mixing.own.heads,
            .position = sequence.position,
            .tokens = @intCast(sequence.tokens.len),
            .window = mixing.own.window,
            .scale = mixing.own.scale,
            .softcap = mixing.own.softcap,
        };
    }

    // --- what the heads give, as the next product reads it ----------------------------------------------------------

    /// The columns that the heads of one KV head give.
    fn headColumns(mixing: *const Mixing) u32 {
        return mixing.own.heads / mixing.own.kv_heads * mixing.own.v_dim;
    }

    fn headsAreSpans(mixing: *const Mixing) bool {
        return mixing.headColumns() % level_table.span == 0;
    }

    /// Quantizes what the heads of a KV head gave, where it is whole spans.
    fn quantizeHeads(mixing: *const Mixing, token: u32, kv_head: u32) void {
        if (!mixing.headsAreSpans()) return;
        const spans = mixing.headColumns() / level_table.span;
        mixing.pass.quantizeSpans(&mixing.pass.input, token, kv_head * spans, (kv_head + 1) * spans);
    }

    // --- queries ----------------------------------------------------------------------------------------------------

    fn attend(mixing: *const Mixing) void {
        const pass = mixing.pass;
        const sequences = pass.sequences();
        if (sequences.len == 1 and pass.tokens == 1 and mixing.attendInBlocks(&sequences[0])) return;
        var items: u32 = 0;
        for (sequences, 0..) |*sequence, number| {
            mixing.scratch.items[number] = items;
            items += mixing.own.kv_heads * tiles(sequence);
        }
        mixing.scratch.items[sequences.len] = items;
        pool.parallel(mixing.threadsThatPay(), items, @constCast(mixing), attendItem);
    }

    /// How many threads pay for the products of all heads with all keys.
    fn threadsThatPay(mixing: *const Mixing) u32 {
        var count: usize = 0;
        for (mixing.pass.sequences()) |*sequence| count += (sequence.position + 1) * sequence.tokens.len;
        count *= mixing.own.heads * (mixing.own.k_dim + mixing.own.v_dim);
        return if (count < shared_products_min) 1 else mixing.pass.threads;
    }

    /// An item is one KV head's queries of one tile of a sequence's tokens.
    fn attendItem(context: *anyopaque, item: u32, _: u32) void {
        const mixing: *const Mixing = @ptrCast(@alignCast(context));
        const sequences = mixing.pass.sequences();
        const starts = mixing.scratch.items[0 .. sequences.len + 1];
        var number: usize = 0;
        while (item >= starts[number + 1]) number += 1;
        const sequence = &sequences[number];
        const inside = item - starts[number];
        const args = mixing.argsOf(sequence);
        const kv_head = inside / tiles(sequence);
        const begin = inside % tiles(sequence) * tile_tokens;
        const end = @min(begin + tile_tokens, args.tokens);
        assert(kv_head < mixing.own.kv_heads and begin < end);
        mixing.pass.level.attention(&args, kv_head, begin, end);
        for (begin..end) |token| mixing.quantizeHeads(sequence.first + @as(u32, @intCast(token)), kv_head);
    }

    fn tiles(sequence: *const Sequence) u32 {
        return std.math.divCeil(u32, @intCast(sequence.tokens.len), tile_tokens) catch unreachable;
    }

    /// Shares one token's attention by blocks when there are fewer KV heads than threads could use; else false.
    fn attendInBlocks(mixing: *const Mixing, sequence: *const Sequence) bool {
        const threads = mixing.pass.threads;
        const window = mixing.own.window;
        const end = sequence.position / level_table.attention_block + 1;
        const first = if (window == 0 or sequence.position < window) 0 else (sequence.position - window + 1) / level_table.attention_block;
        const kv_heads = mixing.own.kv_heads;
        const wanted = threads * 4;
        if (threads == 1 or end - first < split_blocks_min or kv_heads >= wanted) return false;
        const chunks_wanted = @min(end - first, std.math.divCeil(u32, wanted, kv_heads) catch unreachable);
        const blocks_an_item = std.math.divCeil(u32, end - first, chunks_wanted) catch unreachable;
        var split: Split = .{
            .mixing = mixing,
            .args = mixing.argsOf(sequence),
            .first_block = first,
            .end_block = end,
            .blocks_an_item = blocks_an_item,
            .chunks = std.math.divCeil(u32, end - first, blocks_an_item) catch unreachable,
        };
        assert(split.chunks > 0 and first + split.chunks * blocks_an_item >= end);
        for (mixing.scratch.left[0..kv_heads]) |*left| left.store(split.chunks, .monotonic);
        pool.parallel(threads, kv_heads * split.chunks, &split, Split.item);
        return true;
    }
};

/// How one token's attention over a long context is shared out.
const Split = struct {
    mixing: *const Mixing,
    args: level_table.Attention,
    first_block: u32,
    end_block: u32,
    blocks_an_item: u32,
    chunks: u32,

    fn item(context: *anyopaque, number: u32, _: u32) void {
        const split: *const Split = @ptrCast(@alignCast(context));
        const level = split.mixing.pass.level;
        const partials = split.mixing.scratch.partials.ptr;
        const kv_head = number / split.chunks;
        const begin = split.first_block + number % split.chunks * split.blocks_an_item;
        assert(begin < split.end_block and kv_head < split.args.kv.heads);
        level.attentionBlocks(&split.args, kv_head, 0, begin, @min(begin + split.blocks_an_item, split.end_block), partials);
        // The thread that ends a KV head merges the blocks of its heads, in their order.
        if (split.mixing.scratch.left[kv_head].fetchSub(1, .acq_rel) != 1) return;
        const group = split.args.heads / split.args.kv.heads;
        for (kv_head * group..(kv_head + 1) * group) |head|
            level.attentionMerge(&split.args, @intCast(head), 0, split.first_block, split.end_block, partials);
        split.mixing.quantizeHeads(0, kv_head);
    }
};
