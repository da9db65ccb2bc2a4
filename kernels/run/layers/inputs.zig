//! Inputs that each layer gets beside the stream (per-layer embeddings): a row of floats for each token, the sum of an embedding
//! of its own, read from the file row by row, and a projection of the token's embedding. Behind the feed-forward, the layer adds
//! the norm of proj(gelu(inp_gate(x)) * inputs) to the stream. It keeps nothing.

const std = @import("std");
const assert = std.debug.assert;
const level_table = @import("../../level/level_table.zig");
const allFinite = @import("../finite.zig").allFinite;
const Half = @import("../pass.zig").Half;
const Layout = @import("../../host/memory.zig").Layout;
const Model = @import("../../model/model.zig").Model;
const Inputs = @import("../../model/model.zig").Inputs;
const Options = @import("../options.zig").Options;
const Pass = @import("../pass.zig").Pass;
const row = @import("../pass.zig").row;

pub const half: Half = .{ .norm = null, .inputs = &.{.inp_gate}, .bias = null, .post_norm = .post_norm };

pub const Scratch = struct {
    /// Floats of a layer, and between the rows of two tokens in each of the arrays.
    width: u32,
    stride: u32,
    gate_stride: u32,
    /// Of all layers: what each token's layers get, and the projection that becomes a part of it.
    inputs: []f32,
    projected: []f32,
    gate: []f32,

    pub fn init(layout: *Layout, model: *const Model, options: Options) Layout.Error!Scratch {
        const width = model.traits.layer_inputs;
        const tokens: usize = if (width == 0) 0 else options.batch_tokens;
        const stride = level_table.wholeLanes(width * model.traits.layers);
        const gate_stride = level_table.wholeLanes(width);
        return .{
            .width = width,
            .stride = stride,
            .gate_stride = gate_stride,
            .inputs = try layout.array(f32, tokens * stride),
            .projected = try layout.array(f32, tokens * stride),
            .gate = try layout.array(f32, tokens * gate_stride),
        };
    }
};

/// Makes the inputs of all layers from the tokens and the stream, before the first layer.
pub fn prepare(pass: *Pass, scratch: *const Scratch, own: Inputs) void {
    assert(own.embeddings.cols == pass.model.traits.layers * scratch.width);
    const making: Making = .{ .pass = pass, .scratch = scratch, .own = own };
    pass.setInput(pass.tokens, own.projection);
    pass.forTokens(&making, Making.readRow);
    pass.multiplyUnnumbered(&.{.{ .matrix = own.projection, .out = scratch.projected, .stride = scratch.stride }});
    pass.forTokens(&making, Making.join);
}

const Making = struct {
    pass: *Pass,
    scratch: *const Scratch,
    own: Inputs,

    /// The token's own embedding, and the stream as the input of the projection.
    fn readRow(making: *const Making, token: u32) void {
        const pass = making.pass;
        const embedding = pass.model.traits.embedding;
        const sequence = pass.sequenceOf(token);
        const id = sequence.tokens[token - sequence.first];
        const inputs = row(making.scratch.inputs, making.scratch.stride, token);
        const count = making.own.embeddings.cols;
        assert(id < making.own.embeddings.rows and count <= making.scratch.stride);
        // The projection is not made yet: its place has room for the bytes of the row.
        const bytes = std.mem.sliceAsBytes(row(making.scratch.projected, making.scratch.stride, token)[0..making.scratch.stride]);
        if (making.own.embeddings.read(id, bytes, inputs)) {
            if (!allFinite(inputs[0..count])) pass.fail(token);
        } else |_| {
            pass.failAs(token, .io);
            @memset(inputs[0..count], 0);
        }
        @memcpy(row(pass.scratch.rows, pass.scratch.input_stride, token)[0..embedding], pass.stream(token)[0..embedding]);
        pass.quantizeInput(token);
    }

    /// (embedding * sqrt(width) + norm(projection / sqrt(embedding length))) / sqrt(2), layer by layer.
    fn join(making: *const Making, token: u32) void {
        const pass = making.pass;
        const level = pass.level;
        const width = making.scratch.width;
        const count = making.own.embeddings.cols;
        const inputs = row(making.scratch.inputs, making.scratch.stride, token);
        const projected = row(making.scratch.projected, making.scratch.stride, token);
        level.scale(inputs, @sqrt(@as(f32, @floatFromInt(width))), count, inputs);
        level.scale(projected, 1 / @sqrt(@as(f32, @floatFromInt(pass.model.traits.embedding))), count, projected);
        var begin: usize = 0;
        while (begin < count) : (begin += width) level.rmsNorm(projected + begin, making.own.norm.ptr, pass.model.traits.epsilon, width, projected + begin);
        level.add(inputs, projected, count, inputs);
        level.scale(inputs, std.math.sqrt1_2, count, inputs);
    }
};

/// From the input of `inp_gate` to what is added to the stream, for all tokens.
pub fn run(pass: *Pass, scratch: *const Scratch) void {
    const proj = pass.layer.matrix(.proj);
    assert(proj.cols == scratch.width);
    pass.multiplyUnnumbered(&.{.{ .matrix = pass.layer.matrix(.inp_gate), .out = scratch.gate, .stride = scratch.gate_stride }});
    pass.setInput(pass.tokens, proj);
    const gated: Gated = .{ .pass = pass, .scratch = scratch };
    pass.forTokens(&gated, Gated.token);
    pass.multiplyUnnumbered(&.{.{ .matrix = proj, .out = pass.scratch.y, .stride = pass.scratch.embedding_stride }});
}

const Gated = struct {
    pass: *const Pass,
    scratch: *const Scratch,

    fn token(gated: *const Gated, number: u32) void {
        const pass = gated.pass;
        const width = gated.scratch.width;
        assert((pass.index + 1) * width <= gated.scratch.stride);
        const inputs = row(gated.scratch.inputs, gated.scratch.stride, number) + pass.index * width;
        const gate = row(gated.scratch.gate, gated.scratch.gate_stride, number);
        pass.level.gated(pass.model.traits.activation, gate, inputs, width, row(pass.scratch.rows, pass.scratch.input_stride, number));
        pass.quantizeInput(number);
    }
};
