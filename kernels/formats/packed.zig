//! What the packed layouts of block formats have in common: where a kernel stands in a group, and loads from there.
//! Weights are vectors of 64 bytes, four columns of sixteen rows; scales are sixteen values in a row.

const float16 = @import("../level/float16.zig");
const simd = @import("../level/simd.zig");

/// A place in a packed group: a span of a chunk, and the first of the rows that a vector holds.
pub const Place = struct {
    chunk: [*]const u8,
    /// Spans of this chunk, and which of them.
    spans: u32,
    span: u32,
    lane: u32,

    /// Bytes of `lanes` rows from the 64 at `offset`.
    pub inline fn bytes(at: Place, comptime lanes: u32, offset: usize) simd.Bytes(lanes) {
        return @as(*align(1) const simd.Bytes(lanes), @ptrCast(at.chunk + offset + 4 * at.lane)).*;
    }

    /// A small integer of each of `lanes` rows, from the 16 bytes at `offset`.
    pub inline fn integers(at: Place, comptime lanes: u32, comptime T: type, offset: usize) @Vector(lanes, i32) {
        comptime if (@sizeOf(T) != 1) unreachable;
        return @as(*align(1) const @Vector(lanes, T), @ptrCast(at.chunk + offset + at.lane)).*;
    }

    /// Half floats of `lanes` rows from the 32 bytes at `offset`.
    pub inline fn halves(at: Place, comptime lanes: u32, offset: usize) @Vector(lanes, f32) {
        return float16.fromF16(lanes, @as(*align(1) const @Vector(lanes, u16), @ptrCast(at.chunk + offset + 2 * at.lane)).*);
    }
};

/// Weights of a span in a row, in the order of the columns.
pub const Columns = @Vector(32, u8);
/// Four neighbouring columns a word.
const Words = @Vector(8, u32);

/// The low four bits of the weights of `quad`, from 256 bytes at `offset` that `putNibbles` wrote.
pub inline fn nibblesAt(comptime lanes: u32, at: Place, offset: usize, comptime quad: u3) simd.Bytes(lanes) {
    return field(lanes, at.bytes(lanes, offset + @as(usize, quad & 3) * 64), 4 * (quad >> 2), 0, 0x0f);
}

/// Two bits of each weight of `quad`, as bits `to` and `to` + 1, from 128 bytes at `offset` that `putPairs` wrote.
pub inline fn pairsAt(comptime lanes: u32, at: Place, offset: usize, comptime quad: u3, comptime to: u3) simd.Bytes(lanes) {
    return field(lanes, at.bytes(lanes, offset + @as(usize, quad >> 2) * 64), 2 * @as(u3, quad & 3), to, 3 << to);
}

/// One bit of each weight of `quad`, as bit `to`, from 64 bytes at `offset` that `putBits` wrote.
pub inline fn bitsAt(comptime lanes: u32, at: Place, offset: usize, comptime quad: u3, comptime to: u3) simd.Bytes(lanes) {
    return field(lanes, at.bytes(lanes, offset), quad, to, 1 << to);
}

/// Bits moved within each byte, bit `from` to bit `to`, of which those of `mask` are kept. Shifts words, which every
/// processor can; the mask hides what came from the neighbouring byte.
pub inline fn field(comptime lanes: u32, v: simd.Bytes(lanes), comptime from: u3, comptime to: u3, comptime mask: u8) simd.Bytes(lanes) {
    const words: @Vector(2 * lanes, u16) = @bitCast(v);
    const left = if (to > from) to - from else 0;
    const right = if (from > to) from - to else 0;
    comptime if (mask & (@as(u8, 0xff) << left >> right) != mask) unreachable;
    const moved: simd.Bytes(lanes) = @bitCast(if (left > 0) words << @splat(left) else words >> @splat(right));
    return moved & @as(simd.Bytes(lanes), @splat(mask));
}

/// Four bytes of a block to their row's place in a vector.
pub inline fn putColumns(dst: [*]u8, lane: u32, src: *align(1) const [4]u8) void {
    dst[4 * lane ..][0..4].* = src.*;
}

/// The low four bits of a span, columns 16 to 31 above columns 0 to 15: four vectors.
pub inline fn putNibbles(dst: [*]u8, lane: u32, weights: Columns) void {
    const words: [8]u32 = @as(Words, @bitCast(weights)) & @as(Words, @splat(0x0f0f_0f0f));
    inline for (0..4) |i| putColumns(dst + 64 * i, lane, @ptrCast(&(words[i] | words[i + 4] << 4)));
}

/// Bits `shift` and `shift` + 1 of a span: two vectors, each four times four columns.
pub inline fn putPairs(dst: [*]u8, lane: u32, weights: Columns, comptime shift: u3) void {
    const words: [8]u32 = (@as(Words, @bitCast(weights)) >> @splat(shift)) & @as(Words, @splat(0x0303_0303));
    inline for (0..2) |i| {
        const w = words[4 * i ..][0..4];
        putColumns(dst + 64 * i, lane, @ptrCast(&(w[0] | w[1] << 2 | w[2] << 4 | w[3] << 6)));
    }
}

/// Bit `shift` of a span: one vector, eight times four columns.
pub inline fn putBits(dst: [*]u8, lane: u32, weights: Columns, comptime shift: u3) void {
    const words: [8]u32 = (@as(Words, @bitCast(weights)) >> @splat(shift)) & @as(Words, @splat(0x0101_0101));
    var plane: u32 = 0;
    inline for (words, 0..) |word, i| plane |= word << i;
    putColumns(dst, lane, @ptrCast(&plane));
}

pub inline fn putHalf(dst: [*]u8, lane: u32, half: u16) void {
    dst[2 * lane ..][0..2].* = @bitCast(half);
}

/// `low` as columns 0 to 15, `high` as 16 to 31.
pub inline fn columns(low: @Vector(16, u8), high: @Vector(16, u8)) Columns {
    return @bitCast([2]@Vector(16, u8){ low, high });
}

/// Sixteen bytes of split nibbles as 32 columns.
pub inline fn splitNibbles(q: [16]u8) Columns {
    const bytes: @Vector(16, u8) = q;
    return columns(bytes & @as(@Vector(16, u8), @splat(15)), bytes >> @splat(4));
}
