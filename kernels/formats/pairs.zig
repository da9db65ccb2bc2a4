//! What TQ2_0 and Q2_0 have in common: two bits a weight, (q - 1) * d, d a half float for a chunk of all spans.
//!
//! Packed: d of all rows, then 128 bytes of weights a span.

const expanded = @import("expanded.zig");
const packed_zig = @import("packed.zig");
const simd = @import("../level/simd.zig");
const Place = packed_zig.Place;

pub fn chunkBytes(spans: u32) usize {
    return 32 + spans * 128;
}

/// Bits `shift` and `shift` + 1 of a span's columns.
pub fn putSpan(chunk: [*]u8, span: u32, lane: u32, columns: packed_zig.Columns, comptime shift: u3) void {
    packed_zig.putPairs(chunk + 32 + span * 128, lane, columns, shift);
}

pub fn Expanding(comptime spans: u32) type {
    return struct {
        pub fn expand(chunk: [*]const u8, to: *expanded.Chunk) callconv(.c) void {
            const at: Place = .{ .chunk = chunk, .spans = spans, .span = 0, .lane = 0 };
            const d = at.halves(16, 0);
            for (to[0..spans], 0..) |*span, s| {
                span.scale = d;
                span.integers = @splat(simd.splat(1));
                inline for (0..8) |quad| span.weights[quad] = packed_zig.pairsAt(16, at, 32 + s * 128, quad, 0) + @as(simd.Bytes(16), @splat(expanded.bias - 1));
            }
        }
    };
}
