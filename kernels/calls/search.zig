//! The rows of an index that are nearest to a query, for `VectorIndex.search`: all are scored, and each thread keeps the best that it
//! has seen. Of equal scores the earlier row is nearer, so the result does not depend on who has seen what. The caller waits, as
//! in `quantize.zig`: a call is over some megabytes.

const std = @import("std");
const assert = std.debug.assert;
const layouts = @import("../wire.zig").layouts;
const level_table = @import("../level/level_table.zig");
const dispatch = @import("../host/dispatch.zig");
const memory = @import("../host/memory.zig");
const Report = @import("../host/report.zig").Report;
const Words = @import("../host/words.zig").Words;
const share = @import("../threads/share.zig").share;

pub const Error = Words.Error || error{OutOfMemory};

/// Rows that are scored at once, and bytes of a claim: long enough to be a stream.
const scored = 64;
const claim_bytes = 256 << 10;

/// A row and its score, as they are handed out.
pub const Hit = extern struct {
    row: u32,
    score: f32,

    fn isNearer(a: Hit, b: Hit) bool {
        return a.score > b.score or (a.score == b.score and a.row < b.row);
    }

    fn nearerFirst(_: void, a: Hit, b: Hit) bool {
        return a.isNearer(b);
    }
};

/// The options of `wire.zig`, checked.
pub const Options = struct {
    given: layouts.Search,

    pub fn read(bytes: []const u8) Error!Options {
        var report: Report = .{};
        const given = try Words.whole(bytes, layouts.Search, &report);
        const rows: u64 = given.rows;
        const row_bytes = rowBytes(given);
        if (given.kind == .binary and given.dimensions % 8 != 0) return error.Refused;
        const scales_end = if (given.kind == .int8) @as(u64, given.scales_at) + rows * 4 else 0;
        if (@max(rows * row_bytes, scales_end) > given.data_bytes or given.scales_at % 4 != 0) return error.Refused;
        if (given.query_bytes != row_bytes) return error.Refused;
        if (given.mask_bytes != 0 and @as(u64, given.mask_bytes) * 8 < rows) return error.Refused;
        if (given.results_bytes < @as(u64, given.wanted) * @sizeOf(Hit)) return error.Refused;
        return .{ .given = given };
    }

    fn rowBytes(given: layouts.Search) u64 {
        return switch (given.kind) {
            .f32 => @as(u64, given.dimensions) * 4,
            .int8 => given.dimensions,
            .binary => given.dimensions / 8,
        };
    }
};

/// The nearest of those seen, the farthest of them first (a heap).
const Best = struct {
    hits: []Hit,
    count: usize = 0,

    fn put(best: *Best, hit: Hit) void {
        if (best.count < best.hits.len) {
            best.hits[best.count] = hit;
            best.count += 1;
            var at = best.count - 1;
            while (at > 0 and best.hits[(at - 1) / 2].isNearer(best.hits[at])) : (at = (at - 1) / 2) {
                std.mem.swap(Hit, &best.hits[at], &best.hits[(at - 1) / 2]);
            }
            return;
        }
        if (!hit.isNearer(best.hits[0])) return;
        best.hits[0] = hit;
        var at: usize = 0;
        while (true) {
            var farthest = at;
            for ([_]usize{ 2 * at + 1, 2 * at + 2 }) |child| {
                if (child < best.count and best.hits[farthest].isNearer(best.hits[child])) farthest = child;
            }
            if (farthest == at) return;
            std.mem.swap(Hit, &best.hits[at], &best.hits[farthest]);
            at = farthest;
        }
    }
};

const Job = struct {
    search: level_table.Search,
    rows: u32,
    claim_rows: u32,
    mask: ?[*]align(4) const u32,
    best: []Best,

    fn claim(context: *anyopaque, item: u32, thread: u32) void {
        const job: *Job = @ptrCast(@alignCast(context));
        const best = &job.best[thread];
        const end = @min(job.rows, (item + 1) * job.claim_rows);
        var first = item * job.claim_rows;
        assert(first < end and best.hits.len > 0);
        var scores: [scored]f32 = undefined;
        while (first < end) : (first += scored) {
            const last = @min(end, first + scored);
            if (!job.isAnyWanted(first, last)) continue;
            dispatch.level().score(&job.search, first, last, &scores);
            for (first..last, 0..) |row, i| {
                // The first comparison is all that most rows get.
                if (best.count == best.hits.len and scores[i] < best.hits[0].score) continue;
                if (job.isWanted(row)) best.put(.{ .row = @intCast(row), .score = scores[i] });
            }
        }
    }

    fn isWanted(job: *const Job, row: usize) bool {
        const mask = job.mask orelse return true;
        return mask[row / 32] >> @intCast(row % 32) & 1 == 1;
    }

    fn isAnyWanted(job: *const Job, first: u32, last: u32) bool {
        const mask = job.mask orelse return true;
        return for (first / 32..(last + 31) / 32) |word| {
            if (mask[word] != 0) break true;
        } else false;
    }
};

/// Writes the nearest rows, the nearest first; returns how many. Buffers have the sizes that `options` says.
pub fn search(options: Options, rows: [*]const u8, query: [*]const u8, mask: ?[*]align(4) const u32, results: [*]Hit) Error!u32 {
    const given = options.given;
    if (given.rows == 0) return 0;
    const row_bytes: u32 = @intCast(Options.rowBytes(given));
    const claim_rows = std.mem.alignForward(u32, @max(1, claim_bytes / row_bytes), scored);
    const claims = std.math.divCeil(u32, given.rows, claim_rows) catch unreachable;
    const threads = @min(given.threads, claims);
    var layout: memory.Layout = .{};
    var hits: []Hit = undefined;
    var best: []Best = undefined;
    const arena = for ([_]bool{ true, false }) |measuring| {
        hits = layout.array(Hit, threads * given.wanted) catch return error.OutOfMemory;
        best = layout.array(Best, threads) catch return error.OutOfMemory;
        if (measuring) {
            const bytes = memory.allocate(.scratch, layout.at) orelse return error.OutOfMemory;
            layout = .{ .base = bytes.ptr };
        } else break layout.base.?[0..layout.at];
    } else unreachable;
    defer memory.release(.scratch, arena);
    for (best, 0..) |*one, thread| one.* = .{ .hits = hits[thread * given.wanted ..][0..given.wanted] };
    var job: Job = .{
        .search = .{
            .kind = given.kind,
            .dimensions = given.dimensions,
            .row_bytes = row_bytes,
            .rows = rows,
            .scales = if (given.kind == .int8) rows + given.scales_at else null,
            .query = query,
            .query_scale = given.query_scale,
        },
        .rows = given.rows,
        .claim_rows = claim_rows,
        .mask = if (given.mask_bytes == 0) null else mask,
        .best = best,
    };
    share(threads, claims, 1, &job, Job.claim);
    var count: usize = 0;
    for (best) |one| {
        std.mem.copyForwards(Hit, hits[count..], one.hits[0..one.count]);
        count += one.count;
    }
    std.mem.sort(Hit, hits[0..count], {}, Hit.nearerFirst);
    const given_out = @min(count, given.wanted);
    @memcpy(results[0..given_out], hits[0..given_out]);
    return @intCast(given_out);
}
