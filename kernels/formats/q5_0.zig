//! Q5_0: blocks of 32 weights, a half-float scale and 5 bits each; (q - 16) * d.
//!
//! Packed, two spans are eleven whole cache lines: 256 bytes of nibbles and 64 of fifth bits each, then both spans'
//! scales. The 16 is taken off the sum, not off the weights.

const fifth_bits = @import("fifth_bits.zig");
const codes_zig = @import("codes.zig");
const format = @import("format.zig");
const packed_zig = @import("packed.zig");
const scalar = @import("scalar.zig");
const dot = @import("../level/dot.zig");
const simd = @import("../level/simd.zig");
const Place = packed_zig.Place;

pub const id = 6;
pub const name = "Q5_0";
pub const kind = .block;
pub const block_elements = 32;

pub const Block = extern struct {
    d: u16 align(1),
    high: u32 align(1),
    q: [16]u8,
};

pub fn decode(block: *align(1) const Block, out: *[32]f32) void {
    for (out, 0..) |*value, i| value.* = @as(f32, @floatFromInt(weight(block, i))) * scale(block);
}

/// `decode` in vectors: the same bits.
pub inline fn unpack(block: *align(1) const Block) @Vector(32, f32) {
    const levels_of: @Vector(32, f32) = @floatFromInt(@as(@Vector(32, i32), fifth_bits.columns(block)));
    return (levels_of - @as(@Vector(32, f32), @splat(16))) * @as(@Vector(32, f32), @splat(scale(block)));
}

/// As the reference quantizer does: the greatest magnitude becomes -16.
pub fn encode(values: *const [32]f32, block: *align(1) Block) void {
    const d = scalar.extreme(values) / -16;
    const inverse = if (d != 0) 1 / d else 0;
    block.d = scalar.toHalf(d);
    var q: [32]u8 = undefined;
    for (values, &q) |value, *to| to.* = @intCast(scalar.integer(value * inverse + 16.5, 0, 31));
    fifth_bits.put(block, &q);
}

pub const linear: format.Linear = .{ .low = -16, .high = 15, .kind = .extreme };

pub inline fn fill(block: *align(1) Block, d: u16, _: u16, codes: @Vector(32, u8)) void {
    block.* = .{ .d = d, .high = codes_zig.fifthBits(codes), .q = codes_zig.nibbles(codes) };
}

/// Other levels under the scale that is there.
pub fn recode(block: *align(1) Block, codes: *const [32]u8) void {
    fill(block, block.d, 0, codes.*);
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
    return @as(i32, fifth_bits.weight(block, i)) - 16;
}

pub const chunk_spans = 2;
pub const weights: dot.Weights = .{ .unsigned = 31 };
pub const bias = 16;

pub fn chunkBytes(spans: u32) usize {
    return spans * (320 + 32);
}

pub fn pack(block: *align(1) const Block, chunk: [*]u8, spans: u32, span: u32, lane: u32) void {
    const columns = fifth_bits.columns(block);
    packed_zig.putNibbles(chunk + span * 320, lane, columns);
    packed_zig.putBits(chunk + span * 320 + 256, lane, columns, 4);
    packed_zig.putHalf(chunk + spans * 320 + span * 32, lane, block.d);
}

pub inline fn weightsAt(comptime lanes: u32, at: Place, comptime quad: u3) simd.Bytes(lanes) {
    return packed_zig.nibblesAt(lanes, at, at.span * 320, quad) | packed_zig.bitsAt(lanes, at, at.span * 320 + 256, quad, 4);
}

pub inline fn scaleAt(comptime lanes: u32, at: Place) @Vector(lanes, f32) {
    return at.halves(lanes, at.spans * 320 + at.span * 32);
}
