//! Every level's sampling against a plain reference that sorts the whole vocabulary and walks it.

const std = @import("std");
const abi = @import("../abi.zig");
const dispatch = @import("../dispatch.zig");
const math = @import("math.zig");

const testing = std.testing;
const inf = std.math.inf(f32);
const nan = std.math.nan(f32);

const Token = struct { logit: f32, id: u32 };

fn before(_: void, a: Token, b: Token) bool {
    return if (a.logit == b.logit) a.id < b.id else a.logit > b.logit;
}

fn byId(_: void, a: Token, b: Token) bool {
    return a.id < b.id;
}

/// round(exp(x) * 2^32); a banned token stays banned when its logit is divided by infinity.
fn weight(x: f32) u64 {
    if (std.math.isNan(x)) return 0;
    const product = @as(f64, math.exp(@splat(x))[0]) * 0x1p32;
    const whole = @floor(product);
    const rest = product - whole;
    const down: u64 = @intFromFloat(whole);
    return if (rest > 0.5 or (rest == 0.5 and down % 2 == 1)) down + 1 else down;
}

fn expected(sampling: abi.Sampling, logits: []const f32, random: u64, buffer: []Token) i32 {
    for (logits, buffer, 0..) |logit, *token, id| {
        if (std.math.isNan(logit)) return -1;
        token.* = .{ .logit = logit, .id = @intCast(id) };
    }
    std.mem.sort(Token, buffer, {}, before);
    const max = buffer[0].logit;
    if (max == -inf) return -1;
    if (max == inf or sampling.temperature == 0) return @intCast(buffer[0].id);
    var kept = buffer;
    if (sampling.top_k > 0) kept = kept[0..@min(sampling.top_k, kept.len)];
    if (sampling.top_p < 1) {
        var total: u64 = 0;
        for (kept) |token| total += weight(token.logit - max);
        const goal: u64 = @intFromFloat(@ceil(@as(f64, sampling.top_p) * @as(f64, @floatFromInt(total))));
        var sum: u64 = 0;
        for (kept, 1..) |token, length| {
            sum += weight(token.logit - max);
            if (sum < goal) continue;
            kept = kept[0..length];
            break;
        }
    }
    std.mem.sort(Token, kept, {}, byId);
    var total: u64 = 0;
    for (kept) |token| total += weight((token.logit - max) / sampling.temperature);
    const target: u64 = @intCast(@as(u128, random) * total >> 64);
    var sum: u64 = 0;
    for (kept) |token| {
        sum += weight((token.logit - max) / sampling.temperature);
        if (sum > target) return @intCast(token.id);
    }
    unreachable;
}

/// The random number of a choice: Philox4x32-10 in 64-bit words.
fn draw(sampling: abi.Sampling) u64 {
    var low: [2]u64 = .{ sampling.choice, sampling.position };
    var high: [2]u64 = .{ 0, 0 };
    const mask = 0xffff_ffff;
    for (0..10) |round| {
        const k0 = ((sampling.seed & mask) + round * 0x9e3779b9) & mask;
        const k1 = ((sampling.seed >> 32) + round * 0xbb67ae85) & mask;
        const a = low[0] * 0xd2511f53;
        const b = high[0] * 0xcd9e8d57;
        low = .{ (b >> 32) ^ low[1] ^ k0, b & mask };
        high = .{ (a >> 32) ^ high[1] ^ k1, a & mask };
    }
    return low[1] << 32 | low[0];
}

fn check(sampling: abi.Sampling, logits: []const f32) !void {
    const allocator = testing.allocator;
    const buffer = try allocator.alloc(Token, logits.len);
    defer allocator.free(buffer);
    const scratch = try allocator.alloc(u64, logits.len);
    defer allocator.free(scratch);
    const want = expected(sampling, logits, draw(sampling), buffer);
    for (dispatch.levels()) |level| {
        errdefer std.debug.print("level {s}, {any}, {d} logits\n", .{ level.name, sampling, logits.len });
        try testing.expectEqual(want, level.sample(&sampling, logits.ptr, @intCast(logits.len), scratch.ptr));
    }
}

test "sampling at every level equals sorting everything: random and tied logits" {
    var random = std.Random.DefaultPrng.init(5);
    const r = random.random();
    var buffer: [3000]f32 = undefined;
    for (0..1500) |i| {
        const logits = buffer[0 .. 1 + r.uintLessThan(usize, if (i % 10 == 0) buffer.len else 200)];
        const spread: f32 = ([_]f32{ 0.01, 1, 5, 30 })[i % 4];
        for (logits) |*logit| logit.* = switch (i % 3) {
            0 => r.floatNorm(f32) * spread,
            1 => @round(r.floatNorm(f32) * 2), // many ties, and both zeros
            else => if (r.boolean()) 3 else -inf,
        };
        try check(.{
            .temperature = ([_]f32{ 0, 1e-9, 0.3, 0.8, 1, 2, 1e9, inf })[r.uintLessThan(usize, 8)],
            .top_k = ([_]u32{ 0, 1, 2, 40, 199, 100_000 })[r.uintLessThan(usize, 6)],
            .top_p = ([_]f32{ 0, 0.1, 0.5, 0.95, 0.9999999, 1 })[r.uintLessThan(usize, 6)],
            .choice = r.uintLessThan(u32, 5),
            .seed = r.int(u64),
            .position = r.uintLessThan(u32, 1000),
        }, logits);
    }
}

test "a vocabulary of 128 256, whole" {
    var random = std.Random.DefaultPrng.init(6);
    const logits = try testing.allocator.alloc(f32, 128_256);
    defer testing.allocator.free(logits);
    for (logits) |*logit| logit.* = random.random().floatNorm(f32) * 2;
    for ([_]u32{ 0, 40, 5000 }) |top_k| for ([_]f32{ 0.95, 1 }) |top_p| {
        try check(.{ .temperature = 0.8, .top_k = top_k, .top_p = top_p, .choice = 0, .seed = top_k, .position = 3 }, logits);
    };
    @memset(logits, 1); // one great tie
    try check(.{ .temperature = 1, .top_k = 77, .top_p = 0.5, .choice = 0, .seed = 9, .position = 3 }, logits);
}

test "what is not a number, certain or impossible" {
    const warm: abi.Sampling = .{ .temperature = 1, .top_k = 0, .top_p = 1, .choice = 0, .seed = 1, .position = 0 };
    var greedy = warm;
    greedy.temperature = 0;
    for ([_]abi.Sampling{ warm, greedy }) |sampling| for (dispatch.levels()) |level| {
        var scratch: [40]u64 = undefined;
        var logits: [40]f32 = @splat(-inf);
        try testing.expectEqual(-1, level.sample(&sampling, &logits, 40, &scratch));
        logits[39] = -5;
        try testing.expectEqual(39, level.sample(&sampling, &logits, 40, &scratch));
        logits[20] = inf;
        logits[30] = inf;
        try testing.expectEqual(20, level.sample(&sampling, &logits, 40, &scratch));
        for ([_]usize{ 0, 17, 39 }) |at| {
            var broken = logits;
            broken[at] = nan;
            try testing.expectEqual(-1, level.sample(&sampling, &broken, 40, &scratch));
        }
        try testing.expectEqual(0, level.sample(&sampling, &.{2}, 1, &scratch));
    };
}

test "frequencies follow the probabilities" {
    // Weights 8 : 4 : 2 : 1 : 1 of 16; each count of 16 000 draws is within five standard deviations.
    const logits = [_]f32{ 3 * @log(2.0), 2 * @log(2.0), @log(2.0), 0, 0 };
    var counts: [5]u32 = @splat(0);
    const level = dispatch.level();
    var scratch: [5]u64 = undefined;
    for (0..16_000) |position| {
        const sampling: abi.Sampling = .{ .temperature = 1, .top_k = 0, .top_p = 1, .choice = 0, .seed = 42, .position = @intCast(position) };
        counts[@intCast(level.sample(&sampling, &logits, 5, &scratch))] += 1;
    }
    for (counts, [_]f64{ 8, 4, 2, 1, 1 }) |count, share| {
        const deviation = @sqrt(16_000 * share / 16 * (1 - share / 16));
        try testing.expectApproxEqAbs(1000 * share, @as(f64, @floatFromInt(count)), 5 * deviation);
    }
}
