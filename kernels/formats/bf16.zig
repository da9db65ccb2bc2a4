//! BF16: the upper half of a plain float.

const float16 = @import("../level/float16.zig");

pub const id = 30;
pub const name = "BF16";
pub const kind = .float;
pub const block_elements = 1;
pub const Block = u16;

pub inline fn widen(comptime n: u32, bits: @Vector(n, Block)) @Vector(n, f32) {
    return float16.fromBf16(n, bits);
}

pub inline fn narrow(comptime n: u32, values: @Vector(n, f32)) @Vector(n, Block) {
    return float16.toBf16(n, values);
}

pub fn finite(bits: Block) bool {
    return bits & 0x7f80 != 0x7f80;
}
