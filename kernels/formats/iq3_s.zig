//! IQ3_S: points of four weights out of 512, a bit of sign each, a scale of four bits for 32 weights, and a half float d;
//! d * (2 c + 1) * point.

const lattice = @import("lattice.zig");
const lattices = @import("lattices.zig");

pub const id = 21;
pub const name = "IQ3_S";
pub const kind = .block;
pub const block_elements = 256;

pub const Block = extern struct {
    d: u16 align(1),
    q: [64]u8,
    /// A bit above each index.
    high: [8]u8,
    signs: [32]u8,
    scales: [4]u8,
};

const Read = *align(1) const Block;

pub const shape: lattice.Shape = .{ .points = &lattices.iq3_s, .run = 4, .high_bits = 1, .parts = 1, .levels = &.{ 1, 3, 5, 7, 9, 11, 13, 15 }, .factor = 1, .step_max = 15 };

const Own = lattice.Lattice(Block, shape, struct {
    pub fn d(block: Read) u16 {
        return block.d;
    }

    pub fn index(block: Read, run: usize) u16 {
        return block.q[run] | @as(u16, block.high[run / 8] >> @intCast(run % 8) & 1) << 8;
    }

    pub fn signs(block: Read, eight: usize) u8 {
        return block.signs[eight];
    }

    pub fn step(block: Read, sixteen: usize) u8 {
        return block.scales[sixteen / 4] >> @intCast(sixteen / 2 % 2 * 4) & 15;
    }
});

pub const decode = Own.decode;
pub const encode = null;

/// For the quantizer: a block of what was found.
pub fn store(block: *align(1) Block, found: *const lattice.Found) void {
    block.* = .{ .d = found.d, .q = undefined, .high = @splat(0), .signs = found.signs, .scales = undefined };
    for (&block.q, found.points, 0..) |*q, point, run| {
        q.* = @truncate(point);
        block.high[run / 8] |= @as(u8, @intCast(point >> 8)) << @intCast(run % 8);
    }
    for (&block.scales, 0..) |*byte, i| byte.* = found.steps[4 * i] | found.steps[4 * i + 2] << 4;
}

pub const finite = Own.finite;
pub const scale = Own.scale;
pub const spanSum = Own.spanSum;

pub const chunk_spans = 8;
pub const chunkBytes = Own.chunkBytes;
pub const pack = Own.pack;
pub const expand = Own.expand;
