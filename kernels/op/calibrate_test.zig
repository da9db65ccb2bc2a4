//! What calibrated rounding goes by, at every level: sums of products against plain loops, bit for bit, and rows that are solved
//! against what they must give.

const std = @import("std");
const testing = std.testing;
const dispatch = @import("../host/dispatch.zig");
const Gram = @import("../level/level_table.zig").Gram;
const solved_together = @import("../level/level_table.zig").solved_together;

const columns = 86;
const tokens = 70;

fn fill(floats: []f32, seed: u64) void {
    var random: std.Random.DefaultPrng = .init(seed);
    for (floats) |*x| x.* = random.random().floatNorm(f32);
}

test "sums of products are those of plain loops, right of the diagonal too where both sides are one" {
    var x: [tokens * columns]f32 align(64) = undefined;
    var y: [tokens * columns]f32 align(64) = undefined;
    fill(&x, 1);
    fill(&y, 2);
    for (0..dispatch.levels().len) |number| for ([_]*const [tokens * columns]f32{ &x, &y }) |right| {
        const level = dispatch.encodersAt(number);
        var sums: [columns * columns]f32 align(64) = @splat(0.5);
        // In two parts, neither a multiple of anything.
        const args: Gram = .{ .x = &x, .y = right, .tokens = tokens, .x_cols = columns, .cols = columns, .out = &sums };
        level.gram(&args, 0, 37);
        level.gram(&args, 37, columns);
        for (0..columns) |i| for (0..columns) |j| {
            if (right == &x and j < i) continue;
            var sum: f32 = 0;
            for (0..tokens) |t| sum = @mulAdd(f32, x[t * columns + i], right[t * columns + j], sum);
            try testing.expectEqual(0.5 + sum, sums[i * columns + j]);
        };
    };
}

test "solved rows times the matrix are the rows, with the same bits at every level and beside any others" {
    const allocator = testing.allocator;
    var x: [2 * columns * columns]f32 align(64) = undefined;
    fill(&x, 3);
    const square = try allocator.alloc(f64, columns * columns);
    defer allocator.free(square);
    for (0..columns) |i| for (0..columns) |j| {
        var sum: f64 = if (i == j) 1 else 0;
        for (0..2 * columns) |t| sum += @as(f64, x[t * columns + i]) * x[t * columns + j];
        square[i * columns + j] = sum;
    };
    const matrix = try allocator.dupe(f64, square);
    defer allocator.free(matrix);
    var rows: [solved_together * columns]f32 = undefined;
    fill(&rows, 4);
    var first: [rows.len]f32 = undefined;
    const room = try allocator.alignedAlloc(f64, .@"64", columns * solved_together);
    defer allocator.free(room);
    for (0..dispatch.levels().len) |number| {
        const level = dispatch.encodersAt(number);
        if (number == 0) {
            var k: u32 = columns;
            while (k > 0) {
                k -= 1;
                matrix[@as(usize, k) * columns + k] = 1 / @sqrt(level.factorPivot(matrix.ptr, columns, k));
                level.factorColumn(matrix.ptr, columns, k, 0, k);
            }
        }
        var solved = rows;
        level.solve(matrix.ptr, columns, &solved, solved_together, room.ptr);
        if (number == 0) first = solved;
        try testing.expectEqualSlices(f32, &first, &solved);
        var alone = rows;
        level.solve(matrix.ptr, columns, alone[3 * columns ..], 1, room.ptr);
        try testing.expectEqualSlices(f32, solved[3 * columns ..][0..columns], alone[3 * columns ..][0..columns]);
    }
    for (0..solved_together) |row| for (0..columns) |column| {
        var product: f64 = 0;
        for (0..columns) |k| product += @as(f64, first[row * columns + k]) * square[k * columns + column];
        try testing.expectApproxEqAbs(@as(f64, rows[row * columns + column]), product, 1e-3);
    };
}
