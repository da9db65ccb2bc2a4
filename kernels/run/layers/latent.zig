//! The mixer `latent` (MLA): of each position one latent row is kept, from which keys and values of all heads are made. They are
//! never made: a head's query is multiplied with the matrix that would make its keys, and meets the latent rows themselves;
//! what it gathers of them is multiplied with the matrix that would make its values. So all heads share one key, the latent
//! row and the rotated elements after it, and one value, the latent row.
//!
//!   queries (by way of a narrow row) and latent row | norms, rotation, store | head by head: query to latent | attention |
//!   head by head: latent to value | output

const std = @import("std");
const assert = std.debug.assert;
const attention = @import("attention.zig");
const level_table = @import("../../level/level_table.zig");
const pool = @import("../../threads/pool.zig");
const Half = @import("../pass.zig").Half;
const Integers = @import("../scratch.zig").Integers;
const Latent = @import("../../model/layer.zig").Latent;
const Layout = @import("../../host/memory.zig").Layout;
const Matrix = @import("../../model/weights.zig").Matrix;
const Model = @import("../../model/model.zig").Model;
const Options = @import("../options.zig").Options;
const Pass = @import("../pass.zig").Pass;
const row = @import("../pass.zig").row;

/// Less work than this (bytes of weights, for each token) is done before another thread has heard of it.
const shared_bytes_min = 64 << 10;
/// Parts of the heads' products for each thread, so that none waits long for a late one.
const parts_a_thread = 4;

pub const half: Half = .{ .norm = .attn_norm, .inputs = &.{ .attn_q, .attn_q_a, .attn_kv_a_mqa }, .bias = .attn_output_bias, .post_norm = .post_attention_norm };
/// Products that a layer makes and that have a number: those of the normed stream, and the last.
pub const products = 2;

pub const Scratch = struct {
    /// Floats between the rows of two tokens, multiples of 16.
    narrow_stride: u32,
    query_stride: u32,
    latent_stride: u32,
    absorbed_stride: u32,
    gathered_stride: u32,
    /// What queries are made from.
    narrow: []f32,
    /// [token][head][k_dim]
    queries: []f32,
    /// [token][latent row, rotated elements]
    latent: []f32,
    /// Queries for latent rows: [token][head][latent row, rotated elements]
    absorbed: []f32,
    /// What heads gather: [token][head][latent row]
    gathered: []f32,
    /// The plain elements of queries, and what heads gather, as integers: [head][token]
    plain_integers: Integers,
    gathered_integers: Integers,

    pub fn init(layout: *Layout, model: *const Model, options: Options) Layout.Error!Scratch {
        var any = false;
        var narrow: u32 = 0;
        var queries: u32 = 0;
        var latent: u32 = 0;
        var absorbed: u32 = 0;
        var gathered: u32 = 0;
        var heads: u32 = 0;
        var plain: u32 = 0;
        var rank: u32 = 0;
        for (model.layers) |layer| switch (layer.mixer) {
            .attention, .short_convolution, .delta_rule, .mamba2, .paired, .none => {},
            .latent => |own| {
                any = true;
                narrow = @max(narrow, own.query_rank);
                queries = @max(queries, own.heads * (own.plain + own.rotated));
                latent = @max(latent, own.rank + own.rotated);
                absorbed = @max(absorbed, own.heads * (own.rank + own.rotated));
                gathered = @max(gathered, own.heads * own.rank);
                heads = @max(heads, own.heads);
                plain = @max(plain, own.plain);
                rank = @max(rank, own.rank);
            },
        };
        const tokens: usize = if (any) options.batch_tokens else 0;
        const bits = options.activation_bits;
        return .{
            .narrow_stride = level_table.wholeLanes(narrow),
            .query_stride = level_table.wholeLanes(queries),
            .latent_stride = level_table.wholeLanes(latent),
            .absorbed_stride = level_table.wholeLanes(absorbed),
            .gathered_stride = level_table.wholeLanes(gathered),
            .narrow = try layout.array(f32, tokens * level_table.wholeLanes(narrow)),
            .queries = try layout.array(f32, tokens * level_table.wholeLanes(queries)),
            .latent = try layout.array(f32, tokens * level_table.wholeLanes(latent)),
            .absorbed = try layout.array(f32, tokens * level_table.wholeLanes(absorbed)),
            .gathered = try layout.array(f32, tokens * level_table.wholeLanes(gathered)),
            .plain_integers = try .init(layout, tokens * heads, std.mem.alignForward(u32, plain, level_table.span), bits),
            .gathered_integers = try .init(layout, tokens * heads, std.mem.alignForward(u32, rank, level_table.span), bits),
        };
    }
};

/// What a layer works in: what it shares with attention, and what is its own.
pub const Room = struct { attention: *attention.Scratch, own: *Scratch };

/// From the normed stream to what is added to it, for all tokens.
pub fn run(pass: *Pass, room: Room, own: Latent) void {
    const layer = pass.layer;
    assert(layer.matrix(.attn_k_b).slabs == own.heads and layer.matrix(.attn_v_b).slabs == own.heads);
    assert(layer.matrix(.attn_output).cols == own.heads * own.v_dim);
    const scratch = room.own;
    const mixing: Mixing = .{ .pass = pass, .room = room, .own = own };
    const latent = layer.matrix(.attn_kv_a_mqa);
    if (own.query_rank > 0) {
        pass.multiply(&.{
            .{ .matrix = layer.matrix(.attn_q_a), .out = scratch.narrow, .stride = scratch.narrow_stride },
            .{ .matrix = latent, .out = scratch.latent, .stride = scratch.latent_stride },
        });
        const wide = layer.matrix(.attn_q_b);
        pass.setInput(pass.tokens, wide);
        pass.forTokens(&mixing, Mixing.normNarrow);
        pass.multiplyUnnumbered(&.{.{ .matrix = wide, .out = scratch.queries, .stride = scratch.query_stride }});
    } else pass.multiply(&.{
        .{ .matrix = layer.matrix(.attn_q), .out = scratch.queries, .stride = scratch.query_stride },
        .{ .matrix = latent, .out = scratch.latent, .stride = scratch.latent_stride },
    });
    pass.forTokens(&mixing, Mixing.rotateAndStore);
    mixing.multiplyHeads(.keys);
    pass.forTokens(&mixing, Mixing.joinQueries);

    const output = layer.matrix(.attn_output);
    pass.setInput(pass.tokens, output);
    mixing.queriesOverPositions().attend();
    pass.forTokens(&mixing, Mixing.quantizeGathered);
    mixing.multiplyHeads(.values);
    pass.forTokens(@as(*const Pass, pass), Pass.quantizeInput);
    pass.multiply(&.{.{ .matrix = output, .out = pass.scratch.y, .stride = pass.scratch.embedding_stride }});
}

/// What is multiplied head by head.
const Side = enum { keys, values };

const Mixing = struct {
    pass: *Pass,
    room: Room,
    own: Latent,

    /// The attention of all heads over one key and one value.
    fn queriesOverPositions(mixing: *const Mixing) attention.Mixing {
        const own = mixing.own;
        const scratch = mixing.room.own;
        return .{
            .pass = mixing.pass,
            .scratch = mixing.room.attention,
            .own = .{
                .heads = own.heads,
                .kv_heads = 1,
                .k_dim = own.rank + own.rotated,
                .v_dim = own.rank,
                .window = 0,
                .ahead = 0,
                .rotation = own.rotation,
                .scale = own.scale,
                .softcap = 0,
                .keys = .own,
                .keys_layer = mixing.pass.index,
                .value_norms = false,
                .is_gated = false,
            },
            .queries = scratch.absorbed,
            .query_stride = scratch.absorbed_stride,
            .results = scratch.gathered,
            .result_stride = scratch.gathered_stride,
            .quantizes = false,
        };
    }

    /// What queries are made from, normed, as the input of that product.
    fn normNarrow(mixing: *const Mixing, token: u32) void {
        const pass = mixing.pass;
        const weight = pass.layer.vector(.attn_q_a_norm).?;
        assert(weight.len == mixing.own.query_rank);
        const input = row(pass.scratch.rows, pass.scratch.input_stride, token);
        pass.level.rmsNorm(row(mixing.room.own.narrow, mixing.room.own.narrow_stride, token), weight.ptr, pass.model.traits.epsilon, mixing.own.query_rank, input);
        pass.quantizeInput(token);
    }

    /// Norms the latent row, rotates the elements behind it and those of the queries, stores; then the queries' plain elements
    /// become integers.
    fn rotateAndStore(mixing: *const Mixing, token: u32) void {
        const pass = mixing.pass;
        const own = mixing.own;
        const scratch = mixing.room.own;
        const sequence = pass.sequenceOf(token);
        const latent = row(scratch.latent, scratch.latent_stride, token);
        const weight = pass.layer.vector(.attn_kv_a_norm).?;
        assert(weight.len == own.rank and token - sequence.first < sequence.tokens.len);
        pass.level.rmsNorm(latent, weight.ptr, pass.model.traits.epsilon, own.rank, latent);
        const key = mixing.room.attention.rotationOf(pass.model, own.rotation - 1, token, own.rotated);
        pass.level.rope(latent + own.rank, 1, &key);
        const kept = mixing.queriesOverPositions().keptOf(sequence);
        pass.level.kvWrite(&kept, sequence.position + token - sequence.first, latent, latent);
        var query = key;
        query.head_dim = own.plain + own.rotated;
        pass.level.rope(row(scratch.queries, scratch.query_stride, token) + own.plain, own.heads, &query);
        mixing.quantizeHeads(.keys, token);
    }

    /// The rotated elements of each head behind what its plain ones have become.
    fn joinQueries(mixing: *const Mixing, token: u32) void {
        const own = mixing.own;
        const scratch = mixing.room.own;
        const queries = row(scratch.queries, scratch.query_stride, token);
        const absorbed = row(scratch.absorbed, scratch.absorbed_stride, token);
        assert(own.heads * (own.rank + own.rotated) <= scratch.absorbed_stride);
        for (0..own.heads) |head| {
            const from = queries + head * (own.plain + own.rotated) + own.plain;
            @memcpy(absorbed[head * (own.rank + own.rotated) + own.rank ..][0..own.rotated], from[0..own.rotated]);
        }
    }

    fn quantizeGathered(mixing: *const Mixing, token: u32) void {
        mixing.quantizeHeads(.values, token);
    }

    // --- head by head -----------------------------------------------------------------------------------------------

    fn matrixOf(mixing: *const Mixing, side: Side) Matrix {
        return mixing.pass.layer.matrix(switch (side) {
            .keys => .attn_k_b,
            .values => .attn_v_b,
        });
    }

    /// The input of one head's product.
    fn inputOf(mixing: *const Mixing, side: Side, head: u32) level_table.Activations {
        const own = mixing.own;
        const pass = mixing.pass;
        const scratch = mixing.room.own;
        const shape: Integers.Shape = .{ .tokens = pass.tokens, .cols = mixing.matrixOf(side).cols, .bits = pass.work.options.activation_bits };
        const first = @as(usize, head) * pass.tokens;
        assert(head < own.heads and pass.tokens > 0);
        return switch (side) {
            .keys => scratch.plain_integers.beside(first, shape, scratch.queries[head * (own.plain + own.rotated) ..], scratch.query_stride),
            .values => scratch.gathered_integers.beside(first, shape, scratch.gathered[head * own.rank ..], scratch.gathered_stride),
        };
    }

    fn quantizeHeads(mixing: *const Mixing, side: Side, token: u32) void {
        const matrix = mixing.matrixOf(side);
        if (matrix.format.kind != .block) return;
        for (0..mixing.own.heads) |head| {
            const input = mixing.inputOf(side, @intCast(head));
            if (mixing.pass.level.quantizeSpans(&input, token, 0, matrix.cols / level_table.span) != 0) mixing.pass.fail(token);
        }
    }

    fn multiplyHeads(mixing: *const Mixing, side: Side) void {
        const pass = mixing.pass;
        const matrix = mixing.matrixOf(side);
        const bytes = @as(usize, mixing.own.heads) * matrix.groups() * matrix.group_bytes * pass.tokens;
        const threads = if (bytes < shared_bytes_min) 1 else pass.threads;
        const wanted = std.math.divCeil(u32, threads * parts_a_thread, mixing.own.heads) catch unreachable;
        const product: HeadProduct = .{
            .mixing = mixing,
            .side = side,
            .matrix = matrix,
            .groups_a_part = std.math.divCeil(u32, matrix.groups(), @min(wanted, matrix.groups())) catch unreachable,
        };
        pool.parallel(threads, mixing.own.heads * product.parts(), @constCast(&product), HeadProduct.item);
    }
};

/// One matrix for each head, shared out by heads and by groups of rows.
const HeadProduct = struct {
    mixing: *const Mixing,
    side: Side,
    matrix: Matrix,
    groups_a_part: u32,

    fn parts(product: *const HeadProduct) u32 {
        return std.math.divCeil(u32, product.matrix.groups(), product.groups_a_part) catch unreachable;
    }

    fn item(context: *anyopaque, number: u32, _: u32) void {
        const product: *const HeadProduct = @ptrCast(@alignCast(context));
        const own = product.mixing.own;
        const head = number / product.parts();
        const begin = number % product.parts() * product.groups_a_part;
        const scratch = product.mixing.room.own;
        const rows = product.mixing.pass.scratch;
        const matrix = product.matrix.slab(head);
        const input = product.mixing.inputOf(product.side, head);
        const out: level_table.Matmul = switch (product.side) {
            .keys => .{ .weights = matrix.packed_bytes, .group_bytes = matrix.group_bytes, .activations = &input, .out = scratch.absorbed[head * (own.rank + own.rotated) ..].ptr, .out_stride = scratch.absorbed_stride, .scale = matrix.scale() },
            .values => .{ .weights = matrix.packed_bytes, .group_bytes = matrix.group_bytes, .activations = &input, .out = rows.rows[head * own.v_dim ..].ptr, .out_stride = rows.input_stride, .scale = matrix.scale() },
        };
        assert(matrix.rows % level_table.lanes == 0 and head < own.heads);
        matrix.format.matmul(&out, begin, @min(begin + product.groups_a_part, matrix.groups()), null);
    }
};
