//! The levels that tests compare: those of this processor, and those that are put together with the matrix unit emulated, which
//! every processor runs. The emulation stands for four instructions; all else is the code of the level `amx`.

const std = @import("std");
const builtin = @import("builtin");
const level_table = @import("../level/level_table.zig");
const dispatch = @import("../host/dispatch.zig");

/// What `build.zig` compiles into tests, each beside the level whose weights it reads.
const emulations: []const []const u8 = if (builtin.cpu.arch == .x86_64) &.{ "baseline", "v4" } else &.{"baseline"};

var composed: [emulations.len]dispatch.Composed = @splat(.{});

/// Those of the processor, then the emulated ones.
pub const List = struct {
    buffer: [dispatch.names.len + emulations.len]*const level_table.Level,
    len: usize,

    pub fn slice(list: *const List) []const *const level_table.Level {
        return list.buffer[0..list.len];
    }
};

pub fn all() List {
    var list: List = matrix();
    const emulated: List = list;
    const levels = dispatch.levels();
    @memcpy(list.buffer[0..levels.len], levels);
    list.len = levels.len;
    // The real one is among the processor's own.
    for (emulated.slice()) |level| if (!isReal(level)) {
        list.buffer[list.len] = level;
        list.len += 1;
    };
    return list;
}

/// Levels with a matrix unit, the real one last where there is one.
pub fn matrix() List {
    var list: List = .{ .buffer = undefined, .len = 0 };
    const levels = dispatch.levels();
    inline for (emulations, &composed) |name, *of| {
        for (levels) |level| if (std.mem.eql(u8, name, std.mem.span(level.name))) {
            of.compose(level, @extern(*const level_table.Products, .{ .name = "lightgpt_products_emulated_" ++ name, .visibility = .hidden }));
            list.buffer[list.len] = &of.level;
            list.len += 1;
        };
    }
    for (levels) |level| if (isReal(level)) {
        list.buffer[list.len] = level;
        list.len += 1;
    };
    return list;
}

pub fn isReal(level: *const level_table.Level) bool {
    return std.mem.eql(u8, "amx", std.mem.span(level.name));
}
