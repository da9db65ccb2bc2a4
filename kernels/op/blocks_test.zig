//! Decoding against ggml's own, bit for bit, at every level: the excerpt in test/data/kit, which has every edge case, and
//! all of the conformance kit where `LIGHTGPT_KIT` says where it lies. Blocks whose scale is not finite are refused when they are packed.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const dispatch = @import("../host/dispatch.zig");
const formats = @import("../formats/list.zig");
const testing = std.testing;
const allocator = testing.allocator;

const Excerpt = struct {
    about: []const u8,
    formats: []const struct { id: u32, name: []const u8, raw: []const u8, values: []const u8, refused: []const u8 },
};

test "an excerpt of the kit's blocks" {
    const parsed = try std.json.parseFromSlice(Excerpt, allocator, @embedFile("blocks.json"), .{});
    defer parsed.deinit();
    for (parsed.value.formats) |entry| {
        const raw = try plain(entry.raw);
        defer allocator.free(raw);
        const values = try plain(entry.values);
        defer allocator.free(values);
        const refused = try plain(entry.refused);
        defer allocator.free(refused);
        try decoded(entry.id, raw, values);
        try refusedAll(entry.id, refused);
    }
}

fn plain(base64: []const u8) ![]u8 {
    const decoder = std.base64.standard.Decoder;
    const bytes = try allocator.alloc(u8, try decoder.calcSizeForSlice(base64));
    errdefer allocator.free(bytes);
    try decoder.decode(bytes, base64);
    return bytes;
}

/// Formats of which the kit has no blocks; those of `matmul_test.zig` are their golden vectors.
const without = [_][]const u8{ "F32", "Q3_K", "IQ4_XS", "MXFP4", "Q1_0", "Q2_0" };
/// The folders with blocks.
const folders = [_][]const u8{ "blocks", "iq" };

test "all of the kit's blocks" {
    const kit = std.mem.span(std.c.getenv("LIGHTGPT_KIT") orelse return error.SkipZigTest);
    var found: u32 = 0;
    inline for (formats.list) |F| {
        var is_there = false;
        for (folders) |folder| {
            if (try read(kit, folder, F.name ++ ".raw")) |raw| {
                defer allocator.free(raw);
                const values = (try read(kit, folder, F.name ++ ".f32")) orelse return error.FileNotFound;
                defer allocator.free(values);
                try decoded(F.id, raw, values);
                is_there = true;
            }
            if (try read(kit, folder, F.name ++ ".nonfinite.raw")) |raw| {
                defer allocator.free(raw);
                try refusedAll(F.id, raw);
            }
        }
        found += @intFromBool(is_there);
    }
    try testing.expectEqual(formats.list.len - without.len, found);
}

/// A file of the kit's blocks, or null where there is none.
fn read(kit: []const u8, folder: []const u8, name: []const u8) !?[]u8 {
    var buffer: [1024]u8 = undefined;
    const path = try std.fmt.bufPrintZ(&buffer, "{s}/{s}/{s}", .{ kit, folder, name });
    const file = std.c.open(path, .{ .ACCMODE = .RDONLY });
    if (file < 0) return null;
    defer _ = std.c.close(file);
    var bytes: std.ArrayList(u8) = .empty;
    errdefer bytes.deinit(allocator);
    var part: [4096]u8 = undefined;
    while (true) {
        const count = std.c.read(file, &part, part.len);
        if (count < 0) return error.ReadFailed;
        if (count == 0) return try bytes.toOwnedSlice(allocator);
        try bytes.appendSlice(allocator, part[0..@intCast(count)]);
    }
}

fn decoded(id: u32, raw: []const u8, expected: []const u8) !void {
    for (dispatch.levels()) |level| {
        const table = tableOf(level, id);
        const blocks = raw.len / table.block_bytes;
        const values = try allocator.alloc(f32, blocks * table.block_elements);
        defer allocator.free(values);
        try testing.expectEqual(expected.len, values.len * 4);
        table.decode(raw.ptr, blocks, values.ptr);
        for (values, 0..) |value, i| {
            const wanted: f32 = @bitCast(std.mem.readInt(u32, expected[4 * i ..][0..4], .little));
            if (std.math.isNan(wanted)) {
                try testing.expect(std.math.isNan(value));
            } else if (@as(u32, @bitCast(wanted)) != @as(u32, @bitCast(value))) {
                std.debug.print("{s} {s}, block {d}, weight {d}: {x}, not {x}\n", .{ level.name, table.name, i / table.block_elements, i % table.block_elements, value, wanted });
                return error.TestExpectedEqual;
            }
        }
    }
}

fn refusedAll(id: u32, raw: []const u8) !void {
    for (dispatch.levels()) |level| {
        const table = tableOf(level, id);
        const group = try allocator.alignedAlloc(u8, .@"64", table.groupBytes(table.block_elements));
        defer allocator.free(group);
        for (0..raw.len / table.block_bytes) |b| {
            try testing.expectEqual(1, table.pack(raw.ptr + b * table.block_bytes, 1, table.block_elements, group.ptr));
        }
    }
}

fn tableOf(level: *const level_table.Level, id: u32) *const level_table.Format {
    for (level.formats[0..level.formats_len]) |*table| if (table.id == id) return table;
    unreachable; // a test of dispatch.zig compares the lists
}
