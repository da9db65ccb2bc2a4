//! What TQ1_0 and TQ2_0 have in common for the quantizer: levels -1, 0 and 1, and plain rounding, in which the greatest magnitude
//! of a block becomes one of the ends. That loses nothing where weights are ternary already.

const format = @import("format.zig");
const scalar = @import("scalar.zig");

/// The levels and their codes.
pub const grid: format.Grid = .{ .values = &.{ -1, 0, 1 }, .codes = &.{ 0, 1, 2 }, .powers = false, .reach = 4 };

/// Plain rounding of a block.
pub fn Encoding(comptime Block: type, comptime fill: fn (*align(1) Block, u16, u16, *const [256]u8) void) type {
    return struct {
        pub fn encode(values: *const [256]f32, block: *align(1) Block) void {
            var codes: [256]u8 = undefined;
            const d = plain(values, &codes);
            fill(block, d, 0, &codes);
        }
    };
}

/// The codes of plain rounding; returns the scale as a half float's bits.
fn plain(values: *const [256]f32, codes: *[256]u8) u16 {
    const d = @abs(scalar.extreme(values));
    const inverse = if (d > 0) 1 / d else 0;
    for (values, codes) |value, *code| code.* = @intCast(scalar.nearestAway(value * inverse, -1, 1) + 1);
    return scalar.toHalf(d);
}
