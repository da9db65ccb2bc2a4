//! Every level's sampling: top-k, top-p and temperature against a plain reference that sorts the whole vocabulary and
//! walks it, and chains of all methods against the lowest level. `test/sampling.test.ts` has a reference of all methods.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const dispatch = @import("../host/dispatch.zig");
const math = @import("math.zig");

const testing = std.testing;
const inf = std.math.inf(f32);
const nan = std.math.nan(f32);

const Token = struct { logit: f32, id: u32 };

/// A chain of three.
const Trio = struct {
    temperature: f32,
    top_k: u32,
    top_p: f32,
    choice: u32,
    seed: u64,
    position: u32,

    fn steps(trio: Trio) [3]level_table.Step {
        return .{
            .{ .method = .top_k, .count = if (trio.top_k == 0) std.math.maxInt(u32) else trio.top_k, .a = 0, .b = 0, .c = 0 },
            .{ .method = .top_p, .count = 0, .a = trio.top_p, .b = 0, .c = 0 },
            .{ .method = .temperature, .count = 0, .a = trio.temperature, .b = 0, .c = 1 },
        };
    }
};

fn plain(steps: []const level_table.Step) level_table.Sampling {
    return .{
        .seed = 0,
        .choice = 0,
        .position = 0,
        .mu = 0,
        .steps = steps.ptr,
        .steps_len = @intCast(steps.len),
        .min_keep = 1,
        .logprobs = 0,
        .distribution = 0,
        .mask = null,
        .bias = &.{},
        .bias_len = 0,
        .counts_len = 0,
        .counts = &.{},
        .matches = &.{},
        .matches_len = 0,
    };
}

const Outcome = struct { status: level_table.SampleStatus, sampled: level_table.Sampled };

/// A choice at one level, in a workspace that is just large enough.
fn sampleAt(level: *const level_table.Level, sampling: *const level_table.Sampling, logits: []const f32) !Outcome {
    const words = try testing.allocator.alignedAlloc(u32, .@"8", level_table.SampleLayout.of(logits.len).words());
    defer testing.allocator.free(words);
    @memset(words, 0x7fc0_0000); // NaN, where nothing was written
    const copy = try testing.allocator.dupe(f32, logits); // what is read past the end would be found
    defer testing.allocator.free(copy);
    var outcome: Outcome = undefined;
    outcome.status = level.sample(sampling, copy.ptr, @intCast(logits.len), words.ptr, &outcome.sampled);
    try testing.expectEqualSlices(u32, @ptrCast(logits), @ptrCast(copy));
    return outcome;
}

fn trioAt(level: *const level_table.Level, trio: Trio, logits: []const f32) !i32 {
    const steps = trio.steps();
    var sampling = plain(&steps);
    sampling.seed = trio.seed;
    sampling.choice = trio.choice;
    sampling.position = trio.position;
    const outcome = try sampleAt(level, &sampling, logits);
    return if (outcome.status == .ok) @intCast(outcome.sampled.token) else -1;
}

fn before(_: void, a: Token, b: Token) bool {
    return if (a.logit == b.logit) a.id < b.id else a.logit > b.logit;
}

fn byId(_: void, a: Token, b: Token) bool {
    return a.id < b.id;
}

/// round(exp(x) * 2^32).
fn weight(x: f32) u64 {
    const product = @as(f64, math.exp(@splat(x))[0]) * 0x1p32;
    const whole = @floor(product);
    const rest = product - whole;
    const down: u64 = @intFromFloat(whole);
    return if (rest > 0.5 or (rest == 0.5 and down % 2 == 1)) down + 1 else down;
}

fn expected(sampling: Trio, logits: []const f32, random: u64, buffer: []Token) i32 {
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
fn draw(sampling: Trio) u64 {
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

fn check(sampling: Trio, logits: []const f32) !void {
    const allocator = testing.allocator;
    const buffer = try allocator.alloc(Token, logits.len);
    defer allocator.free(buffer);
    const want = expected(sampling, logits, draw(sampling), buffer);
    for (dispatch.levels()) |level| {
        errdefer std.debug.print("level {s}, {any}, {d} logits\n", .{ level.name, sampling, logits.len });
        try testing.expectEqual(want, try trioAt(level, sampling, logits));
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
            .temperature = ([_]f32{ 0, 1e-9, 0.3, 0.8, 1, 2, 1e9 })[r.uintLessThan(usize, 7)],
            .top_k = ([_]u32{ 0, 1, 2, 40, 199, 100_000 })[r.uintLessThan(usize, 6)],
            .top_p = ([_]f32{ 1e-9, 0.1, 0.5, 0.95, 0.9999999, 1 })[r.uintLessThan(usize, 6)],
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
    const warm: Trio = .{ .temperature = 1, .top_k = 0, .top_p = 1, .choice = 0, .seed = 1, .position = 0 };
    var greedy = warm;
    greedy.temperature = 0;
    for ([_]Trio{ warm, greedy }) |sampling| for (dispatch.levels()) |level| {
        var logits: [40]f32 = @splat(-inf);
        try testing.expectEqual(-1, try trioAt(level, sampling, &logits));
        logits[39] = -5;
        try testing.expectEqual(39, try trioAt(level, sampling, &logits));
        logits[20] = inf;
        logits[30] = inf;
        try testing.expectEqual(20, try trioAt(level, sampling, &logits));
        for ([_]usize{ 0, 17, 39 }) |at| {
            var broken = logits;
            broken[at] = nan;
            try testing.expectEqual(-1, try trioAt(level, sampling, &broken));
        }
        try testing.expectEqual(0, try trioAt(level, sampling, &.{2}));
    };
}

test "frequencies follow the probabilities" {
    // Weights 8 : 4 : 2 : 1 : 1 of 16; each count of 16 000 draws is within five standard deviations.
    const logits = [_]f32{ 3 * @log(2.0), 2 * @log(2.0), @log(2.0), 0, 0 };
    var counts: [5]u32 = @splat(0);
    const level = dispatch.level();
    for (0..16_000) |position| {
        const sampling: Trio = .{ .temperature = 1, .top_k = 0, .top_p = 1, .choice = 0, .seed = 42, .position = @intCast(position) };
        counts[@intCast(try trioAt(level, sampling, &logits))] += 1;
    }
    for (counts, [_]f64{ 8, 4, 2, 1, 1 }) |count, share| {
        const deviation = @sqrt(16_000 * share / 16 * (1 - share / 16));
        try testing.expectApproxEqAbs(1000 * share, @as(f64, @floatFromInt(count)), 5 * deviation);
    }
}

fn anyStep(r: std.Random, method: level_table.Method) level_table.Step {
    const one = r.float(f32);
    var step: level_table.Step = .{ .method = method, .count = 0, .a = 0, .b = 0, .c = 1 };
    switch (method) {
        .penalties => {
            step.a = 0.5 + one;
            step.b = r.float(f32);
            step.c = 2 * one - 1;
        },
        .dry => {
            step.count = 2;
            step.a = one;
            step.b = 1 + r.float(f32);
        },
        .top_n_sigma => step.a = 3 * one + 0.01,
        .top_k => step.count = 1 + r.uintLessThan(u32, 400),
        .typical_p, .top_p => step.a = @max(one, 1e-6),
        .min_p => step.a = one * one * one + 1e-6,
        .xtc => {
            step.a = 0.7;
            step.b = one * one * 0.5;
        },
        .temperature => {
            step.a = if (one < 0.1) 0 else 3 * one;
            step.b = if (one < 0.5) 0 else 0.5 * one;
            step.c = 2 * r.float(f32);
        },
        .mirostat => {
            step.a = 5 * one;
            step.b = 0.1;
        },
    }
    return step;
}

test "chains of all methods give the same bits at every level" {
    var random = std.Random.DefaultPrng.init(8);
    const r = random.random();
    const logits_buffer = try testing.allocator.alloc(f32, 20_000);
    defer testing.allocator.free(logits_buffer);
    for (0..1500) |round| {
        const logits = logits_buffer[0 .. 1 + r.uintLessThan(usize, if (round % 20 == 0) logits_buffer.len else 700)];
        const spread: f32 = ([_]f32{ 0.01, 1, 3, 1e30 })[round % 4];
        for (logits) |*logit| logit.* = switch (round % 3) {
            0 => r.floatNorm(f32) * spread,
            1 => @round(r.floatNorm(f32) * 2),
            else => if (r.uintLessThan(u32, 3) == 0) -inf else r.floatNorm(f32) * spread,
        };
        var steps: [10]level_table.Step = undefined;
        var methods = [_]level_table.Method{ .penalties, .dry, .top_n_sigma, .top_k, .typical_p, .top_p, .min_p, .xtc, .temperature };
        if (round % 2 == 0) r.shuffle(level_table.Method, &methods);
        var count: usize = 0;
        for (methods) |method| {
            if (r.uintLessThan(u32, 3) == 0) continue;
            steps[count] = anyStep(r, method);
            count += 1;
        }
        if (round % 5 == 0) {
            steps[count] = anyStep(r, .mirostat);
            count += 1;
        }
        var sampling = plain(steps[0..count]);
        var mask: [20_000 / 32 + 1]u32 = undefined;
        for (&mask) |*word| word.* = r.int(u32) | r.int(u32);
        if (round % 7 == 0) sampling.mask = &mask;
        var pairs: [3][40]level_table.Pair = undefined;
        for (&pairs, 0..) |*list, kind| for (list) |*pair| {
            const value = if (kind == 0) @as(u32, @bitCast(r.floatNorm(f32))) else 1 + r.uintLessThan(u32, 6);
            pair.* = .{ .id = r.uintLessThan(u32, @intCast(logits.len)), .value = value };
        };
        sampling.bias = &pairs[0];
        sampling.counts = &pairs[1];
        sampling.matches = &pairs[2];
        if (round % 3 == 0) sampling.bias_len = pairs[0].len;
        if (round % 4 != 0) sampling.counts_len = pairs[1].len;
        if (round % 4 != 1) sampling.matches_len = pairs[2].len;
        sampling.min_keep = if (round % 6 == 0) 1 + r.uintLessThan(u32, 30) else 1;
        sampling.logprobs = if (round % 9 == 0) r.uintAtMost(u32, level_table.top_max + 1) else 0;
        sampling.seed = r.int(u64);
        sampling.mu = 8 * r.float(f64);
        const want = try sampleAt(dispatch.levels()[0], &sampling, logits);
        if (want.status == .ok) try testing.expect(want.sampled.candidates >= 1);
        for (dispatch.levels()[1..]) |level| {
            errdefer std.debug.print("level {s}, round {d}, {any}, {d} logits\n", .{ level.name, round, steps[0..count], logits.len });
            try testing.expectEqual(want, try sampleAt(level, &sampling, logits));
        }
    }
}
