//! The feed-forward `beside`: a dense part and experts, which read the same stream through norms of their own; y is the sum of
//! norm(dense) and norm(experts). The router reads the stream through a third norm, whose weight is a scale of its input. The
//! two parts are those of `dense.zig` and `experts.zig`. It keeps nothing.

const std = @import("std");
const assert = std.debug.assert;
const level_table = @import("../../level/level_table.zig");
const Beside = @import("../../model/layer.zig").Beside;
const Half = @import("../pass.zig").Half;
const Layout = @import("../../host/memory.zig").Layout;
const Model = @import("../../model/model.zig").Model;
const Options = @import("../options.zig").Options;
const Pass = @import("../pass.zig").Pass;
const Role = @import("../../model/weights.zig").Role;
const dense = @import("dense.zig");
const experts = @import("experts.zig");
const row = @import("../pass.zig").row;

pub const half: Half = .{ .norm = .ffn_norm, .inputs = &.{ .ffn_gate, .ffn_up }, .bias = null, .post_norm = .post_ffw_norm };
/// How the experts read the stream.
const experts_half: Half = .{ .norm = .pre_ffw_norm_2, .inputs = &.{ .ffn_gate_exps, .ffn_up_exps }, .bias = null, .post_norm = .post_ffw_norm_2 };
/// Products with a number that a layer makes: those of the dense part.
pub const products = dense.products;

pub const Scratch = struct {
    /// What the dense part gave, of each token.
    dense_out: []f32,
    stride: u32,

    pub fn init(layout: *Layout, model: *const Model, options: Options) Layout.Error!Scratch {
        const any = for (model.layers) |layer| {
            if (layer.feed_forward == .beside) break true;
        } else false;
        const stride = level_table.wholeLanes(model.traits.embedding);
        const tokens: usize = if (any) options.batch_tokens else 0;
        return .{ .stride = stride, .dense_out = try layout.array(f32, tokens * stride) };
    }
};

/// The memory of both parts, and its own.
pub const All = struct { own: *Scratch, dense: *dense.Scratch, experts: *experts.Scratch };

/// From the input of gate and up of the dense part to what is added to the stream, for all tokens.
pub fn run(pass: *Pass, scratch: All, own: Beside) void {
    const both: Both = .{ .pass = pass, .scratch = scratch.own };
    dense.run(pass, scratch.dense, own.dense);
    pass.setInput(pass.tokens, pass.layer.matrix(.ffn_gate_inp));
    pass.forTokens(&both, Both.readForRouter);
    pass.multiplyUnnumbered(&.{experts.routerPart(pass, scratch.experts)});
    pass.readStream(.{ .layer = pass.layer, .half = experts_half });
    pass.forTokens(&both, Both.readForExperts);
    experts.runScored(pass, scratch.experts, own.experts);
    pass.forTokens(&both, Both.join);
}

const Both = struct {
    pass: *const Pass,
    scratch: *Scratch,

    /// Puts what the dense part gave aside; then rms(x) / sqrt(embedding) times the scale, as the router's input.
    fn readForRouter(both: *const Both, token: u32) void {
        const pass = both.pass;
        const embedding = pass.model.traits.embedding;
        assert(embedding <= both.scratch.stride);
        both.norm(pass.result(token), .post_ffw_norm_1, row(both.scratch.dense_out, both.scratch.stride, token));
        const input = row(pass.scratch.rows, pass.scratch.input_stride, token);
        both.norm(pass.stream(token), .ffn_gate_inp_scale, input);
        pass.level.scale(input, 1 / @sqrt(@as(f32, @floatFromInt(embedding))), embedding, input);
        pass.quantizeInput(token);
    }

    fn readForExperts(both: *const Both, token: u32) void {
        both.pass.normToInput(.{ .layer = both.pass.layer, .half = experts_half }, token);
    }

    fn join(both: *const Both, token: u32) void {
        const pass = both.pass;
        const y = pass.result(token);
        both.norm(y, .post_ffw_norm_2, y);
        pass.level.add(row(both.scratch.dense_out, both.scratch.stride, token), y, pass.model.traits.embedding, y);
    }

    fn norm(both: *const Both, x: [*]const f32, role: Role, out: [*]f32) void {
        const traits = &both.pass.model.traits;
        const weight = both.pass.layer.vector(role).?;
        assert(weight.len == traits.embedding);
        both.pass.level.rmsNorm(x, weight.ptr, traits.epsilon, traits.embedding, out);
    }
};
