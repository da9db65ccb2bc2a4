//! Differences at every level against a plain loop over sixteen sums.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const dispatch = @import("../host/dispatch.zig");
const testing = std.testing;

fn plain(values: []const f32, made: []const f32) level_table.Difference {
    var lanes: [16]level_table.Difference = @splat(.{});
    for (values, made, 0..) |x32, y32, i| {
        const lane = &lanes[i % 16];
        const x: f64 = x32;
        const y: f64 = y32;
        lane.squares += (x - y) * (x - y);
        if (@abs(x - y) > lane.greatest) lane.greatest = @abs(x - y);
        lane.products += x * y;
        lane.values += x * x;
        lane.made += y * y;
    }
    var all: level_table.Difference = .{};
    for (lanes) |lane| {
        all.squares += lane.squares;
        if (lane.greatest > all.greatest) all.greatest = lane.greatest;
        all.products += lane.products;
        all.values += lane.values;
        all.made += lane.made;
    }
    return all;
}

test "sums of differences are those of a plain loop, at every level, for any count" {
    var random = std.Random.DefaultPrng.init(21);
    var values: [200]f32 = undefined;
    var made: [200]f32 = undefined;
    for (&values, &made) |*x, *y| {
        x.* = random.random().floatNorm(f32);
        y.* = x.* + 0.1 * random.random().floatNorm(f32);
    }
    for ([_]usize{ 0, 1, 15, 16, 17, 96, 200 }) |count| {
        const expected = plain(values[0..count], made[0..count]);
        for (0..dispatch.levels().len) |number| {
            var found: level_table.Difference = undefined;
            dispatch.encodersAt(number).difference(&values, &made, count, &found);
            try testing.expectEqual(expected, found);
        }
    }
    values[70] = std.math.nan(f32);
    for (0..dispatch.levels().len) |number| {
        var found: level_table.Difference = undefined;
        dispatch.encodersAt(number).difference(&values, &made, 200, &found);
        try testing.expect(std.math.isNan(found.greatest) and std.math.isNan(found.squares));
    }
}
