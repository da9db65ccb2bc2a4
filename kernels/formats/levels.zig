//! What the quantizer must know of a block of 32 linear levels: value = d * level, or d * level + m. A format that
//! declares `levels` has `fill(block, d, m, codes)` too, where a code is the level less the lowest one.

pub const Levels = struct {
    low: comptime_int,
    high: comptime_int,
    /// How plain rounding finds the scale.
    kind: enum {
        /// The value of greatest magnitude becomes the lowest level, whatever its sign.
        extreme,
        /// The greatest magnitude becomes the highest level; halves are rounded away from zero.
        magnitude,
        /// The least value becomes level 0 (the minimum m), the greatest the highest.
        range,
    },
};

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
