//! What distinguishes one model of the llama family from another, as data: sizes, and the traits that TypeScript's table
//! of architectures (`src/model/architectures/architectures.ts`) resolved. The graph asks these fields and never an architecture's name.
//! Every value is checked here again, although TypeScript has checked it: this is the native side's own line.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const limits = @import("../limits.zig");
const Report = @import("../host/report.zig").Report;
const Words = @import("../host/words.zig").Words;

/// The version of the description (`MODEL.version` in `ffi/abi.ts`).
pub const version = 1;

pub const Traits = struct {
    files: u32,
    tensors: u32,
    layers: u32,
    embedding: u32,
    vocabulary: u32,
    k_dim: u32,
    v_dim: u32,
    rope_dim: u32,
    rope_style: level_table.RopeStyle,
    activation: level_table.ActivationKind,
    epsilon: f32,
    embedding_scale: f32,
    attention_scale: f32,
    attention_softcap: f32,
    logit_softcap: f32,
    rope_magnitude: f32,
    rope_base: f64,
    rope_scale: f64,
    rope_local_base: f64,

    pub fn read(words: *Words, report: *Report) (Words.Error || Failure)!Traits {
        const found = try words.u();
        if (found != version) return refuse(report, "model description", "version", version, version, found);
        const files = try ranged(words, report, "files", 1, limits.files_max);
        const tensors = try ranged(words, report, "tensors", 1, limits.tensors_max);
        const traits: Traits = .{
            .files = files,
            .tensors = tensors,
            .layers = try ranged(words, report, "layers", 1, limits.layers_max),
            .embedding = try ranged(words, report, "embedding length", 1, limits.embedding_max),
            .vocabulary = try ranged(words, report, "vocabulary", 1, limits.vocabulary_max),
            .k_dim = try ranged(words, report, "key length", 1, limits.head_dim_max),
            .v_dim = try ranged(words, report, "value length", 1, limits.head_dim_max),
            .rope_dim = try ranged(words, report, "rope dimensions", 0, limits.head_dim_max),
            .rope_style = @enumFromInt(try ranged(words, report, "rope style", 0, 2)),
            .activation = @enumFromInt(try ranged(words, report, "activation", 0, 1)),
            .epsilon = try finite(words, report, "epsilon"),
            .embedding_scale = try finite(words, report, "embedding scale"),
            .attention_scale = try finite(words, report, "attention scale"),
            .attention_softcap = try finite(words, report, "attention soft cap"),
            .logit_softcap = try finite(words, report, "logit soft cap"),
            .rope_magnitude = try finite(words, report, "rope magnitude"),
            .rope_base = blk: {
                _ = try words.u(); // reserved
                break :blk try finiteDouble(words, report, "rope base");
            },
            .rope_scale = try finiteDouble(words, report, "rope scale"),
            .rope_local_base = try finiteDouble(words, report, "local rope base"),
        };
        if (!(traits.epsilon > 0)) return refuseText(report, "epsilon", "a number above 0");
        if (!(traits.rope_base > 0) or !(traits.rope_local_base > 0)) return refuseText(report, "rope base", "a number above 0");
        if (traits.rope_dim > traits.k_dim or traits.rope_dim % 2 != 0)
            return refuse(report, "model description", "rope dimensions (even)", 0, traits.k_dim, traits.rope_dim);
        return traits;
    }
};

/// Traits that may differ from layer to layer.
pub const LayerTraits = struct {
    heads: u32,
    kv_heads: u32,
    feed_forward: u32,
    /// A key is visible when query position - key position < window; 0: all are.
    window: u32,
    rope_local: bool,

    pub fn read(words: *Words, report: *Report) (Words.Error || Failure)!LayerTraits {
        const traits: LayerTraits = .{
            .heads = try ranged(words, report, "heads", 1, limits.heads_max),
            .kv_heads = try ranged(words, report, "KV heads", 1, limits.heads_max),
            .feed_forward = try ranged(words, report, "feed-forward length", 1, limits.feed_forward_max),
            .window = try ranged(words, report, "window", 0, std.math.maxInt(i32)),
            .rope_local = try ranged(words, report, "local rope", 0, 1) == 1,
        };
        _ = try words.u(); // reserved
        if (traits.heads % traits.kv_heads != 0)
            return refuse(report, "model description", "heads, a multiple of the KV heads", traits.kv_heads, limits.heads_max, traits.heads);
        return traits;
    }
};

/// The report says why.
pub const Failure = error{Refused};

fn ranged(words: *Words, report: *Report, name: []const u8, least: u32, most: u32) (Words.Error || Failure)!u32 {
    const value = try words.u();
    if (value < least or value > most) return refuse(report, "model description", name, least, most, value);
    return value;
}

fn finite(words: *Words, report: *Report, name: []const u8) (Words.Error || Failure)!f32 {
    const value = try words.f();
    if (!std.math.isFinite(value)) return refuseText(report, name, "a finite number");
    return value;
}

fn finiteDouble(words: *Words, report: *Report, name: []const u8) (Words.Error || Failure)!f64 {
    const value = try words.double();
    if (!std.math.isFinite(value)) return refuseText(report, name, "a finite number");
    return value;
}

fn refuse(report: *Report, what: []const u8, name: []const u8, least: u32, most: u32, got: u32) Failure {
    _ = report.fail(.model_format, what, "{s}", .{name}, "{d} to {d}", .{ least, most }, "{d}", .{got});
    return error.Refused;
}

fn refuseText(report: *Report, name: []const u8, expected: []const u8) Failure {
    _ = report.fail(.model_format, "model description", "{s}", .{name}, "{s}", .{expected}, "", .{});
    return error.Refused;
}
