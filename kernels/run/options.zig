//! What an engine is opened with: how many pages, of what kind, and the largest step it takes. Scratch memory and the step
//! size themselves by it; every number has been checked.

const std = @import("std");
const layouts = @import("../wire.zig").layouts;
const level_table = @import("../level/level_table.zig");
const Report = @import("../host/report.zig").Report;
const Words = @import("../host/words.zig").Words;
const Model = @import("../model/model.zig").Model;

/// The engine options of `wire.zig`, checked.
pub const Options = struct {
    kv_type: level_table.KvType,
    page_size: u32,
    pages: u32,
    batch_tokens: u32,
    sequences: u32,
    threads: u32,
    activation_bits: level_table.ActivationBits,
    logit_rows: u32,
    /// Whether keys and values stay for later steps.
    keeps: bool,

    pub fn read(bytes: []const u8, model: *const Model, report: *Report) Words.Error!Options {
        const given = try Words.whole(bytes, layouts.EngineOptions, report);
        const bits = std.enums.fromInt(level_table.ActivationBits, given.activation_bits);
        if (!std.math.isPowerOfTwo(given.page_size) or bits == null) {
            _ = report.fail(.invalid_argument, "engine options", "", "pages of 16, 32 or 64 positions, activations of 8 or 16 bits", .{ "{d}, {d}", .{ given.page_size, given.activation_bits } });
            return error.Refused;
        }
        if (given.kv_type == .q8_0) for (model.layers) |*layer| {
            const k_dim, const v_dim = switch (layer.keeps().positions) {
                .paged => |paged| .{ paged.k_dim, paged.v_dim },
                .none => continue,
            };
            if (k_dim % 32 == 0 and v_dim % 32 == 0) continue;
            _ = report.fail(.unsupported, "KV type q8_0", "", "key and value lengths that are multiples of 32", .{ "{d} and {d}", .{ k_dim, v_dim } });
            return error.Refused;
        };
        return .{
            .kv_type = given.kv_type,
            .page_size = given.page_size,
            .pages = given.pages,
            .batch_tokens = given.batch_tokens,
            .sequences = given.sequences,
            .threads = given.threads,
            .activation_bits = bits.?,
            .logit_rows = given.logit_rows,
            .keeps = given.keeps,
        };
    }
};
