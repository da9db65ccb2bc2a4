//! Chooses a token from logits: greedy, or top-k, then top-p, then temperature, in the order of llama.cpp's chain.
//!
//! Probabilities are integer weights, round(exp(l - max) * 2^32), added in u64, so that sums do not depend on order
//! (DESIGN 4). Nothing is sorted: top-k, top-p and the draw all ask for the smallest prefix of an order whose weights reach a
//! goal, and `select` finds it by radix: top-k with weight 1 in falling order of logits, top-p with the probability's
//! weight in the same order, the draw with the tempered weight in rising order of ids. Equal logits go by id.
//! Random numbers are counter-based (Philox4x32-10), from the seed, the choice and the position.

const std = @import("std");
const abi = @import("../abi.zig");
const simd = @import("../simd.zig");
const math = @import("math.zig");

const F = simd.F;
const inf = std.math.inf(f32);

pub fn sample(sampling: *const abi.Sampling, logits: [*]const f32, vocabulary: u32, scratch: [*]u64) callconv(.c) i32 {
    const max = maximum(logits[0..vocabulary]) orelse return -1;
    // Certain: one logit is infinite, or the greatest is asked for.
    if (max == inf or !(sampling.temperature > 0)) {
        for (logits[0..vocabulary], 0..) |logit, id| if (logit == max) return @intCast(id);
        unreachable;
    }
    var kept = fill(logits[0..vocabulary], scratch);
    if (sampling.top_k > 0 and sampling.top_k < kept.len) {
        kept = kept[0..select(kept, .{ .measure = .one }, sampling.top_k)];
    }
    if (sampling.top_p < 1) {
        const plain: Weights = .{ .measure = .by_logit, .max = max };
        // The goal in exact steps: p and the total as f64, their product, upwards to an integer.
        const total = plain.total(kept);
        const product = @as(f64, @max(sampling.top_p, 0)) * @as(f64, @floatFromInt(total));
        const below: u64 = @intFromFloat(product);
        const goal = if (@as(f64, @floatFromInt(below)) < product) below + 1 else below;
        kept = kept[0..select(kept, plain, std.math.clamp(goal, 1, total))];
    }
    for (kept) |*entry| entry.* = byId(entry.*);
    const tempered: Weights = .{ .measure = .by_id, .max = max, .temperature = sampling.temperature };
    const drawn = philox(.{ sampling.choice, sampling.position, 0, 0 }, sampling.seed);
    const random = @as(u64, drawn[1]) << 32 | drawn[0];
    // From 0 to total - 1; the token at which the running sum passes it.
    const target: u64 = @truncate(@as(u128, random) * tempered.total(kept) >> 64);
    const length = select(kept, tempered, target + 1);
    return @intCast(id_max - (kept[length - 1] >> 42));
}

/// The greatest logit; null when one is NaN or all are -infinity.
fn maximum(logits: []const f32) ?f32 {
    var most = simd.splat(-inf);
    var nan: @Vector(16, bool) = @splat(false);
    var i: usize = 0;
    while (i < logits.len) : (i += 16) {
        const left = logits.len - i;
        const v = if (left >= 16) simd.load(logits.ptr + i) else simd.loadPart(logits.ptr + i, left, -inf);
        nan |= v != v;
        most = @max(most, v);
    }
    if (@reduce(.Or, nan)) return null;
    const max = simd.treeMax(most);
    return if (max == -inf) null else max;
}

/// Ids fit into 22 bits (`limits.vocabulary_max`).
const id_max = (1 << 22) - 1;

// An entry of the scratch is one token in 54 bits, the order it is selected by above the rest, greater first:
// logit, then id: key << 32 | (id_max - id) << 10, and for the draw, id only: (id_max - id) << 42 | key << 10.

fn byId(entry: u64) u64 {
    return entry << 32 | entry >> 32 << 10;
}

fn fill(logits: []const f32, scratch: [*]u64) []u64 {
    for (logits, scratch, 0..) |logit, *entry, id| {
        entry.* = @as(u64, keyOf(logit)) << 32 | (id_max - id) << 10;
    }
    return scratch[0..logits.len];
}

/// An integer with the order of floats; -0 is 0.
fn keyOf(logit: f32) u32 {
    const bits: u32 = @bitCast(logit + 0.0);
    return if (bits >> 31 == 1) ~bits else bits | 1 << 31;
}

fn logitOf(keys: simd.U) F {
    const top: simd.U = @splat(1 << 31);
    const positive = (keys & top) == top;
    return @bitCast(@select(u32, positive, keys ^ top, ~keys));
}

const Weights = struct {
    measure: enum { one, by_logit, by_id },
    max: f32 = 0,
    temperature: f32 = 1,

    /// The weights of 16 entries.
    inline fn of(weights: Weights, entries: @Vector(16, u64)) @Vector(16, u64) {
        const keys: simd.U = switch (weights.measure) {
            .one => return @splat(1),
            .by_logit => @truncate(entries >> @splat(32)),
            .by_id => @truncate(entries >> @splat(10)),
        };
        const distance = (logitOf(keys) - simd.splat(weights.max)) / simd.splat(weights.temperature);
        return scaled(math.exp(distance));
    }

    fn total(weights: Weights, entries: []const u64) u64 {
        var sum: @Vector(16, u64) = @splat(0);
        var i: usize = 0;
        while (i + 16 <= entries.len) : (i += 16) sum += weights.of(entries[i..][0..16].*);
        var rest: u64 = @reduce(.Add, sum);
        if (i < entries.len) {
            const lanes: [16]u64 = weights.of(padded(entries[i..]));
            for (lanes[0 .. entries.len - i]) |weight| rest += weight;
        }
        return rest;
    }
};

/// round(e * 2^32), to nearest even, for e from 0 to 1; what is neither (NaN) weighs nothing.
inline fn scaled(e: F) @Vector(16, u64) {
    const product = e * simd.splat(0x1p32);
    // From 2^23 on a float is an integer already.
    const shift = simd.splat(0x1p23);
    const rounded = @select(f32, product < shift, (product + shift) - shift, product);
    return @intFromFloat(@select(f32, product >= simd.splat(0), rounded, simd.splat(0)));
}

fn padded(entries: []const u64) [16]u64 {
    var lanes: [16]u64 = @splat(0);
    @memcpy(lanes[0..entries.len], entries);
    return lanes;
}

const digit_bits = 11;

/// Moves to the front the smallest prefix, in falling order of entries, whose weights add up to at least `goal`, and
/// returns its length; its smallest entry comes last. `goal` is from 1 to the sum of all weights.
///
/// Radix selection from the highest digit: weights are added up by digit, greater digits are in, smaller ones out, and
/// the digit in which the goal is reached is looked at again by its next digit. Entries are distinct, so it ends.
fn select(entries: []u64, weights: Weights, goal: u64) usize {
    var begin: usize = 0;
    var end = entries.len;
    var missing = goal;
    var shift: u6 = 54 - digit_bits + 10;
    while (end - begin > 1) {
        var sums: [1 << digit_bits]u64 = @splat(0);
        addByDigit(entries[begin..end], weights, shift, &sums);
        var digit: u64 = sums.len - 1;
        while (sums[digit] < missing) : (digit -= 1) missing -= sums[digit];
        // Three parts: greater digits to [begin, i), this digit to [i, last), smaller ones behind.
        var greater = begin;
        var i = begin;
        while (i < end) {
            const own = entries[i] >> shift & (sums.len - 1);
            if (own > digit) {
                std.mem.swap(u64, &entries[i], &entries[greater]);
                greater += 1;
                i += 1;
            } else if (own == digit) {
                i += 1;
            } else {
                end -= 1;
                std.mem.swap(u64, &entries[i], &entries[end]);
            }
        }
        begin = greater;
        shift -|= digit_bits;
    }
    return end;
}

fn addByDigit(entries: []const u64, weights: Weights, shift: u6, sums: *[1 << digit_bits]u64) void {
    var i: usize = 0;
    while (i < entries.len) : (i += 16) {
        const count = @min(16, entries.len - i);
        const chunk: [16]u64 = if (count == 16) entries[i..][0..16].* else padded(entries[i..]);
        const lanes: [16]u64 = weights.of(chunk);
        for (chunk[0..count], lanes[0..count]) |entry, weight| sums[entry >> shift & (sums.len - 1)] += weight;
    }
}

/// Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011).
fn philox(counter: [4]u32, seed: u64) [4]u32 {
    var c = counter;
    var key = [2]u32{ @truncate(seed), @truncate(seed >> 32) };
    for (0..10) |_| {
        const a = @as(u64, c[0]) * 0xd2511f53;
        const b = @as(u64, c[2]) * 0xcd9e8d57;
        c = .{
            @as(u32, @truncate(b >> 32)) ^ c[1] ^ key[0],
            @truncate(b),
            @as(u32, @truncate(a >> 32)) ^ c[3] ^ key[1],
            @truncate(a),
        };
        key = .{ key[0] +% 0x9e3779b9, key[1] +% 0xbb67ae85 };
    }
    return c;
}

test "Philox4x32-10 gives the published numbers" {
    const ones = ~@as(u32, 0);
    try std.testing.expectEqual([4]u32{ 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 }, philox(@splat(0), 0));
    try std.testing.expectEqual([4]u32{ 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd }, philox(@splat(ones), ~@as(u64, 0)));
    const digits = philox(.{ 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 }, 0x299f31d0_a4093822);
    try std.testing.expectEqual([4]u32{ 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 }, digits);
}
