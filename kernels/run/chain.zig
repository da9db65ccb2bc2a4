//! A chain: rounds of one batch that follow one another without TypeScript in between, each sequence with the token that it chose
//! in the round before. It ends where TypeScript has something to decide: a token that ends a text, a sequence that failed or was
//! given up, the last round that was granted. What the rounds came to waits here until it is taken.
//!
//! Sequences at its end may pause: TypeScript chooses their tokens, or says when. Each sits the rounds out from one of its own to
//! the next, until its token is handed over. All that is kept of a sequence goes with it where it changes its number.

const std = @import("std");
const os = @import("../host/os.zig");
const sampler_zig = @import("../calls/sample.zig");
const wire = @import("../wire.zig");
const Batch = @import("batch.zig").Batch;
const Choice = @import("batch.zig").Choice;
const Report = @import("../host/report.zig").Report;
const Scratch = @import("scratch.zig").Scratch;
const Sequence = @import("batch.zig").Sequence;
const Words = @import("../host/words.zig").Words;

const Result = wire.layouts.StepResult;

/// What a choice goes by that came late.
const Late = struct {
    /// The copied words; grows to the largest choice and stays.
    words: []align(4) u8 = &.{},
    /// The round that they are for; 0: none came, for the first round brings its own.
    round: std.atomic.Value(u32) = .init(0),
    /// Whether the token is there that a sequence which paused goes on with, and the token.
    is_next: std.atomic.Value(bool) = .init(false),
    next: u32 = 0,
    /// The logits of its last round, where it wants them.
    row: []f32 = &.{},

    fn copy(late: *Late, bytes: []const u8) error{OutOfMemory}!Words {
        if (late.words.len < bytes.len) late.words = try os.allocator.realloc(late.words, bytes.len);
        @memcpy(late.words[0..bytes.len], bytes);
        return .{ .bytes = late.words[0..bytes.len] };
    }

    fn deinit(late: *Late) void {
        os.allocator.free(late.words);
        os.allocator.free(late.row);
    }
};

/// The share of a round's time that the next one waits for those that pause: one that comes a little too late would have half its
/// tokens. And the rounds that do not wait, after a wait in vain.
const wait_share = 8;
const rounds_unwaited = 8;

pub const Chain = struct {
    /// How many rounds may run, as things are.
    granted: u32 = 1,
    /// Rounds that have ended.
    ended: u32 = 0,
    /// Whether no round follows.
    over: bool = false,
    /// Of all rounds, one for each sequence that took part, and how many there are and were taken.
    results: []Result = &.{},
    kept: u32 = 0,
    handed: u32 = 0,
    /// Rounds that do not wait for those that pause, and when the wait of the next one ends.
    unwaited: u32 = 0,
    wait_end: u64 = 0,
    /// The token that each sequence reads in the round in flight.
    tokens: []u32 = &.{},
    late: []Late = &.{},
    /// Counts what the choices of the round in flight may wait for.
    arrivals: std.atomic.Value(u32) = .init(0),

    pub fn deinit(chain: *Chain) void {
        for (chain.late) |*late| late.deinit();
        os.allocator.free(chain.late);
        os.allocator.free(chain.results);
        os.allocator.free(chain.tokens);
        chain.* = .{};
    }

    /// Makes room for the rounds of a batch; none of them allocates but for what comes late.
    pub fn begin(chain: *Chain, batch: *const Batch, vocabulary: u32) error{OutOfMemory}!void {
        chain.granted = batch.granted;
        chain.ended = 0;
        chain.kept = 0;
        chain.handed = 0;
        chain.unwaited = 0;
        chain.over = false;
        if (batch.rounds == 1) return;
        std.debug.assert(batch.count > 0 and batch.choice_count <= batch.count and batch.logit_rows == batch.count);
        const wanted = batch.rounds * batch.count;
        if (chain.results.len < wanted) chain.results = try os.allocator.realloc(chain.results, wanted);
        if (chain.tokens.len < batch.count) chain.tokens = try os.allocator.realloc(chain.tokens, batch.count);
        if (chain.late.len < batch.count) {
            const before = chain.late.len;
            chain.late = try os.allocator.realloc(chain.late, batch.count);
            for (chain.late[before..]) |*late| late.* = .{};
        }
        for (chain.late) |*late| {
            late.round.store(0, .monotonic);
            late.is_next.store(false, .monotonic);
        }
        for (batch.all(), chain.late[0..batch.total]) |*sequence, *late| {
            if (sequence.logits == .last and late.row.len < vocabulary) late.row = try os.allocator.realloc(late.row, vocabulary);
        }
    }

    /// A round has ended: keeps what came of it and prepares the next one; false where none follows.
    pub fn endRound(chain: *Chain, batch: *Batch, scratch: *const Scratch, nanoseconds: u64) bool {
        std.debug.assert(!chain.over and chain.ended < batch.rounds);
        var goes_on = chain.ended + 1 < @min(batch.rounds, chain.granted);
        for (batch.active(), 0..) |*sequence, number| {
            const token = chain.keep(batch, scratch, number, nanoseconds);
            if (sequence.pauses) continue;
            const ends = if (token) |own| std.mem.indexOfScalar(u32, batch.ends, own) != null else true;
            if (sequence.status != .ok or ends) goes_on = false;
        }
        for (batch.all()) |*sequence| if (sequence.cancelled.load(.acquire)) {
            goes_on = false;
        };
        chain.ended += 1;
        if (goes_on) chain.advance(batch) else chain.over = true;
        return goes_on;
    }

    /// Keeps what came of a sequence; returns its token.
    fn keep(chain: *Chain, batch: *const Batch, scratch: *const Scratch, number: usize, nanoseconds: u64) ?u32 {
        const sequence = &batch.active()[number];
        const choice: ?*const Choice = if (sequence.choice_count > 0) &batch.choicesOf(sequence)[0] else null;
        const token = if (choice) |own| own.token else null;
        const rows: u32 = @intFromBool(sequence.logits == .last and sequence.status == .ok);
        if (rows > 0) {
            const row = chain.late[number].row;
            @memcpy(row, scratch.logitRow(sequence.logit_row)[0..row.len]);
        }
        std.debug.assert(chain.kept < batch.rounds * batch.total);
        chain.results[chain.kept] = .{
            .id = sequence.id,
            .status = sequence.status.code(),
            .token = token orelse wire.marks.no_token,
            .rows = rows,
            .milliseconds = milliseconds(nanoseconds),
            .sampled = if (choice) |own| own.sampled else .{},
        };
        chain.kept += 1;
        return token;
    }

    fn advance(chain: *Chain, batch: *Batch) void {
        std.debug.assert(chain.ended < batch.rounds and chain.tokens.len >= batch.total);
        // From the last on: none that pauses comes before one that does not.
        while (batch.sequences[batch.count - 1].pauses) batch.count -= 1;
        for (batch.active(), 0..) |*sequence, number| {
            const choice = &batch.choicesOf(sequence)[0];
            choice.sampling.choice += 1;
            choice.sampling.position += 1;
            choice.sampling.mu = choice.sampled.mu;
            chain.goOn(batch, number, choice.token.?);
        }
    }

    /// A sequence reads a token in the next round.
    fn goOn(chain: *Chain, batch: *const Batch, number: usize, token: u32) void {
        std.debug.assert(number < batch.total and batch.total <= chain.tokens.len);
        const sequence = &batch.all()[number];
        chain.tokens[number] = token;
        sequence.tokens = chain.tokens[number..][0..1];
        sequence.position += 1;
        sequence.first = @intCast(number);
        sequence.logit_row = @intCast(number);
        if (sequence.choice_count == 0) return;
        const choice = &batch.choicesOf(sequence)[0];
        choice.token = null;
        choice.sampled = .{};
    }

    /// Lets those take part again whose tokens were handed over.
    pub fn admit(chain: *Chain, batch: *Batch) void {
        for (batch.count..batch.total) |number| {
            if (batch.sequences[number].cancelled.load(.acquire) or !chain.late[number].is_next.swap(false, .acquire)) continue;
            const place = batch.count;
            std.debug.assert(place <= number and batch.sequences[number].pauses);
            std.mem.swap(Late, &chain.late[place], &chain.late[number]);
            std.mem.swap(Sequence, &batch.sequences[place], &batch.sequences[number]);
            chain.goOn(batch, place, chain.late[place].next);
            batch.count += 1;
        }
        batch.tokens = batch.count;
        batch.logit_rows = batch.count;
    }

    /// Decides how long the next round waits for those that pause, after one of `nanoseconds` that ended at `now`.
    pub fn beginWait(chain: *Chain, batch: *const Batch, nanoseconds: u64, now: u64) void {
        chain.wait_end = now;
        if (!chain.isAwaited(batch)) return;
        if (chain.unwaited > 0) {
            chain.unwaited -= 1;
        } else chain.wait_end += nanoseconds / wait_share;
    }

    /// How long is left of that wait; 0: the round begins.
    pub fn waitLeft(chain: *Chain, batch: *const Batch, now: u64) u64 {
        if (chain.unwaited > 0 or !chain.isAwaited(batch)) return 0;
        if (now >= chain.wait_end) chain.unwaited = rounds_unwaited;
        return chain.wait_end -| now;
    }

    /// Whether a sequence pauses whose token was not handed over yet.
    fn isAwaited(chain: *const Chain, batch: *const Batch) bool {
        return for (batch.all()[batch.count..], chain.late[batch.count..batch.total]) |*sequence, *late| {
            if (!late.is_next.load(.acquire) and !sequence.cancelled.load(.acquire)) break true;
        } else false;
    }

    /// Copies the logits of the results that are taken now, a row each.
    pub fn takeRows(chain: *const Chain, batch: *const Batch, floats: []u8) error{Short}!void {
        var at: usize = 0;
        for (chain.results[chain.handed..chain.kept]) |*result| {
            if (result.rows == 0) continue;
            const row = for (batch.all(), 0..) |*sequence, number| {
                if (sequence.id == result.id) break std.mem.sliceAsBytes(chain.late[number].row);
            } else unreachable;
            if (floats.len - at < row.len) return error.Short;
            @memcpy(floats[at..][0..row.len], row);
            at += row.len;
        }
    }

    /// Takes what the choice of a sequence in the round in flight goes by; false where that choice waits for nothing.
    pub fn takeLate(chain: *Chain, batch: *const Batch, number: usize, bytes: []const u8, vocabulary: u32, report: *Report) (Words.Error || error{OutOfMemory})!bool {
        std.debug.assert(number < batch.total and chain.ended <= batch.rounds);
        const sequence = &batch.all()[number];
        if (sequence.pauses) return chain.takeNext(batch, number, bytes, vocabulary, report);
        if (!sequence.late or chain.over or chain.ended == 0) return false;
        const late = &chain.late[number];
        if (late.round.load(.monotonic) == chain.ended) return false;
        var words = try late.copy(bytes);
        const choice = &batch.choicesOf(sequence)[0];
        const sampling = try sampler_zig.readNext(&words, choice.sampling, vocabulary, report);
        try words.end("choice", report);
        if (sampling.choice != choice.sampling.choice) return false;
        choice.sampling = sampling;
        late.round.store(chain.ended, .release);
        chain.wake();
        return true;
    }

    /// Takes what a sequence that pauses goes on with; false where it does not pause, or has no page for it.
    fn takeNext(chain: *Chain, batch: *const Batch, number: usize, bytes: []const u8, vocabulary: u32, report: *Report) (Words.Error || error{OutOfMemory})!bool {
        const sequence = &batch.all()[number];
        const late = &chain.late[number];
        if (number < batch.count or chain.over or late.is_next.load(.monotonic)) return false;
        if (sequence.cancelled.load(.acquire) or sequence.position + 1 >= sequence.capacity) return false;
        var words = try late.copy(bytes);
        const token = (try words.list(u32, 1))[0];
        if (token >= vocabulary) {
            _ = report.fail(.invalid_argument, "token id", "", .{ "0 to {d}", .{vocabulary - 1} }, .{ "{d}", .{token} });
            return error.Refused;
        }
        if (sequence.choice_count > 0) {
            const choice = &batch.choicesOf(sequence)[0];
            choice.sampling = try sampler_zig.readNext(&words, choice.sampling, vocabulary, report);
        }
        try words.end("choice", report);
        late.next = token;
        late.is_next.store(true, .release);
        chain.wake();
        return true;
    }

    /// Whether all has come that the choices of the round in flight go by.
    pub noinline fn isComplete(chain: *const Chain, batch: *const Batch) bool {
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
