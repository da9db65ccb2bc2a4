//! `zig build order`: the order of additions against what the machine can do, on one core. What does the
//! accumulation contract (docs/design/contract.md) cost?
//!
//! - one token times weights far larger than any cache, as a share of the rate at which memory can be read: Q4_0, and three more
//!   formats, each beside reading passes of its own;
//! - a tile of 8 tokens times weights that lie in the cache, 16 tokens times weights that come from memory, as sequences
//!   at once have it, and 256 tokens of a prompt, against the bare product instruction;
//! - attention of one token over a long context.
//!
//! The machine is seldom quiet: everything is measured in turns, in passes of about a millisecond, which fit between two
//! turns of a neighbour, many rounds, and the best pass counts, because noise only ever slows. A table goes to the terminal, one JSON object to standard output.

const std = @import("std");
const kernels = @import("kernels");
const Activations = @import("activations.zig").Activations;
const Limits = @import("table.zig").Limits;
const level_table = kernels.level_table;
const dispatch = kernels.dispatch;
const now = kernels.os.nowNs;

const memory_bytes = 1 << 30;
const huge_page = 2 << 20;
const cols = 4096;
const rounds = 120;
/// Bytes of a pass over memory; the next pass takes the next, so that none lies in a cache.
const pass_bytes = 24 << 20;

/// Formats whose product with one token is measured too.
const more_formats = [_][]const u8{ "Q8_0", "Q4_K", "Q6_K" };

const Result = struct {
    level: []const u8,
    /// Bytes a second, in units of 10^9.
    read: f64 = 0,
    token: f64 = 0,
    /// Of `more_formats`: shares of what is read beside them.
    shares: [more_formats.len]f64 = @splat(0),
    /// Multiply-adds a second, in units of 10^9.
    bare: f64 = 0,
    tile: f64 = 0,
    sixteen: f64 = 0,
    prompt: f64 = 0,
    attention: f64 = 0,
};

pub fn main() !void {
    const mapped = std.c.mmap(null, memory_bytes + huge_page, .{ .READ = true, .WRITE = true }, .{ .TYPE = .PRIVATE, .ANONYMOUS = true }, -1, 0);
    if (mapped == std.c.MAP_FAILED) return error.OutOfMemory;
    const begin = std.mem.alignForward(usize, @intFromPtr(mapped), huge_page);
    const memory: []align(64) u8 = @alignCast(@as([*]u8, @ptrFromInt(begin))[0..memory_bytes]);
    const madv_hugepage = 14;
    _ = std.c.madvise(@ptrCast(@alignCast(memory.ptr)), memory.len, madv_hugepage);

    var results: [dispatch.names.len]Result = undefined;
    var count: usize = 0;
    inline for (dispatch.names, 0..) |name, index| if (index > 0 and index < dispatch.levels().len) {
        const limits = @extern(*const Limits, .{ .name = "order_limits_" ++ if (std.mem.eql(u8, name, "amx")) "v4" else name, .visibility = .hidden });
        results[count] = try measure(name, dispatch.levels()[index], limits, memory);
        count += 1;
    };
    print(results[0..count]);
}

fn measure(name: []const u8, level: *const level_table.Level, limits: *const Limits, memory: []align(64) u8) !Result {
    var result: Result = .{ .level = name };
    const format = formatOf(level, "Q4_0");
    const group_bytes = format.groupBytes(cols);
    const groups: u32 = @intCast(memory.len / group_bytes);
    fill(format, memory);

    var one: Activations = try .init(level, 1, cols);
    var eight: Activations = try .init(level, 8, cols);
    var sixteen: Activations = try .init(level, 16, cols);
    var prompt: Activations = try .init(level, 256, cols);
    const out = try std.heap.c_allocator.alloc(f32, 16 * 16 * @as(usize, groups));
    var args: level_table.Matmul = .{ .weights = memory.ptr, .group_bytes = group_bytes, .activations = &one.x, .out = out.ptr, .out_stride = 16 * groups };
    const pass_groups: u32 = @intCast(pass_bytes / group_bytes);
    const few_groups = 8; // 300 KB: in the second-level cache
    const dot_rounds = 2000;
    var first: u32 = 0;
    for (0..rounds) |round| {
        const ahead = ([_]usize{ 0, 1024, 2048, 4096 })[round % 4];
        var start = now();
        std.mem.doNotOptimizeAway(limits.read(memory.ptr + first * group_bytes, pass_groups * group_bytes, ahead));
        result.read = @max(result.read, rate(pass_groups * group_bytes, start));
        first = next(first, pass_groups, groups);

        args.activations = &one.x;
        start = now();
        format.matmul(&args, first, first + pass_groups, null);
        result.token = @max(result.token, rate(pass_groups * group_bytes, start));
        first = next(first, pass_groups, groups);

        args.activations = &sixteen.x;
        start = now();
        format.matmul(&args, first, first + pass_groups / 4, null);
        result.sixteen = @max(result.sixteen, rate(@as(usize, pass_groups / 4) * 16 * 16 * cols, start));
        first = next(first, pass_groups, groups);

        args.activations = &eight.x;
        for (0..2) |_| { // the second time they lie in the cache
            start = now();
            format.matmul(&args, 0, few_groups, null);
            result.tile = @max(result.tile, rate(few_groups * 16 * 8 * cols, start));
        }
        args.activations = &prompt.x;
        args.out_stride = 16 * few_groups;
        start = now();
        format.matmul(&args, 0, few_groups / 2, null);
        result.prompt = @max(result.prompt, rate(few_groups / 2 * 16 * 256 * cols, start));
        args.out_stride = 16 * groups;

        start = now();
        std.mem.doNotOptimizeAway(limits.dot(dot_rounds));
        result.bare = @max(result.bare, rate(@as(usize, dot_rounds) * limits.dot_macs, start));
        result.attention = @max(result.attention, attend(level, memory, out));
    }
    for (more_formats, &result.shares) |other, *share| share.* = oneToken(formatOf(level, other), limits, memory, &args, &one);
    fillAgain(memory);
    return result;
}

fn formatOf(level: *const level_table.Level, name: []const u8) *const level_table.Format {
    return for (level.formats[0..level.formats_len]) |*f| {
        if (std.mem.eql(u8, std.mem.span(f.name), name)) break f;
    } else unreachable;
}

/// The rate of weights times one token as a share of the rate at which memory is read in turns with it.
fn oneToken(format: *const level_table.Format, limits: *const Limits, memory: []align(64) u8, like: *const level_table.Matmul, one: *const Activations) f64 {
    fill(format, memory);
    var args = like.*;
    args.group_bytes = format.groupBytes(cols);
    args.activations = &one.x;
    const groups: u32 = @intCast(memory.len / args.group_bytes);
    const pass_groups: u32 = @intCast(pass_bytes / args.group_bytes);
    var read: f64 = 0;
    var token: f64 = 0;
    var first: u32 = 0;
    for (0..rounds) |round| {
        const ahead = ([_]usize{ 0, 1024, 2048, 4096 })[round % 4];
        var start = now();
        std.mem.doNotOptimizeAway(limits.read(memory.ptr + first * args.group_bytes, pass_groups * args.group_bytes, ahead));
        read = @max(read, rate(pass_groups * args.group_bytes, start));
        first = next(first, pass_groups, groups);
        start = now();
        format.matmul(&args, first, first + pass_groups, null);
        token = @max(token, rate(pass_groups * args.group_bytes, start));
        first = next(first, pass_groups, groups);
    }
    return token / read;
}

/// The group with which the next pass begins.
fn next(first: u32, pass_groups: u32, groups: u32) u32 {
    return if (first + 2 * pass_groups > groups) 0 else first + pass_groups;
}

/// Four query heads on one key head of 128, f16, 2048 positions, one token: multiply-adds a second.
fn attend(level: *const level_table.Level, memory: []align(64) u8, out: []f32) f64 {
    const dim = 128;
    const heads = 4;
    const positions = 2048;
    const page_size = 64;
    var pages: [positions / page_size]u32 = undefined;
    for (&pages, 0..) |*page, i| page.* = @intCast(i);
    const page_bytes = level_table.KvLayer.layerBytes(.f16, page_size, 1, dim, dim);
    // Weights lie there, whose halves are no sensible keys: a far corner of the memory serves as pages.
    const base = memory[memory.len - pages.len * page_bytes ..];
    @memset(base, 0x2c);
    const q: [heads * dim]f32 = @splat(0.01);
    const args: level_table.Attention = .{
        .kv = .{ .base = base.ptr, .page_bytes = page_bytes, .layer_offset = 0, .pages = &pages, .page_size = page_size, .type = .f16, .heads = 1, .k_dim = dim, .v_dim = dim },
        .q = &q,
        .q_stride = q.len,
        .out = out.ptr,
        .out_stride = q.len,
        .heads = heads,
        .position = positions - 1,
        .tokens = 1,
        .window = 0,
        .ahead = 0,
        .slopes = null,
        .scale = 0.088,
        .softcap = 0,
        .sinks = null,
    };
    const repeats = 10;
    const start = now();
    for (0..repeats) |_| level.attention(&args, 0, 0, 1);
    return rate(repeats * heads * positions * 2 * dim, start);
}

/// One group of bytes that are no infinite scales wherever a format has them, copied all over the memory.
fn fill(format: *const level_table.Format, memory: []align(64) u8) void {
    var random = std.Random.DefaultPrng.init(1);
    var file: [16 * cols * 2]u8 = undefined;
    random.random().bytes(&file);
    for (&file) |*byte| byte.* >>= 2;
    const group_bytes = format.groupBytes(cols);
    if (format.pack(&file, 16, cols, memory.ptr) != 0) unreachable;
    for (1..memory.len / group_bytes) |g| @memcpy(memory[g * group_bytes ..][0..group_bytes], memory[0..group_bytes]);
}

/// Leaves nothing of one level's layout to the next.
fn fillAgain(memory: []u8) void {
    @memset(memory, 0);
}

/// So many things since `start`, in 10^9 a second.
fn rate(things: usize, start: u64) f64 {
    return @as(f64, @floatFromInt(things)) / @as(f64, @floatFromInt(now() - start));
}

fn print(results: []const Result) void {
    std.debug.print("one core       read     1 token   share     bare dot    8 tokens   share   16 tokens   share  256 tokens   share   attention\n", .{});
    for (results) |r| std.debug.print("{s: <10} {d: >6.1} GB/s {d: >6.1} GB/s {d: >4.0} %  {d: >6.1} GMAC/s {d: >6.1} GMAC/s {d: >4.0} % {d: >6.1} GMAC/s {d: >4.0} % {d: >6.1} GMAC/s {d: >4.0} % {d: >6.1} GMAC/s\n", .{
        r.level, r.read, r.token, 100 * r.token / r.read, r.bare, r.tile, 100 * r.tile / r.bare, r.sixteen, 100 * r.sixteen / r.bare, r.prompt, 100 * r.prompt / r.bare, r.attention,
    });
    std.debug.print("one token, of reading:", .{});
    for (results) |r| for (more_formats, r.shares) |name, share| std.debug.print("  {s} {s} {d:.0} %", .{ r.level, name, 100 * share });
    std.debug.print("\n", .{});
    var buffer: [4096]u8 = undefined;
    var writer: std.Io.Writer = .fixed(&buffer);
    json(&writer, results) catch unreachable; // a few hundred bytes
    _ = std.c.write(1, writer.buffered().ptr, writer.buffered().len);
}

fn json(writer: *std.Io.Writer, results: []const Result) !void {
    try writer.writeByte('{');
    for (results, 0..) |r, index| {
        if (index > 0) try writer.writeByte(',');
        try writer.print("\"{s}\":{{\"readGBs\":{d:.2},\"tokenGBs\":{d:.2},\"bareGMACs\":{d:.1},\"tileGMACs\":{d:.1},\"sixteenGMACs\":{d:.1},\"promptGMACs\":{d:.1},\"attentionGMACs\":{d:.1}", .{ r.level, r.read, r.token, r.bare, r.tile, r.sixteen, r.prompt, r.attention });
        for (more_formats, r.shares) |name, share| try writer.print(",\"{s}Token\":{d:.3}", .{ name, share });
        try writer.writeByte('}');
    }
    try writer.writeAll("}\n");
}
