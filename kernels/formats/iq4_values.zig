//! What IQ4_NL and IQ4_XS have in common: a nibble stands for one of sixteen values that lie closer near zero.

const dot = @import("../level/dot.zig");
const simd = @import("../level/simd.zig");

pub const values = [16]i8{ -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };

/// As weights of the kind `.signed`.
const kept: [16]u8 = blk: {
    var table: [16]u8 = undefined;
    for (&table, values) |*to, value| to.* = dot.signedColumns(@splat(@bitCast(value)))[0];
    break :blk table;
};

pub inline fn lookup(comptime lanes: u32, nibbles: simd.Bytes(lanes)) simd.Bytes(lanes) {
    return simd.lookup(lanes, kept, nibbles);
}
