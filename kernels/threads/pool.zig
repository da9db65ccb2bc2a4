//! The thread pool: one for the process. A driver (the conductor thread, or a caller that runs a short step itself)
//! hands out a job as numbered items; every thread claims items until none is left, so a late thread does less.
//!
//! A job lies in one of two slots. `ticket` holds its epoch and how many items are unclaimed; a claim is one
//! compare-and-swap, so a thread that overslept can never claim from a job it has not read. Waiting is a short spin,
//! then a futex: a busy neighbour costs its share of the machine and no more.

const std = @import("std");
const os = @import("../host/os.zig");
const fpu = @import("../host/fpu.zig");
const limits = @import("../limits.zig");

/// What `parallel` runs for each item; `thread` is below the number of threads asked for.
pub const Run = *const fn (context: *anyopaque, item: u32, thread: u32) void;

const Slot = struct {
    run: Run,
    context: *anyopaque,
    count: u32,
    /// Read by threads that have claimed nothing yet, while the slot may be rewritten: what they read is then not believed.
    threads: std.atomic.Value(u32),
    done: std.atomic.Value(u32) align(64),
    driver_sleeps: std.atomic.Value(u32),
};

/// Loops of a spin before sleeping.
pub var spins_max: std.atomic.Value(u32) = .init(limits.spins_default);
const stack_bytes = 4 << 20;

/// Unclaimed items in the low half, the job's epoch in the high half.
var ticket: std.atomic.Value(u64) align(64) = .init(0);
var slots: [2]Slot align(64) = undefined;
/// Counts jobs; sleeping workers wait for it to change.
var signal: std.atomic.Value(u32) align(64) = .init(0);
var sleepers: std.atomic.Value(u32) align(64) = .init(0);

/// Held by the thread that drives jobs: engines take turns.
pub var driver: os.Lock = .{};
var workers: u32 = 0;

/// Starts workers until `threads` (with the driver) can take part, or the system refuses one; returns how many can.
/// The driver's lock is held.
pub fn ensure(threads: u32) u32 {
    while (workers + 1 < @min(threads, limits.threads_max)) {
        const thread = std.Thread.spawn(.{ .stack_size = stack_bytes }, work, .{workers + 1}) catch break;
        thread.detach();
        workers += 1;
    }
    return @min(threads, workers + 1);
}

pub fn threadCount() u32 {
    return workers;
}

/// Runs `run` for every item below `count`, on up to `threads` threads; returns when all have ended. The driver's
/// lock is held.
pub fn parallel(threads: u32, count: u32, context: *anyopaque, run: Run) void {
    if (threads <= 1 or count <= 1) {
        for (0..count) |item| run(context, @intCast(item), 0);
        return;
    }
    const epoch: u32 = @truncate((ticket.load(.monotonic) >> 32) + 1);
    const slot = &slots[epoch & 1];
    slot.run = run;
    slot.context = context;
    slot.count = count;
    slot.threads.store(threads, .monotonic);
    slot.done.store(0, .monotonic);
    slot.driver_sleeps.store(0, .monotonic);
    ticket.store(@as(u64, epoch) << 32 | count, .release);
    _ = signal.fetchAdd(1, .seq_cst);
    if (sleepers.load(.seq_cst) > 0) os.futexWakeAll(&signal);
    claimAll(epoch, 0);
    var spins: u32 = 0;
    while (true) {
        const done = slot.done.load(.acquire);
        if (done == count) return;
        spins += 1;
        if (spins < spins_max.load(.monotonic)) {
            std.atomic.spinLoopHint();
            continue;
        }
        slot.driver_sleeps.store(1, .seq_cst);
        if (slot.done.load(.seq_cst) != done) continue;
        os.futexWait(&slot.done, done, std.time.ns_per_ms);
    }
}

fn claimAll(epoch: u32, thread: u32) void {
    const slot = &slots[epoch & 1];
    var ran: u32 = 0;
    while (true) {
        var seen = ticket.load(.acquire);
        while (seen >> 32 == epoch and seen & 0xffff_ffff != 0) {
            seen = ticket.cmpxchgWeak(seen, seen - 1, .acq_rel, .acquire) orelse break;
        } else break;
        // The item is ours, so the job cannot end and its slot cannot change before we say so.
        slot.run(slot.context, slot.count - @as(u32, @truncate(seen)), thread);
        ran += 1;
    }
    // Said once for all: each time costs the threads a cache line.
    if (ran > 0) {
        const count = slot.count;
        if (slot.done.fetchAdd(ran, .seq_cst) + ran == count and slot.driver_sleeps.load(.seq_cst) != 0) os.futexWakeAll(&slot.done);
    }
}

fn work(thread: u32) void {
    _ = fpu.enter();
    var seen_signal: u32 = 0;
    while (true) {
        var spins: u32 = 0;
        while (signal.load(.acquire) == seen_signal) {
            spins += 1;
            if (spins < spins_max.load(.monotonic)) {
                std.atomic.spinLoopHint();
                continue;
            }
            _ = sleepers.fetchAdd(1, .seq_cst);
            os.futexWait(&signal, seen_signal, null);
            _ = sleepers.fetchSub(1, .seq_cst);
        }
        seen_signal = signal.load(.acquire);
        const now = ticket.load(.acquire);
        const epoch: u32 = @truncate(now >> 32);
        // The slot is rewritten two jobs later at the soonest: while the ticket still shows this epoch, what was read of
        // it is true; and a claim names its epoch, so it fails if the job has ended meanwhile.
        if (now & 0xffff_ffff == 0 or thread >= slots[epoch & 1].threads.load(.monotonic)) continue;
        if (ticket.load(.acquire) >> 32 != epoch) continue;
        claimAll(epoch, thread);
    }
}

const TestJob = struct {
    counts: [1000]std.atomic.Value(u32) = @splat(.init(0)),

    fn run(context: *anyopaque, item: u32, thread: u32) void {
        const job: *TestJob = @ptrCast(@alignCast(context));
        std.debug.assert(thread < 3);
        _ = job.counts[item].fetchAdd(1, .monotonic);
    }
};

test "every item runs once, job after job" {
    driver.acquire();
    defer driver.unlock();
    const threads = ensure(3);
    var round: u32 = 1;
    var job: TestJob = .{};
    while (round <= 300) : (round += 1) {
        parallel(threads, 1000, &job, TestJob.run);
        for (&job.counts) |*count| try std.testing.expectEqual(round, count.load(.monotonic));
    }
}
