//! What benches outside this folder may see of the kernels.

pub const dispatch = @import("host/dispatch.zig");
pub const dot = @import("level/dot.zig");
pub const isa = @import("level/isa.zig");
pub const level_table = @import("level/level_table.zig");
pub const os = @import("host/os.zig");
pub const simd = @import("level/simd.zig");
pub const pool = @import("threads/pool.zig");
