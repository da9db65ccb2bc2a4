//! Half floats and bfloat16 as their bits, from floats and to floats: IEEE, to nearest even, subnormals kept, NaN quiet; the
//! same bits whether the processor converts or the code here.

const std = @import("std");
const isa = @import("isa.zig");
const simd = @import("simd.zig");

/// Sixteen half floats, widened exactly.
pub inline fn loadF16(p: [*]align(2) const u16) simd.F {
    return fromF16(16, @as(*align(2) const simd.H, @ptrCast(p)).*);
}

/// To half floats, to nearest even, subnormals kept.
pub inline fn storeF16(p: [*]align(2) u16, v: simd.F) void {
    @as(*align(2) simd.H, @ptrCast(p)).* = toF16(16, v);
}

/// `n` half floats, as bits, to floats; exact.
pub inline fn fromF16(comptime n: u32, h: @Vector(n, u16)) @Vector(n, f32) {
    if (isa.has_f16c) return @floatCast(@as(@Vector(n, f16), @bitCast(h)));
    return fromF16Software(n, h);
}

fn fromF16Software(comptime n: u32, h: @Vector(n, u16)) @Vector(n, f32) {
    const W = @Vector(n, u32);
    const V = @Vector(n, f32);
    const wide: W = h;
    const negative = (wide & @as(W, @splat(0x8000))) << @splat(16);
    const magnitude = (wide & @as(W, @splat(0x7fff))) << @splat(13);
    // Moves the exponent's bias; exact for subnormals too.
    const scaled: W = @bitCast(@as(V, @bitCast(magnitude)) * @as(V, @splat(0x1p112)));
    const infinity: W = @splat(0x7f80_0000);
    const quiet: W = @splat(0x0040_0000);
    const none: W = @splat(0);
    const special = magnitude >= @as(W, @splat(0x7c00 << 13));
    const nan = magnitude > @as(W, @splat(0x7c00 << 13));
    const finite = @select(u32, special, magnitude | infinity, scaled);
    return @bitCast(finite | negative | @select(u32, nan, quiet, none));
}

/// Floats to half floats, as bits; to nearest even, subnormals kept.
pub inline fn toF16(comptime n: u32, v: @Vector(n, f32)) @Vector(n, u16) {
    if (isa.has_f16c) return @bitCast(@as(@Vector(n, f16), @floatCast(v)));
    return toF16Software(n, v);
}

fn toF16Software(comptime n: u32, v: @Vector(n, f32)) @Vector(n, u16) {
    const W = @Vector(n, u32);
    const V = @Vector(n, f32);
    const bits: W = @bitCast(v);
    const negative = (bits >> @splat(16)) & @as(W, @splat(0x8000));
    const magnitude = bits & @as(W, @splat(0x7fff_ffff));
    const odd = (magnitude >> @splat(13)) & @as(W, @splat(1));
    const normal = (magnitude -% @as(W, @splat(112 << 23)) +% @as(W, @splat(0xfff)) +% odd) >> @splat(13);
    // 0.5 has the unit of a half's subnormals in its last place, so that the addition rounds.
    const half: V = @splat(0.5);
    const small = @as(W, @bitCast(@as(V, @bitCast(magnitude)) + half)) -% @as(W, @bitCast(half));
    const infinity: W = @splat(0x7c00);
    const nan = @as(W, @splat(0x7e00)) | ((magnitude >> @splat(13)) & @as(W, @splat(0x3ff)));
    var result = @select(u32, magnitude < @as(W, @splat(113 << 23)), small, @min(normal, infinity));
    result = @select(u32, magnitude >= @as(W, @splat(0x4780_0000)), infinity, result);
    result = @select(u32, magnitude > @as(W, @splat(0x7f80_0000)), nan, result);
    return @truncate(result | negative);
}

/// `n` bfloat16, as bits, to floats; exact.
pub inline fn fromBf16(comptime n: u32, h: @Vector(n, u16)) @Vector(n, f32) {
    return @bitCast(@as(@Vector(n, u32), h) << @splat(16));
}

/// To bfloat16, as bits; to nearest even, subnormals kept, NaN quiet.
pub inline fn toBf16(comptime n: u32, v: @Vector(n, f32)) @Vector(n, u16) {
    const W = @Vector(n, u32);
    const bits: W = @bitCast(v);
    const odd = (bits >> @splat(16)) & @as(W, @splat(1));
    const nearest = (bits +% @as(W, @splat(0x7fff)) +% odd) >> @splat(16);
    const nan = (bits & @as(W, @splat(0x7fff_ffff))) > @as(W, @splat(0x7f80_0000));
    return @truncate(@select(u32, nan, (bits >> @splat(16)) | @as(W, @splat(0x40)), nearest));
}

const testing = std.testing;

test "half floats: every value there, and back; every rounding border" {
    var bits: u32 = 0;
    while (bits < 0x10000) : (bits += 16) {
        const h: simd.H = @as(simd.H, @splat(@intCast(bits))) + std.simd.iota(u16, 16);
        const expected: [16]f32 = @as(simd.F, @floatCast(@as(@Vector(16, f16), @bitCast(h))));
        const software: [16]f32 = fromF16Software(16, h);
        const chosen: [16]f32 = fromF16(16, h);
        for (expected, software, chosen) |e, s, c| {
            if (std.math.isNan(e)) {
                try testing.expect(std.math.isNan(s) and std.math.isNan(c));
                continue;
            }
            try testing.expectEqual(@as(u32, @bitCast(e)), @as(u32, @bitCast(s)));
            try testing.expectEqual(e, c);
            for ([_]i32{ -1, 0, 1 }) |step| {
                // The middle between this half and the next, and its neighbours.
                const middle: i64 = @as(i64, @as(u32, @bitCast(e))) + (if (@abs(e) < 0x1p-14) @as(i64, 0) else 0x1000) + step;
                const x: f32 = @bitCast(@as(u32, @truncate(@as(u64, @bitCast(middle)))));
                if (std.math.isNan(x)) continue;
                const want: u16 = @bitCast(@as(f16, @floatCast(x)));
                try testing.expectEqual(want, toF16Software(1, .{x})[0]);
                try testing.expectEqual(want, toF16(1, .{x})[0]);
                // Subnormal halves: middles are sums.
                const y = e + 0x1p-25 * (1 + @as(f32, @floatFromInt(step)) * 0x1p-10);
                try testing.expectEqual(@as(u16, @bitCast(@as(f16, @floatCast(y)))), toF16Software(1, .{y})[0]);
            }
        }
    }
    try testing.expectEqual(0x7c00, toF16Software(1, .{65520.0})[0]);
    try testing.expectEqual(0x7bff, toF16Software(1, .{65519.996})[0]);
    try testing.expect(toF16Software(1, .{std.math.nan(f32)})[0] > 0x7c00);
}
