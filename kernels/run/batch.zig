//! A batch: which sequences one step runs, as TypeScript laid it out (the `batch` of `wire.zig`). The words are copied,
//! and every number is checked before the step may use it: after `parse` the step asserts and never asks again.

const std = @import("std");
const wire = @import("../wire.zig");
const handle = @import("../host/handle.zig");
const level_table = @import("../level/level_table.zig");
const limits = @import("../limits.zig");
const os = @import("../host/os.zig");
const Adapter = @import("../model/adapter.zig").Adapter;
const Applied = @import("../model/adapter.zig").Applied;
const Model = @import("../model/model.zig").Model;
const Report = @import("../host/report.zig").Report;
const Status = @import("../status.zig").Status;
const Words = @import("../host/words.zig").Words;
const Writer = @import("../host/words.zig").Writer;
const sampler_zig = @import("../calls/sample.zig");

const LogitRows = wire.choices.LogitRows;

pub const Sequence = struct {
    id: u32,
    /// Position of its first token in this step.
    position: u32,
    logits: LogitRows,
    /// Which of the batch's choices are its own: each after one token, the last after the last.
    first_choice: u32 = 0,
    choice_count: u32 = 0,
    /// Whether the hidden state after its last token is handed out.
    keep: bool,
    /// Which of the batch's adapters apply to it.
    first_adapter: u32,
    adapter_count: u32,
    tokens: []const u32,
    pages: []const u32,
    /// The pages that hold its state.
    state: []const u32,
    /// Positions that its pages have room for.
    capacity: u32,
    /// Whether what its choices go by comes late, but for the first of a chain.
    late: bool,
    /// Whether it leaves a chain after each of its rounds until its next token is handed over.
    pauses: bool,
    /// A hidden state that was handed out before, in place of tokens: only the last norm and the output are left to do.
    hidden: []const f32,
    /// In a model that joins states: one for each of its tokens.
    joined: []align(4) const f32 = &.{},
    /// Whether what the last norm gives after each token is handed out.
    states: bool = false,
    /// Index of its first token in the batch.
    first: u32,
    /// Row of its first logits among those the step computes, and how many it has.
    logit_row: u32,
    logit_rows: u32,

    /// Tokens at its end that have the type 1.
    second_type: u32 = 0,

    status: Status = .ok,
    cancelled: std.atomic.Value(bool) = .init(false),

    /// Tokens that are not drafts: its state stays as it is after them.
    pub fn certain(sequence: *const Sequence) u32 {
        return @intCast(sequence.tokens.len - (sequence.choice_count -| 1));
    }
};

/// A token to be chosen, and what came of it.
pub const Choice = struct {
    sampling: level_table.Sampling,
    sampled: level_table.Sampled = .{},
    token: ?u32 = null,
};

/// What the engine can take.
pub const Bounds = struct {
    /// Whose adapters may be used.
    model: ?*const Model = null,
    vocabulary: u32,
    embedding: u32,
    page_size: u32,
    pages: u32,
    /// Pages that hold the state of a sequence, where layers have one.
    state_pages: u32,
    batch_tokens: u32,
    sequences: u32,
    logit_rows: u32,
    /// Sequences are whole texts, of which nothing stays.
    whole: bool = false,
    /// Each token comes with a hidden state.
    joins: bool = false,
    /// A text of a later token is not told from one of this position; 0: no such bound.
    positions: u32 = 0,
    token_types: u32 = 0,
    /// Scores of the rank head, and elements of a pooled row without one.
    rank_scores: u32 = 0,
    pooled_width: u32 = 0,
};

/// What a step hands out of each text.
pub const Pooling = struct {
    kind: wire.choices.Poolings = .none,
    ranks: bool = false,
    levels: bool = false,
    normalises: bool = false,
    /// Elements of what is handed out for a text; of rows, of each.
    width: u32 = 0,
};

pub const Batch = struct {
    /// The copied words; grows to the largest batch and stays.
    words: []align(4) u8 = &.{},
    sequences: []Sequence = &.{},
    choices: []Choice = &.{},
    /// Of all sequences; the batch has a reference to each until its results are taken.
    adapters: std.ArrayList(Applied) = .empty,
    /// Sequences that take part; those behind them pause.
    count: u32 = 0,
    total: u32 = 0,
    choice_count: u32 = 0,
    tokens: u32 = 0,
    /// Sequences that bring a hidden state.
    hidden: u32 = 0,
    logit_rows: u32 = 0,
    run_inline: bool = false,
    pooling: Pooling = .{},
    /// 0: as many as the engine has.
    threads: u32 = 0,
    /// Rounds of a chain; 1: it is none.
    rounds: u32 = 1,
    granted: u32 = 1,
    /// Tokens that end a chain.
    ends: []const u32 = &.{},

    pub const Error = error{ Refused, OutOfMemory };

    pub fn deinit(batch: *Batch) void {
        os.allocator.free(batch.words);
        os.allocator.free(batch.sequences);
        os.allocator.free(batch.choices);
        batch.releaseAdapters();
        batch.adapters.deinit(os.allocator);
        batch.* = .{};
    }

    pub fn releaseAdapters(batch: *Batch) void {
        for (batch.adapters.items) |applied| applied.adapter.object.release();
        batch.adapters.clearRetainingCapacity();
    }

    pub fn adaptersOf(batch: *const Batch, sequence: *const Sequence) []const Applied {
        return batch.adapters.items[sequence.first_adapter..][0..sequence.adapter_count];
    }

    pub fn active(batch: *const Batch) []Sequence {
        return batch.sequences[0..batch.count];
    }

    /// All sequences: those that take part, then those that pause.
    pub fn all(batch: *const Batch) []Sequence {
        return batch.sequences[0..batch.total];
    }

    /// Which of the step's sequences it is.
    pub fn numberOf(batch: *const Batch, sequence: *const Sequence) u32 {
        return @intCast((@intFromPtr(sequence) - @intFromPtr(batch.sequences.ptr)) / @sizeOf(Sequence));
    }

    pub fn choicesOf(batch: *const Batch, sequence: *const Sequence) []Choice {
        std.debug.assert(sequence.first_choice + sequence.choice_count <= batch.choice_count);
        return batch.choices[sequence.first_choice..][0..sequence.choice_count];
    }

    pub fn parse(batch: *Batch, bytes: []const u8, bounds: Bounds, report: *Report) Error!void {
        batch.count = 0;
        batch.total = 0;
        batch.choice_count = 0;
        batch.releaseAdapters();
        errdefer batch.releaseAdapters();
        if (batch.words.len < bytes.len) batch.words = try os.allocator.realloc(batch.words, bytes.len);
        if (batch.sequences.len < bounds.sequences) batch.sequences = try os.allocator.realloc(batch.sequences, bounds.sequences);
        if (batch.choices.len < bounds.sequences) batch.choices = try os.allocator.realloc(batch.choices, bounds.sequences);
        @memcpy(batch.words[0..bytes.len], bytes);
        var words: Words = .{ .bytes = batch.words[0..bytes.len] };
        batch.read(&words, bounds, report) catch |err| switch (err) {
            error.Refused => return error.Refused,
            error.OutOfMemory => return error.OutOfMemory,
            error.Short => {
                _ = report.fail(.invalid_argument, "batch", "", .{ "more than {d} bytes", .{bytes.len} }, "");
                return error.Refused;
            },
        };
        try words.end("batch", report);
    }

    fn read(batch: *Batch, words: *Words, bounds: Bounds, report: *Report) ReadError!void {
        const header = try words.record(wire.layouts.BatchHeader, report);
        batch.run_inline = header.runs_inline;
        batch.threads = header.threads;
        try batch.readPooling(header, bounds, report);
        batch.rounds = header.rounds;
        batch.granted = header.granted;
        batch.ends = try words.list(u32, header.ends);
        if (header.sequences == 0 or header.sequences > bounds.sequences) try refuse(report, "sequences of a batch", 0, 1, bounds.sequences, header.sequences);
        if (header.tokens > bounds.batch_tokens) try refuse(report, "tokens of a batch", 0, 0, bounds.batch_tokens, header.tokens);

        var first: u32 = 0;
        var logit_row: u32 = 0;
        var hidden: u32 = 0;
        var drafts: u32 = 0;
        for (batch.sequences[0..header.sequences], 0..) |*sequence, index| {
            sequence.* = try batch.readSequence(words, bounds, report, index, header.tokens - first);
            const follows = if (index == 0) !sequence.pauses else sequence.pauses or !batch.sequences[index - 1].pauses;
            if (!follows) try refuse(report, "sequences of a chain behind one that pauses", index, 0, 0, 1);
            // A hidden state takes the place of a token, after all tokens.
            if (sequence.hidden.len > 0) {
                sequence.first = header.tokens + hidden;
                hidden += 1;
            } else sequence.first = first;
            sequence.logit_row = logit_row;
            first += @intCast(sequence.tokens.len);
            logit_row += sequence.logit_rows;
            drafts += sequence.choice_count -| 1;
            if (bounds.state_pages > 0 and drafts > limits.state_drafts_max) try refuse(report, "drafts of a model with states", index, 0, limits.state_drafts_max, drafts);
            if (logit_row > bounds.logit_rows) try refuse(report, "rows of logits", index, 0, bounds.logit_rows, logit_row);
        }
        if (first != header.tokens) try refuse(report, "tokens of a batch", 0, first, first, header.tokens);
        batch.count = header.sequences;
        batch.total = header.sequences;
        batch.tokens = header.tokens;
        batch.hidden = hidden;
        batch.logit_rows = logit_row;
    }

    const ReadError = Words.Error || error{OutOfMemory};

    fn readPooling(batch: *Batch, header: wire.layouts.BatchHeader, bounds: Bounds, report: *Report) ReadError!void {
        batch.pooling = .{ .kind = header.pooling, .ranks = header.ranks, .levels = header.levels, .normalises = header.normalises };
        const is_pooled = header.pooling != .none and header.pooling != .rows;
        if (header.pooling != .none and !bounds.whole) try refuse(report, "pooling of an engine that keeps positions", 0, 0, 0, @intFromEnum(header.pooling));
        if (header.ranks and (!is_pooled or bounds.rank_scores == 0)) try refuse(report, "rank head", 0, 1, limits.rank_scores_max, bounds.rank_scores);
        const most = if (header.ranks or !is_pooled) 0 else bounds.pooled_width;
        if (header.dimensions > most) try refuse(report, "dimensions of a pooled row", 0, 0, most, header.dimensions);
        if ((header.levels or header.normalises) and most == 0) try refuse(report, "norm of what is not pooled", 0, 0, 0, 1);
        batch.pooling.width = if (header.ranks) bounds.rank_scores else if (!is_pooled) bounds.embedding else if (header.dimensions > 0) header.dimensions else bounds.pooled_width;
    }

    fn readSequence(batch: *Batch, words: *Words, bounds: Bounds, report: *Report, index: usize, tokens_left: u32) ReadError!Sequence {
        const given = try words.record(wire.layouts.BatchSequence, report);
        const has_tokens = bounds.joins or given.hidden == 0;
        const floats = if (bounds.joins) @as(u64, given.tokens) * bounds.embedding else bounds.embedding;
        if ((bounds.joins or !has_tokens) and given.hidden != floats) try refuse(report, "hidden state of a sequence", index, 0, floats, given.hidden);
        const least = @intFromBool(has_tokens);
        if (given.tokens < least or given.tokens > if (has_tokens) tokens_left else 0) try refuse(report, "tokens of a sequence", index, least, tokens_left, given.tokens);
        const state_pages = if (has_tokens) bounds.state_pages else 0;
        if (given.pages < state_pages) try refuse(report, "pages of a state", index, state_pages, bounds.pages, given.pages);
        if (bounds.whole and (given.position != 0 or !has_tokens)) try refuse(report, "position of a whole text", index, 0, 0, given.position);
        if (given.second_type > if (bounds.token_types > 1) given.tokens else 0) try refuse(report, "tokens of type 1", index, 0, if (bounds.token_types > 1) given.tokens else 0, given.second_type);
        if (bounds.positions > 0 and given.position + given.tokens > bounds.positions) try refuse(report, "positions that the model knows", index, 1, bounds.positions, given.position + given.tokens);
        const capacity = @min(@as(u64, given.pages - state_pages) * bounds.page_size, limits.context_max);
        const end = @as(u64, given.position) + given.tokens + if (given.pauses) 0 else batch.rounds - 1;
        const chooses = if (given.pauses) given.choices + @intFromEnum(given.logits) == 1 else given.choices == 1 and given.logits == .none;
        const is_plain = given.tokens == 1 and chooses and !given.keep and !given.states and !bounds.joins and !bounds.whole;
        // What comes late comes from the very thread that an inline step keeps.
        const waits_for_itself = (given.late or given.pauses) and batch.run_inline;
        if (batch.rounds > 1 and waits_for_itself) try refuse(report, "late choices of an inline chain", index, 0, 0, 1);
        if (batch.rounds > 1 and !is_plain) try refuse(report, "tokens of a chained sequence", index, 1, 1, given.tokens);
        if (has_tokens and end > capacity) try refuse(report, "positions of a sequence", index, 1, capacity, end);
        if (!has_tokens and (given.logits == .all or given.keep or given.states)) try refuse(report, "logits of a hidden state", index, 0, 1, @intFromEnum(given.logits));
        const choices_most = if (has_tokens) given.tokens else 1;
        if (given.choices > choices_most) try refuse(report, "choices of a sequence", index, 0, choices_most, given.choices);
        const tokens = try words.list(u32, given.tokens);
        for (tokens) |token| if (token >= bounds.vocabulary) try refuse(report, "token id", index, 0, bounds.vocabulary - 1, token);
        const pages = try words.list(u32, given.pages);
        for (pages) |page| if (page >= bounds.pages) try refuse(report, "page number", index, 0, bounds.pages - 1, page);
        const hidden = try words.list(f32, given.hidden);
        const first_adapter: u32 = @intCast(batch.adapters.items.len);
        try batch.readAdapters(words, given.adapters, bounds.model, report, index);
        const first_choice = batch.choice_count;
        try batch.readChoices(words, given.choices, bounds.vocabulary, report);
        return .{
            .id = given.id,
            .position = given.position,
            .logits = given.logits,
            .first_choice = first_choice,
            .choice_count = given.choices,
            .keep = given.keep,
            .second_type = given.second_type,
            .late = given.late and !given.pauses,
            .pauses = given.pauses and batch.rounds > 1,
            .first_adapter = first_adapter,
            .adapter_count = given.adapters,
            .hidden = if (bounds.joins) &.{} else hidden,
            .joined = if (bounds.joins) hidden else &.{},
            .states = given.states,
            .tokens = tokens,
            .pages = pages[state_pages..],
            .state = pages[0..state_pages],
            .capacity = @intCast(capacity),
            .first = 0,
            .logit_row = 0,
            .logit_rows = if (given.logits == .all) given.tokens else @max(given.choices, @intFromBool(given.logits == .last)),
        };
    }

    fn readAdapters(batch: *Batch, words: *Words, count: u32, model: ?*const Model, report: *Report, index: usize) ReadError!void {
        try batch.adapters.ensureUnusedCapacity(os.allocator, count);
        for (try words.list(level_table.Pair, count)) |pair| {
            const object = handle.acquire(pair.id, .adapter) orelse {
                _ = report.fail(.closed, "adapter", .{ "sequence {d} of the batch", .{index} }, "one that has not been freed", "");
                return error.Refused;
            };
            const adapter: *Adapter = @fieldParentPtr("object", object);
            batch.adapters.appendAssumeCapacity(.{ .adapter = adapter, .scale = @bitCast(pair.value) });
            adapter.in_use.store(true, .release);
            if (adapter.model != model or !std.math.isFinite(@as(f32, @bitCast(pair.value)))) {
                _ = report.fail(.invalid_argument, "adapter", .{ "sequence {d} of the batch", .{index} }, "one of the engine's model, and a finite scale", "");
                return error.Refused;
            }
        }
    }

    fn readChoices(batch: *Batch, words: *Words, count: u32, vocabulary: u32, report: *Report) ReadError!void {
        const end = batch.choice_count + count;
        if (batch.choices.len < end) batch.choices = try os.allocator.realloc(batch.choices, @max(end, 2 * batch.choices.len));
        for (batch.choice_count..end) |index| {
            const is_first = index == batch.choice_count;
            const sampling = if (is_first) try sampler_zig.read(words, vocabulary, report) else try sampler_zig.readNext(words, batch.choices[index - 1].sampling, vocabulary, report);
            batch.choices[index] = .{ .sampling = sampling };
        }
        batch.choice_count = end;
    }

    fn refuse(report: *Report, what: []const u8, index: usize, least: u64, most: u64, got: u64) error{Refused}!noreturn {
        _ = report.fail(.invalid_argument, what, .{ "sequence {d} of the batch", .{index} }, .{ "{d} to {d}", .{ least, most } }, .{ "{d}", .{got} });
        return error.Refused;
    }
};

const test_bounds: Bounds = .{ .vocabulary = 10, .embedding = 2, .page_size = 16, .pages = 4, .state_pages = 0, .batch_tokens = 8, .sequences = 2, .logit_rows = 3 };

fn testParse(words: []const u32) ![2]u32 {
    return testParseWithin(words, test_bounds);
}

fn testParseWithin(words: []const u32, bounds: Bounds) ![2]u32 {
    var batch: Batch = .{};
    defer batch.deinit();
    var buffer: [256]u8 = undefined;
    var report: Report = .{ .buffer = &buffer };
    try batch.parse(std.mem.sliceAsBytes(words), bounds, &report);
    return .{ batch.count, batch.logit_rows };
}

test "pages begin with those of a state, without which there is none for a position" {
    var writer: Writer = .{};
    defer writer.deinit();
    try writer.record(wire.layouts.BatchHeader{ .runs_inline = false, .threads = 0, .sequences = 1, .tokens = 2 });
    try writer.record(wire.layouts.BatchSequence{ .id = 7, .position = 14, .tokens = 2, .pages = 3, .logits = .none, .choices = 0, .adapters = 0, .keep = false, .hidden = 0 });
    try writer.list(&.{ 1, 9, 3, 1, 2 });
    var bounds = test_bounds;
    for ([_]u32{ 0, 1, 2 }) |state_pages| {
        bounds.state_pages = state_pages;
        try std.testing.expectEqual([2]u32{ 1, 0 }, try testParseWithin(writer.words.items, bounds));
    }
    for ([_]u32{ 3, 4 }) |state_pages| {
        bounds.state_pages = state_pages;
        try std.testing.expectError(error.Refused, testParseWithin(writer.words.items, bounds));
    }
}

const Wrong = struct { at: usize, value: u32 };

/// Every wrong word is refused, and so is a batch that ends early or late.
fn testWrong(writer: *Writer, wrong: []const Wrong) !void {
    const words = writer.words.items;
    for (wrong) |w| {
        const before = words[w.at];
        words[w.at] = w.value;
        try std.testing.expectError(error.Refused, testParse(words));
        words[w.at] = before;
    }
    for (0..words.len) |len| try std.testing.expectError(error.Refused, testParse(words[0..len]));
    try writer.list(&.{0});
    try std.testing.expectError(error.Refused, testParse(writer.words.items));
}

test "a batch is read, and each wrong word is refused" {
    var writer: Writer = .{};
    defer writer.deinit();
    try writer.record(wire.layouts.BatchHeader{ .runs_inline = false, .threads = 0, .sequences = 2, .tokens = 3 });
    try writer.record(wire.layouts.BatchSequence{ .id = 7, .position = 0, .tokens = 2, .pages = 1, .logits = .all, .choices = 0, .keep = false, .hidden = 0, .adapters = 0 });
    try writer.list(&.{ 1, 9, 3 });
    try writer.record(wire.layouts.BatchSequence{ .id = 8, .position = 16, .tokens = 1, .pages = 2, .logits = .none, .choices = 1, .keep = true, .hidden = 0, .adapters = 0 });
    try writer.list(&.{ 4, 0, 1 });
    try sampler_zig.writeTest(&writer);
    try std.testing.expectEqual([2]u32{ 2, 3 }, try testParse(writer.words.items));
    try testWrong(&writer, &.{
        .{ .at = 0, .value = 2 }, // runs inline
        .{ .at = 1, .value = 257 }, // threads
        .{ .at = 2, .value = 3 }, // sequences
        .{ .at = 3, .value = 4 }, // tokens
        .{ .at = 4, .value = 2 }, // pooling of an engine that keeps positions
        .{ .at = 5, .value = 1 }, // scores without a rank head
        .{ .at = 6, .value = 1 }, // norms of what is not pooled
        .{ .at = 7, .value = 1 },
        .{ .at = 8, .value = 1 },
        .{ .at = 9, .value = 0 }, // rounds
        .{ .at = 9, .value = 2 }, // rounds of what is no chain
        .{ .at = 9, .value = 33 },
        .{ .at = 10, .value = 0 }, // granted rounds
        .{ .at = 10, .value = 33 },
        .{ .at = 11, .value = 1 }, // a token that ends chains: what follows is one word short
        .{ .at = 11, .value = 0xffff_ffff },
        .{ .at = 13, .value = 15 }, // position past the pages
        .{ .at = 13, .value = 0xffff_ffff },
        .{ .at = 14, .value = 0 },
        .{ .at = 15, .value = 0xffff_ffff },
        .{ .at = 16, .value = 3 },
        .{ .at = 17, .value = 3 }, // more choices than tokens
        .{ .at = 18, .value = 2 }, // keep
        .{ .at = 19, .value = 2 }, // hidden beside tokens
        .{ .at = 19, .value = 3 },
        .{ .at = 20, .value = 1 }, // types of a model without
        .{ .at = 21, .value = 1 }, // an adapter that there is none of
        .{ .at = 21, .value = 9 },
        .{ .at = 23, .value = 2 }, // states
        .{ .at = 24, .value = 2 }, // pauses
        .{ .at = 25, .value = 10 }, // token
        .{ .at = 27, .value = 4 }, // page
        .{ .at = 33, .value = 0 }, // a sampler that is not announced
        .{ .at = 44, .value = 99 }, // steps of its sampler
    });
}

test "a hidden state comes in place of tokens" {
    const half: u32 = @bitCast(@as(f32, 0.5));
    var writer: Writer = .{};
    defer writer.deinit();
    try writer.record(wire.layouts.BatchHeader{ .runs_inline = false, .threads = 0, .sequences = 1, .tokens = 0 });
    try writer.record(wire.layouts.BatchSequence{ .id = 7, .position = 40, .tokens = 0, .pages = 0, .logits = .last, .choices = 1, .keep = false, .hidden = 2, .adapters = 0 });
    try writer.list(&.{ half, half });
    try sampler_zig.writeTest(&writer);
    try std.testing.expectEqual([2]u32{ 1, 1 }, try testParse(writer.words.items));
    try testWrong(&writer, &.{
        .{ .at = 13, .value = 1 << 21 }, // position
        .{ .at = 14, .value = 1 }, // tokens beside it
        .{ .at = 16, .value = 2 }, // logits of all tokens
        .{ .at = 18, .value = 1 }, // keep
        .{ .at = 19, .value = 1 }, // floats
        .{ .at = 19, .value = 0 },
    });
}

test "in a model that joins states each token has one" {
    const half: u32 = @bitCast(@as(f32, 0.5));
    var writer: Writer = .{};
    defer writer.deinit();
    try writer.record(wire.layouts.BatchHeader{ .runs_inline = false, .threads = 0, .sequences = 1, .tokens = 2 });
    try writer.record(wire.layouts.BatchSequence{ .id = 7, .position = 3, .tokens = 2, .pages = 1, .logits = .none, .choices = 0, .keep = false, .hidden = 4, .states = true, .adapters = 0 });
    try writer.list(&.{ 1, 9, 0, half, half, half, half });
    var bounds = test_bounds;
    bounds.joins = true;
    try std.testing.expectEqual([2]u32{ 1, 0 }, try testParseWithin(writer.words.items, bounds));
    try std.testing.expectError(error.Refused, testParse(writer.words.items));
    const words = writer.words.items;
    for ([_]Wrong{
        .{ .at = 14, .value = 1 }, // a state too many
        .{ .at = 19, .value = 2 }, // one too few
        .{ .at = 19, .value = 0 },
        .{ .at = 19, .value = 0xffff_fffe },
    }) |wrong| {
        const before = words[wrong.at];
        words[wrong.at] = wrong.value;
        try std.testing.expectError(error.Refused, testParseWithin(words, bounds));
        words[wrong.at] = before;
    }
}

test "of whole texts what is asked for must fit the model" {
    var writer: Writer = .{};
    defer writer.deinit();
    try writer.record(wire.layouts.BatchHeader{ .runs_inline = false, .threads = 0, .sequences = 1, .tokens = 3, .pooling = .mean, .dimensions = 2, .normalises = true });
    try writer.record(wire.layouts.BatchSequence{ .id = 7, .position = 0, .tokens = 3, .pages = 1, .logits = .none, .choices = 0, .keep = false, .hidden = 0, .second_type = 1, .adapters = 0 });
    try writer.list(&.{ 1, 2, 3, 0 });
    var bounds = test_bounds;
    bounds.whole = true;
    bounds.positions = 3;
    bounds.token_types = 2;
    bounds.pooled_width = 2;
    try std.testing.expectEqual([2]u32{ 1, 0 }, try testParseWithin(writer.words.items, bounds));
    const words = writer.words.items;
    for ([_]Wrong{
        .{ .at = 4, .value = 5 }, // a pooling that there is none of
        .{ .at = 4, .value = 1 }, // rows that are cut
        .{ .at = 5, .value = 1 }, // scores without a rank head
        .{ .at = 7, .value = 3 }, // more dimensions than there are
        .{ .at = 13, .value = 1 }, // a text that does not begin at 0
        .{ .at = 20, .value = 4 }, // more tokens of type 1 than tokens
    }) |wrong| {
        const before = words[wrong.at];
        words[wrong.at] = wrong.value;
        try std.testing.expectError(error.Refused, testParseWithin(words, bounds));
        words[wrong.at] = before;
    }
    bounds.positions = 2;
    try std.testing.expectError(error.Refused, testParseWithin(words, bounds));
    bounds.positions = 0;
    bounds.token_types = 1;
    try std.testing.expectError(error.Refused, testParseWithin(words, bounds));
}
