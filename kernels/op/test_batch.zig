//! A batch of activations for tests, in memory that ends where it must: what a kernel reads past it, the testing
//! allocator's neighbours or a guard would show.

const std = @import("std");
const level_table = @import("../level/level_table.zig");

/// Where a test's memory comes from; a test of what lies around it sets another.
pub var allocator: std.mem.Allocator = std.testing.allocator;

pub const Batch = struct {
    x: level_table.Activations,
    rows: []f32,
    q: []align(64) i8,
    q_low: []align(64) i8,
    scales: []f32,
    sums: []i32,
    sums_low: []i32,

    pub fn init(tokens: u32, cols: u32, bits: level_table.ActivationBits) !Batch {
        const spans = tokens * (cols / level_table.span);
        const rows = try allocator.alloc(f32, tokens * cols);
        const q = try allocator.alignedAlloc(i8, .@"64", spans * level_table.span);
        const q_low = try allocator.alignedAlloc(i8, .@"64", spans * level_table.span);
        const scales = try allocator.alloc(f32, spans);
        const sums = try allocator.alloc(i32, 2 * spans);
        const sums_low = try allocator.alloc(i32, 2 * spans);
        return .{
            .x = .{
                .tokens = tokens,
                .cols = cols,
                .bits = bits,
                .row_stride = cols,
                .rows = rows.ptr,
                .q = q.ptr,
                .q_low = q_low.ptr,
                .scales = scales.ptr,
                .sums = sums.ptr,
                .sums_low = sums_low.ptr,
            },
            .rows = rows,
            .q = q,
            .q_low = q_low,
            .scales = scales,
            .sums = sums,
            .sums_low = sums_low,
        };
    }

    pub fn deinit(batch: *Batch) void {
        inline for (.{ "rows", "q", "q_low", "scales", "sums", "sums_low" }) |name| allocator.free(@field(batch, name));
    }

    /// So that what one level left cannot pass for another's work.
    pub fn clear(batch: *Batch) void {
        @memset(batch.q, 0x55);
        @memset(batch.q_low, 0x55);
        @memset(batch.scales, std.math.nan(f32));
        @memset(batch.sums, 0x5555_5555);
        @memset(batch.sums_low, 0x5555_5555);
    }

    /// Where span `s` of token `t` lies, in spans.
    pub fn spanIndex(batch: *const Batch, t: usize, s: usize) usize {
        const spans = batch.x.cols / level_table.span;
        return level_table.TilePlace.of(batch.x.tokens, @intCast(t)).span(spans, s);
    }
};
