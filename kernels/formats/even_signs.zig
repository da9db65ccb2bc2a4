//! Signs of eight weights in seven bits, as IQ2_XXS, IQ2_XS and IQ3_XXS have them: the eighth makes the number of negative
//! weights even.

/// The byte of signs of the seven bits from bit 7 `i` of a word on.
pub fn byteOf(word: u32, i: usize) u8 {
    const seven: u8 = @intCast(word >> @intCast(7 * i) & 127);
    return seven | @as(u8, @popCount(seven)) << 7;
}
