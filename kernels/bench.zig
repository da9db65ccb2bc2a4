//! What benches outside this folder may see of the kernels.

pub const level_table = @import("level/level_table.zig");
pub const dispatch = @import("host/dispatch.zig");
