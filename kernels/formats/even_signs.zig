//! Signs of eight weights in seven bits, as IQ2_XXS, IQ2_XS and IQ3_XXS have them: the eighth makes the number of negative
//! weights even.

/// A word of 32 weights: the signs of four times eight, of which the eighth is left out, and c above them.
pub fn wordOf(signs: *const [4]u8, c: u8) u32 {
    var word = @as(u32, c) << 28;
    for (signs, 0..) |byte, i| word |= @as(u32, byte & 127) << @intCast(7 * i);
    return word;
}

/// The byte of signs of the seven bits from bit 7 `i` of a word on.
pub fn byteOf(word: u32, i: usize) u8 {
    const seven: u8 = @intCast(word >> @intCast(7 * i) & 127);
    return seven | @as(u8, @popCount(seven)) << 7;
}
