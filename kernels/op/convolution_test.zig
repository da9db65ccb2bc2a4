//! The short convolution of every level against plain loops, bit for bit: numbers of taps, channels around the vectors' width,
//! chunks, drafts, and everything that may stand around it.

const std = @import("std");
const dispatch = @import("../host/dispatch.zig");
const level_table = @import("../level/level_table.zig");
const math = @import("math.zig");
const simd = @import("../level/simd.zig");

const testing = std.testing;
const tokens = 9;
const stride = 64;
const taps_max = 6;

const Case = struct { taps: u32, channels: u32, has_factors: bool, has_bias: bool, is_activated: bool };

const Values = struct {
    x: [tokens * stride]f32,
    before: [tokens * stride]f32,
    after: [tokens * stride]f32,
    bias: [stride]f32,
    /// [channel][tap].
    kernel: [stride][taps_max]f32,

    fn init(r: std.Random) Values {
        var values: Values = undefined;
        inline for (.{ &values.x, &values.before, &values.after, &values.bias }) |array| for (array) |*value| {
            value.* = r.floatNorm(f32);
        };
        for (&values.kernel) |*row| for (row) |*value| {
            value.* = r.floatNorm(f32);
        };
        return values;
    }

    /// One output, from the inputs themselves.
    fn expected(values: *const Values, case: Case, token: usize, channel: usize) f32 {
        var sum: f32 = 0;
        for (0..case.taps) |tap| {
            const back = case.taps - 1 - tap;
            const x = if (back > token) 0 else values.input(case, token - back, channel);
            sum = simd.fma(x, values.kernel[channel][tap], sum);
        }
        if (case.has_bias) sum += values.bias[channel];
        if (case.is_activated) sum = sum / (1 + math.exp(@splat(-sum))[0]);
        return if (case.has_factors) sum * values.after[token * stride + channel] else sum;
    }

    fn input(values: *const Values, case: Case, token: usize, channel: usize) f32 {
        const x = values.x[token * stride + channel];
        return if (case.has_factors) x * values.before[token * stride + channel] else x;
    }
};

const Past = [taps_max - 1][stride]f32;

/// Tokens from `begin` on, of which the last `drafts` leave nothing.
const Chunk = struct { begin: usize, count: u32, drafts: u32 = 0 };

fn convolve(level: *const level_table.Level, values: *const Values, case: Case, past: *Past, out: *[tokens * stride]f32, chunk: Chunk) void {
    var kernel: [4][taps_max * 16]f32 = undefined;
    for (0..4) |group| for (0..case.taps) |tap| for (0..16) |lane| {
        kernel[group][tap * 16 + lane] = values.kernel[group * 16 + lane][tap];
    };
    const at = chunk.begin * stride;
    var args: level_table.Convolution = .{
        .x = values.x[at..].ptr,
        .stride = stride,
        .tokens = chunk.count,
        .kept = chunk.count - chunk.drafts,
        .taps = case.taps,
        .is_fresh = chunk.begin == 0,
        .is_activated = case.is_activated,
        .before = if (case.has_factors) values.before[at..].ptr else null,
        .after = if (case.has_factors) values.after[at..].ptr else null,
        .kernel = &kernel[0],
        .group_floats = taps_max * 16,
        .bias = if (case.has_bias) &values.bias else null,
        .past = undefined,
        .out = out[at..].ptr,
        .out_stride = stride,
    };
    for (past, 0..) |*row, tap| args.past[tap] = row;
    level.convolve(&args, 0, 16);
    level.convolve(&args, 16, case.channels);
}

test "each level's short convolution equals plain loops, whatever the chunks and drafts" {
    var random = std.Random.DefaultPrng.init(11);
    const values: Values = .init(random.random());
    for ([_]u32{ 2, 3, 4, 6 }) |taps| for ([_]u32{ 17, 32, 37 }) |channels| for (0..4) |kind| {
        const case: Case = .{ .taps = taps, .channels = channels, .has_factors = kind == 1, .has_bias = kind > 1, .is_activated = kind == 3 };
        for (dispatch.levels()) |level| for ([_][]const Chunk{
            &.{.{ .begin = 0, .count = 9 }},
            &.{ .{ .begin = 0, .count = 1 }, .{ .begin = 1, .count = 5 }, .{ .begin = 6, .count = 3 } },
            &.{ .{ .begin = 0, .count = 6, .drafts = 4 }, .{ .begin = 2, .count = 5, .drafts = 5 }, .{ .begin = 2, .count = 7, .drafts = 1 } },
        }) |chunks| {
            var past: Past = @splat(@splat(std.math.nan(f32)));
            var out: [tokens * stride]f32 = @splat(7);
            for (chunks) |chunk| convolve(level, &values, case, &past, &out, chunk);
            for (0..tokens) |token| for (0..channels) |channel| {
                const got: u32 = @bitCast(out[token * stride + channel]);
                try testing.expectEqual(@as(u32, @bitCast(values.expected(case, token, channel))), got);
            };
            const last = chunks[chunks.len - 1];
            const kept = tokens - last.drafts;
            for (0..taps - 1) |tap| for (0..channels) |channel| {
                try testing.expectEqual(values.input(case, kept - (taps - 1) + tap, channel), past[tap][channel]);
            };
            // What lies behind the last vector is left alone.
            const end = std.mem.alignForward(usize, channels, 16);
            for (end..stride) |channel| try testing.expectEqual(7, out[channel]);
            for (end..stride) |channel| try testing.expect(std.math.isNan(past[0][channel]));
        };
    };
}
