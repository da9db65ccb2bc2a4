//! Activations for products that are measured: rows of numbers that differ, as a level has them in integers.

const std = @import("std");
const level_table = @import("kernels").level_table;

const a = std.heap.c_allocator;

pub const Activations = struct {
    x: level_table.Activations,

    pub fn init(level: *const level_table.Level, tokens: u32, cols: u32) !Activations {
        const spans = tokens * cols / level_table.span;
        const rows = try a.alloc(f32, tokens * cols);
        for (rows, 0..) |*value, i| value.* = @floatFromInt(@as(i32, @intCast(i * 7919 % 255)) - 127);
        const result: Activations = .{
            .x = .{
                .tokens = tokens,
                .cols = cols,
                .bits = .int8,
                .row_stride = cols,
                .rows = rows.ptr,
                .q = (try a.alignedAlloc(i8, .@"64", tokens * cols)).ptr,
                .q_low = undefined, // 8 bits only
                .scales = (try a.alloc(f32, spans)).ptr,
                .sums = (try a.alloc(i32, 2 * spans)).ptr,
                .sums_low = undefined,
            },
        };
        for (0..tokens) |t| if (level.quantizeSpans(&result.x, @intCast(t), 0, cols / level_table.span) != 0) unreachable;
        return result;
    }

    pub fn deinit(activations: *Activations) void {
        const x = activations.x;
        const spans = x.tokens * x.cols / level_table.span;
        a.free(x.rows[0 .. x.tokens * x.cols]);
        a.free(@as([*]align(64) i8, @alignCast(x.q))[0 .. x.tokens * x.cols]);
        a.free(x.scales[0..spans]);
        a.free(x.sums[0 .. 2 * spans]);
    }
};
