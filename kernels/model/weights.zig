//! The tensors of a model: what each is for, its shape checked against the traits, and its rows packed into groups of
//! 16 as their bytes come from the file. Packing is the only time when weights are touched outside a step.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const dispatch = @import("../host/dispatch.zig");
const limits = @import("../limits.zig");
const file_zig = @import("../host/file.zig");
const File = file_zig.File;
const Report = @import("../host/report.zig").Report;
const Words = @import("../host/words.zig").Words;
const pool = @import("../threads/pool.zig");
const tensors = @import("tensors.zig");
const traits_zig = @import("traits.zig");
const Traits = traits_zig.Traits;
const LayerTraits = traits_zig.LayerTraits;
const Failure = traits_zig.Failure;

pub const Role = @import("roles.zig").Role;

/// A packed matrix.
pub const Matrix = struct {
    format: *const level_table.Format,
    packed_bytes: [*]align(64) u8,
    group_bytes: usize,
    rows: u32,
    cols: u32,

    pub fn groups(matrix: Matrix) u32 {
        return std.math.divCeil(u32, matrix.rows, level_table.lanes) catch unreachable;
    }

    /// Row `row` as floats.
    pub fn unpackRow(matrix: Matrix, row: u32, out: [*]f32) void {
        std.debug.assert(row < matrix.rows);
        matrix.format.unpackRow(matrix.packed_bytes + row / level_table.lanes * matrix.group_bytes, row % level_table.lanes, matrix.cols, out);
    }
};

pub const Tensor = union(enum) { absent, matrix: Matrix, vector: []const f32 };

/// One tensor of the description, checked.
pub const Entry = struct {
    role: Role,
    layer: u32,
    format: *const level_table.Format,
    file: u32,
    cols: u32,
    rows: u32,
    offset: u64,
    bytes: u64,
    /// Where it lies in the model's memory.
    arena_offset: usize,
    arena_bytes: usize,

    pub fn read(words: *Words, report: *Report, traits: Traits, layers: []const LayerTraits) (Words.Error || Failure)!Entry {
        const role_number = try words.u();
        const layer = try words.u();
        const format_id = try words.u();
        const file = try words.u();
        const cols = try words.u();
        const rows = try words.u();
        const offset = try words.long();
        const bytes = try words.long();
        if (role_number >= Role.count) {
            _ = report.fail(.model_format, "tensor role", "", .{}, "below {d}", .{Role.count}, "{d}", .{role_number});
            return error.Refused;
        }
        const role: Role = @enumFromInt(role_number);
        if (layer >= traits.layers or file >= traits.files) {
            _ = report.fail(.model_format, "layer or file", "{s}", .{@tagName(role)}, "below {d} and {d}", .{ traits.layers, traits.files }, "{d} and {d}", .{ layer, file });
            return error.Refused;
        }
        const format = dispatch.format(format_id) orelse {
            _ = report.fail(.unsupported, "tensor type", "{s}, layer {d}", .{ @tagName(role), layer }, "a type that lg_describe lists", .{}, "{d}", .{format_id});
            return error.Refused;
        };
        const shape = tensors.shapeOf(role, traits, layers[layer]);
        if (cols != shape.cols or rows != shape.rows) {
            _ = report.fail(.model_format, "tensor shape", "{s}, layer {d}", .{ @tagName(role), layer }, "{d} x {d}", .{ shape.cols, shape.rows }, "{d} x {d}", .{ cols, rows });
            return error.Refused;
        }
        if (cols % format.block_elements != 0 or (!tensors.isMatrix(role) and format.id != 0)) {
            _ = report.fail(.model_format, "tensor type", "{s}, layer {d}", .{ @tagName(role), layer }, "F32, or a row length that is a multiple of the block", .{}, "{s} with {d} columns", .{ format.name, cols });
            return error.Refused;
        }
        if (bytes != @as(u64, rows) * rowBytes(format, cols)) {
            _ = report.fail(.model_format, "tensor bytes", "{s}, layer {d}", .{ @tagName(role), layer }, "{d}", .{@as(u64, rows) * rowBytes(format, cols)}, "{d}", .{bytes});
            return error.Refused;
        }
        const group_count = std.math.divCeil(u32, rows, level_table.lanes) catch unreachable;
        return .{
            .role = role,
            .layer = layer,
            .format = format,
            .file = file,
            .cols = cols,
            .rows = rows,
            .offset = offset,
            .bytes = bytes,
            .arena_offset = 0,
            .arena_bytes = if (tensors.isMatrix(role)) group_count * format.groupBytes(cols) else @as(usize, cols) * @sizeOf(f32),
        };
    }

    /// The tensor in the model's memory; before packing its contents are zeros.
    pub fn tensor(entry: Entry, arena: []align(64) u8) Tensor {
        const memory: [*]align(64) u8 = @alignCast(arena.ptr + entry.arena_offset);
        if (!tensors.isMatrix(entry.role)) return .{ .vector = @as([*]const f32, @ptrCast(memory))[0..entry.cols] };
        return .{ .matrix = .{
            .format = entry.format,
            .packed_bytes = memory,
            .group_bytes = entry.format.groupBytes(entry.cols),
            .rows = entry.rows,
            .cols = entry.cols,
        } };
    }
};

pub fn rowBytes(format: *const level_table.Format, cols: u32) u64 {
    return @as(u64, cols) / format.block_elements * format.block_bytes;
}

/// Groups that one claim packs: enough work to pay for the claim.
const pack_claim_bytes = 256 << 10;
/// What one turn packs of small tensors, which share a job of the pool: waking its threads for each would take longer.
const turn_bytes = 4 << 20;
const turn_tensors = 64;

/// Memory into which each packing thread reads what it packs next: `stride` bytes a thread.
pub const Buffers = struct {
    memory: []align(64) u8,
    stride: usize,

    /// Bytes a thread needs for any piece of these tensors.
    pub fn strideFor(entries: []const Entry) usize {
        var most: usize = 64;
        for (entries) |entry| {
            if (!tensors.isMatrix(entry.role)) continue; // vectors are read where they stay
            const rows = @min(entry.rows, groupsOfClaim(entry.format.groupBytes(entry.cols)) * level_table.lanes);
            most = @max(most, @as(usize, @intCast(rows * rowBytes(entry.format, entry.cols))));
        }
        return std.mem.alignForward(usize, most, 64);
    }

    fn of(buffers: Buffers, thread: u32) []align(64) u8 {
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
    tensor: Tensor,
    groups_a_claim: u32,
    first_item: u32,
    /// 1 + the first row that is not finite, as far as threads met it, from the top; 0: none.
    bad_row: std.atomic.Value(u32) = .init(0),
    /// What kept a thread from reading it.
    unread: std.atomic.Value(Unread) = .init(.nothing),

    fn run(part: *Part, claim: u32, buffer: []align(64) u8) void {
        switch (part.tensor) {
            .absent => unreachable,
            .vector => |vector| {
                part.file.read(part.offset, std.mem.sliceAsBytes(@constCast(vector))) catch |why| return part.notRead(why);
                for (vector) |value| if (!std.math.isFinite(value)) part.blame(0);
            },
            .matrix => |matrix| part.pack(matrix, claim, buffer),
        }
    }

    fn notRead(part: *Part, why: file_zig.ReadError) void {
        part.unread.store(switch (why) {
            error.Short => .ended,
            error.Read => .failed,
        }, .monotonic);
    }

    fn pack(part: *Part, matrix: Matrix, claim: u32, buffer: []align(64) u8) void {
        const row_bytes: usize = @intCast(rowBytes(matrix.format, matrix.cols));
        var group = claim * part.groups_a_claim;
        const end = @min(group + part.groups_a_claim, matrix.groups());
        const first_row = group * level_table.lanes;
        const last_row = @min(end * level_table.lanes, matrix.rows);
        const rows = buffer[0 .. (last_row - first_row) * row_bytes];
        part.file.read(part.offset + first_row * row_bytes, rows) catch |why| return part.notRead(why);
        while (group < end) : (group += 1) {
            const row = group * level_table.lanes;
            const bad = matrix.format.pack(
                rows.ptr + (row - first_row) * row_bytes,
                @min(level_table.lanes, matrix.rows - row),
                matrix.cols,
                matrix.packed_bytes + group * matrix.group_bytes,
            );
            if (bad != 0) part.blame(row + bad - 1);
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

    fn add(job: *Job, entry: Entry, file: File, arena: []align(64) u8) void {
        const tensor = entry.tensor(arena);
        var part: Part = .{
            .file = file,
            .offset = entry.offset,
            .tensor = tensor,
            .groups_a_claim = 1,
            .first_item = job.items,
        };
        var items: u32 = 1;
        if (tensor == .matrix) {
            part.groups_a_claim = groupsOfClaim(tensor.matrix.group_bytes);
            items = std.math.divCeil(u32, tensor.matrix.groups(), part.groups_a_claim) catch unreachable;
        }
        if (items > 1) file.willNeed(entry.offset, entry.bytes);
        job.parts[job.len] = part;
        job.len += 1;
        job.items += items;
    }

    fn run(context: *anyopaque, item: u32, thread: u32) void {
        const job: *Job = @ptrCast(@alignCast(context));
        var index = job.len - 1;
        while (job.parts[index].first_item > item) index -= 1;
        job.parts[index].run(item - job.parts[index].first_item, job.buffers.of(thread));
    }
};

/// What a turn came to: how many tensors are packed, and the first row with a value or scale that is not finite in the next.
pub const Turn = struct { tensors: usize, bad_row: ?u32 = null, unread: Unread = .nothing };

/// Packs the first of `entries` into the arena, and those after it that are small enough for one turn.
pub fn pack(entries: []const Entry, files: []const File, arena: []align(64) u8, buffers: Buffers, threads: u32) Turn {
    std.debug.assert(threads * buffers.stride <= buffers.memory.len);
    var job: Job = .{ .buffers = buffers };
    var bytes: u64 = 0;
    for (entries) |entry| {
        bytes += entry.bytes;
        if (job.len > 0 and (bytes > turn_bytes or job.len == turn_tensors)) break;
        job.add(entry, files[entry.file], arena);
    }
    pool.parallel(threads, job.items, &job, Job.run);
    for (job.parts[0..job.len], 0..) |*part, index| {
        const unread = part.unread.load(.monotonic);
        if (unread != .nothing) return .{ .tensors = index, .unread = unread };
        const bad = part.bad_row.load(.monotonic);
        if (bad != 0) return .{ .tensors = index, .bad_row = std.math.maxInt(u32) - bad };
    }
    return .{ .tensors = job.len };
}
