//! F32: plain floats.

pub const id = 0;
pub const name = "F32";
pub const kind = .float;
pub const block_elements = 1;
pub const Block = u32;

pub inline fn widen(comptime n: u32, bits: @Vector(n, Block)) @Vector(n, f32) {
    return @bitCast(bits);
}

pub inline fn narrow(comptime n: u32, values: @Vector(n, f32)) @Vector(n, Block) {
    return @bitCast(values);
}

pub fn finite(bits: Block) bool {
    return bits & 0x7f80_0000 != 0x7f80_0000;
}
