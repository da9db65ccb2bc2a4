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
const Part = @import("../part.zig").Part;
const Pass = @import("../pass.zig").Pass;
const Half = @import("../pass.zig").Half;
const Role = @import("../../model/weights.zig").Role;
const Sequence = @import("../batch.zig").Sequence;
const row = @import("../pass.zig").row;

/// Less attention than this (products of a query's and a key's elements) is done before another thread has heard of it.
const shared_products_min = 64 << 10;
/// Tokens whose queries one item handles together, at least; more, up to so many queries, where there are items enough.
const tile_tokens_min = 8;
const tile_queries_max = 64;
const items_a_thread = 4;
/// A single sequence's attention is shared out by blocks from this many blocks on.
const split_blocks_min = 4;

pub const half: Half = .{ .norm = .attn_norm, .norm_bias = .attn_norm_bias, .inputs = &.{ .attn_q, .attn_k, .attn_v }, .bias = .attn_output_bias, .post_norm = .post_attention_norm, .stream_norms = &.{
    .{ .weight = .attn_output_norm, .bias = .attn_output_norm_bias },
    .{ .weight = .attn_norm_2, .bias = .attn_norm_2_bias },
} };
/// Products that a layer makes.
pub const products = 2;

pub const Scratch = struct {
    /// Floats between the rows of two tokens, multiples of 16.
    q_stride: u32,
    gate_stride: u32,
    k_stride: u32,
    v_stride: u32,
    angle_stride: u32,
    q: []f32,
    /// What the heads give is multiplied by the sigmoid of these, in layers that have gates.
    gates: []f32,
    k: []f32,
    v: []f32,
    /// Angles of each token: of each rotation, one after the other.
    cos: []f32,
    sin: []f32,
    /// What each token's queries are multiplied by, where they have a temperature.
    temperatures: []f32,
    /// First item of each sequence, then their number.
    items: []u32,
    /// How many parts of a KV head's attention are yet to end.
    left: []std.atomic.Value(u32),
    partials: []f32,

    pub fn init(layout: *Layout, model: *const Model, options: Options) Layout.Error!Scratch {
        var heads: u32 = 0;
        var kv_heads: u32 = 0;
        var queries: u32 = 0;
        var gates: u32 = 0;
        var keys: u32 = 0;
        var values: u32 = 0;
        var partial_floats: u32 = 0;
        for (model.layers) |layer| {
            if (layer.mixer.attentionOf()) |own| {
                heads = @max(heads, own.heads);
                kv_heads = @max(kv_heads, own.kv_heads);
                queries = @max(queries, own.queryRows());
                gates = @max(gates, if (own.is_gated) own.heads * own.v_dim else 0);
                keys = @max(keys, own.kv_heads * own.k_dim);
                values = @max(values, own.kv_heads * own.v_dim);
                partial_floats = @max(partial_floats, level_table.partialFloats(own.v_dim));
            } else if (layer.mixer == .latent) {
                const own = layer.mixer.latent;
                heads = @max(heads, own.heads);
                kv_heads = @max(kv_heads, 1);
                partial_floats = @max(partial_floats, level_table.partialFloats(own.rank));
            }
        }
        assert(heads >= kv_heads);
        var angle_stride: u32 = 0;
        for (model.rotations) |rotation| angle_stride += level_table.wholeLanes(rotation.given.dimensions / 2);
        const tokens: usize = options.batch_tokens;
        const blocks = std.math.divCeil(usize, @as(usize, options.pages) * options.page_size, level_table.attention_block) catch unreachable;
        const q_stride = level_table.wholeLanes(queries);
        const k_stride = level_table.wholeLanes(keys);
        const v_stride = level_table.wholeLanes(values);
        return .{
            .q_stride = q_stride,
            .k_stride = k_stride,
            .v_stride = v_stride,
            .angle_stride = angle_stride,
            .q = try layout.array(f32, tokens * q_stride),
            .gate_stride = level_table.wholeLanes(gates),
            .gates = try layout.array(f32, tokens * level_table.wholeLanes(gates)),
            .k = try layout.array(f32, tokens * k_stride),
            .v = try layout.array(f32, tokens * v_stride),
            .cos = try layout.array(f32, tokens * angle_stride),
            .sin = try layout.array(f32, tokens * angle_stride),
            .temperatures = try layout.array(f32, if (model.traits.temperature_scale == 0) 0 else tokens),
            .items = try layout.array(u32, options.sequences + 1),
            .left = try layout.array(std.atomic.Value(u32), kv_heads),
            .partials = try layout.array(f32, blocks * heads * partial_floats),
        };
    }

    /// What the layers share of a token: the angles and the temperature of its position.
    pub fn prepareToken(scratch: *const Scratch, pass: *const Pass, token: u32, position: u32) void {
        const traits = &pass.model.traits;
        assert(position < limits.context_max);
        var begin: usize = @as(usize, token) * scratch.angle_stride;
        for (pass.model.rotations) |rotation| {
            const pairs: u32 = @intCast(rotation.freqs.len);
            pass.level.ropeAngles(rotation.freqs.ptr, pairs, position, rotation.given.magnitude, scratch.cos[begin..].ptr, scratch.sin[begin..].ptr);
            begin += level_table.wholeLanes(pairs);
        }
        if (traits.temperature_scale != 0)
            scratch.temperatures[token] = pass.level.temperature(position, traits.temperature_context, traits.temperature_scale);
    }

    /// How rotation `number`, from 0, turns the heads of a token.
    pub fn rotationOf(scratch: *const Scratch, model: *const Model, number: u32, token: u32, head_dim: u32) level_table.Rotation {
        var begin: usize = @as(usize, token) * scratch.angle_stride;
        for (model.rotations[0..number]) |before| begin += level_table.wholeLanes(before.given.dimensions / 2);
        const dimensions = model.rotations[number].given.dimensions;
        assert(begin + dimensions / 2 <= scratch.cos.len and dimensions <= head_dim);
        return .{
            .head_dim = head_dim,
            .n_rot = dimensions,
            .style = model.traits.rope_style,
            .cos = scratch.cos[begin..].ptr,
            .sin = scratch.sin[begin..].ptr,
        };
    }
};

/// From the input of q, k and v to what is added to the stream, for all tokens.
pub fn run(pass: *Pass, scratch: *Scratch, own: Attention) void {
    const layer = pass.layer;
    assert(own.heads % own.kv_heads == 0);
    assert(layer.matrix(.attn_q).rows == own.queryRows() and layer.matrix(.attn_output).cols == own.heads * own.v_dim);
    const mixing: Mixing = .{
        .pass = pass,
        .scratch = scratch,
        .own = own,
        .queries = scratch.q,
        .query_stride = scratch.q_stride,
        .results = pass.scratch.rows,
        .result_stride = pass.scratch.input_stride,
        .quantizes = true,
    };
    const parts = [_]Part{
        .{ .matrix = layer.matrix(.attn_q), .out = scratch.q, .stride = scratch.q_stride },
        .{ .matrix = if (own.keys == .of_layer) undefined else layer.matrix(.attn_k), .out = scratch.k, .stride = scratch.k_stride },
        .{ .matrix = if (own.keys == .own) layer.matrix(.attn_v) else undefined, .out = scratch.v, .stride = scratch.v_stride },
    };
    const made: usize = switch (own.keys) {
        .own => 3,
        .as_values => 2,
        .of_layer => 1,
    };
    pass.multiply(parts[0..made]);
    pass.forTokens(&mixing, Mixing.rotateAndStore);
    const output = layer.matrix(.attn_output);
    pass.setInput(pass.tokens, output);
    mixing.attend();
    if (!mixing.headsAreSpans()) pass.forTokens(@as(*const Pass, pass), Pass.quantizeInput);
    pass.multiply(&.{.{ .matrix = output, .out = pass.scratch.y, .stride = pass.scratch.embedding_stride }});
}

/// Queries over the positions that they see; latent attention has its own way to them.
pub const Mixing = struct {
    pass: *Pass,
    scratch: *Scratch,
    own: Attention,
    /// Where the queries lie, and where what the heads give goes.
    queries: []f32,
    query_stride: u32,
    results: []f32,
    result_stride: u32,
    /// Whether what the heads give is the input of the next product as it is.
    quantizes: bool,

    /// Biases, norms, rotation; then keys and values go to their page.
    fn rotateAndStore(mixing: *const Mixing, token: u32) void {
        const pass = mixing.pass;
        const own = mixing.own;
        const scratch = mixing.scratch;
        const traits = &pass.model.traits;
        const sequence = pass.sequenceOf(token);
        assert(token >= sequence.first and token - sequence.first < sequence.tokens.len);
        const q = row(scratch.q, scratch.q_stride, token);
        pass.addBias(q, .attn_q_bias);
        if (own.is_gated) mixing.takeGates(token, q);
        mixing.normAndRotate(q, .{ .heads = own.heads, .norm = .attn_q_norm, .token = token });
        if (traits.temperature_scale != 0) pass.level.scale(q, scratch.temperatures[token], own.heads * own.k_dim, q);
        if (own.keys == .of_layer) return;
        const k = row(scratch.k, scratch.k_stride, token);
        const v = row(scratch.v, scratch.v_stride, token);
        const values = own.kv_heads * own.v_dim;
        pass.addBias(k, .attn_k_bias);
        if (own.keys == .as_values) @memcpy(v[0..values], k[0..values]) else pass.addBias(v, .attn_v_bias);
        mixing.normAndRotate(k, .{ .heads = own.kv_heads, .norm = .attn_k_norm, .token = token });
        if (own.value_norms) {
            var head: usize = 0;
            while (head < values) : (head += own.v_dim) pass.level.rmsNorm(v + head, null, traits.epsilon, own.v_dim, v + head);
        }
        const kept = mixing.keptOf(sequence);
        pass.level.kvWrite(&kept, sequence.position + token - sequence.first, k, v);
    }

    /// The queries or the keys of a token.
    const Heads = struct { heads: u32, norm: Role, token: u32 };

    fn normAndRotate(mixing: *const Mixing, values: [*]f32, which: Heads) void {
        const pass = mixing.pass;
        const own = mixing.own;
        const count = which.heads * own.k_dim;
        const norms_follow = pass.model.traits.query_norms == .rotated_heads;
        if (!norms_follow) mixing.normParts(values, count, which.norm);
        if (own.rotation > 0) {
            const rotation = mixing.scratch.rotationOf(pass.model, own.rotation - 1, which.token, own.k_dim);
            pass.level.rope(values, which.heads, &rotation);
        }
        if (norms_follow) mixing.normParts(values, count, which.norm);
    }

    /// Norms each part as long as the weight: a head, or the whole row.
    fn normParts(mixing: *const Mixing, values: [*]f32, count: u32, role: Role) void {
        const pass = mixing.pass;
        const weight = pass.layer.vector(role) orelse return;
        const dim: u32 = @intCast(weight.len);
        assert(dim > 0 and count % dim == 0);
        var begin: usize = 0;
        const bias = pass.layer.vector(if (role == .attn_q_norm) .attn_q_norm_bias else .attn_k_norm_bias);
        while (begin < count) : (begin += dim) switch (pass.model.traits.norms) {
            .root_mean_square => pass.level.rmsNorm(values + begin, weight.ptr, pass.model.traits.epsilon, dim, values + begin),
            .deviation => pass.level.layerNorm(values + begin, weight.ptr, if (bias) |own| own.ptr else null, pass.model.traits.epsilon, dim, values + begin),
        };
    }

    pub fn keptOf(mixing: *const Mixing, sequence: *const Sequence) level_table.KvLayer {
        const pass = mixing.pass;
        // Else the level would read page numbers beyond the sequence's.
        assert(sequence.position + sequence.tokens.len <= sequence.pages.len * pass.work.kv.page_size);
        const keeper = if (mixing.own.keys == .of_layer) mixing.own.keys_layer else pass.index;
        return pass.work.kv.ofLayer(keeper, pass.model.layers[keeper].keeps().positions.paged, sequence.pages);
    }

    fn argsOf(mixing: *const Mixing, sequence: *const Sequence) level_table.Attention {
        const sinks = mixing.pass.layer.vector(.attn_sinks);
        return .{
            .kv = mixing.keptOf(sequence),
            .q = row(mixing.queries, mixing.query_stride, sequence.first),
            .q_stride = mixing.query_stride,
            .out = row(mixing.results, mixing.result_stride, sequence.first),
            .out_stride = mixing.result_stride,
            .heads = mixing.own.heads,
            .position = sequence.position,
            .tokens = @intCast(sequence.tokens.len),
            .window = mixing.own.window,
            .ahead = mixing.own.ahead,
            .slopes = if (mixing.pass.model.slopes.len > 0) mixing.pass.model.slopes.ptr else null,
            .scale = mixing.own.scale,
            .softcap = mixing.own.softcap,
            .sinks = if (sinks) |scores| scores.ptr else null,
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

    /// Takes the gates out from between the queries, which then lie together.
    fn takeGates(mixing: *const Mixing, token: u32, q: [*]f32) void {
        const dim = mixing.own.k_dim;
        assert(mixing.scratch.gate_stride >= mixing.own.heads * dim and mixing.scratch.q_stride >= mixing.own.queryRows());
        const gates = row(mixing.scratch.gates, mixing.scratch.gate_stride, token);
        for (0..mixing.own.heads) |head| {
            @memcpy(gates[head * dim ..][0..dim], q[(2 * head + 1) * dim ..][0..dim]);
            if (head > 0) std.mem.copyForwards(f32, q[head * dim ..][0..dim], q[2 * head * dim ..][0..dim]);
        }
    }

    /// Gates what the heads of a KV head gave, where the layer has gates, and quantizes it, where it is whole spans.
    fn finishHeads(mixing: *const Mixing, token: u32, kv_head: u32) void {
        if (mixing.own.is_gated) {
            const columns = mixing.headColumns();
            const out = row(mixing.results, mixing.result_stride, token) + kv_head * columns;
            mixing.pass.level.gateBySigmoid(out, row(mixing.scratch.gates, mixing.scratch.gate_stride, token) + kv_head * columns, columns);
        }
        if (!mixing.quantizes or !mixing.headsAreSpans()) return;
        const spans = mixing.headColumns() / level_table.span;
        mixing.pass.quantizeSpans(&mixing.pass.input, token, kv_head * spans, (kv_head + 1) * spans);
    }

    // --- queries ----------------------------------------------------------------------------------------------------

    pub fn attend(mixing: *const Mixing) void {
        const pass = mixing.pass;
        const sequences = pass.sequences();
        if (sequences.len == 1 and pass.tokens == 1 and mixing.attendInBlocks(&sequences[0])) return;
        const tiling: Tiling = .{ .mixing = mixing, .tokens = mixing.tileTokens() };
        var items: u32 = 0;
        for (sequences, 0..) |*sequence, number| {
            mixing.scratch.items[number] = items;
            items += mixing.own.kv_heads * tiling.tiles(sequence);
        }
        mixing.scratch.items[sequences.len] = items;
        pool.parallel(mixing.threadsThatPay(), items, @constCast(&tiling), Tiling.attend);
    }

    fn tileTokens(mixing: *const Mixing) u32 {
        const pass = mixing.pass;
        const own = mixing.own;
        var tokens: u32 = tile_tokens_min;
        while (2 * tokens * (own.heads / own.kv_heads) <= tile_queries_max and
            own.kv_heads * (pass.tokens / (2 * tokens)) >= items_a_thread * pass.threads) tokens *= 2;
        return tokens;
    }

    /// How many threads pay for the products of all heads with all keys.
    fn threadsThatPay(mixing: *const Mixing) u32 {
        var count: usize = 0;
        for (mixing.pass.sequences()) |*sequence| count += (sequence.position + 1) * sequence.tokens.len;
        count *= mixing.own.heads * (mixing.own.k_dim + mixing.own.v_dim);
        return if (count < shared_products_min) 1 else mixing.pass.threads;
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

/// How the attention of a step is shared out: an item is one KV head's queries of so many tokens of a sequence.
const Tiling = struct {
    mixing: *const Mixing,
    tokens: u32,

    fn attend(context: *anyopaque, item: u32, _: u32) void {
        const tiling: *const Tiling = @ptrCast(@alignCast(context));
        const mixing = tiling.mixing;
        const sequences = mixing.pass.sequences();
        const starts = mixing.scratch.items[0 .. sequences.len + 1];
        var number: usize = 0;
        while (item >= starts[number + 1]) number += 1;
        const sequence = &sequences[number];
        const inside = item - starts[number];
        const args = mixing.argsOf(sequence);
        const kv_head = inside / tiling.tiles(sequence);
        const begin = inside % tiling.tiles(sequence) * tiling.tokens;
        const end = @min(begin + tiling.tokens, args.tokens);
        assert(kv_head < mixing.own.kv_heads and begin < end);
        mixing.pass.level.attention(&args, kv_head, begin, end);
        for (begin..end) |token| mixing.finishHeads(sequence.first + @as(u32, @intCast(token)), kv_head);
    }

    fn tiles(tiling: *const Tiling, sequence: *const Sequence) u32 {
        return std.math.divCeil(u32, @intCast(sequence.tokens.len), tiling.tokens) catch unreachable;
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
        split.mixing.finishHeads(0, kv_head);
    }
};
