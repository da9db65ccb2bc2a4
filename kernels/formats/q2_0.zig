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

pub fn decode(block: *align(1) const Block, out: *[64]f32) void {
    for (out, 0..) |*value, i| value.* = @as(f32, @floatFromInt(@as(i32, code(block, i)) - 1)) * scale(block);
}

pub const encode = null;

pub fn finite(block: *align(1) const Block) bool {
    return scalar.halfIsFinite(block.d);
}

pub fn scale(block: *align(1) const Block) f32 {
    return scalar.half(block.d);
}

pub fn spanSum(block: *align(1) const Block, span: usize, x: *const [32]i8) i32 {
    var sum: i32 = 0;
    for (x, span * 32..) |value, i| sum += (@as(i32, code(block, i)) - 1) * value;
    return sum;
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
