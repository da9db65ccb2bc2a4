//! Details of an error for the caller's buffer: four lines of UTF-8, `what`, `where`, `expected`, `got`, each of which
//! may be empty. TypeScript makes the sentence. Never a thread-local: two runtimes' threads may fail at once.

const std = @import("std");
const Status = @import("../status.zig").Status;

pub const Report = struct {
    buffer: []u8 = &.{},
    len: usize = 0,
    /// Of the last failure.
    status: Status = .ok,

    /// `where`, `expected` and `got` are formatted; what does not fit is cut off.
    pub fn fail(
        report: *Report,
        status: Status,
        what: []const u8,
        comptime where: []const u8,
        where_args: anytype,
        comptime expected: []const u8,
        expected_args: anytype,
        comptime got: []const u8,
        got_args: anytype,
    ) Status {
        report.len = 0;
        report.status = status;
        report.print("{s}\n", .{what});
        report.print(where ++ "\n", where_args);
        report.print(expected ++ "\n", expected_args);
        report.print(got, got_args);
        if (report.len < report.buffer.len) report.buffer[report.len] = 0;
        return status;
    }

    fn print(report: *Report, comptime format: []const u8, args: anytype) void {
        var writer: std.Io.Writer = .fixed(report.buffer[report.len..]);
        // A full buffer is no failure: the beginning of the text is what matters.
        writer.print(format, args) catch {};
        report.len += writer.end;
    }
};

test "four lines, cut off where the buffer ends" {
    var buffer: [64]u8 = @splat(0xaa);
    var report: Report = .{ .buffer = &buffer };
    const status = report.fail(.limit, "too many", "tensor {d}", .{7}, "at most {d}", .{3}, "{d}", .{4});
    try std.testing.expectEqual(Status.limit, status);
    try std.testing.expectEqualStrings("too many\ntensor 7\nat most 3\n4", buffer[0..report.len]);
    report = .{ .buffer = buffer[0..10] };
    _ = report.fail(.limit, "too many", "tensor {d}", .{7}, "", .{}, "", .{});
    try std.testing.expectEqualStrings("too many\nt", buffer[0..10]);
}
