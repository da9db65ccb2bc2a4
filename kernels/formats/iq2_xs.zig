//! IQ2_XS: points of eight weights out of 512, seven bits of signs each (`even_signs.zig`), a scale of four bits for 16 weights,
//! and a half float d; d / 8 * (2 c + 1) * point.

const even_signs = @import("even_signs.zig");
const lattice = @import("lattice.zig");
const lattices = @import("lattices.zig");

pub const id = 17;
pub const name = "IQ2_XS";
pub const kind = .block;
pub const block_elements = 256;

pub const Block = extern struct {
    d: u16 align(1),
    /// Nine bits of index, seven of signs.
    q: [32]u16 align(1),
    scales: [8]u8,
};

const Read = *align(1) const Block;

pub const shape: lattice.Shape = .{ .points = &lattices.iq2_xs, .run = 8, .high_bits = 1, .parts = 2, .levels = &.{ 8, 25, 43 }, .factor = 0.125, .step_max = 15, .even = true };

const Own = lattice.Lattice(Block, shape, struct {
    pub fn d(block: Read) u16 {
        return block.d;
    }

    pub fn index(block: Read, run: usize) u16 {
        return block.q[run] & 511;
    }

    pub fn signs(block: Read, eight: usize) u8 {
        return even_signs.byteOf(block.q[eight] >> 9, 0);
    }

    pub fn step(block: Read, sixteen: usize) u8 {
        return block.scales[sixteen / 2] >> @intCast(sixteen % 2 * 4) & 15;
    }
});

pub const decode = Own.decode;
pub const encode = null;

/// For the quantizer: a block of what was found.
pub fn store(block: *align(1) Block, found: *const lattice.Found) void {
    block.d = found.d;
    for (&block.q, found.points[0..32], found.signs) |*q, point, signs| q.* = point | @as(u16, signs & 127) << 9;
    for (&block.scales, 0..) |*byte, i| byte.* = found.steps[2 * i] | found.steps[2 * i + 1] << 4;
}

pub const finite = Own.finite;
pub const scale = Own.scale;
pub const spanSum = Own.spanSum;

pub const chunk_spans = 8;
pub const chunkBytes = Own.chunkBytes;
pub const pack = Own.pack;
pub const expand = Own.expand;
