//! The search for the scale (and minimum) of a block that leaves the least weighted squared error, a block in each lane.
//!
//! A candidate scale gives levels, and for levels the best scale is known: of sums A = w x q and B = w q^2 it is A / B,
//! and the error falls by A^2 / B. So each candidate is judged by what it leads to. The best is refined by taking turns
//! (levels, scale), rounded to the half float that the block stores, and measured once more, with its neighbours and
//! with the scale of plain rounding, by the error that the stored block has: plain rounding is never better.

const std = @import("std");
const builtin = @import("builtin");
const level_table = @import("../level/level_table.zig");
const grid = @import("quantize_grid.zig");
const format = @import("../formats/format.zig");
const float16 = @import("../level/float16.zig");
const isa = @import("../level/isa.zig");

/// Turns of levels and scale after the search.
const refinements = 4;

/// Blocks that are searched side by side: several registers of them, so that an addition need not wait for the one before. On
/// x86 without AVX2 one register, for a smaller library.
pub const lanes_most = if (builtin.cpu.arch == .x86_64 and isa.register_lanes == 4) 4 else 16;

/// Encodes `count` blocks of finite values, at most `lanes_most`; returns how many come before the first whose scale is not
/// finite.
pub fn linear(comptime F: type, values: [*]align(4) const f32, importance: ?[*]const f32, blocks: [*]align(1) F.Block, count: u32) u32 {
    const Lanes = Search(lanes_most, F.block_elements);
    const ranged = F.linear.kind == .range;
    const G = if (ranged) grid.Linear(0, F.linear.high - F.linear.low) else grid.Linear(F.linear.low, F.linear.high);
    var lanes: Lanes = undefined;
    lanes.load(values, importance, count);
    const found = if (ranged) lanes.asymmetric(G.high) else lanes.symmetric(G, F.linear.kind == .extreme);
    return lanes.put(F, G, found, null, blocks[0..count]);
}

/// The same for levels from a table, which `F.grid` names; scales are half floats, or powers of two.
pub fn table(comptime F: type, rounding: level_table.Rounding, values: [*]align(4) const f32, importance: ?[*]const f32, blocks: [*]align(1) F.Block, count: u32) u32 {
    const Lanes = Search(lanes_most, F.block_elements);
    const G = grid.Table(F.grid.values, F.grid.codes, F.grid.powers, F.grid.reach);
    var lanes: Lanes = undefined;
    lanes.load(values, importance, count);
    if (F.grid.powers) {
        const plain = powerOf(lanes.extreme(), G.high);
        return lanes.put(F, G, if (rounding == .search) lanes.power(G, plain) else .{ .d = plain, .m = @splat(0) }, null, blocks[0..count]);
    }
    if (rounding == .search) return lanes.put(F, G, lanes.symmetric(G, true), null, blocks[0..count]);
    if (@TypeOf(F.encode) != @TypeOf(null)) return plainly(F, values, blocks[0..count]);
    const start = lanes.extreme() / @as(@Vector(lanes_most, f32), @splat(G.low));
    return lanes.put(F, G, lanes.bySquares(G, start), start, blocks[0..count]);
}

/// Plain rounding as the format's scalar `encode` does it.
fn plainly(comptime F: type, values: [*]align(4) const f32, blocks: []align(1) F.Block) u32 {
    for (blocks, 0..) |*block, b| {
        F.encode(values[b * F.block_elements ..][0..F.block_elements], block);
        if (!F.finite(block)) return @intCast(b);
    }
    return @intCast(blocks.len);
}

/// Levels of a table under a scale of a byte for each half span, those of a block side by side.
pub fn byHalves(comptime F: type, rounding: level_table.Rounding, values: [*]align(4) const f32, importance: ?[*]const f32, blocks: [*]align(1) F.Block, count: u32) u32 {
    const n = F.block_elements / 16;
    const G = grid.Table(F.grid.values, F.grid.codes, true, 0);
    for (0..count) |b| {
        var lanes: Search(n, 16) = undefined;
        lanes.load(values + b * F.block_elements, if (importance) |all| all + b * F.block_elements else null, n);
        const most = @abs(lanes.extreme());
        if (!(@reduce(.Max, most) <= F.scaleOf(0x7e) * G.high)) return @intCast(b);
        var plain: [n]u8 = undefined;
        for (&plain, @as([n]f32, most)) |*byte, own| byte.* = F.scaleByte(own / (G.high / 2));
        var bytes = plain;
        var left: @Vector(n, f32) = @splat(0);
        // The greatest value may become the level below the highest, whose scale is half as large again: four bytes on.
        for (0..if (rounding == .search) 9 else 1) |turn| {
            var own = plain;
            for (&own) |*byte| byte.* = if (turn == 0) byte.* else @min(@as(u8, byte.* -| 3) + @as(u8, @intCast(turn - 1)), 0x7e);
            const e = lanes.errorIn(G, .{ .d = scalesOf(F, own), .m = @splat(0) });
            for (&bytes, own, @as([n]bool, e < left)) |*byte, candidate, better| if (turn == 0 or better) {
                byte.* = candidate;
            };
            left = if (turn == 0) e else @min(left, e);
        }
        var codes: [F.block_elements]u8 = undefined;
        const scale: Search(n, 16).Scale = .{ .d = scalesOf(F, bytes), .m = @splat(0) };
        for (0..16) |i| for (@as([n]u8, G.codes(n, lanes.levelIn(G, i, scale))), 0..) |code, half| {
            codes[half * 16 + i] = code;
        };
        F.fillScales(&blocks[b], bytes, &codes);
    }
    return count;
}

fn scalesOf(comptime F: type, bytes: anytype) @Vector(bytes.len, f32) {
    var scales: [bytes.len]f32 = undefined;
    for (&scales, bytes) |*scale, byte| scale.* = F.scaleOf(byte);
    return scales;
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

        /// Where every importance is 0, all columns count the same; weights are brought near 1 so that squares stay in range.
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

        inline fn levelOf(comptime G: type, x: V, factor: V, shift: V) V {
            return G.level(n, (x - shift) * factor);
        }

        /// The nearest level of element `j`.
        pub fn levelIn(self: *const Self, comptime G: type, j: usize, scale: Scale) V {
            return levelOf(G, self.x[j], inverse(scale.d), scale.m);
        }

        fn half(v: V) V {
            return float16.fromF16(n, float16.toF16(n, v));
        }

        /// The half float `step` places away from zero.
        fn neighbour(v: V, comptime step: comptime_int) V {
            const bits = float16.toF16(n, v);
            const one: @Vector(n, u16) = @splat(1);
            const moved = if (step > 0) bits +% one else bits -% one;
            // Zero has none below, the greatest none above.
            const magnitude = bits & @as(@Vector(n, u16), @splat(0x7fff));
            const stays = if (step > 0) magnitude >= @as(@Vector(n, u16), @splat(0x7bff)) else magnitude == @as(@Vector(n, u16), @splat(0));
            return float16.fromF16(n, @select(u16, stays, bits, moved));
        }

        /// The value of greatest magnitude with its sign, the first of equals.
        fn extreme(self: *const Self) V {
            var most = zero;
            for (self.x) |x| most = @select(f32, @abs(x) > @abs(most), x, most);
            return most;
        }

        const Sums = struct { a: V, b: V };

        /// Factors (one over a scale) that are tried side by side: the additions of one alone wait for each other.
        const together = 2;

        /// A and B of the levels that factors lead to.
        fn sums(self: *const Self, comptime G: type, factors: [together]V) [together]Sums {
            return if (self.weighted) self.sumsOf(G, factors, true) else self.sumsOf(G, factors, false);
        }

        inline fn sumsOf(self: *const Self, comptime G: type, factors: [together]V, comptime weighted: bool) [together]Sums {
            var all: [together]Sums = @splat(.{ .a = zero, .b = zero });
            for (self.x, self.w) |x, w| inline for (&all, factors) |*s, factor| {
                const q = levelOf(G, x, factor, zero);
                const t = if (weighted) w * q else q;
                s.a += t * x;
                s.b += t * q;
            };
            return all;
        }

        inline fn gain(s: Sums) V {
            const usable = s.b > zero;
            return @select(f32, usable, s.a * s.a / @select(f32, usable, s.b, splat(1)), zero);
        }

        /// The error that a stored scale leaves.
        pub fn errorIn(self: *const Self, comptime G: type, scale: Scale) V {
            const factor = inverse(scale.d);
            var sum = zero;
            for (self.x, self.w) |x, w| {
                const q = levelOf(G, x, factor, scale.m);
                const rest = x - (scale.d * q + scale.m);
                sum += w * rest * rest;
            }
            return sum;
        }

        /// Takes sums where they are better than the best; returns where.
        inline fn take(best: *Sums, best_gain: *V, s: Sums) @Vector(n, bool) {
            const g = gain(s);
            const better = g > best_gain.*;
            best_gain.* = @select(f32, better, g, best_gain.*);
            best.* = .{ .a = @select(f32, better, s.a, best.a), .b = @select(f32, better, s.b, best.b) };
            return better;
        }

        /// The best scale for the levels of `G`; `both` also tries the greatest value at the other end.
        pub fn symmetric(self: *const Self, comptime G: type, comptime both: bool) Scale {
            const most = self.extreme();
            const unit = inverse(most);
            const plain = most / splat(if (both) G.low else G.high);
            var best: Sums = .{ .a = zero, .b = zero };
            var best_gain = zero;
            const steps = G.steps;
            for (0..(if (both) 2 * steps else steps) / together) |turn| {
                var factors: [together]V = undefined;
                for (&factors, turn * together..) |*factor, i| {
                    const end: f32 = if (i < steps) (if (both) G.low else G.high) else G.high + 0.5;
                    const share = @as(f32, @floatFromInt(i % steps)) / (steps - 1);
                    const place = end + (if (end < 0) -G.reach else G.reach) * (share * 1.8 - 1);
                    factor.* = unit * splat(place);
                }
                for (self.sums(G, factors)) |s| _ = take(&best, &best_gain, s);
            }
            for (0..refinements) |_| {
                const s = self.sums(G, @splat(inverse(scaleOf(best))));
                if (!@reduce(.Or, take(&best, &best_gain, s[0]))) break;
            }
            const d = scaleOf(best);
            return self.leastError(G, &.{ half(plain), half(d), neighbour(d, 1), neighbour(d, -1) });
        }

        /// The best scale among the powers of two near the one that plain rounding takes, half of which is stored.
        fn power(self: *const Self, comptime G: type, plain: V) Scale {
            return self.leastError(G, &.{ plain, plain * splat(2), plain * splat(0.5) });
        }

        /// The scale that suits the levels of a first one, values counting by their squares: IQ4_NL's plain rounding.
        fn bySquares(self: *const Self, comptime G: type, start: V) Scale {
            const factor = inverse(start);
            var s: Sums = .{ .a = zero, .b = zero };
            for (self.x) |x| {
                const q = levelOf(G, x, factor, zero);
                const t = x * x * q;
                s.a += t * x;
                s.b += t * q;
            }
            return .{ .d = scaleOf(s), .m = zero };
        }

        fn scaleOf(s: Sums) V {
            const usable = s.b > zero;
            return @select(f32, usable, s.a / @select(f32, usable, s.b, splat(1)), zero);
        }

        fn leastError(self: *const Self, comptime G: type, candidates: []const V) Scale {
            var best: Scale = .{ .d = candidates[0], .m = zero };
            var least = self.errorIn(G, best);
            for (candidates[1..]) |d| {
                const e = self.errorIn(G, .{ .d = d, .m = zero });
                // A scale that is not finite leaves a NaN error: the comparison is false.
                const better = e < least;
                least = @select(f32, better, e, least);
                best.d = @select(f32, better, d, best.d);
            }
            return best;
        }

        /// Sums of a fit of d * q + m: of w, w x, and for some levels of w q, w q^2, w x q.
        const Line = struct { q: V = zero, qq: V = zero, xq: V = zero };

        /// The ends of the values, and the sums of w and of w x.
        const Spread = struct { least: V, most: V, w: V, x: V };

        inline fn spread(self: *const Self) Spread {
            var all: Spread = .{ .least = self.x[0], .most = self.x[0], .w = zero, .x = zero };
            for (self.x, self.w) |x, w| {
                all.least = @select(f32, x < all.least, x, all.least);
                all.most = @select(f32, x > all.most, x, all.most);
                all.w += w;
                all.x += w * x;
            }
            return all;
        }

        /// The sums of importances.
        pub fn counts(self: *const Self) V {
            var sum = zero;
            for (self.w) |w| sum += w;
            return sum;
        }

        /// By how much, in parts, a line must be better than those before it: of lines that fit values exactly the first is kept.
        const noise = 0x1p-18;
        /// Lines that begin at the least value, and leave none to two of the highest levels unused: values that were rounded before lie on
        /// one of these, those of a format with a bit less on every other level.
        const unused = 3;
        /// Levels by which a line ends inside the values, or beyond them; at both ends by itself.
        const ends = [_]f32{ -0.675, -0.225, 0.225, 0.675 };
        const starts = unused + ends.len * ends.len;

        /// A line to begin with, by its number.
        inline fn startOf(number: usize, least: V, range: V, high: f32) Scale {
            const unit = range / splat(high);
            if (number < unused) return .{ .d = range / splat(high - @as(f32, @floatFromInt(number))), .m = least };
            const below = ends[(number - unused) / ends.len];
            const above = ends[(number - unused) % ends.len];
            return .{ .d = (range - unit * splat(below + above)) / splat(high), .m = least + unit * splat(below) };
        }

        /// The best scale and minimum for levels from 0 to `high`.
        pub fn asymmetric(self: *Self, high: f32) Scale {
            const all = self.spread();
            const least = all.least;
            const range = all.most - least;
            const mean = all.x / all.w;
            var best: Gained = .{ .scale = .{ .d = range / splat(high), .m = least }, .gain = splat(-1) };
            for (0..starts + refinements) |turn| {
                const line = if (turn < starts) startOf(turn, least, range, high) else best.scale;
                self.improve(&best, line, high, all.w, mean);
            }
            // Plain rounding to all levels and, for values of a format with a bit less, to all but the highest.
            const plain = [_]Scale{
                .{ .d = half(range / splat(high)), .m = half(least) },
                .{ .d = half(range / splat(high - 1)), .m = half(least) },
            };
            return self.storedLine(best.scale, plain, high, all.w, all.x);
        }

        /// A line, and by how much the error falls with it.
        const Gained = struct { scale: Scale, gain: V };

        /// Takes the line that fits the levels of `scale`, if that is better.
        inline fn improve(self: *const Self, best: *Gained, scale: Scale, high: f32, w_sum: V, mean: V) void {
            const line = self.lineOf(scale, high);
            // Of values less their mean, so that little is lost where the minimum is far from zero.
            const q_mean = line.q / w_sum;
            const b = line.qq - line.q * q_mean;
            const usable = b > zero;
            const d = @select(f32, usable, line.xq / @select(f32, usable, b, splat(1)), zero);
            const g = d * line.xq;
            const better = g > best.gain + @abs(best.gain) * splat(noise);
            best.gain = @select(f32, better, g, best.gain);
            best.scale.d = @select(f32, better, d, best.scale.d);
            best.scale.m = @select(f32, better, mean - d * q_mean, best.scale.m);
        }

        inline fn lineOf(self: *const Self, scale: Scale, high: f32) Line {
            const factor = inverse(scale.d);
            var line: Line = .{};
            var wx = zero;
            var w_sum = zero;
            for (self.x, self.w) |x, w| {
                const q = rounded(x, factor, scale.m, high);
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

        inline fn rounded(x: V, factor: V, shift: V, high: f32) V {
            const v = (x - shift) * factor;
            const above = @select(f32, v > zero, v, zero);
            const inside = @select(f32, above < splat(high), above, splat(high));
            const magic = splat(0x1.8p23); // its last place is 1, so that the addition rounds
            return (inside + magic) - magic;
        }

        fn lineError(self: *const Self, scale: Scale, high: f32) V {
            const factor = inverse(scale.d);
            var sum = zero;
            for (self.x, self.w) |x, w| {
                const rest = x - (scale.d * rounded(x, factor, scale.m, high) + scale.m);
                sum += w * rest * rest;
            }
            return sum;
        }

        /// The best scale for levels from 0 to `high`, and a minimum that lies on one side of zero: `sign` 1 below, -1 above.
        pub fn bounded(self: *const Self, high: f32, sign: f32) Scale {
            const all = self.spread();
            const least = oneSided(all.least, sign);
            const range = @max(all.most - least, zero);
            var best: Costing = .{ .scale = .{ .d = range / splat(high), .m = least }, .cost = splat(std.math.floatMax(f32)) };
            for (0..starts + refinements) |turn| {
                const line = if (turn < starts) startOf(turn, least, range, high) else best.scale;
                self.cheaper(&best, line, high, sign, all);
            }
            return best.scale;
        }

        inline fn oneSided(m: V, sign: f32) V {
            return if (sign > 0) @min(m, zero) else @max(m, zero);
        }

        /// A line, and the error that it leaves, less the part that is the same for every line.
        const Costing = struct { scale: Scale, cost: V };

        /// Takes the line that fits the levels of `start` among those whose minimum is on its side, if that is better.
        inline fn cheaper(self: *const Self, best: *Costing, start: Scale, high: f32, sign: f32, all: Spread) void {
            const w_sum = all.w;
            const x_sum = all.x;
            const factor = inverse(start.d);
            var q_sum = zero;
            var qq = zero;
            var xq = zero;
            for (self.x, self.w) |x, w| {
                const q = rounded(x, factor, start.m, high);
                const t = w * q;
                q_sum += t;
                qq += t * q;
                xq += t * x;
            }
            const determinant = w_sum * qq - q_sum * q_sum;
            const usable = determinant > zero;
            const over = splat(1) / @select(f32, usable, determinant, splat(1));
            const level = qq > zero;
            const through = @select(f32, level, xq / @select(f32, level, qq, splat(1)), zero);
            const free_m = (qq * x_sum - q_sum * xq) * over;
            const inside = usable & (free_m == oneSided(free_m, sign));
            const d = @max(@select(f32, inside, (w_sum * xq - x_sum * q_sum) * over, through), zero);
            const m = @select(f32, inside, free_m, @select(f32, usable, zero, oneSided(x_sum / w_sum, sign)));
            const two = splat(2);
            const e = d * d * qq + two * d * m * q_sum + m * m * w_sum - two * d * xq - two * m * x_sum;
            const better = e < best.cost - @abs(best.cost) * splat(noise);
            best.cost = @select(f32, better, e, best.cost);
            best.scale.d = @select(f32, better, d, best.scale.d);
            best.scale.m = @select(f32, better, m, best.scale.m);
        }

        /// Writes the blocks of a scale, their levels by `levels_by` where that is another; returns how many come before
        /// the first whose scale cannot be stored.
        fn put(self: *const Self, comptime F: type, comptime G: type, found: Scale, levels_by: ?V, blocks: []align(1) F.Block) u32 {
            var all: [count][n]u8 = undefined;
            const by: Scale = .{ .d = levels_by orelse found.d, .m = found.m };
            for (&all, 0..) |*codes, j| codes.* = G.codes(n, self.levelIn(G, j, by));
            for (blocks, 0..) |*block, b| {
                var codes: [count]u8 = undefined;
                for (&codes, &all) |*code, lanes| code.* = lanes[b];
                const d = @as([n]f32, found.d)[b];
                if (format.features(F).rounding == .grid and F.grid.powers) {
                    F.fillPower(block, d, codes);
                    continue;
                }
                const halves = float16.toF16(2, .{ d, @as([n]f32, found.m)[b] });
                if (halves[0] & 0x7c00 == 0x7c00 or halves[1] & 0x7c00 == 0x7c00) return @intCast(b);
                F.fill(block, halves[0], halves[1], if (count == 32) codes else &codes);
            }
            return @intCast(blocks.len);
        }

        /// Half floats near a line, and those of plain rounding: whichever leaves the least error.
        fn storedLine(self: *const Self, line: Scale, plain: [2]Scale, high: f32, w_sum: V, x_sum: V) Scale {
            var best: Scale = plain[0];
            var least: V = @splat(std.math.inf(f32));
            for (plain) |each| self.takeLine(&best, &least, each, high);
            const scales = [_]V{ half(line.d), neighbour(line.d, 1), neighbour(line.d, -1) };
            for (scales) |d| {
                // The minimum that suits the rounded scale.
                var q_sum = zero;
                for (self.x, self.w) |x, w| q_sum += w * rounded(x, inverse(d), line.m, high);
                const minimum = half((x_sum - d * q_sum) / w_sum);
                self.takeLine(&best, &least, .{ .d = d, .m = minimum }, high);
            }
            return best;
        }

        /// Takes a stored line where its error is below the least.
        fn takeLine(self: *const Self, best: *Scale, least: *V, line: Scale, high: f32) void {
            const e = self.lineError(line, high);
            const better = e < least.*;
            least.* = @select(f32, better, e, least.*);
            best.d = @select(f32, better, line.d, best.d);
            best.m = @select(f32, better, line.m, best.m);
        }
    };
}

/// The power of two that takes a value of this magnitude to within the levels, by its exponent alone.
fn powerOf(most: anytype, comptime high: f32) @TypeOf(most) {
    const n = @typeInfo(@TypeOf(most)).vector.len;
    const W = @Vector(n, u32);
    const exponent = (@as(W, @bitCast(most)) >> @splat(23)) & @as(W, @splat(0xff));
    const none: W = @splat(0);
    const down: u32 = comptime std.math.log2_int(u32, @intFromFloat(high));
    const least: W = @splat(down + 1);
    const power = (@max(exponent, least) - @as(W, @splat(down))) << @splat(23);
    return @bitCast(@select(u32, exponent == none, none, power));
}

test "a lane alone has what it has beside others" {
    const G = grid.Linear(-8, 7);
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
    const symmetric = all.symmetric(G, true);
    const asymmetric = all.asymmetric(15);
    for (0..16) |b| {
        var one: One = undefined;
        one.load(@ptrCast(values[b * 32 ..].ptr), importance[b * 32 ..].ptr, 1);
        try std.testing.expectEqual(@as([16]f32, symmetric.d)[b], one.symmetric(G, true).d[0]);
        const line = one.asymmetric(15);
        try std.testing.expectEqual(@as([16]f32, asymmetric.d)[b], line.d[0]);
        try std.testing.expectEqual(@as([16]f32, asymmetric.m)[b], line.m[0]);
    }
}
