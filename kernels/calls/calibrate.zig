//! What calibrated rounding needs, on the pool: sums of products of activations, their factor, and the rounding of rows. The
//! caller waits, as in `quantize.zig`, and gives long work in parts.

const std = @import("std");
const assert = std.debug.assert;
const layouts = @import("../wire.zig").layouts;
const level_table = @import("../level/level_table.zig");
const dispatch = @import("../host/dispatch.zig");
const limits = @import("../limits.zig");
const Report = @import("../host/report.zig").Report;
const memory = @import("../host/memory.zig");
const Words = @import("../host/words.zig").Words;
const share = @import("../threads/share.zig").share;

pub const Error = Words.Error || error{ Unsupported, NonFinite, OutOfMemory };

const Gram = struct {
    args: level_table.Gram,
    begin: u32,
    end: u32,

    const rows_a_claim = 64;

    fn claim(context: *anyopaque, item: u32, _: u32) void {
        const job: *Gram = @ptrCast(@alignCast(context));
        const begin = job.begin + item * rows_a_claim;
        assert(begin < job.end and job.end <= job.args.x_cols);
        dispatch.encoders().gram(&job.args, begin, @min(begin + rows_a_claim, job.end));
    }
};

/// The options of sums of products (`wire.zig`), checked.
pub const GramOptions = struct {
    x_columns: u32,
    columns: u32,
    threads: u32,
    tokens: u32,
    begin: u32,
    end: u32,

    pub fn read(bytes: []const u8) Error!GramOptions {
        var report: Report = .{};
        const given = try Words.whole(bytes, layouts.Gram, &report);
        const row_bytes = given.columns * 4;
        const tokens = given.y_bytes / row_bytes;
        if (given.y_bytes % row_bytes != 0 or given.x_bytes != @as(u64, tokens) * given.x_columns * 4) return error.Refused;
        if (given.sums_bytes != @as(u64, row_bytes) * given.x_columns) return error.Refused;
        if (given.begin >= given.end or given.end > given.x_columns) return error.Refused;
        return .{
            .x_columns = given.x_columns,
            .columns = given.columns,
            .threads = given.threads,
            .tokens = tokens,
            .begin = given.begin,
            .end = given.end,
        };
    }
};

/// Adds the products of rows of x and y to some rows of a `x_columns` x `columns` matrix; of x with itself, right of the diagonal.
/// Buffers have the sizes that `options` says.
pub fn gram(options: GramOptions, x: [*]const f32, y: [*]const f32, out: [*]f32) void {
    assert(options.begin < options.end and options.threads > 0);
    var job: Gram = .{
        .args = .{ .x = x, .y = y, .tokens = options.tokens, .x_cols = options.x_columns, .cols = options.columns, .out = out },
        .begin = options.begin,
        .end = options.end,
    };
    share(options.threads, std.math.divCeil(u32, options.end - options.begin, Gram.rows_a_claim) catch unreachable, 1, &job, Gram.claim);
}

const Factor = struct {
    matrix: [*]f64,
    n: u32,
    columns: level_table.FactorColumns,
    /// Rows that are worked on.
    rows: u32,

    const rows_a_claim = 64;

    fn update(context: *anyopaque, item: u32, _: u32) void {
        const job: *Factor = @ptrCast(@alignCast(context));
        const begin = item * rows_a_claim;
        assert(begin < job.rows and job.rows <= job.n);
        dispatch.encoders().factorUpdate(job.matrix, job.n, job.columns, begin, @min(begin + rows_a_claim, job.rows));
    }

    fn finish(context: *anyopaque, item: u32, _: u32) void {
        const job: *Factor = @ptrCast(@alignCast(context));
        const begin = item * rows_a_claim;
        assert(begin < job.rows and job.rows <= job.columns.first);
        dispatch.encoders().factorRows(job.matrix, job.n, job.columns, begin, @min(begin + rows_a_claim, job.rows));
    }

    fn run(job: *Factor, rows: u32, threads: u32, part: *const fn (context: *anyopaque, item: u32, thread: u32) void) void {
        job.rows = rows;
        share(threads, std.math.divCeil(u32, rows, rows_a_claim) catch unreachable, 1, job, part);
    }
};

/// Columns [begin, end) of R, H = R R', in the upper half of the n x n matrix, the last first, some together: either number is so many
/// from n, or 0. The diagonal has 1 / r_kk.
pub fn factor(matrix: []f64, n: u32, begin: u32, end: u32, threads: u32) Error!void {
    if (n == 0 or matrix.len != @as(u64, n) * n or begin > end or end > n or threads == 0 or threads > limits.threads_max) return error.Refused;
    const together = level_table.factor_columns;
    if ((n - end) % together != 0 or (begin != 0 and (n - begin) % together != 0)) return error.Refused;
    var last = end;
    while (last > begin) {
        const first = @max(begin, last -| together);
        var job: Factor = .{ .matrix = matrix.ptr, .n = n, .columns = .{ .first = first, .last = last }, .rows = 0 };
        job.run(last, threads, Factor.update);
        if (dispatch.encoders().factorCorner(matrix.ptr, n, job.columns) != last) return error.NonFinite;
        if (first > 0) job.run(first, threads, Factor.finish);
        last = first;
    }
}

const Solve = struct {
    matrix: [*]const f64,
    n: u32,
    rows: []f32,
    rows_a_claim: u32,
    /// A room for each thread.
    rooms: []align(64) f64,

    fn claim(context: *anyopaque, item: u32, thread: u32) void {
        const job: *Solve = @ptrCast(@alignCast(context));
        const each = @as(usize, job.n) * job.rows_a_claim;
        const begin = item * each;
        const count = @min(each, job.rows.len - begin) / job.n;
        dispatch.encoders().solve(job.matrix, job.n, job.rows.ptr + begin, @intCast(count), @alignCast(job.rooms.ptr + thread * each));
    }
};

/// Rows that are worked on together share what is read; every thread gets some. Whole groups of rows, at least one.
fn rowsOfClaim(rows: u32, threads: u32, group: u32, most: u32) u32 {
    assert(threads > 0 and most % group == 0);
    const groups = std.math.divCeil(u32, rows, group) catch unreachable;
    return std.math.clamp((std.math.divCeil(u32, groups, threads) catch unreachable) * group, group, most);
}

/// Rows times the inverse of R R', in their place; R as `factor` leaves it.
pub fn solve(matrix: []const f64, n: u32, rows: []f32, threads: u32) Error!void {
    if (n == 0 or n > limits.feed_forward_max or matrix.len != @as(u64, n) * n or rows.len == 0 or rows.len % n != 0) return error.Refused;
    if (threads == 0 or threads > limits.threads_max) return error.Refused;
    const rows_a_claim = rowsOfClaim(@intCast(rows.len / n), threads, level_table.solved_lanes, level_table.solved_rows);
    const room = @as(usize, n) * rows_a_claim * @sizeOf(f64);
    const bytes = memory.allocate(.scratch, room * threads) orelse return error.OutOfMemory;
    defer memory.release(.scratch, bytes);
    var job: Solve = .{ .matrix = matrix.ptr, .n = n, .rows = rows, .rows_a_claim = rows_a_claim, .rooms = std.mem.bytesAsSlice(f64, bytes) };
    const claims = std.math.divCeil(usize, rows.len, @as(usize, n) * rows_a_claim) catch unreachable;
    share(threads, @intCast(claims), 1, &job, Solve.claim);
}

/// The options of `wire.zig`, checked.
pub const Options = struct {
    format: *const level_table.Format,
    rows: u32,
    columns: u32,
    threads: u32,

    pub fn read(bytes: []const u8) Error!Options {
        var report: Report = .{};
        const given = try Words.whole(bytes, layouts.Calibrate, &report);
        const format = dispatch.format(given.format) orelse return error.Unsupported;
        const columns: u64 = given.columns;
        if (columns == 0 or columns % format.block_elements != 0 or columns % level_table.calibrate_panel != 0) return error.Refused;
        if (given.rows * columns * 4 > given.values_bytes or columns * columns * 8 > given.factor_bytes or columns * 4 > given.importance_bytes) return error.Refused;
        if (given.rows * (columns / format.block_elements) * format.block_bytes > given.blocks_bytes) return error.Refused;
        return .{ .format = format, .rows = given.rows, .columns = given.columns, .threads = given.threads };
    }
};

const Rounding = struct {
    args: level_table.Calibrate,
    run: @typeInfo(@FieldType(level_table.Encoder, "calibrate")).optional.child,
    rows: u32,
    refused: std.atomic.Value(u32),
    rows_a_claim: u32,
    /// A room for each thread.
    rooms: []align(64) f32,

    fn roomFloats(columns: u32, rows: u32) usize {
        return @as(usize, columns + level_table.calibrate_strip) * rows;
    }

    fn claim(context: *anyopaque, item: u32, thread: u32) void {
        const job: *Rounding = @ptrCast(@alignCast(context));
        const begin = item * job.rows_a_claim;
        const end = @min(begin + job.rows_a_claim, job.rows);
        assert(begin < end);
        const each = roomFloats(job.args.columns, job.rows_a_claim);
        const done = job.run(&job.args, begin, end, @alignCast(job.rooms.ptr + thread * each));
        assert(begin <= done and done <= end);
        if (done < end) _ = job.refused.fetchMin(done, .monotonic);
    }
};

/// Rounds rows; returns how many come before the first that is refused. The values become the errors.
pub fn round(options: Options, values: [*]f32, factors: [*]const f32, importance: [*]const f32, blocks: [*]u8) Error!u32 {
    const encoder = dispatch.encoder(options.format.id) orelse return error.Unsupported;
    const rows_a_claim = rowsOfClaim(options.rows, options.threads, level_table.lanes, level_table.calibrate_rows);
    const room = Rounding.roomFloats(options.columns, rows_a_claim) * @sizeOf(f32);
    const bytes = memory.allocate(.scratch, room * options.threads) orelse return error.OutOfMemory;
    defer memory.release(.scratch, bytes);
    var job: Rounding = .{
        .rooms = std.mem.bytesAsSlice(f32, bytes),
        .args = .{
            .values = values,
            .factor = factors,
            .sums = factors + @as(usize, options.columns) * options.columns,
            .importance = importance,
            .columns = options.columns,
            .blocks = blocks,
            .quantize = encoder.quantize,
        },
        .run = encoder.calibrate orelse return error.Unsupported,
        .rows = options.rows,
        .rows_a_claim = rows_a_claim,
        .refused = .init(options.rows),
    };
    share(options.threads, std.math.divCeil(u32, options.rows, rows_a_claim) catch unreachable, 1, &job, Rounding.claim);
    return job.refused.load(.monotonic);
}
