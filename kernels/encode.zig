//! The root of an encoder object: what turns floats into blocks, for the processors from one level on. It is compiled for
//! small size: rounding is no part of a step. What a level leaves out, it has from the one below.

const options = @import("level_options");
const abi = @import("abi.zig");
const calibrate = @import("op/calibrate.zig");
const formats = @import("formats.zig");
const quantize = @import("op/quantize.zig");
const simd = @import("simd.zig");

/// As `level.zig` has it: what would panic is undefined here, and tested for.
pub const panic = @import("std").debug.no_panic;

const list = blk: {
    var all: []const abi.Encoder = &.{};
    for (formats.list) |F| {
        // Registers of sixteen lanes pay where levels are linear. The sub-blocks of a K-format fill none, and a table gains 7 %.
        if (simd.register_lanes == 16 and !@hasDecl(F, "levels")) continue;
        const encode = quantize.of(F) orelse continue;
        all = all ++ [_]abi.Encoder{.{ .id = F.id, .quantize = encode, .calibrate = calibrate.of(F) }};
    }
    break :blk all;
};

const table: abi.Encoders = .{ .list = list.ptr, .len = list.len };

comptime {
    @export(&table, .{ .name = "lightgpt_encoders_" ++ options.name, .visibility = .hidden });
}
