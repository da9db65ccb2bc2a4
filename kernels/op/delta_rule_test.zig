//! The delta rule of every level against plain loops, bit for bit: sizes around the vectors' width, chunks and drafts; and gates
//! that are not finite.

const std = @import("std");
const dispatch = @import("../host/dispatch.zig");
const level_table = @import("../level/level_table.zig");
const math = @import("math.zig");
const simd = @import("../level/simd.zig");
const test_chunks = @import("test_chunks.zig");

const testing = std.testing;
const tokens = test_chunks.tokens;
const size_max = 35;
/// q, k, v, then beta and alpha.
const stride = 3 * size_max + 2;
const rate = -1.5;
const bias = 0.25;

const Row = [stride]f32;
/// [block of columns][row][column].
const State = [(size_max + 15) / 16 * size_max * 16]f32;

/// One token in the order of the contract, on a matrix [row][column].
fn plain(m: *[size_max][size_max]f32, row: *const Row, size: usize, scale: f32, out: []f32) void {
    const step = math.softplus(@splat(row[stride - 1] + bias))[0];
    const decay = math.exp(@splat(@as(f32, rate) * step))[0];
    const beta = 1 / (1 + math.exp(@splat(-row[stride - 2]))[0]);
    for (0..size) |column| {
        var known: [4]f32 = @splat(0);
        for (0..size) |i| known[i % 4] = simd.fma(row[size_max + i], m[i][column] * decay, known[i % 4]);
        const d = beta * (row[2 * size_max + column] - ((known[0] + known[1]) + (known[2] + known[3])));
        var sums: [4]f32 = @splat(0);
        for (0..size) |i| {
            m[i][column] = simd.fma(row[size_max + i], d, m[i][column] * decay);
            sums[i % 4] = simd.fma(row[i], m[i][column], sums[i % 4]);
        }
        out[column] = ((sums[0] + sums[1]) + (sums[2] + sums[3])) * scale;
    }
}

fn run(level: *const level_table.Level, rows: *const [tokens]Row, size: u32, state: *align(64) State, out: *[tokens][size_max]f32, chunk: test_chunks.Chunk) u32 {
    // Gates are made in their place, so each chunk has rows of its own.
    var own = rows.*;
    const first = &own[chunk.begin];
    const args: level_table.DeltaRule = .{
        .stride = stride,
        .tokens = chunk.count,
        .kept = chunk.count - chunk.drafts,
        .size = size,
        .is_fresh = chunk.begin == 0,
        .q = first,
        .k = first[size_max..],
        .v = first[2 * size_max ..],
        .beta = first[stride - 2 ..],
        .alpha = first[stride - 1 ..],
        .rate = rate,
        .step_bias = bias,
        .scale = 0.5,
        .state = state,
        .out = &out[chunk.begin],
        .out_stride = size_max,
    };
    return level.deltaRule(&args);
}

test "each level's delta rule equals plain loops, whatever the chunks and drafts" {
    var random = std.Random.DefaultPrng.init(5);
    var rows: [tokens]Row = undefined;
    for (&rows) |*row| for (row) |*value| {
        value.* = random.random().floatNorm(f32);
    };
    for ([_]u32{ 1, 3, 8, 16, 18, 32, 35 }) |size| {
        var expected: [tokens][size_max]f32 = @splat(@splat(7));
        var m: [size_max][size_max]f32 = @splat(@splat(0));
        for (&rows, &expected) |*row, *out| plain(&m, row, size, 0.5, out);
        for (dispatch.levels()) |level| for (test_chunks.ways) |chunks| {
            var state: State align(64) = @splat(std.math.nan(f32));
            var out: [tokens][size_max]f32 = @splat(@splat(7));
            for (chunks) |chunk| try testing.expectEqual(0, run(level, &rows, size, &state, &out, chunk));
            for (expected, out) |wanted, got| try testing.expectEqualSlices(u32, @ptrCast(&wanted), @ptrCast(&got));
            for (0..size) |row| for (0..size) |column| {
                try testing.expectEqual(m[row][column], state[(column / 16 * size + row) * 16 + column % 16]);
            };
        };
    }
}

test "gates that are not finite are told" {
    for (dispatch.levels()) |level| for ([_]f32{ std.math.inf(f32), -std.math.inf(f32), std.math.nan(f32), 3e38 }, [_]bool{ true, false, true, false }) |alpha, is_bad| {
        var rows: [tokens]Row = @splat(@splat(0.5));
        rows[2][stride - 1] = alpha;
        var state: State align(64) = @splat(0);
        var out: [tokens][size_max]f32 = undefined;
        try testing.expectEqual(@intFromBool(is_bad), run(level, &rows, 16, &state, &out, .{ .begin = 0, .count = 3 }));
        rows[2][stride - 1] = 0;
        rows[1][stride - 2] = std.math.nan(f32);
        try testing.expectEqual(1, run(level, &rows, 16, &state, &out, .{ .begin = 0, .count = 3 }));
    };
}

test "unit norms of each level equal plain loops" {
    var random = std.Random.DefaultPrng.init(6);
    for (1..40) |n| {
        var x: [40]f32 = undefined;
        for (&x) |*value| value.* = random.random().floatNorm(f32);
        var lanes: [16]f32 = @splat(0);
        for (x[0..n], 0..) |value, i| lanes[i % 16] = simd.fma(value, value, lanes[i % 16]);
        const inverse = 1 / @sqrt(simd.tree(lanes) + 1e-6);
        for (dispatch.levels()) |level| {
            var own = x;
            level.unitNorm(&own, 1e-6, @intCast(n));
            for (own, x, 0..) |got, before, i| try testing.expectEqual(if (i < n) before * inverse else before, got);
        }
    }
}
