//! What distinguishes one model of the llama family from another, as data: sizes, and the traits that TypeScript's table
//! of architectures (`src/model/architectures/architectures.ts`) resolved. A step asks these fields and never an architecture's name.
//! Every value is checked here again, although TypeScript has checked it: this is the native side's own line.

const std = @import("std");
const layouts = @import("../wire.zig").layouts;
const limits = @import("../limits.zig");
const Report = @import("../host/report.zig").Report;
const Words = @import("../host/words.zig").Words;

pub const Traits = layouts.ModelHeader;
/// Traits that may differ from layer to layer.
pub const LayerTraits = layouts.ModelLayer;

pub fn readTraits(words: *Words, report: *Report) Words.Error!Traits {
    const traits = try words.record(Traits, report);
    if (!(traits.epsilon > 0)) return refuseText(report, "epsilon", "a number above 0");
    if (!(traits.rope_base > 0) or !(traits.rope_local_base > 0)) return refuseText(report, "rope base", "a number above 0");
    if (traits.rope_dim > traits.k_dim or traits.rope_dim % 2 != 0)
        return refuse(report, "rope dimensions (even)", 0, traits.k_dim, traits.rope_dim);
    return traits;
}

pub fn readLayer(words: *Words, report: *Report) Words.Error!LayerTraits {
    const traits = try words.record(LayerTraits, report);
    if (traits.heads % traits.kv_heads != 0)
        return refuse(report, "heads, a multiple of the KV heads", traits.kv_heads, limits.heads_max, traits.heads);
    return traits;
}

fn refuse(report: *Report, name: []const u8, least: u32, most: u32, got: u32) error{Refused} {
    _ = report.fail(.model_format, Traits.about, .{ "{s}", .{name} }, .{ "{d} to {d}", .{ least, most } }, .{ "{d}", .{got} });
    return error.Refused;
}

fn refuseText(report: *Report, name: []const u8, expected: []const u8) error{Refused} {
    _ = report.fail(.model_format, Traits.about, .{ "{s}", .{name} }, .{ "{s}", .{expected} }, "");
    return error.Refused;
}
