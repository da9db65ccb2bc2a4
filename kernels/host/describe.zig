//! What the library says about itself: its functions, made by the compiler from the functions themselves, and as JSON
//! its version, statuses, block formats and processor. TypeScript compares or displays it and keeps no second list.

const std = @import("std");
const builtin = @import("builtin");
const level_table = @import("../level/level_table.zig");
const dispatch = @import("dispatch.zig");
const Status = @import("../status.zig").Status;

pub const version = "0.1.0";

/// One `name(type,type)` a line for every `lg_` function of `root`.
pub fn functions(comptime root: type) []const u8 {
    return comptime blk: {
        @setEvalBranchQuota(10_000);
        var text: []const u8 = "";
        for (@typeInfo(root).@"struct".decls) |decl| {
            if (!std.mem.startsWith(u8, decl.name, "lg_")) continue;
            text = text ++ decl.name ++ "(";
            const info = @typeInfo(@TypeOf(@field(root, decl.name))).@"fn";
            std.debug.assert(info.return_type.? == i32);
            for (info.params, 0..) |param, index| text = text ++ (if (index > 0) "," else "") ++ typeName(param.type.?);
            text = text ++ ")\n";
        }
        break :blk text;
    };
}

fn typeName(comptime T: type) []const u8 {
    return switch (T) {
        i32 => "i32",
        u32 => "u32",
        f32 => "f32",
        f64 => "f64",
        ?[*]u8, ?[*]const u8 => "buffer",
        else => @compileError("a native function takes i32, u32, f32, f64 or a buffer, not " ++ @typeName(T)),
    };
}

/// JSON about a topic (`TOPIC` in `ffi/abi.ts`), or null for an unknown one.
pub fn topic(number: u32, buffer: []u8) ?[]const u8 {
    var writer: std.Io.Writer = .fixed(buffer);
    write(number, &writer) catch return null;
    return writer.buffered();
}

fn write(number: u32, writer: *std.Io.Writer) !void {
    switch (number) {
        0 => try writer.writeAll("{\"version\":\"" ++ version ++ "\"}"),
        1 => {
            try writer.writeByte('{');
            inline for (@typeInfo(Status).@"enum".fields, 0..) |field, index| {
                if (index > 0) try writer.writeByte(',');
                try writer.print("\"{s}\":{d}", .{ field.name, field.value });
            }
            try writer.writeByte('}');
        },
        2 => {
            try writer.writeByte('[');
            const level = dispatch.level();
            for (level.formats[0..level.formats_len], 0..) |*format, index| {
                if (index > 0) try writer.writeByte(',');
                try writer.print("{{\"id\":{d},\"name\":\"{s}\",\"blockElements\":{d},\"blockBytes\":{d},\"encodes\":{}}}", .{
                    format.id, format.name, format.block_elements, format.block_bytes, dispatch.encoder(format.id) != null,
                });
            }
            try writer.writeByte(']');
        },
        3 => {
            try writer.print("{{\"arch\":\"{s}\",\"os\":\"{s}\",\"level\":\"{s}\",\"levels\":[", .{ @tagName(builtin.cpu.arch), @tagName(builtin.os.tag), dispatch.level().name });
            var names: [dispatch.names.len][]const u8 = undefined;
            for (dispatch.available(&names), 0..) |name, index| {
                if (index > 0) try writer.writeByte(',');
                try writer.print("\"{s}\"", .{name});
            }
            try writer.writeAll("]}");
        },
        else => return error.Unknown,
    }
}

/// Names of the levels that this processor can run, with commas.
pub fn levelNames(buffer: []u8) []const u8 {
    var writer: std.Io.Writer = .fixed(buffer);
    var names: [dispatch.names.len][]const u8 = undefined;
    for (dispatch.available(&names), 0..) |name, index|
        writer.print("{s}{s}", .{ if (index > 0) ", " else "", name }) catch break;
    return writer.buffered();
}
