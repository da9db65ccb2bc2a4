//! What calibrated rounding goes by, at every level: sums of products against plain loops, bit for bit, and rows that are solved
//! against what they must give.

const std = @import("std");
const testing = std.testing;
const dispatch = @import("../host/dispatch.zig");
const Gram = @import("../level/level_table.zig").Gram;
const FactorColumns = @import("../level/level_table.zig").FactorColumns;
const solved_rows = @import("../level/level_table.zig").solved_rows;

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

test "columns of a factor made together are those made one after the other, at every level, whatever rows are beside a row" {
    const allocator = testing.allocator;
    var x: [2 * columns * columns]f32 align(64) = undefined;
    fill(&x, 5);
    const square = try allocator.alloc(f64, columns * columns);
    defer allocator.free(square);
    for (0..columns) |i| for (0..columns) |j| {
        var sum: f64 = if (i == j) 1 else 0;
        for (0..2 * columns) |t| sum += @as(f64, x[t * columns + i]) * x[t * columns + j];
        square[i * columns + j] = sum;
    };
    const at_once = try allocator.dupe(f64, square);
    defer allocator.free(at_once);
    try testing.expectEqual(columns, dispatch.encodersAt(0).factorCorner(at_once.ptr, columns, .{ .first = 0, .last = columns }));
    const first = try allocator.dupe(f64, square);
    defer allocator.free(first);
    const other = try allocator.dupe(f64, square);
    defer allocator.free(other);
    for (0..dispatch.levels().len) |number| {
        const level = dispatch.encodersAt(number);
        const matrix = if (number == 0) first else other;
        @memcpy(matrix, square);
        var last: u32 = columns;
        while (last > 0) {
            const part: FactorColumns = .{ .first = last -| 32, .last = last };
            // In two parts, of which none is whole tiles.
            level.factorUpdate(matrix.ptr, columns, part, 0, last / 2 | 1);
            level.factorUpdate(matrix.ptr, columns, part, last / 2 | 1, last);
            try testing.expectEqual(last, level.factorCorner(matrix.ptr, columns, part));
            level.factorRows(matrix.ptr, columns, part, 0, part.first);
            last = part.first;
        }
        for (0..columns) |i| for (i..columns) |k| {
            try testing.expectApproxEqRel(at_once[i * columns + k] + 1e3, matrix[i * columns + k] + 1e3, 1e-12);
            try testing.expectEqual(first[i * columns + k], matrix[i * columns + k]);
        };
    }
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
    var rows: [solved_rows * columns]f32 = undefined;
    fill(&rows, 4);
    var first: [rows.len]f32 = undefined;
    const room = try allocator.alignedAlloc(f64, .@"64", columns * solved_rows);
    defer allocator.free(room);
    for (0..dispatch.levels().len) |number| {
        const level = dispatch.encodersAt(number);
        if (number == 0) {
            const all: FactorColumns = .{ .first = 0, .last = columns };
            try testing.expectEqual(columns, level.factorCorner(matrix.ptr, columns, all));
        }
        var solved = rows;
        level.solve(matrix.ptr, columns, &solved, solved_rows, room.ptr);
        if (number == 0) first = solved;
        try testing.expectEqualSlices(f32, &first, &solved);
        var alone = rows;
        level.solve(matrix.ptr, columns, alone[3 * columns ..], 1, room.ptr);
        try testing.expectEqualSlices(f32, solved[3 * columns ..][0..columns], alone[3 * columns ..][0..columns]);
    }
    for (0..solved_rows) |row| for (0..columns) |column| {
        var product: f64 = 0;
        for (0..columns) |k| product += @as(f64, first[row * columns + k]) * square[k * columns + column];
        try testing.expectApproxEqAbs(@as(f64, rows[row * columns + column]), product, 1e-3);
    };
}
