//! Every format, at every level that this processor runs, against the scalar reference: bit for bit. Blocks are random
//! bytes with scales of every kind, and the golden vectors of llama.cpp.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const dispatch = @import("../host/dispatch.zig");
const formats = @import("../formats/list.zig");
const reference = @import("reference.zig");
const test_batch = @import("test_batch.zig");
const test_guard = @import("test_guard.zig");
const test_levels = @import("test_levels.zig");
const Batch = test_batch.Batch;
const testing = std.testing;

/// Half floats that a scale may be: zeros, subnormals, the greatest.
const halves = [_]u16{ 0, 0x8000, 1, 0x8001, 0x03ff, 0x0400, 0x7bff, 0xfbff, 0x3c00, 0xbc00, 0x2e00, 0x1234, 0xa345 };

/// Bytes at random, in which the fields that a format calls scales are finite.
pub fn fill(comptime F: type, blocks: []align(1) F.Block, random: std.Random) void {
    random.bytes(std.mem.sliceAsBytes(blocks));
    if (F.kind == .float) {
        for (blocks) |*bits| {
            const value = @as(f32, if (random.uintLessThan(u32, 8) == 0) 0x1p-130 else 1) * random.floatNorm(f32);
            bits.* = F.narrow(1, .{value})[0];
        }
        return;
    }
    for (blocks) |*block| {
        // Extreme weights now and then: all bits set or clear.
        switch (random.uintLessThan(u32, 6)) {
            0 => @memset(std.mem.asBytes(block), 0xff),
            1 => @memset(std.mem.asBytes(block), 0x80),
            else => {},
        }
        inline for (.{ "d", "dmin", "m" }) |name| if (@hasField(F.Block, name)) {
            @field(block, name) = scaleAtRandom(random);
        };
        if (F.id == iq1_m) setScattered(&block.scales, scaleAtRandom(random));
        if (@hasField(F.Block, "e")) block.e = if (random.boolean()) random.uintLessThan(u8, 255) else 110 + random.uintLessThan(u8, 20);
    }
}

fn scaleAtRandom(random: std.Random) u16 {
    if (random.boolean()) return halves[random.uintLessThan(usize, halves.len)];
    return random.int(u16) & 0x83ff | (8 + random.uintLessThan(u16, 10)) << 10;
}

/// The format whose half float lies in the upper four bits of four words.
const iq1_m = 29;

fn setScattered(words: *align(1) [4]u16, bits: u16) void {
    for (words, 0..) |*word, i| word.* = word.* & 0x0fff | (bits >> @intCast(4 * i) & 15) << 12;
}

fn tableOf(level: *const level_table.Level, id: u32) *const level_table.Format {
    for (level.formats[0..level.formats_len]) |*table| if (table.id == id) return table;
    unreachable; // a test of dispatch.zig compares the lists
}

/// Columns that a format's rows may have: odd numbers of spans, and for floats no multiple of anything.
fn columnsOf(comptime F: type) []const u32 {
    if (F.kind == .float) return &.{ 1, 2, 3, 4, 5, 7, 8, 33, 64 };
    if (F.block_elements == 32) return &.{ 32, 64, 96, 160, 288 };
    if (F.block_elements < 256) return &.{ F.block_elements, 2 * F.block_elements, 3 * F.block_elements, 7 * F.block_elements };
    return &.{ 256, 512 };
}

test "products equal the scalar reference" {
    const levels = test_levels.all();
    inline for (formats.list) |F| try products(F, levels);
}

fn products(comptime F: type, levels: test_levels.List) !void {
    var random = std.Random.DefaultPrng.init(F.id);
    const r = random.random();
    for (columnsOf(F), 0..) |cols, c| for ([_]u32{ 1, 2, 7, 47 }, 0..) |tokens, n| {
        // Rows 1 to 33 in the course of the loops.
        const rows: u32 = @intCast(1 + (c * 4 + n) * 13 % 33);
        for ([_]level_table.ActivationBits{ .int8, .int16 }) |bits| {
            if (F.kind == .float and bits == .int16) continue;
            try product(F, r, .{ .cols = cols, .rows = rows, .tokens = tokens, .bits = bits, .levels = levels });
        }
    };
}

test "products of long rows with many tokens equal the scalar reference" {
    inline for (formats.list) |F| if (F.kind == .block) {
        var random = std.Random.DefaultPrng.init(1000 + F.id);
        const r = random.random();
        // More than one piece of a row, and a piece that is short; tokens with a rest, and of two runs.
        for ([_]level_table.ActivationBits{ .int8, .int16 }) |bits| try product(F, r, .{
            .cols = longOf(F),
            .rows = 17,
            .tokens = if (F.id == 2) 150 else 22,
            .bits = bits,
            .levels = test_levels.all(),
        });
    };
}

/// Columns of several pieces, of which the last is short.
fn longOf(comptime F: type) u32 {
    return if (F.block_elements == 32) 19 * 32 else if (F.block_elements < 256) 7 * F.block_elements else 3 * 256;
}

const Shape = struct { cols: u32, rows: u32, tokens: u32, bits: level_table.ActivationBits, levels: test_levels.List };

/// A product of random weights and activations, at some levels.
fn product(comptime F: type, r: std.Random, shape: Shape) !void {
    const blocks = shape.cols / F.block_elements;
    const weights = try test_batch.allocator.alignedAlloc(u8, .@"2", shape.rows * blocks * @sizeOf(F.Block));
    defer test_batch.allocator.free(weights);
    const typed: []align(1) F.Block = @as([*]align(1) F.Block, @ptrCast(weights.ptr))[0 .. shape.rows * blocks];
    fill(F, typed, r);
    var batch: Batch = try .init(shape.tokens, shape.cols, shape.bits);
    defer batch.deinit();
    for (batch.rows) |*value| value.* = r.floatNorm(f32);
    if (F.kind == .block) {
        for (0..shape.tokens) |t| try testing.expectEqual(0, dispatch.levels()[0].quantizeSpans(&batch.x, @intCast(t), 0, batch.x.cols / level_table.span));
        if (r.boolean()) extremes(&batch, r);
    }
    const expected = try test_batch.allocator.alloc(f32, shape.tokens * shape.rows);
    defer test_batch.allocator.free(expected);
    for (0..shape.tokens) |t| for (0..shape.rows) |row| {
        expected[t * shape.rows + row] = try expectedDot(F, typed[row * blocks ..][0..blocks], &batch, t);
    };
    for (shape.levels.slice()) |level| try productsAt(F, level, typed, shape.rows, &batch, expected);
}

test "products of the matrix unit, emulated where there is none, equal the scalar reference" {
    const levels = test_levels.matrix();
    inline for (formats.list) |F| if (F.kind == .block) {
        var random = std.Random.DefaultPrng.init(2000 + F.id);
        const r = random.random();
        // More than one piece of a row, and a piece that is short; one group, pairs of groups; tokens with a rest, and of two runs.
        const long = longOf(F);
        for ([_]Shape{
            .{ .cols = long, .rows = 33, .tokens = 16, .bits = .int8, .levels = levels },
            .{ .cols = long, .rows = 20, .tokens = 29, .bits = .int16, .levels = levels },
            .{ .cols = @max(64, F.block_elements), .rows = 16, .tokens = if (F.id == 2) 300 else 17, .bits = .int8, .levels = levels },
        }) |shape| try product(F, r, shape);
    };
}

test "products of the matrix unit equal the scalar reference on AMX itself" {
    var levels = test_levels.matrix();
    if (!test_levels.isReal(levels.buffer[levels.len - 1])) return error.SkipZigTest;
    levels.buffer[0] = levels.buffer[levels.len - 1];
    levels.len = 1;
    inline for (formats.list) |F| if (F.kind == .block) {
        var random = std.Random.DefaultPrng.init(3000 + F.id);
        const r = random.random();
        for (0..test_guard.cases(40)) |_| try product(F, r, .{
            .cols = F.block_elements * r.intRangeAtMost(u32, 1, if (F.block_elements == 32) 32 else 4),
            .rows = r.intRangeAtMost(u32, 1, 100),
            .tokens = r.intRangeAtMost(u32, level_table.matrix_tokens_min, if (r.uintLessThan(u32, 10) == 0) 300 else 110),
            .bits = if (r.boolean()) .int8 else .int16,
            .levels = levels,
        });
        std.debug.print("AMX: {s} equals the scalar reference\n", .{F.name});
    };
}

test "products between guard pages equal the scalar reference" {
    if (!test_guard.is_there) return error.SkipZigTest;
    var guard: test_guard.Guard = .init(11);
    test_batch.allocator = guard.allocator();
    defer test_batch.allocator = testing.allocator;
    const count = test_guard.cases(60);
    const levels = test_levels.all();
    inline for (formats.list) |F| {
        var random = std.Random.DefaultPrng.init(1000 + F.id);
        const r = random.random();
        for (0..count) |_| {
            const cols: u32 = if (F.kind == .float)
                r.intRangeAtMost(u32, 1, 64)
            else
                F.block_elements * r.intRangeAtMost(u32, 1, if (F.block_elements == 32) 17 else 4);
            try product(F, r, .{
                .cols = cols,
                .rows = r.intRangeAtMost(u32, 1, 33),
                .tokens = if (r.uintLessThan(u32, 6) == 0) r.intRangeAtMost(u32, 16, 35) else r.intRangeAtMost(u32, 1, 9),
                .bits = if (F.kind == .float or r.boolean()) .int8 else .int16,
                .levels = levels,
            });
        }
        try testing.expect(!guard.is_broken);
    }
}

test "encoding between guard pages gives the same bytes at every level" {
    if (!test_guard.is_there) return error.SkipZigTest;
    var guard: test_guard.Guard = .init(12);
    const memory = guard.allocator();
    const count = test_guard.cases(60);
    var random = std.Random.DefaultPrng.init(5);
    const r = random.random();
    const first = dispatch.levels()[0];
    for (first.formats[0..first.formats_len]) |*table| for (0..count) |_| {
        const encode = table.encode orelse continue;
        const blocks = r.intRangeAtMost(u32, 1, 17);
        const values = try memory.alloc(f32, blocks * table.block_elements);
        defer memory.free(values);
        for (values) |*value| value.* = r.floatNorm(f32);
        const expected = try memory.alloc(u8, blocks * table.block_bytes);
        defer memory.free(expected);
        encode(values.ptr, blocks, expected.ptr);
        for (dispatch.levels()) |level| {
            const bytes = try memory.alloc(u8, expected.len);
            defer memory.free(bytes);
            tableOf(level, table.id).encode.?(values.ptr, blocks, bytes.ptr);
            try testing.expectEqualSlices(u8, expected, bytes);
            const back = try memory.alloc(f32, values.len);
            defer memory.free(back);
            tableOf(level, table.id).decode(bytes.ptr, blocks, back.ptr);
        }
    };
    try testing.expect(!guard.is_broken);
}

/// The greatest and least integers everywhere, sums to match: what overflows anywhere overflows here.
fn extremes(batch: *Batch, random: std.Random) void {
    for (batch.q, batch.q_low) |*q, *low| {
        q.* = if (random.uintLessThan(u32, 8) > 0) 127 else -127;
        low.* = if (random.uintLessThan(u32, 8) > 0) -128 else 127;
    }
    for (0..batch.scales.len) |index| {
        for ([_]usize{ 0, 1 }) |which| {
            const q = if (which == 0) batch.q else batch.q_low;
            const sums = if (which == 0) batch.sums else batch.sums_low;
            var pair: [2]i16 = @splat(0);
            for (q[index * level_table.span ..][0..level_table.span], 0..) |value, i| pair[i / 16] += value;
            sums[2 * index] = @bitCast(pair);
            sums[2 * index + 1] = @as(i32, pair[0]) + pair[1];
        }
    }
}

fn productsAt(comptime F: type, level: *const level_table.Level, blocks: []align(1) const F.Block, rows: u32, batch: *Batch, expected_all: []const f32) !void {
    const table = tableOf(level, F.id);
    const cols = batch.x.cols;
    const row_blocks = cols / F.block_elements;
    const groups = (rows + 15) / 16;
    const group_bytes = table.groupBytes(cols);
    try testing.expectEqual(0, group_bytes % 64);
    const weights = try test_batch.allocator.alignedAlloc(u8, .@"64", groups * group_bytes);
    defer test_batch.allocator.free(weights);
    for (0..groups) |g| {
        const count = @min(16, rows - g * 16);
        const source: [*]const u8 = @ptrCast(blocks.ptr + g * 16 * row_blocks);
        try testing.expectEqual(0, table.pack(source, @intCast(count), cols, weights.ptr + g * group_bytes));
    }
    if (batch.x.tokens < 3) try unpacked(F, table, blocks, rows, cols, weights);

    const stride = groups * 16 + 16;
    const out = try test_batch.allocator.alloc(f32, batch.x.tokens * stride);
    defer test_batch.allocator.free(out);
    @memset(out, 12345);
    const args: level_table.Matmul = .{ .weights = weights.ptr, .group_bytes = group_bytes, .activations = &batch.x, .out = out.ptr, .out_stride = @intCast(stride) };
    // In two parts, as two threads would.
    table.matmul(&args, 0, groups / 2, null);
    table.matmul(&args, groups / 2, groups, args.weights);
    for (0..batch.x.tokens) |t| {
        for (0..rows) |row| {
            const expected = expected_all[t * rows + row];
            const found = out[t * stride + row];
            if (@as(u32, @bitCast(expected)) != @as(u32, @bitCast(found))) {
                std.debug.print("{s} {s}, {d} x {d}, {d} tokens: row {d}, token {d}: {x}, not {x}\n", .{ level.name, F.name, rows, cols, batch.x.tokens, row, t, found, expected });
                return error.TestExpectedEqual;
            }
        }
        for (rows..groups * 16) |row| try testing.expectEqual(0, out[t * stride + row]);
        for (groups * 16..stride) |row| try testing.expectEqual(12345, out[t * stride + row]);
    }
}

fn expectedDot(comptime F: type, row: []align(1) const F.Block, batch: *const Batch, t: usize) !f32 {
    const cols = batch.x.cols;
    if (F.kind == .float) {
        var widened: [64]f32 = undefined;
        for (row, widened[0..cols]) |bits, *w| w.* = F.widen(1, .{bits})[0];
        return reference.floatDot(widened[0..cols], batch.rows[t * cols ..][0..cols]);
    }
    var q: [1024]i8 = undefined;
    var q_low: [1024]i8 = undefined;
    var scales: [32]f32 = undefined;
    const spans = cols / level_table.span;
    for (0..spans) |s| {
        const index = batch.spanIndex(t, s);
        @memcpy(q[s * level_table.span ..][0..level_table.span], batch.q[index * level_table.span ..][0..level_table.span]);
        @memcpy(q_low[s * level_table.span ..][0..level_table.span], batch.q_low[index * level_table.span ..][0..level_table.span]);
        scales[s] = batch.scales[index];
    }
    const low = if (batch.x.bits == .int16) q_low[0..cols] else q_low[0..0];
    return reference.blockDot(F, row, .{ .q = q[0..cols], .q_low = low, .scales = scales[0..spans] });
}

fn unpacked(comptime F: type, table: *const level_table.Format, blocks: []align(1) const F.Block, rows: u32, cols: u32, weights: []align(64) const u8) !void {
    var out: [1024]f32 = undefined;
    var expected: [1024]f32 = undefined;
    const row_blocks = cols / F.block_elements;
    for (0..rows) |row| {
        table.decode(@ptrCast(blocks.ptr + row * row_blocks), row_blocks, &expected);
        table.unpackRow(weights.ptr + row / 16 * table.groupBytes(cols), @intCast(row % 16), cols, &out);
        for (expected[0..cols], out[0..cols]) |e, o| try testing.expectEqual(@as(u32, @bitCast(e)), @as(u32, @bitCast(o)));
    }
}

test "packed groups stay near the file's size" {
    const level = dispatch.level();
    for (level.formats[0..level.formats_len]) |*table| {
        const file = 16 * 4096 / table.block_elements * table.block_bytes;
        // Seven bits of signs become eight; IQ1_S has the shape of IQ1_M.
        try testing.expect(table.groupBytes(4096) * 100 <= file * 108);
    }
}

test "a scale that is not finite is told with its row" {
    inline for (formats.list) |F| {
        const rows = 13;
        const cols = @max(F.block_elements, 2);
        var blocks: [rows * cols / F.block_elements]F.Block = undefined;
        for (dispatch.levels()) |level| for (nonFinite(F)) |bad| for (0..rows) |row| {
            @memset(std.mem.asBytes(&blocks), 0);
            const block = &blocks[(row + 1) * cols / F.block_elements - 1];
            if (F.kind == .float) {
                block.* = @truncate(bad.bits);
            } else {
                if (F.id == iq1_m) setScattered(&block.scales, @truncate(bad.bits)) else inline for (@typeInfo(F.Block).@"struct".fields) |field| if (std.mem.eql(u8, field.name, bad.field)) {
                    if (field.type == u16 or field.type == u8) @field(block, field.name) = @truncate(bad.bits);
                };
            }
            var group: [16 * 1024]u8 align(64) = undefined;
            try testing.expectEqual(1 + row, tableOf(level, F.id).pack(@ptrCast(&blocks), rows, cols, &group));
        };
    }
}

const Bad = struct { field: []const u8, bits: u32 };

fn nonFinite(comptime F: type) []const Bad {
    if (F.kind == .float) return switch (F.name[0]) {
        'B' => &.{ .{ .field = "", .bits = 0x7f80 }, .{ .field = "", .bits = 0xffc1 } },
        else => if (F.Block == u16)
            &.{ .{ .field = "", .bits = 0x7c00 }, .{ .field = "", .bits = 0xfc01 } }
        else
            &.{ .{ .field = "", .bits = 0x7f80_0000 }, .{ .field = "", .bits = 0xff80_0001 } },
    };
    comptime var list: []const Bad = &.{};
    inline for (.{ "d", "dmin", "m" }) |name| if (@hasField(F.Block, name)) {
        list = list ++ .{ Bad{ .field = name, .bits = 0x7c00 }, Bad{ .field = name, .bits = 0xfe00 } };
    };
    if (@hasField(F.Block, "e")) list = list ++ .{Bad{ .field = "e", .bits = 0xff }};
    if (F.id == iq1_m) list = list ++ .{ Bad{ .field = "", .bits = 0x7c00 }, Bad{ .field = "", .bits = 0xfe00 } };
    return list;
}

/// Bytes (37 i + 11) mod 256 with fixed scales, decoded by ggml; sums and SHA-256.
const Golden = struct { id: u32, sum: f64, first: [4]f32, sha: u64 };

const golden_decode = [_]Golden{
    .{ .id = 2, .sum = -1.96875, .first = .{ -0.28125, 0.1875, 0.65625, -0.375 }, .sha = 0x3d50859aefeca4f2 },
    .{ .id = 3, .sum = 24.96875, .first = .{ 1.46875, 0.4375, 0.90625, 1.375 }, .sha = 0x01cbfbbaa27e07ec },
    .{ .id = 6, .sum = 1.40625, .first = .{ 0.84375, -0.1875, 0.28125, -0.75 }, .sha = 0xd163ec2b6c1ad17b },
    .{ .id = 7, .sum = 49.34375, .first = .{ 1.84375, 2.3125, 2.78125, 1.75 }, .sha = 0x68107ef75b7367c6 },
    .{ .id = 8, .sum = -16.5, .first = .{ 7.96875, 11.4375, -9.09375, -5.625 }, .sha = 0x63d728153d58073e },
    .{ .id = 10, .sum = 166.78125, .first = .{ 3.09375, 0.0, 1.03125, 2.0625 }, .sha = 0x87ca935d1de0096f },
    .{ .id = 11, .sum = 89.8125, .first = .{ 7.59375, -10.125, 2.53125, -5.0625 }, .sha = 0x0d50cf563c766768 },
    .{ .id = 12, .sum = 4971.75, .first = .{ 28.78125, -3.1875, 11.34375, 25.875 }, .sha = 0xe54580b6b7c1ed73 },
    .{ .id = 13, .sum = 10763.25, .first = .{ 75.28125, -3.1875, 57.84375, 25.875 }, .sha = 0x7f61ef51bdb322da },
    .{ .id = 14, .sum = 432.375, .first = .{ -134.15625, 159.0, 54.65625, -49.6875 }, .sha = 0x35ae65da654f6149 },
    .{ .id = 20, .sum = -24.09375, .first = .{ -3.28125, 2.34375, 10.59375, -4.59375 }, .sha = 0xd36dd917efe33d6e },
    .{ .id = 23, .sum = -1031.71875, .first = .{ 6.09375, -0.09375, -6.46875, 7.78125 }, .sha = 0xe7a49b02fdf94e54 },
    .{ .id = 39, .sum = 3.125, .first = .{ 0.0, 0.75, -0.25, -1.5 }, .sha = 0xe5780e616aa39f11 },
    .{ .id = 16, .sum = 71.6015625, .first = .{ -5.54296875, 5.54296875, 3.22265625, -3.22265625 }, .sha = 0xee3c226c368ec7d3 },
    .{ .id = 17, .sum = 139.734375, .first = .{ -1.03125, 3.22265625, -1.03125, -5.54296875 }, .sha = 0x2865a9ff0edb451d },
    .{ .id = 18, .sum = -64.125, .first = .{ -1.21875, 0.84375, -0.65625, 0.28125 }, .sha = 0x29ea4e2b877e2038 },
    .{ .id = 19, .sum = 1.875, .first = .{ -0.24609375, 0.03515625, 0.31640625, 0.31640625 }, .sha = 0xde647d1e9ae730a3 },
    .{ .id = 21, .sum = 136.5, .first = .{ -7.59375, 22.78125, -32.90625, -17.71875 }, .sha = 0x29ffa2073ff3bcce },
    .{ .id = 22, .sum = -75.05859375, .first = .{ -13.60546875, 7.91015625, -2.53125, 2.53125 }, .sha = 0xd996cf29d8fb56ca },
    .{ .id = 29, .sum = 3.84375, .first = .{ -0.08203125, 0.57421875, -0.08203125, -0.08203125 }, .sha = 0x34591b7520edecfb },
    .{ .id = 34, .sum = -0.1875, .first = .{ -0.09375, -0.09375, -0.09375, 0 }, .sha = 0x69966893c08227ab },
    .{ .id = 35, .sum = 12.09375, .first = .{ 0.1875, -0.09375, 0, 0.09375 }, .sha = 0xb24c8c1911c54e14 },
    .{ .id = 40, .sum = 1541.37109375, .first = .{ -0.12890625, 0.04296875, -0.0107421875, -0.0859375 }, .sha = 0x08108161f07c8425 },
    .{ .id = 41, .sum = 0, .first = .{ 0.09375, -0.09375, 0.09375, -0.09375 }, .sha = 0x32619f32da004358 },
    .{ .id = 42, .sum = 2.8125, .first = .{ 0, 0, 0, 0 }, .sha = 0x9bb16ca4fa76560c },
};

fn shaPrefix(bytes: []const u8) u64 {
    var digest: [32]u8 = undefined;
    std.crypto.hash.sha2.Sha256.hash(bytes, &digest, .{});
    return std.mem.readInt(u64, digest[0..8], .big);
}

test "golden vectors: decoding" {
    inline for (formats.list) |F| {
        const golden = for (golden_decode) |g| {
            if (g.id == F.id) break g;
        } else null;
        try testing.expectEqual(F.kind == .block, golden != null);
        if (F.kind == .block) {
            const g = golden.?;
            var block: F.Block = undefined;
            for (std.mem.asBytes(&block), 0..) |*byte, i| byte.* = @truncate(37 * i + 11);
            if (@hasField(F.Block, "d")) block.d = 0x2e00;
            if (@hasField(F.Block, "m")) block.m = 0x2c00;
            if (@hasField(F.Block, "dmin")) block.dmin = 0x2c00;
            if (@hasField(F.Block, "e")) block.e = 125;
            if (F.id == iq1_m) setScattered(&block.scales, 0x2e00);
            for (dispatch.levels()) |level| {
                var out: [F.block_elements]f32 = undefined;
                tableOf(level, F.id).decode(@ptrCast(&block), 1, &out);
                var sum: f64 = 0;
                for (out) |value| sum += value;
                try testing.expectEqual(g.sum, sum);
                try testing.expectEqualSlices(f32, &g.first, out[0..4]);
                try testing.expectEqual(g.sha, shaPrefix(std.mem.sliceAsBytes(&out)));
            }
        }
    }
}

/// The reference quantizers' bytes of x[i] = ((7919 i) mod 2003 - 1001) / 512.
const golden_encode = [_]struct { id: u32, sha: u64, first: []const u8 }{
    .{ .id = 2, .sha = 0xd183664db5d64ca9, .first = "\xd2\x33\x40\x3f\x3f\x2e\x1d\x0c" },
    .{ .id = 3, .sha = 0x7561b37023742838, .first = "\x15\x34\xd2\xbf\x40\x3f\x3e\x2d" },
    .{ .id = 6, .sha = 0xf1071168ea342b98, .first = "\xd2\x2f\xfe\x0f\xc0\xff\x80\x7f" },
    .{ .id = 7, .sha = 0x157c35322e7676aa, .first = "\xe7\x2f\xd2\xbf\xfe\x0f\xc0\xff" },
    .{ .id = 8, .sha = 0x692cfe7443e425c9, .first = "\xe2\x23\x81\x73\x68\x5c\x50\x44" },
    .{ .id = 39, .sha = 0x0c40af31a448d560, .first = "\x7d\xef\xe7\xf7\xf7\xf6\xf6\x75" },
};

test "golden vectors: encoding" {
    var x: [256]f32 = undefined;
    for (&x, 0..) |*value, i| value.* = @as(f32, @floatFromInt(@as(i32, @intCast(i * 7919 % 2003)) - 1001)) / 512;
    for (golden_encode) |g| for (dispatch.levels()) |level| {
        for (level.formats[0..level.formats_len]) |*table| if (table.id == g.id) {
            const encode = table.encode orelse continue;
            var bytes: [2048]u8 = undefined;
            const blocks = 256 / table.block_elements;
            encode(&x, blocks, &bytes);
            try testing.expectEqualSlices(u8, g.first, bytes[0..8]);
            try testing.expectEqual(g.sha, shaPrefix(bytes[0 .. blocks * table.block_bytes]));
        };
    };
}

test "encoding any float gives bytes, the same at every level" {
    const strange = [_]f32{ 0, -0.0, std.math.inf(f32), -std.math.inf(f32), std.math.nan(f32), 3.4e38, -3.4e38, 1e-45, -1e-40, 65520, 1e-8, 1 };
    var random = std.Random.DefaultPrng.init(3);
    const r = random.random();
    for (0..200) |_| {
        var x: [512]f32 = undefined;
        for (&x) |*value| value.* = if (r.boolean()) strange[r.uintLessThan(usize, strange.len)] else @bitCast(r.int(u32));
        const first = dispatch.levels()[0];
        for (first.formats[0..first.formats_len]) |*table| {
            const encode = table.encode orelse continue;
            const blocks = 512 / table.block_elements;
            var expected: [2048]u8 = undefined;
            encode(&x, blocks, &expected);
            for (dispatch.levels()) |level| {
                var bytes: [2048]u8 = undefined;
                tableOf(level, table.id).encode.?(&x, blocks, &bytes);
                const len = blocks * table.block_bytes;
                try testing.expectEqualSlices(u8, expected[0..len], bytes[0..len]);
            }
        }
    }
}
