//! Attention of new tokens over the pages of one sequence, in blocks of 64 absolute positions (docs/design/contract.md, "Attention").
//!
//! The unit of work is a tile: one to eight queries that share a KV head (heads of a group, consecutive tokens), so that
//! a key or value is loaded and widened once for all of them; of a prompt, tiles go over the blocks together, as a panel, so
//! that a block is widened once for all of these. For each block a query gets (maximum, sum, vector):
//!   score  q·k by fma over d in four accumulators (d mod 4), (0+1)+(2+3), times scale, then the soft cap
//!   sum    of p = exp(score - maximum): lane = position mod 16, the four groups in order, then the tree
//!   vector p·v by fma over the visible positions in order, from 0
//! Blocks are merged from left to right by `merge`; a sink joins after the last one; the end multiplies the vector by 1 / sum. No query's additions depend
//! on its tile, so a tile of eight, one query, and blocks spread over threads give the same bits.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const limits = @import("../limits.zig");
const simd = @import("../level/simd.zig");
const kv = @import("kv.zig");
const tiles = @import("attention_tile.zig");

const Attention = level_table.Attention;
const block_positions = tiles.block_positions;
const width_max = tiles.width_max;
const Block = tiles.Block;
const State = tiles.State;
const Tile = tiles.Tile;

pub fn attention(args: *const Attention, kv_head: u32, begin: u32, end: u32) callconv(.c) void {
    const group = args.heads / args.kv.heads;
    var query: usize = @as(usize, begin) * group;
    const query_end = @as(usize, end) * group;
    while (query < query_end) {
        if (query_end - query > width_max and Panel.fits(args)) {
            query += panel(args, kv_head, query, query_end);
            continue;
        }
        var queries: tiles.Queries align(64) = undefined;
        var tile: Tile = undefined;
        query += tile.take(args, kv_head, query, query_end, &queries);
        tile.run();
    }
}

/// Runs a panel in a stack frame of its own; returns how many queries it took.
noinline fn panel(args: *const Attention, kv_head: usize, query: usize, query_end: usize) usize {
    var many: Panel = undefined;
    const taken = many.take(args, kv_head, query, query_end);
    many.run();
    return taken;
}

pub fn attentionBlocks(args: *const Attention, kv_head: u32, token: u32, block_begin: u32, block_end: u32, partials: [*]f32) callconv(.c) void {
    const group = args.heads / args.kv.heads;
    var query: usize = @as(usize, token) * group;
    const query_end = query + group;
    while (query < query_end) {
        var queries: tiles.Queries align(64) = undefined;
        var tile: Tile = undefined;
        query += tile.take(args, kv_head, query, query_end, &queries);
        tile.runBlocks(block_begin, block_end, partials);
    }
}

pub fn attentionMerge(args: *const Attention, head: u32, token: u32, block_begin: u32, block_end: u32, partials: [*]const f32) callconv(.c) void {
    var buffer: [limits.head_dim_max]f32 align(64) = undefined;
    var total: State = .{ .vector = &buffer };
    for (block_begin..block_end) |block| {
        const partial = partials + (block * args.heads + head) * level_table.partialFloats(args.kv.v_dim);
        total.merge(partial[0], partial[1], partial + 2, args.kv.v_dim);
    }
    total.finish(args, token, head);
}

/// Tiles of a prompt that go over the blocks together, so that a stored block is widened once for all of them.
const Panel = struct {
    const tiles_max = 8;
    const dim_max = 256;

    args: *const Attention,
    kv_head: usize,
    count: usize,
    members: [tiles_max]Tile,
    states: [tiles_max][width_max]State,
    /// Those of each tile behind the one before, so that short heads stay in the first cache.
    queries: [tiles_max * dim_max * width_max]f32 align(64),
    totals: [tiles_max * dim_max * width_max]f32 align(64),
    vectors: [dim_max * width_max]f32 align(64),
    block: Block,
    keys: [dim_max * block_positions]f32 align(64),
    rows: [dim_max * block_positions]f32 align(64),

    fn fits(args: *const Attention) bool {
        return args.kv.k_dim <= dim_max and args.kv.v_dim <= dim_max and !args.kv.values_in_keys;
    }

    fn take(many: *Panel, args: *const Attention, kv_head: usize, query: usize, query_end: usize) usize {
        many.args = args;
        many.kv_head = kv_head;
        many.count = 0;
        var taken: usize = 0;
        while (many.count < tiles_max and query + taken < query_end) : (many.count += 1) {
            const tile = &many.members[many.count];
            const at = many.count * width_max;
            taken += tile.take(args, kv_head, query + taken, query_end, @alignCast(many.queries[at * std.mem.alignForward(usize, args.kv.k_dim, 16) ..].ptr));
            tile.start(&many.states[many.count], many.totals[at * args.kv.v_dim ..].ptr, &many.vectors);
        }
        return taken;
    }

    fn run(many: *Panel) void {
        const members = many.members[0..many.count];
        var first: usize = std.math.maxInt(usize);
        var last: usize = 0;
        for (members) |*tile| {
            first = @min(first, tile.firstBlock());
            last = @max(last, tile.lastBlock());
        }
        for (first..last + 1) |index| {
            many.widen(index);
            for (members, many.states[0..members.len]) |*tile, *states| {
                if (index >= tile.firstBlock() and index <= tile.lastBlock()) tile.join(states, index, &many.block);
            }
        }
        for (members, many.states[0..members.len]) |*tile, *states| tile.finish(states);
    }

    /// Widens the positions of a block that the sequence has; floats are read where they are.
    fn widen(many: *Panel, index: usize) void {
        const args = many.args;
        const end: usize = args.position + args.tokens;
        const groups = @min(tiles.groups_max, (end - index * block_positions + 15) / 16);
        var stored: Block = undefined;
        stored.find(args, many.kv_head, index, 0, groups);
        if (stored.type == .f32) {
            many.block = stored;
            return;
        }
        many.block.type = .f32;
        switch (stored.type) {
            .f32 => unreachable,
            inline else => |kind| for (0..groups) |g| {
                many.block.keys[g] = widened(&many.keys, g * 16 * args.kv.k_dim);
                many.block.rows[g] = widened(&many.rows, g * 16 * args.kv.v_dim);
                many.block.ahead[g] = many.block.rows[g].bytes;
                const lines = many.keys[g * 16 * args.kv.k_dim ..];
                for (0..args.kv.k_dim) |d| {
                    tiles.fetch(kind, 1, stored.rows[g].bytes, d * 16);
                    simd.store(lines[d * 16 ..].ptr, tiles.lineOf(kind, stored.keys[g], d));
                }
                const rows = many.rows[g * 16 * args.kv.v_dim ..];
                var element: usize = 0;
                while (element < 16 * args.kv.v_dim) : (element += 16) {
                    tiles.fetch(kind, 1, stored.ahead[g], element);
                    simd.store(rows[element..].ptr, tiles.valuesOf(kind, stored.rows[g], element));
                }
            },
        }
    }

    fn widened(values: []f32, begin: usize) kv.Part {
        return .{ .bytes = @ptrCast(values[begin..].ptr), .scales = undefined };
    }
};
