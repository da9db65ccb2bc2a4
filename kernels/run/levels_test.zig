//! Whole models at every level: what a step computes of a prompt, and of tokens one by one, has the same bits. The matrix unit
//! takes part emulated where the processor has none. Linux and macOS only: the model is a temporary file.

const std = @import("std");
const builtin = @import("builtin");
const dispatch = @import("../host/dispatch.zig");
const engine_test = @import("engine_test.zig");
const level_table = @import("../level/level_table.zig");
const test_levels = @import("../op/test_levels.zig");
const test_model = @import("test_model.zig");
const Fixture = test_model.Fixture;
const testing = std.testing;

const tokens_count = 70;
const vocabulary = test_model.vocabulary;

const Model = struct { format: u32, shape: test_model.Shape = .{} };

/// Formats of each way to add spans that rows of 64 columns may have, and experts, whose products have tokens of their own number.
const models = [_]Model{
    .{ .format = 2 },
    .{ .format = 3 },
    .{ .format = 8 },
    .{ .format = 6 },
    .{ .format = 2, .shape = .{ .experts = 3, .used = 2 } },
};

test "whole models have the same bits at every level, the matrix unit's too" {
    if (builtin.os.tag == .windows) return error.SkipZigTest;
    const list = test_levels.all();
    try sameBits(list.slice());
}

test "whole models have the same bits on AMX itself as at the level below" {
    if (builtin.os.tag == .windows) return error.SkipZigTest;
    const levels = dispatch.levels();
    if (!test_levels.isReal(levels[levels.len - 1])) return error.SkipZigTest;
    try sameBits(levels[levels.len - 2 ..]);
}

fn sameBits(levels: []const *const level_table.Level) !void {
    const before = dispatch.exchange(levels[0]);
    defer _ = dispatch.exchange(before);
    var tokens: [tokens_count]u32 = undefined;
    for (&tokens, 0..) |*token, i| token.* = @intCast((i * 7 + i / 11) % vocabulary);
    for (models) |which| for ([_]u32{ 8, 16 }) |bits| {
        var expected: [tokens_count * vocabulary]f32 = undefined;
        var chosen: u32 = 0;
        for (levels, 0..) |level, number| {
            _ = dispatch.exchange(level);
            var fixture: Fixture = try .makeShape(which.format, 3, which.shape);
            defer fixture.deinit();
            const model = try fixture.load();
            defer model.object.release();
            var got: [tokens_count * vocabulary]f32 = undefined;
            const token = try engine_test.logitsOf(model, &tokens, .{ .bits = bits, .threads = 2, .chunk = level_table.matrix_tokens_min + 2 }, &got);
            if (number == 0) {
                chosen = token;
                expected = got;
                continue;
            }
            try testing.expectEqual(chosen, token);
            try testing.expectEqualSlices(u32, @ptrCast(&expected), @ptrCast(&got));
        }
    };
}
