//! Plain rounding to linear levels, as the scalar `encode` of a format does it, bit for bit: a block at a time, its 32
//! values in vectors.

const float16 = @import("../level/float16.zig");

const V = @Vector(32, f32);
const W = @Vector(32, u32);

/// Encodes `count` blocks; returns how many come before the first with a value, or a scale, that is not finite.
pub fn linear(comptime F: type, values: [*]align(4) const f32, blocks: [*]align(1) F.Block, count: usize) usize {
    for (0..count) |b| {
        if (!block(F, values + b * 32, &blocks[b])) return b;
    }
    return count;
}

inline fn block(comptime F: type, values: [*]align(4) const f32, out: *align(1) F.Block) bool {
    const x: V = @as(*align(4) const V, @ptrCast(values)).*;
    const low: f32 = F.linear.low;
    const high: f32 = F.linear.high;
    const range = high - low;
    const magnitudes = @as(W, @bitCast(x)) & @as(W, @splat(0x7fff_ffff));
    const most_bits = @reduce(.Max, magnitudes);
    if (most_bits >= 0x7f80_0000) return false;
    var d: f32 = undefined;
    var m: f32 = 0;
    var code: V = undefined;
    switch (F.linear.kind) {
        .extreme => {
            // The value of greatest magnitude with its sign, the first of equals.
            d = at(values, magnitudes == @as(W, @splat(most_bits))) / low;
            code = x * splat(inverse(d)) + splat(0.5 - low);
        },
        .magnitude => {
            d = @as(f32, @bitCast(most_bits)) / high;
            const level = x * splat(inverse(d));
            const sign = @as(W, @bitCast(level)) & @as(W, @splat(0x8000_0000));
            // As scalar.nearestAway: just less than a half away from zero, so that the value below 0.5 stays 0.
            const half: V = @bitCast(sign | @as(W, @splat(@bitCast(@as(f32, 0x1.fffffep-2)))));
            // trunc(level + half) - low: towards zero before the shift.
            const whole: @Vector(32, i32) = @intFromFloat(clamp(level + half, low, high));
            code = @as(V, @floatFromInt(whole)) - splat(low);
        },
        .range => {
            const least = at(values, x == splat(@reduce(.Min, x)));
            const most = @reduce(.Max, x);
            d = (most - least) / range;
            m = least;
            code = (x - splat(least)) * splat(inverse(d)) + splat(0.5);
        },
    }
    const whole: @Vector(32, i32) = @intFromFloat(clamp(code, 0, range));
    const codes: @Vector(32, u8) = @intCast(whole);
    const stored = float16.toF16(2, .{ d, m });
    F.fill(out, stored[0], stored[1], codes);
    return stored[0] & 0x7c00 != 0x7c00 and stored[1] & 0x7c00 != 0x7c00;
}

inline fn splat(value: f32) V {
    return @splat(value);
}

inline fn inverse(d: f32) f32 {
    return if (d != 0) 1 / d else 0;
}

/// Between the borders; NaN (0 times the infinite inverse of a tiny scale) becomes `low`.
inline fn clamp(v: V, low: f32, high: f32) V {
    const above = @select(f32, v > splat(low), v, splat(low));
    return @select(f32, above < splat(high), above, splat(high));
}

/// The first value whose place is marked.
inline fn at(values: [*]align(4) const f32, marked: @Vector(32, bool)) f32 {
    return values[@ctz(@as(u32, @bitCast(marked)))];
}
