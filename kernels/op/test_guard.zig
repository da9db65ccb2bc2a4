//! Memory for tests that ends at a page which may not be touched, or begins behind one: what reads or writes a byte too much
//! ends the process. The bytes that alignment leaves over are watched as well.

const std = @import("std");
const builtin = @import("builtin");

/// Bytes that nothing may change.
const canary = 0xa7;

pub const is_there = builtin.os.tag != .windows;

pub const Guard = struct {
    random: std.Random.DefaultPrng,
    /// Whether a watched byte was changed.
    is_broken: bool = false,

    pub fn init(seed: u64) Guard {
        return .{ .random = .init(seed) };
    }

    pub fn allocator(guard: *Guard) std.mem.Allocator {
        return .{ .ptr = guard, .vtable = &.{
            .alloc = alloc,
            .resize = std.mem.Allocator.noResize,
            .remap = std.mem.Allocator.noRemap,
            .free = free,
        } };
    }

    fn alloc(context: *anyopaque, len: usize, alignment: std.mem.Alignment, _: usize) ?[*]u8 {
        const guard: *Guard = @ptrCast(@alignCast(context));
        const page = std.heap.pageSize();
        const inner = std.mem.alignForward(usize, len, page);
        const all = std.posix.mmap(null, inner + 2 * page, .{}, .{ .TYPE = .PRIVATE, .ANONYMOUS = true }, -1, 0) catch return null;
        const middle: *align(std.heap.page_size_min) anyopaque = @ptrCast(@alignCast(all.ptr + page));
        if (std.c.mprotect(middle, inner, .{ .READ = true, .WRITE = true }) != 0) return null;
        const part = all[page..][0..inner];
        @memset(part, canary);
        const begin = if (guard.random.random().uintLessThan(u32, 4) == 0) 0 else alignment.backward(inner - len);
        return part.ptr + begin;
    }

    fn free(context: *anyopaque, memory: []u8, _: std.mem.Alignment, _: usize) void {
        const guard: *Guard = @ptrCast(@alignCast(context));
        const page = std.heap.pageSize();
        const begin = std.mem.alignBackward(usize, @intFromPtr(memory.ptr), page);
        const inner = std.mem.alignForward(usize, memory.len, page);
        const part: [*]align(std.heap.page_size_min) u8 = @ptrFromInt(begin);
        const before = @intFromPtr(memory.ptr) - begin;
        for (part[0..before]) |byte| guard.is_broken = guard.is_broken or byte != canary;
        for (part[before + memory.len .. inner]) |byte| guard.is_broken = guard.is_broken or byte != canary;
        const all: [*]align(std.heap.page_size_min) u8 = @ptrFromInt(begin - page);
        std.posix.munmap(all[0 .. inner + 2 * page]);
    }
};

/// Cases of a test: LIGHTGPT_CASES, else `usual`.
pub fn cases(usual: u32) u32 {
    const text = std.c.getenv("LIGHTGPT_CASES") orelse return usual;
    return std.fmt.parseInt(u32, std.mem.span(text), 10) catch usual;
}

test "a byte that was changed beside its memory is seen" {
    if (!is_there) return error.SkipZigTest;
    var guard: Guard = .init(3);
    const memory = guard.allocator();
    for (0..20) |_| {
        const whole = try memory.alignedAlloc(u8, .@"64", 100);
        @memset(whole, 1);
        memory.free(whole);
        try std.testing.expect(!guard.is_broken);
        const spoilt = try memory.alignedAlloc(u8, .@"64", 100);
        const beside = if (@intFromPtr(spoilt.ptr) % std.heap.pageSize() == 0) spoilt.ptr + 100 else spoilt.ptr - 1;
        beside[0] = 1;
        memory.free(spoilt);
        try std.testing.expect(guard.is_broken);
        guard.is_broken = false;
    }
}
