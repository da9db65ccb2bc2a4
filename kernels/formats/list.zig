//! The list of block formats. Adding one is a file beside this one and a line here; tables, sizes, tests and what
//! TypeScript knows of formats follow from the list. What a format declares, `format.zig` states and checks.

const format = @import("format.zig");

pub const list = .{
    @import("f32.zig"),
    @import("f16.zig"),
    @import("bf16.zig"),
    @import("q4_0.zig"),
    @import("q4_1.zig"),
    @import("q5_0.zig"),
    @import("q5_1.zig"),
    @import("q8_0.zig"),
    @import("q2_k.zig"),
    @import("q3_k.zig"),
    @import("q4_k.zig"),
    @import("q5_k.zig"),
    @import("q6_k.zig"),
    @import("iq4_nl.zig"),
    @import("iq4_xs.zig"),
    @import("mxfp4.zig"),
};

comptime {
    for (list) |F| format.check(F);
}
