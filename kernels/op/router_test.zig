//! The choice of experts at every level that this processor runs, against the scalar reference: bit for bit.

const std = @import("std");
const dispatch = @import("../host/dispatch.zig");
const level_table = @import("../level/level_table.zig");
const reference = @import("reference_router.zig");
const testing = std.testing;

test "each level chooses experts as the plain loops do" {
    var random = std.Random.DefaultPrng.init(31);
    const r = random.random();
    for ([_]u32{ 1, 2, 7, 16, 17, 60, 128, 512 }) |experts| for (std.enums.values(level_table.RouterScore)) |score| for (0..24) |turn| {
        var logits: [512]f32 = undefined;
        var bias: [512]f32 = undefined;
        var choice_bias: [512]f32 = undefined;
        // Every third time with many ties.
        for (logits[0..experts], bias[0..experts], choice_bias[0..experts]) |*logit, *b, *c| {
            logit.* = if (turn % 3 == 0) @floatFromInt(r.uintLessThan(u32, 3)) else 3 * r.floatNorm(f32);
            b.* = if (turn % 3 == 0) 0 else r.floatNorm(f32);
            c.* = if (turn % 3 == 0) 0 else r.floatNorm(f32);
        }
        if (turn == 5) logits[r.uintLessThan(usize, experts)] = 3e38;
        const groups: u32 = if (experts >= 16 and experts % 4 == 0 and turn % 2 == 1) 4 else 1;
        const groups_used: u32 = if (groups == 1) 1 else 2;
        const most = experts / groups * groups_used;
        const routing: level_table.Routing = .{
            .experts = experts,
            .used = r.intRangeAtMost(u32, 1, @min(most, 40)),
            .score = score,
            .groups = groups,
            .groups_used = groups_used,
            .normalises = turn % 4 < 2,
            .scale = if (turn % 5 == 0) 1 else 2.5,
            .bias = if (turn % 2 == 0) &bias else null,
            .choice_bias = if (turn % 4 > 1) &choice_bias else null,
        };
        try compare(routing, logits[0..experts]);
    };
}

fn compare(routing: level_table.Routing, logits: []const f32) !void {
    var chosen: [64]u32 = undefined;
    var weights: [64]f32 = undefined;
    try testing.expect(reference.route(routing, logits, chosen[0..routing.used], weights[0..routing.used]));
    for (dispatch.levels()) |level| {
        var scores: [512]f32 = undefined;
        @memcpy(scores[0..logits.len], logits);
        var room: [512]f32 = undefined;
        var got: [64]u32 = undefined;
        var got_weights: [64]f32 = undefined;
        try testing.expectEqual(0, level.route(&routing, &scores, &room, &got, &got_weights));
        try testing.expectEqualSlices(u32, chosen[0..routing.used], got[0..routing.used]);
        try testing.expectEqualSlices(u32, @ptrCast(weights[0..routing.used]), @ptrCast(got_weights[0..routing.used]));
    }
}

test "a logit that is not finite chooses the first experts with no weight, and says so" {
    const routing: level_table.Routing = .{ .experts = 20, .used = 3, .score = .softmax, .groups = 1, .groups_used = 1, .normalises = true, .scale = 1, .bias = null, .choice_bias = null };
    for ([_]f32{ std.math.nan(f32), std.math.inf(f32), -std.math.inf(f32) }) |wrong| for (dispatch.levels()) |level| {
        var logits: [20]f32 = @splat(1);
        logits[18] = wrong;
        var room: [20]f32 = undefined;
        var chosen: [3]u32 = undefined;
        var weights: [3]f32 = undefined;
        try testing.expectEqual(1, level.route(&routing, &logits, &room, &chosen, &weights));
        try testing.expectEqualSlices(u32, &.{ 0, 1, 2 }, &chosen);
        try testing.expectEqualSlices(f32, &.{ 0, 0, 0 }, &weights);
    };
}
