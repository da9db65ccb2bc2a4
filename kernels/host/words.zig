//! Reads the little-endian words in which TypeScript describes models, options and batches: records of `wire.zig`, field by field,
//! each within its range. Every read is bounded; a buffer that ends early is an error of its own, never a guess.

const std = @import("std");
const Report = @import("report.zig").Report;
const Status = @import("../status.zig").Status;

comptime {
    // Lists of words are read in place: every host of this library is little-endian.
    std.debug.assert(@import("builtin").cpu.arch.endian() == .little);
}

pub const Words = struct {
    bytes: []const u8,
    /// Words read so far.
    at: usize = 0,
    /// What a number out of its range is.
    refusal: Status = .invalid_argument,

    /// `Refused`: the report says why.
    pub const Error = error{ Short, Refused };

    /// The next record; `Record` is one of the border's table.
    pub fn record(words: *Words, comptime Record: type, report: *Report) Error!Record {
        var value: Record = undefined;
        inline for (@typeInfo(Record).@"struct".fields) |field| {
            const place: Place = comptime .{ .what = Record.about, .where = spaced(field.name) };
            @field(value, field.name) = switch (@typeInfo(field.type)) {
                .@"enum" => |info| choice: {
                    const most = comptime info.fields[info.fields.len - 1].value;
                    const found = try words.number(report, place, 0, most);
                    break :choice std.enums.fromInt(field.type, found) orelse return words.refuse(report, place, 0, most, found);
                },
                .bool => try words.number(report, place, 0, 1) == 1,
                .float => |info| if (info.bits == 32) try words.float(report, place) else try words.double(report, place),
                .int => |info| if (info.bits == 64) try words.long() else number: {
                    const least, const most = comptime rangeOf(Record, field.name);
                    break :number try words.number(report, place, least, most);
                },
                else => @compileError(field.name ++ ": no type that crosses"),
            };
        }
        return value;
    }

    /// The one record that a buffer holds.
    pub fn whole(bytes: []const u8, comptime Record: type, report: *Report) Error!Record {
        var words: Words = .{ .bytes = bytes };
        const value = try words.record(Record, report);
        try words.end(Record.about, report);
        return value;
    }

    /// The next `count` elements, where they lie; each is made of words.
    pub fn list(words: *Words, comptime T: type, count: usize) error{Short}![]const T {
        comptime std.debug.assert(@sizeOf(T) % 4 == 0 and @alignOf(T) == 4);
        const bytes = try words.take(std.math.mul(usize, count, @sizeOf(T) / 4) catch return error.Short);
        return @as([*]const T, @ptrCast(@alignCast(bytes.ptr)))[0..count];
    }

    /// The next `count` words as bytes.
    pub fn take(words: *Words, count: usize) error{Short}![]const u8 {
        const begin = words.at * 4;
        const len = std.math.mul(usize, count, 4) catch return error.Short;
        if (words.bytes.len - begin < len) return error.Short;
        words.at += count;
        return words.bytes[begin..][0..len];
    }

    /// Refuses what follows the last record.
    pub fn end(words: *const Words, what: []const u8, report: *Report) error{Refused}!void {
        if (words.at * 4 == words.bytes.len) return;
        _ = report.fail(words.refusal, what, "", .{ "{d} bytes", .{words.at * 4} }, .{ "{d}", .{words.bytes.len} });
        return error.Refused;
    }

    const Place = struct { what: []const u8, where: []const u8 };

    fn number(words: *Words, report: *Report, place: Place, least: u32, most: u32) Error!u32 {
        const value = std.mem.readInt(u32, (try words.take(1))[0..4], .little);
        if (value < least or value > most) return words.refuse(report, place, least, most, value);
        return value;
    }

    fn long(words: *Words) error{Short}!u64 {
        return std.mem.readInt(u64, (try words.take(2))[0..8], .little);
    }

    fn float(words: *Words, report: *Report, place: Place) Error!f32 {
        const value: f32 = @bitCast(std.mem.readInt(u32, (try words.take(1))[0..4], .little));
        if (!std.math.isFinite(value)) return words.refuseFloat(report, place, value);
        return value;
    }

    fn double(words: *Words, report: *Report, place: Place) Error!f64 {
        const value: f64 = @bitCast(try words.long());
        if (!std.math.isFinite(value)) return words.refuseFloat(report, place, value);
        return value;
    }

    fn refuse(words: *const Words, report: *Report, place: Place, least: u32, most: u32, got: u32) error{Refused} {
        @branchHint(.cold);
        _ = report.fail(words.refusal, place.what, .{ "{s}", .{place.where} }, .{ "{d} to {d}", .{ least, most } }, .{ "{d}", .{got} });
        return error.Refused;
    }

    fn refuseFloat(words: *const Words, report: *Report, place: Place, got: f64) error{Refused} {
        @branchHint(.cold);
        _ = report.fail(words.refusal, place.what, .{ "{s}", .{place.where} }, "a finite number", .{ "{d}", .{got} });
        return error.Refused;
    }
};

fn rangeOf(comptime Record: type, comptime name: []const u8) struct { u32, u32 } {
    if (@hasDecl(Record, "ranges") and @hasField(@TypeOf(Record.ranges), name)) {
        const range = @field(Record.ranges, name);
        return .{ range[0], range[1] };
    }
    return .{ 0, std.math.maxInt(u32) };
}

/// A field's name as words.
fn spaced(comptime name: []const u8) []const u8 {
    comptime {
        var text: [name.len]u8 = name[0..name.len].*;
        std.mem.replaceScalar(u8, &text, '_', ' ');
        const words = text;
        return &words;
    }
}

/// Records as TypeScript writes them, for tests.
pub const Writer = struct {
    words: std.ArrayList(u32) = .empty,

    const gpa = std.testing.allocator;

    pub fn deinit(writer: *Writer) void {
        writer.words.deinit(gpa);
    }

    pub fn record(writer: *Writer, value: anytype) !void {
        inline for (@typeInfo(@TypeOf(value)).@"struct".fields) |field| {
            const part = @field(value, field.name);
            switch (@typeInfo(field.type)) {
                .@"enum" => try writer.words.append(gpa, @intFromEnum(part)),
                .bool => try writer.words.append(gpa, @intFromBool(part)),
                .float, .int => {
                    const Bits = std.meta.Int(.unsigned, @bitSizeOf(field.type));
                    const bits: u64 = @as(Bits, @bitCast(part));
                    try writer.words.append(gpa, @truncate(bits));
                    if (@bitSizeOf(field.type) == 64) try writer.words.append(gpa, @intCast(bits >> 32));
                },
                else => comptime unreachable,
            }
        }
    }

    pub fn list(writer: *Writer, values: []const u32) !void {
        try writer.words.appendSlice(gpa, values);
    }

    pub fn bytes(writer: *const Writer) []const u8 {
        return std.mem.sliceAsBytes(writer.words.items);
    }
};

const testing = std.testing;

const TestRecord = struct {
    small: u32,
    kind_of: enum(u32) { a = 0, b = 1, c = 30 },
    is_on: bool,
    size: u64,
    part: f32,
    whole: f64,

    pub const about = "test";
    pub const ranges = .{ .small = .{ 2, 4 } };
};

test "a record comes back as it was written, and each number out of its range is refused" {
    var writer: Writer = .{};
    defer writer.deinit();
    const good: TestRecord = .{ .small = 3, .kind_of = .c, .is_on = true, .size = 3 << 32 | 2, .part = 0.5, .whole = -2 };
    try writer.record(good);
    var buffer: [256]u8 = undefined;
    var report: Report = .{ .buffer = &buffer };
    try testing.expectEqualDeep(good, try Words.whole(writer.bytes(), TestRecord, &report));
    const wrong = [_]struct { at: usize, value: u32, where: []const u8 }{
        .{ .at = 0, .value = 1, .where = "small" },
        .{ .at = 0, .value = 5, .where = "small" },
        .{ .at = 1, .value = 2, .where = "kind of" },
        .{ .at = 1, .value = 31, .where = "kind of" },
        .{ .at = 2, .value = 2, .where = "is on" },
        .{ .at = 5, .value = 0x7f80_0000, .where = "part" },
        .{ .at = 7, .value = 0x7ff8_0000, .where = "whole" },
    };
    for (wrong) |w| {
        const before = writer.words.items[w.at];
        writer.words.items[w.at] = w.value;
        try testing.expectError(error.Refused, Words.whole(writer.bytes(), TestRecord, &report));
        var lines = std.mem.splitScalar(u8, buffer[0..report.len], '\n');
        try testing.expectEqualStrings("test", lines.next().?);
        try testing.expectEqualStrings(w.where, lines.next().?);
        writer.words.items[w.at] = before;
    }
    for (0..writer.bytes().len) |len| try testing.expectError(error.Short, Words.whole(writer.bytes()[0..len], TestRecord, &report));
    try writer.list(&.{0});
    try testing.expectError(error.Refused, Words.whole(writer.bytes(), TestRecord, &report));
}

test "reads of lists are bounded" {
    const two = [_]u32{ 1, 2 };
    var words: Words = .{ .bytes = std.mem.sliceAsBytes(&two) };
    try testing.expectError(error.Short, words.list(u32, 3));
    try testing.expectError(error.Short, words.list([2]u32, std.math.maxInt(usize)));
    try testing.expectEqualSlices(u32, &two, try words.list(u32, 2));
    try testing.expectError(error.Short, words.list(u32, 1));
    try testing.expectEqual(0, (try words.list(u32, 0)).len);
}
