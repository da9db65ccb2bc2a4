//! One hash over a border's table (`wire.zig`): names, types and order of all arguments and fields, all choices, limits and
//! ranges, and the version. Made by the compiler; the library reports it, `ffi/wire.ts` has it, loading compares the two.

const std = @import("std");

/// FNV-1a, 64 bits: short, and quick enough for the compiler.
const Hash = struct {
    value: u64 = 0xcbf29ce484222325,

    fn text(hash: *Hash, bytes: []const u8) void {
        for (bytes ++ "\n") |byte| hash.value = (hash.value ^ byte) *% 0x100000001b3;
    }

    fn number(hash: *Hash, comptime value: comptime_int) void {
        hash.text(std.fmt.comptimePrint("{d}", .{value}));
    }

    /// A struct: its fields, and what is declared beside them.
    fn record(hash: *Hash, comptime T: type) void {
        inline for (@typeInfo(T).@"struct".fields) |field| {
            hash.text(field.name);
            hash.typeOf(field.type);
        }
        if (@hasDecl(T, "into")) for (T.into) |buffer| hash.text(@tagName(buffer));
        if (@hasDecl(T, "ranges")) inline for (@typeInfo(@TypeOf(T.ranges)).@"struct".fields) |field| {
            hash.text(field.name);
            inline for (@field(T.ranges, field.name)) |bound| hash.number(bound);
        };
        if (@hasDecl(T, "result")) hash.text(@tagName(T.result));
        if (@hasDecl(T, "blocks")) hash.text("blocks");
    }

    fn typeOf(hash: *Hash, comptime T: type) void {
        switch (@typeInfo(T)) {
            .@"enum" => hash.choice(T),
            .@"union" => |info| inline for (info.fields) |field| hash.text(field.name),
            .array => |info| {
                hash.number(info.len);
                hash.typeOf(info.child);
            },
            .@"struct" => if (@hasDecl(T, "kind")) {
                hash.text(@tagName(T.kind));
            } else if (@hasDecl(T, "buffer")) {
                hash.text(@tagName(T.buffer));
            } else if (@hasDecl(T, "Layout")) {
                hash.record(T.Layout);
            } else if (@hasDecl(T, "Element")) {
                hash.text(if (T.is_out) "out" else "in");
                hash.text(if (T.sized) "sized" else "");
                hash.typeOf(T.Element);
            } else hash.record(T),
            else => hash.text(@typeName(T)),
        }
    }

    fn choice(hash: *Hash, comptime T: type) void {
        inline for (@typeInfo(T).@"enum".fields) |field| {
            hash.text(field.name);
            hash.number(field.value);
        }
    }
};

/// The hash of a table with the shape of `wire.zig`, as 16 hexadecimal digits behind the version.
pub fn stamp(comptime wire: type) []const u8 {
    return comptime blk: {
        @setEvalBranchQuota(200_000);
        var hash: Hash = .{};
        for (.{ wire.limits, wire.marks, wire.workspace, wire.packed_file }) |numbers| for (@typeInfo(numbers).@"struct".decls) |decl| {
            hash.text(decl.name);
            hash.number(@field(numbers, decl.name));
        };
        for (.{ wire.choices, wire.layouts, wire.functions }) |types| for (@typeInfo(types).@"struct".decls) |decl| {
            hash.text(decl.name);
            hash.typeOf(@field(types, decl.name));
        };
        break :blk std.fmt.comptimePrint("{s} {x:0>16}", .{ wire.version, hash.value });
    };
}
