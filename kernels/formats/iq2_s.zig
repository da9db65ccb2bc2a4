//! IQ2_S: points of eight weights out of 1024, a byte of signs each, a scale of four bits for 16 weights, and a half float d;
//! d / 8 * (2 c + 1) * point.

const lattice = @import("lattice.zig");
const lattices = @import("lattices.zig");

pub const id = 22;
pub const name = "IQ2_S";
pub const kind = .block;
pub const block_elements = 256;

pub const Block = extern struct {
    d: u16 align(1),
    q: [32]u8,
    signs: [32]u8,
    /// Two bits above each index.
    high: [8]u8,
    scales: [8]u8,
};

const Read = *align(1) const Block;

pub const shape: lattice.Shape = .{ .points = &lattices.iq2_s, .run = 8, .high_bits = 2, .parts = 2, .levels = &.{ 8, 25, 43 }, .factor = 0.125, .step_max = 15 };

const Own = lattice.Lattice(Block, shape, struct {
    pub fn d(block: Read) u16 {
        return block.d;
    }

    pub fn index(block: Read, run: usize) u16 {
        return block.q[run] | @as(u16, block.high[run / 4] >> @intCast(run % 4 * 2) & 3) << 8;
    }

    pub fn signs(block: Read, eight: usize) u8 {
        return block.signs[eight];
    }

    pub fn step(block: Read, sixteen: usize) u8 {
        return block.scales[sixteen / 2] >> @intCast(sixteen % 2 * 4) & 15;
    }
});

pub const decode = Own.decode;
pub const encode = null;

/// For the quantizer: a block of what was found.
pub fn store(block: *align(1) Block, found: *const lattice.Found) void {
    block.* = .{ .d = found.d, .q = undefined, .signs = found.signs, .high = @splat(0), .scales = undefined };
    for (&block.q, found.points[0..32], 0..) |*q, point, run| {
        q.* = @truncate(point);
        block.high[run / 4] |= @as(u8, @intCast(point >> 8)) << @intCast(run % 4 * 2);
    }
    for (&block.scales, 0..) |*byte, i| byte.* = found.steps[2 * i] | found.steps[2 * i + 1] << 4;
}

pub const finite = Own.finite;
pub const scale = Own.scale;
pub const spanSum = Own.spanSum;

pub const chunk_spans = 8;
pub const chunkBytes = Own.chunkBytes;
pub const pack = Own.pack;
pub const expand = Own.expand;
