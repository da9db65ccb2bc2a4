//! Details of an error for the caller's buffer: four lines of UTF-8, `what`, `where`, `expected`, `got`, each of which
//! may be empty. TypeScript makes the sentence. Never a thread-local: two runtimes' threads may fail at once.

const std = @import("std");
const Status = @import("../status.zig").Status;

pub const Report = struct {
    buffer: []u8 = &.{},
    len: usize = 0,
    /// Of the last failure.
    status: Status = .ok,

    /// `where`, `expected` and `got` are each a text, or a format and its arguments: `.{ "tensor {d}", .{7} }`. What does not
    /// fit is cut off.
    pub fn fail(report: *Report, status: Status, what: []const u8, where: anytype, expected: anytype, got: anytype) Status {
        std.debug.assert(status != .ok);
        report.len = 0;
        report.status = status;
        report.put(what);
        report.put("\n");
        report.line(where);
        report.put("\n");
        report.line(expected);
        report.put("\n");
        report.line(got);
        if (report.len < report.buffer.len) report.buffer[report.len] = 0;
        return status;
    }

    /// Taken apart when it is compiled: formatting as such would be there once for each error, and is some kilobytes.
    fn line(report: *Report, part: anytype) void {
        if (@typeInfo(@TypeOf(part)) != .@"struct") return report.put(part);
        comptime var rest: []const u8 = part[0];
        inline for (part[1]) |value| {
            const at = comptime std.mem.indexOfScalar(u8, rest, '{').?;
            comptime std.debug.assert(rest[at + 2] == '}' and (rest[at + 1] == 's' or rest[at + 1] == 'd'));
            if (at > 0) report.put(rest[0..at]);
            switch (@typeInfo(@TypeOf(value))) {
                .int, .comptime_int => report.number(value),
                .float => report.float(value),
                else => report.put(if (rest[at + 1] == 's' and @TypeOf(value) == [*:0]const u8) std.mem.span(value) else value),
            }
            rest = rest[at + 3 ..];
        }
        if (rest.len > 0) report.put(rest);
    }

    noinline fn put(report: *Report, text: []const u8) void {
        // A full buffer is no failure: the beginning of the text is what matters.
        const count = @min(text.len, report.buffer.len - report.len);
        @memcpy(report.buffer[report.len..][0..count], text[0..count]);
        report.len += count;
    }

    noinline fn number(report: *Report, value: i128) void {
        var digits: [40]u8 = undefined;
        report.put(std.fmt.bufPrint(&digits, "{d}", .{value}) catch unreachable);
    }

    noinline fn float(report: *Report, value: f64) void {
        var digits: [400]u8 = undefined;
        report.put(std.fmt.bufPrint(&digits, "{d}", .{value}) catch unreachable);
    }
};

test "four lines, cut off where the buffer ends" {
    var buffer: [64]u8 = @splat(0xaa);
    var report: Report = .{ .buffer = &buffer };
    const status = report.fail(.limit, "too many", .{ "tensor {d}", .{7} }, .{ "at most {d}", .{3} }, .{ "{d}", .{4} });
    try std.testing.expectEqual(Status.limit, status);
    try std.testing.expectEqualStrings("too many\ntensor 7\nat most 3\n4", buffer[0..report.len]);
    report = .{ .buffer = buffer[0..10] };
    _ = report.fail(.limit, "too many", .{ "tensor {d}", .{7} }, "", "");
    try std.testing.expectEqualStrings("too many\nt", buffer[0..10]);
}
