//! Q8_0: blocks of 32 weights, a half-float scale and a signed byte each; q * d.
//!
//! Packed, two spans are seventeen whole cache lines: 512 bytes of weights each, then both spans' scales. Where the
//! product instruction wants unsigned weights they are kept plus 128 (`isa.signed_biased`).

const format = @import("format.zig");
const packed_zig = @import("packed.zig");
const scalar = @import("scalar.zig");
const dot = @import("../level/dot.zig");
const isa = @import("../level/isa.zig");
const simd = @import("../level/simd.zig");
const Place = packed_zig.Place;

pub const id = 8;
pub const name = "Q8_0";
pub const kind = .block;
pub const block_elements = 32;

pub const Block = extern struct {
    d: u16 align(1),
    q: [32]i8,
};

pub fn decode(block: *align(1) const Block, out: *[32]f32) void {
    const d = scale(block);
    for (out, block.q) |*value, q| value.* = @as(f32, @floatFromInt(q)) * d;
}

/// As the reference quantizer does: by the scale before it is rounded to a half float.
pub fn encode(values: *const [32]f32, block: *align(1) Block) void {
    const d = @abs(scalar.extreme(values)) / 127;
    const inverse = if (d != 0) 1 / d else 0;
    block.d = scalar.toHalf(d);
    for (values, &block.q) |value, *q| q.* = @intCast(scalar.nearestAway(value * inverse, -127, 127));
}

pub const linear: format.Linear = .{ .low = -127, .high = 127, .kind = .magnitude };

pub inline fn fill(block: *align(1) Block, d: u16, _: u16, codes: @Vector(32, u8)) void {
    block.* = .{ .d = d, .q = @bitCast(codes -% @as(@Vector(32, u8), @splat(127))) };
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
    for (x, block.q) |value, q| sum += @as(i32, q) * value;
    return sum;
}

pub const chunk_spans = 2;
pub const weights: dot.Weights = .signed;
pub const bias = 0;

pub fn chunkBytes(spans: u32) usize {
    return spans * (512 + 32);
}

pub fn pack(block: *align(1) const Block, chunk: [*]u8, spans: u32, span: u32, lane: u32) void {
    inline for (0..8) |i| {
        const columns = @as(*align(1) const [4]u8, @ptrCast(block.q[4 * i ..][0..4])).*;
        packed_zig.putColumns(chunk + span * 512 + i * 64, lane, &dot.signedColumns(columns));
    }
    packed_zig.putHalf(chunk + spans * 512 + span * 32, lane, block.d);
}

pub inline fn weightsAt(comptime lanes: u32, at: Place, comptime quad: u3) simd.Bytes(lanes) {
    return at.bytes(lanes, at.span * 512 + @as(u32, quad) * 64);
}

pub inline fn scaleAt(comptime lanes: u32, at: Place) @Vector(lanes, f32) {
    return at.halves(lanes, at.spans * 512 + at.span * 32);
}
