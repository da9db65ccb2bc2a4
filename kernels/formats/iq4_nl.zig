//! IQ4_NL: blocks of 32 weights, a half-float scale and 4 bits each, looked up in a table of values; value * d.
//!
//! Packed, two spans are nine whole cache lines, as those of Q4_0: nibbles, then both spans' scales.

const iq4_values = @import("iq4_values.zig");
const codes_zig = @import("codes.zig");
const packed_zig = @import("packed.zig");
const scalar = @import("scalar.zig");
const dot = @import("../level/dot.zig");
const simd = @import("../level/simd.zig");
const Place = packed_zig.Place;

pub const id = 20;
pub const name = "IQ4_NL";
pub const kind = .block;
pub const block_elements = 32;

pub const Block = extern struct {
    d: u16 align(1),
    q: [16]u8,
};

pub fn decode(block: *align(1) const Block, out: *[32]f32) void {
    for (out, 0..) |*value, i| value.* = @as(f32, @floatFromInt(weight(block, i))) * scale(block);
}

/// `decode` in vectors: the same bits.
pub inline fn unpack(block: *align(1) const Block) @Vector(32, f32) {
    const levels_of: @Vector(32, i8) = @bitCast(iq4_values.of(8, packed_zig.splitNibbles(block.q)));
    return @as(@Vector(32, f32), @floatFromInt(@as(@Vector(32, i32), levels_of))) * @as(@Vector(32, f32), @splat(scale(block)));
}

pub const encode = null;

/// For the quantizer: its levels and their codes.
pub const grid = iq4_values.grid;

pub inline fn fill(block: *align(1) Block, d: u16, _: u16, codes: @Vector(32, u8)) void {
    block.* = .{ .d = d, .q = codes_zig.nibbles(codes) };
}

pub fn finite(block: *align(1) const Block) bool {
    return scalar.halfIsFinite(block.d);
}

pub fn scale(block: *align(1) const Block) f32 {
    return scalar.half(block.d);
}

pub fn spanSum(block: *align(1) const Block, _: usize, x: *const [32]i8) i32 {
    var sum: i32 = 0;
    for (x, 0..) |value, i| sum += weight(block, i) * value;
    return sum;
}

fn weight(block: *align(1) const Block, i: usize) i32 {
    const byte = block.q[i % 16];
    return iq4_values.values[if (i < 16) byte & 15 else byte >> 4];
}

pub const chunk_spans = 2;
pub const weights: dot.Weights = .signed;
pub const bias = 0;

pub fn chunkBytes(spans: u32) usize {
    return spans * (256 + 32);
}

pub fn pack(block: *align(1) const Block, chunk: [*]u8, spans: u32, span: u32, lane: u32) void {
    packed_zig.putNibbles(chunk + span * 256, lane, packed_zig.splitNibbles(block.q));
    packed_zig.putHalf(chunk + spans * 256 + span * 32, lane, block.d);
}

pub inline fn weightsAt(comptime lanes: u32, at: Place, comptime quad: u3) simd.Bytes(lanes) {
    return iq4_values.lookup(lanes, packed_zig.nibblesAt(lanes, at, at.span * 256, quad));
}

pub inline fn scaleAt(comptime lanes: u32, at: Place) @Vector(lanes, f32) {
    return at.halves(lanes, at.spans * 256 + at.span * 32);
}
