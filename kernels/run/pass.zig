//! What the phases of a step share: the stream of each token, the input of the next product, products on all threads. A
//! layer is a row of phases; inside a phase threads claim items (groups of rows, tokens, heads) that write disjoint memory,
//! so the order of claims changes nothing. The kinds of layers (`layers/`) are written with it, `step.zig` runs them.

const std = @import("std");
const assert = std.debug.assert;
const level_table = @import("../level/level_table.zig");
const dispatch = @import("../host/dispatch.zig");
const pool = @import("../threads/pool.zig");
const weights = @import("../model/weights.zig");
const Layer = @import("../model/layer.zig").Layer;
const Model = @import("../model/model.zig").Model;
const Norms = @import("../wire.zig").choices.Norms;
const Part = @import("part.zig").Part;
const Product = @import("product.zig").Product;
const Role = weights.Role;
const Rows = @import("adapting.zig").Rows;
const Scratch = @import("scratch.zig").Scratch;
const Sequence = @import("batch.zig").Sequence;
const Status = @import("../status.zig").Status;
const Workspace = @import("workspace.zig").Workspace;

/// Less work for each token than this (floats) is not shared out: threads would wait longer for the counter of claims.
const claim_floats_min = 2048;

/// One half of a layer, seen from the stream: it reads the stream through a norm, and what it leaves in `Scratch.y` is added to
/// the stream, after a bias and a norm where the layer has them.
pub const Half = struct {
    norm: ?Role,
    norm_bias: ?Role = null,
    /// The matrices that read the normed stream, where the layer has them.
    inputs: []const Role,
    bias: ?Role,
    post_norm: Role,
    /// Norms of the stream, once the half is added to it; with the second, the half's own sum is normed and added once more.
    stream_norms: []const StreamNorm = &.{},
};

/// A norm of the stream, where the layer has it.
pub const StreamNorm = struct { weight: Role, bias: Role };

/// How both halves read the stream where they are parallel.
const parallel_half: Half = .{ .norm = .attn_norm, .norm_bias = .attn_norm_bias, .inputs = &.{}, .bias = null, .post_norm = .post_attention_norm };

/// A half of a layer that comes next.
pub const Next = struct { layer: *const Layer, half: Half };

/// The input of a product, and whether any of its matrices reads integers.
pub const Input = struct { activations: level_table.Activations, quantize: bool };

pub const Pass = struct {
    work: *Workspace,
    model: *const Model,
    scratch: *Scratch,
    level: *const level_table.Level,
    threads: u32,
    tokens: u32,
    /// The layer at work.
    index: u32 = 0,
    layer: *const Layer,
    /// Of the next product.
    input: Input = undefined,
    product: Product = undefined,
    /// What the rows of its input are.
    rows: Rows = .tokens,
    /// Products made so far in this step.
    products: u32 = 0,

    pub fn init(work: *Workspace) Pass {
        const most = work.options.threads;
        const batch = &work.batch;
        assert(batch.count > 0 and batch.tokens <= work.options.batch_tokens);
        return .{
            .work = work,
            .model = work.model,
            .scratch = &work.scratch,
            .level = dispatch.level(),
            .threads = pool.ensure(if (batch.threads == 0) most else @min(batch.threads, most)),
            .tokens = batch.tokens,
            .layer = &work.model.layers[0],
        };
    }

    pub fn sequences(pass: *const Pass) []Sequence {
        return pass.work.batch.active();
    }

    pub fn sequenceOf(pass: *const Pass, token: u32) *Sequence {
        return &pass.work.batch.sequences[pass.scratch.token_sequence[token]];
    }

    /// The sequence of a token met a value that is not finite. Several threads may say so at once: they all store the same.
    pub fn fail(pass: *const Pass, token: u32) void {
        pass.failAs(token, .non_finite);
    }

    pub fn failAs(pass: *const Pass, token: u32, status: Status) void {
        @atomicStore(Status, &pass.sequenceOf(token).status, status, .monotonic);
    }

    // --- tokens -----------------------------------------------------------------------------------------------------

    /// Runs `phase` for each token, on all threads.
    pub fn forTokens(pass: *Pass, context: anytype, comptime phase: fn (@TypeOf(context), token: u32) void) void {
        const Claims = struct {
            context: @TypeOf(context),
            tokens: u32,
            a_claim: u32,

            fn run(raw: *anyopaque, item: u32, _: u32) void {
                const claims: *const @This() = @ptrCast(@alignCast(raw));
                const begin = item * claims.a_claim;
                for (begin..@min(begin + claims.a_claim, claims.tokens)) |token| phase(claims.context, @intCast(token));
            }
        };
        const a_claim = @max(1, @min(claim_floats_min / pass.model.traits.embedding, pass.tokens / pass.threads));
        assert(a_claim > 0 and pass.tokens > 0);
        var claims: Claims = .{ .context = context, .tokens = pass.tokens, .a_claim = a_claim };
        pool.parallel(pass.threads, std.math.divCeil(u32, pass.tokens, a_claim) catch unreachable, &claims, Claims.run);
    }

    /// The stream of a token.
    pub fn stream(pass: *const Pass, token: u32) [*]f32 {
        return row(pass.scratch.x, pass.scratch.embedding_stride, token);
    }

    /// What a token's half of a layer gives.
    pub fn result(pass: *const Pass, token: u32) [*]f32 {
        return row(pass.scratch.y, pass.scratch.embedding_stride, token);
    }

    /// Prepares the input of a half: the stream of all tokens.
    pub fn readStream(pass: *Pass, next: Next) void {
        pass.input = .{ .activations = pass.scratch.activations(pass.tokens, pass.model.traits.embedding, pass.work.options.activation_bits), .quantize = false };
        for (next.half.inputs) |role| if (next.layer.has(role)) {
            pass.input.quantize = pass.input.quantize or next.layer.matrix(role).format.kind == .block;
        };
    }

    /// Prepares the input of one matrix, `rows` of it.
    pub fn setInput(pass: *Pass, rows: u32, matrix: weights.Matrix) void {
        pass.input = .{ .activations = pass.scratch.activations(rows, matrix.cols, pass.work.options.activation_bits), .quantize = matrix.format.kind == .block };
    }

    /// Ends a half: what it gave is added to the stream, which the next one reads.
    pub fn add(pass: *Pass, done: Half, next: ?Next) void {
        const Adding = struct {
            pass: *Pass,
            done: Half,
            next: ?Next,
            ends_layer: bool,
            holds: bool,

            fn token(adding: @This(), number: u32) void {
                if (adding.holds) adding.pass.hold(adding.done, number) else adding.pass.addToStream(adding.done, number);
                if (adding.ends_layer) adding.pass.scaleStream(number);
                if (adding.next) |after| adding.pass.normToInput(after, number);
            }
        };
        if (next) |after| pass.readStream(after);
        const ends_layer = if (next) |after| after.layer != pass.layer else true;
        pass.forTokens(Adding{ .pass = pass, .done = done, .next = next, .ends_layer = ends_layer, .holds = pass.model.traits.parallel and !ends_layer }, Adding.token);
    }

    /// Keeps what the mixer gave until the feed-forward part, which reads the same stream, is added too.
    fn hold(pass: *const Pass, done: Half, token: u32) void {
        const y = pass.result(token);
        if (done.bias) |bias| pass.addBias(y, bias);
        @memcpy(pass.held(token)[0..pass.model.traits.embedding], y[0..pass.model.traits.embedding]);
    }

    fn held(pass: *const Pass, token: u32) [*]f32 {
        return row(pass.scratch.held, pass.scratch.embedding_stride, token);
    }

    fn addToStream(pass: *const Pass, done: Half, token: u32) void {
        const embedding = pass.model.traits.embedding;
        const x = pass.stream(token);
        const y = pass.result(token);
        if (done.bias) |bias| pass.addBias(y, bias);
        if (pass.layer.vector(done.post_norm)) |weight| pass.level.rmsNorm(y, weight.ptr, pass.model.traits.epsilon, embedding, y);
        if (pass.model.traits.residual_scale != 1) pass.level.scale(y, pass.model.traits.residual_scale, embedding, y);
        if (pass.normsStream(done)) return pass.addAndNorm(done, x, y);
        pass.level.add(x, y, embedding, x);
        if (pass.model.traits.parallel) pass.level.add(x, pass.held(token), embedding, x);
    }

    fn normsStream(pass: *const Pass, done: Half) bool {
        return done.stream_norms.len > 0 and pass.layer.has(done.stream_norms[0].weight);
    }

    /// x becomes norm(y + x); where there is a second norm, norm(norm(y + x) + x) by both.
    fn addAndNorm(pass: *const Pass, done: Half, x: [*]f32, y: [*]f32) void {
        const embedding = pass.model.traits.embedding;
        assert(!pass.model.traits.parallel);
        for (done.stream_norms) |own| {
            const weight = pass.layer.vector(own.weight) orelse break;
            pass.level.add(y, x, embedding, y);
            pass.normRow(y, weight, pass.layer.vector(own.bias), pass.model.traits.norms, y);
        }
        @memcpy(x[0..embedding], y[0..embedding]);
    }

    /// The stream of a token, normed for the whole model's norms.
    pub fn norm(pass: *const Pass, token: u32, weight: []const f32, bias: ?[]const f32, out: [*]f32) void {
        pass.normRow(pass.stream(token), weight, bias, pass.model.traits.norms, out);
    }

    /// A row of the stream's length, normed.
    pub fn normRow(pass: *const Pass, x: [*]const f32, weight: []const f32, bias: ?[]const f32, norms: Norms, out: [*]f32) void {
        const traits = &pass.model.traits;
        assert(weight.len == traits.embedding);
        switch (norms) {
            .root_mean_square => pass.level.rmsNorm(x, weight.ptr, traits.epsilon, traits.embedding, out),
            .deviation => pass.level.layerNorm(x, weight.ptr, if (bias) |values| values.ptr else null, traits.epsilon, traits.embedding, out),
        }
    }

    /// What some layers end with.
    fn scaleStream(pass: *const Pass, token: u32) void {
        const factor = pass.layer.vector(.layer_output_scale) orelse return;
        pass.level.scale(pass.stream(token), factor[0], pass.model.traits.embedding, pass.stream(token));
    }

    /// The stream, normed where the half has a norm, as its input; the thread that makes it quantizes it too, while it is in the
    /// cache.
    pub fn normToInput(pass: *const Pass, next: Next, token: u32) void {
        const embedding = pass.model.traits.embedding;
        const input = row(pass.scratch.rows, pass.scratch.input_stride, token);
        // Both halves of a layer whose halves are parallel read through the mixer's norm.
        const half = if (pass.model.traits.parallel) parallel_half else next.half;
        if (if (half.norm) |role| next.layer.vector(role) else null) |weight| {
            pass.norm(token, weight, if (half.norm_bias) |role| next.layer.vector(role) else null, input);
        } else @memcpy(input[0..embedding], pass.stream(token)[0..embedding]);
        pass.quantizeInput(token);
    }

    pub fn quantizeInput(pass: *const Pass, token: u32) void {
        pass.quantizeSpans(&pass.input, token, 0, pass.input.activations.cols / level_table.span);
    }

    pub fn quantizeSpans(pass: *const Pass, input: *const Input, token: u32, begin: u32, end: u32) void {
        if (!input.quantize) return;
        if (pass.level.quantizeSpans(&input.activations, token, begin, end) != 0) pass.fail(token);
    }

    pub fn addBias(pass: *const Pass, values: [*]f32, role: Role) void {
        const bias = pass.layer.vector(role) orelse return;
        pass.level.add(values, bias.ptr, @intCast(bias.len), values);
    }

    // --- products ---------------------------------------------------------------------------------------------------

    /// Matrices of one input.
    pub fn multiply(pass: *Pass, parts: []const Part) void {
        pass.multiplyWanted(parts, null);
    }

    /// One matrix, or more where all rows are asked for; else those whose bits are set, and the others of their groups.
    pub fn multiplyWanted(pass: *Pass, parts: []const Part, wanted: ?[*]const u32) void {
        pass.setProduct(parts);
        pass.product.wanted = wanted;
        pool.parallel(pass.product.threads, pass.product.shareRow(), pass, multiplyClaim);
    }

    /// The same for a product that has no number: what calibration knows are four a layer, and the logits'.
    pub fn multiplyUnnumbered(pass: *Pass, parts: []const Part) void {
        pass.setUnnumbered(parts);
        pool.parallel(pass.product.threads, pass.product.shareRow(), pass, multiplyClaim);
    }

    pub fn setProduct(pass: *Pass, parts: []const Part) void {
        const skipped = if (pass.work.capture) |*capture| pass.products >= capture.made else false;
        pass.countProduct(&pass.input.activations);
        pass.setUnnumbered(parts);
        pass.product.skipped = skipped;
    }

    /// A product that no adapter adds to, and that is no layer's.
    pub fn multiplyPlain(pass: *Pass, parts: []const Part) void {
        assert(parts.len > 0 and pass.input.activations.tokens > 0);
        pass.product = .init(parts, &pass.input.activations, pass.threads);
        pool.parallel(pass.product.threads, pass.product.shareRow(), pass, multiplyClaim);
    }

    fn setUnnumbered(pass: *Pass, parts: []const Part) void {
        assert(parts.len > 0 and pass.input.activations.tokens > 0);
        pass.product = .init(parts, &pass.input.activations, pass.threads);
        const adapting = &pass.work.adapting;
        if (adapting.begin(&pass.work.batch, pass.rows, parts, &pass.input.activations, pass.threads)) pass.product.adapting = adapting;
    }

    /// A product is about to be made of this input, which is kept where it was asked for.
    pub fn countProduct(pass: *Pass, input: ?*const level_table.Activations) void {
        if (pass.work.capture) |*capture| {
            if (input) |rows| capture.keep(pass.products, rows.*);
        }
        if (pass.work.sums) |*sums| {
            if (input) |own| sums.addAll(pass.products, .{ .first = own.rows, .stride = own.row_stride, .columns = own.cols, .count = own.tokens });
        }
        pass.products += 1;
    }

    fn multiplyClaim(context: *anyopaque, item: u32, _: u32) void {
        const pass: *const Pass = @ptrCast(@alignCast(context));
        pass.product.multiply(item);
    }
};

/// Row `token` of an array of rows.
pub fn row(values: []f32, stride: u32, token: u32) [*]f32 {
    const begin = @as(usize, token) * stride;
    assert(begin + stride <= values.len);
    return values[begin..].ptr;
}
