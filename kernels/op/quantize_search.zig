//! The search for the scale (and minimum) of a block that leaves the least weighted squared error, a block in each lane.
//!
//! A candidate scale gives levels, and for levels the best scale is known: of sums A = w x q and B = w q^2 it is A / B,
//! and the error falls by A^2 / B. So each candidate is judged by what it leads to. The best is refined by taking turns
//! (levels, scale), rounded to the half float that the block stores, and measured once more, with its neighbours and
//! with the scale of plain rounding, by the error that the stored block has: plain rounding is never better.

const std = @import("std");
const simd = @import("../simd.zig");

/// Turns of levels and scale after the search.
const refinements = 4;

/// Encodes `count` blocks of finite values; returns how many come before the first whose scale is not finite.
pub fn linear(comptime F: type, values: [*]align(4) const f32, importance: ?[*]const f32, blocks: [*]align(1) F.Block, count: u32) u32 {
    const Lanes = Search(16, F.block_elements);
    var lanes: Lanes = undefined;
    lanes.load(values, importance, count);
    const found = switch (F.levels.kind) {
        .extreme, .magnitude => lanes.symmetric(F.levels.low, F.levels.high, F.levels.kind == .extreme),
        .range => lanes.asymmetric(F.levels.high - F.levels.low),
    };
    const d: [16]u16 = simd.toF16(16, found.d);
    const m: [16]u16 = simd.toF16(16, found.m);
    for (0..F.block_elements) |j| lanes.x[j] = lanes.level(j, found, if (F.levels.kind == .range) 0 else F.levels.low, if (F.levels.kind == .range) F.levels.high - F.levels.low else F.levels.high);
    for (0..count) |b| {
        if (d[b] & 0x7c00 == 0x7c00 or m[b] & 0x7c00 == 0x7c00) return @intCast(b);
        var codes: [F.block_elements]u8 = undefined;
        const shift = if (F.levels.kind == .range) 0 else F.levels.low;
        for (&codes, 0..) |*code, j| code.* = @intFromFloat(@as([16]f32, lanes.x[j])[b] - shift);
        F.fill(&blocks[b], d[b], m[b], codes);
    }
    return count;
}

/// `n` blocks of `count` values side by side.
pub fn Search(comptime n: u32, comptime count: u32) type {
    return struct {
        const Self = @This();
        const V = @Vector(n, f32);
        const zero: V = @splat(0);

        pub const Scale = struct { d: V, m: V };

        x: [count]V,
        w: [count]V,
        weighted: bool,

        /// Blocks that are not there are zeros.
        pub fn load(self: *Self, values: [*]align(4) const f32, importance: ?[*]const f32, blocks: u32) void {
            for (0..count) |j| {
                var lane: [n]f32 = @splat(0);
                for (0..blocks) |b| lane[b] = values[b * count + j];
                self.x[j] = lane;
            }
            self.weighted = importance != null;
            for (0..count) |j| {
                var lane: [n]f32 = @splat(1);
                if (importance) |weights| for (0..blocks) |b| {
                    lane[b] = weights[b * count + j];
                };
                self.w[j] = lane;
            }
            if (self.weighted) self.evenWhereNothingCounts();
        }

        /// Where no column counts, all count the same; weights are brought near 1 so that squares stay in range.
        fn evenWhereNothingCounts(self: *Self) void {
            var most = zero;
            for (self.w) |w| most = @max(most, w);
            const usable = most > zero;
            const scale = splat(1) / @select(f32, usable, most, splat(1));
            for (&self.w) |*w| w.* = @select(f32, usable, w.* * scale, splat(1));
        }

        inline fn splat(value: f32) V {
            return @splat(value);
        }

        inline fn inverse(d: V) V {
            // A scale so small that its inverse is infinite stands for zeros.
            const usable = @abs(d) >= splat(0x1p-100);
            return @select(f32, usable, splat(1) / @select(f32, usable, d, splat(1)), zero);
        }

        inline fn clamped(v: V, low: f32, high: f32) V {
            const above = @select(f32, v > splat(low), v, splat(low));
            return @select(f32, above < splat(high), above, splat(high));
        }

        /// To nearest even, for magnitudes below 2^22.
        inline fn rounded(v: V) V {
            const magic = splat(0x1.8p23);
            return (v + magic) - magic;
        }

        inline fn levelOf(x: V, factor: V, shift: V, low: f32, high: f32) V {
            return rounded(clamped((x - shift) * factor, low, high));
        }

        /// The nearest level of element `j`.
        pub fn level(self: *const Self, j: usize, scale: Scale, low: f32, high: f32) V {
            return levelOf(self.x[j], inverse(scale.d), scale.m, low, high);
        }

        fn half(v: V) V {
            return simd.fromF16(n, simd.toF16(n, v));
        }

        /// The half float `step` places away from zero.
        fn neighbour(v: V, comptime step: comptime_int) V {
            const bits = simd.toF16(n, v);
            const one: @Vector(n, u16) = @splat(1);
            const moved = if (step > 0) bits +% one else bits -% one;
            // Zero has none below, the greatest none above.
            const magnitude = bits & @as(@Vector(n, u16), @splat(0x7fff));
            const stays = if (step > 0) magnitude >= @as(@Vector(n, u16), @splat(0x7bff)) else magnitude == @as(@Vector(n, u16), @splat(0));
            return simd.fromF16(n, @select(u16, stays, bits, moved));
        }

        /// The value of greatest magnitude with its sign, the first of equals.
        fn extreme(self: *const Self) V {
            var most = zero;
            for (self.x) |x| most = @select(f32, @abs(x) > @abs(most), x, most);
            return most;
        }

        const Sums = struct { a: V, b: V };

        /// A and B of the levels that a factor (one over a scale) leads to.
        inline fn sums(self: *const Self, factor: V, low: f32, high: f32) Sums {
            return if (self.weighted) self.sumsOf(factor, low, high, true) else self.sumsOf(factor, low, high, false);
        }

        inline fn sumsOf(self: *const Self, factor: V, low: f32, high: f32, comptime weighted: bool) Sums {
            var a = zero;
            var b = zero;
            for (self.x, self.w) |x, w| {
                const q = levelOf(x, factor, zero, low, high);
                const t = if (weighted) w * q else q;
                a += t * x;
                b += t * q;
            }
            return .{ .a = a, .b = b };
        }

        inline fn gain(s: Sums) V {
            const usable = s.b > zero;
            return @select(f32, usable, s.a * s.a / @select(f32, usable, s.b, splat(1)), zero);
        }

        /// The error that a stored scale leaves.
        fn errorOf(self: *const Self, scale: Scale, low: f32, high: f32) V {
            const factor = inverse(scale.d);
            var sum = zero;
            for (self.x, self.w) |x, w| {
                const q = levelOf(x, factor, scale.m, low, high);
                const rest = x - (scale.d * q + scale.m);
                sum += w * rest * rest;
            }
            return sum;
        }

        /// The best scale for levels from `low` to `high`; `both` also tries the greatest value at the other end.
        pub fn symmetric(self: *Self, low: f32, high: f32, both: bool) Scale {
            const most = self.extreme();
            const unit = inverse(most);
            const plain = most / splat(if (both) low else high);
            var best: Sums = .{ .a = zero, .b = zero };
            var best_gain = zero;
            // Where the greatest value may come to lie, in levels.
            const reach = @max(1.6, high / 16);
            const steps = 20;
            for (0..2 * steps) |i| {
                if (!both and i >= steps) break;
                const end: f32 = if (i < steps) (if (both) low else high) else high + 0.5;
                const share = @as(f32, @floatFromInt(i % steps)) / (steps - 1);
                const place = end + (if (end < 0) -reach else reach) * (share * 1.8 - 1);
                const s = self.sums(unit * splat(place), low, high);
                const g = gain(s);
                const better = g > best_gain;
                best_gain = @select(f32, better, g, best_gain);
                best = .{ .a = @select(f32, better, s.a, best.a), .b = @select(f32, better, s.b, best.b) };
            }
            for (0..refinements) |_| {
                const s = self.sums(inverse(scaleOf(best)), low, high);
                const g = gain(s);
                const better = g > best_gain;
                if (!@reduce(.Or, better)) break;
                best_gain = @select(f32, better, g, best_gain);
                best = .{ .a = @select(f32, better, s.a, best.a), .b = @select(f32, better, s.b, best.b) };
            }
            const d = scaleOf(best);
            return self.leastError(&.{ half(plain), half(d), neighbour(d, 1), neighbour(d, -1) }, low, high);
        }

        fn scaleOf(s: Sums) V {
            const usable = s.b > zero;
            return @select(f32, usable, s.a / @select(f32, usable, s.b, splat(1)), zero);
        }

        fn leastError(self: *const Self, candidates: []const V, low: f32, high: f32) Scale {
            var best: Scale = .{ .d = candidates[0], .m = zero };
            var least = self.errorOf(best, low, high);
            for (candidates[1..]) |d| {
                const e = self.errorOf(.{ .d = d, .m = zero }, low, high);
                // A scale that is not finite leaves NaN, which is not less.
                const better = e < least;
                least = @select(f32, better, e, least);
                best.d = @select(f32, better, d, best.d);
            }
            return best;
        }

        /// Sums of a fit of d * q + m: of w, w x, and for some levels of w q, w q^2, w x q.
        const Line = struct { q: V = zero, qq: V = zero, xq: V = zero };

        /// The best scale and minimum for levels from 0 to `high`.
        pub fn asymmetric(self: *Self, high: f32) Scale {
            var least = self.x[0];
            var most = self.x[0];
            var w_sum = zero;
            var x_sum = zero;
            for (self.x, self.w) |x, w| {
                least = @select(f32, x < least, x, least);
                most = @select(f32, x > most, x, most);
                w_sum += w;
                x_sum += w * x;
            }
            const range = most - least;
            const mean = x_sum / w_sum;
            var best: Scale = .{ .d = range / splat(high), .m = least };
            var best_gain = splat(-1);
            // The range may end inside the values, at both ends by itself.
            const steps = 7;
            for (0..steps) |i| for (0..steps) |k| {
                const below: f32 = (@as(f32, @floatFromInt(i)) - 1.5) * 0.3;
                const above: f32 = (@as(f32, @floatFromInt(k)) - 1.5) * 0.3;
                const unit = range / splat(high);
                const m = least + unit * splat(below);
                const d = (range - unit * splat(below + above)) / splat(high);
                self.improve(&best, &best_gain, .{ .d = d, .m = m }, high, w_sum, mean);
            };
            for (0..refinements) |_| self.improve(&best, &best_gain, best, high, w_sum, mean);
            return self.storedLine(best, .{ .d = half(range / splat(high)), .m = half(least) }, high, w_sum, x_sum);
        }

        /// Takes the line that fits the levels of `scale`, if that is better.
        inline fn improve(self: *const Self, best: *Scale, best_gain: *V, scale: Scale, high: f32, w_sum: V, mean: V) void {
            const line = self.lineOf(scale, high);
            // Of values less their mean, so that little is lost where the minimum is far from zero.
            const q_mean = line.q / w_sum;
            const b = line.qq - line.q * q_mean;
            const usable = b > zero;
            const d = @select(f32, usable, line.xq / @select(f32, usable, b, splat(1)), zero);
            const g = d * line.xq;
            const better = g > best_gain.*;
            best_gain.* = @select(f32, better, g, best_gain.*);
            best.d = @select(f32, better, d, best.d);
            best.m = @select(f32, better, mean - d * q_mean, best.m);
        }

        inline fn lineOf(self: *const Self, scale: Scale, high: f32) Line {
            const factor = inverse(scale.d);
            var line: Line = .{};
            var wx = zero;
            var w_sum = zero;
            for (self.x, self.w) |x, w| {
                const q = levelOf(x, factor, scale.m, 0, high);
                const t = w * q;
                line.q += t;
                line.qq += t * q;
                line.xq += t * (x - scale.m);
                wx += w * (x - scale.m);
                w_sum += w;
            }
            line.xq -= wx * line.q / w_sum;
            return line;
        }

        /// Half floats near a line, and those of plain rounding: whichever leaves the least error.
        fn storedLine(self: *const Self, line: Scale, plain: Scale, high: f32, w_sum: V, x_sum: V) Scale {
            var best = plain;
            var least = self.errorOf(plain, 0, high);
            const scales = [_]V{ half(line.d), neighbour(line.d, 1), neighbour(line.d, -1) };
            for (scales) |d| {
                // The minimum that suits the rounded scale.
                var q_sum = zero;
                for (self.x, self.w) |x, w| q_sum += w * levelOf(x, inverse(d), line.m, 0, high);
                const m = (x_sum - d * q_sum) / w_sum;
                for ([_]V{ half(m), neighbour(m, 1), neighbour(m, -1) }) |minimum| {
                    const e = self.errorOf(.{ .d = d, .m = minimum }, 0, high);
                    const better = e < least;
                    least = @select(f32, better, e, least);
                    best.d = @select(f32, better, d, best.d);
                    best.m = @select(f32, better, minimum, best.m);
                }
            }
            return best;
        }
    };
}

test "a lane alone has what it has beside others" {
    const Sixteen = Search(16, 32);
    const One = Search(1, 32);
    var random = std.Random.DefaultPrng.init(5);
    var values: [16 * 32]f32 = undefined;
    var importance: [16 * 32]f32 = undefined;
    for (&values, &importance) |*value, *weight| {
        value.* = random.random().floatNorm(f32);
        weight.* = random.random().float(f32);
    }
    var all: Sixteen = undefined;
    all.load(&values, &importance, 16);
    const symmetric = all.symmetric(-8, 7, true);
    const asymmetric = all.asymmetric(15);
    for (0..16) |b| {
        var one: One = undefined;
        one.load(@ptrCast(values[b * 32 ..].ptr), importance[b * 32 ..].ptr, 1);
        try std.testing.expectEqual(@as([16]f32, symmetric.d)[b], one.symmetric(-8, 7, true).d[0]);
        const line = one.asymmetric(15);
        try std.testing.expectEqual(@as([16]f32, asymmetric.d)[b], line.d[0]);
        try std.testing.expectEqual(@as([16]f32, asymmetric.m)[b], line.m[0]);
    }
}
