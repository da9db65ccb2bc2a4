//! A chain: rounds of one batch that follow one another without TypeScript in between, each sequence with the token that it chose
//! in the round before. It ends where TypeScript has something to decide: a token that ends a text, a sequence that failed or was
//! given up, the last round that was granted. What the rounds came to waits here until it is taken.

const std = @import("std");
const os = @import("../host/os.zig");
const sampler_zig = @import("../calls/sample.zig");
const wire = @import("../wire.zig");
const Batch = @import("batch.zig").Batch;
const Report = @import("../host/report.zig").Report;
const Sequence = @import("batch.zig").Sequence;
const Words = @import("../host/words.zig").Words;

const Result = wire.layouts.StepResult;

/// What a choice goes by that came late.
const Late = struct {
    /// The copied words; grows to the largest choice and stays.
    words: []align(4) u8 = &.{},
    /// The round that they are for; 0: none came, for the first round brings its own.
    round: std.atomic.Value(u32) = .init(0),
};

pub const Chain = struct {
    /// How many rounds may run, as things are.
    granted: u32 = 1,
    /// Rounds that have ended, and those of them that were taken.
    ended: u32 = 0,
    taken: u32 = 0,
    /// Whether no round follows.
    over: bool = false,
    /// Of all rounds, one for each sequence.
    results: []Result = &.{},
    /// The token that each sequence reads in the round in flight.
    tokens: []u32 = &.{},
    late: []Late = &.{},
    /// Counts what the choices of the round in flight may wait for.
    arrivals: std.atomic.Value(u32) = .init(0),

    pub fn deinit(chain: *Chain) void {
        for (chain.late) |*late| os.allocator.free(late.words);
        os.allocator.free(chain.late);
        os.allocator.free(chain.results);
        os.allocator.free(chain.tokens);
        chain.* = .{};
    }

    /// Makes room for the rounds of a batch; none of them allocates but for what comes late.
    pub fn begin(chain: *Chain, batch: *const Batch) error{OutOfMemory}!void {
        chain.granted = batch.granted;
        chain.ended = 0;
        chain.taken = 0;
        chain.over = false;
        if (batch.rounds == 1) return;
        std.debug.assert(batch.count > 0 and batch.choice_count == batch.count and batch.logit_rows == batch.count);
        const wanted = batch.rounds * batch.count;
        if (chain.results.len < wanted) chain.results = try os.allocator.realloc(chain.results, wanted);
        if (chain.tokens.len < batch.count) chain.tokens = try os.allocator.realloc(chain.tokens, batch.count);
        if (chain.late.len < batch.count) {
            const before = chain.late.len;
            chain.late = try os.allocator.realloc(chain.late, batch.count);
            for (chain.late[before..]) |*late| late.* = .{};
        }
        for (chain.late) |*late| late.round.store(0, .monotonic);
    }

    /// A round has ended: keeps what came of it and prepares the next one; false where none follows.
    pub fn endRound(chain: *Chain, batch: *const Batch, nanoseconds: u64) bool {
        std.debug.assert(!chain.over and chain.ended < batch.rounds);
        var goes_on = chain.ended + 1 < @min(batch.rounds, chain.granted);
        for (batch.active(), chain.results[chain.ended * batch.count ..][0..batch.count]) |*sequence, *result| {
            const choice = &batch.choicesOf(sequence)[0];
            result.* = .{
                .id = sequence.id,
                .status = sequence.status.code(),
                .token = choice.token orelse wire.marks.no_token,
                .rows = 0,
                .milliseconds = milliseconds(nanoseconds),
                .sampled = choice.sampled,
            };
            const token = choice.token orelse {
                goes_on = false;
                continue;
            };
            const ends = std.mem.indexOfScalar(u32, batch.ends, token) != null;
            if (sequence.status != .ok or ends or sequence.cancelled.load(.acquire)) goes_on = false;
        }
        chain.ended += 1;
        if (goes_on) chain.advance(batch) else chain.over = true;
        return goes_on;
    }

    fn advance(chain: *Chain, batch: *const Batch) void {
        std.debug.assert(chain.ended < batch.rounds and chain.tokens.len >= batch.count);
        for (batch.active(), chain.tokens[0..batch.count]) |*sequence, *token| {
            const choice = &batch.choicesOf(sequence)[0];
            token.* = choice.token.?;
            sequence.tokens = token[0..1];
            sequence.position += 1;
            choice.sampling.choice += 1;
            choice.sampling.position += 1;
            choice.sampling.mu = choice.sampled.mu;
            choice.token = null;
            choice.sampled = .{};
        }
    }

    /// Takes what the choice of a sequence in the round in flight goes by; false where that choice waits for nothing.
    pub fn takeLate(chain: *Chain, batch: *const Batch, number: usize, bytes: []const u8, vocabulary: u32, report: *Report) (Words.Error || error{OutOfMemory})!bool {
        std.debug.assert(number < batch.count and chain.ended <= batch.rounds);
        const sequence = &batch.active()[number];
        if (!sequence.late or chain.over or chain.ended == 0) return false;
        const late = &chain.late[number];
        if (late.round.load(.monotonic) == chain.ended) return false;
        if (late.words.len < bytes.len) late.words = try os.allocator.realloc(late.words, bytes.len);
        @memcpy(late.words[0..bytes.len], bytes);
        var words: Words = .{ .bytes = late.words[0..bytes.len] };
        const choice = &batch.choicesOf(sequence)[0];
        const sampling = try sampler_zig.readNext(&words, choice.sampling, vocabulary, report);
        try words.end("choice", report);
        if (sampling.choice != choice.sampling.choice) return false;
        choice.sampling = sampling;
        late.round.store(chain.ended, .release);
        chain.wake();
        return true;
    }

    /// Whether all has come that the choices of the round in flight go by.
    pub fn isComplete(chain: *const Chain, batch: *const Batch) bool {
        if (chain.ended == 0) return true;
        for (batch.active(), 0..) |*sequence, number| {
            if (!sequence.late or sequence.status != .ok or sequence.cancelled.load(.acquire)) continue;
            if (chain.late[number].round.load(.acquire) != chain.ended) return false;
        }
        return true;
    }

    /// Lets a thread that waits for what comes late look again.
    pub fn wake(chain: *Chain) void {
        _ = chain.arrivals.fetchAdd(1, .release);
        os.futexWakeAll(&chain.arrivals);
    }
};

pub fn milliseconds(nanoseconds: u64) f64 {
    return @as(f64, @floatFromInt(nanoseconds)) / std.time.ns_per_ms;
}
