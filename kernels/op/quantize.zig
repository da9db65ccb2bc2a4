//! Floats to blocks: the driver of every format's encoder. Sixteen blocks at a time are staged as floats (widened, with
//! outliers dealt with, beside what an error in each column counts) and checked to be finite; then `nearest` (plain
//! rounding, a block after the other) or `search` (`search.zig`, a block in each lane) makes the bytes.
//!
//! Only + - * / and comparisons, a block's result depends on nothing but the block: the same bytes at every level.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const format = @import("../formats/format.zig");
const k = @import("quantize_k.zig");
const lattice = @import("quantize_lattice.zig");
const nearest = @import("quantize_nearest.zig");
const search = @import("quantize_search.zig");
const float16 = @import("../level/float16.zig");
const simd = @import("../level/simd.zig");

/// Blocks of a batch: the lanes of a vector.
const batch = 16;

/// The encoder of a format, or null where the format can be read only.
pub fn of(comptime F: type) ?@FieldType(level_table.Encoder, "quantize") {
    return if (F.kind == .float or format.features(F).rounding != .none) Encoder(F, false).run else null;
}

/// Plain rounding to linear levels, which every level of processors has for itself; null for other formats.
pub fn plainOf(comptime F: type) @FieldType(level_table.Format, "nearest") {
    return if (format.features(F).rounding == .linear) Encoder(F, true).run else null;
}

/// A block's values, and what an error in each counts.
fn Staged(comptime elements: u32) type {
    return struct {
        values: [batch * elements]f32 align(64),
        importance: [batch * elements]f32 align(64),
    };
}

/// Encodes up to sixteen blocks of finite values; returns how many come before the first that the format cannot hold.
fn encode(comptime F: type, rounding: level_table.Rounding, values: [*]align(4) const f32, importance: ?[*]const f32, blocks: [*]align(1) F.Block, count: u32) u32 {
    if (format.features(F).rounding == .sub_blocks) return k.encode(F, rounding, values, importance, blocks, count);
    if (format.features(F).rounding == .lattice) return lattice.encode(F, rounding, values, importance, blocks, count);
    if (format.features(F).halves) return search.byHalves(F, rounding, values, importance, blocks, count);
    const elements = F.block_elements;
    var begin: u32 = 0;
    while (begin < count) : (begin += search.lanes_most) {
        const some = @min(search.lanes_most, count - begin);
        const x = values + begin * elements;
        const weights = if (importance) |all| all + begin * elements else null;
        const done = if (format.features(F).rounding == .grid) search.table(F, rounding, x, weights, blocks + begin, some) else search.linear(F, x, weights, blocks + begin, some);
        if (done < some) return begin + done;
    }
    return count;
}

/// `plain`: rounds plainly to linear levels, and does nothing else.
fn Encoder(comptime F: type, comptime plain: bool) type {
    return struct {
        const elements = F.block_elements;

        fn run(args: *const level_table.Quantize, begin: usize, end: usize) callconv(.c) usize {
            if (F.kind == .float) return floats(args, begin, end);
            const blocks: [*]align(1) F.Block = @ptrCast(args.blocks);
            if (plain and args.source == .f32 and args.outliers == .keep) {
                const values = @as([*]align(4) const f32, @ptrCast(@alignCast(args.values)));
                return begin + nearest.linear(F, values + begin * elements, blocks + begin, end - begin);
            }
            const a_row = @max(1, args.columns / elements);
            var staged: Staged(elements) = undefined;
            var at = begin;
            while (at < end) {
                const count: u32 = @intCast(@min(batch, end - at));
                const values = stage(args, at, count, &staged);
                if (plain) {
                    const done = nearest.linear(F, values, blocks + at, count);
                    if (done < count) return at + done;
                    at += count;
                    continue;
                }
                if (args.importance) |importance| {
                    for (0..count) |b| {
                        const column = (at + b) % a_row * elements;
                        @memcpy(staged.importance[b * elements ..][0..elements], importance[column..][0..elements]);
                    }
                }
                const weights: ?[*]const f32 = if (args.importance != null) &staged.importance else null;
                const good = finiteBlocks(values, count, elements);
                const done = encode(F, args.rounding, values, weights, blocks + at, good);
                if (done < count) return at + done;
                at += count;
            }
            return end;
        }

        /// Plain floats have neither levels nor outliers.
        fn floats(args: *const level_table.Quantize, begin: usize, end: usize) usize {
            const target: [*]align(1) F.Block = @ptrCast(args.blocks);
            var i = begin;
            while (i + 16 <= end) : (i += 16) {
                const values = load16(args, i);
                if (!allFinite(values)) break;
                const bits = F.narrow(16, values);
                for (0..16) |lane| if (!F.finite(@as([16]F.Block, bits)[lane])) return i + lane;
                @as(*align(1) @Vector(16, F.Block), @ptrCast(target + i)).* = bits;
            }
            while (i < end) : (i += 1) {
                const value = load1(args, i);
                const bits = F.narrow(1, .{value})[0];
                if (!std.math.isFinite(value) or !F.finite(bits)) return i;
                target[i] = bits;
            }
            return end;
        }

        /// The values of some blocks as floats that may be rounded: where they lie, or a copy.
        fn stage(args: *const level_table.Quantize, first: usize, count: u32, staged: *Staged(elements)) [*]align(4) const f32 {
            const begin = first * elements;
            if (args.source == .f32 and args.outliers == .keep) return @as([*]align(4) const f32, @ptrCast(@alignCast(args.values))) + begin;
            var i: usize = 0;
            while (i < count * elements) : (i += 16) simd.store(staged.values[i..].ptr, load16(args, begin + i));
            if (args.outliers != .keep) for (0..count) |b| {
                const words: ?[*]u32 = if (args.mask) |mask| mask + (begin + b * elements) / 32 else null;
                tame(args, staged.values[b * elements ..][0..elements], words);
            };
            return &staged.values;
        }

        /// Values further than the threshold from the mean: clipped, or marked and put inside the others' range.
        fn tame(args: *const level_table.Quantize, values: *[elements]f32, words: ?[*]u32) void {
            var sum: f64 = 0;
            for (values) |value| sum += value;
            const mean = sum / elements;
            var squares: f64 = 0;
            for (values) |value| squares += (value - mean) * (value - mean);
            const reach = args.threshold * @sqrt(squares / elements);
            if (words) |list| for (0..elements / 32) |word| {
                list[word] = 0;
            };
            // A block that is not finite has no mean and no deviation here; it is refused later.
            if (!std.math.isFinite(reach)) return;
            var low: f32 = std.math.inf(f32);
            var high: f32 = -std.math.inf(f32);
            for (values) |value| if (@abs(value - mean) <= reach) {
                low = @min(low, value);
                high = @max(high, value);
            };
            if (args.outliers == .clip) {
                low = @floatCast(mean - reach);
                high = @floatCast(mean + reach);
            }
            for (values, 0..) |*value, i| if (@abs(value.* - mean) > reach) {
                value.* = if (low > high) 0 else std.math.clamp(value.*, low, high);
                if (args.outliers == .split) words.?[i / 32] |= @as(u32, 1) << @intCast(i % 32);
            };
        }
    };
}

inline fn load16(args: *const level_table.Quantize, at: usize) simd.F {
    return switch (args.source) {
        .f32 => simd.load(@as([*]align(4) const f32, @ptrCast(@alignCast(args.values))) + at),
        .f16 => float16.fromF16(16, halves(args, at).*),
        .bf16 => float16.fromBf16(16, halves(args, at).*),
    };
}

fn load1(args: *const level_table.Quantize, at: usize) f32 {
    return switch (args.source) {
        .f32 => @as([*]align(4) const f32, @ptrCast(@alignCast(args.values)))[at],
        .f16 => float16.fromF16(1, .{@as([*]align(2) const u16, @ptrCast(@alignCast(args.values)))[at]})[0],
        .bf16 => float16.fromBf16(1, .{@as([*]align(2) const u16, @ptrCast(@alignCast(args.values)))[at]})[0],
    };
}

inline fn halves(args: *const level_table.Quantize, at: usize) *align(2) const simd.H {
    return @ptrCast(@as([*]align(2) const u16, @ptrCast(@alignCast(args.values))) + at);
}

inline fn allFinite(values: simd.F) bool {
    return @reduce(.Max, @as(simd.U, @bitCast(values)) & @as(simd.U, @splat(0x7fff_ffff))) < 0x7f80_0000;
}

/// How many blocks come before the first that holds a value which is not finite.
fn finiteBlocks(values: [*]align(4) const f32, count: u32, comptime elements: u32) u32 {
    var all: simd.U = @splat(0);
    const mask: simd.U = @splat(0x7fff_ffff);
    var i: usize = 0;
    while (i < count * elements) : (i += 16) all = @max(all, @as(simd.U, @bitCast(simd.load(values + i))) & mask);
    if (@reduce(.Max, all) < 0x7f80_0000) return count;
    for (0..count * elements) |at| if (!std.math.isFinite(values[at])) return @intCast(at / elements);
    unreachable;
}
