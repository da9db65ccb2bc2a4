//! Shares out the work of a call beside the engines' steps: on the pool where it is free, else on the calling thread, which
//! never waits for a step to end.

const std = @import("std");
const fpu = @import("../host/fpu.zig");
const pool = @import("pool.zig");

/// Runs `run` over `count` blocks in claims; alone where the pool is taken or not worth waking.
pub fn share(threads: u32, count: u32, a_claim: u32, context: *anyopaque, run: pool.Run) void {
    const saved = fpu.enter();
    defer saved.restore();
    const claims = std.math.divCeil(u32, count, a_claim) catch unreachable;
    if (threads > 1 and claims > 1 and pool.driver.tryAcquire()) {
        defer pool.driver.unlock();
        return pool.parallel(pool.ensure(threads), claims, context, run);
    }
    for (0..claims) |item| run(context, @intCast(item), 0);
}
