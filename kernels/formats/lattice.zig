//! What the IQ1, IQ2 and IQ3 formats have in common: 256 weights are points of a lattice (`lattices.zig`), each of 4 or 8
//! weights with signs, or all moved by an eighth, under an odd integer scale for each 16 or 32 weights and a half float d.
//! A format says where its block has these (`Parts`); decoding, sums, packing and expanding follow.
//!
//! Packed, a chunk is a block: d of all rows, their scales as nibbles, the low bytes of the indices, the bits above, and a bit
//! plane of signs. That is the file's size, but for seven bits of signs that become eight (and IQ1_S: two delta bits more).

const expanded = @import("expanded.zig");
const packed_zig = @import("packed.zig");
const scalar = @import("scalar.zig");
const simd = @import("../level/simd.zig");
const Place = packed_zig.Place;

/// What an encoder found for a block.
pub const Found = struct {
    /// The half float's bits.
    d: u16,
    /// The integer c of 16 weights each; where 32 share one, both have it.
    steps: [16]u8,
    /// The numbers of points.
    points: [64]u16,
    /// The signs of eight weights each; of points that are moved, all bits or none.
    signs: [32]u8,
};

pub const Shape = struct {
    /// The lattice: an entry a point.
    points: []const u16,
    /// Weights of a point, 4 or 8.
    run: comptime_int,
    /// Bits of an index above the low eight, 0 to 3.
    high_bits: comptime_int,
    /// Integer scales of a span.
    parts: comptime_int,
    /// What a code stands for; empty: 8 (code - 1), plus or minus 1 by the sign of the run.
    levels: []const u8,
    /// What d is multiplied by, a power of two.
    factor: f32,
    /// The greatest c.
    step_max: comptime_int,
    /// Whether of eight signs an even number is set.
    even: bool = false,
};

/// `Parts` has, of a block: `d` (the bits), `index` of a run, `signs` of 8 weights as bits (of IQ1: any bit for the run's), and
/// `step`, the integer c of 16 weights, of which the scale is 2 c + 1.
pub fn Lattice(comptime Block: type, comptime shape: Shape, comptime Parts: type) type {
    return struct {
        const Read = *align(1) const Block;
        const runs = 32 / shape.run;
        const moved = shape.levels.len == 0;
        /// Bits beside a low byte of an index: those above it, and the sign of a run that is moved.
        const beside = if (moved) shape.high_bits + 1 else shape.high_bits;

        pub fn decode(block: Read, out: *[256]f32) void {
            for (out, 0..) |*value, i| value.* = @as(f32, @floatFromInt(weight(block, i))) * (scale(block) * @as(f32, @floatFromInt(integer(block, i / 16))));
        }

        pub fn finite(block: Read) bool {
            return scalar.halfIsFinite(Parts.d(block));
        }

        pub fn scale(block: Read) f32 {
            return scalar.half(Parts.d(block)) * shape.factor;
        }

        pub fn spanSum(block: Read, span: usize, x: *const [32]i8) i32 {
            var sum: i32 = 0;
            for (x, span * 32..) |value, i| sum += integer(block, i / 16) * weight(block, i) * value;
            return sum;
        }

        fn integer(block: Read, sixteen: usize) i32 {
            return 2 * @as(i32, Parts.step(block, sixteen)) + 1;
        }

        fn weight(block: Read, i: usize) i32 {
            const point = shape.points[Parts.index(block, i / shape.run)];
            const k = i % shape.run;
            const code: u3 = @truncate(if (shape.run == 8) point >> @intCast(4 * (k % 4) + k / 4 * 2) & 3 else point >> @intCast(4 * k) & 7);
            return valueOf(code, Parts.signs(block, i / 8) >> @intCast(i % 8) & 1 == 1);
        }

        fn valueOf(code: u3, negative: bool) i8 {
            if (moved) return 8 * (@as(i8, code) - 1) + @as(i8, if (negative) -1 else 1);
            const level: i8 = @intCast(shape.levels[code]);
            return if (negative) -level else level;
        }

        const scales_at = 32;
        const low_at = scales_at + 64 * shape.parts;
        const beside_at = low_at + 8 * runs * 16;
        const signs_at = beside_at + runs * beside * 16;
        const chunk_bytes = signs_at + if (moved) 0 else 8 * 64;

        pub fn chunkBytes(_: u32) usize {
            return chunk_bytes;
        }

        pub fn pack(block: Read, chunk: [*]u8, _: u32, _: u32, lane: u32) void {
            packed_zig.putHalf(chunk, lane, Parts.d(block));
            for (0..8 * shape.parts) |i| {
                const step = Parts.step(block, i * 2 / shape.parts);
                chunk[scales_at + i / 2 * 16 + lane] |= step << @intCast(i % 2 * 4);
            }
            for (0..8 * runs) |run| {
                const index = Parts.index(block, run);
                chunk[low_at + run * 16 + lane] = @truncate(index);
                if (beside == 0) continue;
                var bits: u8 = @intCast(index >> 8);
                if (moved) bits |= (Parts.signs(block, run) & 1) << shape.high_bits;
                chunk[beside_at + run * beside / 8 * 16 + lane] |= bits << @intCast(run * beside % 8);
            }
            if (!moved) for (0..8) |span| {
                var columns: [32]u8 = undefined;
                for (&columns, 0..) |*column, i| column.* = Parts.signs(block, span * 4 + i / 8) >> @intCast(i % 8) & 1;
                packed_zig.putBits(chunk + signs_at + span * 64, lane, columns, 0);
            };
        }

        /// What a code and a sign above it are kept as.
        const kept: [16]u8 = blk: {
            var table: [16]u8 = @splat(expanded.bias);
            const codes = if (shape.run == 8) 4 else 8;
            const count = if (moved) 3 else shape.levels.len;
            for (0..2) |sign| for (0..count) |code| {
                table[sign * codes + code] = @intCast(@as(i16, expanded.bias) + valueOf(code, sign == 1));
            };
            break :blk table;
        };

        pub fn expand(chunk: [*]const u8, to: *expanded.Chunk) callconv(.c) void {
            var points: [8 * runs][16]u16 align(64) = undefined;
            for (&points, 0..) |*row, run| look(chunk, run, row);
            const at: Place = .{ .chunk = chunk, .spans = 8, .span = 0, .lane = 0 };
            const d = at.halves(16, 0) * simd.splat(shape.factor);
            for (to, 0..) |*span, s| {
                span.scale = d;
                inline for (0..2) |part| span.integers[part] = integersOf(chunk, s, part);
                inline for (0..runs) |run| {
                    const codes = spread(points[s * runs + run]);
                    inline for (0..shape.run / 4) |half| {
                        const quad = run * shape.run / 4 + half;
                        const code = packed_zig.field(16, codes, 2 * half, 0, if (shape.run == 8) 3 else 7);
                        const above = if (moved) signOf(chunk, s * runs + run) else packed_zig.bitsAt(16, at, signs_at + s * 64, quad, if (shape.run == 8) 2 else 3);
                        span.weights[quad] = simd.lookup(16, kept, code | above);
                    }
                }
            }
        }

        /// The points of a run of all rows.
        inline fn look(chunk: [*]const u8, run: usize, to: *[16]u16) void {
            var indices: @Vector(16, u16) = rowsAt(chunk, low_at + run * 16);
            if (beside > 0) indices |= (besideOf(chunk, run) & @as(@Vector(16, u16), @splat((1 << shape.high_bits) - 1))) << @splat(8);
            const list: [16]u16 = indices;
            inline for (to, list) |*point, index| point.* = shape.points[index];
        }

        inline fn besideOf(chunk: [*]const u8, run: usize) @Vector(16, u16) {
            const shift: u4 = @intCast(run * beside % 8);
            return @as(@Vector(16, u16), rowsAt(chunk, beside_at + run * beside / 8 * 16)) >> @splat(shift);
        }

        /// The sign of a run of each row as bit 2 of its four bytes.
        inline fn signOf(chunk: [*]const u8, run: usize) simd.Bytes(16) {
            const bits: simd.U = (besideOf(chunk, run) >> @splat(shape.high_bits)) & @as(@Vector(16, u16), @splat(1));
            return @bitCast(bits *% @as(simd.U, @splat(0x0404_0404)));
        }

        inline fn integersOf(chunk: [*]const u8, span: usize, part: usize) simd.F {
            const i = if (shape.parts == 2) span * 2 + part else span;
            const nibbles = rowsAt(chunk, scales_at + i / 2 * 16) >> @splat(@intCast(i % 2 * 4));
            const c: @Vector(16, i32) = nibbles & @as(@Vector(16, u8), @splat(15));
            return @floatFromInt(c + c + @as(@Vector(16, i32), @splat(1)));
        }

        inline fn rowsAt(chunk: [*]const u8, offset: usize) @Vector(16, u8) {
            return @as(*align(1) const @Vector(16, u8), @ptrCast(chunk + offset)).*;
        }

        /// Four nibbles of each row as four bytes.
        inline fn spread(points: @Vector(16, u16)) simd.Bytes(16) {
            var v: simd.U = points;
            v = (v | v << @splat(8)) & @as(simd.U, @splat(0x00ff_00ff));
            v = (v | v << @splat(4)) & @as(simd.U, @splat(0x0f0f_0f0f));
            return @bitCast(v);
        }
    };
}
