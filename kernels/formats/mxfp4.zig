//! MXFP4: blocks of 32 weights, a scale that is a power of two (E8M0) and 4 bits each, which are floats with two bits
//! of exponent and one of mantissa. Their doubles are integers, so the scale is halved: value * 2^(e - 128).
//!
//! Packed, four spans are seventeen whole cache lines: 256 bytes of nibbles each, then the exponents of all four.

const codes_zig = @import("codes.zig");
const fp4 = @import("fp4.zig");
const packed_zig = @import("packed.zig");
const dot = @import("../level/dot.zig");
const simd = @import("../level/simd.zig");
const Place = packed_zig.Place;

pub const id = 39;
pub const name = "MXFP4";
pub const kind = .block;
pub const block_elements = 32;

pub const Block = extern struct {
    e: u8,
    q: [16]u8,
};

pub fn decode(block: *align(1) const Block, out: *[32]f32) void {
    for (out, 0..) |*value, i| value.* = @as(f32, @floatFromInt(weight(block, i))) * scale(block);
}

pub const encode = null;

/// For the quantizer: its levels, ascending, and their codes.
pub const grid = fp4.grid;

/// `d` is half of the scale, a power of two, or 0 where all values are.
pub fn fillPower(block: *align(1) Block, d: f32, codes: @Vector(32, u8)) void {
    const exponent: u8 = @truncate(@as(u32, @bitCast(d)) >> 23);
    block.* = .{ .e = if (d == 0) 0 else exponent + 1, .q = codes_zig.nibbles(codes) };
}

/// All bits set is not a number.
pub fn finite(block: *align(1) const Block) bool {
    return block.e != 0xff;
}

pub fn scale(block: *align(1) const Block) f32 {
    return powers(1, .{block.e})[0];
}

pub fn spanSum(block: *align(1) const Block, _: usize, x: *const [32]i8) i32 {
    var sum: i32 = 0;
    for (x, 0..) |value, i| sum += weight(block, i) * value;
    return sum;
}

fn weight(block: *align(1) const Block, i: usize) i32 {
    const byte = block.q[i % 16];
    return fp4.values[if (i < 16) byte & 15 else byte >> 4];
}

/// 2^(e - 128); the two least are subnormal.
inline fn powers(comptime n: u32, e: @Vector(n, u32)) @Vector(n, f32) {
    const W = @Vector(n, u32);
    const normal = (e -% @as(W, @splat(1))) << @splat(23);
    const small = (e + @as(W, @splat(1))) << @splat(21);
    return @bitCast(@select(u32, e < @as(W, @splat(2)), small, normal));
}

pub const chunk_spans = 4;
pub const weights: dot.Weights = .{ .unsigned = 24 };
pub const bias = 12;

pub fn chunkBytes(spans: u32) usize {
    return spans * (256 + 16);
}

pub fn pack(block: *align(1) const Block, chunk: [*]u8, spans: u32, span: u32, lane: u32) void {
    packed_zig.putNibbles(chunk + span * 256, lane, packed_zig.splitNibbles(block.q));
    chunk[spans * 256 + span * 16 + lane] = block.e;
}

pub inline fn weightsAt(comptime lanes: u32, at: Place, comptime quad: u3) simd.Bytes(lanes) {
    return simd.lookup(lanes, comptime fp4.kept(bias), packed_zig.nibblesAt(lanes, at, at.span * 256, quad));
}

pub inline fn scaleAt(comptime lanes: u32, at: Place) @Vector(lanes, f32) {
    return powers(lanes, @bitCast(at.integers(lanes, u8, at.spans * 256 + at.span * 16)));
}
