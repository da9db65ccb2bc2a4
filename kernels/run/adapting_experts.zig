//! What adapters add to the products of experts, which are made beside the others: for rows of an expert whose sequences have the
//! same adapters, A x is made before the product, and the thread that has made some columns of the product adds scale * B (A x)
//! to them. Which rows those are, the layer says (`layers/experts.zig`).

const std = @import("std");
const assert = std.debug.assert;
const dispatch = @import("../host/dispatch.zig");
const level_table = @import("../level/level_table.zig");
const os = @import("../host/os.zig");
const pool = @import("../threads/pool.zig");
const Adapting = @import("adapting.zig").Adapting;
const Batch = @import("batch.zig").Batch;
const Layer = @import("../model/layer.zig").Layer;
const Matrix = @import("../model/weights.zig").Matrix;
const Pair = @import("../model/adapter.zig").Pair;

/// Matrices whose products are made at once: gate and up.
const together = 2;

/// One adapter's share of one expert's matrix, for some rows.
const Job = struct {
    pair: *const Pair,
    slab: u32,
    scale: f32,
    first: u32,
    input: level_table.Activations,
    /// Where its A x begins in `inner`.
    inner: usize,
};

/// Jobs of one matrix.
pub const Range = struct { first: usize = 0, end: usize = 0 };

/// A matrix of an expert, which is one of a stack, and the rows that it is multiplied with.
pub const Target = struct {
    matrix: Matrix,
    slab: u32,
    input: level_table.Activations,
    /// The tokens of its rows, ascending; null: all, in their order.
    token_of: ?[]const u32,
};

pub const AdaptingExperts = struct {
    jobs: std.ArrayList(Job) = .empty,
    inner: []f32 = &.{},
    used: usize = 0,

    pub fn deinit(adapting: *AdaptingExperts) void {
        adapting.jobs.deinit(os.allocator);
        os.allocator.free(adapting.inner);
        adapting.* = .{};
    }

    /// Makes room for all that a batch's adapters need: a step allocates nothing.
    pub fn reserve(adapting: *AdaptingExperts, batch: *const Batch, layers: []const Layer) error{OutOfMemory}!void {
        adapting.clear();
        if (batch.adapters.items.len == 0) return;
        var most: usize = 0;
        for (layers) |*layer| switch (layer.feed_forward) {
            .dense, .none => {},
            // The shared expert has a row of every token, too.
            .experts => |own| most = @max(most, own.used + 1),
            .beside => |both| most = @max(most, both.experts.used + 1),
        };
        var jobs: usize = 0;
        var floats: usize = 0;
        for (batch.active()) |*sequence| for (batch.adaptersOf(sequence)) |applied| {
            const rows = sequence.tokens.len * most * together;
            jobs += rows;
            floats += rows * applied.adapter.inner_floats;
        };
        try adapting.jobs.ensureTotalCapacity(os.allocator, jobs);
        if (adapting.inner.len >= floats) return;
        os.allocator.free(adapting.inner);
        adapting.inner = &.{};
        adapting.inner = try os.allocator.alloc(f32, floats);
    }

    /// Forgets the jobs of the products before.
    pub fn clear(adapting: *AdaptingExperts) void {
        adapting.jobs.clearRetainingCapacity();
        adapting.used = 0;
    }

    /// Adds the jobs of a matrix.
    pub fn plan(adapting: *AdaptingExperts, batch: *const Batch, target: Target) Range {
        const first = adapting.jobs.items.len;
        const rows = target.input.tokens;
        const sequences = batch.active();
        var index: usize = 0;
        var begin: u32 = 0;
        while (begin < rows) {
            while (tokenAt(target, begin) >= sequences[index].first + sequences[index].tokens.len) index += 1;
            const own = batch.adaptersOf(&sequences[index]);
            var end = begin;
            // Neighbours with the same adapters are one run.
            var other = index;
            while (end < rows and end - begin < level_table.tile_max) : (end += 1) {
                while (tokenAt(target, end) >= sequences[other].first + sequences[other].tokens.len) other += 1;
                if (!Adapting.same(own, batch.adaptersOf(&sequences[other]))) break;
            }
            assert(end > begin);
            for (own) |applied| if (applied.adapter.pairs[target.matrix.number]) |*pair| {
                var input = target.input;
                input.rows += @as(usize, begin) * input.row_stride;
                input.tokens = end - begin;
                adapting.jobs.appendAssumeCapacity(.{ .pair = pair, .slab = target.slab, .scale = applied.scale * pair.factor, .first = begin, .input = input, .inner = adapting.used });
                adapting.used += @as(usize, end - begin) * pair.innerFloats();
            };
            begin = end;
        }
        assert(adapting.used <= adapting.inner.len);
        return .{ .first = first, .end = adapting.jobs.items.len };
    }

    fn tokenAt(target: Target, index: u32) u32 {
        return if (target.token_of) |tokens| tokens[index] else index;
    }

    /// Makes A x of all jobs.
    pub fn make(adapting: *AdaptingExperts, threads: u32) void {
        const jobs: u32 = @intCast(adapting.jobs.items.len);
        if (jobs > 0) pool.parallel(threads, jobs, adapting, makeInner);
    }

    fn makeInner(context: *anyopaque, item: u32, _: u32) void {
        const adapting: *const AdaptingExperts = @ptrCast(@alignCast(context));
        const job = &adapting.jobs.items[item];
        assert(job.input.tokens <= level_table.tile_max);
        const product: level_table.Matmul = .{
            .weights = job.pair.a(job.slab),
            .group_bytes = job.pair.a_group_bytes,
            .activations = &job.input,
            .out = adapting.inner.ptr + job.inner,
            .out_stride = job.pair.innerFloats(),
        };
        dispatch.format(0).?.matmul(&product, 0, job.pair.a_groups, null);
    }

    /// Adds to the groups [from, to) of a matrix's results, whose rows lie at `out`.
    pub fn add(adapting: *const AdaptingExperts, range: Range, out: [*]f32, out_stride: u32, from: u32, to: u32) void {
        assert(from < to and to * level_table.lanes <= out_stride and range.end <= adapting.jobs.items.len);
        for (adapting.jobs.items[range.first..range.end]) |*job| {
            const added: level_table.AddedRows = .{
                .weights = job.pair.b(job.slab),
                .group_bytes = job.pair.b_group_bytes,
                .cols = job.pair.rank,
                .x = adapting.inner.ptr + job.inner,
                .x_stride = job.pair.innerFloats(),
                .tokens = job.input.tokens,
                .scale = job.scale,
                .out = out + @as(usize, job.first) * out_stride,
                .out_stride = out_stride,
            };
            dispatch.level().addRows(&added, from, to);
        }
    }
};
