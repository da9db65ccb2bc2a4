//! The library with a hook for tests, built by `zig build faults` alone: its k-th request for memory is refused. The shipped
//! library has neither the hook nor the question.

const std = @import("std");
const library = @import("root.zig");

comptime {
    _ = library; // its exports
}

pub const panic = library.panic;
pub const std_options = library.std_options;

/// Requests since the last `lg_fail_allocation`.
var count: std.atomic.Value(u32) = .init(0);
/// The one that is refused, from 1 on; 0: none.
var refused: std.atomic.Value(u32) = .init(0);
/// Whether all after it are, too.
var persists: std.atomic.Value(bool) = .init(false);

/// What `host/allocator.zig` asks before it gives memory.
pub fn refusesAllocation() bool {
    const number = count.fetchAdd(1, .monotonic) + 1;
    const first = refused.load(.monotonic);
    return first != 0 and (number == first or (number > first and persists.load(.monotonic)));
}

/// Refuses the `first`-th request for memory from now on (0: none), and with `all` those after it; returns how many came
/// since the last call.
pub export fn lg_fail_allocation(first: u32, all: u32) i32 {
    refused.store(first, .monotonic);
    persists.store(all != 0, .monotonic);
    return @intCast(count.swap(0, .monotonic));
}
