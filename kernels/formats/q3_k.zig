//! Q3_K: blocks of 256 weights of 3 bits, a scale of six bits for each 16, and a half float d;
//! (q - 4) * (d * (scale - 32)).
//!
//! Packed, a block is 29 cache lines, half of the first one empty: d and the scales of all rows, then a span's 128 bytes
//! of lower bits and 64 of upper bits. The 4 is taken off the sums, not off the weights.

const format = @import("format.zig");
const packed_zig = @import("packed.zig");
const scalar = @import("scalar.zig");
const dot = @import("../level/dot.zig");
const simd = @import("../level/simd.zig");
const Place = packed_zig.Place;

pub const id = 11;
pub const name = "Q3_K";
pub const kind = .block;
pub const block_elements = 256;

pub const Block = extern struct {
    high: [32]u8,
    low: [64]u8,
    scales: [12]u8,
    d: u16 align(1),
};

pub fn decode(block: *align(1) const Block, out: *[256]f32) void {
    for (out, 0..) |*value, i| {
        value.* = @as(f32, @floatFromInt(weight(block, i))) * (scale(block) * @as(f32, @floatFromInt(integer(block, i / 16))));
    }
}

pub const encode = null;

/// For the quantizer: how many sub-blocks, their levels, and the range of their integer scales and minima.
pub const sub_blocks: format.SubBlocks = .{ .count = 16, .low = -4, .high = 3, .scale_min = -32, .scale_max = 31, .minimum_max = 0 };

pub fn assemble(block: *align(1) Block, d: u16, _: u16, scales: *const [16]i32, _: *const [16]i32, codes: *const [256]u8) void {
    block.d = d;
    @memset(&block.scales, 0);
    for (scales, 0..) |s, j| {
        const six: u8 = @intCast(s + 32);
        block.scales[j % 8] |= (six & 15) << @intCast(j / 8 * 4);
        block.scales[8 + j % 4] |= six >> 4 << @intCast(2 * (j / 4));
    }
    recode(block, codes);
}

/// Other levels under the scales that are there; a code is the level less the lowest one.
pub fn recode(block: *align(1) Block, codes: *const [256]u8) void {
    @memset(&block.low, 0);
    @memset(&block.high, 0);
    for (codes, 0..) |code, i| {
        block.low[i / 128 * 32 + i % 32] |= (code & 3) << @intCast(2 * (i % 128 / 32));
        block.high[i % 32] |= code >> 2 << @intCast(i / 32);
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
    for (x, span * 32..) |value, i| sum += integer(block, i / 16) * weight(block, i) * value;
    return sum;
}

/// Scale `j`, 0 to 15: four bits in the first eight bytes, two in the last four.
fn integer(block: *align(1) const Block, j: usize) i32 {
    const low = if (j < 8) block.scales[j] & 15 else block.scales[j - 8] >> 4;
    const high = block.scales[8 + j % 4] >> @intCast(2 * (j / 4)) & 3;
    return @as(i32, low | high << 4) - 32;
}

/// Halves of 128 weights, in which four times 32 share 32 bytes; eight times 32 share those of the upper bits.
fn weight(block: *align(1) const Block, i: usize) i32 {
    const low = block.low[i / 128 * 32 + i % 32] >> @intCast(2 * (i % 128 / 32)) & 3;
    const high = block.high[i % 32] >> @intCast(i / 32) & 1;
    return @as(i32, low | high << 2) - 4;
}

pub const chunk_spans = 8;
pub const weights: dot.Weights = .{ .unsigned = 7 };
pub const bias = 4;
pub const parts = 2;

const scales_at = 64;
const weights_at = scales_at + 8 * 32;

pub fn chunkBytes(_: u32) usize {
    return weights_at + 8 * 192;
}

pub fn pack(block: *align(1) const Block, chunk: [*]u8, _: u32, _: u32, lane: u32) void {
    packed_zig.putHalf(chunk, lane, block.d);
    for (0..16) |j| chunk[scales_at + j * 16 + lane] = @bitCast(@as(i8, @intCast(integer(block, j))));
    const high: packed_zig.Columns = block.high;
    inline for (0..8) |span| {
        const to = chunk + weights_at + span * 192;
        const low: packed_zig.Columns = block.low[span / 4 * 32 ..][0..32].*;
        packed_zig.putPairs(to, lane, low, 2 * (span % 4));
        packed_zig.putBits(to + 128, lane, high, span);
    }
}

pub inline fn weightsAt(comptime lanes: u32, at: Place, comptime quad: u3) simd.Bytes(lanes) {
    const begin = weights_at + at.span * 192;
    return packed_zig.pairsAt(lanes, at, begin, quad, 0) | packed_zig.bitsAt(lanes, at, begin + 128, quad, 2);
}

pub inline fn scaleAt(comptime lanes: u32, at: Place) @Vector(lanes, f32) {
    return at.halves(lanes, 0);
}

pub inline fn integerAt(comptime lanes: u32, at: Place, comptime part: u1) @Vector(lanes, f32) {
    return @floatFromInt(at.integers(lanes, i8, scales_at + at.span * 32 + @as(u32, part) * 16));
}
