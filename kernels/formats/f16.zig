//! F16: half floats.

const scalar = @import("scalar.zig");
const float16 = @import("../level/float16.zig");

pub const id = 1;
pub const name = "F16";
pub const kind = .float;
pub const block_elements = 1;
pub const Block = u16;

pub inline fn widen(comptime n: u32, bits: @Vector(n, Block)) @Vector(n, f32) {
    return float16.fromF16(n, bits);
}

pub inline fn narrow(comptime n: u32, values: @Vector(n, f32)) @Vector(n, Block) {
    return float16.toF16(n, values);
}

pub fn finite(bits: Block) bool {
    return scalar.halfIsFinite(bits);
}
