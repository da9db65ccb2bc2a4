//! How fast this machine reads memory: the limit that decoding is measured against. A pass reads huge pages in whole
//! cache lines on the pool's threads, and the best of several counts: what is asked is what the machine can do, not
//! what it did while a neighbour was busy.

const std = @import("std");
const assert = std.debug.assert;
const os = @import("../host/os.zig");
const pool = @import("../threads/pool.zig");

const passes = 9;
/// Bytes of one claim: long enough to be a stream, short enough that a late thread does not hold the pass up.
const claim_bytes = 8 << 20;
/// How far ahead to prefetch, in bytes; each pass tries the next, because processors differ.
const distances = [_]usize{ 2048, 0, 1024, 4096 };

const Pass = struct {
    memory: []align(64) u8,
    distance: usize,
    run: *const fn (part: []align(64) u8, distance: usize) void,

    fn item(context: *anyopaque, index: u32, _: u32) void {
        const pass: *Pass = @ptrCast(@alignCast(context));
        assert((@as(usize, index) + 1) * claim_bytes <= pass.memory.len);
        pass.run(@alignCast(pass.memory[index * claim_bytes ..][0..claim_bytes]), pass.distance);
    }

    fn all(pass: *Pass, threads: u32) void {
        pool.parallel(threads, @intCast(pass.memory.len / claim_bytes), pass, item);
    }
};

/// Bytes a second that `threads` threads read together from `mebibytes` of memory, rounded up to whole claims. Takes
/// the pool for the whole time.
pub fn measure(threads: u32, mebibytes: u32) error{OutOfMemory}!f64 {
    const bytes = std.mem.alignForward(usize, @as(usize, @max(mebibytes, 1)) << 20, claim_bytes);
    const memory = os.allocate(bytes) orelse return error.OutOfMemory;
    defer os.release(memory);
    pool.driver.acquire();
    defer pool.driver.unlock();
    const count = pool.ensure(threads);
    assert(count > 0 and memory.len % claim_bytes == 0);
    var pass: Pass = .{ .memory = memory, .distance = 0, .run = touch };
    pass.all(count);
    pass.run = read;
    var best: u64 = std.math.maxInt(u64);
    for (0..passes) |number| {
        pass.distance = distances[number % distances.len];
        const begin = os.nowNs();
        pass.all(count);
        best = @min(best, os.nowNs() - begin);
    }
    return @as(f64, @floatFromInt(bytes)) / @as(f64, @floatFromInt(@max(best, 1))) * std.time.ns_per_s;
}

/// Makes the system commit the pages: unwritten ones may all be one page of zeros.
fn touch(part: []align(64) u8, _: usize) void {
    @memset(part, 1);
}

fn read(part: []align(64) u8, distance: usize) void {
    const Line = @Vector(64, u8);
    const lines: []const Line = @ptrCast(part);
    var sums: [4]Line = @splat(@splat(0));
    var index: usize = 0;
    while (index < lines.len) : (index += sums.len) {
        inline for (0..sums.len) |k| {
            if (distance > 0) @prefetch(@as([*]const u8, @ptrCast(&lines[index + k])) + distance, .{ .locality = 3 });
            sums[k] |= lines[index + k];
        }
    }
    std.mem.doNotOptimizeAway(sums[0] | sums[1] | sums[2] | sums[3]);
}

test "a small measurement gives a finite rate" {
    const rate = try measure(2, 16);
    try std.testing.expect(rate > 1e6 and rate < 1e13);
}
