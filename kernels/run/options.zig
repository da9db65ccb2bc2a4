//! What an engine is opened with: how many pages, of what kind, and the largest step it takes. Scratch memory and the step
//! size themselves by it; every number has been checked.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const limits = @import("../limits.zig");
const Report = @import("../host/report.zig").Report;
const Words = @import("../host/words.zig").Words;
const Model = @import("../model/model.zig").Model;

const options_version = 1;

/// `ENGINE` in `ffi/abi.ts`.
pub const Options = struct {
    kv_type: level_table.KvType,
    page_size: u32,
    pages: u32,
    batch_tokens: u32,
    sequences: u32,
    threads: u32,
    activation_bits: level_table.ActivationBits,
    logit_rows: u32,

    pub fn read(bytes: []const u8, model: *const Model, report: *Report) (Words.Error || error{Refused})!Options {
        var words: Words = .{ .bytes = bytes };
        _ = try ranged(&words, report, "version of engine options", options_version, options_version);
        const options: Options = .{
            .kv_type = @enumFromInt(try ranged(&words, report, "KV type", 0, 2)),
            .page_size = try ranged(&words, report, "page size", 16, 64),
            .pages = try ranged(&words, report, "pages", 1, limits.pages_max),
            .batch_tokens = try ranged(&words, report, "tokens of a batch", 1, limits.batch_tokens_max),
            .sequences = try ranged(&words, report, "sequences of a batch", 1, limits.sequences_max),
            .threads = try ranged(&words, report, "threads", 1, limits.threads_max),
            .activation_bits = @enumFromInt(try ranged(&words, report, "activation bits", 8, 16)),
            .logit_rows = try ranged(&words, report, "rows of logits", 1, limits.batch_tokens_max),
        };
        const bits = @intFromEnum(options.activation_bits);
        if (!std.math.isPowerOfTwo(options.page_size) or !std.math.isPowerOfTwo(bits) or !words.atEnd()) {
            _ = report.fail(.invalid_argument, "engine options", "", .{}, "pages of 16, 32 or 64 positions, activations of 8 or 16 bits, 9 words", .{}, "{d}, {d}, {d} bytes", .{ options.page_size, bits, bytes.len });
            return error.Refused;
        }
        if (options.kv_type == .q8_0 and (model.traits.k_dim % 32 != 0 or model.traits.v_dim % 32 != 0)) {
            _ = report.fail(.unsupported, "KV type q8_0", "", .{}, "key and value lengths that are multiples of 32", .{}, "{d} and {d}", .{ model.traits.k_dim, model.traits.v_dim });
            return error.Refused;
        }
        return options;
    }

    fn ranged(words: *Words, report: *Report, name: []const u8, least: u32, most: u32) (Words.Error || error{Refused})!u32 {
        const value = try words.u();
        if (value >= least and value <= most) return value;
        _ = report.fail(.invalid_argument, name, "engine options", .{}, "{d} to {d}", .{ least, most }, "{d}", .{value});
        return error.Refused;
    }
};
