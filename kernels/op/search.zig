//! How near rows are to a query, for an index of vectors: products of floats, products of bytes with a scale, equal bits. A row's
//! score depends on the row and the query alone.
//!
//! Floats add as norms do (docs/design/contract.md, "Reductions"): lane k mod 16 takes element k by fma, a short end is filled with
//! zeros, then the tree. Sums of products of bytes are exact, and so are counts of bits.

const std = @import("std");
const dot = @import("../level/dot.zig");
const isa = @import("../level/isa.zig");
const level_table = @import("../level/level_table.zig");
const simd = @import("../level/simd.zig");

const Bytes = simd.Bytes(16);
const block = 64;
/// How far ahead of a row its successors are fetched, in bytes: about what memory is late by.
const ahead = 2048;

/// scores[i] is that of row `begin` + i.
pub fn score(args: *const level_table.Search, begin: u32, end: u32, scores: [*]f32) callconv(.c) void {
    switch (args.kind) {
        .f32 => for (begin..end, 0..) |row, i| {
            scores[i] = floats(@ptrCast(@alignCast(at(args, row))), @ptrCast(@alignCast(args.query)), args.dimensions);
        },
        .int8 => {
            const query = Query.init(args);
            const scales: [*]align(4) const f32 = @ptrCast(@alignCast(args.scales.?));
            for (begin..end, 0..) |row, i| {
                const sum: f32 = @floatFromInt(query.product(at(args, row)));
                scores[i] = sum * (scales[row] * args.query_scale);
            }
        },
        .binary => for (begin..end, 0..) |row, i| {
            const different = differences(at(args, row), args.query, args.dimensions / 8);
            const same = @as(i32, @intCast(args.dimensions)) - 2 * @as(i32, @intCast(different));
            scores[i] = @as(f32, @floatFromInt(same)) / @as(f32, @floatFromInt(args.dimensions));
        },
    }
}

inline fn at(args: *const level_table.Search, row: usize) [*]const u8 {
    return args.rows + row * args.row_bytes;
}

fn floats(row: [*]const f32, query: [*]const f32, n: u32) f32 {
    var sums = simd.splat(0);
    var i: usize = 0;
    while (i + 16 <= n) : (i += 16) {
        @prefetch(@as([*]const u8, @ptrCast(row + i)) + ahead, .{ .locality = 0 });
        sums = simd.fma(simd.load(row + i), simd.load(query + i), sums);
    }
    if (i < n) sums = simd.fma(simd.loadPart(row + i, n - i, 0), simd.loadPart(query + i, n - i, 0), sums);
    return simd.tree(sums);
}

/// A query of bytes; none is -128.
const Query = struct {
    bytes: [*]const u8,
    n: u32,
    /// What products with rows come to that are kept plus 128, where the instruction wants that.
    correction: i32,

    fn init(args: *const level_table.Search) Query {
        var sum: i32 = 0;
        if (isa.signed_biased) for (args.query[0..args.dimensions]) |byte| {
            sum += @as(i8, @bitCast(byte));
        };
        return .{ .bytes = args.query, .n = args.dimensions, .correction = -128 * sum };
    }

    inline fn product(query: Query, row: [*]const u8) i32 {
        var sums: [2]dot.Dot(16, .signed, false, 1) = @splat(.init(@splat(0)));
        var i: usize = 0;
        while (i + 2 * block <= query.n) : (i += 2 * block) {
            inline for (0..2) |k| add(&sums[k], load(row + i + k * block), load(query.bytes + i + k * block));
        }
        while (i < query.n) : (i += block) {
            const left = query.n - i;
            // What lies behind the end is 0 in the query, whatever it is in the row.
            if (left >= block) add(&sums[0], load(row + i), load(query.bytes + i)) else add(&sums[0], part(row + i, left), part(query.bytes + i, left));
        }
        return @reduce(.Add, sums[0].sum +% sums[1].sum) +% query.correction;
    }

    inline fn add(sum: *dot.Dot(16, .signed, false, 1), row: Bytes, query: Bytes) void {
        const w = if (isa.signed_biased) row ^ @as(Bytes, @splat(0x80)) else row;
        sum.addColumns(0, w, @bitCast(query));
    }

    inline fn load(p: [*]const u8) Bytes {
        @prefetch(p + ahead, .{ .locality = 0 });
        return @as(*align(1) const Bytes, @ptrCast(p)).*;
    }

    inline fn part(p: [*]const u8, n: usize) Bytes {
        var bytes: [block]u8 = @splat(0);
        for (0..n) |i| bytes[i] = p[i];
        return bytes;
    }
};

fn differences(row: [*]const u8, query: [*]const u8, bytes: u32) u32 {
    var count: u32 = 0;
    var i: usize = 0;
    @prefetch(row + ahead, .{ .locality = 0 });
    while (i + 8 <= bytes) : (i += 8) {
        count += @popCount(std.mem.readInt(u64, row[i..][0..8], .little) ^ std.mem.readInt(u64, query[i..][0..8], .little));
    }
    while (i < bytes) : (i += 1) count += @popCount(row[i] ^ query[i]);
    return count;
}
