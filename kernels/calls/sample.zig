//! Reads what a sampler was told (the `sampler` of `wire.zig`), for a step and for a call alone, and checks every number:
//! the kernels assert and never ask again. Nothing is copied: lists stay where the words are.

const std = @import("std");
const layouts = @import("../wire.zig").layouts;
const level_table = @import("../level/level_table.zig");
const Report = @import("../host/report.zig").Report;
const Words = @import("../host/words.zig").Words;
const Writer = @import("../host/words.zig").Writer;

pub const Error = Words.Error;

/// A sampler and its first choice.
pub fn read(words: *Words, vocabulary: u32, report: *Report) Error!level_table.Sampling {
    const settings = try words.record(layouts.SamplerSettings, report);
    const steps = try words.list(level_table.Step, settings.steps);
    for (steps) |*step| try checkStep(step, report);
    std.debug.assert(steps.len == settings.steps);
    return readChoice(words, .{
        .seed = settings.seed,
        .choice = undefined,
        .position = undefined,
        .mu = undefined,
        .steps = steps.ptr,
        .steps_len = settings.steps,
        .min_keep = settings.min_keep,
        .logprobs = undefined,
        .distribution = undefined,
        .mask = undefined,
        .bias = undefined,
        .bias_len = settings.bias,
        .counts = undefined,
        .counts_len = undefined,
        .matches = undefined,
        .matches_len = undefined,
    }, true, vocabulary, report);
}

/// A further choice of the sampler `before`.
pub fn readNext(words: *Words, before: level_table.Sampling, vocabulary: u32, report: *Report) Error!level_table.Sampling {
    return readChoice(words, before, false, vocabulary, report);
}

/// Fills in what differs from choice to choice; the bias comes with the first.
fn readChoice(words: *Words, sampler: level_table.Sampling, is_first: bool, vocabulary: u32, report: *Report) Error!level_table.Sampling {
    std.debug.assert(vocabulary > 0);
    const choice = try words.record(layouts.SamplerChoice, report);
    if (choice.mask != 0 and choice.mask != std.math.divCeil(u32, vocabulary, 32) catch unreachable) {
        try refuse(report, "words of a mask of tokens", "one for 32 tokens of the vocabulary", @floatFromInt(choice.mask));
    }
    const mask = try words.list(u32, choice.mask);
    var read_sampler = sampler;
    if (is_first) read_sampler.bias = (try readBias(words, sampler.bias_len, vocabulary, report)).ptr;
    const counts = try pairs(words, choice.counts, vocabulary, report, "token of the history");
    const matches = try pairs(words, choice.matches, vocabulary, report, "token of the history");
    read_sampler.choice = choice.choice;
    read_sampler.position = choice.position;
    read_sampler.mu = choice.mu;
    read_sampler.logprobs = choice.logprobs;
    read_sampler.distribution = @intFromBool(choice.distribution);
    read_sampler.mask = if (choice.mask == 0) null else mask.ptr;
    read_sampler.counts = counts.ptr;
    read_sampler.counts_len = choice.counts;
    read_sampler.matches = matches.ptr;
    read_sampler.matches_len = choice.matches;
    return read_sampler;
}

fn readBias(words: *Words, count: u32, vocabulary: u32, report: *Report) Error![]const level_table.Pair {
    const bias = try pairs(words, count, vocabulary, report, "bias");
    for (bias) |pair| {
        const amount: f32 = @bitCast(pair.value);
        if (!(amount < std.math.inf(f32))) try refuse(report, "bias", "a finite number or -Infinity", amount);
    }
    return bias;
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
        .typical_p, .top_p, .min_p => if (!(step.a > 0 and step.a <= 1)) try refuse(report, @tagName(step.method), "a number above 0 and at most 1", step.a),
        .xtc => if (!(step.a >= 0 and step.a <= 1 and step.b >= 0 and step.b <= 1)) try refuse(report, "XTC", "numbers from 0 to 1", @max(step.a, step.b)),
        .temperature => if (!(step.a >= 0 and step.b >= 0)) try refuse(report, "temperature", "numbers from 0", @min(step.a, step.b)),
        .mirostat => {},
    }
}

fn pairs(words: *Words, count: u32, vocabulary: u32, report: *Report, what: []const u8) Error![]const level_table.Pair {
    const list = try words.list(level_table.Pair, count);
    for (list) |pair| {
        if (pair.id < vocabulary) continue;
        _ = report.fail(.invalid_argument, what, .{ "token {d}", .{pair.id} }, .{ "an id of the vocabulary, 0 to {d}", .{vocabulary - 1} }, .{ "{d}", .{pair.id} });
        return error.Refused;
    }
    return list;
}

fn refuse(report: *Report, what: []const u8, expected: []const u8, got: f64) error{Refused}!noreturn {
    _ = report.fail(.invalid_argument, what, "sampler", .{ "{s}", .{expected} }, .{ "{d}", .{got} });
    return error.Refused;
}

fn bitsOf(number: f32) u32 {
    return @bitCast(number);
}

/// Top-k 40, top-p 0.9, temperature 0.8; one bias, one count and one match, and a mask for 10 tokens.
pub fn writeTest(writer: *Writer) !void {
    try writer.record(layouts.SamplerSettings{ .steps = 3, .min_keep = 1, .seed = 7, .bias = 1 });
    try writer.record(level_table.Step{ .method = .top_k, .count = 40, .a = 0, .b = 0, .c = 0 });
    try writer.record(level_table.Step{ .method = .top_p, .count = 0, .a = 0.9, .b = 0, .c = 0 });
    try writer.record(level_table.Step{ .method = .temperature, .count = 0, .a = 0.8, .b = 0, .c = 0 });
    try writer.record(layouts.SamplerChoice{ .logprobs = 0, .distribution = false, .choice = 0, .position = 0, .mu = 0, .mask = 1, .counts = 1, .matches = 1 });
    try writer.list(&.{0x3ff});
    try writer.list(&.{ 9, bitsOf(-std.math.inf(f32)) });
    try writer.list(&.{ 3, 2 });
    try writer.list(&.{ 4, 5 });
}

test "a sampler is read, and each wrong word is refused" {
    var writer: Writer = .{};
    defer writer.deinit();
    try writeTest(&writer);
    const good = writer.words.items;
    var buffer: [256]u8 = undefined;
    var report: Report = .{ .buffer = &buffer };
    var words: Words = .{ .bytes = writer.bytes() };
    const sampling = try read(&words, 10, &report);
    try words.end("sampler", &report);
    try std.testing.expectEqual(level_table.Method.top_p, sampling.steps[1].method);
    try std.testing.expectEqual(5, sampling.matches[0].value);
    const Wrong = struct { at: usize, value: u32 };
    const nan: u32 = bitsOf(std.math.nan(f32));
    const steps = 5;
    const choice = steps + 3 * 5;
    const lists = choice + 9;
    const wrong = [_]Wrong{
        .{ .at = 0, .value = 13 }, // steps
        .{ .at = 1, .value = 0 }, // minimum to keep
        .{ .at = 4, .value = 0xffff_ffff }, // bias pairs
        .{ .at = steps, .value = 10 }, // method
        .{ .at = steps + 1, .value = 0 }, // top-k 0
        .{ .at = steps + 7, .value = 0 }, // top-p 0
        .{ .at = steps + 7, .value = bitsOf(1.5) },
        .{ .at = steps + 12, .value = nan },
        .{ .at = steps + 12, .value = bitsOf(-1) },
        .{ .at = choice, .value = 22 }, // log probabilities
        .{ .at = choice + 1, .value = 2 }, // distribution
        .{ .at = choice + 5, .value = 0x7ff0_0000 }, // mu: infinity
        .{ .at = choice + 6, .value = 2 }, // words of the mask
        .{ .at = choice + 7, .value = 2 }, // counts
        .{ .at = lists + 1, .value = 10 }, // token of a bias
        .{ .at = lists + 2, .value = nan },
        .{ .at = lists + 3, .value = 10 },
        .{ .at = lists + 5, .value = 10 },
    };
    for (wrong) |w| {
        const before = good[w.at];
        good[w.at] = w.value;
        words = .{ .bytes = writer.bytes() };
        try std.testing.expect(std.meta.isError(read(&words, 10, &report)));
        good[w.at] = before;
    }
    for (0..good.len) |len| {
        words = .{ .bytes = std.mem.sliceAsBytes(good[0..len]) };
        try std.testing.expect(std.meta.isError(read(&words, 10, &report)));
    }
}
