//! Finds where an order is cut, without sorting it: scores are parted by a pivot, the part in which the goal is reached
//! is parted again, until so few are left that they can be sorted. The result says which scores are in; equal scores go
//! by their place in the list, which is by id.

const std = @import("std");
const simd = @import("../level/simd.zig");
const list_zig = @import("sample_list.zig");

const F = simd.F;
const Sum = list_zig.Sum;
const Part = list_zig.Workspace.Part;
const inf = list_zig.inf;

/// At most so many scores are sorted.
const few = 16;
/// So many pivots lie in the middle of the values. Later ones lie in the middle of the floats between the ends, which surely ends.
const value_rounds = 12;

/// Greater scores are in, and of those that equal `score` the first `ties`.
pub const Bound = struct {
    score: f32,
    ties: usize,

    /// The wider of two bounds.
    pub fn wider(a: Bound, b: Bound) Bound {
        if (a.score == b.score) return .{ .score = a.score, .ties = @max(a.ties, b.ties) };
        return if (a.score < b.score) a else b;
    }

    /// Lanes that are in; asked once for each vector, in order. What is -infinity is out.
    pub inline fn take(bound: *Bound, scores: F) simd.Mask {
        const above = scores > simd.splat(bound.score);
        const equal = scores == simd.splat(bound.score);
        if (!list_zig.anyOf(equal)) return above;
        var bits: u16 = @bitCast(equal);
        while (@popCount(bits) > bound.ties) bits &= ~(@as(u16, 0x8000) >> @intCast(@clz(bits)));
        bound.ties -= @popCount(bits);
        return above | @as(simd.Mask, @bitCast(bits));
    }
};

/// Scores that lie in `parts[0]`, none of them -infinity.
pub const Scores = struct {
    parts: [2]Part,
    len: usize,
    /// All scores are above `low` and at most `high`.
    low: f32,
    high: f32,

    /// The shortest beginning of the order, greatest scores first, that adds up to at least `goal`: in weights of the
    /// exponentials, or in numbers. `goal` is from 1 to the sum of all. The scores are parted on the way.
    pub noinline fn find(scores: Scores, comptime weighted: bool, goal: u64) Bound {
        var own = scores.parts[0];
        var other = scores.parts[1];
        var n = scores.len;
        var low = scores.low;
        var high = scores.high;
        var missing = goal;
        var rounds: u32 = 0;
        while (n > few) : (rounds += 1) {
            const low_key = keyOf(low);
            const high_key = keyOf(high);
            if (high_key - low_key <= 1) return .{ .score = high, .ties = walkEqual(weighted, own, missing) };
            var pivot = low * 0.5 + high * 0.5;
            if (rounds >= value_rounds or !(pivot >= low and pivot < high)) pivot = floatOf(low_key + (high_key - low_key) / 2);

            var sum: Sum = .{};
            var above: usize = 0;
            var below: usize = 0;
            var i: usize = 0;
            while (i < n) : (i += 16) {
                const s = simd.load(own.scores + i);
                const inside = std.simd.iota(u32, 16) < @as(simd.U, @splat(@intCast(n - i)));
                const is_above = inside & (s > simd.splat(pivot));
                const is_below = inside & ~(s > simd.splat(pivot));
                const pack_above: simd.Packer = .init(is_above);
                const pack_below: simd.Packer = .init(is_below);
                if (weighted) {
                    const e = simd.load(own.exponentials + i);
                    sum.add(@select(f32, is_above, e, simd.splat(0)));
                    pack_above.store(own.exponentials + above, e);
                    pack_below.store(other.exponentials + below, e);
                }
                pack_above.store(own.scores + above, s);
                pack_below.store(other.scores + below, s);
                above += pack_above.count();
                below += pack_below.count();
            }
            const reached = if (weighted) sum.total() else above;
            if (reached >= missing) {
                n = above;
                low = pivot;
            } else {
                missing -= reached;
                std.mem.swap(Part, &own, &other);
                n = below;
                high = pivot;
            }
        }
        return walkFew(weighted, own, n, missing);
    }
};

fn measure(comptime weighted: bool, part: Part, index: usize) u64 {
    return if (weighted) list_zig.weight(part.exponentials[index]) else 1;
}

/// How many of equal scores are needed.
fn walkEqual(comptime weighted: bool, part: Part, goal: u64) usize {
    if (!weighted) return goal;
    var missing = goal;
    var index: usize = 0;
    while (true) : (index += 1) {
        const own = measure(weighted, part, index);
        if (own >= missing) return index + 1;
        missing -= own;
    }
}

fn walkFew(comptime weighted: bool, part: Part, n: usize, goal: u64) Bound {
    var sorted: [few]u64 = undefined;
    for (0..n) |index| {
        const entry = @as(u64, keyOf(part.scores[index])) << 32 | (few - index);
        var to = index;
        while (to > 0 and sorted[to - 1] < entry) : (to -= 1) sorted[to] = sorted[to - 1];
        sorted[to] = entry;
    }
    var missing = goal;
    var ties: usize = 0;
    for (sorted[0..n], 0..) |entry, place| {
        const index = few - (entry & 0xffff_ffff);
        const same = place > 0 and sorted[place - 1] >> 32 == entry >> 32;
        ties = if (same) ties + 1 else 1;
        const own = measure(weighted, part, index);
        if (own >= missing) return .{ .score = part.scores[index], .ties = ties };
        missing -= own;
    }
    unreachable; // the goal is at most the sum
}

/// An integer with the order of floats, neighbours next to each other; -0 and 0 have the same.
fn keyOf(x: f32) u32 {
    const bits: u32 = @bitCast(x);
    return if (bits >> 31 == 1) 0 -% bits else bits | 1 << 31;
}

fn floatOf(key: u32) f32 {
    return @bitCast(if (key >> 31 == 1) key ^ 1 << 31 else 0 -% key);
}

/// The float below a finite one.
pub fn floatBelow(x: f32) f32 {
    return floatOf(keyOf(x) - 1);
}

test "keys have no gaps, so that halving them ends" {
    const tiny: f32 = 0x1p-149;
    try std.testing.expectEqual(keyOf(0), keyOf(-0.0));
    try std.testing.expectEqual(keyOf(0) - 1, keyOf(-tiny));
    try std.testing.expectEqual(keyOf(0) + 1, keyOf(tiny));
    for ([_]f32{ -inf, -3e38, -1, -tiny, 0, tiny, 1, 3e38, inf }) |x| try std.testing.expectEqual(x, floatOf(keyOf(x)));
    try std.testing.expectEqual(-tiny, floatBelow(0));
}
