//! Whether many floats are all finite: asked of logits, and of what is read from a file in the midst of a step.

const std = @import("std");
const level_table = @import("../level/level_table.zig");

pub noinline fn allFinite(values: []const f32) bool {
    // x - x is 0 for every finite x and NaN otherwise; adding zeros keeps the loop free of branches.
    const Lanes = @Vector(level_table.lanes, f32);
    var sum: Lanes = @splat(0);
    var at: usize = 0;
    while (at + level_table.lanes <= values.len) : (at += level_table.lanes) {
        const lane: Lanes = values[at..][0..level_table.lanes].*;
        sum += lane - lane;
    }
    for (values[at..]) |value| sum[0] += value - value;
    return @reduce(.Add, sum) == 0;
}

test allFinite {
    var values: [37]f32 = @splat(1.5);
    try std.testing.expect(allFinite(&values));
    values[36] = std.math.nan(f32);
    try std.testing.expect(!allFinite(&values));
    values[36] = 0;
    values[3] = -std.math.inf(f32);
    try std.testing.expect(!allFinite(&values));
}
