//! Q5_1: blocks of 32 weights, half floats d and m, and 5 bits each; q * d + m.
//!
//! Packed, a span is six whole cache lines: 256 bytes of nibbles, 64 of fifth bits, then d and m of all rows.

const fifth_bits = @import("fifth_bits.zig");
const codes_zig = @import("codes.zig");
const format = @import("format.zig");
const packed_zig = @import("packed.zig");
const scalar = @import("scalar.zig");
const dot = @import("../level/dot.zig");
const simd = @import("../level/simd.zig");
const Place = packed_zig.Place;

pub const id = 7;
pub const name = "Q5_1";
pub const kind = .block;
pub const block_elements = 32;

pub const Block = extern struct {
    d: u16 align(1),
    m: u16 align(1),
    high: u32 align(1),
    q: [16]u8,
};

pub fn decode(block: *align(1) const Block, out: *[32]f32) void {
    for (out, 0..) |*value, i| value.* = @as(f32, @floatFromInt(fifth_bits.weight(block, i))) * scale(block) + minimumScale(block);
}

/// `decode` in vectors: the same bits.
pub inline fn unpack(block: *align(1) const Block) @Vector(32, f32) {
    const V = @Vector(32, f32);
    const levels_of: V = @floatFromInt(@as(@Vector(32, i32), fifth_bits.columns(block)));
    return levels_of * @as(V, @splat(scale(block))) + @as(V, @splat(minimumScale(block)));
}

/// As the reference quantizer does: the least value is m, the range is cut into 31 steps.
pub fn encode(values: *const [32]f32, block: *align(1) Block) void {
    const steps: scalar.Steps = .init(values, 31);
    block.d = scalar.toHalf(steps.d);
    block.m = scalar.toHalf(steps.min);
    var q: [32]u8 = undefined;
    for (values, &q) |value, *to| to.* = steps.of(value);
    fifth_bits.put(block, &q);
}

pub const linear: format.Linear = .{ .low = 0, .high = 31, .kind = .range };

pub inline fn fill(block: *align(1) Block, d: u16, m: u16, codes: @Vector(32, u8)) void {
    block.* = .{ .d = d, .m = m, .high = codes_zig.fifthBits(codes), .q = codes_zig.nibbles(codes) };
}

/// Other levels under the scale that is there.
pub fn recode(block: *align(1) Block, codes: *const [32]u8) void {
    fill(block, block.d, block.m, codes.*);
}

pub fn finite(block: *align(1) const Block) bool {
    return scalar.halfIsFinite(block.d) and scalar.halfIsFinite(block.m);
}

pub fn scale(block: *align(1) const Block) f32 {
    return scalar.half(block.d);
}

pub fn minimumScale(block: *align(1) const Block) f32 {
    return scalar.half(block.m);
}

pub fn spanSum(block: *align(1) const Block, _: usize, x: *const [32]i8) i32 {
    var sum: i32 = 0;
    for (x, 0..) |value, i| sum += @as(i32, fifth_bits.weight(block, i)) * value;
    return sum;
}

pub fn minimumSum(_: *align(1) const Block, _: usize, x: *const [32]i8) i32 {
    return scalar.sum(x);
}

pub const chunk_spans = 1;
pub const weights: dot.Weights = .{ .unsigned = 31 };
pub const bias = 0;

pub fn chunkBytes(_: u32) usize {
    return 256 + 64 + 64;
}

pub fn pack(block: *align(1) const Block, chunk: [*]u8, _: u32, _: u32, lane: u32) void {
    const columns = fifth_bits.columns(block);
    packed_zig.putNibbles(chunk, lane, columns);
    packed_zig.putBits(chunk + 256, lane, columns, 4);
    packed_zig.putHalf(chunk + 320, lane, block.d);
    packed_zig.putHalf(chunk + 352, lane, block.m);
}

pub inline fn weightsAt(comptime lanes: u32, at: Place, comptime quad: u3) simd.Bytes(lanes) {
    return packed_zig.nibblesAt(lanes, at, 0, quad) | packed_zig.bitsAt(lanes, at, 256, quad, 4);
}

pub inline fn scaleAt(comptime lanes: u32, at: Place) @Vector(lanes, f32) {
    return at.halves(lanes, 320);
}

pub inline fn minimumAt(comptime lanes: u32, at: Place) @Vector(lanes, f32) {
    return at.halves(lanes, 352);
}
