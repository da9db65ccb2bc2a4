//! What is made of the rows of whole texts, after the last layer: the last norm, then of each text one row, the mean of all, the
//! first or the last; then either the two matrices that some models have behind it, a cut and the length 1, or a rank head, whose
//! scores say how well a document answers a query. A text's result depends on its own rows alone (docs/design/contract.md,
//! "Texts").

const std = @import("std");
const assert = std.debug.assert;
const level_table = @import("../level/level_table.zig");
const pool = @import("../threads/pool.zig");
const allFinite = @import("finite.zig").allFinite;
const Integers = @import("scratch.zig").Integers;
const Model = @import("../model/model.zig").Model;
const Pass = @import("pass.zig").Pass;
const Pooled = @import("pooled.zig").Pooled;
const Role = @import("../model/weights.zig").Role;
const row = @import("pass.zig").row;

/// From the stream after the last layer to what is handed out.
pub fn run(pass: *Pass, pooled: *Pooled) void {
    const kind = pass.work.batch.pooling.kind;
    const globals = &pass.model.globals;
    assert(kind != .none and pass.work.batch.tokens == pass.tokens);
    if (globals.vector(.output_norm) != null) pass.forTokens(@as(*const Pass, pass), normToken);
    var work: Work = .{ .pass = pass, .pooled = pooled };
    if (kind == .rows) return work.forTexts(checkRows);
    work.forTexts(gather);
    if (pass.work.batch.pooling.ranks) {
        if (globals.matrix(.cls) != null) work.multiply(.{ .role = .cls, .bias = .cls_bias, .norm = .cls_norm, .activation = pass.model.traits.rank_activation });
        if (globals.matrix(.cls_output) != null) work.multiply(.{ .role = .cls_output, .bias = .cls_output_bias });
    } else if (globals.matrix(.dense_2) != null) {
        work.multiply(.{ .role = .dense_2 });
        work.multiply(.{ .role = .dense_3 });
    }
    work.forTexts(finish);
}

fn normToken(pass: *const Pass, token: u32) void {
    const globals = &pass.model.globals;
    pass.norm(token, globals.vector(.output_norm).?, globals.vector(.output_norm_bias), pass.stream(token));
}

/// A matrix, what is added to its product, and what follows.
const Stage = struct {
    role: Role,
    bias: ?Role = null,
    activation: ?@TypeOf(@as(Model, undefined).traits.rank_activation) = null,
    norm: ?Role = null,
};

const Work = struct {
    pass: *Pass,
    pooled: *Pooled,
    stage: Stage = undefined,

    fn forTexts(work: *Work, comptime phase: fn (*const Work, u32) void) void {
        const Claims = struct {
            fn claim(context: *anyopaque, item: u32, _: u32) void {
                phase(@ptrCast(@alignCast(context)), item);
            }
        };
        pool.parallel(work.pass.threads, work.pass.work.batch.count, work, Claims.claim);
    }

    fn embedding(work: *const Work) u32 {
        return work.pass.model.traits.embedding;
    }

    /// The stage over the rows of all texts, whose place what it makes takes.
    fn multiply(work: *Work, stage: Stage) void {
        const pass = work.pass;
        const pooled = work.pooled;
        const matrix = pass.model.globals.matrix(stage.role).?;
        assert(matrix.cols <= pooled.stride and matrix.rows <= pooled.stride);
        work.stage = stage;
        const shape: Integers.Shape = .{ .tokens = pass.work.batch.count, .cols = matrix.cols, .bits = pass.work.options.activation_bits };
        pass.input = .{ .activations = pooled.integers.activations(shape, pooled.rows, pooled.stride), .quantize = matrix.format.kind == .block };
        if (pass.input.quantize) work.forTexts(quantize);
        pass.multiplyPlain(&.{.{ .matrix = matrix, .out = pooled.made, .stride = pooled.stride }});
        std.mem.swap([]f32, &pooled.rows, &pooled.made);
        work.forTexts(finishStage);
    }

    fn rowOf(work: *const Work, text: u32) [*]f32 {
        return row(work.pooled.rows, work.pooled.stride, text);
    }

    fn fail(work: *const Work, text: u32) void {
        const sequence = &work.pass.sequences()[text];
        if (sequence.status == .ok) sequence.status = .non_finite;
    }
};

fn checkRows(work: *const Work, text: u32) void {
    const sequence = &work.pass.sequences()[text];
    for (0..sequence.tokens.len) |token| {
        if (!allFinite(work.pass.stream(@intCast(sequence.first + token))[0..work.embedding()])) work.fail(text);
    }
}

/// The row of a text.
fn gather(work: *const Work, text: u32) void {
    const pass = work.pass;
    const sequence = &pass.sequences()[text];
    const tokens: u32 = @intCast(sequence.tokens.len);
    assert(tokens > 0 and sequence.position == 0);
    const out = work.rowOf(text);
    const n = work.embedding();
    const at = switch (pass.work.batch.pooling.kind) {
        .first, .mean => sequence.first,
        .last => sequence.first + tokens - 1,
        .none, .rows => unreachable,
    };
    @memcpy(out[0..n], pass.stream(at)[0..n]);
    if (pass.work.batch.pooling.kind != .mean) return;
    for (1..tokens) |token| pass.level.add(out, pass.stream(sequence.first + @as(u32, @intCast(token))), n, out);
    pass.level.scale(out, 1 / @as(f32, @floatFromInt(tokens)), n, out);
}

fn quantize(work: *const Work, text: u32) void {
    const input = &work.pass.input.activations;
    if (work.pass.level.quantizeSpans(input, text, 0, input.cols / level_table.span) != 0) work.fail(text);
}

fn finishStage(work: *const Work, text: u32) void {
    const pass = work.pass;
    const globals = &pass.model.globals;
    const stage = work.stage;
    const n = globals.matrix(stage.role).?.rows;
    assert(n > 0 and n <= work.pooled.stride);
    const x = work.rowOf(text);
    if (if (stage.bias) |role| globals.vector(role) else null) |bias| pass.level.add(x, bias.ptr, n, x);
    if (stage.activation) |activation| switch (activation) {
        .tanh => pass.level.softcap(x, 1, n, x),
        .gelu_erf => pass.level.gated(.plain_gelu_erf, x, x, n, x),
    };
    if (if (stage.norm) |role| globals.vector(role) else null) |weight| pass.level.layerNorm(x, weight.ptr, null, pass.model.traits.epsilon, n, x);
}

/// The cut, and the length 1; of scores, probabilities where they are wanted.
fn finish(work: *const Work, text: u32) void {
    const pass = work.pass;
    const pooling = pass.work.batch.pooling;
    const x = work.rowOf(text);
    if (!pooling.ranks) {
        if (pooling.levels) pass.level.layerNorm(x, null, null, levels_epsilon, Pooled.widthOf(pass.model), x);
        // Zeros have no direction, and stay.
        if (pooling.normalises and !allZeros(x[0..pooling.width])) pass.level.unitNorm(x, 0, pooling.width);
    } else if (pass.model.traits.rank_softmax) {
        assert(pooling.width == 2);
        // Of two, a probability is the sigmoid of the difference.
        const difference = x[0] - x[1];
        x[0] = pass.level.sigmoid(difference);
        x[1] = pass.level.sigmoid(-difference);
    }
    if (!allFinite(x[0..pooling.width])) work.fail(text);
}

/// What nomic-embed was trained with.
const levels_epsilon = 1e-5;

fn allZeros(values: []const f32) bool {
    return for (values) |value| {
        if (value != 0) break false;
    } else true;
}
