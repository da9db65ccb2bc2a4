//! Q2_K: blocks of 256 weights of 2 bits, a scale and a minimum of four bits for each 16, half floats d and dmin;
//! q * (d * scale) - dmin * minimum.
//!
//! Packed, a block is 21 whole cache lines: d and dmin of all rows, their scales and minima, then 128 bytes of weights
//! a span.

const format = @import("format.zig");
const packed_zig = @import("packed.zig");
const scalar = @import("scalar.zig");
const dot = @import("../level/dot.zig");
const simd = @import("../level/simd.zig");
const Place = packed_zig.Place;

pub const id = 10;
pub const name = "Q2_K";
pub const kind = .block;
pub const block_elements = 256;

pub const Block = extern struct {
    /// The scale in the low nibble, the minimum in the high one.
    scales: [16]u8,
    q: [64]u8,
    d: u16 align(1),
    dmin: u16 align(1),
};

pub fn decode(block: *align(1) const Block, out: *[256]f32) void {
    const dmin = scalar.half(block.dmin);
    for (out, 0..) |*value, i| {
        const s = block.scales[i / 16];
        value.* = @as(f32, @floatFromInt(weight(block, i))) * (scale(block) * @as(f32, @floatFromInt(s & 15))) - dmin * @as(f32, @floatFromInt(s >> 4));
    }
}

pub const encode = null;

/// For the quantizer: how many sub-blocks, their levels, and the range of their integer scales and minima.
pub const sub_blocks: format.SubBlocks = .{ .count = 16, .low = 0, .high = 3, .scale_min = 0, .scale_max = 15, .minimum_max = 15 };

pub fn assemble(block: *align(1) Block, d: u16, dmin: u16, scales: *const [16]i32, minima: *const [16]i32, codes: *const [256]u8) void {
    block.d = d;
    block.dmin = dmin;
    for (&block.scales, scales, minima) |*to, s, m| to.* = @intCast(s | m << 4);
    recode(block, codes);
}

/// Other levels under the scales that are there; a code is the level less the lowest one.
pub fn recode(block: *align(1) Block, codes: *const [256]u8) void {
    @memset(&block.q, 0);
    for (codes, 0..) |code, i| block.q[i / 128 * 32 + i % 32] |= code << @intCast(2 * (i % 128 / 32));
}

pub fn finite(block: *align(1) const Block) bool {
    return scalar.halfIsFinite(block.d) and scalar.halfIsFinite(block.dmin);
}

pub fn scale(block: *align(1) const Block) f32 {
    return scalar.half(block.d);
}

pub fn minimumScale(block: *align(1) const Block) f32 {
    return -scalar.half(block.dmin);
}

pub fn spanSum(block: *align(1) const Block, span: usize, x: *const [32]i8) i32 {
    var sum: i32 = 0;
    for (x, span * 32..) |value, i| sum += @as(i32, block.scales[i / 16] & 15) * weight(block, i) * value;
    return sum;
}

pub fn minimumSum(block: *align(1) const Block, span: usize, x: *const [32]i8) i32 {
    var sum: i32 = 0;
    for (x, span * 32..) |value, i| sum += @as(i32, block.scales[i / 16] >> 4) * value;
    return sum;
}

/// Halves of 128 weights, in which four times 32 share 32 bytes.
fn weight(block: *align(1) const Block, i: usize) u8 {
    return block.q[i / 128 * 32 + i % 32] >> @intCast(2 * (i % 128 / 32)) & 3;
}

pub const chunk_spans = 8;
pub const weights: dot.Weights = .{ .unsigned = 3 };
pub const bias = 0;
pub const parts = 2;

const scales_at = 64;
const weights_at = scales_at + 8 * 32;

pub fn chunkBytes(_: u32) usize {
    return weights_at + 8 * 128;
}

pub fn pack(block: *align(1) const Block, chunk: [*]u8, _: u32, _: u32, lane: u32) void {
    packed_zig.putHalf(chunk, lane, block.d);
    packed_zig.putHalf(chunk + 32, lane, block.dmin);
    for (block.scales, 0..) |s, i| chunk[scales_at + i * 16 + lane] = s;
    inline for (0..8) |span| {
        const columns: packed_zig.Columns = block.q[span / 4 * 32 ..][0..32].*;
        packed_zig.putPairs(chunk + weights_at + span * 128, lane, columns, 2 * (span % 4));
    }
}

pub inline fn weightsAt(comptime lanes: u32, at: Place, comptime quad: u3) simd.Bytes(lanes) {
    return packed_zig.pairsAt(lanes, at, weights_at + at.span * 128, quad, 0);
}

pub inline fn scaleAt(comptime lanes: u32, at: Place) @Vector(lanes, f32) {
    return at.halves(lanes, 0);
}

pub inline fn minimumAt(comptime lanes: u32, at: Place) @Vector(lanes, f32) {
    return -at.halves(lanes, 32);
}

pub inline fn integerAt(comptime lanes: u32, at: Place, comptime part: u1) @Vector(lanes, f32) {
    return @floatFromInt(scalesAt(lanes, at, part) & @as(@Vector(lanes, i32), @splat(15)));
}

pub inline fn minimumIntegerAt(comptime lanes: u32, at: Place, comptime part: u1) @Vector(lanes, i32) {
    return scalesAt(lanes, at, part) >> @splat(4);
}

inline fn scalesAt(comptime lanes: u32, at: Place, comptime part: u1) @Vector(lanes, i32) {
    return at.integers(lanes, u8, scales_at + at.span * 32 + @as(u32, part) * 16);
}
