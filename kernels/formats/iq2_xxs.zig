//! IQ2_XXS: points of eight weights out of 256, seven bits of signs each (`even_signs.zig`), a scale of four bits for 32 weights,
//! and a half float d; d / 8 * (2 c + 1) * point.

const even_signs = @import("even_signs.zig");
const lattice = @import("lattice.zig");
const lattices = @import("lattices.zig");

pub const id = 16;
pub const name = "IQ2_XXS";
pub const kind = .block;
pub const block_elements = 256;

pub const Block = extern struct {
    d: u16 align(1),
    /// Of 32 weights: four indices, then four times seven bits of signs and c.
    q: [8]extern struct { indices: [4]u8, word: u32 align(1) },
};

const Read = *align(1) const Block;

pub const shape: lattice.Shape = .{ .points = &lattices.iq2_xxs, .run = 8, .high_bits = 0, .parts = 1, .levels = &.{ 8, 25, 43 }, .factor = 0.125, .step_max = 15, .even = true };

const Own = lattice.Lattice(Block, shape, struct {
    pub fn d(block: Read) u16 {
        return block.d;
    }

    pub fn index(block: Read, run: usize) u16 {
        return block.q[run / 4].indices[run % 4];
    }

    pub fn signs(block: Read, eight: usize) u8 {
        return even_signs.byteOf(block.q[eight / 4].word, eight % 4);
    }

    pub fn step(block: Read, sixteen: usize) u8 {
        return @intCast(block.q[sixteen / 2].word >> 28);
    }
});

pub const decode = Own.decode;
pub const encode = null;

/// For the quantizer: a block of what was found.
pub fn store(block: *align(1) Block, found: *const lattice.Found) void {
    block.d = found.d;
    for (&block.q, 0..) |*part, s| {
        for (&part.indices, found.points[4 * s ..][0..4]) |*index, point| index.* = @intCast(point);
        part.word = even_signs.wordOf(found.signs[4 * s ..][0..4], found.steps[2 * s]);
    }
}

pub const finite = Own.finite;
pub const scale = Own.scale;
pub const spanSum = Own.spanSum;

pub const chunk_spans = 8;
pub const chunkBytes = Own.chunkBytes;
pub const pack = Own.pack;
pub const expand = Own.expand;
