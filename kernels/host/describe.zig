//! What the library says about itself, as JSON: block formats and processor; and the check that it exports the functions that
//! the border's table names.

const std = @import("std");
const builtin = @import("builtin");
const level_table = @import("../level/level_table.zig");
const dispatch = @import("dispatch.zig");
const wire = @import("../wire.zig");

/// Fails to compile where `root` does not export just the functions of the border's table, with the types that it says.
pub fn verify(comptime root: type) void {
    @setEvalBranchQuota(20_000);
    for (@typeInfo(root).@"struct".decls) |decl| {
        if (std.mem.startsWith(u8, decl.name, "lg_") and !@hasDecl(wire.functions, decl.name)) @compileError(decl.name ++ " is not in wire.zig");
    }
    for (@typeInfo(wire.functions).@"struct".decls) |decl| {
        if (!@hasDecl(root, decl.name)) @compileError(decl.name ++ " of wire.zig is not exported");
        const found = @typeInfo(@TypeOf(@field(root, decl.name))).@"fn";
        const wanted = parameters(@field(wire.functions, decl.name));
        if (found.return_type.? != i32) @compileError(decl.name ++ " does not return an i32");
        if (found.params.len != wanted.len) @compileError(std.fmt.comptimePrint("{s} has {d} parameters, wire.zig says {d}", .{ decl.name, found.params.len, wanted.len }));
        for (found.params, wanted) |param, T| {
            if (param.type.? != T) @compileError(decl.name ++ ": a parameter is " ++ @typeName(param.type.?) ++ ", wire.zig says " ++ @typeName(T));
        }
    }
}

/// The parameters that a function's arguments become.
fn parameters(comptime Arguments: type) []const type {
    comptime {
        var list: []const type = &.{};
        for (@typeInfo(Arguments).@"struct".fields) |field| {
            const T = field.type;
            if (@typeInfo(T) != .@"struct" or @hasDecl(T, "kind")) {
                list = list ++ .{u32};
            } else if (@hasDecl(T, "Element")) {
                list = list ++ .{if (T.is_out) ?[*]u8 else ?[*]const u8};
                if (!T.sized) list = list ++ .{u32};
            } else list = list ++ .{ ?[*]const u8, u32 };
        }
        return list;
    }
}

/// JSON about a topic.
pub fn topic(about: wire.choices.Topics, buffer: []u8) []const u8 {
    var writer: std.Io.Writer = .fixed(buffer);
    write(about, &writer) catch unreachable; // the buffer is large enough for the longest: a test reads all of them
    return writer.buffered();
}

fn write(about: wire.choices.Topics, writer: *std.Io.Writer) !void {
    switch (about) {
        .formats => {
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
        .processor => {
            try writer.print("{{\"arch\":\"{s}\",\"os\":\"{s}\",\"level\":\"{s}\",\"levels\":[", .{ @tagName(builtin.cpu.arch), @tagName(builtin.os.tag), dispatch.level().name });
            var names: [dispatch.names.len][]const u8 = undefined;
            for (dispatch.available(&names), 0..) |name, index| {
                if (index > 0) try writer.writeByte(',');
                try writer.print("\"{s}\"", .{name});
            }
            try writer.print("],\"refused\":\"{s}\"}}", .{dispatch.refused() orelse ""});
        },
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
