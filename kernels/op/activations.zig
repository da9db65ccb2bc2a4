//! Rows of activations to 8-bit, or pairs of 8-bit, integers in the tiles that matrix products read (`level_table.zig`).
//! d = max|x| / 127 for each 32 columns, q = rne(x * (127 / max)); with 16 bits 32512 instead of 127 and x = 256 hi + lo.
//!
//! The two words of a span's sums: both sums of 16 columns as a pair of i16, then the sum of all 32.

const level_table = @import("../level/level_table.zig");
const simd = @import("../level/simd.zig");

const V = @Vector(level_table.span, f32);
const I = @Vector(level_table.span, i32);
const B = @Vector(level_table.span, i8);

/// Below this greatest magnitude a span is zero: 127 / max would leave the range.
const tiny = 0x1p-100;

pub fn quantizeSpans(x: *const level_table.Activations, token: u32, begin: u32, end: u32) callconv(.c) u32 {
    const spans = x.cols / level_table.span;
    const place: level_table.TilePlace = .of(x.tokens, token);
    const row = x.rows + token * @as(usize, x.row_stride);
    for (begin..end) |s| {
        const values: V = @as(*align(4) const V, @ptrCast(row + s * level_table.span)).*;
        // Magnitudes as integers: in the order of floats, with NaN above all.
        const magnitude = @reduce(.Max, @as(@Vector(level_table.span, u32), @bitCast(values)) & @as(@Vector(level_table.span, u32), @splat(0x7fff_ffff)));
        if (magnitude >= 0x7f80_0000) return 1;
        const max: f32 = @bitCast(magnitude);
        const index = place.span(spans, s);
        const levels: f32 = if (x.bits == .int8) 127 else 32512;
        const none = max < tiny;
        x.scales[index] = if (none) 0 else max / levels;
        const q = nearest(values * @as(V, @splat(if (none) 0 else levels / max)));
        const low: B = @truncate(q);
        switch (x.bits) {
            .int8 => put(x.q, x.sums, index, low),
            .int16 => {
                put(x.q, x.sums, index, @truncate((q -% @as(I, low)) >> @splat(8)));
                put(x.q_low, x.sums_low, index, low);
            },
        }
    }
    return 0;
}

/// To nearest even, for magnitudes below 2^22: the constant's last place is 1.
inline fn nearest(v: V) I {
    const magic: V = @splat(0x1.8p23);
    return @as(I, @bitCast(v + magic)) -% @as(I, @bitCast(magic));
}

inline fn put(q: [*]i8, sums: [*]i32, index: usize, values: B) void {
    q[index * level_table.span ..][0..level_table.span].* = values;
    const wide: @Vector(level_table.span, i16) = values;
    const halves: [2]@Vector(16, i16) = @bitCast(wide);
    const pair = [2]i16{ @reduce(.Add, halves[0]), @reduce(.Add, halves[1]) };
    sums[2 * index] = @bitCast(pair);
    sums[2 * index + 1] = @as(i32, pair[0]) + pair[1];
}
