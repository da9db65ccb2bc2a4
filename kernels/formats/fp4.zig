//! What MXFP4 and NVFP4 have in common: a nibble is a float with two bits of exponent and one of mantissa, of which the double
//! is an integer.

const format = @import("format.zig");

/// Twice the value of a nibble.
pub const values = [16]i8{ 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };

/// The levels, ascending, and their codes.
pub const grid: format.Grid = .{
    .values = &.{ -12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12 },
    .codes = &.{ 15, 14, 13, 12, 11, 10, 9, 0, 1, 2, 3, 4, 5, 6, 7 },
    .powers = true,
};

/// Values with `bias` added.
pub fn kept(comptime bias: u8) [16]u8 {
    var table: [16]u8 = undefined;
    for (&table, values) |*to, value| to.* = @intCast(@as(i16, value) + bias);
    return table;
}
