//! What the packed layouts of block formats have in common: where a kernel stands in a group, and loads from there.
//! Weights are vectors of 64 bytes, four columns of sixteen rows; scales are sixteen values in a row.

const simd = @import("../simd.zig");

/// A place in a packed group: a span of a chunk, and the first of the rows that a vector holds.
pub const At = struct {
    chunk: [*]const u8,
    /// Spans of this chunk, and which of them.
    spans: u32,
    span: u32,
    lane: u32,

    /// Bytes of `lanes` rows from the 64 at `offset`.
    pub inline fn bytes(at: At, comptime lanes: u32, offset: usize) simd.Bytes(lanes) {
        return @as(*align(1) const simd.Bytes(lanes), @ptrCast(at.chunk + offset + 4 * at.lane)).*;
    }

    /// Half floats of `lanes` rows from the 32 bytes at `offset`.
    pub inline fn halves(at: At, comptime lanes: u32, offset: usize) @Vector(lanes, f32) {
        return simd.fromF16(lanes, @as(*align(1) const @Vector(lanes, u16), @ptrCast(at.chunk + offset + 2 * at.lane)).*);
    }
};

/// The low (0) or high (1) nibbles.
pub inline fn nibbles(comptime lanes: u32, v: simd.Bytes(lanes), comptime high: u1) simd.Bytes(lanes) {
    return shifted(lanes, v, 4 * @as(u3, high), 0x0f);
}

/// v >> count, of which the bits of `mask` are kept. Shifts words, which every processor can; the mask hides what came
/// from the neighbouring byte.
pub inline fn shifted(comptime lanes: u32, v: simd.Bytes(lanes), comptime count: u3, comptime mask: u8) simd.Bytes(lanes) {
    comptime if (mask > @as(u8, 0xff) >> count) unreachable;
    const words: @Vector(2 * lanes, u16) = @bitCast(v);
    const moved: simd.Bytes(lanes) = @bitCast(words >> @splat(count));
    return moved & @as(simd.Bytes(lanes), @splat(mask));
}

/// Four bytes of a block to their row's place in a vector.
pub inline fn putColumns(dst: [*]u8, lane: u32, src: *align(1) const [4]u8) void {
    dst[4 * lane ..][0..4].* = src.*;
}

pub inline fn putHalf(dst: [*]u8, lane: u32, half: u16) void {
    dst[2 * lane ..][0..2].* = @bitCast(half);
}
