//! exp, tanh and log of 16 f32 lanes, and sin, cos, pow in f64 for rope angles: ours, so that every CPU level, operating
//! system and compiler gives the same bits. Only + - * / are used, and in f32 the fused multiply-add of `simd`; f64 does
//! without one, because not every level has it. Error: f32 at most 2 units in the last place, f64 below 1e-12.

const std = @import("std");
const isa = @import("../level/isa.zig");
const simd = @import("../level/simd.zig");

const F = simd.F;
const I = simd.I;
const splat = simd.splat;
const fma = simd.fma;

const ln2 = 0.6931471805599453;
const log2e: f32 = 1.4426950408889634;
/// ln 2 as the f32 next to it and what is left.
const ln2_high: f32 = 0.6931471824645996;
const ln2_low: f32 = -1.9046542121259336e-9;

/// Adding it rounds to an integer, to nearest even, which then lies in the low bits of the sum: |x| < 2^22.
const round32: f32 = 12_582_912.0;
/// The same for f64: |x| < 2^51.
const round64: f64 = 6_755_399_441_055_744.0;

/// e^x. exp(-inf) = 0, NaN stays NaN, too large becomes inf, and results below 2^-126 are rounded once.
pub fn exp(x: F) F {
    // Past the ends the result is 0 or inf anyway; comparisons with NaN are false and leave it alone.
    const low = @select(f32, x < splat(-104.0), splat(-104.0), x);
    const reduced = reduce(@select(f32, low > splat(89.0), splat(89.0), low));
    if (isa.has_scale) return simd.scaled(reduced.factor, reduced.power);
    // Two steps: 2^n alone may be below the normal range. The first is exact, the second rounds.
    const half = reduced.exponent >> @as(@Vector(16, u5), @splat(1));
    return reduced.factor * powerOfTwo(half) * powerOfTwo(reduced.exponent -% half);
}

/// `exp` for the weights of a choice: the same bits from x = -60 to 0; below that e^-60, whose weight is 0 as well.
pub inline fn expBelow(x: F) F {
    // Without fused multiply-add it is long, and called from many places.
    return if (isa.has_fma) expNear(x) else @call(.never_inline, expNear, .{x});
}

fn expNear(x: F) F {
    const reduced = reduce(@select(f32, x < splat(-60.0), splat(-60.0), x));
    if (isa.has_scale) return simd.scaled(reduced.factor, reduced.power);
    return reduced.factor * powerOfTwo(reduced.exponent);
}

/// The power of two as a float, and as a number.
const Reduced = struct { factor: F, power: F, exponent: I };

/// e^x as a factor near 1 and a power of two.
inline fn reduce(x: F) Reduced {
    const shifted = fma(x, splat(log2e), splat(round32));
    const n = shifted - splat(round32);
    const r = fma(n, splat(-ln2_low), fma(n, splat(-ln2_high), x));
    var p = splat(0.0013950603315606713);
    p = fma(p, r, splat(0.008368953131139278));
    p = fma(p, r, splat(0.04166620597243309));
    p = fma(p, r, splat(0.166665181517601));
    p = fma(p, r, splat(0.5));
    return .{
        .factor = fma(r * r, p, r) + splat(1.0),
        .power = n,
        .exponent = @as(I, @bitCast(shifted)) -% @as(I, @splat(@as(i32, @bitCast(round32)))),
    };
}

fn powerOfTwo(n: I) F {
    return @bitCast((n +% @as(I, @splat(127))) << @as(@Vector(16, u5), @splat(23)));
}

/// Hyperbolic tangent: an odd polynomial near 0, elsewhere 1 - 2 / (e^2x + 1).
pub fn tanh(x: F) F {
    const a = abs(x);
    const z = x * x;
    var p = splat(-0.005717049818485975);
    p = fma(p, z, splat(0.02065059170126915));
    p = fma(p, z, splat(-0.053743500262498856));
    p = fma(p, z, splat(0.13331490755081177));
    p = fma(p, z, splat(-0.3333328366279602));
    const near = fma(z * x, p, x);
    const far = splat(1.0) - splat(2.0) / (exp(a + a) + splat(1.0));
    const signed = @select(f32, x < splat(0.0), -far, far);
    return @select(f32, a < splat(0.625), near, signed);
}

/// The error function: x + x P(x^2) near 0, elsewhere 1 - e^(-x Q(x)). Error: at most 2 units in the last place.
pub fn erf(x: F) F {
    const a = abs(x);
    const z = x * x;
    var p = splat(8.3452275e-05);
    p = fma(p, z, splat(-8.13743824e-04));
    p = fma(p, z, splat(5.20063437e-03));
    p = fma(p, z, splat(-2.68592708e-02));
    p = fma(p, z, splat(1.12836939e-01));
    p = fma(p, z, splat(-3.76126337e-01));
    p = fma(p, z, splat(1.28379167e-01));
    const near = fma(p, x, x);
    // Beyond 4 it is 1 to the last place.
    const t = @select(f32, a > splat(4.0), splat(4.0), a);
    var q = splat(4.76429395e-06);
    q = fma(q, t, splat(-4.34540346e-05));
    q = fma(q, t, splat(-6.04728250e-05));
    q = fma(q, t, splat(2.96038238e-03));
    q = fma(q, t, splat(-2.27233243e-02));
    q = fma(q, t, splat(1.05309636e-01));
    q = fma(q, t, splat(6.35600941e-01));
    q = fma(q, t, splat(1.12855704));
    // From -17 to 0; and from 0.8 to 1, whose sign is free.
    const far = splat(1.0) - expBelow(-(q * t));
    const sign = @as(I, @bitCast(x)) & @as(I, @splat(std.math.minInt(i32)));
    const signed: F = @bitCast(@as(I, @bitCast(far)) | sign);
    // NaN is not above, and stays.
    return @select(f32, a > splat(0.93), signed, near);
}

/// Natural logarithm. log(0) = -inf, of a negative number or NaN: NaN.
pub fn log(x: F) F {
    const subnormal = x < splat(0x1p-126);
    const scaled = @select(f32, subnormal, x * splat(0x1p23), x);
    // x = 2^n m with m from sqrt(1/2) to sqrt(2).
    const sqrt_half: i32 = 0x3f3504f3;
    const bits = @as(I, @bitCast(scaled)) -% @as(I, @splat(sqrt_half));
    const exponent = bits >> @as(@Vector(16, u5), @splat(23));
    const mantissa = (bits & @as(I, @splat(0x7fffff))) +% @as(I, @splat(sqrt_half));
    const n = @as(F, @floatFromInt(exponent)) - @select(f32, subnormal, splat(23.0), splat(0.0));
    // log(1 + f) = f - f^2/2 + s (f^2/2 + R(s^2)) with s = f / (2 + f).
    const f = @as(F, @bitCast(mantissa)) - splat(1.0);
    const s = f / (f + splat(2.0));
    const z = s * s;
    var p = splat(0.29874569177627563);
    p = fma(p, z, splat(0.399774432182312));
    p = fma(p, z, splat(0.6666677594184875));
    const half_square = f * f * splat(0.5);
    const tail = fma(s, fma(p, z, half_square), n * splat(ln2_low)) - half_square;
    const result = fma(n, splat(ln2_high), f + tail);
    const finite = @select(f32, x < splat(std.math.inf(f32)), result, x);
    const positive = @select(f32, x > splat(0.0), finite, splat(std.math.nan(f32)));
    return @select(f32, x == splat(0.0), splat(-std.math.inf(f32)), positive);
}

/// ln(1 + e^x), about x where x is large and e^x where it is far below 0.
pub fn softplus(x: F) F {
    const y = exp(-abs(x));
    // ln(1 + y) by the logarithm of the rounded sum, corrected by the error of the rounding.
    const sum = splat(1.0) + y;
    const taken = sum - splat(1.0);
    const logarithm = @select(f32, taken == splat(0.0), y, log(sum) * (y / taken));
    return @select(f32, x > splat(0.0), x, splat(0.0)) + @select(f32, x == x, logarithm, x);
}

fn abs(x: F) F {
    return @bitCast(@as(I, @bitCast(x)) & @as(I, @splat(std.math.maxInt(i32))));
}

pub const SinCos = struct { sin: f64, cos: f64 };

/// Sine and cosine of an angle of at most 2^20 radians. Larger ones lose digits, then become nonsense, never a trap.
pub fn sinCos(x: f64) SinCos {
    // pi/2 in parts of 33 bits, so that n times a part is exact for n < 2^20.
    const part1 = 0x1.921fb544p+0;
    const part2 = 0x1.0b4611a6p-34;
    const part3 = 0x1.3198a2ep-69;
    const shifted = x * (2.0 / std.math.pi) + round64;
    const n = shifted - round64;
    const quadrant: u2 = @truncate(@as(u64, @bitCast(shifted)));
    const r = ((x - n * part1) - n * part2) - n * part3;
    const z = r * r;
    const s = r * series(z, .{ .first = 1, .terms = 9 });
    const c = series(z, .{ .first = 0, .terms = 10 });
    return switch (quadrant) {
        0 => .{ .sin = s, .cos = c },
        1 => .{ .sin = c, .cos = -s },
        2 => .{ .sin = -s, .cos = -c },
        3 => .{ .sin = -c, .cos = s },
    };
}

/// The Taylor series sum of (-z)^k / (2k + first)!; |z| is at most (pi/4)^2, where the first term left out is below 1e-18.
fn series(z: f64, comptime shape: struct { first: u32, terms: u32 }) f64 {
    var sum: f64 = 0;
    comptime var k = shape.terms;
    inline while (k > 0) {
        k -= 1;
        const sign: f64 = if (k % 2 == 0) 1 else -1;
        sum = sum * z + comptime (sign / factorial(2 * k + shape.first));
    }
    return sum;
}

fn factorial(comptime n: u32) f64 {
    var product: f64 = 1;
    for (1..n + 1) |i| product *= @floatFromInt(i);
    return product;
}

/// base^y for a positive, finite and normal base.
pub fn pow(base: f64, y: f64) f64 {
    return exp64(y * log64(base));
}

/// e^x; relative error below 1e-14.
pub fn exp64(x: f64) f64 {
    // The high part of ln 2 has 32 bits: n times it is exact.
    const high = 0x1.62e42fee0p-1;
    const low = ln2_rest;
    const clamped = if (x < -746) -746 else if (x > 710) 710 else x;
    const shifted = clamped * (1.0 / ln2) + round64;
    const n = shifted - round64;
    const r = (clamped - n * high) - n * low;
    var sum: f64 = 0;
    comptime var k = 15;
    inline while (k > 0) {
        k -= 1;
        sum = sum * r + comptime (1.0 / factorial(k));
    }
    const exponent = @as(i64, @bitCast(shifted)) -% @as(i64, @bitCast(round64));
    const half = exponent >> 1;
    return sum * powerOfTwo64(half) * powerOfTwo64(exponent -% half);
}

/// ln 2 less its first 32 bits.
const ln2_rest = 1.9082149292705877e-10;

fn powerOfTwo64(n: i64) f64 {
    return @bitCast((n +% 1023) << 52);
}

/// Natural logarithm of a positive, finite and normal x.
pub fn log64(x: f64) f64 {
    const sqrt_half: i64 = @bitCast(@as(f64, std.math.sqrt1_2));
    const bits = @as(i64, @bitCast(x)) -% sqrt_half;
    const n: f64 = @floatFromInt(bits >> 52);
    const m: f64 = @bitCast((bits & ((1 << 52) - 1)) +% sqrt_half);
    // 2 atanh(s), s at most 0.172: 12 terms leave 1e-19.
    const s = (m - 1.0) / (m + 1.0);
    const z = s * s;
    var sum: f64 = 0;
    comptime var k = 12;
    inline while (k > 0) {
        k -= 1;
        sum = sum * z + comptime (1.0 / @as(f64, 2 * k + 1));
    }
    return n * 0x1.62e42fee0p-1 + (n * ln2_rest + 2.0 * s * sum);
}

fn one(x: f32) F {
    return splat(x);
}

/// Distance from the exact value in units of the last place of the f32 result.
fn ulps(got: f32, exact: f64) f64 {
    const magnitude: f32 = @floatCast(@abs(exact));
    const bits: u32 = @max(@as(u32, @bitCast(magnitude)), 0x00800000);
    const unit = std.math.scalbn(@as(f64, 1), @as(i32, @intCast(bits >> 23)) - 150);
    return @abs(@as(f64, got) - exact) / unit;
}

fn worst(comptime ours: fn (F) F, exact: fn (f64) f64, from: f32, to: f32, steps: u32) f64 {
    var most: f64 = 0;
    for (0..steps) |i| {
        const x = from + (to - from) * (@as(f32, @floatFromInt(i)) / @as(f32, @floatFromInt(steps)));
        most = @max(most, ulps(ours(one(x))[0], exact(x)));
    }
    return most;
}

fn exactExp(x: f64) f64 {
    return @exp(x);
}

fn exactLog(x: f64) f64 {
    return @log(x);
}

fn exactTanh(x: f64) f64 {
    return std.math.tanh(x);
}

test "exp is within 1.5 ulp, also where results are subnormal" {
    try std.testing.expect(worst(exp, exactExp, -87, 88.7, 100_000) <= 1.5);
    try std.testing.expect(worst(exp, exactExp, -1, 1, 100_000) <= 1.5);
    try std.testing.expect(worst(exp, exactExp, -104.5, -87, 20_000) <= 1.5);
}

test "exp at the ends" {
    const inf = std.math.inf(f32);
    try std.testing.expectEqual(0, exp(one(-inf))[0]);
    try std.testing.expectEqual(0, exp(one(-104))[0]);
    try std.testing.expectEqual(1, exp(one(0))[0]);
    try std.testing.expectEqual(inf, exp(one(89))[0]);
    try std.testing.expectEqual(inf, exp(one(inf))[0]);
    try std.testing.expect(std.math.isNan(exp(one(std.math.nan(f32)))[0]));
    // The smallest f32 above 0, reached through a product that is subnormal.
    try std.testing.expectEqual(0x1p-149, exp(one(-103.5))[0]);
}

test "tanh is within 2 ulp and stops at 1" {
    try std.testing.expect(worst(tanh, exactTanh, -10, 10, 100_000) <= 2);
    try std.testing.expect(worst(tanh, exactTanh, -0.7, 0.7, 100_000) <= 2);
    try std.testing.expect(worst(tanh, exactTanh, -1e-5, 1e-5, 1000) <= 2);
    try std.testing.expectEqual(1, tanh(one(std.math.inf(f32)))[0]);
    try std.testing.expectEqual(-1, tanh(one(-50))[0]);
    try std.testing.expectEqual(0, tanh(one(0))[0]);
    try std.testing.expect(std.math.isNan(tanh(one(std.math.nan(f32)))[0]));
}

fn exactSoftplus(x: f64) f64 {
    return @max(x, 0) + std.math.log1p(@exp(-@abs(x)));
}

test "erf is within 2 ulp, odd, and stops at 1" {
    // Differences of two neighbours of a table, by the series in f64.
    const exact = struct {
        fn erf(x: f64) f64 {
            if (@abs(x) > 3) return if (x < 0) -(1 - tail(-x)) else 1 - tail(x);
            var term = x;
            var sum = x;
            var k: f64 = 1;
            while (k < 80) : (k += 1) {
                term *= -x * x / k;
                sum += term / (2 * k + 1);
            }
            return sum * std.math.two_sqrtpi;
        }

        fn tail(x: f64) f64 {
            var fraction: f64 = 0;
            var k: f64 = 60;
            while (k > 0) : (k -= 1) fraction = 0.5 * k / (x + fraction);
            return @exp(-x * x) / (x + fraction) * (0.5 * std.math.two_sqrtpi);
        }
    }.erf;
    try std.testing.expect(worst(erf, exact, -4.2, 4.2, 20_000) < 2);
    try std.testing.expect(worst(erf, exact, -0.01, 0.01, 1_000) < 2);
    try std.testing.expectEqual(1, erf(one(4.5))[0]);
    try std.testing.expectEqual(-1, erf(one(-std.math.inf(f32)))[0]);
    try std.testing.expect(std.math.isNan(erf(one(std.math.nan(f32)))[0]));
    try std.testing.expectEqual(0, erf(one(0))[0]);
}

test "softplus is within 3 ulp from where it is e^x to where it is x, and at the ends" {
    try std.testing.expect(worst(softplus, exactSoftplus, -80, 80, 100_000) <= 3);
    try std.testing.expect(worst(softplus, exactSoftplus, -1, 1, 100_000) <= 3);
    const inf = std.math.inf(f32);
    try std.testing.expectEqual(inf, softplus(one(inf))[0]);
    try std.testing.expectEqual(0, softplus(one(-inf))[0]);
    try std.testing.expect(std.math.isNan(softplus(one(std.math.nan(f32)))[0]));
}

test "log is within 1.5 ulp from subnormals to the largest" {
    var bits: u32 = 1;
    var most: f64 = 0;
    while (bits < 0x7f800000) : (bits += 20_011) {
        const x: f32 = @bitCast(bits);
        most = @max(most, ulps(log(one(x))[0], @log(@as(f64, x))));
    }
    try std.testing.expect(most <= 1.5);
    try std.testing.expect(worst(log, exactLog, 0.5, 2, 100_000) <= 1.5);
    try std.testing.expectEqual(-std.math.inf(f32), log(one(0))[0]);
    try std.testing.expectEqual(std.math.inf(f32), log(one(std.math.inf(f32)))[0]);
    try std.testing.expect(std.math.isNan(log(one(-1))[0]));
    try std.testing.expect(std.math.isNan(log(one(std.math.nan(f32)))[0]));
}

test "sine and cosine to 1e-12 up to 2^20 radians" {
    var random = std.Random.DefaultPrng.init(1);
    for (0..200_000) |i| {
        const range: f64 = if (i % 4 == 0) 1 else if (i % 4 == 1) 100 else 1 << 20;
        const x = random.random().float(f64) * range * (if (i % 2 == 0) @as(f64, 1) else -1);
        const got = sinCos(x);
        try std.testing.expectApproxEqAbs(@sin(x), got.sin, 1e-12);
        try std.testing.expectApproxEqAbs(@cos(x), got.cos, 1e-12);
    }
    // The integers closest to a multiple of pi/2 need the third part.
    for ([_]f64{ 11, 22, 355, 710, 103_993, 104_348, 208_341, 312_689, 833_719 }) |x| {
        try std.testing.expectApproxEqAbs(@sin(x), sinCos(x).sin, 1e-15);
        try std.testing.expectApproxEqAbs(@cos(x), sinCos(x).cos, 1e-15);
    }
}

test "pow has a relative error below 1e-14, and beyond the range it is 0 or inf" {
    var random = std.Random.DefaultPrng.init(2);
    for (0..50_000) |_| {
        const base = 1 + random.random().float(f64) * 1e7;
        const y = random.random().float(f64) * 2 - 1;
        const exact = std.math.pow(f64, base, y);
        try std.testing.expectApproxEqRel(exact, pow(base, y), 1e-14);
    }
    try std.testing.expectEqual(1, pow(10_000, 0));
    try std.testing.expectEqual(0, pow(1e300, -2));
    try std.testing.expectEqual(std.math.inf(f64), pow(1e300, 2));
}
