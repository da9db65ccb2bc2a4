//! Mamba-2 of every level against plain loops, bit for bit: channels and states around the vectors' width, chunks and drafts; and
//! time steps that are not finite.

const std = @import("std");
const dispatch = @import("../host/dispatch.zig");
const level_table = @import("../level/level_table.zig");
const math = @import("math.zig");
const simd = @import("../level/simd.zig");
const test_chunks = @import("test_chunks.zig");

const testing = std.testing;
const tokens = test_chunks.tokens;
const width_max = 35;
const size_max = 18;
/// x, b, c, then the time step and its decay.
const stride = width_max + 2 * size_max + 2;
const rate = -1.5;
const bias = 0.25;
const through = 0.75;

const Row = [stride]f32;
/// [block of channels][state][channel].
const State = [(width_max + 15) / 16 * size_max * 16]f32;
const Shape = struct { width: u32, size: u32 };

/// One token in the order of the contract, on states [channel][state].
fn plain(m: *[width_max][size_max]f32, row: *const Row, shape: Shape, out: []f32) void {
    const step = math.softplus(@splat(row[stride - 2] + bias))[0];
    const decay = math.exp(@splat(@as(f32, rate) * step))[0];
    for (0..shape.width) |channel| {
        const taken = step * row[channel];
        var sums: [4]f32 = @splat(0);
        for (0..shape.size) |i| {
            const state = &m[channel][i];
            state.* = simd.fma(row[width_max + i], taken, state.* * decay);
            sums[i % 4] = simd.fma(row[width_max + size_max + i], state.*, sums[i % 4]);
        }
        out[channel] = simd.fma(@as(f32, through), row[channel], (sums[0] + sums[1]) + (sums[2] + sums[3]));
    }
}

fn run(level: *const level_table.Level, rows: *const [tokens]Row, shape: Shape, state: *align(64) State, out: *[tokens][width_max]f32, chunk: test_chunks.Chunk) u32 {
    // Time steps are made in their place, so each chunk has rows of its own.
    var own = rows.*;
    const first = &own[chunk.begin];
    const args: level_table.Mamba2 = .{
        .stride = stride,
        .tokens = chunk.count,
        .kept = chunk.count - chunk.drafts,
        .size = shape.size,
        .width = shape.width,
        .is_fresh = chunk.begin == 0,
        .x = first,
        .b = first[width_max..],
        .c = first[width_max + size_max ..],
        .step = first[stride - 2 ..],
        .decay = first[stride - 1 ..],
        .rate = rate,
        .step_bias = bias,
        .through = through,
        .state = state,
        .out = &out[chunk.begin],
        .out_stride = width_max,
    };
    return level.mamba2(&args);
}

test "each level's Mamba-2 equals plain loops, whatever the chunks and drafts" {
    var random = std.Random.DefaultPrng.init(7);
    var rows: [tokens]Row = undefined;
    for (&rows) |*row| for (row) |*value| {
        value.* = random.random().floatNorm(f32);
    };
    for ([_]Shape{ .{ .width = 1, .size = 1 }, .{ .width = 3, .size = 7 }, .{ .width = 16, .size = 16 }, .{ .width = 18, .size = 4 }, .{ .width = 35, .size = 18 } }) |shape| {
        var expected: [tokens][width_max]f32 = @splat(@splat(7));
        var m: [width_max][size_max]f32 = @splat(@splat(0));
        for (&rows, &expected) |*row, *out| plain(&m, row, shape, out);
        for (dispatch.levels()) |level| for (test_chunks.ways) |chunks| {
            var state: State align(64) = @splat(std.math.nan(f32));
            var out: [tokens][width_max]f32 = @splat(@splat(7));
            for (chunks) |chunk| try testing.expectEqual(0, run(level, &rows, shape, &state, &out, chunk));
            for (expected, out) |wanted, got| try testing.expectEqualSlices(u32, @ptrCast(&wanted), @ptrCast(&got));
            for (0..shape.width) |channel| for (0..shape.size) |i| {
                try testing.expectEqual(m[channel][i], state[(channel / 16 * shape.size + i) * 16 + channel % 16]);
            };
        };
    }
}

test "time steps that are not finite are told" {
    for (dispatch.levels()) |level| for ([_]f32{ std.math.inf(f32), -std.math.inf(f32), std.math.nan(f32), 3e38 }, [_]bool{ true, false, true, false }) |step, is_bad| {
        var rows: [tokens]Row = @splat(@splat(0.5));
        rows[2][stride - 2] = step;
        var state: State align(64) = @splat(0);
        var out: [tokens][width_max]f32 = undefined;
        try testing.expectEqual(@intFromBool(is_bad), run(level, &rows, .{ .width = 16, .size = 4 }, &state, &out, .{ .begin = 0, .count = 3 }));
    };
}
