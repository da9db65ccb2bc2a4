//! Q6_K: blocks of 256 weights of 6 bits, a signed byte of scale for each 16, and a half float d;
//! (q - 32) * (d * scale).
//!
//! Packed, a block is 53 cache lines, half of the last one empty: d and the scales of all rows, then a span's 256 bytes
//! of nibbles and 128 of upper bits. The 32 is taken off the sums, not off the weights.

const format = @import("format.zig");
const packed_zig = @import("packed.zig");
const scalar = @import("scalar.zig");
const dot = @import("../level/dot.zig");
const simd = @import("../level/simd.zig");
const Place = packed_zig.Place;

pub const id = 14;
pub const name = "Q6_K";
pub const kind = .block;
pub const block_elements = 256;

pub const Block = extern struct {
    low: [128]u8,
    high: [64]u8,
    scales: [16]i8,
    d: u16 align(1),
};

pub fn decode(block: *align(1) const Block, out: *[256]f32) void {
    for (out, 0..) |*value, i| {
        value.* = @as(f32, @floatFromInt(weight(block, i))) * (scale(block) * @as(f32, @floatFromInt(block.scales[i / 16])));
    }
}

pub const encode = null;

/// For the quantizer: how many sub-blocks, their levels, and the range of their integer scales and minima.
pub const sub_blocks: format.SubBlocks = .{ .count = 16, .low = -32, .high = 31, .scale_min = -128, .scale_max = 127, .minimum_max = 0 };

pub fn assemble(block: *align(1) Block, d: u16, _: u16, scales: *const [16]i32, _: *const [16]i32, codes: *const [256]u8) void {
    block.d = d;
    for (&block.scales, scales) |*to, s| to.* = @intCast(s);
    recode(block, codes);
}

/// Other levels under the scales that are there; a code is the level less the lowest one.
pub fn recode(block: *align(1) Block, codes: *const [256]u8) void {
    @memset(&block.low, 0);
    @memset(&block.high, 0);
    for (codes, 0..) |code, i| {
        const half = i / 128;
        const quarter = i % 128 / 32;
        block.low[64 * half + 32 * (quarter % 2) + i % 32] |= (code & 15) << @intCast(quarter / 2 * 4);
        block.high[32 * half + i % 32] |= code >> 4 << @intCast(2 * quarter);
    }
}

pub fn finite(block: *align(1) const Block) bool {
    return scalar.halfIsFinite(block.d);
}

pub fn scale(block: *align(1) const Block) f32 {
    return scalar.half(block.d);
}

pub fn spanSum(block: *align(1) const Block, span: usize, x: *const [32]i8) i32 {
    var sum: i32 = 0;
    for (x, span * 32..) |value, i| sum += block.scales[i / 16] * weight(block, i) * value;
    return sum;
}

/// Halves of 128 weights: 64 bytes of nibbles, four times 32 weights share 32 bytes of upper bits.
fn weight(block: *align(1) const Block, i: usize) i32 {
    const half = i / 128;
    const quarter = i % 128 / 32;
    const byte = block.low[64 * half + 32 * (quarter % 2) + i % 32];
    const low = if (quarter < 2) byte & 15 else byte >> 4;
    const high = block.high[32 * half + i % 32] >> @intCast(2 * quarter) & 3;
    return @as(i32, low | high << 4) - 32;
}

pub const chunk_spans = 8;
pub const weights: dot.Weights = .{ .unsigned = 63 };
pub const bias = 32;
pub const parts = 2;

const scales_at = 64;
const weights_at = scales_at + 8 * 32;

pub fn chunkBytes(_: u32) usize {
    return weights_at + 8 * 384;
}

pub fn pack(block: *align(1) const Block, chunk: [*]u8, _: u32, _: u32, lane: u32) void {
    packed_zig.putHalf(chunk, lane, block.d);
    for (block.scales, 0..) |s, i| chunk[scales_at + i * 16 + lane] = @bitCast(s);
    inline for (0..8) |span| {
        const half = span / 4;
        const quarter = span % 4;
        const low: packed_zig.Columns = block.low[64 * half + 32 * (quarter % 2) ..][0..32].*;
        const high: packed_zig.Columns = block.high[32 * half ..][0..32].*;
        const to = chunk + weights_at + span * 384;
        packed_zig.putNibbles(to, lane, low >> @splat(quarter / 2 * 4));
        packed_zig.putPairs(to + 256, lane, high, 2 * quarter);
    }
}

pub inline fn weightsAt(comptime lanes: u32, at: Place, comptime quad: u3) simd.Bytes(lanes) {
    const begin = weights_at + at.span * 384;
    return packed_zig.nibblesAt(lanes, at, begin, quad) | packed_zig.pairsAt(lanes, at, begin + 256, quad, 4);
}

pub inline fn scaleAt(comptime lanes: u32, at: Place) @Vector(lanes, f32) {
    return at.halves(lanes, 0);
}

pub inline fn integerAt(comptime lanes: u32, at: Place, comptime part: u1) @Vector(lanes, f32) {
    return @floatFromInt(at.integers(lanes, i8, scales_at + at.span * 32 + @as(u32, part) * 16));
}
