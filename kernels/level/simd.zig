//! The vectors that every operation is written in. This folder alone knows one instruction set from another (`isa.zig`).
//!
//! Sixteen lanes everywhere: one AVX-512 register, two of AVX2, four of NEON or SSE. A function here gives the same bits
//! at every level; what the hardware lacks (fused multiply-add, half floats) is exact in software. The order of
//! additions is the business of `op/`.

const std = @import("std");
const isa = @import("isa.zig");

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

/// Up to 16 floats of `n` that are left, then `pad`.
pub inline fn loadUpTo(p: [*]align(4) const f32, n: usize, pad: f32) F {
    return if (n >= 16) load(p) else loadPart(p, n, pad);
}

/// Up to 16 floats of `n` that are left.
pub inline fn storeUpTo(p: [*]align(4) f32, n: usize, v: F) void {
    if (n >= 16) store(p, v) else storePart(p, n, v);
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
        if (isa.has_vnni) return @This().storeAll(p, @"llvm.x86.avx512.mask.compress.v16f32"(v, splat(0), @bitCast(packer.bits)));
        if (isa.has_avx2) {
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

/// Adds the lanes in a fixed tree (docs/design/contract.md, "Reductions"): i += i + 8, + 4, + 2, + 1.
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

/// a * 2^n for whole n, rounded once, where `isa.has_scale`.
pub inline fn scaled(a: F, n: F) F {
    return @"llvm.x86.avx512.mask.scalef.ps.512"(a, n, a, 0xffff, current_rounding);
}

extern fn @"llvm.x86.avx512.mask.scalef.ps.512"(F, F, F, u16, i32) F;
const current_rounding = 4;

/// a * b + c with one rounding, for a vector of floats of any length or one float.
pub inline fn fma(a: anytype, b: @TypeOf(a), c: @TypeOf(a)) @TypeOf(a) {
    if (isa.has_fma) return @mulAdd(@TypeOf(a), a, b, c);
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

/// Asks for a line of the weights that one token streams through, into the second cache, where `touch` is not for it: with a
/// few dozen instructions between its loads the processor doesn't see far enough ahead. Measured with `bench/order` at AVX2,
/// each pass beside one that only reads, Q4_0: on Zen 4 8 KB ahead comes to 0.81, 4 KB to 0.59, 2 KB to 0.44; on Zen 5 4 KB
/// ahead came to 0.81, nothing to 0.60, and 512 bytes is worse than nothing.
pub inline fn prefetchStream(p: [*]const u8) void {
    @prefetch(p + 8192, .{ .rw = .read, .locality = 2, .cache = .data });
}

/// Whether one token touches its weights before it computes (`touch`).
pub const touches = isa.has_vnni;

/// Loads a byte of each line that is needed next. Nothing waits for these loads, so all of them are under way at once, in the
/// order of the memory, which the processor's own prefetcher follows. Without them, vectors that wait for a line fill the
/// scheduler of 512-bit operations, and no later load is seen. Measured on Zen 4 at AVX-512 beside a pass that only reads:
/// Q4_0 0.85 (fetching 8 KB ahead 0.62, 1 KB 0.71, nothing 0.73), Q4_K 0.85 (0.64), Q6_K 0.86 (0.62), Q8_0 0.84 (0.84);
/// touching what comes later still is worse than nothing.
pub inline fn touch(p: [*]const u8, comptime bytes: usize) void {
    inline for (0..(bytes + 63) / 64) |line| _ = @as(*const volatile u8, &p[64 * line]).*;
}

/// Four neighbouring columns of `lanes` rows, a byte each: lane i's bytes are 4 i to 4 i + 3.
pub fn Bytes(comptime lanes: u32) type {
    return @Vector(4 * lanes, u8);
}

/// table[index] for every byte, all of which are below 16.
pub inline fn lookup(comptime lanes: u32, comptime table: [16]u8, indices: Bytes(lanes)) Bytes(lanes) {
    const len = 4 * lanes;
    if (len > 16 and !(isa.has_vnni and len == 64) and !(isa.has_avx2 and len == 32)) return join(
        lookup(lanes / 2, table, lowHalf(indices)),
        lookup(lanes / 2, table, highHalf(indices)),
    );
    const repeated: Bytes(lanes) = @bitCast(@as([len / 16][16]u8, @splat(table)));
    if (len == 64) return @"llvm.x86.avx512.pshuf.b.512"(repeated, indices);
    if (len == 32) return @"llvm.x86.avx2.pshuf.b"(repeated, indices);
    if (isa.arm) return @"llvm.aarch64.neon.tbl1.v16i8"(repeated, indices);
    return lookupPlain(table, indices);
}

/// For isa.plain isa.x86-64, which has no instruction for it.
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

pub inline fn join(a: anytype, b: @TypeOf(a)) @Vector(2 * @typeInfo(@TypeOf(a)).vector.len, @typeInfo(@TypeOf(a)).vector.child) {
    const vector = @typeInfo(@TypeOf(a)).vector;
    return @shuffle(vector.child, a, b, Masks(vector.len).both);
}

extern fn @"llvm.x86.avx512.mask.compress.v16f32"(F, F, Mask) F;
extern fn @"llvm.x86.avx2.permps"(@Vector(8, f32), @Vector(8, i32)) @Vector(8, f32);
extern fn @"llvm.x86.avx512.pshuf.b.512"(@Vector(64, u8), @Vector(64, u8)) @Vector(64, u8);
extern fn @"llvm.x86.avx2.pshuf.b"(@Vector(32, u8), @Vector(32, u8)) @Vector(32, u8);
extern fn @"llvm.aarch64.neon.tbl1.v16i8"(@Vector(16, u8), @Vector(16, u8)) @Vector(16, u8);

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
