//! Codes of a block of 32 weights as the bytes of a file: nibbles, and words of fifth bits. The inverse of
//! `packed_zig.splitNibbles`, for encoders.

/// Sixteen bytes of which each holds the codes of elements i (low half) and i + 16.
pub inline fn nibbles(codes: @Vector(32, u8)) @Vector(16, u8) {
    const low = @shuffle(u8, codes, undefined, first16);
    const high = @shuffle(u8, codes, undefined, last16);
    return (low & @as(@Vector(16, u8), @splat(15))) | high << @splat(4);
}

/// Bit 4 of each code, element 0 first.
pub inline fn fifthBits(codes: @Vector(32, u8)) u32 {
    const sixteen: @Vector(32, u8) = @splat(16);
    return @bitCast(codes & sixteen == sixteen);
}

const first16: [16]i32 = indices(0);
const last16: [16]i32 = indices(16);

fn indices(first: i32) [16]i32 {
    var list: [16]i32 = undefined;
    for (&list, 0..) |*index, i| index.* = first + @as(i32, @intCast(i));
    return list;
}
