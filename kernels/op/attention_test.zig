//! Every level's KV writes and attention, against plain loops, bit for bit: all KV types, head sizes, page sizes, groups,
//! numbers of tokens, windows and soft caps; and the same attention split into blocks and merged.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const dispatch = @import("../host/dispatch.zig");
const limits = @import("../limits.zig");
const reference = @import("reference_attention.zig");

const testing = std.testing;

const Shape = struct {
    type: level_table.KvType,
    k_dim: u32,
    v_dim: u32,
    page_size: u32 = 32,
    kv_heads: u32 = 1,
    group: u32 = 1,
    position: u32,
    tokens: u32 = 1,
    window: u32 = 0,
    ahead: u32 = 0,
    slopes: bool = false,
    softcap: f32 = 0,
    /// Above every score where it is 2, among them where it is 1.
    sinks: u32 = 0,
    values_in_keys: bool = false,
};

/// A sequence of `position + tokens` positions with keys, values and queries, its pages in no order. What no
/// one may read is NaN, and pages that no one may touch have no address.
const Case = struct {
    arena: std.heap.ArenaAllocator,
    shape: Shape,
    args: level_table.Attention,
    k: []f32,
    v: []f32,
    memory: []align(64) u8,

    fn init(shape: Shape, seed: u64) !Case {
        var arena = std.heap.ArenaAllocator.init(testing.allocator);
        errdefer arena.deinit();
        const a = arena.allocator();
        var random = std.Random.DefaultPrng.init(seed);
        const r = random.random();
        const positions = shape.position + shape.tokens;
        const used = (positions + shape.page_size - 1) / shape.page_size;
        const layer = level_table.KvLayer.layerBytes(shape.type, shape.page_size, shape.kv_heads, shape.k_dim, if (shape.values_in_keys) 0 else shape.v_dim);
        // Two layers; ours is the second.
        const page_bytes = std.mem.alignForward(usize, 2 * layer, 64);
        const memory = try a.alignedAlloc(u8, .@"64", page_bytes * used);
        const pages = try a.alloc(u32, used + 4);
        for (pages, 0..) |*page, i| page.* = if (i < used) @intCast(i) else std.math.maxInt(u32);
        r.shuffle(u32, pages[0..used]);
        const heads = shape.kv_heads * shape.group;
        const q_stride = heads * shape.k_dim + 3;
        const q = try normal(a, r, shape.tokens * q_stride);
        const k = try normal(a, r, positions * shape.kv_heads * shape.k_dim);
        const v = try normal(a, r, positions * shape.kv_heads * shape.v_dim);
        const slopes = try normal(a, r, heads);
        for (slopes) |*slope| slope.* = @abs(slope.*) * 0.3;
        const sinks = try normal(a, r, if (shape.sinks == 0) 0 else heads);
        if (shape.sinks == 2) for (sinks) |*sink| {
            sink.* += 40;
        };
        return .{
            .arena = arena,
            .shape = shape,
            .memory = memory,
            .k = k,
            .v = v,
            .args = .{
                .kv = .{
                    .base = memory.ptr,
                    .page_bytes = page_bytes,
                    .layer_offset = layer,
                    .pages = pages.ptr,
                    .page_size = shape.page_size,
                    .type = shape.type,
                    .heads = shape.kv_heads,
                    .k_dim = shape.k_dim,
                    .v_dim = shape.v_dim,
                    .values_in_keys = shape.values_in_keys,
                },
                .q = q.ptr,
                .q_stride = q_stride,
                .out = undefined,
                .out_stride = heads * shape.v_dim + 1,
                .heads = heads,
                .position = shape.position,
                .tokens = shape.tokens,
                .window = shape.window,
                .ahead = shape.ahead,
                .slopes = if (shape.slopes) slopes.ptr else null,
                .scale = 1 / @sqrt(@as(f32, @floatFromInt(shape.k_dim))),
                .softcap = shape.softcap,
                .sinks = if (shape.sinks == 0) null else sinks.ptr,
            },
        };
    }

    fn deinit(case: *Case) void {
        case.arena.deinit();
    }

    fn write(case: *Case, level: *const level_table.Level) void {
        @memset(case.memory, 0xff);
        const kv = &case.args.kv;
        for (0..case.shape.position + case.shape.tokens) |position| {
            const k = case.k[position * kv.heads * kv.k_dim ..];
            const v = case.v[position * kv.heads * kv.v_dim ..];
            level.kvWrite(kv, @intCast(position), k.ptr, v.ptr);
        }
    }

    /// A place for results; what no kernel may write stays NaN.
    fn results(case: *Case) ![]f32 {
        const out = try case.arena.allocator().alloc(f32, case.shape.tokens * case.args.out_stride);
        @memset(out, std.math.nan(f32));
        return out;
    }
};

fn normal(a: std.mem.Allocator, r: std.Random, n: usize) ![]f32 {
    const x = try a.alloc(f32, n);
    for (x) |*value| value.* = r.floatNorm(f32) * 1.5;
    return x;
}

fn expectSame(expected: []const f32, got: []const f32) !void {
    try testing.expectEqualSlices(u32, @ptrCast(expected), @ptrCast(got));
}

fn check(shape: Shape, seed: u64) !void {
    errdefer std.debug.print("{any}\n", .{shape});
    var case = try Case.init(shape, seed);
    defer case.deinit();
    const expected = try case.results();
    for (dispatch.levels(), 0..) |level, index| {
        errdefer std.debug.print("level {s}\n", .{level.name});
        case.write(level);
        if (index == 0) {
            for (0..shape.tokens) |token| for (0..case.args.heads) |head| {
                reference.attend(&case.args, token, head, expected[token * case.args.out_stride + head * shape.v_dim ..][0..shape.v_dim]);
            };
            for (0..shape.tokens) |token| for (expected[token * case.args.out_stride ..][0 .. case.args.heads * shape.v_dim]) |x| {
                try testing.expect(std.math.isFinite(x));
            };
        }
        const whole = try case.results();
        case.args.out = whole.ptr;
        // In two parts, so that tiles begin elsewhere.
        const middle = seed % shape.tokens;
        for (0..shape.kv_heads) |kv_head| {
            level.attention(&case.args, @intCast(kv_head), 0, @intCast(middle));
            level.attention(&case.args, @intCast(kv_head), @intCast(middle), shape.tokens);
        }
        try expectSame(expected, whole);
        const merged = try case.results();
        case.args.out = merged.ptr;
        try inBlocks(&case, level, seed);
        try expectSame(expected, merged);
    }
}

/// Each token's blocks in two parts, the right one first, as threads may finish.
fn inBlocks(case: *Case, level: *const level_table.Level, seed: u64) !void {
    const args = &case.args;
    for (0..case.shape.tokens) |t| {
        const token: u32 = @intCast(t);
        const last = @min(args.position + token + args.ahead, args.position + args.tokens - 1);
        const blocks = last / level_table.attention_block + 1;
        const stride = level_table.partialFloats(case.shape.v_dim);
        const partials = try case.arena.allocator().alloc(f32, blocks * args.heads * stride);
        @memset(partials, std.math.nan(f32));
        const middle: u32 = @intCast(seed % (blocks + 1));
        for (0..case.shape.kv_heads) |kv_head| {
            level.attentionBlocks(args, @intCast(kv_head), token, middle, blocks, partials.ptr);
            level.attentionBlocks(args, @intCast(kv_head), token, 0, middle, partials.ptr);
        }
        for (0..args.heads) |head| level.attentionMerge(args, @intCast(head), token, 0, blocks, partials.ptr);
    }
}

test "attention at every level equals plain loops: shapes at random" {
    var random = std.Random.DefaultPrng.init(11);
    const r = random.random();
    for (0..250) |i| {
        const kind = r.enumValue(level_table.KvType);
        const dims: []const u32 = if (kind == .q8_0) &.{ 32, 64, 96, 128 } else &.{ 1, 6, 8, 16, 20, 32, 48, 64, 80, 128 };
        const k_dim = dims[r.uintLessThan(usize, dims.len)];
        try check(.{
            .type = kind,
            .k_dim = k_dim,
            .v_dim = if (i % 4 == 0) dims[r.uintLessThan(usize, dims.len)] else k_dim,
            .page_size = ([_]u32{ 16, 32, 64 })[r.uintLessThan(usize, 3)],
            .kv_heads = r.intRangeAtMost(u32, 1, 2),
            .group = r.intRangeAtMost(u32, 1, 9),
            .position = r.uintLessThan(u32, 201),
            .tokens = r.intRangeAtMost(u32, 1, 9),
            .window = if (i % 3 == 0) r.intRangeAtMost(u32, 1, 150) else 0,
            .softcap = if (i % 5 == 0) 2 else 0,
            .sinks = @intCast(i % 7 % 3),
        }, i);
    }
}

test "attention at every level equals plain loops: values in keys" {
    var random = std.Random.DefaultPrng.init(12);
    const r = random.random();
    for (0..120) |i| {
        const kind = r.enumValue(level_table.KvType);
        const dims: []const u32 = if (kind == .q8_0) &.{ 64, 96, 160 } else &.{ 9, 40, 72, 80, 144 };
        const k_dim = dims[r.uintLessThan(usize, dims.len)];
        try check(.{
            .type = kind,
            .k_dim = k_dim,
            .v_dim = if (kind == .q8_0) k_dim - 32 else r.intRangeAtMost(u32, 1, k_dim),
            .page_size = ([_]u32{ 16, 32, 64 })[r.uintLessThan(usize, 3)],
            .group = r.intRangeAtMost(u32, 1, 20),
            .position = r.uintLessThan(u32, 201),
            .tokens = r.intRangeAtMost(u32, 1, 9),
            .window = if (i % 4 == 0) r.intRangeAtMost(u32, 1, 150) else 0,
            .values_in_keys = true,
        }, i);
    }
}

test "attention at every level equals plain loops: each position up to 200" {
    for (0..201) |position| {
        try check(.{ .type = .f16, .k_dim = 32, .v_dim = 32, .page_size = 16, .group = 2, .position = @intCast(position) }, position);
    }
}

test "a window hides what is before it, and whole blocks of it" {
    for ([_]u32{ 1, 2, 15, 16, 17, 63, 64, 65, 128, 129 }) |window| {
        try check(.{ .type = .f32, .k_dim = 16, .v_dim = 16, .position = 190, .tokens = 20, .group = 3, .window = window }, window);
    }
}

test "queries that see what comes after them, all of it or a window, with slopes and without" {
    var random = std.Random.DefaultPrng.init(13);
    const r = random.random();
    for (0..160) |i| {
        const reach = if (i % 3 == 0) 0 else r.intRangeAtMost(u32, 0, 90);
        const k_dim = ([_]u32{ 8, 16, 32, 40, 64 })[r.uintLessThan(usize, 5)];
        try check(.{
            .type = if (i % 4 == 0) .f16 else .f32,
            .k_dim = k_dim,
            .v_dim = k_dim,
            .page_size = ([_]u32{ 16, 32, 64 })[r.uintLessThan(usize, 3)],
            .kv_heads = r.intRangeAtMost(u32, 1, 3),
            .group = r.intRangeAtMost(u32, 1, 3),
            .position = 0,
            .tokens = r.intRangeAtMost(u32, 1, if (i % 5 == 0) 300 else 40),
            .window = if (reach == 0) 0 else reach + 1,
            .ahead = if (reach == 0) limits.context_max else reach,
            .slopes = i % 2 == 0,
        }, i);
    }
}

test "the longest head" {
    try check(.{ .type = .f16, .k_dim = 1024, .v_dim = 1024, .group = 9, .position = 70, .tokens = 2 }, 1);
}

test "pages hold keys and values rounded to nearest even" {
    for ([_]level_table.KvType{ .f16, .f32, .q8_0 }) |kind| for ([_]u32{ 16, 32, 64 }) |page_size| {
        const shape: Shape = .{ .type = kind, .k_dim = 64, .v_dim = 96, .page_size = page_size, .kv_heads = 3, .position = 69, .tokens = 1 };
        var case = try Case.init(shape, page_size);
        defer case.deinit();
        // Values that a half float rounds, makes subnormal or cannot hold; blocks that are tiny, zero and not finite.
        const odd = [_]f32{ 1 + 0x1p-11, 1 + 3 * 0x1p-11, 0x1p-24 * 1.5, 0x1p-26, -0x1.ffep15, 1e6, -0.0 };
        @memcpy(case.k[64..][0..odd.len], &odd);
        @memset(case.k[128..160], 0x1p-101);
        @memset(case.k[160..192], 0);
        @memset(case.v[0..32], 0x1p-100);
        case.v[40] = std.math.nan(f32);
        case.v[70] = std.math.inf(f32);
        for (dispatch.levels()) |level| {
            case.write(level);
            for (0..70) |position| for (0..3) |head| {
                for (0..2) |block| try checkStored(&case.args.kv, head, position, block, case.k[(position * 3 + head) * 64 + block * 32 ..][0..32], reference.key);
                for (0..3) |block| try checkStored(&case.args.kv, head, position, block, case.v[(position * 3 + head) * 96 + block * 32 ..][0..32], reference.value);
            };
        }
    };
}

fn checkStored(
    kv: *const level_table.KvLayer,
    head: usize,
    position: usize,
    block: usize,
    x: *const [32]f32,
    comptime read: fn (*const level_table.KvLayer, usize, usize, usize) f32,
) !void {
    var max: f32 = 0;
    var finite = true;
    for (x) |value| {
        max = @max(max, @abs(value));
        finite = finite and std.math.isFinite(value);
    }
    const d = if (max < 0x1p-100) 0 else max / 127;
    const inverse = 1 / d;
    for (x, 0..) |value, i| {
        const got = read(kv, head, position, block * 32 + i);
        const expected: f32 = switch (kv.type) {
            .f32 => value,
            .f16 => @as(f16, @floatCast(value)),
            .q8_0 => if (!finite) std.math.nan(f32) else if (d == 0) 0 else roundEven(value * inverse) * @as(f16, @floatCast(d)),
        };
        if (std.math.isNan(expected)) try testing.expect(std.math.isNan(got)) else try testing.expectEqual(expected, got);
    }
}

fn roundEven(x: f32) f32 {
    const down = @floor(x);
    const rest = x - down;
    if (rest != 0.5) return if (rest < 0.5) down else down + 1;
    return if (@mod(down, 2) == 0) down else down + 1;
}
