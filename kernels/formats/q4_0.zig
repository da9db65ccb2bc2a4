//! Q4_0: blocks of 32 weights, a half-float scale and 4 bits each; (q - 8) * d.
//!
//! Packed, two spans are nine whole cache lines: 256 bytes of nibbles each, in the file's order (low nibbles are columns 0
//! to 15), then both spans' scales. The 8 is taken off the sum, not off the weights.

const codes_zig = @import("codes.zig");
const format = @import("format.zig");
const packed_zig = @import("packed.zig");
const scalar = @import("scalar.zig");
const dot = @import("../level/dot.zig");
const simd = @import("../level/simd.zig");
const Place = packed_zig.Place;

pub const id = 2;
pub const name = "Q4_0";
pub const kind = .block;
pub const block_elements = 32;

pub const Block = extern struct {
    d: u16 align(1),
    q: [16]u8,
};

pub fn decode(block: *align(1) const Block, out: *[32]f32) void {
    const d = scale(block);
    for (0..32) |i| out[i] = @as(f32, @floatFromInt(weight(block, i))) * d;
}

/// `decode` in vectors: the same bits.
pub inline fn unpack(block: *align(1) const Block) @Vector(32, f32) {
    const levels_of: @Vector(32, f32) = @floatFromInt(@as(@Vector(32, i32), packed_zig.splitNibbles(block.q)));
    return (levels_of - @as(@Vector(32, f32), @splat(8))) * @as(@Vector(32, f32), @splat(scale(block)));
}

/// As the reference quantizer does: the greatest magnitude becomes -8.
pub fn encode(values: *const [32]f32, block: *align(1) Block) void {
    const d = scalar.extreme(values) / -8;
    const inverse = if (d != 0) 1 / d else 0;
    block.d = scalar.toHalf(d);
    for (0..16) |i| {
        const low = scalar.integer(values[i] * inverse + 8.5, 0, 15);
        const high = scalar.integer(values[i + 16] * inverse + 8.5, 0, 15);
        block.q[i] = @intCast(low | high << 4);
    }
}

pub const linear: format.Linear = .{ .low = -8, .high = 7, .kind = .extreme };

pub inline fn fill(block: *align(1) Block, d: u16, _: u16, codes: @Vector(32, u8)) void {
    block.* = .{ .d = d, .q = codes_zig.nibbles(codes) };
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
    const byte = block.q[i % 16];
    return @as(i32, if (i < 16) byte & 15 else byte >> 4) - 8;
}

pub const chunk_spans = 2;
pub const weights: dot.Weights = .{ .unsigned = 15 };
pub const bias = 8;

pub fn chunkBytes(spans: u32) usize {
    return spans * (256 + 32);
}

pub fn pack(block: *align(1) const Block, chunk: [*]u8, spans: u32, span: u32, lane: u32) void {
    packed_zig.putNibbles(chunk + span * 256, lane, packed_zig.splitNibbles(block.q));
    packed_zig.putHalf(chunk + spans * 256 + span * 32, lane, block.d);
}

pub inline fn weightsAt(comptime lanes: u32, at: Place, comptime quad: u3) simd.Bytes(lanes) {
    return packed_zig.nibblesAt(lanes, at, at.span * 256, quad);
}

pub inline fn scaleAt(comptime lanes: u32, at: Place) @Vector(lanes, f32) {
    return at.halves(lanes, at.spans * 256 + at.span * 32);
}
