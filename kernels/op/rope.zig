//! Rotary position embedding: pairs of values of a head are turned by position * frequency.
//!
//! Frequencies and angles are f64, computed by `math` alone, so that position 1 Mi is as good as position 1. A pair turns as
//! fma(x0, c, -(x1 * s)), fma(x0, s, x1 * c): that form is part of the order of additions.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const simd = @import("../level/simd.zig");
const math = @import("math.zig");

const F = simd.F;

pub fn ropeFrequencies(given: *const level_table.RopeFrequencies, freqs: [*]f64) callconv(.c) void {
    // At least a thousandth of a pair, so that a ramp of no length is a step.
    const length = @max(0.001, given.ramp_end - given.ramp_begin);
    for (0..given.n_rot / 2) |k| {
        const pair: f64 = @floatFromInt(k);
        const exponent = -(2 * pair) / @as(f64, @floatFromInt(given.n_rot));
        const kept = 1 - @min(1, @max(0, (pair - given.ramp_begin) / length));
        const frequency = (given.scale * (1 - kept) + kept) * math.pow(given.base, exponent);
        freqs[k] = if (given.factors) |f| frequency / f[k] else frequency;
    }
}

pub fn alibiSlopes(heads: u32, slopes: [*]f32) callconv(.c) void {
    const whole = std.math.floorPowerOfTwo(u32, heads);
    const n: f64 = @floatFromInt(whole);
    for (0..heads) |head| {
        const h: f64 = @floatFromInt(head);
        const exponent = if (head < whole) -8 * (h + 1) / n else -4 * (2 * (h - n) + 1) / n;
        slopes[head] = @floatCast(math.pow(2, exponent));
    }
}

pub fn temperature(position: u32, context: u32, factor: f32) callconv(.c) f32 {
    const degree: f64 = @floatFromInt(position / context + 1);
    return @floatCast(1 + factor * math.log64(degree));
}

/// Rounded to f32 once, after the magnitude.
pub fn ropeAngles(freqs: [*]const f64, n: u32, position: u32, magnitude: f32, cos: [*]f32, sin: [*]f32) callconv(.c) void {
    for (0..n) |k| {
        const turned = math.sinCos(@as(f64, @floatFromInt(position)) * freqs[k]);
        cos[k] = @floatCast(turned.cos * magnitude);
        sin[k] = @floatCast(turned.sin * magnitude);
    }
}

pub fn rope(x: [*]f32, heads: u32, rotation: *const level_table.Rotation) callconv(.c) void {
    const pairs = rotation.n_rot / 2;
    for (0..heads) |head| {
        const values = x + head * rotation.head_dim;
        switch (rotation.style) {
            .none => {},
            .norm => turnNeighbours(values, pairs, rotation.cos, rotation.sin),
            .neox => turnHalves(values, pairs, rotation.cos, rotation.sin),
        }
    }
}

const Pair = struct {
    a: F,
    b: F,

    inline fn turned(pair: Pair, c: F, s: F) Pair {
        return .{ .a = simd.fma(pair.a, c, -(pair.b * s)), .b = simd.fma(pair.a, s, pair.b * c) };
    }
};

/// Pairs (2k, 2k + 1).
fn turnNeighbours(x: [*]f32, pairs: usize, cos: [*]const f32, sin: [*]const f32) void {
    const even = std.simd.iota(i32, 16) * @as(simd.I, @splat(2));
    const split_even = comptime lanesOfTwo(even);
    const split_odd = comptime lanesOfTwo(even + @as(simd.I, @splat(1)));
    const join_low = comptime interleaved(0);
    const join_high = comptime interleaved(8);
    var k: usize = 0;
    while (k + 16 <= pairs) : (k += 16) {
        const low = simd.load(x + 2 * k);
        const high = simd.load(x + 2 * k + 16);
        const pair: Pair = .{ .a = @shuffle(f32, low, high, split_even), .b = @shuffle(f32, low, high, split_odd) };
        const turned = pair.turned(simd.load(cos + k), simd.load(sin + k));
        simd.store(x + 2 * k, @shuffle(f32, turned.a, turned.b, join_low));
        simd.store(x + 2 * k + 16, @shuffle(f32, turned.a, turned.b, join_high));
    }
    if (k == pairs) return;
    var a: [16]f32 = @splat(0);
    var b: [16]f32 = @splat(0);
    for (k..pairs) |i| {
        a[i - k] = x[2 * i];
        b[i - k] = x[2 * i + 1];
    }
    const turned = (Pair{ .a = a, .b = b }).turned(simd.loadPart(cos + k, pairs - k, 0), simd.loadPart(sin + k, pairs - k, 0));
    a = turned.a;
    b = turned.b;
    for (k..pairs) |i| {
        x[2 * i] = a[i - k];
        x[2 * i + 1] = b[i - k];
    }
}

/// Pairs (k, k + pairs).
fn turnHalves(x: [*]f32, pairs: usize, cos: [*]const f32, sin: [*]const f32) void {
    const y = x + pairs;
    var k: usize = 0;
    while (k + 16 <= pairs) : (k += 16) {
        const pair: Pair = .{ .a = simd.load(x + k), .b = simd.load(y + k) };
        const turned = pair.turned(simd.load(cos + k), simd.load(sin + k));
        simd.store(x + k, turned.a);
        simd.store(y + k, turned.b);
    }
    if (k == pairs) return;
    const n = pairs - k;
    const pair: Pair = .{ .a = simd.loadPart(x + k, n, 0), .b = simd.loadPart(y + k, n, 0) };
    const turned = pair.turned(simd.loadPart(cos + k, n, 0), simd.loadPart(sin + k, n, 0));
    simd.storePart(x + k, n, turned.a);
    simd.storePart(y + k, n, turned.b);
}

/// Lanes 0 to 31 of two vectors in the form of @shuffle: those of the second are ~lane.
fn lanesOfTwo(lanes: simd.I) simd.I {
    const second = lanes >= @as(simd.I, @splat(16));
    return @select(i32, second, ~(lanes - @as(simd.I, @splat(16))), lanes);
}

/// a[from], b[from], a[from + 1], ...
fn interleaved(from: i32) simd.I {
    var lanes: [16]i32 = undefined;
    for (&lanes, 0..) |*lane, i| {
        const index = from + @as(i32, @intCast(i / 2));
        lane.* = if (i % 2 == 0) index else ~index;
    }
    return lanes;
}
