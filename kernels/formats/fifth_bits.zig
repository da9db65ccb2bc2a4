//! What Q5_0 and Q5_1 have in common: 32 weights of 5 bits, nibbles and a word of fifth bits.

const packed_zig = @import("packed.zig");

/// Weight `i`, 0 to 31.
pub fn weight(block: anytype, i: usize) u8 {
    const byte = block.q[i % 16];
    const high: u8 = @intCast(block.high >> @intCast(i) & 1);
    return (if (i < 16) byte & 15 else byte >> 4) | high << 4;
}

pub fn put(block: anytype, values: *const [32]u8) void {
    var high: u32 = 0;
    for (values, 0..) |value, i| high |= @as(u32, value >> 4) << @intCast(i);
    block.high = high;
    for (0..16) |i| block.q[i] = values[i] & 15 | values[i + 16] << 4;
}

/// All weights at once.
pub inline fn columns(block: anytype) packed_zig.Columns {
    const bits: @Vector(32, u1) = @bitCast(block.high);
    return packed_zig.splitNibbles(block.q) | @as(packed_zig.Columns, bits) << @splat(4);
}
