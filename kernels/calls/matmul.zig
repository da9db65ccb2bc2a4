//! A matrix of file blocks times vectors, for `Quantizer.matmul`: sixteen rows at a time are packed and multiplied by the
//! same kernels that a model uses, so the result is what a model would have. The caller waits, as in `quantize.zig`.

const std = @import("std");
const assert = std.debug.assert;
const layouts = @import("../wire.zig").layouts;
const level_table = @import("../level/level_table.zig");
const dispatch = @import("../host/dispatch.zig");
const fpu = @import("../host/fpu.zig");
const Report = @import("../host/report.zig").Report;
const Words = @import("../host/words.zig").Words;
const memory = @import("../host/memory.zig");
const share = @import("../threads/share.zig").share;

pub const Error = Words.Error || error{ Unsupported, OutOfMemory, NonFinite };

/// The options of `wire.zig`, checked.
pub const Options = struct {
    format: *const level_table.Format,
    rows: u32,
    columns: u32,
    tokens: u32,
    bits: level_table.ActivationBits,
    threads: u32,

    pub fn read(bytes: []const u8) Error!Options {
        var report: Report = .{};
        const given = try Words.whole(bytes, layouts.Product, &report);
        const format = dispatch.format(given.format) orelse return error.Unsupported;
        const options: Options = .{
            .format = format,
            .rows = given.rows,
            .columns = given.columns,
            .tokens = given.vectors,
            .bits = std.enums.fromInt(level_table.ActivationBits, given.activation_bits) orelse return error.Refused,
            .threads = given.threads,
        };
        if (given.columns == 0 or given.columns % format.block_elements != 0) return error.Refused;
        if (@as(u64, given.rows) * options.rowBytes() > given.blocks_bytes) return error.Refused;
        if (@as(u64, given.columns) * given.vectors * 4 > given.inputs_bytes) return error.Refused;
        if (@as(u64, given.rows) * given.vectors * 4 > given.results_bytes) return error.Refused;
        return options;
    }

    fn rowBytes(options: Options) u64 {
        return @as(u64, options.columns) / options.format.block_elements * options.format.block_bytes;
    }
};

const Job = struct {
    options: Options,
    threads: u32,
    blocks: [*]const u8,
    x: level_table.Activations,
    out: [*]f32,
    group_bytes: usize,
    /// A packed group and its results for each thread.
    groups: []u8,
    results: []f32,
    failed: std.atomic.Value(bool) = .init(false),

    fn claim(context: *anyopaque, item: u32, thread: u32) void {
        const job: *Job = @ptrCast(@alignCast(context));
        const o = job.options;
        const first = item * level_table.lanes;
        assert(first < o.rows and thread < job.threads);
        const rows = @min(level_table.lanes, o.rows - first);
        const group = job.groups[thread * job.group_bytes ..];
        if (o.format.pack(job.blocks + first * @as(usize, o.rowBytes()), rows, o.columns, group.ptr) != 0) {
            job.failed.store(true, .monotonic);
            return;
        }
        const results = job.results[thread * o.tokens * level_table.lanes ..];
        o.format.matmul(&.{
            .weights = group.ptr,
            .group_bytes = job.group_bytes,
            .activations = &job.x,
            .out = results.ptr,
            .out_stride = level_table.lanes,
        }, 0, 1, null);
        for (0..o.tokens) |t| @memcpy(job.out[t * o.rows + first ..][0..rows], results[t * level_table.lanes ..][0..rows]);
    }
};

/// out[token * rows + row] = row of the matrix times x[token * columns ..]. Buffers have the sizes that `options` says.
pub fn multiply(options: Options, blocks: [*]const u8, x: [*]const f32, out: [*]f32) Error!void {
    if (options.rows == 0) return;
    const groups = std.math.divCeil(u32, options.rows, level_table.lanes) catch unreachable;
    const threads = @min(options.threads, groups);
    const group_bytes = options.format.groupBytes(options.columns);
    assert(threads > 0 and options.columns % options.format.block_elements == 0 and group_bytes % 64 == 0);
    const spans = std.math.divCeil(usize, options.columns, level_table.span) catch unreachable;

    var layout: memory.Layout = .{};
    var job: Job = undefined;
    const arena = for ([_]bool{ true, false }) |measuring| {
        job = .{
            .options = options,
            .threads = threads,
            .blocks = blocks,
            .out = out,
            .group_bytes = group_bytes,
            .groups = layout.array(u8, threads * group_bytes) catch return error.OutOfMemory,
            .results = layout.array(f32, threads * options.tokens * level_table.lanes) catch return error.OutOfMemory,
            .x = .{
                .tokens = options.tokens,
                .cols = options.columns,
                .bits = options.bits,
                .row_stride = options.columns,
                .rows = @constCast(x),
                .q = (layout.array(i8, options.tokens * spans * level_table.span) catch return error.OutOfMemory).ptr,
                .q_low = (layout.array(i8, options.tokens * spans * level_table.span) catch return error.OutOfMemory).ptr,
                .scales = (layout.array(f32, options.tokens * spans) catch return error.OutOfMemory).ptr,
                .sums = (layout.array(i32, options.tokens * spans * 2) catch return error.OutOfMemory).ptr,
                .sums_low = (layout.array(i32, options.tokens * spans * 2) catch return error.OutOfMemory).ptr,
            },
        };
        if (measuring) {
            const bytes = memory.allocate(.scratch, layout.at) orelse return error.OutOfMemory;
            layout = .{ .base = bytes.ptr };
        } else break layout.base.?[0..layout.at];
    } else unreachable;
    defer memory.release(.scratch, arena);

    const saved = fpu.enter();
    defer saved.restore();
    if (options.format.kind == .block) for (0..options.tokens) |t| {
        if (dispatch.level().quantizeSpans(&job.x, @intCast(t), 0, job.x.cols / level_table.span) != 0) return error.NonFinite;
    };
    share(threads, groups, 1, &job, Job.claim);
    if (job.failed.load(.monotonic)) return error.NonFinite;
}
