//! Blocks from floats, floats from blocks, on the pool. The caller waits (TypeScript gives large tensors in slices and its
//! event loop a turn between them), so the call never waits for the pool: where an engine has it, the caller computes
//! alone. What a thread does depends on nothing but its blocks: any number of threads gives the same bytes.

const std = @import("std");
const assert = std.debug.assert;
const layouts = @import("../wire.zig").layouts;
const limits = @import("../limits.zig");
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
    const encoder = dispatch.encoder(options.format.id);
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
            break :quantize (encoder orelse return error.Unsupported).quantize;
        },
        .blocks = count,
        .a_claim = @max(4, (if (encoder) |own| own.claim_values else claim_values) / options.format.block_elements),
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

/// Values of a claim of `difference`, and of what lies decoded in the nearest cache.
const differing_values = 1 << 14;
const decoded_values = 1 << 10;
const differing_claims = limits.difference_values_max / differing_values;

/// The options of a difference, checked.
pub const Comparing = struct {
    format: *const level_table.Format,
    given: layouts.Compared,

    pub fn read(bytes: []const u8) Error!Comparing {
        var report: Report = .{};
        const given = try Words.whole(bytes, layouts.Compared, &report);
        const comparing: Comparing = .{ .format = dispatch.format(given.format) orelse return error.Unsupported, .given = given };
        const format = comparing.format;
        const values = comparing.count();
        if (given.values_bytes % comparing.valueBytes() != 0 or values > limits.difference_values_max or values % format.block_elements != 0) return error.Refused;
        if (@as(u64, values / format.block_elements) * format.block_bytes != given.blocks_bytes) return error.Refused;
        return comparing;
    }

    pub fn valueBytes(comparing: Comparing) u32 {
        return if (comparing.given.source == .f32) 4 else 2;
    }

    pub fn count(comparing: Comparing) u32 {
        return comparing.given.values_bytes / comparing.valueBytes();
    }
};

/// Blocks, and the values that they are compared with.
const Compared = struct {
    format: *const level_table.Format,
    blocks: [*]const u8,
    source: level_table.Source,
    values: [*]const u8,
    count: u32,

    /// The sums of a claim.
    fn sums(compared: *const Compared, begin: u32, end: u32) level_table.Difference {
        var all: level_table.Difference = .{};
        var made: [decoded_values]f32 align(64) = undefined;
        var widened: [decoded_values]f32 align(64) = undefined;
        const format = compared.format;
        var at = begin;
        while (at < end) : (at += decoded_values) {
            const count = @min(decoded_values, end - at);
            format.decode(compared.blocks + @as(usize, at / format.block_elements) * format.block_bytes, count / format.block_elements, &made);
            const values: [*]const f32 = if (compared.source == .f32) @as([*]const f32, @ptrCast(@alignCast(compared.values))) + at else widen: {
                dispatch.format(@intFromEnum(compared.source)).?.decode(compared.values + @as(usize, at) * 2, count, &widened);
                break :widen &widened;
            };
            var some: level_table.Difference = undefined;
            dispatch.encoders().difference(values, &made, count, &some);
            add(&all, some);
        }
        return all;
    }
};

fn add(all: *level_table.Difference, some: level_table.Difference) void {
    all.squares += some.squares;
    if (some.greatest > all.greatest or std.math.isNan(some.greatest)) all.greatest = some.greatest;
    all.products += some.products;
    all.values += some.values;
    all.made += some.made;
}

const Differing = struct {
    compared: Compared,
    claims: [differing_claims]level_table.Difference,

    fn claim(context: *anyopaque, item: u32, _: u32) void {
        const job: *Differing = @ptrCast(@alignCast(context));
        const begin = item * differing_values;
        assert(begin < job.compared.count);
        job.claims[item] = job.compared.sums(begin, @min(begin + differing_values, job.compared.count));
    }
};

/// How far blocks are from values. The sums of claims are added in order, whichever thread made them.
pub fn difference(options: Comparing, blocks: [*]const u8, values: [*]const u8) level_table.Difference {
    const count = options.count();
    assert(count > 0 and count <= limits.difference_values_max);
    var job: Differing = .{
        .compared = .{ .format = options.format, .blocks = blocks, .source = options.given.source, .values = values, .count = count },
        .claims = undefined,
    };
    share(options.given.threads, count, differing_values, &job, Differing.claim);
    var all: level_table.Difference = .{};
    for (job.claims[0 .. std.math.divCeil(u32, count, differing_values) catch unreachable]) |some| add(&all, some);
    return all;
}

fn claimBlocks(format: *const level_table.Format) u32 {
    return @max(16, claim_values / format.block_elements);
}
