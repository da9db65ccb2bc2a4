//! `zig build cores`: what threads and the matrix unit make of products of many tokens, and what it costs a step to share work out.
//!
//! - products of 16 to 512 tokens on one thread and on two, at the levels from `v4` (or the best) on, for one format of each kind;
//! - a phase of a step without work: claims and the wait for the last thread, with 1 to 16 threads, as far as there are cores.
//!
//! Levels take turns in short passes, and the best pass counts, because noise only ever slows. A table goes to standard output.

const std = @import("std");
const kernels = @import("kernels");
const Activations = @import("activations.zig").Activations;
const level_table = kernels.level_table;
const dispatch = kernels.dispatch;
const now = kernels.os.nowNs;
const pool = kernels.pool;

const cols = 2048;
/// TinyLlama's widest matrix has so many groups of rows.
const groups = 352;
const rounds = 24;
const claim_groups = 8;
const tokens_max = 512;
const formats = [_][]const u8{ "Q4_0", "Q8_0", "Q4_K", "Q6_K", "Q2_K", "Q5_1", "IQ4_XS", "IQ2_XXS", "NVFP4" };
const token_counts = [_]u32{ 16, 64, 256, 512 };
const a = std.heap.c_allocator;

pub fn main() !void {
    pool.driver.acquire();
    const cores: u32 = @intCast(try std.Thread.getCpuCount());
    const threads = pool.ensure(@min(16, cores));
    const all = dispatch.levels();
    const levels = all[if (all.len >= 3) @min(2, all.len - 1) else all.len - 1..];
    print("GMAC/s of {d} x {d}, best of {d}\n{s: <10}{s: <8}", .{ groups * 16, cols, rounds, "format", "level" });
    for (token_counts) |tokens| for (1..3) |n| print("{d: >6} x{d}", .{ tokens, n });
    for (formats) |name| try measureFormat(name, levels, @min(2, threads));
    print("\n\na phase without work, ns: rows are claims of each thread, columns threads\n{s: <8}", .{"claims"});
    var count: u32 = 1;
    while (count <= threads) : (count *= 2) print("{d: >8}", .{count});
    for ([_]u32{ 1, 4, 16 }) |claims| {
        print("\n{d: <8}", .{claims});
        count = 1;
        while (count <= threads) : (count *= 2) print("{d: >8.0}", .{phase(count, claims)});
    }
    print("\n", .{});
}

/// Rates of a format: a line for each level, at most two of which take turns.
fn measureFormat(name: []const u8, levels: []const *const level_table.Level, threads: u32) !void {
    var rates: [2][token_counts.len][2]f64 = @splat(@splat(@splat(0)));
    for (token_counts, 0..) |tokens, column| {
        var works: [2]Work = undefined;
        for (works[0..levels.len], levels) |*work, level| work.* = try .init(level, name, tokens);
        defer for (works[0..levels.len]) |*work| work.deinit();
        for (0..rounds) |_| for (1..threads + 1) |n| for (works[0..levels.len], rates[0..levels.len]) |*work, *of| {
            const start = now();
            pool.parallel(@intCast(n), (work.groups + claim_groups - 1) / claim_groups, work, Work.claim);
            const rate = @as(f64, @floatFromInt(@as(usize, work.groups) * 16 * cols * tokens)) / @as(f64, @floatFromInt(now() - start));
            of[column][n - 1] = @max(of[column][n - 1], rate);
        };
    }
    for (levels, rates[0..levels.len]) |level, of| {
        print("\n{s: <10}{s: <8}", .{ name, std.mem.span(level.name) });
        for (of) |both| for (both) |rate| print("{d: >8.0}", .{rate});
    }
}

const Work = struct {
    args: level_table.Matmul,
    format: *const level_table.Format,
    activations: *Activations,
    weights: []align(64) const u8,
    groups: u32,

    fn init(level: *const level_table.Level, name: []const u8, tokens: u32) !Work {
        const format = for (level.formats[0..level.formats_len]) |*f| {
            if (std.mem.eql(u8, std.mem.span(f.name), name)) break f;
        } else unreachable;
        const weights = try packedWeights(format);
        const activations = try a.create(Activations);
        activations.* = try .init(level, tokens, cols);
        const out = try a.alloc(f32, tokens * groups * 16);
        @memset(out, 0);
        return .{
            .format = format,
            .activations = activations,
            .weights = weights,
            // A pass is some milliseconds.
            .groups = if (tokens > 64) groups / 4 else groups,
            .args = .{ .weights = weights.ptr, .group_bytes = format.groupBytes(cols), .activations = &activations.x, .out = out.ptr, .out_stride = groups * 16 },
        };
    }

    fn deinit(work: *Work) void {
        a.free(work.weights);
        a.free(work.args.out[0 .. work.activations.x.tokens * groups * 16]);
        work.activations.deinit();
        a.destroy(work.activations);
    }

    fn claim(context: *anyopaque, item: u32, _: u32) void {
        const work: *Work = @ptrCast(@alignCast(context));
        const begin = item * claim_groups;
        work.format.matmul(&work.args, begin, @min(work.groups, begin + claim_groups), null);
    }
};

/// Random bytes with scales that are sensible.
fn packedWeights(format: *const level_table.Format) ![]align(64) u8 {
    const bytes = 16 * (cols / format.block_elements) * format.block_bytes;
    const file = try a.alloc(u8, bytes);
    defer a.free(file);
    const group_bytes = format.groupBytes(cols);
    const weights = try a.alignedAlloc(u8, .@"64", groups * group_bytes);
    // Below the half float's infinities wherever a scale lies.
    for (file, 0..) |*byte, i| byte.* = @truncate((i *% 0x9e3779b97f4a7c15) >> 58);
    if (format.pack(file.ptr, 16, cols, weights.ptr) != 0) unreachable;
    for (1..groups) |g| @memcpy(weights[g * group_bytes ..][0..group_bytes], weights[0..group_bytes]);
    return weights;
}

fn nothing(_: *anyopaque, _: u32, _: u32) void {}

/// Nanoseconds of a phase whose claims are empty: the median of many.
fn phase(threads: u32, claims: u32) f64 {
    var times: [2001]u64 = undefined;
    var context: u8 = 0;
    for (&times) |*time| {
        const start = now();
        pool.parallel(threads, threads * claims, &context, nothing);
        time.* = now() - start;
    }
    std.mem.sort(u64, &times, {}, std.sort.asc(u64));
    return @floatFromInt(times[times.len / 2]);
}

fn print(comptime text: []const u8, values: anytype) void {
    var buffer: [256]u8 = undefined;
    const line = std.fmt.bufPrint(&buffer, text, values) catch unreachable; // lines are short
    _ = std.c.write(1, line.ptr, line.len);
}
