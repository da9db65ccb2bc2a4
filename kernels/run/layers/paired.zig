//! The mixer `paired`: attention and Mamba-2 read the same input, and what they give is added. The two are those of `attention.zig`
//! and `mamba2.zig`; Mamba-2's projections are made first, before attention takes the input's place.

const std = @import("std");
const level_table = @import("../../level/level_table.zig");
const Half = @import("../pass.zig").Half;
const Layout = @import("../../host/memory.zig").Layout;
const Model = @import("../../model/model.zig").Model;
const Options = @import("../options.zig").Options;
const Paired = @import("../../model/layer.zig").Paired;
const Pass = @import("../pass.zig").Pass;
const attention = @import("attention.zig");
const mamba2 = @import("mamba2.zig");
const recurrent = @import("recurrent.zig");
const row = @import("../pass.zig").row;

pub const half: Half = .{ .norm = .attn_norm, .norm_bias = .attn_norm_bias, .inputs = attention.half.inputs ++ mamba2.half.inputs, .bias = .attn_output_bias, .post_norm = .post_attention_norm };
/// Products with a number that a layer makes: those of attention.
pub const products = attention.products;

pub const Scratch = struct {
    /// What Mamba-2 gave, of each token.
    out: []f32,

    pub fn init(layout: *Layout, model: *const Model, options: Options) Layout.Error!Scratch {
        const any = for (model.layers) |layer| {
            if (layer.mixer == .paired) break true;
        } else false;
        const stride = level_table.wholeLanes(model.traits.embedding);
        return .{ .out = try layout.array(f32, if (any) @as(usize, options.batch_tokens) * stride else 0) };
    }
};

/// The memory of both, and its own.
pub const All = struct { own: *Scratch, attention: *attention.Scratch, recurrent: *recurrent.Scratch };

/// From the input of both to what is added to the stream, for all tokens.
pub fn run(pass: *Pass, scratch: All, own: Paired) void {
    const stride = pass.scratch.embedding_stride;
    std.debug.assert(pass.tokens * stride <= scratch.own.out.len);
    pass.multiplyUnnumbered(&mamba2.projections(pass, scratch.recurrent, own.mamba2));
    attention.run(pass, scratch.attention, own.attention);
    mamba2.goOnOverStep(pass, scratch.recurrent, own.mamba2);
    pass.multiplyUnnumbered(&.{.{ .matrix = pass.layer.matrix(.ssm_out), .out = scratch.own.out, .stride = stride }});
    pass.forTokens(Both{ .pass = pass, .out = scratch.own.out }, Both.add);
}

const Both = struct {
    pass: *const Pass,
    out: []f32,

    fn add(both: Both, token: u32) void {
        const pass = both.pass;
        const y = pass.result(token);
        pass.level.add(y, row(both.out, pass.scratch.embedding_stride, token), pass.model.traits.embedding, y);
    }
};
