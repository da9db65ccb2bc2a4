//! The tokens among which a choice is still open: their logits, in rising order of ids, and what has been done to them.
//!
//! Probabilities are integer weights, round(exp((l - max) / temperature) * 2^32), added in u64, so that sums do not
//! depend on order (docs/design/contract.md, "Sampling"). A list begins as the logits themselves, ids 0, 1, 2, ...; the first cut copies what it
//! keeps into the workspace, later ones pack it in place.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const simd = @import("../level/simd.zig");
const math = @import("math.zig");

const F = simd.F;
pub const inf = std.math.inf(f32);

/// Vectors of a group: of each of its 16 columns the greatest logit is known.
const group_vectors = 16;
const group = 16 * group_vectors;

/// Memory that the caller lends: arrays for a vocabulary each, with room for 16 lanes behind.
pub const Workspace = struct {
    logits: [*]f32,
    ids: [*]u32,
    /// Two halves of scores with their exponentials, for `sample_select.zig`.
    parts: [2]Part,
    maxima: [*]f32,

    pub const Part = struct { scores: [*]f32, exponentials: [*]f32 };

    pub fn init(words: [*]u32, vocabulary: usize) Workspace {
        const stride = level_table.SampleLayout.of(vocabulary).stride;
        const floats: [*]f32 = @ptrCast(words);
        return .{
            .logits = floats,
            .ids = words + stride,
            .parts = .{
                .{ .scores = floats + 2 * stride, .exponentials = floats + 3 * stride },
                .{ .scores = floats + 4 * stride, .exponentials = floats + 5 * stride },
            },
            .maxima = floats + 6 * stride,
        };
    }

    /// Where probabilities are left as f64, behind the first half.
    pub fn probabilities(workspace: Workspace) [*]align(8) f64 {
        return @ptrCast(@alignCast(workspace.parts[1].scores));
    }
};

/// Sixteen floats from `i` on of `len`; what is past the end reads as -infinity.
pub inline fn at(p: [*]const f32, i: usize, len: usize) F {
    return simd.loadUpTo(p + i, len - i, -inf);
}

/// a where it is greater, else b: one instruction, where b is never NaN.
pub inline fn greater(a: F, b: F) F {
    return @select(f32, a > b, a, b);
}

/// Adds integer weights.
pub const Sum = struct {
    low: W = @splat(0),
    high: W = @splat(0),
    vectors: u64 = 0,

    const W = @Vector(8, u64);
    const D = @Vector(8, f64);
    /// Adding 2^52 rounds to an integer, to nearest even, which then lies in the low bits; the others are taken off at the end.
    const magic = 0x1p52;
    const magic_bits: u64 = @bitCast(@as(f64, magic));

    pub inline fn add(sum: *Sum, e: F) void {
        const product = e * simd.splat(0x1p32);
        sum.low +%= @bitCast(@as(D, @floatCast(simd.lowHalf(product))) + @as(D, @splat(magic)));
        sum.high +%= @bitCast(@as(D, @floatCast(simd.highHalf(product))) + @as(D, @splat(magic)));
        sum.vectors += 1;
    }

    pub inline fn total(sum: Sum) u64 {
        return @reduce(.Add, sum.low +% sum.high) -% sum.vectors *% 16 *% magic_bits;
    }
};

/// The weight of one exponential.
pub fn weight(e: f32) u64 {
    return @as(u64, @bitCast(@as(f64, e * 0x1p32) + Sum.magic)) -% Sum.magic_bits;
}

/// The least x up to 0 whose exponential weighs at least `goal` (1 to 2^32): weights never fall when x rises.
pub noinline fn leastExponent(goal: u64) f32 {
    // In bits of -x: `low` weighs enough, `high` (-24) nothing. Sixteen probes a round.
    var low: u32 = 0;
    var high: u32 = @bitCast(@as(f32, 24));
    while (high - low > 1) {
        const step = std.math.divCeil(u32, high - low, 17) catch unreachable;
        const probes = @as(simd.U, @splat(low)) + @as(simd.U, @splat(step)) * (std.simd.iota(u32, 16) + @as(simd.U, @splat(1)));
        const inside = @select(u32, probes < @as(simd.U, @splat(high)), probes, @as(simd.U, @splat(high)));
        const lanes: [16]f32 = math.expBelow(@bitCast(inside | @as(simd.U, @splat(1 << 31))));
        var enough: u32 = 0;
        while (enough < 16 and weight(lanes[enough]) >= goal) enough += 1;
        low += step * enough;
        high = @min(high, low + step);
    }
    return -@as(f32, @bitCast(low));
}

pub const List = struct {
    logits: [*]const f32,
    /// The ids; null: 0, 1, 2, ...
    ids: ?[*]const u32 = null,
    len: usize,
    /// The greatest logit.
    max: f32 = -inf,
    /// What distances from the greatest logit are divided by.
    heat: f32 = 1,
    /// Whether `Workspace.maxima` are this list's.
    grouped: bool = false,

    pub fn id(list: *const List, index: usize) u32 {
        return if (list.ids) |ids| ids[index] else @intCast(index);
    }

    /// Where a token is in the list.
    pub fn find(list: *const List, token: u32) ?usize {
        const ids = list.ids orelse return if (token < list.len) token else null;
        const Context = struct {
            fn order(wanted: u32, found: u32) std.math.Order {
                return std.math.order(wanted, found);
            }
        };
        return std.sort.binarySearch(u32, ids[0..list.len], token, Context.order);
    }

    /// (l - max) / temperature.
    pub inline fn distance(list: *const List, v: F, comptime warm: bool) F {
        const x = v - simd.splat(list.max);
        return if (warm) x / simd.splat(list.heat) else x;
    }

    pub inline fn exponential(list: *const List, v: F, comptime warm: bool) F {
        return math.expBelow(list.distance(v, warm));
    }

    /// Whether distances have to be divided; dividing by 1 changes nothing.
    pub fn isWarm(list: *const List) bool {
        return list.heat != 1;
    }

    /// All weights.
    pub fn total(list: *const List) u64 {
        return if (list.isWarm()) list.totalOf(true) else list.totalOf(false);
    }

    noinline fn totalOf(list: *const List, comptime warm: bool) u64 {
        var sum: Sum = .{};
        var i: usize = 0;
        while (i < list.len) : (i += 16) sum.add(list.exponential(at(list.logits, i, list.len), warm));
        return sum.total();
    }

    /// Finds the greatest logit, and of a whole vocabulary those of its groups' columns; false: there is a NaN.
    pub noinline fn survey(list: *List, workspace: Workspace) bool {
        var most = simd.splat(-inf);
        var nan: simd.Mask = @splat(false);
        var i: usize = 0;
        var column = workspace.maxima;
        while (i + group <= list.len) : (i += group) {
            var own = simd.splat(-inf);
            inline for (0..group_vectors / 2) |pair| {
                const a = simd.load(list.logits + i + 32 * pair);
                const b = simd.load(list.logits + i + 32 * pair + 16);
                nan |= (a != a) | (b != b);
                own = greater(b, greater(a, own));
            }
            simd.store(column, own);
            column += 16;
            most = greater(own, most);
        }
        var own = simd.splat(-inf);
        while (i < list.len) : (i += 16) {
            const v = at(list.logits, i, list.len);
            nan |= v != v;
            own = greater(v, own);
        }
        simd.store(column, own);
        list.max = simd.treeMax(greater(own, most));
        list.grouped = list.ids == null;
        return !@reduce(.Or, nan);
    }

    /// Where the first logit is that equals `logit`, which is there.
    pub noinline fn first(list: *const List, logit: f32, workspace: Workspace) usize {
        var i: usize = 0;
        if (list.grouped) {
            while (!anyOf(simd.load(workspace.maxima + i / 16) == simd.splat(logit))) i += group;
        }
        while (true) : (i += 16) {
            const bits: u16 = @bitCast(at(list.logits, i, list.len) == simd.splat(logit));
            if (bits != 0) return i + @ctz(bits);
        }
    }

    /// Keeps one token alone.
    pub fn only(list: *List, index: usize, workspace: Workspace) void {
        const token = list.id(index);
        workspace.logits[0] = list.logits[index];
        workspace.ids[0] = token;
        list.become(1, workspace);
        list.max = workspace.logits[0];
    }

    fn become(list: *List, len: usize, workspace: Workspace) void {
        list.logits = workspace.logits;
        list.ids = workspace.ids;
        list.len = len;
        list.grouped = false;
    }

    /// Keeps the tokens that `test_.keeps(index, logits)` chooses; it is asked once for each vector, in order.
    pub noinline fn pack(list: *List, workspace: Workspace, test_: anytype) void {
        var count: usize = 0;
        var i: usize = 0;
        while (i < list.len) : (i += 16) count = list.packVector(workspace, test_, i, count);
        list.become(count, workspace);
    }

    /// The same for logits from `floor` on; groups without such a logit are skipped.
    pub noinline fn packFrom(list: *List, workspace: Workspace, floor: f32) void {
        const test_: From = .{ .floor = floor };
        if (!list.grouped) return list.pack(workspace, test_);
        var count: usize = 0;
        var begin: usize = 0;
        while (begin < list.len) : (begin += group) {
            if (!anyOf(simd.load(workspace.maxima + begin / 16) >= simd.splat(floor))) continue;
            var i = begin;
            const end = @min(begin + group, list.len);
            while (i < end) : (i += 16) count = list.packVector(workspace, test_, i, count);
        }
        list.become(count, workspace);
    }

    inline fn packVector(list: *List, workspace: Workspace, test_: anytype, i: usize, count: usize) usize {
        const v = at(list.logits, i, list.len);
        const packer: simd.Packer = .init(test_.keeps(i, v));
        const ids: simd.U = if (list.ids) |ids|
            @bitCast(at(@ptrCast(ids), i, list.len))
        else
            @as(simd.U, @splat(@intCast(i))) + std.simd.iota(u32, 16);
        packer.store(workspace.logits + count, v);
        packer.store(@ptrCast(workspace.ids + count), @bitCast(ids));
        return count + packer.count();
    }
};

const From = struct {
    floor: f32,

    pub inline fn keeps(test_: From, _: usize, v: F) simd.Mask {
        // The padding behind the end is -infinity.
        return (v >= simd.splat(test_.floor)) & (v > simd.splat(-inf));
    }
};

pub inline fn anyOf(mask: simd.Mask) bool {
    return @as(u16, @bitCast(mask)) != 0;
}

test "the least exponent is where weights begin to be enough" {
    for ([_]u64{ 1, 2, 3, 1000, 0x8000_0000, 0xffff_ff00, 0xffff_ffff, 0x1_0000_0000, 0x1234_5678 }) |goal| {
        const x = leastExponent(goal);
        try std.testing.expect(weight(math.exp(simd.splat(x))[0]) >= goal);
        const below: f32 = @bitCast(@as(u32, @bitCast(x)) + 1); // one step further from 0
        if (x != 0) try std.testing.expect(weight(math.exp(simd.splat(below))[0]) < goal);
    }
}

test "weights never fall when the exponent rises, and both exponentials weigh the same" {
    var bits: u32 = @bitCast(@as(f32, 1e-9));
    var last: u64 = 1 << 32;
    while (bits < @as(u32, @bitCast(@as(f32, 24)))) : (bits += 16 * 13) {
        const x: F = @bitCast((@as(simd.U, @splat(bits)) + std.simd.iota(u32, 16)) | @as(simd.U, @splat(1 << 31)));
        const near: [16]f32 = math.expBelow(x);
        const exact: [16]f32 = math.exp(x);
        for (near, exact) |a, b| {
            try std.testing.expectEqual(weight(b), weight(a));
            try std.testing.expect(weight(a) <= last);
            last = weight(a);
        }
    }
}
