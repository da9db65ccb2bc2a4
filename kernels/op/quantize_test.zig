//! Encoders at every level that this processor runs: plain rounding against each format's scalar encode, the search
//! against the lowest level, and both against what a caller may get wrong.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const dispatch = @import("../host/dispatch.zig");
const format = @import("../formats/format.zig");
const formats = @import("../formats/list.zig");
const testing = std.testing;

const blocks = 37;

fn args(values: []const f32, out: []u8, rounding: level_table.Rounding) level_table.Quantize {
    return .{
        .values = @ptrCast(values.ptr),
        .source = .f32,
        .rounding = rounding,
        .outliers = .keep,
        .threshold = 0,
        .importance = null,
        .columns = @intCast(values.len),
        .mask = null,
        .blocks = out.ptr,
    };
}

/// Blocks of every kind: ordinary, with a spike, constant, zero, tiny, huge, of one sign, with ties.
fn fill(values: []f32, elements: usize, random: std.Random) void {
    for (values, 0..) |*value, i| {
        const x = random.floatNorm(f32);
        value.* = switch (i / elements % 9) {
            0, 1 => x,
            2 => if (i % elements == 7) 40 * x else x,
            3 => 0.7,
            4 => if (i % 2 == 0) 0.0 else -0.0,
            5 => x * 1e-7,
            6 => x * 1e-41,
            7 => @abs(x) + 3,
            else => @as(f32, @floatFromInt(random.intRangeAtMost(i32, -16, 16))) / 2,
        };
    }
}

fn tableOf(id: u32) *const level_table.Format {
    const level = dispatch.levels()[0];
    for (level.formats[0..level.formats_len]) |*table| if (table.id == id) return table;
    unreachable;
}

/// What rounds at level `number`.
fn quantizeOf(number: usize, id: u32, rounding: level_table.Rounding) @FieldType(level_table.Encoder, "quantize") {
    const level = dispatch.levels()[number];
    const tables = level.formats[0..level.formats_len];
    if (rounding == .nearest) for (tables) |table| if (table.id == id) if (table.nearest) |nearest| return nearest;
    return dispatch.encoderAt(number, id).?.quantize;
}

fn makes(id: u32) bool {
    return dispatch.encoderAt(0, id) != null;
}

test "plain rounding equals the scalar encode" {
    var random = std.Random.DefaultPrng.init(11);
    inline for (formats.list) |F| {
        const first = tableOf(F.id);
        if (makes(F.id)) if (first.encode) |encode| {
            var values: [blocks * F.block_elements]f32 = undefined;
            fill(&values, F.block_elements, random.random());
            var expected: [blocks * @sizeOf(F.Block)]u8 = undefined;
            encode(&values, blocks, &expected);
            for (0..dispatch.levels().len) |number| {
                var bytes: [blocks * @sizeOf(F.Block)]u8 = undefined;
                const quantize = quantizeOf(number, F.id, .nearest);
                try testing.expectEqual(blocks, quantize(&args(&values, &bytes, .nearest), 0, blocks));
                if (F.kind == .float or format.features(F).rounding == .linear or format.features(F).rounding == .grid) try testing.expectEqualSlices(u8, &expected, &bytes);
            }
        };
    }
}

test "every level finds the same, whatever the blocks beside it, and nothing worse than plain rounding" {
    var random = std.Random.DefaultPrng.init(12);
    inline for (formats.list) |F| if (makes(F.id)) {
        var values: [blocks * F.block_elements]f32 = undefined;
        fill(&values, F.block_elements, random.random());
        var importance: [values.len]f32 = undefined;
        for (&importance) |*weight| weight.* = random.random().float(f32);
        @memset(importance[0..F.block_elements], 0);
        for ([_]level_table.Rounding{ .nearest, .search }) |rounding| for ([_]?[*]const f32{ null, &importance }) |weights| {
            var expected: [blocks * @sizeOf(F.Block)]u8 = undefined;
            var request = args(&values, &expected, rounding);
            request.importance = weights;
            try testing.expectEqual(blocks, quantizeOf(0, F.id, rounding)(&request, 0, blocks));
            for (0..dispatch.levels().len) |number| {
                var bytes: [blocks * @sizeOf(F.Block)]u8 = undefined;
                request.blocks = &bytes;
                const quantize = quantizeOf(number, F.id, rounding);
                try testing.expectEqual(blocks, quantize(&request, 20, blocks));
                try testing.expectEqual(20, quantize(&request, 5, 20));
                try testing.expectEqual(5, quantize(&request, 0, 5));
                try testing.expectEqualSlices(u8, &expected, &bytes);
            }
        };
        try neverWorse(F, &values);
    };
}

fn neverWorse(comptime F: type, values: []const f32) !void {
    const table = tableOf(F.id);
    var bytes: [2][blocks * @sizeOf(F.Block)]u8 = undefined;
    for ([_]level_table.Rounding{ .nearest, .search }, &bytes) |rounding, *out| {
        _ = quantizeOf(0, F.id, rounding)(&args(values, out, rounding), 0, blocks);
    }
    for (0..blocks) |b| {
        var errors: [2]f64 = @splat(0);
        for (&bytes, &errors) |*out, *sum| {
            var back: [F.block_elements]f32 = undefined;
            table.decode(out[b * @sizeOf(F.Block) ..].ptr, 1, &back);
            for (back, values[b * F.block_elements ..][0..F.block_elements]) |y, x| sum.* += (@as(f64, x) - y) * (@as(f64, x) - y);
        }
        try testing.expect(errors[1] <= errors[0] * (1 + 1e-6) + 1e-60);
    }
}

test "a value that is not finite, and one beyond what a scale can hold, end at their block" {
    @setEvalBranchQuota(2000);
    inline for (formats.list) |F| if (makes(F.id)) {
        var values: [blocks * F.block_elements]f32 = @splat(0.5);
        var bytes: [blocks * @sizeOf(F.Block)]u8 = undefined;
        for (0..dispatch.levels().len) |number| for ([_]level_table.Rounding{ .nearest, .search }) |rounding| {
            for ([_]f32{ std.math.nan(f32), std.math.inf(f32), -std.math.inf(f32), 3e38 }) |bad| for ([_]usize{ 0, 17, blocks - 1 }) |place| {
                if (bad == 3e38 and (F.id == 0 or F.id == 30 or F.id == 39)) continue; // their scales reach as far as f32
                const at = place * F.block_elements + F.block_elements / 2;
                values[at] = bad;
                defer values[at] = 0.5;
                try testing.expectEqual(place, quantizeOf(number, F.id, rounding)(&args(&values, &bytes, rounding), 0, blocks));
            };
        };
    };
}

/// The part of their squares that values on the points of one format lose when a search makes blocks of another.
fn lostAgain(comptime Made: type, comptime Again: type, rounding: level_table.Rounding, random: std.Random) !f64 {
    const elements = 24 * 256;
    var made: [elements]f32 = undefined;
    var bytes: [elements / Made.block_elements * @sizeOf(Made.Block)]u8 = undefined;
    for (&made) |*value| value.* = random.floatNorm(f32);
    const count = elements / Made.block_elements;
    try testing.expectEqual(count, quantizeOf(0, Made.id, rounding)(&args(&made, &bytes, rounding), 0, count));
    tableOf(Made.id).decode(&bytes, count, &made);
    var again: [elements / Again.block_elements * @sizeOf(Again.Block)]u8 = undefined;
    const others = elements / Again.block_elements;
    try testing.expectEqual(others, quantizeOf(0, Again.id, .search)(&args(&made, &again, .search), 0, others));
    var back: [elements]f32 = undefined;
    tableOf(Again.id).decode(&again, others, &back);
    var lost: f64 = 0;
    var all: f64 = 0;
    for (made, back) |x, y| {
        lost += @as(f64, x - y) * (x - y);
        all += @as(f64, x) * x;
    }
    return lost / all;
}

test "what lies on a format's own points comes back as it was" {
    var random = std.Random.DefaultPrng.init(15);
    inline for (formats.list) |F| if (comptime format.features(F).rare) {
        try testing.expect(try lostAgain(F, F, .search, random.random()) < 0.02);
    };
    inline for (.{ "Q4_1", "Q5_1", "Q4_K", "Q5_K", "Q6_K" }) |name| {
        const F = named(name);
        const least: f64 = if (F.block_elements == 256) 1e-4 else 1e-6;
        for ([_]level_table.Rounding{ .nearest, .search }) |rounding| {
            try testing.expect(try lostAgain(F, F, rounding, random.random()) < least);
        }
    }
    // On every other level of a format with a bit more.
    try testing.expect(try lostAgain(named("Q4_1"), named("Q5_1"), .nearest, random.random()) < 1e-6);
}

/// A format by its name.
fn named(comptime name: []const u8) type {
    inline for (formats.list) |F| if (comptime std.mem.eql(u8, F.name, name)) return F;
}

test "outliers are clipped, or marked and kept out of their block's scale" {
    inline for (formats.list) |F| if (comptime F.kind == .block) if (makes(F.id)) {
        var random = std.Random.DefaultPrng.init(13);
        var values: [4 * F.block_elements]f32 = undefined;
        for (&values) |*value| value.* = random.random().float(f32) - 0.5;
        values[2 * F.block_elements + 5] = 30;
        var mask: [values.len / 32]u32 = @splat(0xffff_ffff);
        for (0..dispatch.levels().len) |number| {
            var bytes: [4 * @sizeOf(F.Block)]u8 = undefined;
            var request = args(&values, &bytes, .nearest);
            request.outliers = .split;
            request.threshold = 4;
            request.mask = &mask;
            try testing.expectEqual(4, quantizeOf(number, F.id, .nearest)(&request, 0, 4));
            for (mask, 0..) |word, i| try testing.expectEqual(if (i == 2 * F.block_elements / 32) @as(u32, 1 << 5) else 0, word);
            var back: [values.len]f32 = undefined;
            tableOf(F.id).decode(&bytes, 4, &back);
            // One bit has no level near zero.
            for (back, values, 0..) |y, x, i| if (i != 2 * F.block_elements + 5) try testing.expectApproxEqAbs(x, y, if (F.id == 41) 0.8 else 0.5);
        }
    };
}

test "calibrated rounding finds the same at every level, whatever rows are together, and less than half of what a search loses" {
    const columns = 512;
    const rows = 20;
    var random = std.Random.DefaultPrng.init(13);
    const allocator = testing.allocator;
    // Inputs that have much in common: few directions, and a little of their own.
    const inputs = try allocator.alloc(f32, 96 * columns);
    defer allocator.free(inputs);
    for (0..96) |t| for (0..columns) |i| {
        const shared = if (t < 12 or i % 12 == t % 12) random.random().floatNorm(f32) else inputs[(t % 12) * columns + i];
        inputs[t * columns + i] = shared + 0.3 * random.random().floatNorm(f32);
    };
    const level = dispatch.encodersAt(0);
    const both = try allocator.alloc(f32, 2 * columns * columns);
    defer allocator.free(both);
    const sums = try allocator.alloc(f32, columns * columns);
    defer allocator.free(sums);
    @memset(sums, 0);
    level.gram(&.{ .x = inputs.ptr, .y = inputs.ptr, .tokens = 96, .x_cols = columns, .cols = columns, .out = sums.ptr }, 0, columns);
    for (0..columns) |i| for (0..i) |j| {
        sums[i * columns + j] = sums[j * columns + i];
    };
    for (0..columns) |i| sums[i * columns + i] += 2;
    const matrix = try allocator.alloc(f64, columns * columns);
    defer allocator.free(matrix);
    for (matrix, sums) |*to, from| to.* = from;
    const all: level_table.FactorColumns = .{ .first = 0, .last = columns };
    try testing.expectEqual(columns, level.factorCorner(matrix.ptr, columns, all));
    const room = try allocator.alignedAlloc(f32, .@"64", (columns + level_table.calibrate_strip) * 2 * level_table.lanes);
    defer allocator.free(room);
    var importance: [columns]f32 = undefined;
    for (0..columns) |j| {
        const inverse = matrix[j * columns + j];
        importance[j] = @floatCast(1 / (inverse * inverse));
        for (0..columns) |i| {
            const at = j / level_table.calibrate_panel * level_table.calibrate_panel * columns + i * level_table.calibrate_panel + j % level_table.calibrate_panel;
            both[at] = if (i < j) @floatCast(matrix[i * columns + j] * inverse) else 0;
            both[columns * columns + at] = sums[i * columns + j];
        }
    }
    var values: [rows * columns]f32 = undefined;
    for (&values) |*value| value.* = random.random().floatNorm(f32);
    inline for (formats.list) |F| if (dispatch.encoderAt(0, F.id)) |first| if (first.calibrate) |_| {
        const per_row = columns / F.block_elements;
        var expected: [rows * per_row * @sizeOf(F.Block)]u8 = undefined;
        for (0..dispatch.levels().len) |number| {
            const encoder = dispatch.encoderAt(number, F.id).?;
            var bytes: [expected.len]u8 = undefined;
            var left = values;
            const calibrate: level_table.Calibrate = .{
                .values = &left,
                .factor = both.ptr,
                .importance = &importance,
                .sums = both.ptr + columns * columns,
                .columns = columns,
                .blocks = if (number == 0) &expected else &bytes,
                .quantize = encoder.quantize,
            };
            const first_part: u32 = if (number == 0) rows else 8;
            if (number > 0) try testing.expectEqual(rows, encoder.calibrate.?(&calibrate, first_part, rows, room.ptr));
            try testing.expectEqual(first_part, encoder.calibrate.?(&calibrate, 0, first_part, room.ptr));
            if (number > 0) try testing.expectEqualSlices(u8, &expected, &bytes);
            // What is left is what the blocks lack.
            var made: [rows * columns]f32 = undefined;
            tableOf(F.id).decode(if (number == 0) &expected else &bytes, rows * per_row, &made);
            for (values, made, left) |value, back, rest| try testing.expectApproxEqAbs(value - back, rest, 2e-5);
            const searched = searched: {
                var other: [expected.len]u8 = undefined;
                _ = encoder.quantize(&args(&values, &other, .search), 0, rows * per_row);
                tableOf(F.id).decode(&other, rows * per_row, &made);
                for (&made, values) |*back, value| back.* = value - back.*;
                break :searched cost(&made, sums, columns);
            };
            try testing.expect(cost(&left, sums, columns) < 0.5 * searched);
        }
    };
}

test "blocks decoded in vectors, past the caches too, are the scalar decoder's floats" {
    const count = 8200; // of 32: more than what is stored past the caches, and no multiple of it
    const allocator = testing.allocator;
    var random = std.Random.DefaultPrng.init(14);
    const out = try allocator.alignedAlloc(f32, .@"64", count * 32 + 1);
    defer allocator.free(out);
    inline for (formats.list) |F| if (comptime F.kind == .block and F.block_elements == 32) {
        const bytes = try allocator.alloc(u8, count * @sizeOf(F.Block));
        defer allocator.free(bytes);
        random.random().bytes(bytes);
        const source: [*]align(1) const F.Block = @ptrCast(bytes.ptr);
        for (dispatch.levels()) |level| for (level.formats[0..level.formats_len]) |table| if (table.id == F.id) {
            for ([_]usize{ 0, 1 }) |offset| for ([_]usize{ 3, count }) |some| {
                table.decode(bytes.ptr, some, out.ptr + offset);
                for (0..some) |b| {
                    var expected: [32]f32 = undefined;
                    F.decode(&source[b], &expected);
                    for (expected, out[offset + b * 32 ..][0..32]) |value, made| {
                        if (std.math.isNan(value)) try testing.expect(std.math.isNan(made)) else try testing.expectEqual(@as(u32, @bitCast(value)), @as(u32, @bitCast(made)));
                    }
                }
            };
        };
    };
}

/// The sum over rows of e H e'.
fn cost(errors: []const f32, sums: []const f32, columns: usize) f64 {
    var total: f64 = 0;
    for (0..errors.len / columns) |row| for (0..columns) |i| {
        var slope: f64 = 0;
        for (0..columns) |j| slope += @as(f64, errors[row * columns + j]) * sums[i * columns + j];
        total += slope * errors[row * columns + i];
    };
    return total;
}
