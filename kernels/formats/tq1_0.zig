//! TQ1_0: blocks of 256 ternary weights, five digits to the base 3 a byte, and a half float d; (digit - 1) * d. A byte b is a
//! fraction b / 256 of which the digits are those after the point: digit n is that of b * 3^n mod 256.
//!
//! Packed: d of all rows, then 64 bytes for five times four columns; the last 64 have four times four.

const expanded = @import("expanded.zig");
const packed_zig = @import("packed.zig");
const scalar = @import("scalar.zig");
const ternary = @import("ternary.zig");
const simd = @import("../level/simd.zig");
const Place = packed_zig.Place;

pub const id = 34;
pub const name = "TQ1_0";
pub const kind = .block;
pub const block_elements = 256;

pub const Block = extern struct {
    /// Of 32 bytes the first digits of all, then the second ones ...; then the same of 16 bytes.
    q: [48]u8,
    /// Four digits each.
    high: [4]u8,
    d: u16 align(1),
};

const Own = scalar.OneScale(Block, block_elements, weight);
pub const decode = Own.decode;

pub const encode = ternary.Encoding(Block, fill).encode;

/// For the quantizer: its levels and their codes.
pub const grid = ternary.grid;

pub fn fill(block: *align(1) Block, d: u16, _: u16, codes: *const [256]u8) void {
    block.d = d;
    for (&block.q, 0..) |*byte, i| {
        const first, const apart: usize = if (i < 32) .{ i, 32 } else .{ 160 + i - 32, 16 };
        var digits: u32 = 0;
        for (0..5) |n| digits = 3 * digits + codes[first + n * apart];
        byte.* = fraction(digits);
    }
    for (&block.high, 240..) |*byte, first| {
        var digits: u32 = 0;
        for (0..4) |n| digits = 3 * digits + codes[first + n * 4];
        byte.* = fraction(3 * digits);
    }
}

/// Five digits as a fraction of 256, rounded up, so that each digit comes back.
fn fraction(digits: u32) u8 {
    return @intCast((digits * 256 + 242) / 243);
}

pub const finite = Own.finite;
pub const scale = Own.scale;
pub const spanSum = Own.spanSum;

const powers = [5]u8{ 1, 3, 9, 27, 81 };

fn weight(block: *align(1) const Block, i: usize) i32 {
    const byte, const n = if (i < 160)
        .{ block.q[i % 32], i / 32 }
    else if (i < 240)
        .{ block.q[32 + (i - 160) % 16], (i - 160) / 16 }
    else
        .{ block.high[(i - 240) % 4], (i - 240) / 4 };
    return @as(i32, @as(u16, byte *% powers[n]) * 3 >> 8) - 1;
}

const quads = 64;

pub const chunk_spans = 8;

pub fn chunkBytes(_: u32) usize {
    return 32 + 64 * ((quads + 4) / 5);
}

pub fn pack(block: *align(1) const Block, chunk: [*]u8, _: u32, _: u32, lane: u32) void {
    packed_zig.putHalf(chunk, lane, block.d);
    var vector: usize = 0;
    while (5 * vector < quads) : (vector += 1) {
        var bytes: [4]u8 = undefined;
        for (&bytes, 0..) |*byte, column| {
            var digits: u32 = 0;
            for (0..5) |n| {
                const quad = 5 * vector + n;
                const digit: u32 = if (quad < quads) @intCast(weight(block, 4 * quad + column) + 1) else 0;
                digits = 3 * digits + digit;
            }
            byte.* = fraction(digits);
        }
        packed_zig.putColumns(chunk + 32 + 64 * vector, lane, &bytes);
    }
}

pub fn expand(chunk: [*]const u8, to: *expanded.Chunk) callconv(.c) void {
    const B = simd.Bytes(16);
    const at: Place = .{ .chunk = chunk, .spans = chunk_spans, .span = 0, .lane = 0 };
    const d = at.halves(16, 0);
    for (to) |*span| {
        span.scale = d;
        span.integers = @splat(simd.splat(1));
    }
    var quad: usize = 0;
    while (quad < quads) : (quad += 5) {
        var v = at.bytes(16, 32 + 64 * (quad / 5));
        for (quad..@min(quad + 5, quads)) |q| {
            const ones = @select(u8, v >= @as(B, @splat(86)), @as(B, @splat(1)), @as(B, @splat(0)));
            const twos = @select(u8, v >= @as(B, @splat(171)), @as(B, @splat(1)), @as(B, @splat(0)));
            to[q / 8].weights[q % 8] = ones + twos + @as(B, @splat(expanded.bias - 1));
            v = v +% v +% v;
        }
    }
}
