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
const has_vnni = feature(.avx512vnni) and feature(.avx512bw);
const has_avx2 = feature(.avx2);
const has_dotprod = arm and std.Target.aarch64.featureSetHas(cpu.features, .dotprod);

/// Lanes of one register: tile kernels work on so many rows at a time.
pub const register_lanes = if (has_vnni) 16 else if (has_avx2) 8 else 4;

/// Vector registers of `register_lanes`: how many sums a tile kernel may hold.
pub const registers = if (has_vnni or arm) 32 else 16;

/// Plain processors get one small kernel where others have several.
pub const plain = !has_avx2 and !has_dotprod;

/// Whether products of signed weights depend on `low` (`Dot`).
pub const low_differs = has_avx2 and !has_vnni;

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

/// A choice of lanes.
pub const Mask = @Vector(16, bool);

/// Puts the lanes of a mask together: `vpcompressd`, or a permutation that a table names, or one lane after the other.
pub const Packer = struct {
    bits: u16,

    pub inline fn init(mask: Mask) Packer {
        return .{ .bits = @bitCast(mask) };
    }

    pub inline fn count(packer: Packer) usize {
        return @popCount(packer.bits);
    }

    /// Writes the chosen lanes to `p` in order. What follows them there, up to 16 lanes in all, is overwritten.
    pub inline fn store(packer: Packer, p: [*]align(4) f32, v: F) void {
        if (has_vnni) return @This().storeAll(p, @"llvm.x86.avx512.mask.compress.v16f32"(v, splat(0), @bitCast(packer.bits)));
        if (has_avx2) {
            const low: u8 = @truncate(packer.bits);
            storeHalf(p, packed8(lowHalf(v), low));
            storeHalf(p + @popCount(low), packed8(highHalf(v), @intCast(packer.bits >> 8)));
            return;
        }
        @call(.never_inline, storeLanes, .{ packer, p, v });
    }

    fn storeLanes(packer: Packer, p: [*]align(4) f32, v: F) void {
        const lanes: [16]f32 = v;
        var at: usize = 0;
        inline for (lanes, 0..) |lane, i| {
            p[at] = lane;
            at += packer.bits >> i & 1;
        }
    }

    inline fn storeAll(p: [*]align(4) f32, v: F) void {
        @as(*align(4) F, @ptrCast(p)).* = v;
    }

    inline fn storeHalf(p: [*]align(4) f32, v: @Vector(8, f32)) void {
        @as(*align(4) @Vector(8, f32), @ptrCast(p)).* = v;
    }

    inline fn packed8(v: @Vector(8, f32), bits: u8) @Vector(8, f32) {
        const indices: @Vector(8, u8) = lanes_of[bits];
        return @"llvm.x86.avx2.permps"(v, @as(@Vector(8, i32), indices));
    }

    /// For each mask of eight lanes, its lanes in order.
    const lanes_of: [256][8]u8 = blk: {
        @setEvalBranchQuota(10_000);
        var table: [256][8]u8 = @splat(@splat(0));
        for (&table, 0..) |*row, bits| {
            var at: usize = 0;
            for (0..8) |lane| if (bits >> lane & 1 == 1) {
                row[at] = lane;
                at += 1;
            };
        }
        break :blk table;
    };
};

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

inline fn foldTree(v: anytype, comptime op: enum { add, max }) f32 {
    if (@typeInfo(@TypeOf(v)).vector.len == 1) return v[0];
    const low = lowHalf(v);
    const high = highHalf(v);
    return foldTree(if (op == .add) low + high else @max(low, high), op);
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
noinline fn fmaSoftware(comptime n: u32, a: @Vector(n, f32), b: @Vector(n, f32), c: @Vector(n, f32)) @Vector(n, f32) {
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
    if (has_f16c) return @bitCast(@as(@Vector(n, f16), @floatCast(v)));
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

/// Asks for a line of the weights that one token streams through, into the second cache: with a few dozen instructions
/// between its loads the processor doesn't see far enough ahead. Measured on Zen 5 with `bench/order`, each pass beside
/// one that only reads: 4 KB ahead Q4_0 comes to 0.81 of reading at AVX2 and 0.85 at AVX-512, without to 0.60 and 0.70,
/// and 512 bytes ahead, as it once was, is worse than nothing.
pub inline fn prefetchStream(p: [*]const u8) void {
    @prefetch(p + 4096, .{ .rw = .read, .locality = 2, .cache = .data });
}

/// Whether spans of so many bytes are read in so few instructions that the processor fetches them best by itself: 8 bits a
/// weight lose a tenth by fetching at AVX-512 and gain a tenth at AVX2.
pub fn fetchesItself(span_bytes: usize) bool {
    return has_vnni and span_bytes >= 512;
}

/// Four neighbouring columns of `lanes` rows, a byte each: lane i's bytes are 4 i to 4 i + 3.
pub fn Bytes(comptime lanes: u32) type {
    return @Vector(4 * lanes, u8);
}

/// Where weights that may be negative are kept as w + 128 in an unsigned byte, because the instruction wants it so.
pub const signed_biased = has_vnni;

/// What weights a format hands to `Dot`.
pub const Weights = union(enum) {
    /// Unsigned, up to this many (at most 127).
    unsigned: u8,
    /// i8, all 256 values; where `signed_biased`, plus 128.
    signed,
};

/// Four weights as `weightsAt` must give them.
pub inline fn signedColumns(columns: [4]u8) [4]u8 {
    return if (signed_biased) @bitCast(@as(u32, @bitCast(columns)) ^ 0x8080_8080) else columns;
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
            .unsigned => |max| @min(steps, std.math.floorPowerOfTwo(u32, 32767 / (2 * 128 * @as(u32, max)))),
            .signed => 1,
        };

        sum: Sum,
        short: Short = undefined,

        /// Begins with a correction for weights that are kept with something added.
        pub inline fn init(sum: Sum) Self {
            return .{ .sum = sum };
        }

        /// The `step`th (0 to 3, or 0 to 7) four columns and their activations.
        pub inline fn add(dot: *Self, comptime step: u32, w: Bytes(lanes), x: [4]i8) void {
            const four: @Vector(lanes, i32) = @splat(@bitCast(x));
            if (has_vnni) {
                dot.sum = dpbusd(lanes, dot.sum, w, four);
            } else if (has_avx2 and weights == .unsigned) {
                const pairs = maddubs(lanes, w, @bitCast(four));
                dot.short = if (step % batch == 0) pairs else dot.short +% pairs;
                if (step % batch == batch - 1) dot.sum +%= madd(lanes, dot.short, @splat(1));
            } else if (has_avx2 and !low) {
                const pairs = maddubs(lanes, @abs(@as(@Vector(4 * lanes, i8), @bitCast(w))), sign(lanes, @bitCast(four), w));
                dot.sum +%= madd(lanes, pairs, @splat(1));
            } else if (x86) {
                dot.sum +%= maddWide(lanes, w, four, weights == .signed);
            } else if (has_dotprod) {
                dot.sum = sdot(lanes, dot.sum, w, four);
            } else {
                dot.sum +%= neonDot(lanes, w, four);
            }
        }
    };
}

/// table[index] for every byte, all of which are below 16.
pub inline fn lookup(comptime lanes: u32, comptime table: [16]u8, indices: Bytes(lanes)) Bytes(lanes) {
    const len = 4 * lanes;
    if (len > 16 and !(has_vnni and len == 64) and !(has_avx2 and len == 32)) return join(
        lookup(lanes / 2, table, lowHalf(indices)),
        lookup(lanes / 2, table, highHalf(indices)),
    );
    const repeated: Bytes(lanes) = @bitCast(@as([len / 16][16]u8, @splat(table)));
    if (len == 64) return @"llvm.x86.avx512.pshuf.b.512"(repeated, indices);
    if (len == 32) return @"llvm.x86.avx2.pshuf.b"(repeated, indices);
    if (arm) return @"llvm.aarch64.neon.tbl1.v16i8"(repeated, indices);
    return lookupPlain(table, indices);
}

/// For plain x86-64, which has no instruction for it.
noinline fn lookupPlain(comptime table: [16]u8, indices: @Vector(16, u8)) @Vector(16, u8) {
    return lookupTree(&table, indices);
}

/// By one bit of the index after another.
inline fn lookupTree(comptime table: []const u8, indices: @Vector(16, u8)) @Vector(16, u8) {
    const V = @Vector(16, u8);
    if (table.len == 1) return @splat(table[0]);
    const half = table.len / 2;
    const upper = (indices & @as(V, @splat(half))) == @as(V, @splat(half));
    return @select(u8, upper, lookupTree(table[half..], indices), lookupTree(table[0..half], indices));
}

/// -bias times the sum of a span's activations: both halves, the first 16 or the last 16. `sums` is a pair of i16 sums
/// of 16 in one word, then the sum of 32 (`op/activations.zig`).
pub inline fn biasSum(comptime lanes: u32, comptime bias: i16, comptime half: ?u1, sums: [*]const i32) @Vector(lanes, i32) {
    if (bias == 0) return @splat(0);
    if (!x86) {
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
    if (x86) return pairDot(lanes, m0 | m1 << @splat(16), @splat(sums[0]));
    const first: i16 = @truncate(sums[0]);
    const second: i16 = @truncate(sums[0] >> 16);
    return m0 * @as(@Vector(lanes, i32), @splat(first)) + m1 * @as(@Vector(lanes, i32), @splat(second));
}

/// Each lane a pair of i16: the sum of both products.
inline fn pairDot(comptime lanes: u32, a: @Vector(lanes, i32), b: @Vector(lanes, i32)) @Vector(lanes, i32) {
    if (has_vnni and lanes == 16) return vpdpwssd512(@splat(0), a, b);
    return madd(lanes, @bitCast(a), @bitCast(b));
}

/// Shuffles that halve and join vectors, made once for each length.
fn Masks(comptime half: u32) type {
    return struct {
        const low: [half]i32 = indices(0);
        const high: [half]i32 = indices(half);
        const both: [2 * half]i32 = blk: {
            var mask: [2 * half]i32 = undefined;
            for (&mask, 0..) |*index, i| index.* = if (i < half) i else ~@as(i32, i - half);
            break :blk mask;
        };

        fn indices(first: i32) [half]i32 {
            var mask: [half]i32 = undefined;
            for (&mask, 0..) |*index, i| index.* = first + i;
            return mask;
        }
    };
}

fn Half(comptime V: type) type {
    const vector = @typeInfo(V).vector;
    return @Vector(vector.len / 2, vector.child);
}

pub inline fn lowHalf(v: anytype) Half(@TypeOf(v)) {
    const vector = @typeInfo(@TypeOf(v)).vector;
    return @shuffle(vector.child, v, undefined, Masks(vector.len / 2).low);
}

pub inline fn highHalf(v: anytype) Half(@TypeOf(v)) {
    const vector = @typeInfo(@TypeOf(v)).vector;
    return @shuffle(vector.child, v, undefined, Masks(vector.len / 2).high);
}

inline fn join(a: anytype, b: @TypeOf(a)) @Vector(2 * @typeInfo(@TypeOf(a)).vector.len, @typeInfo(@TypeOf(a)).vector.child) {
    const vector = @typeInfo(@TypeOf(a)).vector;
    return @shuffle(vector.child, a, b, Masks(vector.len).both);
}

extern fn @"llvm.x86.avx512.mask.compress.v16f32"(F, F, Mask) F;
extern fn @"llvm.x86.avx2.permps"(@Vector(8, f32), @Vector(8, i32)) @Vector(8, f32);
extern fn @"llvm.x86.avx512.vpdpbusd.512"(I, I, I) I;
extern fn @"llvm.x86.avx512.vpdpwssd.512"(I, I, I) I;
extern fn @"llvm.x86.avx2.pmadd.ub.sw"(@Vector(32, u8), @Vector(32, i8)) @Vector(16, i16);
extern fn @"llvm.x86.avx2.pmadd.wd"(@Vector(16, i16), @Vector(16, i16)) @Vector(8, i32);
extern fn @"llvm.x86.sse2.pmadd.wd"(@Vector(8, i16), @Vector(8, i16)) @Vector(4, i32);
extern fn @"llvm.x86.avx2.psign.b"(@Vector(32, i8), @Vector(32, i8)) @Vector(32, i8);
extern fn @"llvm.x86.avx512.pshuf.b.512"(@Vector(64, u8), @Vector(64, u8)) @Vector(64, u8);
extern fn @"llvm.x86.avx2.pshuf.b"(@Vector(32, u8), @Vector(32, u8)) @Vector(32, u8);
extern fn @"llvm.aarch64.neon.tbl1.v16i8"(@Vector(16, u8), @Vector(16, u8)) @Vector(16, u8);
extern fn @"llvm.aarch64.neon.sdot.v4i32.v16i8"(@Vector(4, i32), @Vector(16, i8), @Vector(16, i8)) @Vector(4, i32);
extern fn @"llvm.aarch64.neon.saddlp.v4i32.v8i16"(@Vector(8, i16)) @Vector(4, i32);
extern fn @"llvm.aarch64.neon.addp.v4i32"(@Vector(4, i32), @Vector(4, i32)) @Vector(4, i32);

const vpdpwssd512 = @"llvm.x86.avx512.vpdpwssd.512";

inline fn dpbusd(comptime lanes: u32, sum: @Vector(lanes, i32), w: Bytes(lanes), x: @Vector(lanes, i32)) @Vector(lanes, i32) {
    comptime std.debug.assert(lanes == 16);
    return @"llvm.x86.avx512.vpdpbusd.512"(sum, @bitCast(w), x);
}

inline fn maddubs(comptime lanes: u32, w: @Vector(4 * lanes, u8), x: @Vector(4 * lanes, i8)) @Vector(2 * lanes, i16) {
    if (lanes == 8) return @"llvm.x86.avx2.pmadd.ub.sw"(w, x);
    return join(maddubs(lanes / 2, lowHalf(w), lowHalf(x)), maddubs(lanes / 2, highHalf(w), highHalf(x)));
}

inline fn sign(comptime lanes: u32, x: @Vector(4 * lanes, i8), w: @Vector(4 * lanes, u8)) @Vector(4 * lanes, i8) {
    if (lanes == 8) return @"llvm.x86.avx2.psign.b"(x, @bitCast(w));
    return join(sign(lanes / 2, lowHalf(x), lowHalf(w)), sign(lanes / 2, highHalf(x), highHalf(w)));
}

inline fn madd(comptime lanes: u32, a: @Vector(2 * lanes, i16), b: @Vector(2 * lanes, i16)) @Vector(lanes, i32) {
    if (lanes == 8 and has_avx2) return @"llvm.x86.avx2.pmadd.wd"(a, b);
    if (lanes == 4) return @"llvm.x86.sse2.pmadd.wd"(a, b);
    return join(madd(lanes / 2, lowHalf(a), lowHalf(b)), madd(lanes / 2, highHalf(a), highHalf(b)));
}

/// Bytes 0 and 2, then 1 and 3, of each lane as pairs of i16: no product or sum can overflow.
inline fn maddWide(comptime lanes: u32, w: Bytes(lanes), x: @Vector(lanes, i32), comptime signed: bool) @Vector(lanes, i32) {
    const S = @Vector(2 * lanes, i16);
    const U16 = @Vector(2 * lanes, u16);
    const xs: S = @bitCast(x);
    const eight: @Vector(2 * lanes, u4) = @splat(8);
    const ws: S = @bitCast(w);
    const even: S = if (signed) (ws << eight) >> eight else @bitCast(@as(U16, @bitCast(ws)) & @as(U16, @splat(0xff)));
    const odd: S = if (signed) ws >> eight else @bitCast(@as(U16, @bitCast(ws)) >> eight);
    return madd(lanes, even, (xs << eight) >> eight) +% madd(lanes, odd, xs >> eight);
}

inline fn sdot(comptime lanes: u32, sum: @Vector(lanes, i32), w: Bytes(lanes), x: @Vector(lanes, i32)) @Vector(lanes, i32) {
    if (lanes == 4) return @"llvm.aarch64.neon.sdot.v4i32.v16i8"(sum, @bitCast(w), @bitCast(x));
    return join(
        sdot(lanes / 2, lowHalf(sum), lowHalf(w), lowHalf(x)),
        sdot(lanes / 2, highHalf(sum), highHalf(w), highHalf(x)),
    );
}

inline fn neonDot(comptime lanes: u32, w: Bytes(lanes), x: @Vector(lanes, i32)) @Vector(lanes, i32) {
    if (lanes > 4) return join(
        neonDot(lanes / 2, lowHalf(w), lowHalf(x)),
        neonDot(lanes / 2, highHalf(w), highHalf(x)),
    );
    const S = @Vector(8, i16);
    const ws: @Vector(16, i8) = @bitCast(w);
    const xs: @Vector(16, i8) = @bitCast(x);
    const first = @as(S, lowHalf(ws)) * @as(S, lowHalf(xs));
    const last = @as(S, highHalf(ws)) * @as(S, highHalf(xs));
    return @"llvm.aarch64.neon.addp.v4i32"(
        @"llvm.aarch64.neon.saddlp.v4i32.v8i16"(first),
        @"llvm.aarch64.neon.saddlp.v4i32.v8i16"(last),
    );
}

const testing = std.testing;

test "fma in software equals the hardware's (or compiler-rt's), specials and subnormals included" {
    const special = [_]f32{
        0,                 -0.0,               -1,              3.5e-39,          -1e-45,         1e-45,
        0x1p-126,          3.4e38,             -3.4e38,         0x1p-149,         1.0000001,      0x1p64,
        std.math.inf(f32), -std.math.inf(f32), 0x1.fffffep-127, 0x1.fffffep127,   0x1.000002p-75, -0x1p-75,
        std.math.nan(f32), 0.5,                0x1p-74,         -0x1.fffffep-126, 0x1.fffffep0,   -0x1.000002p0,
    };
    for (special) |a| for (special) |b| for (special) |c| try fmaCase(a, b, c);
    // A product half way between two floats and an addend far below it, which compiler-rt rounds wrongly.
    try testing.expectEqual(0x1.d41c56p-2, fmaSoftware(1, .{0x1.3p-1}, .{0x1.8a32dp-1}, .{-0x1p-132})[0]);
    try testing.expectEqual(0x1.d41c58p-2, fmaSoftware(1, .{0x1.3p-1}, .{0x1.8a32dp-1}, .{0x1p-132})[0]);
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

test "packed lanes keep their order" {
    const lanes: [16]f32 = std.simd.iota(f32, 16);
    var random = std.Random.DefaultPrng.init(3);
    for (0..2000) |i| {
        const bits: u16 = if (i < 2) @intCast(i * 0xffff) else random.random().int(u16);
        var out: [16]f32 = @splat(-1);
        const packer: Packer = .init(@bitCast(bits));
        packer.store(&out, lanes);
        var at: usize = 0;
        for (lanes, 0..) |lane, index| if (bits >> @intCast(index) & 1 == 1) {
            try testing.expectEqual(lane, out[at]);
            at += 1;
        };
        try testing.expectEqual(at, packer.count());
    }
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
