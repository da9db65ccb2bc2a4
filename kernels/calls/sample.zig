//! Reads what a sampler was told (`SAMPLER` in `ffi/abi.ts`), for a step and for a call alone, and checks every number:
//! the kernels assert and never ask again. Nothing is copied: lists stay where the words are.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const Report = @import("../host/report.zig").Report;
const Words = @import("../host/words.zig").Words;

const version = 1;

pub const Error = Words.Error || error{Refused};

pub fn read(words: *Words, vocabulary: u32, report: *Report) Error!level_table.Sampling {
    _ = try ranged(words, report, "version of a sampler", version, version);
    const steps_len = try ranged(words, report, "methods of a sampler", 0, level_table.steps_max);
    const min_keep = try ranged(words, report, "minimum tokens to keep", 1, std.math.maxInt(u32));
    const logprobs = try ranged(words, report, "log probabilities", 0, level_table.top_max + 1);
    const distribution = try ranged(words, report, "distribution", 0, 1);
    const choice = try words.u();
    const position = try words.u();
    const seed = try words.long();
    const mu = try words.double();
    if (!std.math.isFinite(mu)) try refuse(report, "mu", "a finite number", mu);
    const mask_words = try words.u();
    if (mask_words != 0 and mask_words != std.math.divCeil(u32, vocabulary, 32) catch unreachable) {
        try refuse(report, "words of a mask of tokens", "one for 32 tokens of the vocabulary", @floatFromInt(mask_words));
    }
    const bias_len = try words.u();
    const counts_len = try words.u();
    const matches_len = try words.u();
    const steps: []const level_table.Step = @ptrCast(@alignCast(try words.take(steps_len * @sizeOf(level_table.Step) / 4)));
    for (steps) |*step| try checkStep(step, report);
    const mask: [*]const u32 = @ptrCast(@alignCast((try words.take(mask_words)).ptr));
    const bias = try pairs(words, bias_len, vocabulary, report, "bias");
    for (bias) |pair| {
        const amount: f32 = @bitCast(pair.value);
        if (!(amount < std.math.inf(f32))) try refuse(report, "bias", "a finite number or -Infinity", amount);
    }
    const counts = try pairs(words, counts_len, vocabulary, report, "token of the history");
    const matches = try pairs(words, matches_len, vocabulary, report, "token of the history");
    if (!words.atEnd()) try refuse(report, "words of a sampler", "fewer", @floatFromInt(words.bytes.len / 4));
    return .{
        .seed = seed,
        .choice = choice,
        .position = position,
        .mu = mu,
        .steps = steps.ptr,
        .steps_len = steps_len,
        .min_keep = min_keep,
        .logprobs = logprobs,
        .distribution = distribution,
        .mask = if (mask_words == 0) null else mask,
        .bias = bias.ptr,
        .bias_len = bias_len,
        .counts = counts.ptr,
        .counts_len = counts_len,
        .matches = matches.ptr,
        .matches_len = matches_len,
    };
}

fn checkStep(step: *const level_table.Step, report: *Report) error{Refused}!void {
    const raw: *const [5]u32 = @ptrCast(step);
    if (raw[0] > @intFromEnum(level_table.Method.mirostat)) try refuse(report, "method of a sampler", "0 to 9", @floatFromInt(raw[0]));
    for ([_]f32{ step.a, step.b, step.c }) |number| if (!std.math.isFinite(number)) try refuse(report, @tagName(step.method), "finite numbers", number);
    switch (step.method) {
        .penalties => if (!(step.a > 0)) try refuse(report, "repetition penalty", "a number above 0", step.a),
        .dry => if (!(step.a >= 0 and step.b >= 1)) try refuse(report, "DRY", "a multiplier from 0, a base from 1", @min(step.a, step.b)),
        .top_n_sigma => if (!(step.a > 0)) try refuse(report, "top-n-sigma", "a number above 0", step.a),
        .top_k => if (step.count == 0) try refuse(report, "top-k", "a number above 0", 0),
        .typical, .top_p, .min_p => if (!(step.a > 0 and step.a <= 1)) try refuse(report, @tagName(step.method), "a number above 0 and at most 1", step.a),
        .xtc => if (!(step.a >= 0 and step.a <= 1 and step.b >= 0 and step.b <= 1)) try refuse(report, "XTC", "numbers from 0 to 1", @max(step.a, step.b)),
        .temperature => if (!(step.a >= 0 and step.b >= 0)) try refuse(report, "temperature", "numbers from 0", @min(step.a, step.b)),
        .mirostat => {},
    }
}

fn pairs(words: *Words, count: u32, vocabulary: u32, report: *Report, what: []const u8) Error![]const level_table.Pair {
    const bytes = try words.take(std.math.mul(usize, count, 2) catch return error.Short);
    const list: []const level_table.Pair = @ptrCast(@alignCast(bytes));
    for (list) |pair| {
        if (pair.id < vocabulary) continue;
        _ = report.fail(.invalid_argument, what, "token {d}", .{pair.id}, "an id of the vocabulary, 0 to {d}", .{vocabulary - 1}, "{d}", .{pair.id});
        return error.Refused;
    }
    return list;
}

fn ranged(words: *Words, report: *Report, what: []const u8, least: u32, most: u32) Error!u32 {
    const value = try words.u();
    if (value >= least and value <= most) return value;
    _ = report.fail(.invalid_argument, what, "sampler", .{}, "{d} to {d}", .{ least, most }, "{d}", .{value});
    return error.Refused;
}

fn refuse(report: *Report, what: []const u8, expected: []const u8, got: f64) error{Refused}!noreturn {
    _ = report.fail(.invalid_argument, what, "sampler", .{}, "{s}", .{expected}, "{d}", .{got});
    return error.Refused;
}

fn bitsOf(number: f32) u32 {
    return @bitCast(number);
}

/// Top-k 40, top-p 0.9, temperature 0.8; one bias, one count and one match, and a mask for 10 tokens.
pub const test_words = [_]u32{ 1, 3, 1, 0, 0, 0, 0, 7, 0, 0, 0, 1, 1, 1, 1 } ++
    [_]u32{ 3, 40, 0, 0, 0 } ++ [_]u32{ 5, 0, bitsOf(0.9), 0, 0 } ++ [_]u32{ 8, 0, bitsOf(0.8), 0, 0 } ++
    [_]u32{0x3ff} ++ [_]u32{ 9, bitsOf(-std.math.inf(f32)) } ++ [_]u32{ 3, 2 } ++ [_]u32{ 4, 5 };

test "a sampler is read, and each wrong word is refused" {
    var buffer: [256]u8 = undefined;
    var report: Report = .{ .buffer = &buffer };
    var words: Words = .{ .bytes = std.mem.sliceAsBytes(&test_words) };
    const sampling = try read(&words, 10, &report);
    try std.testing.expectEqual(level_table.Method.top_p, sampling.steps[1].method);
    try std.testing.expectEqual(5, sampling.matches[0].value);
    const Wrong = struct { at: usize, value: u32 };
    const nan: u32 = bitsOf(std.math.nan(f32));
    const wrong = [_]Wrong{
        .{ .at = 0, .value = 2 }, // version
        .{ .at = 1, .value = 13 }, // steps
        .{ .at = 2, .value = 0 }, // minimum to keep
        .{ .at = 3, .value = 22 }, // log probabilities
        .{ .at = 4, .value = 2 },
        .{ .at = 10, .value = 0x7ff0_0000 }, // mu: infinity
        .{ .at = 11, .value = 2 }, // words of the mask
        .{ .at = 12, .value = 0xffff_ffff }, // bias pairs
        .{ .at = 13, .value = 2 },
        .{ .at = 15, .value = 10 }, // method
        .{ .at = 16, .value = 0 }, // top-k 0
        .{ .at = 22, .value = 0 }, // top-p 0
        .{ .at = 22, .value = bitsOf(1.5) },
        .{ .at = 27, .value = nan },
        .{ .at = 27, .value = bitsOf(-1) },
        .{ .at = 31, .value = 10 }, // token of a bias
        .{ .at = 32, .value = nan },
        .{ .at = 33, .value = 10 },
        .{ .at = 35, .value = 10 },
    };
    for (wrong) |w| {
        var changed = test_words;
        changed[w.at] = w.value;
        words = .{ .bytes = std.mem.sliceAsBytes(&changed) };
        try std.testing.expect(std.meta.isError(read(&words, 10, &report)));
    }
    for (0..test_words.len) |len| {
        words = .{ .bytes = std.mem.sliceAsBytes(test_words[0..len]) };
        try std.testing.expect(std.meta.isError(read(&words, 10, &report)));
    }
}
