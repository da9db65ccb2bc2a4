//! IQ1_S: points of eight weights out of 2048, of which each is -1, 0 or 1, moved by an eighth up or down for 32 weights, a scale
//! of three bits for those, and a half float d; d / 8 * (2 c + 1) * (8 * point +- 1).

const lattice = @import("lattice.zig");
const lattices = @import("lattices.zig");

pub const id = 19;
pub const name = "IQ1_S";
pub const kind = .block;
pub const block_elements = 256;

pub const Block = extern struct {
    d: u16 align(1),
    q: [32]u8,
    /// Of 32 weights: three bits above each index, c, and whether they are moved down.
    high: [8]u16 align(1),
};

const Read = *align(1) const Block;

pub const shape: lattice.Shape = .{ .points = &lattices.iq1, .run = 8, .high_bits = 3, .parts = 1, .levels = &.{}, .factor = 0.125, .step_max = 7 };

const Own = lattice.Lattice(Block, shape, struct {
    pub fn d(block: Read) u16 {
        return block.d;
    }

    pub fn index(block: Read, run: usize) u16 {
        return block.q[run] | (block.high[run / 4] >> @intCast(run % 4 * 3) & 7) << 8;
    }

    pub fn signs(block: Read, eight: usize) u8 {
        return if (block.high[eight / 4] >> 15 == 1) 0xff else 0;
    }

    pub fn step(block: Read, sixteen: usize) u8 {
        return @intCast(block.high[sixteen / 2] >> 12 & 7);
    }
});

pub const decode = Own.decode;
pub const encode = null;

/// For the quantizer: a block of what was found.
pub fn store(block: *align(1) Block, found: *const lattice.Found) void {
    block.d = found.d;
    for (&block.high, 0..) |*word, s| word.* = @as(u16, found.steps[2 * s]) << 12 | @as(u16, found.signs[4 * s] & 1) << 15;
    for (&block.q, found.points[0..32], 0..) |*q, point, run| {
        q.* = @truncate(point);
        block.high[run / 4] |= point >> 8 << @intCast(run % 4 * 3);
    }
}

pub const finite = Own.finite;
pub const scale = Own.scale;
pub const spanSum = Own.spanSum;

pub const chunk_spans = 8;
pub const chunkBytes = Own.chunkBytes;
pub const pack = Own.pack;
pub const expand = Own.expand;
