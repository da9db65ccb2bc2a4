//! What adapters add to a product: for neighbouring rows of its input whose sequences have the same adapters, A x is made before
//! the product, and the thread that has made some rows of the product adds scale * B (A x) to them, adapter after adapter in the
//! sequence's order. A sequence without adapters takes no part, so its bits are what they are without any.

const std = @import("std");
const assert = std.debug.assert;
const dispatch = @import("../host/dispatch.zig");
const level_table = @import("../level/level_table.zig");
const limits = @import("../limits.zig");
const os = @import("../host/os.zig");
const pool = @import("../threads/pool.zig");
const Applied = @import("../model/adapter.zig").Applied;
const Batch = @import("batch.zig").Batch;
const Pair = @import("../model/adapter.zig").Pair;
const Part = @import("part.zig").Part;
const parts_max = @import("part.zig").parts_max;
const Sequence = @import("batch.zig").Sequence;

/// Less work than this (multiplications) is done before another thread has heard of it.
const shared_products_min = 64 << 10;

/// What the rows of a product's input are: the batch's tokens, or the rows whose logits are wanted.
pub const Rows = enum { tokens, logits };

/// One adapter's share of one matrix of a product.
const Job = struct {
    pair: *const Pair,
    part: u32,
    scale: f32,
    /// Rows of the input.
    first: u32,
    rows: u32,
    /// Where its A x begins in `inner`.
    inner: usize,
    /// The first of its items: a tile of rows each.
    item: u32,
};

pub const Adapting = struct {
    jobs: std.ArrayList(Job) = .empty,
    inner: []f32 = &.{},
    items: u32 = 0,
    /// The input of the product.
    input: level_table.Activations = undefined,

    pub fn deinit(adapting: *Adapting) void {
        adapting.jobs.deinit(os.allocator);
        os.allocator.free(adapting.inner);
        adapting.* = .{};
    }

    /// Makes room for all that a batch's adapters need: a step allocates nothing.
    pub fn reserve(adapting: *Adapting, batch: *const Batch) error{OutOfMemory}!void {
        adapting.jobs.clearRetainingCapacity();
        var jobs: usize = 0;
        var floats: usize = 0;
        for (batch.active()) |*sequence| {
            const rows = @max(sequence.tokens.len, sequence.logit_rows);
            for (batch.adaptersOf(sequence)) |applied| {
                jobs += parts_max;
                floats += parts_max * rows * applied.adapter.inner_floats;
            }
        }
        try adapting.jobs.ensureTotalCapacity(os.allocator, jobs);
        if (adapting.inner.len >= floats) return;
        os.allocator.free(adapting.inner);
        adapting.inner = &.{};
        adapting.inner = try os.allocator.alloc(f32, floats);
    }

    /// Makes A x for the product of `parts`; false where no adapter has a share in it.
    pub fn begin(adapting: *Adapting, batch: *const Batch, rows: Rows, parts: []const Part, input: *const level_table.Activations, threads: u32) bool {
        adapting.jobs.clearRetainingCapacity();
        adapting.items = 0;
        adapting.input = input.*;
        if (batch.adapters.items.len == 0) return false;
        var inner: usize = 0;
        var products: usize = 0;
        const sequences = batch.active();
        var index: usize = 0;
        while (index < sequences.len) {
            const first = &sequences[index];
            const own = batch.adaptersOf(first);
            const begin_row = rowsOf(first, rows)[0];
            var end_row = begin_row;
            // Neighbours with the same adapters are one run.
            while (index < sequences.len and same(own, batch.adaptersOf(&sequences[index]))) : (index += 1) {
                const next = rowsOf(&sequences[index], rows);
                if (next[0] != end_row) break;
                end_row = next[1];
            }
            assert(index > 0);
            if (end_row > begin_row) for (own) |applied| for (parts, 0..) |part, number| {
                const pair = if (applied.adapter.pairs[part.matrix.number]) |*found| found else continue;
                const count = end_row - begin_row;
                adapting.jobs.appendAssumeCapacity(.{ .pair = pair, .part = @intCast(number), .scale = applied.scale * pair.factor, .first = begin_row, .rows = count, .inner = inner, .item = adapting.items });
                adapting.items += std.math.divCeil(u32, count, level_table.tile_max) catch unreachable;
                inner += @as(usize, count) * pair.innerFloats();
                products += @as(usize, count) * pair.innerFloats() * input.cols;
            };
        }
        assert(inner <= adapting.inner.len);
        if (adapting.jobs.items.len == 0) return false;
        pool.parallel(if (products < shared_products_min) 1 else threads, adapting.items, adapting, makeInner);
        return true;
    }

    /// The first and the end of a sequence's rows. One that brings a hidden state has no tokens.
    fn rowsOf(sequence: *const Sequence, rows: Rows) [2]u32 {
        return switch (rows) {
            .tokens => .{ sequence.first, sequence.first + @as(u32, @intCast(sequence.tokens.len)) },
            .logits => .{ sequence.logit_row, sequence.logit_row + sequence.logit_rows },
        };
    }

    pub fn same(a: []const Applied, b: []const Applied) bool {
        if (a.len != b.len) return false;
        return for (a, b) |one, other| {
            if (one.adapter != other.adapter or one.scale != other.scale) break false;
        } else true;
    }

    fn makeInner(context: *anyopaque, item: u32, _: u32) void {
        const adapting: *const Adapting = @ptrCast(@alignCast(context));
        const jobs = adapting.jobs.items;
        var number: usize = 0;
        while (number + 1 < jobs.len and jobs[number + 1].item <= item) number += 1;
        const job = &jobs[number];
        const skipped = (item - job.item) * level_table.tile_max;
        const first = job.first + skipped;
        var input = adapting.input;
        assert(skipped < job.rows and first + @min(level_table.tile_max, job.rows - skipped) <= input.tokens);
        input.rows += @as(usize, first) * input.row_stride;
        input.tokens = @min(level_table.tile_max, job.rows - skipped);
        const stride = job.pair.innerFloats();
        const product: level_table.Matmul = .{
            .weights = job.pair.a(0),
            .group_bytes = job.pair.a_group_bytes,
            .activations = &input,
            .out = adapting.inner.ptr + job.inner + skipped * stride,
            .out_stride = stride,
        };
        dispatch.format(0).?.matmul(&product, 0, job.pair.a_groups, null);
    }

    /// Adds to the groups [from, to) of part `index`, whose rows lie at `out`.
    pub fn add(adapting: *const Adapting, index: usize, out: [*]f32, out_stride: u32, from: u32, to: u32) void {
        assert(from < to and to * level_table.lanes <= out_stride);
        for (adapting.jobs.items) |*job| {
            if (job.part != index) continue;
            const added: level_table.AddedRows = .{
                .weights = job.pair.b(0),
                .group_bytes = job.pair.b_group_bytes,
                .cols = job.pair.rank,
                .x = adapting.inner.ptr + job.inner,
                .x_stride = job.pair.innerFloats(),
                .tokens = job.rows,
                .scale = job.scale,
                .out = out + @as(usize, job.first) * out_stride,
                .out_stride = out_stride,
            };
            dispatch.level().addRows(&added, from, to);
        }
    }
};
