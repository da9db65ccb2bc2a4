//! The C library's allocator, counted: `lg_memory` tells how often memory was asked for and how much, so that a bench and
//! a test can see that a step asks for none.

const std = @import("std");

const Allocator = std.mem.Allocator;

const base = std.heap.c_allocator;

var calls: std.atomic.Value(u64) = .init(0);
var bytes: std.atomic.Value(u64) = .init(0);

pub const counted: Allocator = .{ .ptr = base.ptr, .vtable = &.{
    .alloc = alloc,
    .resize = base.vtable.resize,
    .remap = remap,
    .free = base.vtable.free,
} };

/// Notes memory of `len` bytes that comes from elsewhere, such as whole pages.
pub fn note(len: usize) void {
    _ = calls.fetchAdd(1, .monotonic);
    _ = bytes.fetchAdd(len, .monotonic);
}

pub fn callCount() u64 {
    return calls.load(.monotonic);
}

pub fn byteCount() u64 {
    return bytes.load(.monotonic);
}

/// Whether a test wants this request refused (`test_faults.zig`); never in the library that is shipped.
pub fn refuses() bool {
    const root = @import("root");
    return if (@hasDecl(root, "refusesAllocation")) root.refusesAllocation() else false;
}

fn alloc(context: *anyopaque, len: usize, alignment: std.mem.Alignment, address: usize) ?[*]u8 {
    note(len);
    if (refuses()) return null;
    return base.vtable.alloc(context, len, alignment, address);
}

fn remap(context: *anyopaque, memory: []u8, alignment: std.mem.Alignment, len: usize, address: usize) ?[*]u8 {
    note(len);
    if (refuses()) return null;
    return base.vtable.remap(context, memory, alignment, len, address);
}

test counted {
    const calls_before = callCount();
    const bytes_before = byteCount();
    const memory = try counted.alloc(u8, 100);
    defer counted.free(memory);
    try std.testing.expectEqual(calls_before + 1, callCount());
    try std.testing.expectEqual(bytes_before + 100, byteCount());
}
