//! Attention of new tokens over the pages of one sequence, in blocks of 64 absolute positions (DESIGN 4).
//!
//! The unit of work is a tile: one to eight queries that share a KV head (heads of a group, consecutive tokens), so that
//! a key or value is loaded and widened once for all of them. For each block a query gets (maximum, sum, vector):
//!   score  q·k by fma over d in four accumulators (d mod 4), (0+1)+(2+3), times scale, then the soft cap
//!   sum    of p = exp(score - maximum): lane = position mod 16, the four groups in order, then the tree
//!   vector p·v by fma over the visible positions in order, from 0
//! Blocks are merged from left to right by `merge`; the end multiplies the vector by 1 / sum. No query's additions depend
//! on its tile, so a tile of eight, one query, and blocks spread over threads give the same bits.

const std = @import("std");
const abi = @import("../abi.zig");
const limits = @import("../limits.zig");
const simd = @import("../simd.zig");
const activation = @import("activation.zig");
const kv = @import("kv.zig");
const math = @import("math.zig");

const F = simd.F;
const Attention = abi.Attention;
const block_positions = abi.attention_block;
const groups_max = block_positions / 16;

/// Accumulators that stay in registers beside what feeds them, and the widest tile that they allow.
const accumulators = if (simd.registers >= 32) 16 else if (simd.registers >= 8) 4 else 1;
const width_max = if (simd.registers >= 32) 8 else if (simd.registers >= 8) 4 else 1;

pub fn attention(args: *const Attention, kv_head: u32, begin: u32, end: u32) callconv(.c) void {
    switch (args.kv.type) {
        inline else => |kind| attend(kind, args, kv_head, begin, end),
    }
}

pub fn attentionBlocks(args: *const Attention, kv_head: u32, token: u32, block_begin: u32, block_end: u32, partials: [*]f32) callconv(.c) void {
    switch (args.kv.type) {
        inline else => |kind| attendBlocks(kind, args, kv_head, token, block_begin, block_end, partials),
    }
}

pub fn attentionMerge(args: *const Attention, head: u32, token: u32, block_begin: u32, block_end: u32, partials: [*]const f32) callconv(.c) void {
    var buffer: [limits.head_dim_max]f32 align(64) = undefined;
    var total: State = .{ .vector = &buffer };
    for (block_begin..block_end) |block| {
        const partial = partials + (block * args.heads + head) * abi.partialFloats(args.kv.v_dim);
        total.merge(partial[0], partial[1], partial + 2, args.kv.v_dim);
    }
    total.finish(args, token, head);
}

/// What a query has so far. Sum 0 means nothing: the sum of a visible block is at least 1.
const State = struct {
    max: f32 = 0,
    sum: f32 = 0,
    vector: [*]f32,

    /// Adds a block that lies to the right. With m the greater maximum, a = exp(own - m) and b = exp(block - m):
    /// sum = fma(sum, a, block * b), and so each element.
    fn merge(state: *State, max: f32, sum: f32, vector: [*]const f32, n: usize) void {
        if (sum == 0) return;
        if (state.sum == 0) {
            state.max = max;
            state.sum = sum;
            @memcpy(state.vector[0..n], vector[0..n]);
            return;
        }
        const greater = @max(state.max, max);
        var exponents: [16]f32 = @splat(0);
        exponents[0] = state.max - greater;
        exponents[1] = max - greater;
        const factors: [16]f32 = math.exp(exponents);
        const a = simd.splat(factors[0]);
        const b = simd.splat(factors[1]);
        state.max = greater;
        state.sum = simd.fma(state.sum, factors[0], sum * factors[1]);
        var d: usize = 0;
        while (d + 16 <= n) : (d += 16) {
            simd.store(state.vector + d, simd.fma(simd.load(state.vector + d), a, simd.load(vector + d) * b));
        }
        if (d == n) return;
        const own = simd.loadPart(state.vector + d, n - d, 0);
        simd.storePart(state.vector + d, n - d, simd.fma(own, a, simd.loadPart(vector + d, n - d, 0) * b));
    }

    fn finish(state: *const State, args: *const Attention, token: usize, head: usize) void {
        const n = args.kv.v_dim;
        const out = args.out + token * args.out_stride + head * n;
        const inverse = 1.0 / state.sum;
        var d: usize = 0;
        while (d + 16 <= n) : (d += 16) simd.store(out + d, simd.load(state.vector + d) * simd.splat(inverse));
        while (d < n) : (d += 1) out[d] = state.vector[d] * inverse;
    }
};

fn attend(comptime kind: abi.KvType, args: *const Attention, kv_head: usize, begin: usize, end: usize) void {
    const group = args.heads / args.kv.heads;
    const count = (end - begin) * group;
    var query: usize = 0;
    while (query < count) {
        const left = count - query;
        inline for (.{ 8, 4, 2, 1 }) |width| {
            if (width <= width_max and width <= left) {
                var tile: Tile(kind, width) = undefined;
                for (0..width) |i| {
                    tile.tokens[i] = begin + (query + i) / group;
                    tile.heads[i] = kv_head * group + (query + i) % group;
                }
                tile.run(args, kv_head);
                query += width;
                break;
            }
        }
    }
}

fn attendBlocks(
    comptime kind: abi.KvType,
    args: *const Attention,
    kv_head: usize,
    token: usize,
    block_begin: usize,
    block_end: usize,
    partials: [*]f32,
) void {
    const group = args.heads / args.kv.heads;
    var head: usize = kv_head * group;
    const head_end = head + group;
    while (head < head_end) {
        const left = head_end - head;
        inline for (.{ 8, 4, 2, 1 }) |width| {
            if (width <= width_max and width <= left) {
                var tile: Tile(kind, width) = undefined;
                for (0..width) |i| {
                    tile.tokens[i] = token;
                    tile.heads[i] = head + i;
                }
                tile.partials(args, kv_head, block_begin, block_end, partials);
                head += width;
                break;
            }
        }
    }
}

/// `width` queries of one KV head. The caller fills `tokens` and `heads`.
fn Tile(comptime kind: abi.KvType, comptime width: usize) type {
    return struct {
        const Self = @This();
        /// Accumulators of one query: of the four of q·k, and of the vectors that make up a row of V.
        const k_share: usize = @max(1, @min(4, accumulators / width));
        const v_share: usize = @max(1, @min(8, accumulators / width));

        tokens: [width]usize,
        heads: [width]usize,
        args: *const Attention,
        kv_head: usize,
        /// The positions that each query sees.
        seen_begin: [width]usize,
        seen_end: [width]usize,
        /// [d][query]: an fma's broadcast operands lie side by side.
        queries: [limits.head_dim_max * width]f32 align(64),
        /// Scores, then p, of one block.
        scores: [width][block_positions]f32 align(64),
        /// The result of one block: maxima, sums, and vectors at `vectors[query * stride]`.
        max: [width]f32,
        sum: [width]f32,
        vectors: [*]f32,
        stride: usize,
        /// Inside the current block.
        keys: [groups_max]kv.Part(kind),
        rows: [groups_max]kv.Part(kind),

        fn prepare(tile: *Self, args: *const Attention, kv_head: usize) void {
            tile.args = args;
            tile.kv_head = kv_head;
            const k_dim: usize = args.kv.k_dim;
            for (0..width) |i| {
                const q = args.q + tile.tokens[i] * args.q_stride + tile.heads[i] * k_dim;
                for (0..k_dim) |d| tile.queries[d * width + i] = q[d];
                const end = args.position + tile.tokens[i] + 1;
                tile.seen_end[i] = end;
                tile.seen_begin[i] = if (args.window == 0) 0 else end -| args.window;
            }
        }

        fn run(tile: *Self, args: *const Attention, kv_head: usize) void {
            tile.prepare(args, kv_head);
            var total: [limits.head_dim_max * width]f32 align(64) = undefined;
            var block: [limits.head_dim_max * width]f32 align(64) = undefined;
            const v_dim = args.kv.v_dim;
            var states: [width]State = undefined;
            for (&states, 0..) |*state, i| state.* = .{ .vector = total[i * v_dim ..].ptr };
            tile.vectors = &block;
            tile.stride = v_dim;
            const first = std.mem.min(usize, &tile.seen_begin) / block_positions;
            const last = (std.mem.max(usize, &tile.seen_end) - 1) / block_positions;
            for (first..last + 1) |index| {
                tile.attendBlock(index);
                for (&states, 0..) |*state, i| {
                    state.merge(tile.max[i], tile.sum[i], tile.vectors + i * tile.stride, v_dim);
                }
            }
            for (&states, 0..) |*state, i| state.finish(args, tile.tokens[i], tile.heads[i]);
        }

        fn partials(tile: *Self, args: *const Attention, kv_head: usize, begin: usize, end: usize, out: [*]f32) void {
            tile.prepare(args, kv_head);
            tile.stride = abi.partialFloats(args.kv.v_dim);
            for (begin..end) |index| {
                const partial = out + (index * args.heads + tile.heads[0]) * tile.stride;
                tile.vectors = partial + 2;
                tile.attendBlock(index);
                for (0..width) |i| {
                    partial[i * tile.stride] = tile.max[i];
                    partial[i * tile.stride + 1] = tile.sum[i];
                }
            }
        }

        /// Block `index` for every query; sum 0 where it sees nothing of it.
        fn attendBlock(tile: *Self, index: usize) void {
            const start = index * block_positions;
            var from: [width]usize = undefined;
            var to: [width]usize = undefined;
            var low: usize = block_positions;
            var high: usize = 0;
            for (0..width) |i| {
                from[i] = @max(tile.seen_begin[i], start) - start;
                to[i] = @min(tile.seen_end[i] -| start, block_positions);
                if (from[i] >= to[i]) {
                    to[i] = from[i];
                    continue;
                }
                low = @min(low, from[i]);
                high = @max(high, to[i]);
            }
            if (low >= high) {
                tile.max = @splat(0);
                tile.sum = @splat(0);
                return;
            }
            for (low / 16..(high + 15) / 16) |g| {
                tile.keys[g] = kv.keys(kind, &tile.args.kv, tile.kv_head, start + g * 16);
                tile.rows[g] = kv.rows(kind, &tile.args.kv, tile.kv_head, start + g * 16);
            }
            tile.weigh(&from, &to, low, high);
            tile.gather(&from, &to);
        }

        /// Scores of the positions [low, high), and from them each query's maximum, p and sum.
        fn weigh(tile: *Self, from: *const [width]usize, to: *const [width]usize, low: usize, high: usize) void {
            const hidden = simd.splat(-std.math.inf(f32));
            var most: [width]F = @splat(hidden);
            for (low / 16..(high + 15) / 16) |g| {
                var products: [width]F = undefined;
                tile.multiply(tile.keys[g], &products);
                const position = std.simd.iota(u32, 16) + @as(simd.U, @splat(@intCast(g * 16)));
                for (&products, 0..) |product, i| {
                    var score = product * simd.splat(tile.args.scale);
                    if (tile.args.softcap != 0) score = activation.capped(score, tile.args.softcap);
                    const visible = (position >= @as(simd.U, @splat(@intCast(from[i])))) &
                        (position < @as(simd.U, @splat(@intCast(to[i]))));
                    score = @select(f32, visible, score, hidden);
                    most[i] = @max(most[i], score);
                    simd.store(tile.scores[i][g * 16 ..].ptr, score);
                }
            }
            for (0..width) |i| {
                tile.max[i] = 0;
                tile.sum[i] = 0;
                if (from[i] == to[i]) continue;
                const max = simd.treeMax(most[i]);
                var sum = simd.splat(0);
                // Where the query sees nothing, exp(-inf) adds 0.
                for (low / 16..(high + 15) / 16) |g| {
                    const p = math.exp(simd.load(tile.scores[i][g * 16 ..].ptr) - simd.splat(max));
                    simd.store(tile.scores[i][g * 16 ..].ptr, p);
                    sum += p;
                }
                tile.max[i] = max;
                tile.sum[i] = simd.tree(sum);
            }
        }

        /// q·k of every query with 16 keys. The accumulators (d mod 4) take turns if the registers cannot hold all.
        fn multiply(tile: *const Self, key: kv.Part(kind), products: *[width]F) void {
            const k_dim: usize = tile.args.kv.k_dim;
            var parts: [4][width]F = undefined;
            var r: usize = 0;
            while (r < 4) : (r += k_share) {
                var acc: [k_share][width]F = @splat(@splat(simd.splat(0)));
                var d = r;
                while (d + k_share <= k_dim) : (d += 4) {
                    inline for (0..k_share) |share| tile.multiplyOne(key, d + share, &acc[share]);
                }
                // At most one of the lines d, d + 4, ... is cut by the end.
                inline for (0..k_share) |share| {
                    if (d + share < k_dim) tile.multiplyOne(key, d + share, &acc[share]);
                }
                for (0..k_share) |share| parts[r + share] = acc[share];
            }
            for (products, 0..) |*product, i| product.* = (parts[0][i] + parts[1][i]) + (parts[2][i] + parts[3][i]);
        }

        inline fn multiplyOne(tile: *const Self, key: kv.Part(kind), d: usize, acc: *[width]F) void {
            var line = kv.load(kind, key.values + d * 16);
            if (kind == .q8_0) line *= simd.loadF16(key.scales + d / kv.block * 16);
            inline for (0..width) |i| acc[i] = simd.fma(line, simd.splat(tile.queries[d * width + i]), acc[i]);
        }

        /// p·v. What all queries see goes through the tile; the ends, where they differ, one query at a time.
        fn gather(tile: *Self, from: *const [width]usize, to: *const [width]usize) void {
            for (0..width) |i| @memset(tile.vectors[i * tile.stride ..][0..tile.args.kv.v_dim], 0);
            const begin = std.mem.max(usize, from);
            const end = std.mem.min(usize, to);
            if (begin >= end) {
                for (0..width) |i| tile.addRows(1, i, from[i], to[i]);
                return;
            }
            for (0..width) |i| tile.addRows(1, i, from[i], begin);
            tile.addRows(width, 0, begin, end);
            for (0..width) |i| tile.addRows(1, i, end, to[i]);
        }

        /// Adds p·v of the positions [from, to) to the vectors of `count` queries, the first of them `query`.
        fn addRows(tile: *Self, comptime count: usize, query: usize, from: usize, to: usize) void {
            if (from >= to) return;
            const v_dim: usize = tile.args.kv.v_dim;
            var d: usize = 0;
            inline for (.{ 8, 4, 2, 1 }) |share| if (share <= v_share) {
                while (d + 16 * share <= v_dim) : (d += 16 * share) tile.addColumns(count, share, query, from, to, d);
            };
            if (d < v_dim) tile.addColumns(count, 0, query, from, to, d);
        }

        /// `share` vectors of columns from `d` on; 0: the last few columns, less than a vector.
        fn addColumns(tile: *Self, comptime count: usize, comptime share: usize, query: usize, from: usize, to: usize, d: usize) void {
            const v_dim: usize = tile.args.kv.v_dim;
            const vectors = @max(share, 1);
            const out = tile.vectors + query * tile.stride + d;
            var acc: [count][vectors]F = undefined;
            inline for (0..count) |i| inline for (0..vectors) |c| {
                const p = out + i * tile.stride + c * 16;
                acc[i][c] = if (share == 0) simd.loadPart(p, v_dim - d, 0) else simd.load(p);
            };
            for (from / 16..(to + 15) / 16) |g| {
                const rows = tile.rows[g];
                for (@max(from, g * 16)..@min(to, g * 16 + 16)) |position| {
                    const row = position % 16 * v_dim + d;
                    var values: [vectors]F = undefined;
                    inline for (0..vectors) |c| {
                        const p = rows.values + row + c * 16;
                        values[c] = if (share == 0) kv.loadPart(kind, p, v_dim - d) else kv.load(kind, p);
                        if (kind == .q8_0) values[c] *= simd.splat(simd.fromF16(1, .{rows.scales[(row + c * 16) / kv.block]})[0]);
                    }
                    inline for (0..count) |i| {
                        const p = simd.splat(tile.scores[query + i][position]);
                        inline for (0..vectors) |c| acc[i][c] = simd.fma(p, values[c], acc[i][c]);
                    }
                }
            }
            inline for (0..count) |i| inline for (0..vectors) |c| {
                const p = out + i * tile.stride + c * 16;
                if (share == 0) simd.storePart(p, v_dim - d, acc[i][c]) else simd.store(p, acc[i][c]);
            };
        }
    };
}
