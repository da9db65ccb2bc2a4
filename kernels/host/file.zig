//! A file that is read piece by piece into memory of ours. A model's own file is never mapped: one that becomes shorter would
//! end the process, and page faults take more time than the copy. Packed weights, which LightGPT wrote itself, are. Whether the
//! name still means the same file is TypeScript's to ask.

const std = @import("std");
const builtin = @import("builtin");

const is_windows = builtin.os.tag == .windows;
const is_linux = builtin.os.tag == .linux;

/// Bytes of a path, and of one that Windows counts in UTF-16.
const path_max = 4096;
/// The most that one call reads everywhere (Linux ends at 2^31 - 4096).
const call_max = 1 << 30;

pub const OpenError = error{ Open, Empty, PathTooLong };
/// `Short`: the file ended before the piece did.
pub const ReadError = error{ Short, Read };
/// `Full`: the disk or a quota; `TooLarge`: the system's limit on the size of files.
pub const WriteError = error{ Full, TooLarge, Write };

/// Whether files can be written and mapped here.
pub const can_map = !is_windows;

pub const File = struct {
    handle: if (is_windows) std.os.windows.HANDLE else std.c.fd_t,
    /// Bytes when it was opened.
    size: u64,

    /// `path` is UTF-8.
    pub fn open(path: []const u8) OpenError!File {
        if (is_windows) return windows.open(path);
        var file = try openAs(path, .RDONLY);
        errdefer file.close();
        return if (file.size == 0) error.Empty else file;
    }

    /// A file that is there, to be written and read again.
    pub fn openToWrite(path: []const u8) OpenError!File {
        return if (can_map) openAs(path, .RDWR) else error.Open;
    }

    fn openAs(path: []const u8, mode: std.posix.ACCMODE) OpenError!File {
        var buffer: [path_max + 1]u8 = undefined;
        if (path.len > path_max) return error.PathTooLong;
        @memcpy(buffer[0..path.len], path);
        buffer[path.len] = 0;
        // Without NONBLOCK a pipe in the file's place would be waited for.
        const fd = std.c.open(buffer[0..path.len :0], .{ .ACCMODE = mode, .CLOEXEC = true, .NONBLOCK = true });
        if (fd < 0) return error.Open;
        errdefer _ = std.c.close(fd);
        const size = std.c.lseek(fd, 0, std.c.SEEK.END);
        if (size < 0) return error.Open;
        return .{ .handle = fd, .size = @intCast(size) };
    }

    pub fn close(file: *File) void {
        if (is_windows) _ = windows.CloseHandle(file.handle) else _ = std.c.close(file.handle);
        file.* = undefined;
    }

    /// Fills `target` with the bytes from `offset` on.
    pub fn read(file: File, offset: u64, target: []u8) ReadError!void {
        var done: usize = 0;
        while (done < target.len) {
            const part = target[done..@min(target.len, done + call_max)];
            const count = if (is_windows) try windows.read(file.handle, offset + done, part) else posix: {
                const call = if (is_linux) std.c.pread64 else std.c.pread;
                const result = call(file.handle, part.ptr, part.len, @intCast(offset + done));
                if (result >= 0) break :posix @as(usize, @intCast(result));
                if (std.posix.errno(result) == .INTR) continue;
                return error.Read;
            };
            if (count == 0) return error.Short;
            done += count;
        }
    }

    /// Writes `bytes` at `offset`.
    pub fn write(file: File, offset: u64, bytes: []const u8) WriteError!void {
        if (!can_map) return error.Write;
        var done: usize = 0;
        while (done < bytes.len) {
            const call = if (is_linux) std.c.pwrite64 else std.c.pwrite;
            const result = call(file.handle, bytes.ptr + done, @min(bytes.len - done, call_max), @intCast(offset + done));
            if (result > 0) {
                done += @intCast(result);
                continue;
            }
            if (result == 0) return error.Write;
            switch (std.posix.errno(result)) {
                .INTR => {},
                .NOSPC, .DQUOT => return error.Full,
                .FBIG => return error.TooLarge,
                else => return error.Write,
            }
        }
    }

    /// Shows the file's bytes from `offset` on, a multiple of any page, in the place of `memory`, which `os.allocate` gave: read
    /// only, and the same memory in every process that does so. `Map`: it cannot be, and `memory` is as it was. `Lost`: neither.
    pub fn map(file: File, offset: u64, memory: []align(64) u8) error{ Map, Lost }!void {
        if (!can_map) return error.Map;
        // Elsewhere first: a mapping that fails in the place of another may have taken that away before.
        const tried = std.posix.mmap(null, memory.len, .{ .READ = true }, .{ .TYPE = .SHARED }, file.handle, offset) catch return error.Map;
        std.posix.munmap(tried);
        const place: [*]align(std.heap.page_size_min) u8 = @alignCast(memory.ptr);
        _ = std.posix.mmap(place, memory.len, .{ .READ = true }, .{ .TYPE = .SHARED, .FIXED = true }, file.handle, offset) catch return error.Lost;
        // A hint: where a part is not in the cache of files yet, it is read in pieces of huge pages.
        if (is_linux) _ = std.c.madvise(place, memory.len, std.c.MADV.HUGEPAGE);
    }

    /// Says how it is about to be read: from front to back, or a piece here and there. In order, Linux reads far ahead and keeps
    /// what it read in large pieces, which are quicker to copy, also the next time; asked for by WILLNEED, it keeps them page by
    /// page (620 MB with two threads: 0.43 s in place of 1.0 to 1.6 s, and 55 in place of 145 ms of the system's time again).
    pub fn advise(file: File, how: enum { in_order, here_and_there }) void {
        if (!is_linux) return;
        const advice: u8 = switch (how) {
            .in_order => std.os.linux.POSIX_FADV.SEQUENTIAL,
            .here_and_there => std.os.linux.POSIX_FADV.RANDOM,
        };
        _ = std.os.linux.fadvise(file.handle, 0, 0, advice); // a hint: what comes of it does not matter
    }
};

const windows = struct {
    const w = std.os.windows;
    const Overlapped = extern struct { internal: usize = 0, internal_high: usize = 0, offset: u32, offset_high: u32, event: ?*anyopaque = null };
    extern "kernel32" fn CreateFileW([*:0]const u16, u32, u32, ?*anyopaque, u32, u32, ?*anyopaque) callconv(.winapi) w.HANDLE;
    extern "kernel32" fn GetFileSizeEx(w.HANDLE, *i64) callconv(.winapi) i32;
    extern "kernel32" fn ReadFile(w.HANDLE, [*]u8, u32, *u32, ?*Overlapped) callconv(.winapi) i32;
    extern "kernel32" fn GetLastError() callconv(.winapi) u32;
    extern "kernel32" fn CloseHandle(w.HANDLE) callconv(.winapi) i32;

    fn open(path: []const u8) OpenError!File {
        var wide: [path_max + 1]u16 = undefined;
        const count = std.unicode.wtf8ToWtf16Le(wide[0..path_max], path) catch return error.PathTooLong;
        wide[count] = 0;
        const generic_read = 0x8000_0000;
        const share_all = 7;
        const open_existing = 3;
        const handle = CreateFileW(wide[0..count :0], generic_read, share_all, null, open_existing, 0, null);
        if (handle == w.INVALID_HANDLE_VALUE) return error.Open;
        errdefer _ = CloseHandle(handle);
        var size: i64 = 0;
        if (GetFileSizeEx(handle, &size) == 0) return error.Open;
        if (size == 0) return error.Empty;
        return .{ .handle = handle, .size = @intCast(size) };
    }

    fn read(handle: w.HANDLE, offset: u64, target: []u8) ReadError!usize {
        const handle_eof = 38;
        var count: u32 = 0;
        var at: Overlapped = .{ .offset = @truncate(offset), .offset_high = @intCast(offset >> 32) };
        if (ReadFile(handle, target.ptr, @intCast(target.len), &count, &at) != 0) return count;
        return if (GetLastError() == handle_eof) 0 else error.Read;
    }
};

test "pieces of a file are read; a file that became shorter is an error" {
    if (!is_linux) return error.SkipZigTest;
    const fd: c_int = @intCast(std.os.linux.memfd_create("pieces", 0));
    defer _ = std.c.close(fd);
    const text = "0123456789";
    try std.testing.expectEqual(text.len, @as(usize, @intCast(std.c.write(fd, text, text.len))));
    var path: [64]u8 = undefined;
    var file = try File.open(try std.fmt.bufPrint(&path, "/proc/self/fd/{d}", .{fd}));
    defer file.close();
    try std.testing.expectEqual(text.len, file.size);
    file.advise(.in_order);
    var piece: [4]u8 = undefined;
    try file.read(3, &piece);
    try std.testing.expectEqualStrings("3456", &piece);
    try file.read(10, piece[0..0]);
    try std.testing.expectError(error.Short, file.read(8, &piece));
    try std.testing.expectEqual(0, std.c.ftruncate(fd, 5));
    try std.testing.expectError(error.Short, file.read(3, &piece));
    try std.testing.expectError(error.Open, File.open("no such file"));
    try std.testing.expectError(error.Open, File.open("no such folder/x"));
    var folder = File.open("/") catch return;
    defer folder.close();
    try std.testing.expectError(error.Read, folder.read(0, &piece));
}
