//! Q2_0: blocks of 64 weights of two bits each, and a half float d; (q - 1) * d.

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
pub const encode = null;
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
