//! The list of block formats. Adding one is a file in `formats/` and a line here; tables, sizes, tests and what
//! TypeScript knows of formats follow from the list.
//!
//! Every format declares `id`, `name`, `kind`, `block_elements`, `Block` (its bytes in a file) and, on a scalar path that
//! no kernel uses, `decode` and `encode` (null: read only). A float format adds `Element` and how to widen it. A block
//! format adds
//! - scalar: `finite`, `scale`, `spanSum` and, where it has a minimum, `minimumScale` and `minimumSum` (DESIGN 4);
//! - the repacked layout: chunks of `chunk_spans` spans (a shorter row ends in chunks of one), `chunkBytes`, `pack`;
//! - what a kernel reads there, for a vector of rows at an `At`: `weightsAt`, `scaleAt` and, where it has them,
//!   `integerAt` (integer scales, `parts` of a span) and `minimumAt`, `minimumIntegerAt`.

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
