//! Q1_0: blocks of 128 weights of one bit each, and a half float d; d where the bit is set, else -d.
//!
//! Packed: d of all rows, then 64 bytes of weights a span.

const format = @import("format.zig");
const expanded = @import("expanded.zig");
const packed_zig = @import("packed.zig");
const scalar = @import("scalar.zig");
const simd = @import("../level/simd.zig");
const Place = packed_zig.Place;

pub const id = 41;
pub const name = "Q1_0";
pub const kind = .block;
pub const block_elements = 128;

pub const Block = extern struct {
    d: u16 align(1),
    q: [16]u8,
};

const Own = scalar.OneScale(Block, block_elements, weight);
pub const decode = Own.decode;

/// The mean magnitude, and signs.
pub fn encode(values: *const [128]f32, block: *align(1) Block) void {
    var sum: f32 = 0;
    var codes: [128]u8 = undefined;
    for (values, &codes) |value, *code| {
        sum += @abs(value);
        code.* = @intFromBool(value >= 0);
    }
    fill(block, scalar.toHalf(sum / 128), 0, &codes);
}

/// For the quantizer: its levels and their codes.
pub const grid: format.Grid = .{ .values = &.{ -1, 1 }, .codes = &.{ 0, 1 }, .powers = false };

pub fn fill(block: *align(1) Block, d: u16, _: u16, codes: *const [128]u8) void {
    block.d = d;
    block.q = @splat(0);
    for (codes, 0..) |code, i| block.q[i / 8] |= code << @intCast(i % 8);
}

pub const finite = Own.finite;
pub const scale = Own.scale;
pub const spanSum = Own.spanSum;

fn bit(block: *align(1) const Block, i: usize) u8 {
    return block.q[i / 8] >> @intCast(i % 8) & 1;
}

fn weight(block: *align(1) const Block, i: usize) i32 {
    return 2 * @as(i32, bit(block, i)) - 1;
}

pub const chunk_spans = 4;

pub fn chunkBytes(spans: u32) usize {
    return 32 + spans * 64;
}

pub fn pack(block: *align(1) const Block, chunk: [*]u8, _: u32, _: u32, lane: u32) void {
    packed_zig.putHalf(chunk, lane, block.d);
    for (0..chunk_spans) |span| {
        var columns: [32]u8 = undefined;
        for (&columns, span * 32..) |*column, i| column.* = bit(block, i);
        packed_zig.putBits(chunk + 32 + span * 64, lane, columns, 0);
    }
}

pub fn expand(chunk: [*]const u8, to: *expanded.Chunk) callconv(.c) void {
    const at: Place = .{ .chunk = chunk, .spans = chunk_spans, .span = 0, .lane = 0 };
    const d = at.halves(16, 0);
    for (to[0..chunk_spans], 0..) |*span, s| {
        span.scale = d;
        span.integers = @splat(simd.splat(1));
        inline for (0..8) |quad| span.weights[quad] = packed_zig.bitsAt(16, at, 32 + s * 64, quad, 1) + @as(simd.Bytes(16), @splat(expanded.bias - 1));
    }
}
