//! One to eight queries of one KV head over a block of 64 positions, and what comes of their blocks: the order of sums that
//! `attention.zig` tells. Registers hold a tile's sums; which tiles there are, and which blocks they meet, is told from outside.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const limits = @import("../limits.zig");
const float16 = @import("../level/float16.zig");
const isa = @import("../level/isa.zig");
const simd = @import("../level/simd.zig");
const activation = @import("activation.zig");
const kv = @import("kv.zig");
const math = @import("math.zig");
const transpose = @import("transpose.zig");

const F = simd.F;
const Attention = level_table.Attention;
pub const block_positions = level_table.attention_block;
pub const groups_max = block_positions / 16;

/// Whole vectors that the registers hold; of these the accumulators, and the widest tile that keeps them there.
const held = isa.registers * isa.register_lanes / 16;
const accumulators = if (held >= 32) 16 else if (held >= 8) 4 else 1;
pub const width_max = if (held >= 32) 8 else if (held >= 8) 4 else 1;
const widths = switch (width_max) {
    8 => [_]usize{ 8, 4, 2, 1 },
    4 => [_]usize{ 4, 2, 1 },
    else => [_]usize{1},
};

/// Values of a head from which two groups of keys share a pass over the queries.
const long_head = 64;

/// The queries of a tile.
pub const Queries = [limits.head_dim_max * width_max]f32;
/// One query's scores of a block.
const Scores = [block_positions]f32;

/// What is known of a query so far. Sum 0: it has met no visible block, for the sum of one is at least 1.
pub const State = struct {
    max: f32 = 0,
    sum: f32 = 0,
    vector: [*]f32,

    /// Adds a block that lies to the right. With m the greater maximum, a = exp(own - m) and b = exp(block - m):
    /// sum = fma(sum, a, block * b), and so each element.
    pub fn merge(state: *State, max: f32, sum: f32, vector: [*]const f32, n: usize) void {
        if (sum == 0) return;
        if (state.sum == 0) state.begin(max, sum, vector, n) else state.add(state.weigh(max, sum), vector, n);
    }

    /// Takes the first block as it is.
    fn begin(state: *State, max: f32, sum: f32, vector: [*]const f32, n: usize) void {
        state.max = max;
        state.sum = sum;
        @memcpy(state.vector[0..n], vector[0..n]);
    }

    /// The vector of both, by the factors of either.
    inline fn add(state: *State, factors: [2]f32, vector: [*]const f32, n: usize) void {
        const a = simd.splat(factors[0]);
        const b = simd.splat(factors[1]);
        var d: usize = 0;
        while (d + 16 <= n) : (d += 16) {
            simd.store(state.vector + d, simd.fma(simd.load(state.vector + d), a, simd.load(vector + d) * b));
        }
        if (d == n) return;
        const own = simd.loadPart(state.vector + d, n - d, 0);
        simd.storePart(state.vector + d, n - d, simd.fma(own, a, simd.loadPart(vector + d, n - d, 0) * b));
    }

    /// Joins the maximum and the sum of the next block; returns two factors: that of the vector so far, and that of the block's.
    fn weigh(state: *State, max: f32, sum: f32) [2]f32 {
        const greater = @max(state.max, max);
        var exponents: [16]f32 = @splat(0);
        exponents[0] = state.max - greater;
        exponents[1] = max - greater;
        const factors: [16]f32 = math.exp(exponents);
        state.take(greater, sum, factors[0..2].*);
        return factors[0..2].*;
    }

    pub inline fn take(state: *State, greater: f32, sum: f32, factors: [2]f32) void {
        state.max = greater;
        state.sum = simd.fma(state.sum, factors[0], sum * factors[1]);
    }

    pub fn finish(state: *State, args: *const Attention, token: usize, head: usize) void {
        const n = args.kv.v_dim;
        const out = args.out + token * args.out_stride + head * n;
        const kept = if (args.sinks) |sinks| state.weigh(sinks[head], 1)[0] else 1;
        const inverse = kept / state.sum;
        var d: usize = 0;
        while (d + 16 <= n) : (d += 16) simd.store(out + d, simd.load(state.vector + d) * simd.splat(inverse));
        while (d < n) : (d += 1) out[d] = state.vector[d] * inverse;
    }
};

/// The keys and values of one block: as they are stored, or widened.
pub const Block = struct {
    type: level_table.KvType,
    keys: [groups_max]kv.Part,
    rows: [groups_max]kv.Part,
    /// The keys of the next block, which lie behind these rows.
    ahead: [groups_max][*]const u8,

    /// Finds the groups [begin, end) of block `index` where they are stored.
    pub fn find(block: *Block, args: *const Attention, kv_head: usize, index: usize, begin: usize, end: usize) void {
        const seen_end = @as(usize, args.position) + args.tokens;
        block.type = args.kv.type;
        for (begin..end) |g| {
            const position = index * block_positions + g * 16;
            block.keys[g] = kv.keys(&args.kv, kv_head, position);
            block.rows[g] = if (args.kv.values_in_keys) block.keys[g] else kv.rows(&args.kv, kv_head, position);
            const next = position + block_positions;
            block.ahead[g] = if (next < seen_end) kv.keys(&args.kv, kv_head, next).bytes else block.rows[g].bytes;
        }
    }
};

/// Up to `width_max` queries of one KV head.
pub const Tile = struct {
    args: *const Attention,
    kv_head: usize,
    width: usize,
    tokens: [width_max]usize,
    heads: [width_max]usize,
    /// Each query's position, and the positions that it sees.
    own: [width_max]usize,
    seen_begin: [width_max]usize,
    seen_end: [width_max]usize,
    /// [d][query]: what an fma broadcasts lies side by side.
    queries: [*]align(64) f32,

    // Where the current block begins; the block, scores (then p), and what comes of it; query i's vector is at vectors[i * stride].
    origin: usize,
    block: *const Block,
    from: [width_max]usize,
    to: [width_max]usize,
    scores: [width_max]Scores align(64),
    max: [width_max]f32,
    sum: [width_max]f32,
    vectors: [*]f32,
    stride: usize,

    /// Takes as many queries as a tile can have, from `query` (token * group + head in the group) on; returns how many.
    pub fn take(tile: *Tile, args: *const Attention, kv_head: usize, query: usize, query_end: usize, queries: [*]align(64) f32) usize {
        const group = args.heads / args.kv.heads;
        const k_dim: usize = args.kv.k_dim;
        var width: usize = width_max;
        while (width > query_end - query) width /= 2;
        tile.args = args;
        tile.kv_head = kv_head;
        tile.width = width;
        tile.queries = queries;
        for (0..width) |i| {
            const token = (query + i) / group;
            const head = kv_head * group + (query + i) % group;
            tile.tokens[i] = token;
            tile.heads[i] = head;
            const own = args.position + token;
            tile.own[i] = own;
            tile.seen_end[i] = @min(own + 1 + args.ahead, @as(usize, args.position) + args.tokens);
            tile.seen_begin[i] = if (args.window == 0) 0 else (own + 1) -| args.window;
            const q = args.q + token * args.q_stride + head * k_dim;
            for (0..k_dim) |d| tile.queries[d * width + i] = q[d];
        }
        return width;
    }

    /// All blocks, merged and divided, to `out`.
    pub fn run(tile: *Tile) void {
        var total: [limits.head_dim_max * width_max]f32 align(64) = undefined;
        var vectors: [limits.head_dim_max * width_max]f32 align(64) = undefined;
        var states: [width_max]State = undefined;
        tile.start(&states, &total, &vectors);
        for (tile.firstBlock()..tile.lastBlock() + 1) |index| tile.join(&states, index, null);
        tile.finish(&states);
    }

    /// Begins before the first block: `states` keep their vectors in `total`, each block writes its own to `vectors`.
    pub fn start(tile: *Tile, states: *[width_max]State, total: [*]f32, vectors: [*]f32) void {
        for (states[0..tile.width], 0..) |*state, i| state.* = .{ .vector = total + i * tile.args.kv.v_dim };
        tile.vectors = vectors;
        tile.stride = tile.args.kv.v_dim;
    }

    pub fn firstBlock(tile: *const Tile) usize {
        return std.mem.min(usize, tile.seen_begin[0..tile.width]) / block_positions;
    }

    pub fn lastBlock(tile: *const Tile) usize {
        return (std.mem.max(usize, tile.seen_end[0..tile.width]) - 1) / block_positions;
    }

    /// Adds a block that lies to the right.
    pub fn join(tile: *Tile, states: *[width_max]State, index: usize, found: ?*const Block) void {
        tile.attend(index, found);
        const n = tile.args.kv.v_dim;
        // As `State.weigh` does it, for all queries by one exp: the factors of query i lie in lanes i and 8 + i.
        comptime std.debug.assert(width_max <= 8);
        var exponents: [16]f32 = @splat(0);
        for (states[0..tile.width], 0..) |*state, i| {
            const greater = @max(state.max, tile.max[i]);
            exponents[i] = state.max - greater;
            exponents[8 + i] = tile.max[i] - greater;
        }
        const factors: [16]f32 = math.exp(exponents);
        for (states[0..tile.width], 0..) |*state, i| {
            const vector = tile.vectors + i * tile.stride;
            if (tile.sum[i] == 0) continue;
            if (state.sum == 0) {
                state.begin(tile.max[i], tile.sum[i], vector, n);
                continue;
            }
            const own = .{ factors[i], factors[8 + i] };
            state.take(@max(state.max, tile.max[i]), tile.sum[i], own);
            state.add(own, vector, n);
        }
    }

    pub fn finish(tile: *const Tile, states: *[width_max]State) void {
        for (states[0..tile.width], 0..) |*state, i| state.finish(tile.args, tile.tokens[i], tile.heads[i]);
    }

    /// The blocks [begin, end), each left where `attentionMerge` finds it. The heads of a tile follow one another.
    pub fn runBlocks(tile: *Tile, begin: usize, end: usize, partials: [*]f32) void {
        tile.stride = level_table.partialFloats(tile.args.kv.v_dim);
        for (begin..end) |index| {
            const partial = partials + (index * tile.args.heads + tile.heads[0]) * tile.stride;
            tile.vectors = partial + 2;
            tile.attend(index, null);
            for (0..tile.width) |i| {
                partial[i * tile.stride] = tile.max[i];
                partial[i * tile.stride + 1] = tile.sum[i];
            }
        }
    }

    /// One block for every query, read from `found` or from its page; a query that sees none of it gets sum 0.
    fn attend(tile: *Tile, index: usize, found: ?*const Block) void {
        var stored: Block = undefined;
        const origin = index * block_positions;
        tile.origin = origin;
        var low: usize = block_positions;
        var high: usize = 0;
        for (0..tile.width) |i| {
            tile.max[i] = 0;
            tile.sum[i] = 0;
            const from = @min(tile.seen_begin[i] -| origin, block_positions);
            const to = @max(@min(tile.seen_end[i] -| origin, block_positions), from);
            tile.from[i] = from;
            tile.to[i] = to;
            if (from == to) continue;
            low = @min(low, from);
            high = @max(high, to);
        }
        if (low >= high) return;
        const groups = .{ low / 16, (high + 15) / 16 };
        if (found) |block| tile.block = block else {
            stored.find(tile.args, tile.kv_head, index, groups[0], groups[1]);
            tile.block = &stored;
        }
        tile.multiply(groups[0], groups[1]);
        // Two loops: what one query's maximum waits for, the next one's scores fill.
        for (0..tile.width) |i| if (tile.from[i] < tile.to[i]) tile.findMax(i, groups[0], groups[1]);
        for (0..tile.width) |i| if (tile.from[i] < tile.to[i]) tile.weigh(i, groups[0], groups[1]);
        tile.gather();
    }

    /// q·k of every query with the keys of the groups [begin, end), to `scores`.
    fn multiply(tile: *Tile, begin: usize, end: usize) void {
        switch (tile.block.type) {
            inline else => |kind| inline for (widths) |width| {
                if (width == tile.width) {
                    var g = begin;
                    // Of long heads two groups share the queries' values; of short ones, what their sums wait in would cost more.
                    const shares = kind == .f32 and width == width_max and 2 * width <= accumulators;
                    if (shares and tile.args.kv.k_dim >= long_head) while (g + 2 <= end) : (g += 2) tile.products(kind, width, 2, g);
                    while (g < end) : (g += 1) tile.products(kind, width, 1, g);
                    return;
                }
            },
        }
        unreachable;
    }

    /// From the products of query `i` in groups [begin, end): scores in place of the products, and their maximum.
    fn findMax(tile: *Tile, i: usize, begin: usize, end: usize) void {
        const hidden = simd.splat(-std.math.inf(f32));
        const from: simd.U = @splat(@intCast(tile.from[i]));
        const to: simd.U = @splat(@intCast(tile.to[i]));
        const scores = &tile.scores[i];
        const sees_all = tile.from[i] <= begin * 16 and tile.to[i] >= end * 16;
        var most = hidden;
        for (begin..end) |g| {
            var score = simd.load(scores[g * 16 ..].ptr) * simd.splat(tile.args.scale);
            if (tile.args.slopes) |slopes| score = tile.lowered(score, slopes[tile.heads[i]], i, g);
            if (tile.args.softcap != 0) score = activation.capped(score, tile.args.softcap);
            if (!sees_all) {
                const position = std.simd.iota(u32, 16) + @as(simd.U, @splat(@intCast(g * 16)));
                score = @select(f32, (position >= from) & (position < to), score, hidden);
            }
            most = @max(most, score);
            simd.store(scores[g * 16 ..].ptr, score);
        }
        tile.max[i] = simd.treeMax(most);
    }

    /// From the scores: p in their place, and its sum.
    fn weigh(tile: *Tile, i: usize, begin: usize, end: usize) void {
        const scores = &tile.scores[i];
        const max = simd.splat(tile.max[i]);
        var sum = simd.splat(0);
        for (begin..end) |g| {
            // A position that the query does not see has score -inf, and exp(-inf) adds 0.
            const less = simd.load(scores[g * 16 ..].ptr) - max;
            const p = if (isa.has_scale) @call(.always_inline, math.exp, .{less}) else math.exp(less);
            simd.store(scores[g * 16 ..].ptr, p);
            sum += p;
        }
        tile.sum[i] = simd.tree(sum);
    }

    /// Scores of query `i` lowered by `slope` for each position between it and a key of group `g`.
    fn lowered(tile: *const Tile, score: F, slope: f32, i: usize, g: usize) F {
        const first: i64 = @intCast(tile.origin + g * 16);
        const own: i64 = @intCast(tile.own[i]);
        const offset: f32 = @floatFromInt(first - own);
        const distance = @abs(std.simd.iota(f32, 16) + simd.splat(offset));
        return simd.fma(simd.splat(-slope), distance, score);
    }

    /// p·v. Positions that all queries see go through the tile; the ends, where queries differ, are added one query at a time.
    fn gather(tile: *Tile) void {
        const width = tile.width;
        const n = tile.args.kv.v_dim;
        const begin = std.mem.max(usize, tile.from[0..width]);
        const end = @max(begin, std.mem.min(usize, tile.to[0..width]));
        // Where all begin together, their sums begin in registers: to clear short vectors takes longer than to add them up.
        const together = begin < end and std.mem.min(usize, tile.from[0..width]) == begin;
        if (!together) {
            for (0..width) |i| zero(tile.vectors[i * tile.stride ..][0..n]);
            for (0..width) |i| tile.add(1, i, tile.from[i], @min(begin, tile.to[i]), false);
        }
        inline for (widths) |w| if (w == width) tile.add(w, 0, begin, end, together);
        for (0..width) |i| tile.add(1, i, @max(end, tile.from[i]), tile.to[i], false);
    }

    /// Adds p·v of the positions [from, to) to the vectors of `count` queries, the first of them `query`; `is_first`: to zeros.
    fn add(tile: *Tile, comptime count: usize, query: usize, from: usize, to: usize, is_first: bool) void {
        if (from >= to) return;
        switch (tile.block.type) {
            inline else => |kind| {
                const n: usize = tile.args.kv.v_dim;
                const seen: Seen = .{ .p = tile.scores[query..].ptr, .out = tile.vectors + query * tile.stride, .stride = tile.stride, .v_dim = n, .from = from, .to = to, .is_first = is_first };
                var d: usize = 0;
                if (tile.args.kv.values_in_keys) {
                    while (d < n) : (d += 16) tile.columnsOfKeys(kind, count, &seen, d);
                    return;
                }
                inline for (.{ 8, 4, 2, 1 }) |share| if (share <= @max(1, accumulators / count)) {
                    while (d + 16 * share <= n) : (d += 16 * share) {
                        tile.columns(kind, count, share, &seen, d);
                    }
                };
                if (d < n) tile.columns(kind, count, 0, &seen, d);
            },
        }
    }

    /// q·k of `width` queries with the keys of `count` groups. Where the registers cannot hold four accumulators of each, these
    /// take turns.
    fn products(tile: *Tile, comptime kind: level_table.KvType, comptime width: usize, comptime count: usize, group: usize) void {
        const queries = tile.queries;
        const k_dim = tile.args.kv.k_dim;
        const share: usize = @max(1, @min(4, accumulators / (width * count)));
        // Of so many accumulators each; (0 + 1) + (2 + 3) in all.
        var sums: [4 / share][count][width]F = undefined;
        var first: usize = 0;
        while (first < 4) : (first += share) {
            var acc: [share][count][width]F = @splat(@splat(@splat(simd.splat(0))));
            var d = first;
            while (d + share <= k_dim) : (d += 4) {
                inline for (0..count) |c| {
                    const ahead = if (tile.args.kv.values_in_keys) tile.block.ahead[group + c] else tile.block.rows[group + c].bytes;
                    fetch(kind, share, ahead, d * 16);
                }
                inline for (0..share) |r| multiplyLines(.{ .kind = kind, .width = width, .count = count }, tile.block.keys[group..].ptr, queries, d + r, &acc[r]);
            }
            inline for (0..share) |r| {
                if (d + r < k_dim) multiplyLines(.{ .kind = kind, .width = width, .count = count }, tile.block.keys[group..].ptr, queries, d + r, &acc[r]);
            }
            inline for (0..count) |c| inline for (0..width) |i| {
                sums[first / share][c][i] = switch (share) {
                    4 => (acc[0][c][i] + acc[1][c][i]) + (acc[2][c][i] + acc[3][c][i]),
                    2 => acc[0][c][i] + acc[1][c][i],
                    else => acc[0][c][i],
                };
            };
        }
        inline for (0..count) |c| inline for (0..width) |i| {
            const sum = switch (share) {
                4 => sums[0][c][i],
                2 => sums[0][c][i] + sums[1][c][i],
                else => (sums[0][c][i] + sums[1][c][i]) + (sums[2][c][i] + sums[3][c][i]),
            };
            simd.store(tile.scores[i][(group + c) * 16 ..].ptr, sum);
        };
    }

    /// The positions [from, to) of the block, their weights, and the vectors of the queries that see these positions.
    const Seen = struct { p: [*]const Scores, out: [*]f32, stride: usize, v_dim: usize, from: usize, to: usize, is_first: bool };

    /// p·v of what `count` queries see, for `share` vectors of columns from `d` of `v_dim` on; share 0: the last few columns,
    /// less than a vector.
    fn columns(tile: *const Tile, comptime kind: level_table.KvType, comptime count: usize, comptime share: usize, seen: *const Seen, d: usize) void {
        const v_dim = seen.v_dim;
        const vectors = @max(share, 1);
        var acc: [count][vectors]F = undefined;
        if (seen.is_first) acc = @splat(@splat(simd.splat(0))) else inline for (0..count) |i| inline for (0..vectors) |c| {
            const own = seen.out + i * seen.stride + d + c * 16;
            acc[i][c] = if (share == 0) simd.loadPart(own, v_dim - d, 0) else simd.load(own);
        };
        for (seen.from / 16..(seen.to + 15) / 16) |g| {
            const part = tile.block.rows[g];
            for (@max(seen.from, g * 16)..@min(seen.to, g * 16 + 16)) |position| {
                const element = position % 16 * v_dim + d;
                fetch(kind, share, tile.block.ahead[g], element);
                var values: [vectors]F = undefined;
                inline for (0..vectors) |c| {
                    const at = element + c * 16;
                    values[c] = if (share == 0) kv.loadPart(kind, part.values(kind) + at, v_dim - d) else valuesOf(kind, part, at);
                }
                inline for (0..count) |i| {
                    const weight = simd.splat(seen.p[i][position]);
                    inline for (0..vectors) |c| acc[i][c] = simd.fma(weight, values[c], acc[i][c]);
                }
            }
        }
        inline for (0..count) |i| inline for (0..vectors) |c| {
            const own = seen.out + i * seen.stride + d + c * 16;
            if (share == 0) simd.storePart(own, v_dim - d, acc[i][c]) else simd.store(own, acc[i][c]);
        };
    }

    /// The same for the 16 columns from `d` on where values are in keys: sixteen positions of a line of keys become sixteen
    /// columns of a position.
    fn columnsOfKeys(tile: *const Tile, comptime kind: level_table.KvType, comptime count: usize, seen: *const Seen, d: usize) void {
        const n = @min(16, seen.v_dim - d);
        var acc: [count]F = undefined;
        if (seen.is_first) acc = @splat(simd.splat(0)) else inline for (0..count) |i| {
            const own = seen.out + i * seen.stride + d;
            acc[i] = if (n == 16) simd.load(own) else simd.loadPart(own, n, 0);
        }
        for (seen.from / 16..(seen.to + 15) / 16) |g| {
            var lines: [16]F = @splat(simd.splat(0));
            for (lines[0..n], d..) |*line, column| line.* = lineOf(kind, tile.block.keys[g], column);
            lines = transpose.transposed(lines);
            for (@max(seen.from, g * 16)..@min(seen.to, g * 16 + 16)) |position| {
                inline for (0..count) |i| acc[i] = simd.fma(simd.splat(seen.p[i][position]), lines[position % 16], acc[i]);
            }
        }
        inline for (0..count) |i| {
            const own = seen.out + i * seen.stride + d;
            if (n == 16) simd.store(own, acc[i]) else simd.storePart(own, n, acc[i]);
        }
    }
};

pub inline fn lineOf(comptime kind: level_table.KvType, key: kv.Part, d: usize) F {
    const line = kv.load(kind, key.values(kind) + d * 16);
    return if (kind == .q8_0) line * float16.loadF16(key.scales + d / kv.block * 16) else line;
}

/// Sixteen values of one position, from `element` of its group on.
pub inline fn valuesOf(comptime kind: level_table.KvType, part: kv.Part, element: usize) F {
    const values = kv.load(kind, part.values(kind) + element);
    return if (kind == .q8_0) values * simd.splat(float16.fromF16(1, .{part.scales[element / kv.block]})[0]) else values;
}

/// How many queries meet how many groups of keys at once.
const Meeting = struct { kind: level_table.KvType, width: usize, count: usize };

inline fn multiplyLines(comptime meeting: Meeting, keys: [*]const kv.Part, queries: [*]const f32, d: usize, acc: *[meeting.count][meeting.width]F) void {
    const width = meeting.width;
    const count = meeting.count;
    var lines: [count]F = undefined;
    inline for (0..count) |c| lines[c] = lineOf(meeting.kind, keys[c], d);
    inline for (0..width) |i| {
        const query = simd.splat(queries[d * width + i]);
        inline for (0..count) |c| acc[c][i] = simd.fma(lines[c], query, acc[c][i]);
    }
}

inline fn zero(values: []f32) void {
    var d: usize = 0;
    while (d + 16 <= values.len) : (d += 16) simd.store(values[d..].ptr, simd.splat(0));
    while (d < values.len) : (d += 1) values[d] = 0;
}

/// Asks for the cache lines of `vectors` stored vectors from `element` on. Memory is read in short runs, a page of one
/// head at a time, which the processor foresees too late. Into the second cache: there more can be under way at once.
pub inline fn fetch(comptime kind: level_table.KvType, comptime vectors: usize, ahead: [*]const u8, element: usize) void {
    const size = @sizeOf(kv.Element(kind));
    inline for (0..vectors) |i| {
        if (i * 16 * size % 64 == 0) @prefetch(ahead + (element + i * 16) * size, .{ .locality = 2 });
    }
}
