//! The root of an encoder object: what turns floats into blocks, for the processors from one level on. It is compiled for
//! small size: rounding is no part of a step. What a level leaves out, it has from the one below.

const options = @import("level_options");
const level_table = @import("level/level_table.zig");
const calibrate = @import("op/calibrate.zig");
const calibration_sums = @import("op/calibration_sums.zig");
const difference = @import("op/difference.zig");
const format = @import("formats/format.zig");
const formats = @import("formats/list.zig");
const quantize = @import("op/quantize.zig");
const isa = @import("level/isa.zig");

/// As `level_root.zig` has it: what would panic is undefined here, and tested for.
pub const panic = @import("std").debug.no_panic;

const list = blk: {
    var all: []const level_table.Encoder = &.{};
    for (formats.list) |F| {
        // Registers of sixteen lanes pay where levels are linear. The sub-blocks of a K-format fill none, and a table gains 7 %.
        if (isa.register_lanes == 16 and format.features(F).rounding != .linear) continue;
        if (isa.register_lanes != 4 and format.features(F).rare) continue;
        const encode = quantize.of(F) orelse continue;
        all = all ++ [_]level_table.Encoder{.{ .id = F.id, .quantize = encode, .calibrate = calibrate.of(F), .claim_values = if (format.features(F).rounding == .lattice) 1 << 10 else 1 << 16 }};
    }
    break :blk all;
};

const table: level_table.Encoders = .{
    .list = list.ptr,
    .len = list.len,
    .gram = calibration_sums.gram,
    .factorUpdate = calibration_sums.factorUpdate,
    .factorCorner = calibration_sums.factorCorner,
    .factorRows = calibration_sums.factorRows,
    .solve = calibration_sums.solve,
    .addSquares = difference.addSquares,
    .difference = difference.measure,
};

comptime {
    @export(&table, .{ .name = "lightgpt_encoders_" ++ options.name, .visibility = .hidden });
}
