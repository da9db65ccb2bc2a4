//! Sums of products of weights and activations, four columns of each row at a time: the one instruction that levels differ in
//! most. Every way gives the same integers.

const std = @import("std");
const isa = @import("isa.zig");
const simd = @import("simd.zig");

/// What weights a format hands to `Dot`.
pub const Weights = union(enum) {
    /// Unsigned, up to this many (at most 127).
    unsigned: u8,
    /// i8, all 256 values; where `isa.signed_biased`, plus 128.
    signed,
};

/// Four weights as `weightsAt` must give them.
pub inline fn signedColumns(columns: [4]u8) [4]u8 {
    return if (isa.signed_biased) @bitCast(@as(u32, @bitCast(columns)) ^ 0x8080_8080) else columns;
}

/// Sums of products of a span's weights and 8-bit activations, a lane for each row. `low` says that activations may be
/// -128, as the low halves of 16-bit ones; others are at least -127. A sum has so many `steps` of four columns.
pub fn Dot(comptime lanes: u32, comptime weights: Weights, comptime low: bool, comptime steps: u32) type {
    return struct {
        const Self = @This();
        const Sum = @Vector(lanes, i32);
        const Short = @Vector(2 * lanes, i16);
        /// AVX2 adds products of two columns in 16 bits; so many such sums still fit.
        const batch: u32 = switch (weights) {
            .unsigned => |max| batchOf(max, steps),
            .signed => 1,
        };

        sum: Sum,
        short: Short = undefined,

        /// Begins with a correction for weights that are kept with something added.
        pub inline fn init(sum: Sum) Self {
            return .{ .sum = sum };
        }

        /// The `step`th (0 to 3, or 0 to 7) four columns and their activations.
        pub inline fn add(dot: *Self, comptime step: u32, w: simd.Bytes(lanes), x: [4]i8) void {
            dot.addColumns(step, w, @splat(@bitCast(x)));
        }

        /// The same where each lane has activations of its own.
        pub inline fn addColumns(dot: *Self, comptime step: u32, w: simd.Bytes(lanes), four: @Vector(lanes, i32)) void {
            if (isa.has_vnni) {
                dot.sum = dpbusd(lanes, dot.sum, w, four);
            } else if (isa.has_avx2 and weights == .unsigned) {
                const pairs = maddubs(lanes, w, @bitCast(four));
                dot.short = if (step % batch == 0) pairs else dot.short +% pairs;
                if (step % batch == batch - 1) dot.sum +%= madd(lanes, dot.short, @splat(1));
            } else if (isa.has_avx2 and !low) {
                const pairs = maddubs(lanes, @abs(@as(@Vector(4 * lanes, i8), @bitCast(w))), sign(lanes, @bitCast(four), w));
                dot.sum +%= madd(lanes, pairs, @splat(1));
            } else if (isa.x86) {
                dot.sum +%= maddWide(lanes, w, four, weights == .signed);
            } else if (isa.has_dotprod) {
                dot.sum = sdot(lanes, dot.sum, w, four);
            } else {
                dot.sum +%= neonDot(lanes, w, four);
            }
        }
    };
}

/// How many sums of products of two columns, of weights up to `max`, 16 bits hold; at most `steps`, of which it is a part.
pub fn batchOf(comptime max: u8, comptime steps: u32) u32 {
    return @min(steps, std.math.floorPowerOfTwo(u32, 32767 / (2 * 128 * @as(u32, max))));
}

/// Sums of products of two columns in 16 bits, of sixteen rows with one token: at AVX2, for unsigned weights. Written as
/// instructions: the compiler would add in another order, for which its registers do not suffice.
pub const Pairs = struct {
    const Short = @Vector(16, i16);

    sums: [2]Short,

    /// Four columns times the `index`th four activations of `q`.
    pub inline fn first(w: [2]simd.Bytes(8), q: [*]const [4]i8, comptime index: u32) Pairs {
        var low: Short = undefined;
        var high: Short = undefined;
        asm volatile ("vpbroadcastd " ++ offset(index) ++ "(%[q]), %[high]\n" ++
                "vpmaddubsw %[high], %[w0], %[low]\n" ++
                "vpmaddubsw %[high], %[w1], %[high]"
            : [low] "=&x" (low),
              [high] "=&x" (high),
            : [w0] "x" (w[0]),
              [w1] "x" (w[1]),
              [q] "r" (q),
            : .{ .memory = true });
        return .{ .sums = .{ low, high } };
    }

    pub inline fn add(pairs: *Pairs, w: [2]simd.Bytes(8), q: [*]const [4]i8, comptime index: u32) void {
        var x: Short = undefined;
        var product: Short = undefined;
        var low = pairs.sums[0];
        var high = pairs.sums[1];
        asm volatile ("vpbroadcastd " ++ offset(index) ++ "(%[q]), %[x]\n" ++
                "vpmaddubsw %[x], %[w0], %[product]\n" ++
                "vpmaddubsw %[x], %[w1], %[x]\n" ++
                "vpaddw %[product], %[low], %[low]\n" ++
                "vpaddw %[x], %[high], %[high]"
            : [x] "=&x" (x),
              [product] "=&x" (product),
              [low] "+x" (low),
              [high] "+x" (high),
            : [w0] "x" (w[0]),
              [w1] "x" (w[1]),
              [q] "r" (q),
            : .{ .memory = true });
        pairs.sums = .{ low, high };
    }

    fn offset(comptime index: u32) []const u8 {
        return std.fmt.comptimePrint("{d}", .{4 * index});
    }

    /// The sums of four columns, times a factor: of the first eight rows and of the last.
    pub inline fn joined(pairs: Pairs, comptime factor: i16) [2]@Vector(8, i32) {
        return .{ madd(8, pairs.sums[0], @splat(factor)), madd(8, pairs.sums[1], @splat(factor)) };
    }
};

/// -bias times the sum of a span's activations: both halves, the first 16 or the last 16. `sums` is a pair of i16 sums
/// of 16 in one word, then the sum of 32 (`op/activations.zig`).
pub inline fn biasSum(comptime lanes: u32, comptime bias: i16, comptime half: ?u1, sums: [*]const i32) @Vector(lanes, i32) {
    if (bias == 0) return @splat(0);
    if (!isa.x86) {
        const sum = if (half) |h| @as(i32, @as(i16, @truncate(sums[0] >> (16 * @as(u5, h))))) else sums[1];
        return @splat(-@as(i32, bias) *% sum);
    }
    const first: i16 = if (half == 1) 0 else -bias;
    const second: i16 = if (half == 0) 0 else -bias;
    const factors: @Vector(lanes, i32) = @splat(@bitCast([2]i16{ first, second }));
    return pairDot(lanes, factors, @splat(sums[0]));
}

/// m0 * (sum of the first 16 activations) + m1 * (sum of the last 16); 0 <= m < 2^15.
pub inline fn minimumSum(comptime lanes: u32, m0: @Vector(lanes, i32), m1: @Vector(lanes, i32), sums: [*]const i32) @Vector(lanes, i32) {
    if (isa.x86) return pairDot(lanes, m0 | m1 << @splat(16), @splat(sums[0]));
    const first: i16 = @truncate(sums[0]);
    const second: i16 = @truncate(sums[0] >> 16);
    return m0 * @as(@Vector(lanes, i32), @splat(first)) + m1 * @as(@Vector(lanes, i32), @splat(second));
}

/// Each lane a pair of i16: the sum of both products.
inline fn pairDot(comptime lanes: u32, a: @Vector(lanes, i32), b: @Vector(lanes, i32)) @Vector(lanes, i32) {
    if (isa.has_vnni and lanes == 16) return vpdpwssd512(@splat(0), a, b);
    return madd(lanes, @bitCast(a), @bitCast(b));
}

extern fn @"llvm.x86.avx512.vpdpbusd.512"(simd.I, simd.I, simd.I) simd.I;
extern fn @"llvm.x86.avx512.vpdpwssd.512"(simd.I, simd.I, simd.I) simd.I;
extern fn @"llvm.x86.avx2.pmadd.ub.sw"(@Vector(32, u8), @Vector(32, i8)) @Vector(16, i16);
extern fn @"llvm.x86.avx2.pmadd.wd"(@Vector(16, i16), @Vector(16, i16)) @Vector(8, i32);
extern fn @"llvm.x86.sse2.pmadd.wd"(@Vector(8, i16), @Vector(8, i16)) @Vector(4, i32);
extern fn @"llvm.x86.avx2.psign.b"(@Vector(32, i8), @Vector(32, i8)) @Vector(32, i8);
extern fn @"llvm.aarch64.neon.sdot.v4i32.v16i8"(@Vector(4, i32), @Vector(16, i8), @Vector(16, i8)) @Vector(4, i32);
extern fn @"llvm.aarch64.neon.saddlp.v4i32.v8i16"(@Vector(8, i16)) @Vector(4, i32);
extern fn @"llvm.aarch64.neon.addp.v4i32"(@Vector(4, i32), @Vector(4, i32)) @Vector(4, i32);

const vpdpwssd512 = @"llvm.x86.avx512.vpdpwssd.512";

inline fn dpbusd(comptime lanes: u32, sum: @Vector(lanes, i32), w: simd.Bytes(lanes), x: @Vector(lanes, i32)) @Vector(lanes, i32) {
    comptime std.debug.assert(lanes == 16);
    return @"llvm.x86.avx512.vpdpbusd.512"(sum, @bitCast(w), x);
}

inline fn maddubs(comptime lanes: u32, w: @Vector(4 * lanes, u8), x: @Vector(4 * lanes, i8)) @Vector(2 * lanes, i16) {
    if (lanes == 8) return @"llvm.x86.avx2.pmadd.ub.sw"(w, x);
    return simd.join(maddubs(lanes / 2, simd.lowHalf(w), simd.lowHalf(x)), maddubs(lanes / 2, simd.highHalf(w), simd.highHalf(x)));
}

inline fn sign(comptime lanes: u32, x: @Vector(4 * lanes, i8), w: @Vector(4 * lanes, u8)) @Vector(4 * lanes, i8) {
    if (lanes == 8) return @"llvm.x86.avx2.psign.b"(x, @bitCast(w));
    return simd.join(sign(lanes / 2, simd.lowHalf(x), simd.lowHalf(w)), sign(lanes / 2, simd.highHalf(x), simd.highHalf(w)));
}

inline fn madd(comptime lanes: u32, a: @Vector(2 * lanes, i16), b: @Vector(2 * lanes, i16)) @Vector(lanes, i32) {
    if (lanes == 8 and isa.has_avx2) return @"llvm.x86.avx2.pmadd.wd"(a, b);
    if (lanes == 4) return @"llvm.x86.sse2.pmadd.wd"(a, b);
    return simd.join(madd(lanes / 2, simd.lowHalf(a), simd.lowHalf(b)), madd(lanes / 2, simd.highHalf(a), simd.highHalf(b)));
}

/// Bytes 0 and 2, then 1 and 3, of each lane as pairs of i16: no product or sum can overflow.
inline fn maddWide(comptime lanes: u32, w: simd.Bytes(lanes), x: @Vector(lanes, i32), comptime signed: bool) @Vector(lanes, i32) {
    const S = @Vector(2 * lanes, i16);
    const U16 = @Vector(2 * lanes, u16);
    const xs: S = @bitCast(x);
    const eight: @Vector(2 * lanes, u4) = @splat(8);
    const ws: S = @bitCast(w);
    const even: S = if (signed) (ws << eight) >> eight else @bitCast(@as(U16, @bitCast(ws)) & @as(U16, @splat(0xff)));
    const odd: S = if (signed) ws >> eight else @bitCast(@as(U16, @bitCast(ws)) >> eight);
    return madd(lanes, even, (xs << eight) >> eight) +% madd(lanes, odd, xs >> eight);
}

inline fn sdot(comptime lanes: u32, sum: @Vector(lanes, i32), w: simd.Bytes(lanes), x: @Vector(lanes, i32)) @Vector(lanes, i32) {
    if (lanes == 4) return @"llvm.aarch64.neon.sdot.v4i32.v16i8"(sum, @bitCast(w), @bitCast(x));
    return simd.join(
        sdot(lanes / 2, simd.lowHalf(sum), simd.lowHalf(w), simd.lowHalf(x)),
        sdot(lanes / 2, simd.highHalf(sum), simd.highHalf(w), simd.highHalf(x)),
    );
}

inline fn neonDot(comptime lanes: u32, w: simd.Bytes(lanes), x: @Vector(lanes, i32)) @Vector(lanes, i32) {
    if (lanes > 4) return simd.join(
        neonDot(lanes / 2, simd.lowHalf(w), simd.lowHalf(x)),
        neonDot(lanes / 2, simd.highHalf(w), simd.highHalf(x)),
    );
    const S = @Vector(8, i16);
    const ws: @Vector(16, i8) = @bitCast(w);
    const xs: @Vector(16, i8) = @bitCast(x);
    const first = @as(S, simd.lowHalf(ws)) * @as(S, simd.lowHalf(xs));
    const last = @as(S, simd.highHalf(ws)) * @as(S, simd.highHalf(xs));
    return @"llvm.aarch64.neon.addp.v4i32"(
        @"llvm.aarch64.neon.saddlp.v4i32.v8i16"(first),
        @"llvm.aarch64.neon.saddlp.v4i32.v8i16"(last),
    );
}
