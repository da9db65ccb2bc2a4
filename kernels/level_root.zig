//! The root of a level object: `build.zig` compiles this file once for each CPU level and the object exports one table,
//! hidden inside the library. Nothing here allocates, fails or calls out: whatever it is given has been checked.

const std = @import("std");
const options = @import("level_options");
const level_table = @import("level/level_table.zig");
const matmul = @import("op/matmul/matmul.zig");
const added_rows = @import("op/matmul/added_rows.zig");
const activation = @import("op/activation.zig");
const activations = @import("op/activations.zig");
const attention = @import("op/attention.zig");
const convolution = @import("op/convolution.zig");
const delta_rule = @import("op/delta_rule.zig");
const kv = @import("op/kv.zig");
const mamba2 = @import("op/mamba2.zig");
const norm = @import("op/norm.zig");
const rope = @import("op/rope.zig");
const router = @import("op/router.zig");
const sample = @import("op/sample.zig");
const search = @import("op/search.zig");

/// A level is for one thread of pure arithmetic; what would panic is undefined in it, and tested for at the levels
/// compiled with safety (`zig build test`).
pub const panic = std.debug.no_panic;

const table: level_table.Level = .{
    .name = options.name,
    .formats = &matmul.tables,
    .formats_len = matmul.tables.len,
    .rmsNorm = norm.rmsNorm,
    .layerNorm = norm.layerNorm,
    .add = norm.add,
    .addScaled = norm.addScaled,
    .route = router.route,
    .sigmoid = router.sigmoid,
    .scale = norm.scale,
    .addRows = added_rows.addRows,
    .softcap = activation.softcap,
    .gated = activation.gated,
    .quantizeSpans = activations.quantizeSpans,
    .ropeFrequencies = rope.ropeFrequencies,
    .ropeAngles = rope.ropeAngles,
    .alibiSlopes = rope.alibiSlopes,
    .temperature = rope.temperature,
    .rope = rope.rope,
    .kvWrite = kv.kvWrite,
    .attention = attention.attention,
    .attentionBlocks = attention.attentionBlocks,
    .attentionMerge = attention.attentionMerge,
    .convolve = convolution.convolve,
    .unitNorm = delta_rule.unitNorm,
    .deltaRule = delta_rule.deltaRule,
    .mamba2 = mamba2.mamba2,
    .gateBySigmoid = activation.gateBySigmoid,
    .score = search.score,
    .sample = sample.sample,
};

comptime {
    @export(&table, .{ .name = "lightgpt_level_" ++ options.name, .visibility = .hidden });
}
