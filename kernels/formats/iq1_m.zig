//! IQ1_M: points of eight weights out of 2048, of which each is -1, 0 or 1, moved by an eighth up or down, a scale of three bits
//! for 16 weights, and a half float d in the bits that the scales leave; d / 8 * (2 c + 1) * (8 * point +- 1).

const lattice = @import("lattice.zig");
const lattices = @import("lattices.zig");

pub const id = 29;
pub const name = "IQ1_M";
pub const kind = .block;
pub const block_elements = 256;

pub const Block = extern struct {
    q: [32]u8,
    /// Of each point three bits above its index, and whether it is moved down.
    high: [16]u8,
    /// Four times three bits of c; above them four bits of d, the lowest first.
    scales: [4]u16 align(1),
};

const Read = *align(1) const Block;

pub const shape: lattice.Shape = .{ .points = &lattices.iq1, .run = 8, .high_bits = 3, .parts = 2, .levels = &.{}, .factor = 0.125, .step_max = 7 };

const Own = lattice.Lattice(Block, shape, struct {
    pub fn d(block: Read) u16 {
        var bits: u16 = 0;
        for (block.scales, 0..) |word, i| bits |= word >> 12 << @intCast(4 * i);
        return bits;
    }

    pub fn index(block: Read, run: usize) u16 {
        return block.q[run] | @as(u16, block.high[run / 2] >> @intCast(run % 2 * 4) & 7) << 8;
    }

    pub fn signs(block: Read, eight: usize) u8 {
        return if (block.high[eight / 2] >> @intCast(eight % 2 * 4 + 3) & 1 == 1) 0xff else 0;
    }

    pub fn step(block: Read, sixteen: usize) u8 {
        return @intCast(block.scales[sixteen / 4] >> @intCast(sixteen % 4 * 3) & 7);
    }
});

pub const decode = Own.decode;
pub const encode = null;

/// For the quantizer: a block of what was found.
pub fn store(block: *align(1) Block, found: *const lattice.Found) void {
    block.high = @splat(0);
    for (&block.q, found.points[0..32], found.signs, 0..) |*q, point, signs, run| {
        q.* = @truncate(point);
        block.high[run / 2] |= @as(u8, @intCast(point >> 8 | (signs & 1) << 3)) << @intCast(run % 2 * 4);
    }
    for (&block.scales, 0..) |*word, i| {
        word.* = found.d >> @intCast(4 * i) << 12;
        for (found.steps[4 * i ..][0..4], 0..) |step, k| word.* |= @as(u16, step) << @intCast(3 * k);
    }
}

pub const finite = Own.finite;
pub const scale = Own.scale;
pub const spanSum = Own.spanSum;

pub const chunk_spans = 8;
pub const chunkBytes = Own.chunkBytes;
pub const pack = Own.pack;
pub const expand = Own.expand;
