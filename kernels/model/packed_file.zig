//! Packed weights on disk: the arena of a model as a file, which later starts and other processes map instead of packing it
//! again. In front lies the header, which TypeScript writes last and reads first, behind it the arena, then a sum for each piece
//! of it. A file is written piece by piece, each read again and compared, and then shown in the arena's place. Which file is
//! whose, and which may go, TypeScript decides.

const std = @import("std");
const assert = std.debug.assert;
const file_zig = @import("../host/file.zig");
const memory = @import("../host/memory.zig");
const os = @import("../host/os.zig");
const pool = @import("../threads/pool.zig");
const File = file_zig.File;
const Report = @import("../host/report.zig").Report;

const header_bytes = @import("../wire.zig").packed_file.header_bytes;
/// What one sum is of.
const piece_bytes = 1 << 20;
/// Pieces of one turn, so that engines at work need not wait long.
const turn_pieces = 32;
const sum_bytes = @sizeOf(u64);

fn piecesOf(arena_bytes: u64) u64 {
    return std.math.divCeil(u64, arena_bytes, piece_bytes) catch unreachable;
}

/// Bytes of the file of an arena.
fn fileBytes(arena_bytes: u64) u64 {
    assert(arena_bytes > 0);
    return header_bytes + arena_bytes + piecesOf(arena_bytes) * sum_bytes;
}

/// Bytes of the arena of a file; null where no arena has a file of that size.
fn arenaBytes(file_bytes: u64) ?u64 {
    if (file_bytes <= header_bytes) return null;
    const pieces = std.math.divCeil(u64, file_bytes - header_bytes, piece_bytes + sum_bytes) catch unreachable;
    const arena = std.math.sub(u64, file_bytes - header_bytes, pieces * sum_bytes) catch return null;
    return if (arena > 0 and piecesOf(arena) == pieces) arena else null;
}

/// Shows a packed file in the place of an arena.
pub fn show(path: []const u8, arena: []align(64) u8, report: *Report) error{Refused}!void {
    const expected = fileBytes(arena.len);
    var file = File.open(path) catch |why| {
        _ = report.fail(.io, about, .{ "{s}", .{path} }, "a file that can be read", .{ "{s}", .{@errorName(why)} });
        return error.Refused;
    };
    defer file.close(); // what is mapped stays
    if (file.size != expected) {
        _ = report.fail(.model_format, about, .{ "{s}", .{path} }, .{ "{d} bytes", .{expected} }, .{ "{d}", .{file.size} });
        return error.Refused;
    }
    file.map(header_bytes, arena) catch {
        _ = report.fail(.io, about, .{ "{s}", .{path} }, "a file that can be mapped", "the system refused it");
        return error.Refused;
    };
}

const about = "packed weights";

/// What became of a file that was to be kept: `shared`: it is there, and the arena is it; else the reason why it is not.
pub const Kept = enum { shared, full, too_large, unwritable, lost };

/// Pieces of a file that are written, or read and compared, on the pool's threads.
const Pieces = struct {
    file: File,
    /// What is written; where pieces are compared, nothing.
    arena: []const u8,
    arena_bytes: u64,
    first: u64,
    /// Of the pieces from `first` on.
    sums: []u64,
    scratch: []align(64) u8,
    outcome: std.atomic.Value(u32) = .init(@intFromEnum(Outcome.fine)),

    const Outcome = enum(u32) { fine, full, too_large, unwritable, unread, wrong };

    fn run(context: *anyopaque, item: u32, thread: u32) void {
        const pieces: *Pieces = @ptrCast(@alignCast(context));
        const begin = (pieces.first + item) * piece_bytes;
        assert(item < pieces.sums.len and begin < pieces.arena_bytes);
        const len: usize = @intCast(@min(piece_bytes, pieces.arena_bytes - begin));
        const outcome = if (pieces.arena.len > 0)
            pieces.write(item, pieces.arena[@intCast(begin)..][0..len], begin)
        else
            pieces.compare(item, pieces.scratch[thread * piece_bytes ..][0..len], begin);
        if (outcome != .fine) pieces.outcome.store(@intFromEnum(outcome), .monotonic);
    }

    fn write(pieces: *Pieces, item: u32, bytes: []const u8, begin: u64) Outcome {
        pieces.sums[item] = sumOf(bytes);
        pieces.file.write(header_bytes + begin, bytes) catch |why| return outcomeOf(why);
        return .fine;
    }

    fn compare(pieces: *Pieces, item: u32, room: []u8, begin: u64) Outcome {
        assert(room.len > 0 and room.len <= piece_bytes);
        pieces.file.read(header_bytes + begin, room) catch return .unread;
        return if (sumOf(room) == pieces.sums[item]) .fine else .wrong;
    }

    /// Runs all pieces that there are sums for; the driver's lock is held unless `threads` is 1.
    fn all(pieces: *Pieces, threads: u32) Outcome {
        pool.parallel(threads, @intCast(pieces.sums.len), pieces, run);
        return @enumFromInt(pieces.outcome.load(.monotonic));
    }
};

fn sumOf(bytes: []const u8) u64 {
    return std.hash.XxHash3.hash(0, bytes);
}

fn outcomeOf(why: file_zig.WriteError) Pieces.Outcome {
    return switch (why) {
        error.Full => .full,
        error.TooLarge => .too_large,
        error.Write => .unwritable,
    };
}

/// Writes the arena of a model to a file, a few pieces a turn, compares what is there then, and shows it in the arena's place.
pub const Keeper = struct {
    file: File,
    sums: []u64,
    scratch: []align(64) u8,
    threads: u32,
    phase: enum { writing, comparing } = .writing,
    next: usize = 0,

    /// `path` is an empty file. Keeping is not worth failing for: null where there is no file or no memory for it.
    pub fn open(path: []const u8, arena_bytes: usize, threads: u32) ?Keeper {
        assert(threads > 0);
        var file = File.openToWrite(path) catch return null;
        const scratch = memory.allocate(.scratch, threads * piece_bytes) orelse {
            file.close();
            return null;
        };
        const sums = os.allocator.alloc(u64, @intCast(piecesOf(arena_bytes))) catch {
            memory.release(.scratch, scratch);
            file.close();
            return null;
        };
        return .{ .file = file, .sums = sums, .scratch = scratch, .threads = threads };
    }

    pub fn close(keeper: *Keeper) void {
        keeper.file.close();
        memory.release(.scratch, keeper.scratch);
        os.allocator.free(keeper.sums);
        keeper.* = undefined;
    }

    /// One turn; null: there are more. After `lost` the arena holds nothing.
    pub fn turn(keeper: *Keeper, arena: []align(64) u8) ?Kept {
        assert(keeper.next < keeper.sums.len and keeper.sums.len == piecesOf(arena.len));
        const count = @min(turn_pieces, keeper.sums.len - keeper.next);
        var pieces: Pieces = .{
            .file = keeper.file,
            .arena = if (keeper.phase == .writing) arena else &.{},
            .arena_bytes = arena.len,
            .first = keeper.next,
            .sums = keeper.sums[keeper.next..][0..count],
            .scratch = keeper.scratch,
        };
        const outcome = pieces.all(pool.ensure(keeper.threads));
        if (outcome != .fine) return keptOf(outcome);
        keeper.next += count;
        if (keeper.next < keeper.sums.len) return null;
        return if (keeper.phase == .writing) keeper.beginComparing(arena.len) else keeper.end(arena);
    }

    fn beginComparing(keeper: *Keeper, arena_bytes: usize) ?Kept {
        keeper.file.write(header_bytes + arena_bytes, std.mem.sliceAsBytes(keeper.sums)) catch |why| return keptOf(outcomeOf(why));
        keeper.phase = .comparing;
        keeper.next = 0;
        return null;
    }

    fn end(keeper: *Keeper, arena: []align(64) u8) Kept {
        assert(keeper.phase == .comparing and keeper.next == keeper.sums.len);
        keeper.file.map(header_bytes, arena) catch |why| return switch (why) {
            error.Map => .unwritable,
            error.Lost => .lost,
        };
        return .shared;
    }
};

fn keptOf(outcome: Pieces.Outcome) Kept {
    return switch (outcome) {
        .fine => .shared,
        .full => .full,
        .too_large => .too_large,
        .unwritable, .unread, .wrong => .unwritable,
    };
}

/// Compares pieces of a packed file with their sums, some from `first` on; returns the first of those that come
/// after them; 0: none do.
pub fn check(path: []const u8, first: u32, report: *Report) error{ Refused, OutOfMemory }!u31 {
    var file = File.open(path) catch |why| {
        _ = report.fail(.io, about, .{ "{s}", .{path} }, "a file that can be read", .{ "{s}", .{@errorName(why)} });
        return error.Refused;
    };
    defer file.close();
    const arena = arenaBytes(file.size) orelse {
        _ = report.fail(.model_format, about, .{ "{s}", .{path} }, "the size of packed weights", .{ "{d} bytes", .{file.size} });
        return error.Refused;
    };
    const count = piecesOf(arena);
    if (first >= count or count > std.math.maxInt(u31)) {
        _ = report.fail(.invalid_argument, "piece", .{ "{s}", .{path} }, .{ "below {d}", .{count} }, .{ "{d}", .{first} });
        return error.Refused;
    }
    const scratch = try os.allocator.alignedAlloc(u8, .@"64", piece_bytes);
    defer os.allocator.free(scratch);
    var room: [turn_pieces]u64 = undefined;
    const sums = room[0..@intCast(@min(turn_pieces, count - first))];
    file.read(header_bytes + arena + @as(u64, first) * sum_bytes, std.mem.sliceAsBytes(sums)) catch {
        _ = report.fail(.io, about, .{ "{s}", .{path} }, "sums that can be read", "the system could not read them");
        return error.Refused;
    };
    var pieces: Pieces = .{ .file = file, .arena = &.{}, .arena_bytes = arena, .first = first, .sums = sums, .scratch = scratch };
    const outcome = pieces.all(1);
    if (outcome == .fine) return if (first + sums.len < count) @intCast(first + sums.len) else 0;
    const got = if (outcome == .wrong) "others" else "the system could not read it";
    _ = report.fail(if (outcome == .wrong) .model_format else .io, about, .{ "{s}", .{path} }, "the bytes that were written", .{ "{s}", .{got} });
    return error.Refused;
}

test "the size of a file says how large its arena is" {
    for ([_]u64{ 64, piece_bytes - 64, piece_bytes, piece_bytes + 64, 7 * piece_bytes, 620 << 20 }) |bytes| {
        try std.testing.expectEqual(bytes, arenaBytes(fileBytes(bytes)));
    }
    for ([_]u64{ 0, header_bytes, header_bytes + sum_bytes, header_bytes + piece_bytes + sum_bytes + 4 }) |bytes| {
        try std.testing.expectEqual(null, arenaBytes(bytes));
    }
}

test "formats pack as layout 1 says" {
    // Another sum here means that files of older versions hold other bytes: `packed_file.layout` of wire.zig must become one more.
    const dispatch = @import("../host/dispatch.zig");
    const weights = @import("weights.zig");
    const gpa = std.testing.allocator;
    for (dispatch.levels()) |level| {
        var sum: u64 = 0;
        for (level.formats[0..level.formats_len]) |*format| {
            const columns = 3 * @max(256, format.block_elements);
            const rows = 16;
            const bytes = try gpa.alloc(u8, @intCast(rows * weights.rowBytes(format, columns)));
            defer gpa.free(bytes);
            // One bit is never set, so all scales are finite: which NaN a NaN becomes differs between instructions.
            for (bytes, 0..) |*byte, at| byte.* = @as(u8, @truncate((at *% 0x9e3779b97f4a7c15) >> 56)) & 0xbf;
            const group = try gpa.alignedAlloc(u8, .@"64", format.groupBytes(columns));
            defer gpa.free(group);
            @memset(group, 0);
            _ = format.pack(bytes.ptr, rows, columns, group.ptr);
            sum = std.hash.XxHash3.hash(sum, group);
        }
        try std.testing.expectEqual(8736042977813924851, sum);
    }
    try std.testing.expectEqual(1, @import("../wire.zig").packed_file.layout);
}
