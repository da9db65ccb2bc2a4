//! The conductor: one native thread that runs queued tasks (steps of engines, loading of models) one after the other,
//! each with the pool's driver lock. A long task does a part and asks for another turn, so engines take turns.

const std = @import("std");
const os = @import("../host/os.zig");
const fpu = @import("../host/fpu.zig");
const pool = @import("pool.zig");

pub const Task = struct {
    /// Does the task, or a part of it: true asks for another turn.
    run: *const fn (*Task) bool,
    next: ?*Task = null,
};

const stack_bytes = 4 << 20;
const spins_max = 2000;

var lock: os.Lock = .{};
var first: ?*Task = null;
var last: ?*Task = null;
var started = false;
/// Counts what was queued; the conductor sleeps until it changes.
var queued: std.atomic.Value(u32) = .init(0);

pub const Error = error{NoThread};

/// Queues a task, which must live until its last turn has begun to return.
pub fn enqueue(task: *Task) Error!void {
    lock.acquire();
    defer lock.unlock();
    if (!started) {
        const thread = std.Thread.spawn(.{ .stack_size = stack_bytes }, conduct, .{}) catch return error.NoThread;
        thread.detach();
        started = true;
    }
    append(task);
    _ = queued.fetchAdd(1, .release);
    os.futexWakeAll(&queued);
}

/// Runs all turns of a task on the calling thread if no other thread drives the pool; false: nothing was done.
pub fn tryRunHere(task: *Task) bool {
    if (!pool.driver.tryAcquire()) return false;
    defer pool.driver.unlock();
    const saved = fpu.enter();
    defer saved.restore();
    while (task.run(task)) {}
    return true;
}

fn append(task: *Task) void {
    task.next = null;
    if (last) |tail| tail.next = task else first = task;
    last = task;
}

fn pop() ?*Task {
    lock.acquire();
    defer lock.unlock();
    const task = first orelse return null;
    first = task.next;
    if (first == null) last = null;
    return task;
}

fn conduct() void {
    _ = fpu.enter();
    while (true) {
        const seen = queued.load(.acquire);
        if (pop()) |task| {
            pool.driver.acquire();
            const again = task.run(task);
            pool.driver.unlock();
            if (again) {
                lock.acquire();
                append(task);
                lock.unlock();
            }
            continue;
        }
        var spins: u32 = 0;
        while (queued.load(.acquire) == seen and spins < spins_max) : (spins += 1) std.atomic.spinLoopHint();
        if (queued.load(.acquire) == seen) os.futexWait(&queued, seen, null);
    }
}

const TestTask = struct {
    task: Task = .{ .run = turn },
    turns: std.atomic.Value(u32) = .init(0),

    fn turn(task: *Task) bool {
        const self: *TestTask = @fieldParentPtr("task", task);
        const turns = self.turns.fetchAdd(1, .acq_rel) + 1;
        if (turns == 3) os.futexWakeAll(&self.turns);
        return turns < 3;
    }
};

test "tasks take turns until they are done" {
    var tasks: [2]TestTask = .{ .{}, .{} };
    for (&tasks) |*t| try enqueue(&t.task);
    for (&tasks) |*t| {
        while (true) {
            const turns = t.turns.load(.acquire);
            if (turns == 3) break;
            os.futexWait(&t.turns, turns, std.time.ns_per_ms);
        }
    }
}
