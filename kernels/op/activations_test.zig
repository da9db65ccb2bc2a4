//! Activations against the scalar reference, at every level that this processor runs.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const dispatch = @import("../host/dispatch.zig");
const reference = @import("reference.zig");
const Batch = @import("test_batch.zig").Batch;
const testing = std.testing;

test "rows are quantized as the reference does, each into its tile" {
    var random = std.Random.DefaultPrng.init(1);
    for ([_]u32{ 1, 2, 3, 7, 8, 13, 16 }) |tokens| for ([_]u32{ 32, 96, 160 }) |cols| for ([_]level_table.ActivationBits{ .int8, .int16 }) |bits| {
        var batch: Batch = try .init(tokens, cols, bits);
        defer batch.deinit();
        for (batch.rows, 0..) |*value, i| value.* = switch ((i / 32) % 5) {
            0 => random.random().floatNorm(f32),
            1 => 0x1p-101 * (random.random().float(f32) - 0.5),
            2 => 3e38 * (random.random().float(f32) - 0.5),
            // Ties: multiples of a half when the greatest is 127 or 32512.
            3 => if (i % 32 == 0) (if (bits == .int8) 127 else 32512) else 0.5 * @as(f32, @floatFromInt(random.random().intRangeAtMost(i32, -254, 254))),
            else => 0x1p-100 * @as(f32, @floatFromInt(random.random().intRangeAtMost(i32, -1, 1))),
        };
        for (dispatch.levels()) |level| {
            batch.clear();
            for (0..tokens) |t| {
                // In two parts: quantizing a span needs nothing of the others.
                const half = random.random().intRangeAtMost(u32, 0, cols / level_table.span);
                try testing.expectEqual(0, level.quantizeSpans(&batch.x, @intCast(t), half, cols / level_table.span));
                try testing.expectEqual(0, level.quantizeSpans(&batch.x, @intCast(t), 0, half));
            }
            for (0..tokens) |t| for (0..cols / level_table.span) |s| try checkSpan(&batch, t, s);
        }
    };
}

fn checkSpan(batch: *Batch, t: usize, s: usize) !void {
    var d: f32 = undefined;
    var q: [32]i32 = undefined;
    const values = batch.rows[t * batch.x.cols + s * level_table.span ..][0..level_table.span];
    try testing.expect(reference.quantizeSpan(values, if (batch.x.bits == .int8) 127 else 32512, &d, &q));
    const index = batch.spanIndex(t, s);
    try testing.expectEqual(@as(u32, @bitCast(d)), @as(u32, @bitCast(batch.x.scales[index])));
    var sums: [2]i32 = @splat(0);
    var sums_low: [2]i32 = @splat(0);
    for (q, 0..) |value, i| {
        const high: i32 = batch.x.q[index * level_table.span + i];
        sums[i / 16] += high;
        if (batch.x.bits == .int8) {
            try testing.expectEqual(value, high);
        } else {
            const low: i32 = batch.x.q_low[index * level_table.span + i];
            sums_low[i / 16] += low;
            try testing.expect(high >= -127);
            try testing.expectEqual(value, 256 * high + low);
        }
    }
    try checkSums(sums, batch.x.sums[2 * index ..][0..2]);
    if (batch.x.bits == .int16) try checkSums(sums_low, batch.x.sums_low[2 * index ..][0..2]);
}

fn checkSums(sums: [2]i32, words: *const [2]i32) !void {
    const pair: [2]i16 = @bitCast(words[0]);
    try testing.expectEqual(sums[0], pair[0]);
    try testing.expectEqual(sums[1], pair[1]);
    try testing.expectEqual(sums[0] + sums[1], words[1]);
}

test "a value that is not finite is told, wherever it stands" {
    var batch: Batch = try .init(3, 64, .int8);
    defer batch.deinit();
    const bad = [_]f32{ std.math.inf(f32), -std.math.inf(f32), std.math.nan(f32), -std.math.nan(f32) };
    for (dispatch.levels()) |level| for (bad) |value| for (0..64) |place| {
        @memset(batch.rows, 1);
        batch.rows[64 + place] = value;
        try testing.expectEqual(0, level.quantizeSpans(&batch.x, 0, 0, 2));
        try testing.expectEqual(1, level.quantizeSpans(&batch.x, 1, 0, 2));
        try testing.expectEqual(0, level.quantizeSpans(&batch.x, 2, 0, 2));
    };
}
