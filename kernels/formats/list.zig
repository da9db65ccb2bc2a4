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
    @import("iq1_s.zig"),
    @import("iq1_m.zig"),
    @import("iq2_xxs.zig"),
    @import("iq2_xs.zig"),
    @import("iq2_s.zig"),
    @import("iq3_xxs.zig"),
    @import("iq3_s.zig"),
    @import("iq4_nl.zig"),
    @import("iq4_xs.zig"),
    @import("mxfp4.zig"),
    @import("nvfp4.zig"),
    @import("tq1_0.zig"),
    @import("tq2_0.zig"),
    @import("q1_0.zig"),
    @import("q2_0.zig"),
};

comptime {
    for (list) |F| format.check(F);
}
