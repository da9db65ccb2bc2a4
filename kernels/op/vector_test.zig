//! Every level's norm, activation and rope kernels against plain loops, bit for bit, at every length around the vectors'.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const dispatch = @import("../host/dispatch.zig");
const math = @import("math.zig");
const reference = @import("reference_attention.zig");

const testing = std.testing;
const n_max = 300;

/// Values as models have them, with a few extreme ones.
fn fill(r: std.Random, x: []f32) void {
    for (x) |*value| value.* = r.floatNorm(f32) * 3;
    const odd = [_]f32{ 0, -0.0, 1e-30, -1e-40, 30, -90, 1e4, -1e4 };
    for (odd) |value| x[r.uintLessThan(usize, x.len)] = value;
}

fn expectSame(expected: []const f32, got: []const f32) !void {
    try testing.expectEqualSlices(u32, @ptrCast(expected), @ptrCast(got));
}

fn exp(x: f32) f32 {
    return math.exp(@splat(x))[0];
}

fn erf(x: f32) f32 {
    return math.erf(@splat(x))[0];
}

fn tanh(x: f32) f32 {
    return math.tanh(@splat(x))[0];
}

test "norm, sum and product at every level equal plain loops" {
    var random = std.Random.DefaultPrng.init(1);
    var x: [n_max]f32 = undefined;
    var y: [n_max]f32 = undefined;
    for (1..n_max) |n| {
        fill(random.random(), &x);
        fill(random.random(), &y);
        var lanes: [16]f32 = @splat(0);
        for (x[0..n], 0..) |value, i| lanes[i % 16] = @mulAdd(f32, value, value, lanes[i % 16]);
        const inverse = 1 / @sqrt(reference.tree(lanes) / @as(f32, @floatFromInt(n)) + 1e-5);
        var norm: [n_max]f32 = undefined;
        var sum: [n_max]f32 = undefined;
        var product: [n_max]f32 = undefined;
        for (0..n) |i| {
            norm[i] = x[i] * inverse * y[i];
            sum[i] = x[i] + y[i];
            product[i] = x[i] * 0.3;
        }
        for (dispatch.levels()) |level| {
            var out: [n_max]f32 = @splat(7);
            const length: u32 = @intCast(n);
            level.rmsNorm(&x, &y, 1e-5, length, &out);
            try expectSame(norm[0..n], out[0..n]);
            level.add(&x, &y, length, &out);
            try expectSame(sum[0..n], out[0..n]);
            level.scale(&x, 0.3, length, &out);
            try expectSame(product[0..n], out[0..n]);
            for (out[n..]) |after| try testing.expectEqual(7, after);
            out = x;
            level.rmsNorm(&out, &y, 1e-5, length, &out);
            try expectSame(norm[0..n], out[0..n]);
        }
    }
}

test "activations and the soft cap at every level equal plain loops" {
    var random = std.Random.DefaultPrng.init(2);
    var x: [n_max]f32 = undefined;
    var y: [n_max]f32 = undefined;
    for (1..n_max) |n| {
        fill(random.random(), &x);
        fill(random.random(), &y);
        var silu: [n_max]f32 = undefined;
        var gelu: [n_max]f32 = undefined;
        var capped: [n_max]f32 = undefined;
        var by_error: [n_max]f32 = undefined;
        var plain: [n_max]f32 = undefined;
        var clamped: [n_max]f32 = undefined;
        for (x[0..n], y[0..n], 0..) |g, up, i| {
            silu[i] = g / (1 + exp(-g)) * up;
            const cubic = @mulAdd(f32, g * g * g, 0.044715, g);
            gelu[i] = g * 0.5 * (1 + tanh(cubic * 0.7978845608028654)) * up;
            capped[i] = 30 * tanh(g / 30);
            plain[i] = g * 0.5 * (1 + erf(g * std.math.sqrt1_2));
            by_error[i] = plain[i] * up;
            const low = @min(g, 7);
            clamped[i] = low / (1 + exp(-(low * 1.702))) * (@max(-7, @min(up, 7)) + 1);
        }
        for (dispatch.levels()) |level| {
            var out: [n_max]f32 = @splat(7);
            const length: u32 = @intCast(n);
            level.gated(.silu, &x, &y, length, &out);
            try expectSame(silu[0..n], out[0..n]);
            level.gated(.gelu, &x, &y, length, &out);
            try expectSame(gelu[0..n], out[0..n]);
            level.gated(.gelu_erf, &x, &y, length, &out);
            try expectSame(by_error[0..n], out[0..n]);
            level.gated(.plain_gelu_erf, &x, &y, length, &out);
            try expectSame(plain[0..n], out[0..n]);
            level.gated(.clamped, &x, &y, length, &out);
            try expectSame(clamped[0..n], out[0..n]);
            level.softcap(&x, 30, length, &out);
            try expectSame(capped[0..n], out[0..n]);
            for (out[n..]) |after| try testing.expectEqual(7, after);
        }
    }
}

test "activations mean what their names say" {
    const level = dispatch.levels()[0];
    for ([_]f32{ -20, -3, -0.5, 0, 0.01, 1, 6, 40 }) |g| {
        const x: f64 = g;
        var out: [1]f32 = undefined;
        level.gated(.silu, &.{g}, &.{2}, 1, &out);
        try testing.expectApproxEqAbs(2 * x / (1 + @exp(-x)), out[0], 1e-6 * @max(1, @abs(x)));
        level.gated(.gelu, &.{g}, &.{2}, 1, &out);
        const inner = @sqrt(2.0 / std.math.pi) * (x + 0.044715 * x * x * x);
        try testing.expectApproxEqAbs(x * (1 + std.math.tanh(inner)), out[0], 1e-6 * @max(1, @abs(x)));
    }
}

test "layer norms at every level are alike, with weight and bias and without" {
    var random = std.Random.DefaultPrng.init(5);
    var x: [n_max]f32 = undefined;
    var weight: [n_max]f32 = undefined;
    var bias: [n_max]f32 = undefined;
    for (2..n_max) |n| {
        for ([_]*[n_max]f32{ &x, &weight, &bias }) |values| fill(random.random(), values);
        var plain: [n_max]f32 = undefined;
        dispatch.levels()[0].layerNorm(&x, null, null, 1e-5, @intCast(n), &plain);
        var sum: f64 = 0;
        for (plain[0..n]) |value| sum += value;
        try testing.expectApproxEqAbs(0, sum, 1e-4);
        for (dispatch.levels()) |level| {
            var out: [n_max]f32 = undefined;
            level.layerNorm(&x, null, null, 1e-5, @intCast(n), &out);
            try expectSame(plain[0..n], out[0..n]);
            level.layerNorm(&x, &weight, &bias, 1e-5, @intCast(n), &out);
            for (out[0..n], plain[0..n], weight[0..n], bias[0..n]) |got, p, w, b| try testing.expectEqual(p * w + b, got);
        }
    }
}

test "slopes of ALiBi are powers of two, and beyond a power of two of heads those between" {
    for (dispatch.levels()) |level| {
        var slopes: [12]f32 = undefined;
        level.alibiSlopes(8, &slopes);
        for (slopes[0..8], 1..) |slope, number| try testing.expectEqual(std.math.ldexp(@as(f32, 1), -@as(i32, @intCast(number))), slope);
        level.alibiSlopes(12, &slopes);
        for (slopes[0..8], 1..) |slope, number| try testing.expectEqual(std.math.ldexp(@as(f32, 1), -@as(i32, @intCast(number))), slope);
        for (slopes[8..], [_]f64{ 0.5, 1.5, 2.5, 3.5 }) |slope, exponent| try testing.expectApproxEqRel(@as(f32, @floatCast(@exp2(-exponent))), slope, 1e-7);
    }
}

test "rope at every level turns the pairs of its style" {
    var random = std.Random.DefaultPrng.init(3);
    const heads = 3;
    for ([_]u32{ 2, 8, 20, 32, 34, 64, 80, 96, 128 }) |n_rot| for ([_]u32{ 0, 6 }) |rest| for ([_]level_table.RopeStyle{ .none, .norm, .neox }) |style| {
        const head_dim = n_rot + rest;
        const n = heads * head_dim;
        var x: [heads * 134]f32 = undefined;
        fill(random.random(), &x);
        var cos: [64]f32 = undefined;
        var sin: [64]f32 = undefined;
        for (&cos, &sin) |*c, *s| {
            c.* = random.random().floatNorm(f32);
            s.* = random.random().floatNorm(f32);
        }
        var expected = x;
        if (style != .none) for (0..heads) |head| for (0..n_rot / 2) |k| {
            const first = head * head_dim + if (style == .norm) 2 * k else k;
            const second = first + if (style == .norm) 1 else n_rot / 2;
            expected[first] = @mulAdd(f32, x[first], cos[k], -(x[second] * sin[k]));
            expected[second] = @mulAdd(f32, x[first], sin[k], x[second] * cos[k]);
        };
        for (dispatch.levels()) |level| {
            var out = x;
            level.rope(&out, heads, &.{ .head_dim = head_dim, .n_rot = n_rot, .style = style, .cos = &cos, .sin = &sin });
            try expectSame(expected[0..n], out[0..n]);
            try expectSame(x[n..], out[n..]);
        }
    };
}

test "frequencies and angles are the same at every level, and right up to position 1 Mi" {
    const n_rot = 128;
    var factors: [64]f32 = undefined;
    for (&factors, 0..) |*factor, k| factor.* = 1 + @as(f32, @floatFromInt(k)) / 8;
    for ([_]f64{ 10_000, 500_000, 1e6 }) |base| for ([_]f64{ 1, 0.125 }) |scale| for ([_]?[*]const f32{ null, &factors }) |table| {
        var first: [64]f64 = undefined;
        for (dispatch.levels(), 0..) |level, index| {
            var freqs: [64]f64 = undefined;
            level.ropeFrequencies(&.{ .base = base, .scale = scale, .ramp_begin = -1, .ramp_end = 0, .factors = table, .n_rot = n_rot }, &freqs);
            if (index == 0) first = freqs;
            try testing.expectEqualSlices(u64, @ptrCast(&first), @ptrCast(&freqs));
            for (freqs, 0..) |freq, k| {
                const plain = scale * std.math.pow(f64, base, -2 * @as(f64, @floatFromInt(k)) / n_rot);
                try testing.expectApproxEqRel(if (table != null) plain / factors[k] else plain, freq, 1e-14);
            }
            for ([_]u32{ 0, 1, 77, 4095, 131_071, (1 << 20) - 1 }) |position| {
                var cos: [64]f32 = undefined;
                var sin: [64]f32 = undefined;
                level.ropeAngles(&freqs, 64, position, 1.25, &cos, &sin);
                for (freqs, cos, sin) |freq, c, s| {
                    // The nearest f32 to the exact value but for ties within 1e-12.
                    const angle = @as(f64, @floatFromInt(position)) * freq;
                    try testing.expectApproxEqAbs(1.25 * @cos(angle), c, 6.1e-8);
                    try testing.expectApproxEqAbs(1.25 * @sin(angle), s, 6.1e-8);
                }
                var again_cos: [64]f32 = undefined;
                var again_sin: [64]f32 = undefined;
                dispatch.levels()[0].ropeAngles(&freqs, 64, position, 1.25, &again_cos, &again_sin);
                try expectSame(&again_cos, &cos);
                try expectSame(&again_sin, &sin);
            }
        }
    };
}

test "rows of a narrow matrix are added at every level as plain loops add them" {
    var random = std.Random.DefaultPrng.init(9);
    const tokens = 3;
    for ([_]u32{ 1, 2, 3, 4, 5, 8, 15, 16, 17, 64 }) |rank| for ([_]u32{ 1, 2 }) |groups| {
        var weights: [2 * 64 * 16]f32 align(64) = undefined;
        var x: [tokens * 64]f32 = undefined;
        var before: [tokens * 32]f32 = undefined;
        fill(random.random(), &weights);
        fill(random.random(), &x);
        fill(random.random(), &before);
        var expected = before;
        for (0..tokens) |token| for (0..groups * 16) |row| {
            var sums: [4]f32 = @splat(0);
            for (0..rank) |k| sums[k % 4] = @mulAdd(f32, weights[row / 16 * 64 * 16 + k * 16 + row % 16], x[token * 64 + k], sums[k % 4]);
            const out = &expected[token * 32 + row];
            out.* = @mulAdd(f32, 0.7, (sums[0] + sums[1]) + (sums[2] + sums[3]), out.*);
        };
        for (dispatch.levels()) |level| {
            var out = before;
            level.addRows(&.{ .weights = @ptrCast(&weights), .group_bytes = 64 * 16 * 4, .cols = rank, .x = &x, .x_stride = 64, .tokens = tokens, .scale = 0.7, .out = &out, .out_stride = 32 }, 0, groups);
            try expectSame(&expected, &out);
        }
    };
}

test "a ramp leaves fast pairs as they are and scales slow ones; temperatures rise by the logarithm" {
    var plain: [8]f64 = undefined;
    var ramped: [8]f64 = undefined;
    for (dispatch.levels()) |level| {
        level.ropeFrequencies(&.{ .base = 1e4, .scale = 1, .ramp_begin = -1, .ramp_end = 0, .factors = null, .n_rot = 16 }, &plain);
        level.ropeFrequencies(&.{ .base = 1e4, .scale = 0.25, .ramp_begin = 2, .ramp_end = 6, .factors = null, .n_rot = 16 }, &ramped);
        for (plain, ramped, [_]f64{ 1, 1, 1, 0.8125, 0.625, 0.4375, 0.25, 0.25 }) |frequency, mixed, share|
            try testing.expectApproxEqRel(frequency * share, mixed, 1e-15);
        level.ropeFrequencies(&.{ .base = 1e4, .scale = 0.25, .ramp_begin = 3, .ramp_end = 3, .factors = null, .n_rot = 16 }, &ramped);
        for (plain, ramped, 0..) |frequency, mixed, pair| try testing.expectEqual(frequency * @as(f64, if (pair > 3) 0.25 else 1), mixed);
        for ([_]u32{ 0, 15, 16, 31, 32, 170 }, [_]f32{ 1, 1, 1 + 0.1 * @log(2.0), 1 + 0.1 * @log(2.0), 1 + 0.1 * @log(3.0), 1 + 0.1 * @log(11.0) }) |position, expected|
            try testing.expectApproxEqRel(expected, level.temperature(position, 16, 0.1), 1e-7);
    }
}

test "norms by deviation at every level equal plain loops, with biases and without" {
    var random = std.Random.DefaultPrng.init(12);
    var x: [n_max]f32 = undefined;
    var weight: [n_max]f32 = undefined;
    var bias: [n_max]f32 = undefined;
    for (1..n_max) |n| {
        fill(random.random(), &x);
        fill(random.random(), &weight);
        fill(random.random(), &bias);
        const count: f32 = @floatFromInt(n);
        var sums: [16]f32 = @splat(0);
        for (x[0..n], 0..) |value, i| sums[i % 16] += value;
        const mean = reference.tree(sums) / count;
        var squares: [16]f32 = @splat(0);
        for (x[0..n], 0..) |value, i| squares[i % 16] = @mulAdd(f32, value - mean, value - mean, squares[i % 16]);
        const inverse = 1 / @sqrt(reference.tree(squares) / count + 1e-5);
        var plain: [n_max]f32 = undefined;
        var biased: [n_max]f32 = undefined;
        for (0..n) |i| {
            plain[i] = (x[i] - mean) * inverse * weight[i];
            biased[i] = plain[i] + bias[i];
        }
        for (dispatch.levels()) |level| {
            var out = x;
            level.layerNorm(&out, &weight, null, 1e-5, @intCast(n), &out);
            try expectSame(plain[0..n], out[0..n]);
            try expectSame(x[n..], out[n..]);
            level.layerNorm(&x, &weight, &bias, 1e-5, @intCast(n), &out);
            try expectSame(biased[0..n], out[0..n]);
        }
    }
}
