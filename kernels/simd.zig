//! The vector vocabulary, and the only file that knows one instruction set from another (DESIGN 6).
//!
//! Sixteen lanes everywhere: one AVX-512 register, two of AVX2, four of NEON or SSE. A function here gives the same bits
//! at every level; what the hardware lacks (fused multiply-add, half floats) is exact in software. The order of
//! additions is the business of `op/`.

const std = @import("std");
const builtin = @import("builtin");

const cpu = builtin.cpu;
const x86 = cpu.arch == .x86_64;
const arm = cpu.arch == .aarch64;

fn feature(comptime name: std.Target.x86.Feature) bool {
    return x86 and std.Target.x86.featureSetHas(cpu.features, name);
}

/// True where `fma` is one instruction. Exact integers may then also be multiplied and added with it.
pub const has_fma = arm or feature(.fma);
const has_f16c = arm or feature(.f16c);

/// How many vectors `F` the registers hold: what the accumulators of a tile share.
pub const registers = if (feature(.avx512f)) 32 else if (arm or feature(.avx)) 8 else 4;

/// Sixteen lanes: floats, integers, and bits of floats.
pub const F = @Vector(16, f32);
pub const I = @Vector(16, i32);
pub const U = @Vector(16, u32);
/// Half floats as their bits.
pub const H = @Vector(16, u16);

pub inline fn splat(x: f32) F {
    return @splat(x);
}

/// Sixteen floats from anywhere.
pub inline fn load(p: [*]align(4) const f32) F {
    return @as(*align(4) const F, @ptrCast(p)).*;
}

pub inline fn store(p: [*]align(4) f32, v: F) void {
    @as(*align(4) F, @ptrCast(p)).* = v;
}

/// The first `n` (less than 16) floats, then `pad`; nothing past them is read.
pub inline fn loadPart(p: [*]align(4) const f32, n: usize, pad: f32) F {
    var lanes: [16]f32 = @splat(pad);
    for (0..n) |i| lanes[i] = p[i];
    return lanes;
}

pub inline fn storePart(p: [*]align(4) f32, n: usize, v: F) void {
    const lanes: [16]f32 = v;
    for (0..n) |i| p[i] = lanes[i];
}

/// Sixteen half floats, widened exactly.
pub inline fn loadF16(p: [*]align(2) const u16) F {
    return fromF16(16, @as(*align(2) const H, @ptrCast(p)).*);
}

/// To half floats, to nearest even, subnormals kept.
pub inline fn storeF16(p: [*]align(2) u16, v: F) void {
    @as(*align(2) H, @ptrCast(p)).* = toF16(16, v);
}

/// Adds the lanes in the fixed tree of DESIGN 4: i += i + 8, + 4, + 2, + 1.
pub inline fn tree(v: F) f32 {
    return foldTree(v, .add);
}

/// The greatest lane; NaN lanes must not be there.
pub inline fn treeMax(v: F) f32 {
    return foldTree(v, .max);
}

inline fn foldTree(v: F, comptime op: enum { add, max }) f32 {
    const halves: [2]@Vector(8, f32) = @bitCast(v);
    const eight = if (op == .add) halves[0] + halves[1] else @max(halves[0], halves[1]);
    const quarters: [2]@Vector(4, f32) = @bitCast(eight);
    const four = if (op == .add) quarters[0] + quarters[1] else @max(quarters[0], quarters[1]);
    const pairs: [2]@Vector(2, f32) = @bitCast(four);
    const two = if (op == .add) pairs[0] + pairs[1] else @max(pairs[0], pairs[1]);
    return if (op == .add) two[0] + two[1] else @max(two[0], two[1]);
}

/// a * b + c with one rounding, for a vector of floats of any length or one float.
pub inline fn fma(a: anytype, b: @TypeOf(a), c: @TypeOf(a)) @TypeOf(a) {
    if (has_fma) return @mulAdd(@TypeOf(a), a, b, c);
    switch (@typeInfo(@TypeOf(a))) {
        .vector => |vector| return fmaSoftware(vector.len, a, b, c),
        else => return fmaSoftware(1, .{a}, .{b}, .{c})[0],
    }
}

/// Exact without hardware: the product of two f32 is exact in f64; the sum is rounded to odd, which keeps what the last
/// rounding, to f32, needs to know about the bits that fell off.
fn fmaSoftware(comptime n: u32, a: @Vector(n, f32), b: @Vector(n, f32), c: @Vector(n, f32)) @Vector(n, f32) {
    const D = @Vector(n, f64);
    const B = @Vector(n, u64);
    const product = @as(D, @floatCast(a)) * @as(D, @floatCast(b));
    const addend: D = @floatCast(c);
    const sum = product + addend;
    const virtual = sum - product;
    const lost = (product - (sum - virtual)) + (addend - virtual);
    // Comparisons are false for the NaN that infinities leave in `lost`.
    const zero: D = @splat(0);
    const up = lost > zero;
    const down = lost < zero;
    const positive = sum > zero;
    const bits: B = @bitCast(sum);
    const even = (bits & @as(B, @splat(1))) == @as(B, @splat(0));
    const away = even & ((up & positive) | (down & !positive));
    const toward = even & ((up & !positive) | (down & positive));
    const one: B = @splat(1);
    const none: B = @splat(0);
    const odd: D = @bitCast(bits +% @select(u64, away, one, none) -% @select(u64, toward, one, none));
    return @floatCast(odd);
}

/// `n` half floats, as bits, to floats; exact.
pub inline fn fromF16(comptime n: u32, h: @Vector(n, u16)) @Vector(n, f32) {
    if (has_f16c) return @floatCast(@as(@Vector(n, f16), @bitCast(h)));
    return fromF16Software(n, h);
}

fn fromF16Software(comptime n: u32, h: @Vector(n, u16)) @Vector(n, f32) {
    const W = @Vector(n, u32);
    const V = @Vector(n, f32);
    const wide: W = h;
    const sign = (wide & @as(W, @splat(0x8000))) << @splat(16);
    const magnitude = (wide & @as(W, @splat(0x7fff))) << @splat(13);
    // Moves the exponent's bias; exact for subnormals too.
    const scaled: W = @bitCast(@as(V, @bitCast(magnitude)) * @as(V, @splat(0x1p112)));
    const infinity: W = @splat(0x7f80_0000);
    const quiet: W = @splat(0x0040_0000);
    const none: W = @splat(0);
    const special = magnitude >= @as(W, @splat(0x7c00 << 13));
    const nan = magnitude > @as(W, @splat(0x7c00 << 13));
    const finite = @select(u32, special, magnitude | infinity, scaled);
    return @bitCast(finite | sign | @select(u32, nan, quiet, none));
}

/// Floats to half floats, as bits; to nearest even, subnormals kept.
pub inline fn toF16(comptime n: u32, v: @Vector(n, f32)) @Vector(n, u16) {
    if (has_f16c) return @bitCast(@as(@Vector(n, f16), @floatCast(v)));
    return toF16Software(n, v);
}

fn toF16Software(comptime n: u32, v: @Vector(n, f32)) @Vector(n, u16) {
    const W = @Vector(n, u32);
    const V = @Vector(n, f32);
    const bits: W = @bitCast(v);
    const sign = (bits >> @splat(16)) & @as(W, @splat(0x8000));
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
    return @truncate(result | sign);
}

/// `n` bfloat16, as bits, to floats; exact.
pub inline fn fromBf16(comptime n: u32, h: @Vector(n, u16)) @Vector(n, f32) {
    return @bitCast(@as(@Vector(n, u32), h) << @splat(16));
}

/// Brings the cache line of `p` nearer; never faults.
pub inline fn prefetch(p: [*]const u8) void {
    @prefetch(p, .{ .rw = .read, .locality = 3, .cache = .data });
}

const testing = std.testing;

test "fma in software equals the hardware's, specials and subnormals included" {
    if (!has_fma) return error.SkipZigTest;
    const special = [_]f32{
        0,                 -0.0,               -1,              3.5e-39,          -1e-45,         1e-45,
        0x1p-126,          3.4e38,             -3.4e38,         0x1p-149,         1.0000001,      0x1p64,
        std.math.inf(f32), -std.math.inf(f32), 0x1.fffffep-127, 0x1.fffffep127,   0x1.000002p-75, -0x1p-75,
        std.math.nan(f32), 0.5,                0x1p-74,         -0x1.fffffep-126, 0x1.fffffep0,   -0x1.000002p0,
    };
    for (special) |a| for (special) |b| for (special) |c| try fmaCase(a, b, c);
    var random = std.Random.DefaultPrng.init(7);
    for (0..200_000) |_| {
        const r = random.random();
        // Exponents near one another, where rounding is hard.
        const a: f32 = @bitCast(r.int(u32) & 0x80ff_ffff | (@as(u32, 90) + r.uintLessThan(u32, 60)) << 23);
        const b: f32 = @bitCast(r.int(u32) & 0x807f_f000 | (@as(u32, 90) + r.uintLessThan(u32, 60)) << 23);
        const c = a * b * @as(f32, @bitCast(r.int(u32) & 0x807f_ffff | (@as(u32, 100) + r.uintLessThan(u32, 54)) << 23));
        try fmaCase(a, b, c);
        try fmaCase(@bitCast(r.int(u32)), @bitCast(r.int(u32)), @bitCast(r.int(u32)));
    }
}

fn fmaCase(a: f32, b: f32, c: f32) !void {
    const hardware = @mulAdd(f32, a, b, c);
    const software = fmaSoftware(1, .{a}, .{b}, .{c})[0];
    if (std.math.isNan(hardware)) return testing.expect(std.math.isNan(software));
    try testing.expectEqual(@as(u32, @bitCast(hardware)), @as(u32, @bitCast(software)));
}

test "half floats: every value there, and back; every rounding border" {
    var bits: u32 = 0;
    while (bits < 0x10000) : (bits += 16) {
        const h: H = @as(H, @splat(@intCast(bits))) + std.simd.iota(u16, 16);
        const expected: [16]f32 = @as(F, @floatCast(@as(@Vector(16, f16), @bitCast(h))));
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

test "the tree adds i + 8, + 4, + 2, + 1" {
    var lanes: [16]f32 = undefined;
    for (&lanes, 0..) |*lane, i| lane.* = 1.0 / @as(f32, @floatFromInt(i + 3));
    try testing.expectEqual(1.0 / 3.0, treeMax(lanes));
    const result = tree(lanes);
    var step: usize = 8;
    while (step > 0) : (step /= 2) for (0..step) |i| {
        lanes[i] += lanes[i + step];
    };
    try testing.expectEqual(lanes[0], result);
}
