//! Scalar helpers of the formats' decoders and encoders.

const std = @import("std");
const float16 = @import("../level/float16.zig");

/// A half float's value, from its bits.
pub inline fn half(bits: u16) f32 {
    return float16.fromF16(1, .{bits})[0];
}

/// A value's nearest half float, as bits.
pub inline fn toHalf(value: f32) u16 {
    return float16.toF16(1, .{value})[0];
}

pub inline fn halfIsFinite(bits: u16) bool {
    return bits & 0x7c00 != 0x7c00;
}

/// What a format computes whose weights are small integers times one half float `d` of the block.
pub fn OneScale(comptime Block: type, comptime elements: usize, comptime weight: fn (*align(1) const Block, usize) i32) type {
    return struct {
        pub fn decode(block: *align(1) const Block, out: *[elements]f32) void {
            for (out, 0..) |*value, i| value.* = @as(f32, @floatFromInt(weight(block, i))) * scale(block);
        }

        pub fn finite(block: *align(1) const Block) bool {
            return halfIsFinite(block.d);
        }

        pub fn scale(block: *align(1) const Block) f32 {
            return half(block.d);
        }

        pub fn spanSum(block: *align(1) const Block, span: usize, x: *const [32]i8) i32 {
            var total: i32 = 0;
            for (x, span * 32..) |value, i| total += weight(block, i) * value;
            return total;
        }
    };
}

/// trunc(value), kept between `low` and `high`; NaN becomes `low`. Values outside are those of blocks too large for
/// their scale, whose bytes mean nothing but must still be bytes.
pub inline fn integer(value: f32, comptime low: comptime_int, comptime high: comptime_int) i32 {
    if (!(value > low)) return low;
    return if (value >= high) high else @intFromFloat(value);
}

/// To nearest, halves away from zero, kept between `low` and `high`.
pub inline fn nearestAway(value: f32, comptime low: comptime_int, comptime high: comptime_int) i32 {
    // Not 0.5 itself, which would carry the value just below 0.5 up to 1.
    return integer(value + std.math.copysign(@as(f32, 0x1.fffffep-2), value), low, high);
}

/// The element of greatest magnitude, with its sign; the first of equals.
pub fn extreme(values: []const f32) f32 {
    var greatest: f32 = 0;
    for (values) |value| {
        if (@abs(value) > @abs(greatest)) greatest = value;
    }
    return greatest;
}

/// The range of a block cut into `count` equal steps, as the reference quantizers of formats with a minimum do.
pub const Steps = struct {
    min: f32,
    d: f32,
    inverse: f32,
    count: f32,

    pub fn init(values: []const f32, count: f32) Steps {
        var min: f32 = std.math.floatMax(f32);
        var max: f32 = -std.math.floatMax(f32);
        for (values) |value| {
            if (value < min) min = value;
            if (value > max) max = value;
        }
        const d = (max - min) / count;
        return .{ .min = min, .d = d, .inverse = if (d != 0) 1 / d else 0, .count = count };
    }

    /// The step nearest to a value; NaN is 0.
    pub fn of(steps: Steps, value: f32) u8 {
        const step = (value - steps.min) * steps.inverse + 0.5;
        if (!(step > 0)) return 0;
        return @intFromFloat(@min(step, steps.count));
    }
};

pub fn sum(x: *const [32]i8) i32 {
    var total: i32 = 0;
    for (x) |value| total += value;
    return total;
}

test "rounding away from zero at the borders" {
    const cases = [_]struct { f32, i32 }{ .{ 0.5, 1 }, .{ -0.5, -1 }, .{ 0x1.fffffep-2, 0 }, .{ 2.5, 3 }, .{ -126.5, -127 }, .{ 1.4999999, 1 }, .{ 0, 0 } };
    for (cases) |case| try std.testing.expectEqual(case[1], nearestAway(case[0], -127, 127));
    try std.testing.expectEqual(-127, nearestAway(std.math.nan(f32), -127, 127));
    try std.testing.expectEqual(127, nearestAway(std.math.inf(f32), -127, 127));
}
