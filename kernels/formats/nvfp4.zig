//! NVFP4: blocks of 64 weights of 4 bits, floats with two bits of exponent and one of mantissa whose doubles are integers, and
//! for each 16 a scale that is a float of 7 bits (E4M3 without a sign; half of it counts). Such scales lie too far apart for
//! one integer of a span, so its halves are added one after the other (docs/design/contract.md, "Matrix products").
//!
//! Packed, a block is nine cache lines: 256 bytes of nibbles a span, then the scales of the four halves.

const expanded = @import("expanded.zig");
const fp4 = @import("fp4.zig");
const packed_zig = @import("packed.zig");
const simd = @import("../level/simd.zig");
const Place = packed_zig.Place;

pub const id = 40;
pub const name = "NVFP4";
pub const kind = .block;
pub const block_elements = 64;

pub const Block = extern struct {
    scales: [4]u8,
    /// Of 16 weights, the first eight are the low nibbles of eight bytes.
    q: [32]u8,
};

pub fn decode(block: *align(1) const Block, out: *[64]f32) void {
    for (out, 0..) |*value, i| value.* = @as(f32, @floatFromInt(weight(block, i))) * halfScale(block, i / 16);
}

pub const encode = null;

/// For the quantizer: its levels, ascending, and their codes; scales of each 16 by their own bytes.
pub const grid = fp4.grid;

/// The byte of the scale next to a magnitude, of which half counts.
pub fn scaleByte(magnitude: f32) u8 {
    if (!(magnitude > 0)) return 0;
    const bits: u32 = @bitCast(@min(magnitude, 448));
    const exponent = @as(i32, @intCast(bits >> 23)) - 120;
    if (exponent <= 0) return @intFromFloat(@min(magnitude * 512 + 0.5, 7));
    const rounded = (bits >> 19) + 1 >> 1;
    return @intCast(@min(rounded -% (120 << 3), 0x7e));
}

/// What a byte of a scale multiplies levels by.
pub fn scaleOf(byte: u8) f32 {
    return scalesOf(1, .{byte})[0];
}

pub fn fillScales(block: *align(1) Block, scales: [4]u8, codes: *const [64]u8) void {
    block.scales = scales;
    for (&block.q, 0..) |*byte, i| {
        const first = i / 8 * 16 + i % 8;
        byte.* = codes[first] | codes[first + 8] << 4;
    }
}

/// Every byte is a scale: what stands for no number in E4M3 is 0 here.
pub fn finite(_: *align(1) const Block) bool {
    return true;
}

pub fn halfScale(block: *align(1) const Block, half: usize) f32 {
    return scaleOf(block.scales[half]);
}

pub fn spanSum(block: *align(1) const Block, span: usize, x: *const [32]i8) i32 {
    var sum: i32 = 0;
    for (x, span * 32..) |value, i| sum += weight(block, i) * value;
    return sum;
}

fn weight(block: *align(1) const Block, i: usize) i32 {
    const byte = block.q[i / 16 * 8 + i % 8];
    return fp4.values[if (i % 16 < 8) byte & 15 else byte >> 4];
}

/// Half of an E4M3 float; the eight least are subnormal, 0x7f is 0.
inline fn scalesOf(comptime n: u32, bytes: @Vector(n, u8)) @Vector(n, f32) {
    const W = @Vector(n, u32);
    const V = @Vector(n, f32);
    const bits: W = bytes & @as(@Vector(n, u8), @splat(0x7f));
    const normal: V = @bitCast((bits << @splat(20)) + @as(W, @splat(119 << 23)));
    const small = @as(V, @floatFromInt(bits)) * @as(V, @splat(0x1p-10));
    const value = @select(f32, bits < @as(W, @splat(8)), small, normal);
    return @select(f32, bytes == @as(@Vector(n, u8), @splat(0x7f)), @as(V, @splat(0)), value);
}

pub const chunk_spans = 2;

pub fn chunkBytes(spans: u32) usize {
    return spans * (256 + 32);
}

pub fn pack(block: *align(1) const Block, chunk: [*]u8, spans: u32, _: u32, lane: u32) void {
    for (0..2) |span| {
        var columns: [32]u8 = undefined;
        for (&columns, 0..) |*column, i| {
            const byte = block.q[span * 16 + i / 16 * 8 + i % 8];
            column.* = if (i % 16 < 8) byte & 15 else byte >> 4;
        }
        packed_zig.putNibbles(chunk + span * 256, lane, columns);
    }
    for (block.scales, 0..) |s, half| chunk[spans * 256 + half * 16 + lane] = s;
}

/// Each half is a span of which the other half is 0.
pub fn expand(chunk: [*]const u8, to: *expanded.Chunk) callconv(.c) void {
    const none: simd.Bytes(16) = @splat(expanded.bias);
    const at: Place = .{ .chunk = chunk, .spans = chunk_spans, .span = 0, .lane = 0 };
    for (to[0 .. 2 * chunk_spans], 0..) |*half, h| {
        half.scale = scalesOf(16, @as(*align(1) const @Vector(16, u8), @ptrCast(chunk + chunk_spans * 256 + h * 16)).*);
        half.integers = @splat(simd.splat(1));
        half.weights = @splat(none);
    }
    for (0..chunk_spans) |span| inline for (0..8) |quad| {
        to[2 * span + quad / 4].weights[quad] = simd.lookup(16, comptime fp4.kept(expanded.bias), packed_zig.nibblesAt(16, at, span * 256, quad));
    };
}
