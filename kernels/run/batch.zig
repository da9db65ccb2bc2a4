//! A batch: which sequences one step runs, as TypeScript laid it out (`BATCH` in `ffi/abi.ts`). The words are copied,
//! and every number is checked before the step may use it: after `parse` the graph asserts and never asks again.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const limits = @import("../limits.zig");
const os = @import("../host/os.zig");
const Report = @import("../host/report.zig").Report;
const Status = @import("../status.zig").Status;
const Words = @import("../host/words.zig").Words;
const sampler_zig = @import("../calls/sample.zig");

pub const version = 1;
pub const flag_inline = 1;
/// Above the flags: how many threads the step should use.
const threads_unit = 256;

pub const LogitRows = enum(u32) { none = 0, last = 1, all = 2 };

pub const Sequence = struct {
    id: u32,
    /// Position of its first token in this step.
    position: u32,
    logits: LogitRows,
    /// How to choose a token after its last; null: none is chosen.
    sampling: ?level_table.Sampling,
    /// Whether the hidden state after its last token is handed out.
    keep: bool,
    tokens: []const u32,
    pages: []const u32,
    /// A hidden state that was handed out before, in place of tokens: only the last norm and the output are left to do.
    hidden: []const f32,
    /// Index of its first token in the batch.
    first: u32,
    /// Row of its first logits among those the step computes, and how many it has.
    logit_row: u32,
    logit_rows: u32,

    status: Status = .ok,
    sampled: level_table.Sampled = .{},
    chosen: ?u32 = null,
    cancelled: std.atomic.Value(bool) = .init(false),
};

/// What the engine can take.
pub const Bounds = struct {
    vocabulary: u32,
    embedding: u32,
    page_size: u32,
    pages: u32,
    batch_tokens: u32,
    sequences: u32,
    logit_rows: u32,
};

pub const Batch = struct {
    /// The copied words; grows to the largest batch and stays.
    words: []align(4) u8 = &.{},
    sequences: []Sequence = &.{},
    count: u32 = 0,
    tokens: u32 = 0,
    /// Sequences that bring a hidden state.
    hidden: u32 = 0,
    logit_rows: u32 = 0,
    run_inline: bool = false,
    /// 0: as many as the engine has.
    threads: u32 = 0,

    pub const Error = error{ Refused, OutOfMemory };

    pub fn deinit(batch: *Batch) void {
        os.allocator.free(batch.words);
        os.allocator.free(batch.sequences);
        batch.* = .{};
    }

    pub fn active(batch: *const Batch) []Sequence {
        return batch.sequences[0..batch.count];
    }

    pub fn parse(batch: *Batch, bytes: []const u8, bounds: Bounds, report: *Report) Error!void {
        batch.count = 0;
        if (batch.words.len < bytes.len) batch.words = try os.allocator.realloc(batch.words, bytes.len);
        if (batch.sequences.len < bounds.sequences) batch.sequences = try os.allocator.realloc(batch.sequences, bounds.sequences);
        @memcpy(batch.words[0..bytes.len], bytes);
        var words: Words = .{ .bytes = batch.words[0..bytes.len] };
        batch.read(&words, bounds, report) catch |err| switch (err) {
            error.Refused => return error.Refused,
            error.Short => {
                _ = report.fail(.invalid_argument, "batch", "", .{}, "more than {d} bytes", .{bytes.len}, "", .{});
                return error.Refused;
            },
        };
        if (!words.atEnd()) try refuse(report, "batch bytes", 0, 0, words.at * 4, bytes.len);
    }

    fn read(batch: *Batch, words: *Words, bounds: Bounds, report: *Report) (Words.Error || error{Refused})!void {
        const found = try words.u();
        if (found != version) try refuse(report, "batch version", 0, version, version, found);
        const flags = try words.u();
        if (flags % threads_unit > flag_inline or flags / threads_unit > limits.threads_max)
            try refuse(report, "batch flags", 0, 0, limits.threads_max * threads_unit + flag_inline, flags);
        batch.run_inline = flags & flag_inline != 0;
        batch.threads = flags / threads_unit;
        const count = try words.u();
        if (count == 0 or count > bounds.sequences) try refuse(report, "sequences of a batch", 0, 1, bounds.sequences, count);
        const tokens_total = try words.u();
        if (tokens_total > bounds.batch_tokens) try refuse(report, "tokens of a batch", 0, 0, bounds.batch_tokens, tokens_total);

        var first: u32 = 0;
        var logit_row: u32 = 0;
        var hidden: u32 = 0;
        for (batch.sequences[0..count], 0..) |*sequence, index| {
            sequence.* = try readSequence(words, bounds, report, index, tokens_total - first);
            // A hidden state takes the place of a token, after all tokens.
            if (sequence.hidden.len > 0) {
                sequence.first = tokens_total + hidden;
                hidden += 1;
            } else sequence.first = first;
            sequence.logit_row = logit_row;
            first += @intCast(sequence.tokens.len);
            logit_row += sequence.logit_rows;
            if (logit_row > bounds.logit_rows) try refuse(report, "rows of logits", index, 0, bounds.logit_rows, logit_row);
        }
        if (first != tokens_total) try refuse(report, "tokens of a batch", 0, first, first, tokens_total);
        batch.count = count;
        batch.tokens = tokens_total;
        batch.hidden = hidden;
        batch.logit_rows = logit_row;
    }

    fn readSequence(words: *Words, bounds: Bounds, report: *Report, index: usize, tokens_left: u32) (Words.Error || error{Refused})!Sequence {
        const id = try words.u();
        const position = try words.u();
        const tokens = try words.u();
        const pages = try words.u();
        const logits = try words.u();
        const sampler_words = try words.u();
        const keep = try words.u();
        const hidden = try words.u();
        if (hidden != 0 and hidden != bounds.embedding) try refuse(report, "hidden state of a sequence", index, 0, bounds.embedding, hidden);
        const least = @intFromBool(hidden == 0);
        if (tokens < least or tokens > if (hidden == 0) tokens_left else 0) try refuse(report, "tokens of a sequence", index, least, tokens_left, tokens);
        const capacity = @as(u64, pages) * bounds.page_size;
        if (hidden == 0 and @as(u64, position) + tokens > @min(capacity, limits.context_max))
            try refuse(report, "positions of a sequence", index, 1, @min(capacity, limits.context_max), @as(u64, position) + tokens);
        if (logits > 2) try refuse(report, "logits of a sequence", index, 0, 2, logits);
        if (keep > 1) try refuse(report, "keep of a sequence", index, 0, 1, keep);
        if (hidden != 0 and (logits == 2 or keep == 1)) try refuse(report, "logits of a hidden state", index, 0, 1, logits);
        if (position > limits.context_max) try refuse(report, "position of a sequence", index, 0, limits.context_max, position);
        const token_words: []const u32 = @ptrCast(@alignCast(try words.take(tokens)));
        for (token_words) |token| if (token >= bounds.vocabulary) try refuse(report, "token id", index, 0, bounds.vocabulary - 1, token);
        const page_words: []const u32 = @ptrCast(@alignCast(try words.take(pages)));
        for (page_words) |page| if (page >= bounds.pages) try refuse(report, "page number", index, 0, bounds.pages - 1, page);
        const hidden_words: []const f32 = @ptrCast(@alignCast(try words.take(hidden)));
        var sampler: Words = .{ .bytes = try words.take(sampler_words) };
        const sampling = if (sampler_words == 0) null else try sampler_zig.read(&sampler, bounds.vocabulary, report);
        const rows: LogitRows = @enumFromInt(logits);
        return .{
            .id = id,
            .position = position,
            .logits = rows,
            .sampling = sampling,
            .keep = keep == 1,
            .hidden = hidden_words,
            .tokens = token_words,
            .pages = page_words,
            .first = 0,
            .logit_row = 0,
            .logit_rows = if (rows == .all) tokens else if (rows == .last or sampling != null) 1 else 0,
        };
    }

    fn refuse(report: *Report, what: []const u8, index: usize, least: u64, most: u64, got: u64) error{Refused}!noreturn {
        _ = report.fail(.invalid_argument, what, "sequence {d} of the batch", .{index}, "{d} to {d}", .{ least, most }, "{d}", .{got});
        return error.Refused;
    }
};

comptime {
    // Words are read in place as u32: every host of this library is little-endian.
    std.debug.assert(@import("builtin").cpu.arch.endian() == .little);
}

const test_bounds: Bounds = .{ .vocabulary = 10, .embedding = 2, .page_size = 16, .pages = 4, .batch_tokens = 8, .sequences = 2, .logit_rows = 3 };

fn testParse(words: []const u32) ![2]u32 {
    var batch: Batch = .{};
    defer batch.deinit();
    var buffer: [256]u8 = undefined;
    var report: Report = .{ .buffer = &buffer };
    try batch.parse(std.mem.sliceAsBytes(words), test_bounds, &report);
    return .{ batch.count, batch.logit_rows };
}

test "a batch is read, and each wrong word is refused" {
    const sampler = sampler_zig.test_words;
    const good = [_]u32{ 1, 0, 2, 3 } ++
        [_]u32{ 7, 0, 2, 1, 2, 0, 0, 0 } ++ [_]u32{ 1, 9 } ++ [_]u32{3} ++
        [_]u32{ 8, 16, 1, 2, 0, sampler.len, 1, 0 } ++ [_]u32{4} ++ [_]u32{ 0, 1 } ++ sampler;
    try std.testing.expectEqual([2]u32{ 2, 3 }, try testParse(&good));
    const Wrong = struct { at: usize, value: u32 };
    const wrong = [_]Wrong{
        .{ .at = 0, .value = 2 }, // version
        .{ .at = 1, .value = 2 }, // flags
        .{ .at = 1, .value = 257 << 8 }, // threads
        .{ .at = 2, .value = 3 }, // sequences
        .{ .at = 3, .value = 4 }, // tokens
        .{ .at = 5, .value = 15 }, // position past the pages
        .{ .at = 5, .value = 0xffff_ffff },
        .{ .at = 6, .value = 0 },
        .{ .at = 7, .value = 0xffff_ffff },
        .{ .at = 8, .value = 3 },
        .{ .at = 9, .value = 2 }, // words of a sampler
        .{ .at = 10, .value = 2 }, // keep
        .{ .at = 11, .value = 2 }, // hidden beside tokens
        .{ .at = 11, .value = 3 },
        .{ .at = 13, .value = 10 }, // token
        .{ .at = 14, .value = 4 }, // page
        .{ .at = 20, .value = sampler.len - 1 },
        .{ .at = 27, .value = 99 }, // steps of its sampler
    };
    for (wrong) |w| {
        var words = good;
        words[w.at] = w.value;
        try std.testing.expectError(error.Refused, testParse(&words));
    }
    for (0..good.len) |len| try std.testing.expectError(error.Refused, testParse(good[0..len]));
    try std.testing.expectError(error.Refused, testParse(&(good ++ [_]u32{0})));
}

test "a hidden state comes in place of tokens" {
    const sampler = sampler_zig.test_words;
    const half: u32 = @bitCast(@as(f32, 0.5));
    const good = [_]u32{ 1, 0, 1, 0 } ++ [_]u32{ 7, 40, 0, 0, 1, sampler.len, 0, 2 } ++ [_]u32{ half, half } ++ sampler;
    try std.testing.expectEqual([2]u32{ 1, 1 }, try testParse(&good));
    for (0..good.len) |len| try std.testing.expectError(error.Refused, testParse(good[0..len]));
    for ([_][2]u32{ .{ 5, 1 << 21 }, .{ 6, 1 }, .{ 8, 2 }, .{ 10, 1 }, .{ 11, 1 }, .{ 11, 0 } }) |wrong| {
        var words = good;
        words[wrong[0]] = wrong[1];
        try std.testing.expectError(error.Refused, testParse(&words));
    }
}
