//! What the library needs of the operating system beside files (`file.zig`): large memory, a futex, a clock, and a
//! way to stay loaded. Called directly, because std.Io's threaded implementation would bring 200 KB and signal handlers.
//! Windows' and macOS' branches are cross-compiled by the tests but have not run on such a machine yet.

const std = @import("std");
const builtin = @import("builtin");
const counting = @import("allocator.zig");

const is_windows = builtin.os.tag == .windows;
const is_darwin = builtin.os.tag.isDarwin();
const is_linux = builtin.os.tag == .linux;

/// Small bookkeeping objects; everything large comes from `allocate`.
pub const allocator = counting.counted;

/// Memory that huge pages may back starts at this boundary.
const huge_bytes = 2 << 20;
/// A page of any system we run on (16 KiB on Apple's processors, 64 KiB on some arm64 Linux kernels).
const page_bytes_max = 64 << 10;

/// Zeroed memory at a multiple of 2 MiB that the system commits page by page as it is touched, with huge pages where
/// it can. Null when there is none.
pub fn allocate(len: usize) ?[]align(64) u8 {
    std.debug.assert(len > 0);
    counting.note(len);
    if (counting.refuses()) return null;
    if (is_windows) return windows.allocate(len);
    const padded = std.math.add(usize, std.mem.alignForward(usize, len, page_bytes_max), huge_bytes) catch return null;
    const raw = std.posix.mmap(null, padded, .{ .READ = true, .WRITE = true }, .{ .TYPE = .PRIVATE, .ANONYMOUS = true }, -1, 0) catch return null;
    // Cut the mapping down to the aligned part, so that `release` can free it knowing only address and length.
    const begin = std.mem.alignForward(usize, @intFromPtr(raw.ptr), huge_bytes) - @intFromPtr(raw.ptr);
    const used = std.mem.alignForward(usize, len, page_bytes_max);
    if (begin > 0) std.posix.munmap(@alignCast(raw[0..begin]));
    const tail = begin + used;
    if (tail < raw.len) std.posix.munmap(@alignCast(raw[tail..]));
    const aligned: []align(64) u8 = @alignCast(raw[begin..][0..len]);
    if (is_linux and len >= huge_bytes) {
        const address: *align(std.heap.page_size_min) anyopaque = @ptrCast(@alignCast(aligned.ptr));
        _ = std.c.madvise(address, used, std.c.MADV.HUGEPAGE);
    }
    return aligned;
}

pub fn release(memory: []align(64) u8) void {
    if (is_windows) return windows.release(memory);
    const used = std.mem.alignForward(usize, memory.len, page_bytes_max);
    std.posix.munmap(@alignCast(memory.ptr[0..used]));
}

/// Asks for large pages in a part of memory that others have allocated. A wish: what the system does about it changes no value.
pub fn preferLargePages(part: []u8) void {
    const begin = std.mem.alignForward(usize, @intFromPtr(part.ptr), std.heap.page_size_max);
    const end = std.mem.alignBackward(usize, @intFromPtr(part.ptr) + part.len, std.heap.page_size_max);
    if (begin >= end or end - begin < huge_bytes) return;
    const address: *align(std.heap.page_size_min) anyopaque = @ptrFromInt(begin);
    if (is_linux) _ = std.c.madvise(address, end - begin, std.c.MADV.HUGEPAGE);
}

/// Gives the whole system pages inside a part of what `allocate` gave back to the system: they no longer count as
/// resident, and hold anything (on Linux zeros) when they are touched again. Returns how many bytes they have.
pub fn discard(part: []u8) usize {
    const page = std.heap.page_size_max;
    const begin = std.mem.alignForward(usize, @intFromPtr(part.ptr), page);
    const end = std.mem.alignBackward(usize, @intFromPtr(part.ptr) + part.len, page);
    if (begin >= end) return 0;
    const address: *align(std.heap.page_size_min) anyopaque = @ptrFromInt(begin);
    const refused = if (is_windows)
        windows.DiscardVirtualMemory(address, end - begin) != 0
    else
        std.c.madvise(address, end - begin, if (is_darwin) std.c.MADV.FREE else std.c.MADV.DONTNEED) != 0;
    return if (refused) 0 else end - begin;
}

/// Asks for the matrix registers of AMX, for the whole process and for good; false where the system refuses. It may because a
/// thread's signal stack has no room for them, so a process that wants them not does not ask.
pub fn allowMatrixRegisters() bool {
    if (!is_linux or builtin.cpu.arch != .x86_64) return false;
    const arch_req_xcomp_perm = 0x1023;
    const tile_data = 18;
    return std.os.linux.syscall2(.arch_prctl, arch_req_xcomp_perm, tile_data) == 0;
}

/// Sleeps while `word` holds `expected`, at most `timeout_ns` (null: without end). Wakes without a reason are allowed.
pub fn futexWait(word: *const std.atomic.Value(u32), expected: u32, timeout_ns: ?u64) void {
    if (is_linux) {
        var limit: std.os.linux.timespec = undefined;
        if (timeout_ns) |ns| limit = .{ .sec = @intCast(ns / std.time.ns_per_s), .nsec = @intCast(ns % std.time.ns_per_s) };
        _ = std.os.linux.futex_4arg(word, .{ .cmd = .WAIT, .private = true }, expected, if (timeout_ns != null) &limit else null);
    } else if (is_darwin) {
        // 0 microseconds means no limit there.
        const us: u32 = if (timeout_ns) |ns| @intCast(@min(@max(ns / std.time.ns_per_us, 1), std.math.maxInt(u32))) else 0;
        _ = std.c.__ulock_wait(.{ .op = .COMPARE_AND_WAIT, .NO_ERRNO = true }, word, expected, us);
    } else if (is_windows) {
        // Negative: relative, in units of 100 ns.
        var limit: i64 = if (timeout_ns) |ns| -@as(i64, @intCast(@max(ns / 100, 1))) else 0;
        _ = windows.RtlWaitOnAddress(word, &expected, 4, if (timeout_ns != null) &limit else null);
    } else @compileError("no futex for this system");
}

pub fn futexWakeAll(word: *const std.atomic.Value(u32)) void {
    if (is_linux) {
        _ = std.os.linux.futex_3arg(word, .{ .cmd = .WAKE, .private = true }, std.math.maxInt(i32));
    } else if (is_darwin) {
        _ = std.c.__ulock_wake(.{ .op = .COMPARE_AND_WAIT, .WAKE_ALL = true, .NO_ERRNO = true }, word, 0);
    } else if (is_windows) {
        windows.RtlWakeAddressAll(word);
    } else @compileError("no futex for this system");
}

/// Monotonic time.
pub fn nowNs() u64 {
    if (is_windows) {
        var ticks: i64 = undefined;
        var frequency: i64 = undefined;
        _ = windows.QueryPerformanceCounter(&ticks);
        _ = windows.QueryPerformanceFrequency(&frequency);
        return @intCast(@divTrunc(@as(i128, ticks) * std.time.ns_per_s, frequency));
    }
    var time: std.c.timespec = undefined;
    _ = std.c.clock_gettime(.MONOTONIC, &time);
    return @as(u64, @intCast(time.sec)) * std.time.ns_per_s + @as(u64, @intCast(time.nsec));
}

pub fn writeToStandardError(text: []const u8) void {
    // A failure here has no one to be reported to: the process ends.
    if (is_windows) _ = windows._write(2, text.ptr, @intCast(text.len)) else _ = std.c.write(2, text.ptr, text.len);
}

/// Keeps this library mapped until the process ends. Deno unmaps it at exit while our threads still run (SIGSEGV).
pub fn pinLibrary() void {
    if (is_windows) {
        var module: ?*anyopaque = null;
        _ = windows.GetModuleHandleExW(windows.pin_flags, @ptrCast(&pinLibrary), &module);
        return;
    }
    // Weak: glibc 2.28 keeps dlopen in libdl, and this library is to import nothing but libc. The host process, which
    // opened us with it, has it.
    const dladdr = @extern(?*const fn (*const anyopaque, *DlInfo) callconv(.c) c_int, .{ .name = "dladdr", .linkage = .weak }) orelse return;
    const dlopen = @extern(?*const fn (?[*:0]const u8, c_int) callconv(.c) ?*anyopaque, .{ .name = "dlopen", .linkage = .weak }) orelse return;
    var info: DlInfo = undefined;
    if (dladdr(@ptrCast(&pinLibrary), &info) == 0) return;
    const now = 2;
    const no_delete: c_int = if (is_darwin) 0x80 else 0x1000;
    const no_load: c_int = if (is_darwin) 0x10 else 0x4;
    _ = dlopen(info.file_name, now | no_delete | no_load);
}

const DlInfo = extern struct {
    file_name: ?[*:0]const u8,
    base: ?*anyopaque,
    symbol_name: ?[*:0]const u8,
    symbol: ?*anyopaque,
};

const windows = struct {
    const w = std.os.windows;
    const pin_flags = 1 | 4; // GET_MODULE_HANDLE_EX_FLAG_PIN | _FROM_ADDRESS
    extern "kernel32" fn VirtualAlloc(?*anyopaque, usize, u32, u32) callconv(.winapi) ?[*]align(64) u8;
    extern "kernel32" fn VirtualFree(*anyopaque, usize, u32) callconv(.winapi) i32;
    extern "kernel32" fn DiscardVirtualMemory(*anyopaque, usize) callconv(.winapi) u32;
    extern "kernel32" fn GetModuleHandleExW(u32, *const anyopaque, *?*anyopaque) callconv(.winapi) i32;
    extern "c" fn _write(c_int, [*]const u8, c_uint) c_int;
    extern "kernel32" fn QueryPerformanceCounter(*i64) callconv(.winapi) i32;
    extern "kernel32" fn QueryPerformanceFrequency(*i64) callconv(.winapi) i32;
    extern "ntdll" fn RtlWaitOnAddress(*const anyopaque, *const anyopaque, usize, ?*const i64) callconv(.winapi) i32;
    extern "ntdll" fn RtlWakeAddressAll(*const anyopaque) callconv(.winapi) void;

    fn allocate(len: usize) ?[]align(64) u8 {
        const reserve_commit = 0x3000;
        const read_write = 4;
        const memory = VirtualAlloc(null, len, reserve_commit, read_write) orelse return null;
        return memory[0..len];
    }

    fn release(memory: []align(64) u8) void {
        const mem_release = 0x8000;
        _ = VirtualFree(memory.ptr, 0, mem_release);
    }
};

/// A lock for short sections: spins a little, then sleeps.
pub const Lock = struct {
    /// 0 free, 1 held, 2 held and a thread sleeps.
    state: std.atomic.Value(u32) = .init(0),

    pub fn tryAcquire(lock: *Lock) bool {
        return lock.state.cmpxchgStrong(0, 1, .acquire, .monotonic) == null;
    }

    pub fn acquire(lock: *Lock) void {
        var spins: u32 = 0;
        while (spins < 100) : (spins += 1) {
            if (lock.tryAcquire()) return;
            std.atomic.spinLoopHint();
        }
        while (lock.state.swap(2, .acquire) != 0) futexWait(&lock.state, 2, null);
    }

    pub fn unlock(lock: *Lock) void {
        if (lock.state.swap(0, .release) == 2) futexWakeAll(&lock.state);
    }
};

test "memory is zeroed and aligned, and can be given back" {
    const memory = allocate(3 << 20).?;
    defer release(memory);
    try std.testing.expectEqual(0, @intFromPtr(memory.ptr) % 64);
    for (memory[0..4096]) |byte| try std.testing.expectEqual(0, byte);
    memory[memory.len - 1] = 1;
    memory[5] = 1;
    try std.testing.expectEqual(0, discard(memory[3..9]));
    const whole = std.heap.page_size_max;
    try std.testing.expectEqual(whole, discard(memory[1 .. 2 * whole + 1]));
    try std.testing.expectEqual(1, memory[5]);
    try std.testing.expectEqual(1, memory[memory.len - 1]);
}

test "a futex wait ends when its time is over" {
    const word = std.atomic.Value(u32).init(7);
    const begin = nowNs();
    futexWait(&word, 7, 2 * std.time.ns_per_ms);
    try std.testing.expect(nowNs() - begin >= std.time.ns_per_ms);
    futexWait(&word, 8, null);
}
