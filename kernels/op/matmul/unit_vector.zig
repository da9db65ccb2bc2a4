//! A unit: the integers of one span for a tile of tokens, by vectors of weights and `dot.Dot`. Four columns of weights are
//! loaded once and meet every token of the tile. Another kind of unit (AMX tiles) gives the same integers; what is added of
//! them, and in which order, is `spans.zig` for all.

const std = @import("std");
const level_table = @import("../../level/level_table.zig");
const isa = @import("../../level/isa.zig");
const simd = @import("../../level/simd.zig");
const dot = @import("../../level/dot.zig");
const format = @import("../../formats/format.zig");
const Packing = @import("packing.zig").Packing;
const Place = @import("../../formats/packed.zig").Place;

/// `low`: activations may be -128, as the low halves of 16-bit ones.
pub fn VectorUnit(comptime F: type, comptime lanes: u32, comptime width: u32, comptime low: bool) type {
    return struct {
        const Self = @This();
        const parts = format.features(F).parts;
        /// Sums of a span: one for each integer scale.
        pub const dots = if (parts == 2) 2 else 1;
        /// Steps of four columns that a sum has.
        const steps = 8 / dots;
        const Dot = dot.Dot(lanes, F.weights, low, steps);

        sums: [width][dots]Dot,

        /// The span at `at` times the activations `q` of the tile; `x_sums` are their sums, two words a token.
        pub inline fn multiply(at: Place, q: [*]const [4]i8, x_sums: [*]const i32) Self {
            var unit: Self = .begin(x_sums);
            inline for (0..8) |quad| {
                const w = F.weightsAt(lanes, at, quad);
                inline for (0..width) |t| unit.sums[t][quad / steps].add(quad % steps, w, q[t * (level_table.span / 4) + quad]);
            }
            return unit;
        }

        /// The span times the high halves and the low halves of 16-bit activations: weights are loaded once for both.
        pub inline fn multiplyBoth(at: Place, q: [2][*]const [4]i8, x_sums: [2][*]const i32) [2]Self {
            if (isa.low_differs) return multiplyPairs(at, q, x_sums);
            var units: [2]Self = .{ .begin(x_sums[0]), .begin(x_sums[1]) };
            inline for (0..8) |quad| {
                const w = F.weightsAt(lanes, at, quad);
                inline for (0..width) |t| inline for (&units, q) |*unit, half| {
                    unit.sums[t][quad / steps].add(quad % steps, w, half[t * (level_table.span / 4) + quad]);
                };
            }
            return units;
        }

        /// The same for one token at AVX2, quad after quad as it is written: so the registers hold all of it.
        inline fn multiplyPairs(at: Place, q: [2][*]const [4]i8, x_sums: [2][*]const i32) [2]Self {
            comptime std.debug.assert(width == 1 and lanes == 16);
            const batch = dot.batchOf(F.weights.unsigned, steps);
            var units: [2]Self = undefined;
            inline for (0..dots) |part| {
                var pairs: [2]dot.Pairs = undefined;
                inline for (0..steps) |step| {
                    const quad = part * steps + step;
                    const w = F.weightsAt(lanes, at, quad);
                    const halves = [2]simd.Bytes(8){ simd.lowHalf(w), simd.highHalf(w) };
                    inline for (&pairs, &units, q) |*pair, *unit, half| {
                        if (step % batch == 0) pair.* = .first(halves, half, quad) else pair.add(halves, half, quad);
                        if (step % batch == batch - 1) {
                            const joined = pair.joined(1);
                            const sum = simd.join(joined[0], joined[1]);
                            const to = &unit.sums[0][part];
                            to.* = .init(if (step < batch) sum else to.sum +% sum);
                        }
                    }
                }
            }
            if (Packing(F).bias != 0) inline for (&units, x_sums) |*unit, sums| inline for (0..dots) |part| {
                unit.sums[0][part].sum +%= dot.biasSum(lanes, Packing(F).bias, if (dots == 1) null else part, sums);
            };
            return units;
        }

        /// Subtracts the number that was added to weights to make their bytes unsigned.
        inline fn begin(x_sums: [*]const i32) Self {
            var unit: Self = .{ .sums = undefined };
            inline for (0..width) |t| inline for (0..dots) |part| {
                unit.sums[t][part] = .init(dot.biasSum(lanes, Packing(F).bias, if (dots == 1) null else part, x_sums + 2 * t));
            };
            return unit;
        }

        /// Token `t`'s sum of products with all columns, or with the first or the last 16.
        pub inline fn integers(unit: *const Self, t: usize, comptime part: u1) @Vector(lanes, i32) {
            return unit.sums[t][part].sum;
        }
    };
}
