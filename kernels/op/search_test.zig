//! Scores of rows at every level against plain loops, bit for bit, at every length around the vectors'.

const std = @import("std");
const dispatch = @import("../host/dispatch.zig");
const level_table = @import("../level/level_table.zig");
const reference = @import("reference_attention.zig");

const testing = std.testing;
const rows = 5;
const n_max = 288;

test "scores of floats, bytes and bits at every level equal plain loops" {
    var random = std.Random.DefaultPrng.init(7);
    const r = random.random();
    var numbers: [rows * n_max]f32 align(4) = undefined;
    var query: [n_max]f32 = undefined;
    for (&numbers) |*value| value.* = r.floatNorm(f32);
    for (&query) |*value| value.* = r.floatNorm(f32);
    var bytes: [rows * n_max]u8 = undefined;
    var bytes_query: [n_max]u8 = undefined;
    for (&bytes) |*value| value.* = @bitCast(r.intRangeAtMost(i8, -128, 127));
    for (&bytes_query) |*value| value.* = @bitCast(r.intRangeAtMost(i8, -127, 127));
    bytes_query[0] = @bitCast(@as(i8, -127));
    const scales = [rows]f32{ 0.5, 0, 1e-3, 3, 7e-3 };
    for (1..n_max) |n| {
        var wanted: [3][rows]f32 = undefined;
        for (0..rows) |row| {
            var lanes: [16]f32 = @splat(0);
            for (numbers[row * n ..][0..n], 0..) |value, i| lanes[i % 16] = @mulAdd(f32, value, query[i], lanes[i % 16]);
            wanted[0][row] = reference.tree(lanes);
            var sum: i32 = 0;
            var different: u32 = 0;
            for (bytes[row * n ..][0..n], bytes_query[0..n]) |a, b| {
                sum += @as(i32, @as(i8, @bitCast(a))) * @as(i8, @bitCast(b));
                different += @popCount(a ^ b);
            }
            wanted[1][row] = @as(f32, @floatFromInt(sum)) * (scales[row] * 0.25);
            const same = @as(i32, @intCast(8 * n)) - 2 * @as(i32, @intCast(different));
            wanted[2][row] = @as(f32, @floatFromInt(same)) / @as(f32, @floatFromInt(8 * n));
        }
        for (dispatch.levels()) |level| for ([_]level_table.VectorKind{ .f32, .int8, .binary }, 0..) |kind, which| {
            const length: u32 = @intCast(n);
            const args: level_table.Search = .{
                .kind = kind,
                .dimensions = if (kind == .binary) 8 * length else length,
                .row_bytes = if (kind == .f32) 4 * length else length,
                .rows = if (kind == .f32) @ptrCast(&numbers) else &bytes,
                .scales = @ptrCast(&scales),
                .query = if (kind == .f32) @ptrCast(&query) else &bytes_query,
                .query_scale = 0.25,
            };
            var got: [rows]f32 = @splat(7);
            level.score(&args, 0, 2, &got);
            level.score(&args, 2, rows, got[2..].ptr);
            try testing.expectEqualSlices(u32, @ptrCast(&wanted[which]), @ptrCast(&got));
        };
    }
}
