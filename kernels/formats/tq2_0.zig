//! TQ2_0: blocks of 256 ternary weights in two bits each, and a half float d; (q - 1) * d.

const packed_zig = @import("packed.zig");
const pairs = @import("pairs.zig");
const scalar = @import("scalar.zig");
const ternary = @import("ternary.zig");

pub const id = 35;
pub const name = "TQ2_0";
pub const kind = .block;
pub const block_elements = 256;

pub const Block = extern struct {
    q: [64]u8,
    d: u16 align(1),
};

const Own = scalar.OneScale(Block, block_elements, weight);
pub const decode = Own.decode;

pub const encode = ternary.Encoding(Block, fill).encode;

/// For the quantizer: its levels and their codes.
pub const grid = ternary.grid;

pub fn fill(block: *align(1) Block, d: u16, _: u16, codes: *const [256]u8) void {
    block.* = .{ .q = @splat(0), .d = d };
    for (codes, 0..) |code, i| block.q[i / 128 * 32 + i % 32] |= code << @intCast(2 * (i % 128 / 32));
}

pub const finite = Own.finite;
pub const scale = Own.scale;
pub const spanSum = Own.spanSum;

/// Halves of 128 weights, in which four times 32 share 32 bytes.
fn weight(block: *align(1) const Block, i: usize) i32 {
    return @as(i32, block.q[i / 128 * 32 + i % 32] >> @intCast(2 * (i % 128 / 32)) & 3) - 1;
}

pub const chunk_spans = 8;
pub const chunkBytes = pairs.chunkBytes;
pub const expand = pairs.Expanding(8).expand;

pub fn pack(block: *align(1) const Block, chunk: [*]u8, _: u32, _: u32, lane: u32) void {
    packed_zig.putHalf(chunk, lane, block.d);
    inline for (0..8) |span| pairs.putSpan(chunk, span, lane, block.q[span / 4 * 32 ..][0..32].*, 2 * (span % 4));
}
