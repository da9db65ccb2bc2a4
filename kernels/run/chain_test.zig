//! Chains against the same steps one by one, with a sampler that remembers, and each thing that ends one: a token, a sequence that
//! was given up, what was granted, a freed engine; and choices that wait for what comes late. Linux and macOS only: the model is a
//! temporary file.

const std = @import("std");
const builtin = @import("builtin");
const os = @import("../host/os.zig");
const wire = @import("../wire.zig");
const layouts = wire.layouts;
const pool = @import("../threads/pool.zig");
const Engine = @import("engine.zig").Engine;
const Report = @import("../host/report.zig").Report;
const Status = @import("../status.zig").Status;
const Writer = @import("../host/words.zig").Writer;
const engine_test = @import("engine_test.zig");
const Fixture = engine_test.Fixture;
const vocabulary = engine_test.vocabulary;
const testing = std.testing;

const rounds_max = 12;
const Result = Engine.Result;

/// Two sequences at the end of their prompts, in pages of 16.
const Asked = struct {
    rounds: u32 = rounds_max,
    granted: u32 = rounds_max,
    ends: []const u32 = &.{},
    late: bool = false,
    /// Which of them pause.
    pauses: [2]bool = .{ false, false },
    runs_inline: bool = false,
    threads: u32 = 2,

    fn write(asked: Asked, writer: *Writer, tokens: [2]u32, position: u32, choice: u32, mu: [2]f64) !void {
        writer.words.clearRetainingCapacity();
        try writer.record(layouts.BatchHeader{ .runs_inline = asked.runs_inline, .threads = asked.threads, .sequences = 2, .tokens = 2, .rounds = asked.rounds, .granted = asked.granted, .ends = @intCast(asked.ends.len) });
        try writer.list(asked.ends);
        for (tokens, mu, 0..) |token, own, index| {
            const id: u32 = @intCast(index);
            try writer.record(layouts.BatchSequence{ .id = id, .position = position + id, .tokens = 1, .pages = 2, .logits = .none, .choices = 1, .keep = false, .hidden = 0, .adapters = 0, .late = asked.late and id == 1, .pauses = asked.pauses[id] });
            try writer.list(&.{ token, 2 * id, 2 * id + 1 });
            try writer.record(layouts.SamplerSettings{ .steps = 2, .min_keep = 1, .seed = 5 + id, .bias = 0 });
            try writer.record(layouts.SamplerStep{ .method = .temperature, .count = 0, .a = 2, .b = 0, .c = 0 });
            try writer.record(layouts.SamplerStep{ .method = .mirostat, .count = 0, .a = 3, .b = 0.3, .c = 0 });
            try writeChoice(writer, choice, position + id + 1, own, null);
        }
    }
};

/// `mask`: the bits of all tokens that may be chosen.
fn writeChoice(writer: *Writer, choice: u32, position: u32, mu: f64, mask: ?[]const u32) !void {
    try writer.record(layouts.SamplerChoice{ .logprobs = 2, .distribution = false, .choice = choice, .position = position, .mu = mu, .mask = if (mask) |bits| @intCast(bits.len) else 0, .counts = 0, .matches = 0 });
    if (mask) |bits| try writer.list(bits);
}

const World = struct {
    fixture: Fixture,
    engine: *Engine,

    fn open() !World {
        var fixture: Fixture = try .make(2, 4);
        errdefer fixture.deinit();
        const model = try fixture.load();
        defer model.object.release();
        return .{ .fixture = fixture, .engine = try engine_test.openEngine(model, .{ .threads = 2 }) };
    }

    fn close(world: *World) void {
        world.engine.object.release();
        world.fixture.deinit();
    }
};

const begin = [2]u32{ 3, 9 };
const begin_mu = [2]f64{ 6, 6 };

fn submit(engine: *Engine, writer: *const Writer) !void {
    var buffer: [256]u8 = undefined;
    var report: Report = .{ .buffer = &buffer };
    try engine.submit(writer.bytes(), &report);
}

/// The records of all rounds; as they come, or when all have.
fn takeAll(engine: *Engine, out: []Result) !usize {
    var taken: usize = 0;
    while (true) {
        while (engine.state.load(.acquire) == Engine.busy_state) os.futexWait(&engine.state, Engine.busy_state, std.time.ns_per_ms);
        const goes_on = engine.busy();
        taken += try engine.take(std.mem.sliceAsBytes(out[taken..]), &.{});
        if (!goes_on) return taken;
    }
}

/// The same steps one by one.
fn oneByOne(engine: *Engine, out: []Result) !void {
    var writer: Writer = .{};
    defer writer.deinit();
    var tokens = begin;
    var mu = begin_mu;
    for (0..out.len / 2) |round| {
        const at: u32 = @intCast(round);
        try (Asked{ .rounds = 1, .granted = 1 }).write(&writer, tokens, at, at, mu);
        try submit(engine, &writer);
        const results = out[2 * round ..][0..2];
        try testing.expectEqual(2, try takeAll(engine, results));
        for (results, &tokens, &mu) |*result, *token, *own| {
            token.* = result.token;
            own.* = result.sampled.mu;
        }
    }
}

fn expectSame(expected: []const Result, got: []const Result) !void {
    try testing.expectEqual(expected.len, got.len);
    for (expected, got) |*one, *other| {
        try testing.expectEqual(one.token, other.token);
        try testing.expectEqual(one.id, other.id);
        try testing.expectEqual(0, other.status);
        try testing.expect(other.milliseconds > 0);
        try testing.expectEqualSlices(u8, std.mem.asBytes(&one.sampled), std.mem.asBytes(&other.sampled));
    }
}

test "a chain gives what its steps give one by one, beside its caller and in its place" {
    if (builtin.os.tag == .windows) return error.SkipZigTest;
    var world: World = try .open();
    defer world.close();
    var alone: [2 * rounds_max]Result = undefined;
    try oneByOne(world.engine, &alone);
    var writer: Writer = .{};
    defer writer.deinit();
    for ([_]bool{ false, true }) |runs_inline| for ([_]u32{ 1, 2 }) |threads| {
        var chained: [2 * rounds_max]Result = undefined;
        try (Asked{ .runs_inline = runs_inline, .threads = threads }).write(&writer, begin, 0, 0, begin_mu);
        try submit(world.engine, &writer);
        try testing.expectEqual(chained.len, try takeAll(world.engine, &chained));
        try expectSame(&alone, &chained);
        try testing.expect(!world.engine.grant(rounds_max));
        try testing.expectEqual(0, try world.engine.take(&.{}, &.{}));
    };
}

test "a chain ends behind a token that ends a text, and with what was granted" {
    if (builtin.os.tag == .windows) return error.SkipZigTest;
    var world: World = try .open();
    defer world.close();
    const engine = world.engine;
    var alone: [2 * rounds_max]Result = undefined;
    try oneByOne(engine, &alone);
    var writer: Writer = .{};
    defer writer.deinit();
    var chained: [2 * rounds_max]Result = undefined;
    // The first round in which either sequence chooses a token of the fifth.
    const end = alone[2 * 5 + 1].token;
    const round = for (0..rounds_max) |round| {
        if (alone[2 * round].token == end or alone[2 * round + 1].token == end) break round;
    } else unreachable;
    try (Asked{ .ends = &.{ end, end } }).write(&writer, begin, 0, 0, begin_mu);
    try submit(engine, &writer);
    try testing.expectEqual(2 * (round + 1), try takeAll(engine, &chained));
    try expectSame(alone[0 .. 2 * (round + 1)], chained[0 .. 2 * (round + 1)]);

    try (Asked{ .granted = 3 }).write(&writer, begin, 0, 0, begin_mu);
    try submit(engine, &writer);
    try testing.expectEqual(6, try takeAll(engine, &chained));

    // What is granted while it waits for the pool counts, more and none.
    for ([_]u32{ 7, 0 }) |granted| {
        try (Asked{ .granted = 3 }).write(&writer, begin, 0, 0, begin_mu);
        {
            pool.driver.acquire();
            defer pool.driver.unlock();
            try submit(engine, &writer);
            try testing.expect(engine.grant(granted));
            try testing.expectError(error.Busy, engine.take(&.{}, &.{}));
            try testing.expectError(error.Busy, engine.copyPage(0, 5));
        }
        try testing.expectEqual(2 * @max(1, granted), try takeAll(engine, &chained));
    }
}

test "a chain ends with a sequence that is given up, and with its engine" {
    if (builtin.os.tag == .windows) return error.SkipZigTest;
    var world: World = try .open();
    defer world.close();
    const engine = world.engine;
    var writer: Writer = .{};
    defer writer.deinit();
    var chained: [2 * rounds_max]Result = undefined;
    for ([_]u32{ 1, 2 }) |given_up| {
        try (Asked{}).write(&writer, begin, 0, 0, begin_mu);
        {
            pool.driver.acquire();
            defer pool.driver.unlock();
            try submit(engine, &writer);
            for (0..given_up) |id| try testing.expect(engine.cancel(@intCast(id)));
        }
        try testing.expectEqual(2, try takeAll(engine, &chained));
        try testing.expectEqual(Status.cancelled.code(), chained[0].status);
        try testing.expectEqual(if (given_up == 1) 0 else Status.cancelled.code(), chained[1].status);
        try testing.expectEqual(wire.marks.no_token, chained[0].token);
    }
    // Choices that nothing is handed over for end with the engine, too.
    try (Asked{ .late = true }).write(&writer, begin, 0, 0, begin_mu);
    try submit(engine, &writer);
    engine.abandon();
    const taken = try takeAll(engine, &chained);
    try testing.expectEqual(Status.cancelled.code(), chained[taken - 1].status);
}

test "a choice waits for what it goes by, and takes it for its own round alone" {
    if (builtin.os.tag == .windows) return error.SkipZigTest;
    var world: World = try .open();
    defer world.close();
    const engine = world.engine;
    var writer: Writer = .{};
    defer writer.deinit();
    var buffer: [256]u8 = undefined;
    var report: Report = .{ .buffer = &buffer };
    try (Asked{ .late = true, .rounds = 5, .granted = 5 }).write(&writer, begin, 0, 0, begin_mu);
    try submit(engine, &writer);
    var choice: Writer = .{};
    defer choice.deinit();
    var results: [2]Result = undefined;
    for (0..5) |index| {
        const round: u32 = @intCast(index);
        while (engine.state.load(.acquire) == Engine.busy_state) os.futexWait(&engine.state, Engine.busy_state, std.time.ns_per_ms);
        try testing.expectEqual(2, try engine.take(std.mem.sliceAsBytes(&results), &.{}));
        if (round > 0) try testing.expectEqual(10 + round, results[1].token);
        if (round == 4) break;
        // The round waits: nothing more comes, though a millisecond is enough for one.
        if (round == 1) {
            std.Io.sleep(testing.io, .fromMilliseconds(5), .awake) catch unreachable;
            try testing.expectError(error.Busy, engine.take(std.mem.sliceAsBytes(&results), &.{}));
        }
        // One bit: the token that alone may come.
        var mask: [(vocabulary + 31) / 32]u32 = @splat(0);
        const token = 11 + round;
        mask[token / 32] |= @as(u32, 1) << @intCast(token % 32);
        for ([_]u32{ round, round + 2, round + 1, round + 1 }, 0..) |number, attempt| {
            choice.words.clearRetainingCapacity();
            try writeChoice(&choice, number, round + 3, results[1].sampled.mu, &mask);
            try testing.expect(!try engine.takeLate(0, choice.bytes(), &report)); // not late
            try testing.expect(!try engine.takeLate(7, choice.bytes(), &report)); // not there
            if (attempt == 1) try testing.expectError(error.Refused, engine.takeLate(1, choice.bytes()[4..], &report));
            if (attempt == 3) break;
            try testing.expectEqual(attempt == 2, try engine.takeLate(1, choice.bytes(), &report));
        }
    }
    try testing.expect(!try engine.takeLate(1, choice.bytes(), &report));
}

/// Hands a token over twice, with no round between: the second time the sequence has it already. Returns whether it was taken.
fn handTwice(engine: *Engine, id: u32, bytes: []const u8, report: *Report) !bool {
    engine.lock.acquire();
    defer engine.lock.unlock();
    if (!engine.busy()) return false;
    const batch = &engine.work.batch;
    const number = for (batch.all(), 0..) |*sequence, number| {
        if (sequence.id == id) break number;
    } else unreachable;
    const is_taken = try engine.chain.takeLate(batch, number, bytes, vocabulary, report);
    try testing.expect(!try engine.chain.takeLate(batch, number, bytes, vocabulary, report));
    return is_taken;
}

test "a sequence pauses until it has its next token, and the others go on" {
    if (builtin.os.tag == .windows) return error.SkipZigTest;
    var world: World = try .open();
    defer world.close();
    const engine = world.engine;
    var alone: [2 * rounds_max]Result = undefined;
    try oneByOne(engine, &alone);
    var buffer: [256]u8 = undefined;
    var report: Report = .{ .buffer = &buffer };
    var writer: Writer = .{};
    defer writer.deinit();
    var choice: Writer = .{};
    defer choice.deinit();
    for ([_]u32{ 0, 1, 2 }) |delay| {
        try (Asked{ .pauses = .{ false, true } }).write(&writer, begin, 0, 0, begin_mu);
        try submit(engine, &writer);
        var taken = [2]u32{ 0, 0 };
        var asked_at: ?u32 = null;
        var goes_on = true;
        while (goes_on) {
            while (engine.state.load(.acquire) == Engine.busy_state) os.futexWait(&engine.state, Engine.busy_state, std.time.ns_per_ms);
            goes_on = engine.busy();
            var results: [2 * rounds_max]Result = undefined;
            const count = try engine.take(std.mem.sliceAsBytes(&results), &.{});
            for (results[0..count]) |*result| {
                try expectSame(alone[2 * taken[result.id] + result.id ..][0..1], @as(*const [1]Result, result));
                taken[result.id] += 1;
                if (result.id == 1) asked_at = taken[0] + delay;
            }
            if (asked_at == null or taken[0] < asked_at.?) continue;
            asked_at = null;
            const last = &alone[2 * (taken[1] - 1) + 1];
            choice.words.clearRetainingCapacity();
            try choice.list(&.{last.token});
            try writeChoice(&choice, taken[1], taken[1] + 2, last.sampled.mu, null);
            try testing.expect(!try engine.takeLate(0, choice.bytes(), &report)); // does not pause
            const is_taken = try handTwice(engine, 1, choice.bytes(), &report);
            try testing.expect(is_taken or !goes_on or !engine.busy() or engine.chain.over);
        }
        try testing.expectEqual(rounds_max, taken[0]);
        try testing.expect(taken[1] >= 1 and taken[1] <= rounds_max);
    }

    // One that is given up while it pauses ends the chain; what is handed over must be a token.
    try (Asked{ .pauses = .{ false, true }, .rounds = 10, .granted = 10 }).write(&writer, begin, 0, 0, begin_mu);
    {
        pool.driver.acquire();
        defer pool.driver.unlock();
        try submit(engine, &writer);
        choice.words.clearRetainingCapacity();
        try choice.list(&.{vocabulary});
        try testing.expect(!try engine.takeLate(1, choice.bytes(), &report)); // is not through its first round
        try testing.expect(engine.cancel(1));
    }
    var results: [2 * rounds_max]Result = undefined;
    try testing.expectEqual(2, try takeAll(engine, &results));

    // Those that pause come last, and not in the caller's place.
    try (Asked{ .pauses = .{ true, false } }).write(&writer, begin, 0, 0, begin_mu);
    try testing.expectError(error.Refused, submit(engine, &writer));
    try (Asked{ .pauses = .{ true, true } }).write(&writer, begin, 0, 0, begin_mu);
    try testing.expectError(error.Refused, submit(engine, &writer));
    try (Asked{ .pauses = .{ false, true }, .runs_inline = true }).write(&writer, begin, 0, 0, begin_mu);
    try testing.expectError(error.Refused, submit(engine, &writer));
}
