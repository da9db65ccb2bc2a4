//! The root of an object of the matrix unit: products of many tokens for every block format, beside those of the level below,
//! which has whatever this one has not. With the features of AMX it is the level `amx`; for tests it is compiled without them
//! too, and emulates them.

const std = @import("std");
const options = @import("level_options");
const isa = @import("level/isa.zig");
const level_table = @import("level/level_table.zig");
const formats = @import("formats/list.zig");
const matmul = @import("op/matmul/unit_matrix.zig").matmul;

/// As `level_root.zig` has it: what would panic is undefined here, and tested for.
pub const panic = @import("std").debug.no_panic;

/// The level whose layout of weights this object is compiled for, and whose kernels multiply fewer tokens.
const below = @extern(*const level_table.Level, .{ .name = "lightgpt_level_" ++ options.below, .visibility = .hidden });

/// Formats that vectors multiply as fast or faster, measured with `zig build cores` on Emerald Rapids: a minimum under integers
/// costs the matrix unit what it gains (Q4_K, 256 tokens: 1.03 and 1.06 of the vectors' rate). Tests emulate these too.
const slower = [_][]const u8{ "Q2_K", "Q4_K", "Q5_K", "NVFP4" };

fn pays(comptime F: type) bool {
    for (slower) |name| if (std.mem.eql(u8, name, F.name)) return false;
    return F.kind == .block;
}

const list: [formats.list.len]?level_table.Products.Product = blk: {
    var all: [formats.list.len]?level_table.Products.Product = undefined;
    @setEvalBranchQuota(20_000);
    for (&all, formats.list, 0..) |*of, F, index| of.* = if (pays(F) or (F.kind == .block and !isa.has_amx)) Of(F, index).multiply else null;
    break :blk all;
};

fn Of(comptime F: type, comptime index: usize) type {
    return struct {
        // The emulation, which is slow, is tried with few.
        const tokens_min = if (isa.has_amx) level_table.matrix_tokens_min else 16;

        fn multiply(args: *const level_table.Matmul, begin: u32, end: u32, next: ?[*]const u8) callconv(.c) void {
            if (args.activations.tokens < tokens_min) return below.formats[index].matmul(args, begin, end, next);
            matmul(F)(args, begin, .{ .end = end, .next = next });
        }
    };
}

const table: level_table.Products = .{ .name = options.name, .list = &list, .len = list.len };

comptime {
    @export(&table, .{ .name = "lightgpt_products_" ++ options.name, .visibility = .hidden });
}
