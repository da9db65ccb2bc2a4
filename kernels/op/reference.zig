//! The scalar reference of matrix products: plain loops over the file's own layout, in the order of docs/design/contract.md. Every fast
//! path is compared with it bit for bit, and no fast path uses it.

const std = @import("std");
const format = @import("../formats/format.zig");
const level_table = @import("../level/level_table.zig");
// For its `fma` on one float, which is exact everywhere; Zig's runtime rounds twice where there is no instruction.
const simd = @import("../level/simd.zig");

/// A row of activations as one span after another holds it.
pub const Quantized = struct {
    q: []const i8,
    /// Empty with 8 bits.
    q_low: []const i8,
    scales: []const f32,
};

/// One output: the row of blocks `weights` times a row of integers.
pub fn blockDot(comptime F: type, weights: []align(1) const F.Block, x: Quantized) f32 {
    var acc: f32 = 0;
    for (x.scales, 0..) |d_x, s| {
        const block = &weights[s * level_table.span / F.block_elements];
        const span = s % (F.block_elements / level_table.span);
        const columns = x.q[s * level_table.span ..][0..level_table.span];
        const low = if (x.q_low.len == 0) null else x.q_low[s * level_table.span ..][0..level_table.span];
        if (format.features(F).halves) {
            for (0..2) |half| acc = addHalf(F, acc, block, 2 * span + half, .{ .columns = columns, .low = low, .d = d_x });
        } else if (low) |low_columns| {
            acc = addSpan(F, acc, block, span, columns, 256 * d_x);
            acc = addSpan(F, acc, block, span, low_columns, d_x);
        } else {
            acc = addSpan(F, acc, block, span, columns, d_x);
        }
    }
    return acc;
}

fn addSpan(comptime F: type, before: f32, block: *align(1) const F.Block, span: usize, x: *const [32]i8, d_x: f32) f32 {
    const sum: f32 = @floatFromInt(F.spanSum(block, span, x));
    var acc = simd.fma(sum, F.scale(block) * d_x, before);
    if (format.features(F).minimum) {
        const minimum: f32 = @floatFromInt(F.minimumSum(block, span, x));
        acc = simd.fma(minimum, F.minimumScale(block) * d_x, acc);
    }
    return acc;
}

/// The integers of a span: those of 8 bits, or the high halves of 16 and the low ones.
const SpanOf = struct { columns: *const [32]i8, low: ?*const [32]i8, d: f32 };

/// Where each half of a span has a scale of its own, it is added as a span of which the other half is 0.
fn addHalf(comptime F: type, before: f32, block: *align(1) const F.Block, half: usize, x: SpanOf) f32 {
    var acc = before;
    for ([_]?*const [32]i8{ x.columns, x.low }, [_]f32{ if (x.low == null) x.d else 256 * x.d, x.d }) |maybe, d_x| {
        const all = maybe orelse continue;
        var own: [32]i8 = @splat(0);
        @memcpy(own[half % 2 * 16 ..][0..16], all[half % 2 * 16 ..][0..16]);
        const sum: f32 = @floatFromInt(F.spanSum(block, half / 2, &own));
        acc = simd.fma(sum, F.halfScale(block, half) * d_x, acc);
    }
    return acc;
}

/// One output of plain floats: four sums by k mod 4.
pub fn floatDot(weights: []const f32, x: []const f32) f32 {
    var acc: [4]f32 = @splat(0);
    for (weights, x, 0..) |w, value, k| acc[k % 4] = simd.fma(w, value, acc[k % 4]);
    return (acc[0] + acc[1]) + (acc[2] + acc[3]);
}

/// One span of activations: x = d * q, or d * (256 hi + lo) with 16 bits. False when a value is not finite.
pub fn quantizeSpan(values: *const [32]f32, levels: f32, d: *f32, q: *[32]i32) bool {
    var max: f32 = 0;
    for (values) |value| {
        if (!std.math.isFinite(value)) return false;
        max = @max(max, @abs(value));
    }
    const none = max < 0x1p-100;
    d.* = if (none) 0 else max / levels;
    const factor = levels / max;
    for (values, q) |value, *integer| integer.* = if (none) 0 else nearestEven(value * factor);
    return true;
}

fn nearestEven(value: f32) i32 {
    const down = @floor(value);
    const rest = value - down;
    const integer: i32 = @intFromFloat(down);
    if (rest != 0.5) return if (rest > 0.5) integer + 1 else integer;
    return if (@mod(integer, 2) == 0) integer else integer + 1;
}
