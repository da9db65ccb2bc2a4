//! Counts the large memory that the library holds, by purpose, for `lg_memory` and the tests that look for leaks.

const std = @import("std");
const os = @import("os.zig");

pub const Purpose = enum { weights, kv, scratch };

var counts: std.EnumArray(Purpose, std.atomic.Value(u64)) = .initFill(.init(0));

/// Zeroed memory, counted; null when there is none.
pub fn allocate(purpose: Purpose, len: usize) ?[]align(64) u8 {
    const memory = os.allocate(len) orelse return null;
    _ = counts.getPtr(purpose).fetchAdd(len, .monotonic);
    return memory;
}

pub fn release(purpose: Purpose, memory: []align(64) u8) void {
    _ = counts.getPtr(purpose).fetchSub(memory.len, .monotonic);
    os.release(memory);
}

pub fn bytes(purpose: Purpose) u64 {
    return counts.getPtr(purpose).load(.monotonic);
}

/// Lays arrays one after the other, at first only adding sizes up, then handing out the memory: the same sequence of
/// `array` calls is made for both.
pub const Layout = struct {
    base: ?[*]align(64) u8 = null,
    at: usize = 0,

    pub const Error = error{Overflow};

    pub fn array(layout: *Layout, comptime T: type, count: usize) Error![]T {
        const begin = layout.at;
        const len = try std.math.mul(usize, count, @sizeOf(T));
        layout.at = std.mem.alignBackward(usize, try std.math.add(usize, begin, try std.math.add(usize, len, 63)), 64);
        // While sizes are added up the result must not be touched; an empty slice makes sure of it.
        const base = layout.base orelse return &.{};
        return @as([*]T, @ptrCast(@alignCast(base + begin)))[0..count];
    }
};
