//! Q2_0: blocks of 64 weights of two bits each, and a half float d; (q - 1) * d.

const format = @import("format.zig");
const packed_zig = @import("packed.zig");
const pairs = @import("pairs.zig");
const scalar = @import("scalar.zig");

pub const id = 42;
pub const name = "Q2_0";
pub const kind = .block;
pub const block_elements = 64;

pub const Block = extern struct {
    d: u16 align(1),
    q: [16]u8,
};

const Own = scalar.OneScale(Block, block_elements, weight);
pub const decode = Own.decode;

/// The greatest magnitude becomes level 1 or -1: the reference never uses level 2.
pub fn encode(values: *const [64]f32, block: *align(1) Block) void {
    const d = @abs(scalar.extreme(values));
    const inverse = if (d > 0) 1 / d else 0;
    var codes: [64]u8 = undefined;
    for (values, &codes) |value, *own| own.* = @intCast(scalar.nearestAway(value * inverse, -1, 2) + 1);
    fill(block, scalar.toHalf(d), 0, &codes);
}

/// For the quantizer: its levels and their codes.
pub const grid: format.Grid = .{ .values = &.{ -1, 0, 1, 2 }, .codes = &.{ 0, 1, 2, 3 }, .powers = false, .reach = 4 };

pub fn fill(block: *align(1) Block, d: u16, _: u16, codes: *const [64]u8) void {
    block.d = d;
    block.q = @splat(0);
    for (codes, 0..) |own, i| block.q[i / 4] |= own << @intCast(2 * (i % 4));
}

pub const finite = Own.finite;
pub const scale = Own.scale;
pub const spanSum = Own.spanSum;

fn weight(block: *align(1) const Block, i: usize) i32 {
    return @as(i32, code(block, i)) - 1;
}

fn code(block: *align(1) const Block, i: usize) u8 {
    return block.q[i / 4] >> @intCast(2 * (i % 4)) & 3;
}

pub const chunk_spans = 2;
pub const chunkBytes = pairs.chunkBytes;
pub const expand = pairs.Expanding(chunk_spans).expand;

pub fn pack(block: *align(1) const Block, chunk: [*]u8, _: u32, _: u32, lane: u32) void {
    packed_zig.putHalf(chunk, lane, block.d);
    for (0..2) |span| {
        var columns: [32]u8 = undefined;
        for (&columns, span * 32..) |*column, i| column.* = code(block, i);
        pairs.putSpan(chunk, @intCast(span), lane, columns, 0);
    }
}
