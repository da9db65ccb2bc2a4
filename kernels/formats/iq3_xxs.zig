//! IQ3_XXS: points of four weights out of 256, seven bits of signs for two points (`even_signs.zig`), a scale of four bits for 32
//! weights, and a half float d; d / 4 * (2 c + 1) * point.

const even_signs = @import("even_signs.zig");
const lattice = @import("lattice.zig");
const lattices = @import("lattices.zig");

pub const id = 18;
pub const name = "IQ3_XXS";
pub const kind = .block;
pub const block_elements = 256;

pub const Block = extern struct {
    d: u16 align(1),
    q: [64]u8,
    /// Of 32 weights: four times seven bits of signs, then c.
    words: [8]u32 align(1),
};

const Read = *align(1) const Block;

pub const shape: lattice.Shape = .{ .points = &lattices.iq3_xxs, .run = 4, .high_bits = 0, .parts = 1, .levels = &.{ 4, 12, 20, 28, 36, 44, 52, 62 }, .factor = 0.25, .step_max = 15, .even = true };

const Own = lattice.Lattice(Block, shape, struct {
    pub fn d(block: Read) u16 {
        return block.d;
    }

    pub fn index(block: Read, run: usize) u16 {
        return block.q[run];
    }

    pub fn signs(block: Read, eight: usize) u8 {
        return even_signs.byteOf(block.words[eight / 4], eight % 4);
    }

    pub fn step(block: Read, sixteen: usize) u8 {
        return @intCast(block.words[sixteen / 2] >> 28);
    }
});

pub const decode = Own.decode;
pub const encode = null;

/// For the quantizer: a block of what was found.
pub fn store(block: *align(1) Block, found: *const lattice.Found) void {
    block.d = found.d;
    for (&block.q, found.points) |*q, point| q.* = @intCast(point);
    for (&block.words, 0..) |*word, s| word.* = even_signs.wordOf(found.signs[4 * s ..][0..4], found.steps[2 * s]);
}

pub const finite = Own.finite;
pub const scale = Own.scale;
pub const spanSum = Own.spanSum;

pub const chunk_spans = 8;
pub const chunkBytes = Own.chunkBytes;
pub const pack = Own.pack;
pub const expand = Own.expand;
