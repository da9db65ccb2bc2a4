//! Weights from the files of a model: read in pieces and packed into groups of 16 rows, on the pool's threads, a few tensors a
//! turn. Packing is the only time when weights are touched outside a step.

const std = @import("std");
const assert = std.debug.assert;
const file_zig = @import("../host/file.zig");
const level_table = @import("../level/level_table.zig");
const memory = @import("../host/memory.zig");
const pool = @import("../threads/pool.zig");
const tensors = @import("tensors.zig");
const weights = @import("weights.zig");
const Entry = weights.Entry;
const File = file_zig.File;
const Matrix = weights.Matrix;
const Report = @import("../host/report.zig").Report;
const Tensor = weights.Tensor;

/// Groups that one claim packs: enough work to pay for the claim.
const pack_claim_bytes = 256 << 10;
/// What one turn packs of small tensors, which share a job of the pool: waking its threads for each would take longer.
const turn_bytes = 4 << 20;
const turn_tensors = 64;

/// Memory into which each packing thread reads what it packs next: `stride` bytes a thread.
const Buffers = struct {
    memory: []align(64) u8,
    stride: usize,

    /// Bytes a thread needs for any piece of these tensors.
    fn strideFor(entries: []const Entry) usize {
        var most: usize = 64;
        for (entries) |entry| {
            if (!tensors.isMatrix(entry.role)) continue; // vectors are read where they stay
            const rows = @min(entry.rows, groupsOfClaim(entry.format.groupBytes(entry.cols)) * level_table.lanes);
            most = @max(most, @as(usize, @intCast(rows * weights.rowBytes(entry.format, entry.cols))));
        }
        return std.mem.alignForward(usize, most, 64);
    }

    fn of(buffers: Buffers, thread: u32) []align(64) u8 {
        assert((thread + 1) * buffers.stride <= buffers.memory.len);
        return @alignCast(buffers.memory[thread * buffers.stride ..][0..buffers.stride]);
    }
};

/// Groups that one claim packs.
fn groupsOfClaim(group_bytes: usize) u32 {
    return @intCast(@max(1, pack_claim_bytes / group_bytes));
}

/// One tensor of a turn; `first_item` is the first of its claims among those of the job.
const Part = struct {
    file: File,
    offset: u64,
    /// From slab to slab.
    stride: u64,
    tensor: Tensor,
    groups_a_claim: u32,
    /// Claims of one slab.
    claims: u32,
    first_item: u32,
    /// 1 + the first row that is not finite, as far as threads met it, from the top; 0: none.
    bad_row: std.atomic.Value(u32) = .init(0),
    /// What kept a thread from reading it.
    unread: std.atomic.Value(Unread) = .init(.nothing),

    fn run(part: *Part, claim: u32, buffer: []align(64) u8) void {
        switch (part.tensor) {
            .absent => unreachable,
            .rows => {}, // these stay where they are
            .vector => |vector| {
                part.file.read(part.offset, std.mem.sliceAsBytes(@constCast(vector))) catch |why| return part.notRead(why);
                for (vector) |value| if (!std.math.isFinite(value)) part.blame(0);
            },
            .matrix => |matrix| part.pack(matrix.slab(claim / part.claims), claim, buffer),
        }
    }

    fn notRead(part: *Part, why: file_zig.ReadError) void {
        part.unread.store(switch (why) {
            error.Short => .ended,
            error.Read => .failed,
        }, .monotonic);
    }

    fn pack(part: *Part, matrix: Matrix, claim: u32, buffer: []align(64) u8) void {
        const row_bytes: usize = @intCast(weights.rowBytes(matrix.format, matrix.cols));
        const slab = claim / part.claims;
        var group = claim % part.claims * part.groups_a_claim;
        const end = @min(group + part.groups_a_claim, matrix.groups());
        assert(group < end);
        const first_row = group * level_table.lanes;
        const last_row = @min(end * level_table.lanes, matrix.rows);
        const rows = buffer[0 .. (last_row - first_row) * row_bytes];
        part.file.read(part.offset + slab * part.stride + first_row * row_bytes, rows) catch |why| return part.notRead(why);
        while (group < end) : (group += 1) {
            const row = group * level_table.lanes;
            const bad = matrix.format.pack(
                rows.ptr + (row - first_row) * row_bytes,
                @min(level_table.lanes, matrix.rows - row),
                matrix.cols,
                matrix.packed_bytes + group * matrix.group_bytes,
            );
            if (bad != 0) part.blame(slab * matrix.rows + row + bad - 1);
        }
    }

    fn blame(part: *Part, row: u32) void {
        _ = part.bad_row.fetchMax(std.math.maxInt(u32) - row, .monotonic);
    }
};

/// Why a tensor was not read: its file ended before it did, or the system failed.
pub const Unread = enum(u8) { nothing, ended, failed };

const Job = struct {
    buffers: Buffers,
    parts: [turn_tensors]Part = undefined,
    len: usize = 0,
    items: u32 = 0,

    fn add(job: *Job, entry: Entry, files: []const File, arena: []align(64) u8) void {
        const tensor = entry.tensor(arena, files);
        var part: Part = .{
            .file = files[entry.file],
            .offset = entry.offset,
            .stride = entry.stride,
            .tensor = tensor,
            .groups_a_claim = 1,
            .claims = 1,
            .first_item = job.items,
        };
        var items: u32 = 1;
        if (tensor == .matrix) {
            part.groups_a_claim = groupsOfClaim(tensor.matrix.group_bytes);
            part.claims = std.math.divCeil(u32, tensor.matrix.groups(), part.groups_a_claim) catch unreachable;
            items = tensor.matrix.slabs * part.claims;
        }
        assert(items > 0 and job.len < turn_tensors);
        job.parts[job.len] = part;
        job.len += 1;
        job.items += items;
    }

    fn run(context: *anyopaque, item: u32, thread: u32) void {
        const job: *Job = @ptrCast(@alignCast(context));
        var index = job.len - 1;
        while (job.parts[index].first_item > item) index -= 1;
        assert(job.parts[index].first_item <= item);
        job.parts[index].run(item - job.parts[index].first_item, job.buffers.of(thread));
    }

    /// As far as all parts are packed.
    fn outcome(job: *const Job) Turn {
        for (job.parts[0..job.len], 0..) |*part, index| {
            const unread = part.unread.load(.monotonic);
            if (unread != .nothing) return .{ .tensors = index, .unread = unread };
            const bad = part.bad_row.load(.monotonic);
            if (bad != 0) return .{ .tensors = index, .bad_row = std.math.maxInt(u32) - bad };
        }
        return .{ .tensors = job.len };
    }
};

/// What a turn came to: how many tensors are packed, and the first row with a value or scale that is not finite in the next.
pub const Turn = struct { tensors: usize, bad_row: ?u32 = null, unread: Unread = .nothing };

/// Packs tensors of some files.
pub const Packer = struct {
    files: []const File,
    buffers: Buffers,
    threads: u32,

    /// Threads that pack; more do not help once memory is the limit.
    const threads_max = 8;

    pub fn open(entries: []const Entry, files: []const File, report: *Report) error{OutOfMemory}!Packer {
        const threads: u32 = @intCast(@min(std.Thread.getCpuCount() catch 1, threads_max));
        const stride = Buffers.strideFor(entries);
        const bytes = memory.allocate(.scratch, threads * stride) orelse {
            _ = report.fail(.out_of_memory, "memory to read the file into", "", .{ "{d} bytes", .{threads * stride} }, "");
            return error.OutOfMemory;
        };
        for (files) |file| file.advise(.in_order);
        return .{ .files = files, .buffers = .{ .memory = bytes, .stride = stride }, .threads = threads };
    }

    pub fn close(packer: *Packer) void {
        memory.release(.scratch, packer.buffers.memory);
        packer.* = undefined;
    }

    /// Packs the first of `entries` into the arena, and those after it that are small enough for one turn.
    pub fn pack(packer: *const Packer, entries: []const Entry, arena: []align(64) u8) Turn {
        const threads = pool.ensure(packer.threads);
        std.debug.assert(entries.len > 0 and threads * packer.buffers.stride <= packer.buffers.memory.len);
        var job: Job = .{ .buffers = packer.buffers };
        var bytes: u64 = 0;
        for (entries) |entry| {
            if (!tensors.isRows(entry.role)) bytes += entry.bytes;
            if (job.len > 0 and (bytes > turn_bytes or job.len == turn_tensors)) break;
            job.add(entry, packer.files, arena);
        }
        pool.parallel(threads, job.items, &job, Job.run);
        return job.outcome();
    }
};
