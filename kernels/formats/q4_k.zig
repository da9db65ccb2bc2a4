//! Q4_K: blocks of 256 weights of 4 bits, a scale and a minimum of six bits for each 32, half floats d and dmin;
//! q * (d * scale) - dmin * minimum.
//!
//! Packed, a block is 37 whole cache lines: scales and minima (`k_scales.zig`), then 256 bytes of nibbles a span.

const format = @import("format.zig");
const k_scales = @import("k_scales.zig");
const packed_zig = @import("packed.zig");
const scalar = @import("scalar.zig");
const dot = @import("../level/dot.zig");
const simd = @import("../level/simd.zig");
const Place = packed_zig.Place;

pub const id = 12;
pub const name = "Q4_K";
pub const kind = .block;
pub const block_elements = 256;

pub const Block = extern struct {
    d: u16 align(1),
    dmin: u16 align(1),
    scales: [12]u8,
    q: [128]u8,
};

pub fn decode(block: *align(1) const Block, out: *[256]f32) void {
    k_scales.decode(block, weight, out);
}

pub const encode = null;

/// For the quantizer: how many sub-blocks, their levels, and the range of their integer scales and minima.
pub const sub_blocks: format.SubBlocks = .{ .count = 8, .low = 0, .high = 15, .scale_min = 0, .scale_max = 63, .minimum_max = 63 };

pub fn assemble(block: *align(1) Block, d: u16, dmin: u16, scales: *const [8]i32, minima: *const [8]i32, codes: *const [256]u8) void {
    block.d = d;
    block.dmin = dmin;
    block.scales = k_scales.join(scales, minima);
    recode(block, codes);
}

/// Other levels under the scales that are there; a code is the level less the lowest one.
pub fn recode(block: *align(1) Block, codes: *const [256]u8) void {
    for (0..4) |chunk| for (0..32) |i| {
        block.q[32 * chunk + i] = codes[64 * chunk + i] | codes[64 * chunk + 32 + i] << 4;
    };
}

pub fn finite(block: *align(1) const Block) bool {
    return scalar.halfIsFinite(block.d) and scalar.halfIsFinite(block.dmin);
}

pub fn scale(block: *align(1) const Block) f32 {
    return scalar.half(block.d);
}

pub fn minimumScale(block: *align(1) const Block) f32 {
    return -scalar.half(block.dmin);
}

pub fn spanSum(block: *align(1) const Block, span: usize, x: *const [32]i8) i32 {
    return k_scales.spanSum(block, weight, span, x);
}

pub fn minimumSum(block: *align(1) const Block, span: usize, x: *const [32]i8) i32 {
    return k_scales.minimumSum(block, span, x);
}

/// 64 weights share 32 bytes, the first half of them the low nibbles.
fn weight(block: *align(1) const Block, i: usize) u8 {
    const byte = block.q[i / 64 * 32 + i % 32];
    return if (i % 64 < 32) byte & 15 else byte >> 4;
}

pub const chunk_spans = 8;
pub const weights: dot.Weights = .{ .unsigned = 15 };
pub const bias = 0;
pub const parts = 1;

pub fn chunkBytes(_: u32) usize {
    return k_scales.bytes + 8 * 256;
}

pub fn pack(block: *align(1) const Block, chunk: [*]u8, _: u32, _: u32, lane: u32) void {
    k_scales.put(block, chunk, lane);
    inline for (0..4) |i| {
        const columns: packed_zig.Columns = block.q[32 * i ..][0..32].*;
        packed_zig.putNibbles(chunk + k_scales.bytes + 2 * i * 256, lane, columns);
        packed_zig.putNibbles(chunk + k_scales.bytes + (2 * i + 1) * 256, lane, columns >> @splat(4));
    }
}

pub inline fn weightsAt(comptime lanes: u32, at: Place, comptime quad: u3) simd.Bytes(lanes) {
    return packed_zig.nibblesAt(lanes, at, k_scales.bytes + at.span * 256, quad);
}

pub const scaleAt = k_scales.scaleAt;
pub const integerAt = k_scales.integerAt;
pub const minimumAt = k_scales.minimumAt;
pub const minimumIntegerAt = k_scales.minimumIntegerAt;
