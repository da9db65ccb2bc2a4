//! Encoders of the K-formats: 256 values in sub-blocks, each with a small integer scale (and minimum), and half floats
//! over all of them. A sub-block lies in each lane.
//!
//! First every sub-block's own best scale is searched for. Then half floats are tried under which the greatest of these
//! becomes one of the largest integers; for each, a sub-block takes the integers near its own scale that leave it the
//! least error, and the half floats are fitted to these integers by least squares, and tried again. The choice with the least
//! error as stored is kept. `nearest` takes fewer turns of the same.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const format = @import("../formats/format.zig");
const grid = @import("quantize_grid.zig");
const Search = @import("quantize_search.zig").Search;
const float16 = @import("../level/float16.zig");

/// How much is tried.
const Effort = struct { tops: u32, fits: u32 };
const quick: Effort = .{ .tops = 1, .fits = 1 };
const tops_exact = 48;
const thorough: Effort = .{ .tops = 2, .fits = 2 };

/// Encodes `count` blocks of finite values; returns how many come before the first whose scale is not finite.
pub fn encode(comptime F: type, rounding: level_table.Rounding, values: [*]align(4) const f32, importance: ?[*]const f32, blocks: [*]align(1) F.Block, count: u32) u32 {
    for (0..count) |b| {
        const weights = if (importance) |all| all + b * 256 else null;
        if (!Super(F).encode(rounding, values + b * 256, weights, &blocks[b])) return @intCast(b);
    }
    return count;
}

fn Super(comptime F: type) type {
    const subs = F.sub_blocks.count;
    const size = 256 / subs;
    const with_minimum = F.sub_blocks.minimum_max > 0;
    const G = if (format.features(F).even) grid.Linear(F.sub_blocks.low, F.sub_blocks.high) else grid.Table(F.grid.values, F.grid.codes, false, 0);
    const Lanes = Search(subs, size);
    const V = @Vector(subs, f32);
    const scale_low: f32 = F.sub_blocks.scale_min;
    const scale_high: f32 = F.sub_blocks.scale_max;
    const minimum_high: f32 = F.sub_blocks.minimum_max;

    return struct {
        const zero: V = @splat(0);

        /// Integers of the sub-blocks under two half floats, and the error that they leave.
        const Stored = struct { d: f32, dmin: f32, scales: V, minima: V, total: f32 };

        fn encode(rounding: level_table.Rounding, values: [*]align(4) const f32, importance: ?[*]const f32, block: *align(1) F.Block) bool {
            var lanes: Lanes = undefined;
            lanes.load(values, importance, subs);
            var best: Stored = .{ .d = 0, .dmin = 0, .scales = zero, .minima = zero, .total = 0 };
            best.total = total(lanes.errorIn(G, .{ .d = zero, .m = zero }));
            // The quick one first, so that a search never finds less than it.
            const efforts: []const Effort = if (rounding == .search) &.{ quick, thorough } else &.{quick};
            if (with_minimum) {
                var least = lanes.x[0];
                for (lanes.x) |x| least = @min(least, x);
                minimumTurns(&lanes, efforts, &best, 1);
                // Where all values lie above zero, the minimum may lie above zero, too.
                if (@reduce(.Min, least) > 0) minimumTurns(&lanes, efforts, &best, -1);
            } else evenTurns(&lanes, efforts, &best);
            return put(&lanes, best, block);
        }

        fn evenTurns(lanes: *const Lanes, efforts: []const Effort, best: *Stored) void {
            const own = lanes.symmetric(G, true).d;
            var greatest: f32 = 0;
            for (0..subs) |j| {
                const d = @as([subs]f32, own)[j];
                if (@abs(d) > @abs(greatest)) greatest = d;
            }
            // Values that fit the levels almost exactly leave only the rounding of the half float as error: more half floats are tried.
            const energy = total(lanes.errorIn(G, .{ .d = zero, .m = zero }));
            for (efforts) |effort| for (0..if (effort.tops > 1) tops_exact else effort.tops) |turn| {
                if (turn >= effort.tops and !(best.total < energy * 1e-5)) break;
                const step: f32 = @floatFromInt(turn);
                for ([_]f32{ scale_low + step, scale_high - step }) |top| improve(lanes, effort, best, .{ .d = greatest / top, .m = 0 }, own, zero);
            };
        }

        /// Minima that are all taken off (sign 1), or all added.
        fn minimumTurns(lanes: *const Lanes, efforts: []const Effort, best: *Stored, sign: f32) void {
            const own = lanes.bounded(G.high, sign);
            const off = -own.m * @as(V, @splat(sign));
            const own_m = off * @as(V, @splat(sign));
            const greatest = @reduce(.Max, own.d);
            const deepest = @reduce(.Max, off);
            for (efforts) |effort| {
                const tops = effort.tops;
                for (0..tops) |i| for (0..(if (tops > 1) tops / 2 + 1 else 1)) |k| {
                    const top = scale_high - @as(f32, @floatFromInt(i));
                    const top_minimum = minimum_high - @as(f32, @floatFromInt(k));
                    improve(lanes, effort, best, .{ .d = greatest / top, .m = sign * deepest / top_minimum }, own.d, own_m);
                };
                if (tops == 1) continue;
                const counts = lanes.counts();
                const start: Halves = .{ .d = unit(own.d, counts, scale_high), .m = sign * unit(off, counts, minimum_high) };
                improve(lanes, effort, best, start, own.d, own_m);
            }
        }

        /// The half float whose multiples, up to `high` times it, come nearest to scales or minima that count differently.
        fn unit(wanted: V, counts: V, high: f32) f32 {
            const greatest = @reduce(.Max, wanted);
            var best: f32 = 0;
            var least = std.math.inf(f32);
            var top = high;
            while (top >= high / 2) : (top -= 1) {
                const d = float16.fromF16(1, float16.toF16(1, .{greatest / top}))[0];
                const rest = wanted - @as(V, @splat(d)) * within(quotient(wanted, d), 0, high);
                const e = total(counts * rest * rest);
                if (e < least) {
                    least = e;
                    best = d;
                }
            }
            return best;
        }

        const Halves = struct { d: f32, m: f32 };

        /// Tries half floats, and those that fit what they lead to.
        fn improve(lanes: *const Lanes, effort: Effort, best: *Stored, start: Halves, own_d: V, own_m: V) void {
            var halves = start;
            var scales = own_d;
            var minima = own_m;
            for (0..effort.fits + 1) |_| {
                const found = settle(lanes, halves, scales, minima) orelse return;
                if (found.total < best.total) best.* = found;
                // The next turn begins with the present integers of the sub-blocks.
                scales = @as(V, @splat(found.d)) * found.scales;
                minima = @as(V, @splat(found.dmin)) * found.minima;
                halves = fit(lanes, found) orelse return;
            }
        }

        /// The integers near wanted scales and minima that leave each sub-block the least error.
        fn settle(lanes: *const Lanes, halves: Halves, scales: V, minima: V) ?Stored {
            const stored = float16.fromF16(2, float16.toF16(2, .{ halves.d, halves.m }));
            const d = stored[0];
            const dmin = stored[1];
            if (!(@abs(d) < 65520) or !(@abs(dmin) < 65520)) return null;
            const near = quotient(scales, d);
            const near_minimum = quotient(minima, dmin);
            var result: Stored = .{ .d = d, .dmin = dmin, .scales = zero, .minima = zero, .total = 0 };
            var least: V = @splat(std.math.inf(f32));
            var i: i32 = -1;
            while (i <= 1) : (i += 1) {
                const s = within(near + @as(V, @splat(@floatFromInt(i))), scale_low, scale_high);
                var k: i32 = if (with_minimum) -1 else 0;
                while (k <= (if (with_minimum) 1 else 0)) : (k += 1) {
                    const m = if (with_minimum) within(near_minimum + @as(V, @splat(@floatFromInt(k))), 0, minimum_high) else zero;
                    const e = lanes.errorIn(G, .{ .d = @as(V, @splat(d)) * s, .m = -(@as(V, @splat(dmin)) * m) });
                    const better = e < least;
                    least = @select(f32, better, e, least);
                    result.scales = @select(f32, better, s, result.scales);
                    result.minima = @select(f32, better, m, result.minima);
                }
            }
            result.total = total(least);
            return result;
        }

        fn quotient(v: V, d: f32) V {
            if (d == 0) return zero;
            const magic: V = @splat(0x1.8p23);
            const q = within(v / @as(V, @splat(d)), -256, 256);
            return (q + magic) - magic;
        }

        fn within(v: V, low: f32, high: f32) V {
            const above = @select(f32, v > @as(V, @splat(low)), v, @as(V, @splat(low)));
            return @select(f32, above < @as(V, @splat(high)), above, @as(V, @splat(high)));
        }

        /// The half floats that suit the levels of `stored` best.
        fn fit(lanes: *const Lanes, stored: Stored) ?Halves {
            const scale: Lanes.Scale = .{ .d = @as(V, @splat(stored.d)) * stored.scales, .m = -(@as(V, @splat(stored.dmin)) * stored.minima) };
            var aa = zero;
            var ab = zero;
            var bb = zero;
            var ax = zero;
            var bx = zero;
            for (lanes.x, lanes.w, 0..) |x, w, j| {
                const a = stored.scales * lanes.levelIn(G, j, scale);
                const b = -stored.minima;
                aa += w * a * a;
                ab += w * a * b;
                bb += w * b * b;
                ax += w * a * x;
                bx += w * b * x;
            }
            const saa = total(aa);
            if (!(saa > 0)) return null;
            const sbb = total(bb);
            const sab = total(ab);
            const determinant = saa * sbb - sab * sab;
            if (!(determinant > saa * sbb * 1e-6)) return .{ .d = (total(ax) - sab * stored.dmin) / saa, .m = stored.dmin };
            return .{
                .d = (total(ax) * sbb - total(bx) * sab) / determinant,
                .m = (total(bx) * saa - total(ax) * sab) / determinant,
            };
        }

        /// One lane after the other: the same at every level.
        fn total(v: V) f32 {
            var sum: f32 = 0;
            for (0..subs) |j| sum += @as([subs]f32, v)[j];
            return sum;
        }

        fn put(lanes: *const Lanes, stored: Stored, block: *align(1) F.Block) bool {
            const scale: Lanes.Scale = .{ .d = @as(V, @splat(stored.d)) * stored.scales, .m = -(@as(V, @splat(stored.dmin)) * stored.minima) };
            var codes: [256]u8 = undefined;
            for (0..size) |i| {
                const lane_codes: [subs]u8 = G.codes(subs, lanes.levelIn(G, i, scale));
                for (lane_codes, 0..) |code, j| codes[j * size + i] = code;
            }
            var scales: [subs]i32 = undefined;
            var minima: [subs]i32 = undefined;
            for (0..subs) |j| {
                scales[j] = @intFromFloat(@as([subs]f32, stored.scales)[j]);
                minima[j] = @intFromFloat(@as([subs]f32, stored.minima)[j]);
            }
            const halves = float16.toF16(2, .{ stored.d, stored.dmin });
            F.assemble(block, halves[0], halves[1], &scales, &minima, &codes);
            return representable(lanes, stored);
        }

        /// False where no choice was kept: the values are too large for every half float.
        fn representable(lanes: *const Lanes, stored: Stored) bool {
            if (stored.d != 0 or stored.dmin != 0) return true;
            var most = zero;
            for (lanes.x) |x| most = @max(most, @abs(x));
            return @reduce(.Max, most) < 1;
        }
    };
}
