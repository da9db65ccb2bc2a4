//! What IQ4_NL and IQ4_XS have in common: a nibble stands for one of sixteen values that lie closer near zero.

const format = @import("format.zig");
const dot = @import("../level/dot.zig");
const simd = @import("../level/simd.zig");

pub const values = [16]i8{ -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };

/// The levels, ascending, and their codes.
pub const grid: format.Grid = .{
    .values = &list: {
        var list: [16]f32 = undefined;
        for (&list, values) |*to, value| to.* = value;
        const ascending = list;
        break :list ascending;
    },
    .codes = &.{ 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 },
    .powers = false,
};

/// As weights of the kind `.signed`.
const kept: [16]u8 = blk: {
    var table: [16]u8 = undefined;
    for (&table, values) |*to, value| to.* = dot.signedColumns(@splat(@bitCast(value)))[0];
    break :blk table;
};

/// The values as they are.
pub inline fn of(comptime lanes: u32, nibbles: simd.Bytes(lanes)) simd.Bytes(lanes) {
    return simd.lookup(lanes, @bitCast(values), nibbles);
}

pub inline fn lookup(comptime lanes: u32, nibbles: simd.Bytes(lanes)) simd.Bytes(lanes) {
    return simd.lookup(lanes, kept, nibbles);
}
