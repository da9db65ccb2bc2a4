//! Blocks from floats, floats from blocks, on the pool. The caller waits (TypeScript gives large tensors in slices and its
//! event loop a turn between them), so the call never waits for the pool: where an engine has it, the caller computes
//! alone. What a thread does depends on nothing but its blocks: any number of threads gives the same bytes.

const std = @import("std");
const assert = std.debug.assert;
const layouts = @import("../wire.zig").layouts;
const level_table = @import("../level/level_table.zig");
const dispatch = @import("../host/dispatch.zig");
const Report = @import("../host/report.zig").Report;
const Words = @import("../host/words.zig").Words;
const share = @import("../threads/share.zig").share;

/// Values of one claim: some 0.1 ms of plain rounding.
const claim_values = 1 << 16;
/// Values that are decoded past the caches.
const stream_from = 1 << 19;

pub const Error = Words.Error || error{Unsupported};

/// The options of `wire.zig`, checked.
pub const Options = struct {
    format: *const level_table.Format,
    given: layouts.Quantize,

    pub fn read(bytes: []const u8) Error!Options {
        var report: Report = .{};
        const given = try Words.whole(bytes, layouts.Quantize, &report);
        const options: Options = .{ .format = dispatch.format(given.format) orelse return error.Unsupported, .given = given };
        try options.check();
        return options;
    }

    fn check(options: Options) error{Refused}!void {
        const given = options.given;
        const format = options.format;
        if (given.values_bytes == 0) return;
        if (given.columns == 0 or given.columns % format.block_elements != 0) return error.Refused;
        if (given.values_bytes % (options.valueBytes() * format.block_elements) != 0) return error.Refused;
        if (given.importance_bytes != 0 and given.importance_bytes != @as(u64, given.columns) * 4) return error.Refused;
        if (@as(u64, options.blocks()) * format.block_bytes > @min(given.blocks_bytes, std.math.maxInt(i32))) return error.Refused;
        if (given.outliers == .keep) return;
        if (!(given.threshold > 0) or format.block_elements % 32 != 0) return error.Refused;
        const words = @as(u64, options.blocks()) * format.block_elements / 32;
        if (given.outliers == .split and words * 4 > given.mask_bytes) return error.Refused;
    }

    pub fn valueBytes(options: Options) u32 {
        return if (options.given.source == .f32) 4 else 2;
    }

    pub fn blocks(options: Options) u32 {
        return options.given.values_bytes / (options.valueBytes() * options.format.block_elements);
    }
};

const Job = struct {
    args: level_table.Quantize,
    quantize: *const fn (args: *const level_table.Quantize, begin: usize, end: usize) callconv(.c) usize,
    blocks: u32,
    a_claim: u32,
    /// The first block that was refused.
    refused: std.atomic.Value(u32),

    fn claim(context: *anyopaque, item: u32, _: u32) void {
        const job: *Job = @ptrCast(@alignCast(context));
        const begin = item * job.a_claim;
        const end = @min(begin + job.a_claim, job.blocks);
        assert(begin < end);
        const done = job.quantize(&job.args, begin, end);
        assert(begin <= done and done <= end);
        if (done < end) _ = job.refused.fetchMin(@intCast(done), .monotonic);
    }
};

/// Writes blocks; returns how many come before the first that was refused. Buffers have the sizes that `options` says.
pub fn quantize(options: Options, values: [*]const u8, importance: ?[*]const u8, mask: ?[*]u8, blocks: [*]u8) error{Unsupported}!u32 {
    const count = options.blocks();
    assert(options.given.threads > 0 and @as(u64, count) * options.format.block_bytes <= options.given.blocks_bytes);
    var job: Job = .{
        .args = .{
            .values = values,
            .source = options.given.source,
            .rounding = options.given.rounding,
            .outliers = options.given.outliers,
            .threshold = options.given.threshold,
            .importance = if (options.given.importance_bytes == 0) null else @ptrCast(@alignCast(importance.?)),
            .columns = options.given.columns,
            .mask = if (options.given.outliers == .split) @ptrCast(@alignCast(mask.?)) else null,
            .blocks = blocks,
        },
        .quantize = quantize: {
            if (options.given.rounding == .nearest) if (options.format.nearest) |nearest| break :quantize nearest;
            break :quantize (dispatch.encoder(options.format.id) orelse return error.Unsupported).quantize;
        },
        .blocks = count,
        .a_claim = claimBlocks(options.format),
        .refused = .init(count),
    };
    share(options.given.threads, count, job.a_claim, &job, Job.claim);
    return job.refused.load(.monotonic);
}

const Decoding = struct {
    format: *const level_table.Format,
    source: [*]const u8,
    target: [*]f32,
    blocks: u32,
    a_claim: u32,

    fn claim(context: *anyopaque, item: u32, _: u32) void {
        const job: *Decoding = @ptrCast(@alignCast(context));
        const begin: usize = item * job.a_claim;
        assert(begin < job.blocks);
        const count = @min(job.a_claim, job.blocks - begin);
        job.format.decode(job.source + begin * job.format.block_bytes, count, job.target + begin * job.format.block_elements);
    }
};

pub fn dequantize(format: *const level_table.Format, threads: u32, source: [*]const u8, blocks: u32, target: [*]f32) void {
    const values = @as(u64, blocks) * format.block_elements;
    // What no cache keeps is taken in longer claims, which are stored past the caches.
    const a_claim = if (values < stream_from) claimBlocks(format) else level_table.stream_values / format.block_elements;
    assert(threads > 0 and a_claim > 0);
    var job: Decoding = .{ .format = format, .source = source, .target = target, .blocks = blocks, .a_claim = a_claim };
    share(threads, blocks, job.a_claim, &job, Decoding.claim);
}

fn claimBlocks(format: *const level_table.Format) u32 {
    return @max(16, claim_values / format.block_elements);
}
