//! Picks one level's table of function pointers, once. The level objects are linked in by `build.zig`; this file knows
//! their names and what each demands of the processor, and nothing of what they compute.

const std = @import("std");
const builtin = @import("builtin");
const level_table = @import("../level/level_table.zig");
const cpu = @import("cpu.zig");
const os = @import("os.zig");

/// The levels of this build, from the lowest to the best; each runs wherever a later one does.
pub const names: []const []const u8 = switch (builtin.cpu.arch) {
    .x86_64 => &.{ "baseline", "v3", "v4", "amx" },
    .aarch64 => &.{ "baseline", "dotprod", "i8mm" },
    else => @compileError("no levels for this processor"),
};

const tables: [names.len]*const level_table.Level = blk: {
    var list: [names.len]*const level_table.Level = undefined;
    for (&list, names) |*table, name| {
        table.* = if (is(name, "amx")) &amx.level else @extern(*const level_table.Level, .{ .name = "lightgpt_level_" ++ name, .visibility = .hidden });
    }
    break :blk list;
};

fn is(name: []const u8, other: []const u8) bool {
    return std.mem.eql(u8, name, other);
}

/// A level made of another one and of products that take the place of some of its own.
pub const Composed = struct {
    level: level_table.Level = undefined,
    formats: [level_table.formats_max]level_table.Format = undefined,

    pub fn compose(composed: *Composed, below: *const level_table.Level, products: *const level_table.Products) void {
        std.debug.assert(products.len == below.formats_len and products.len <= composed.formats.len);
        for (composed.formats[0..products.len], below.formats[0..products.len], products.list[0..products.len]) |*format_of, of, product| {
            format_of.* = of;
            format_of.matmul = product orelse of.matmul;
        }
        composed.level = below.*;
        composed.level.name = products.name;
        composed.level.formats = &composed.formats;
    }
};

var amx: Composed = .{};
/// Whether the system lets this process have the registers of AMX. It is asked once, when the level is wanted.
var amx_state: std.atomic.Value(u32) = .init(@intFromEnum(Permission.unasked));
var amx_asking: os.Lock = .{};

const Permission = enum(u32) { unasked, granted, refused };

fn permission() Permission {
    return @enumFromInt(amx_state.load(.acquire));
}

/// Makes the level `amx` ready; false where the processor has none, or the system refuses it.
fn readyAmx() bool {
    if (builtin.cpu.arch != .x86_64 or !cpu.detect().amx) return false;
    amx_asking.acquire();
    defer amx_asking.unlock();
    if (permission() == .unasked) {
        const below = tables[names.len - 2];
        amx.compose(below, @extern(*const level_table.Products, .{ .name = "lightgpt_products_amx", .visibility = .hidden }));
        const state: Permission = if (os.allowMatrixRegisters()) .granted else .refused;
        amx_state.store(@intFromEnum(state), .release);
    }
    return permission() == .granted;
}

/// The level that the processor has and the system refuses, if that has shown.
pub fn refused() ?[]const u8 {
    return if (permission() == .refused) "amx" else null;
}

/// The levels that have an encoder object; what one leaves out, and those above have none of, the next below has.
const encoder_names: []const []const u8 = switch (builtin.cpu.arch) {
    .x86_64 => &.{ "baseline", "v3", "v4" },
    else => &.{"baseline"},
};

const encoder_tables: [encoder_names.len]*const level_table.Encoders = blk: {
    var list: [encoder_names.len]*const level_table.Encoders = undefined;
    for (&list, encoder_names) |*table, name| {
        table.* = @extern(*const level_table.Encoders, .{ .name = "lightgpt_encoders_" ++ name, .visibility = .hidden });
    }
    break :blk list;
};

/// Set once, before anything computes.
var chosen: std.atomic.Value(?*const level_table.Level) = .init(null);

/// `Refused`: the processor could, and the system does not let it.
pub const Error = error{ Unknown, Unsupported, Refused };

/// Chooses the level of this name; empty: the best this processor can run. Choosing the same again is fine; another is
/// `Unsupported`, because packed weights belong to the level that packed them.
pub fn init(name: []const u8) Error!void {
    const wanted = try find(name);
    if (chosen.cmpxchgStrong(null, wanted, .acq_rel, .acquire)) |already| {
        if (name.len > 0 and already != wanted) return error.Unsupported;
    }
}

fn find(name: []const u8) Error!*const level_table.Level {
    if (name.len == 0) {
        const runnable = levels();
        return runnable[runnable.len - 1];
    }
    for (names, tables, 0..) |candidate, table, index| {
        if (!is(candidate, name)) continue;
        // A process that is told to use a lower level does not ask for AMX.
        if (is(name, "amx") and cpu.detect().amx and !readyAmx()) return error.Refused;
        return if (index < known()) table else error.Unsupported;
    }
    return error.Unknown;
}

/// The level that computes: the one that `init` chose, else the best.
pub fn level() *const level_table.Level {
    return chosen.load(.acquire) orelse {
        init("") catch unreachable; // the baseline always runs
        return chosen.load(.acquire).?;
    };
}

/// Another level from now on, for tests that compare whole models; returns the one before.
pub fn exchange(table: *const level_table.Level) *const level_table.Level {
    const before = level();
    chosen.store(table, .release);
    return before;
}

/// The names of the levels that this processor can run, the lowest first; what the system refuses is none of them.
pub fn available(buffer: *[names.len][]const u8) []const []const u8 {
    const count = known();
    for (names[0..count], buffer[0..count]) |name, *slot| slot.* = name;
    return buffer[0..count];
}

/// The levels that this process can run, the lowest first; all of them, for tests and benches that compare them.
pub fn levels() []const *const level_table.Level {
    const count = known();
    return tables[0..if (is(names[count - 1], "amx") and !readyAmx()) count - 1 else count];
}

/// How many levels the processor has, without those that the system is known to refuse.
fn known() usize {
    const features = cpu.detect();
    var count: usize = 1;
    inline for (names[1..]) |name| {
        if (!@field(features, name) or (is(name, "amx") and permission() == .refused)) break;
        count += 1;
    }
    return count;
}

/// The chosen level's block formats.
pub fn formats() []const level_table.Format {
    const table = level();
    return table.formats[0..table.formats_len];
}

/// The chosen level's kernels for a tensor type, or null when there are none.
pub fn format(id: u32) ?*const level_table.Format {
    for (formats()) |*candidate| if (candidate.id == id) return candidate;
    return null;
}

/// The encoder of the chosen level for a tensor type, or null where the format can be read only.
pub fn encoder(id: u32) ?*const level_table.Encoder {
    for (tables, 0..) |table, index| if (table == level()) return encoderAt(index, id);
    unreachable;
}

/// That of level `number`, or of the nearest below it that has one.
pub fn encoderAt(number: usize, id: u32) ?*const level_table.Encoder {
    var above = @min(number + 1, encoder_tables.len);
    while (above > 0) : (above -= 1) {
        const table = encoder_tables[above - 1];
        for (table.list[0..table.len]) |*candidate| if (candidate.id == id) return candidate;
    }
    return null;
}

/// What calibrating needs beside encoders, of the chosen level or of the nearest below it that has them.
pub fn encoders() *const level_table.Encoders {
    for (tables, 0..) |table, index| if (table == level()) return encodersAt(index);
    unreachable;
}

/// That of level `number`.
pub fn encodersAt(number: usize) *const level_table.Encoders {
    return encoder_tables[@min(number, encoder_tables.len - 1)];
}

const testing = std.testing;

test "the best level is the default; unknown and impossible names are errors" {
    try testing.expectError(error.Unknown, find("v5"));
    const runnable = levels();
    try testing.expectEqual(runnable[runnable.len - 1], try find(""));
    for (names[runnable.len..]) |name| try testing.expectError(error.Unsupported, find(name));
    for (names[0..runnable.len], runnable) |name, table| {
        try testing.expectEqual(table, try find(name));
        try testing.expectEqualStrings(name, std.mem.span(table.name));
    }
}

test "every level lists the same formats, each once" {
    const first = levels()[0];
    for (levels()) |table| {
        try testing.expectEqual(first.formats_len, table.formats_len);
        for (first.formats[0..first.formats_len], table.formats[0..first.formats_len], 0..) |a, b, index| {
            try testing.expectEqual(a.id, b.id);
            try testing.expectEqual(a.block_bytes, b.block_bytes);
            for (first.formats[0..index]) |earlier| try testing.expect(earlier.id != a.id);
        }
    }
}

test "a level that the system refuses is none of those that run, and asking for it by name says why" {
    if (builtin.cpu.arch != .x86_64) return;
    _ = levels(); // the first question has been answered
    const before = amx_state.swap(@intFromEnum(Permission.refused), .acq_rel);
    defer amx_state.store(before, .release);
    const amx_table = tables[names.len - 1];
    try testing.expectEqualStrings("amx", refused().?);
    try testing.expectEqual(if (cpu.detect().amx) error.Refused else error.Unsupported, find("amx"));
    try testing.expect(try find("") != amx_table);
    var buffer: [names.len][]const u8 = undefined;
    for (available(&buffer)) |name| try testing.expect(!is(name, "amx"));
}
