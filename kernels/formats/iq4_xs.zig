//! IQ4_XS: blocks of 256 weights of 4 bits, looked up in IQ4_NL's table of values, a scale of six bits for each 32, and a
//! half float d; value * (d * (scale - 32)).
//!
//! Packed, a block is 35 cache lines, half of the last scales' line empty: d and the scales of all rows, then 256 bytes
//! of nibbles a span.

const iq4_values = @import("iq4_values.zig");
const codes_zig = @import("codes.zig");
const format = @import("format.zig");
const packed_zig = @import("packed.zig");
const scalar = @import("scalar.zig");
const dot = @import("../level/dot.zig");
const simd = @import("../level/simd.zig");
const Place = packed_zig.Place;

pub const id = 23;
pub const name = "IQ4_XS";
pub const kind = .block;
pub const block_elements = 256;

pub const Block = extern struct {
    d: u16 align(1),
    scales_high: u16 align(1),
    scales_low: [4]u8,
    q: [128]u8,
};

pub fn decode(block: *align(1) const Block, out: *[256]f32) void {
    for (out, 0..) |*value, i| {
        value.* = @as(f32, @floatFromInt(weight(block, i))) * (scale(block) * @as(f32, @floatFromInt(integer(block, i / 32))));
    }
}

pub const encode = null;

/// For the quantizer: its levels, how many sub-blocks, and the range of their integer scales.
pub const grid = iq4_values.grid;
pub const sub_blocks: format.SubBlocks = .{ .count = 8, .low = -127, .high = 113, .scale_min = -32, .scale_max = 31, .minimum_max = 0 };

pub fn assemble(block: *align(1) Block, d: u16, _: u16, scales: *const [8]i32, _: *const [8]i32, codes: *const [256]u8) void {
    block.d = d;
    block.scales_high = 0;
    @memset(&block.scales_low, 0);
    for (scales, 0..) |s, j| {
        const six: u8 = @intCast(s + 32);
        block.scales_low[j / 2] |= (six & 15) << @intCast(4 * (j % 2));
        block.scales_high |= @as(u16, six >> 4) << @intCast(2 * j);
    }
    for (0..8) |j| block.q[j * 16 ..][0..16].* = codes_zig.nibbles(codes[j * 32 ..][0..32].*);
}

pub fn finite(block: *align(1) const Block) bool {
    return scalar.halfIsFinite(block.d);
}

pub fn scale(block: *align(1) const Block) f32 {
    return scalar.half(block.d);
}

pub fn spanSum(block: *align(1) const Block, span: usize, x: *const [32]i8) i32 {
    var sum: i32 = 0;
    for (x, span * 32..) |value, i| sum += weight(block, i) * value;
    return sum * integer(block, span);
}

/// Scale `j`, 0 to 7: four bits and two bits.
fn integer(block: *align(1) const Block, j: usize) i32 {
    const low = block.scales_low[j / 2] >> @intCast(4 * (j % 2)) & 15;
    const high: u8 = @intCast(block.scales_high >> @intCast(2 * j) & 3);
    return @as(i32, low | high << 4) - 32;
}

fn weight(block: *align(1) const Block, i: usize) i32 {
    const byte = block.q[i / 32 * 16 + i % 16];
    return iq4_values.values[if (i % 32 < 16) byte & 15 else byte >> 4];
}

pub const chunk_spans = 8;
pub const weights: dot.Weights = .signed;
pub const bias = 0;
pub const parts = 1;

const scales_at = 32;
const weights_at = 192;

pub fn chunkBytes(_: u32) usize {
    return weights_at + 8 * 256;
}

pub fn pack(block: *align(1) const Block, chunk: [*]u8, _: u32, _: u32, lane: u32) void {
    packed_zig.putHalf(chunk, lane, block.d);
    for (0..8) |span| {
        chunk[scales_at + span * 16 + lane] = @bitCast(@as(i8, @intCast(integer(block, span))));
        packed_zig.putNibbles(chunk + weights_at + span * 256, lane, packed_zig.splitNibbles(block.q[span * 16 ..][0..16].*));
    }
}

pub inline fn weightsAt(comptime lanes: u32, at: Place, comptime quad: u3) simd.Bytes(lanes) {
    return iq4_values.lookup(lanes, packed_zig.nibblesAt(lanes, at, weights_at + at.span * 256, quad));
}

pub inline fn scaleAt(comptime lanes: u32, at: Place) @Vector(lanes, f32) {
    return at.halves(lanes, 0);
}

pub inline fn integerAt(comptime lanes: u32, at: Place, comptime _: u1) @Vector(lanes, f32) {
    return @floatFromInt(at.integers(lanes, i8, scales_at + at.span * 16));
}
