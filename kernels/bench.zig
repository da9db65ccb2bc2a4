//! What benches outside this folder may see of the kernels.

pub const abi = @import("abi.zig");
pub const dispatch = @import("dispatch.zig");
