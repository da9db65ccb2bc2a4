//! What formats expand a chunk of a group to whose weights take longer to find than to multiply (lattice points, digits to
//! the base 3): bytes, and the scales of each span. They share one kernel (`op/matmul/expanding.zig`), which sees nothing but
//! this form, so that a format of theirs adds little to the library; their groups stay as small as their own `pack` makes them.
//!
//! Seen as a format, an expanded chunk is one of eight spans with two integer scales.

const Place = @import("packed.zig").Place;
const dot = @import("../level/dot.zig");
const simd = @import("../level/simd.zig");

pub const weights: dot.Weights = .{ .unsigned = 126 };
pub const bias = 64;
pub const parts = 2;

/// One span of 16 rows.
pub const Span = extern struct {
    /// Four columns of all rows a vector; weights plus `bias`.
    weights: [8]simd.Bytes(16),
    /// The integer scales of columns 0 to 15 and 16 to 31.
    integers: [2]simd.F,
    /// The factor of the span's integer.
    scale: simd.F,
};

/// The spans of a chunk; of a format with a scale for each half of a span, the halves, the other half's weights being 0.
pub const Chunk = [8]Span;

/// One chunk of some rows, each weight the integer that its code stands for.
pub const Expand = *const fn (chunk: [*]const u8, to: *Chunk) callconv(.c) void;

inline fn spanOf(at: Place) *const Span {
    return &@as(*const Chunk, @ptrCast(@alignCast(at.chunk)))[at.span];
}

pub inline fn weightsAt(comptime lanes: u32, at: Place, comptime quad: u3) simd.Bytes(lanes) {
    return @as(*align(4 * lanes) const simd.Bytes(lanes), @ptrCast(@alignCast(@as([*]const u8, @ptrCast(&spanOf(at).weights[quad])) + 4 * at.lane))).*;
}

pub inline fn scaleAt(comptime lanes: u32, at: Place) @Vector(lanes, f32) {
    return floats(lanes, &spanOf(at).scale, at.lane);
}

pub inline fn integerAt(comptime lanes: u32, at: Place, comptime part: u1) @Vector(lanes, f32) {
    return floats(lanes, &spanOf(at).integers[part], at.lane);
}

inline fn floats(comptime lanes: u32, of: *const simd.F, lane: u32) @Vector(lanes, f32) {
    return @as(*align(4) const @Vector(lanes, f32), @ptrCast(@as([*]const f32, @ptrCast(of)) + lane)).*;
}
