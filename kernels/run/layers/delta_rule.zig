//! The mixer `delta_rule`: products for queries, keys and values, for z and for the gates; a short convolution of the first three;
//! then each head's matrix goes on over the tokens, and what it gives is normed and gated by z; the product of that. Its state is
//! the convolution's last inputs and the matrices.

const std = @import("std");
const assert = std.debug.assert;
const level_table = @import("../../level/level_table.zig");
const limits = @import("../../limits.zig");
const pool = @import("../../threads/pool.zig");
const recurrent = @import("recurrent.zig");
const DeltaRule = @import("../../model/layer.zig").DeltaRule;
const Half = @import("../pass.zig").Half;
const Part = @import("../part.zig").Part;
const Pass = @import("../pass.zig").Pass;
const Role = @import("../../model/weights.zig").Role;
const Run = recurrent.Run;
const Scratch = recurrent.Scratch;
const row = @import("../pass.zig").row;

pub const half: Half = .{ .norm = .attn_norm, .inputs = &.{ .ssm_in, .ssm_gate }, .bias = .attn_output_bias, .post_norm = .post_attention_norm };
/// Products that a layer makes.
pub const products = 2;

/// Less work than this (elements of matrices times tokens) is done before another thread has heard of it.
const shared_elements_min = 32 << 10;

/// Where the projections of a token lie in its row.
const Places = struct {
    z: u32,
    beta: u32,
    alpha: u32,
    /// Rows of all that is made group by group, which then go to their places.
    together: u32,
    end: u32,

    fn of(own: DeltaRule) Places {
        const z = level_table.wholeLanes(own.channels());
        const beta = z + level_table.wholeLanes(own.heads * own.size);
        // Both gates may be one matrix, whose rows lie together.
        const alpha = beta + level_table.wholeLanes(own.heads);
        const together = alpha + level_table.wholeLanes(own.heads);
        const rows = if (own.rows_together) own.channels() + own.heads * own.size else 0;
        return .{ .z = z, .beta = beta, .alpha = alpha, .together = together, .end = together + level_table.wholeLanes(rows) };
    }
};

/// Floats of a token's projections.
pub fn projectedFloats(own: DeltaRule) u32 {
    return Places.of(own).end;
}

/// From the input of the projections to what is added to the stream, for all tokens.
pub fn run(pass: *Pass, scratch: *const Scratch, own: DeltaRule) void {
    const layer = pass.layer;
    const places: Places = .of(own);
    assert(places.end + level_table.lanes <= scratch.stride and layer.matrix(.ssm_in).rows >= own.channels());
    const gates: []const Made = if (own.gates_together)
        &.{.{ .role = .ssm_ba, .place = places.beta }}
    else
        &.{ .{ .role = .ssm_beta, .place = places.beta }, .{ .role = .ssm_alpha, .place = places.alpha } };
    const rows: []const Made = if (own.rows_together)
        &.{.{ .role = .ssm_in, .place = places.together }}
    else
        &.{ .{ .role = .ssm_in, .place = 0 }, .{ .role = .ssm_gate, .place = places.z } };
    var parts: [4]Part = undefined;
    for ([_][]const Made{ rows, gates }, [_]usize{ 0, rows.len }) |list, first| for (list, parts[first..][0..list.len]) |made, *part| {
        part.* = .{ .matrix = layer.matrix(made.role), .out = scratch.rows[made.place..], .stride = scratch.stride };
    };
    pass.multiply(parts[0 .. rows.len + gates.len]);
    if (own.rows_together) pass.forTokens(Sorting{ .scratch = scratch, .own = own, .places = places }, Sorting.token);
    const out = layer.matrix(.ssm_out);
    pass.setInput(pass.tokens, out);
    goOn(pass, scratch, own, scratch.runsOfStep(pass));
    if (own.size % level_table.span != 0) pass.forTokens(@as(*const Pass, pass), Pass.quantizeInput);
    pass.multiply(&.{.{ .matrix = out, .out = pass.scratch.y, .stride = pass.scratch.embedding_stride }});
}

/// A matrix, and where in the row of a token what it makes goes.
const Made = struct { role: Role, place: u32 };

/// Queries, keys, values and z that are made group by group, on their way to where each of them has all groups.
const Sorting = struct {
    scratch: *const Scratch,
    own: DeltaRule,
    places: Places,

    fn token(sorting: Sorting, number: u32) void {
        const own = sorting.own;
        const to = row(sorting.scratch.rows, sorting.scratch.stride, number);
        const shared = own.heads / own.groups * own.size;
        var from = to + sorting.places.together;
        for (0..own.groups) |group| {
            const values = 2 * own.groups * own.size + group * shared;
            const targets = [_]usize{ group * own.size, (own.groups + group) * own.size, values, sorting.places.z + group * shared };
            for (targets, [_]usize{ own.size, own.size, shared, shared }) |target, floats| {
                @memcpy(to[target..][0..floats], from[0..floats]);
                from += floats;
            }
        }
    }
};

/// Lets states go on over the drafts that were chosen.
pub fn takeDrafts(pass: *Pass, scratch: *const Scratch, own: DeltaRule) void {
    goOn(pass, scratch, own, scratch.runsOfDrafts(pass));
}

fn goOn(pass: *const Pass, scratch: *const Scratch, own: DeltaRule, runs: []const Run) void {
    assert(own.heads % own.groups == 0 and own.size <= limits.state_size_max);
    var going: Going = .{ .pass = pass, .stride = scratch.stride, .own = own, .places = .of(own), .runs = runs };
    const work = pass.tokens * own.heads * own.size * own.size;
    const threads = if (work < shared_elements_min) 1 else pass.threads;
    recurrent.convolveAll(pass, scratch, runs, .{ .channels = own.channels(), .threads = threads });
    pool.parallel(threads, @as(u32, @intCast(runs.len)) * own.groups, &going, Going.group);
}

const Going = struct {
    pass: *const Pass,
    stride: u32,
    own: DeltaRule,
    places: Places,
    runs: []const Run,

    /// An item is one group of a run: a head of queries and keys, and the heads of values that use it.
    fn group(context: *anyopaque, number: u32, _: u32) void {
        const going: *const Going = @ptrCast(@alignCast(context));
        const own = going.own;
        const level = going.pass.level;
        const one = &going.runs[number / own.groups];
        assert(one.kept > 0 and one.kept <= one.tokens);
        const key = number % own.groups;
        const epsilon = going.pass.model.traits.epsilon;
        for (0..one.tokens) |token| {
            const projections = one.rows + token * going.stride;
            level.unitNorm(projections + key * own.size, epsilon, own.size);
            level.unitNorm(projections + (own.groups + key) * own.size, epsilon, own.size);
        }
        const shared = own.heads / own.groups;
        for (0..shared) |index| going.headOf(one, key, @intCast(index));
    }

    fn headOf(going: *const Going, one: *const Run, key: u32, index: u32) void {
        const own = going.own;
        const pass = going.pass;
        const shared = own.heads / own.groups;
        const head = if (own.heads_in_turn) key + index * own.groups else key * shared + index;
        assert(head < own.heads and index < shared);
        const beta, const alpha = if (own.gates_together)
            .{ going.places.beta + key * 2 * shared + index, going.places.beta + key * 2 * shared + shared + index }
        else
            .{ going.places.beta + head, going.places.alpha + head };
        var args: level_table.DeltaRule = .{
            .stride = going.stride,
            .tokens = one.tokens,
            .kept = one.kept,
            .size = own.size,
            .is_fresh = one.is_fresh,
            .q = one.rows + key * own.size,
            .k = one.rows + (own.groups + key) * own.size,
            .v = one.rows + (2 * own.groups + head) * own.size,
            .beta = one.rows + beta,
            .alpha = one.rows + alpha,
            .rate = pass.layer.vector(.ssm_a).?[head],
            .step_bias = pass.layer.vector(.ssm_dt_bias).?[head],
            .scale = 1 / @sqrt(@as(f32, @floatFromInt(own.size))),
            .state = pass.work.kv.piece(pass.index, own.taps - 1 + head, one.state),
            .out = null,
            .out_stride = pass.scratch.input_stride,
        };
        const first = one.first orelse {
            _ = pass.level.deltaRule(&args);
            return;
        };
        const column = head * own.size;
        args.out = row(pass.scratch.rows, pass.scratch.input_stride, first) + column;
        if (pass.level.deltaRule(&args) != 0) pass.fail(first);
        for (0..one.tokens) |token| going.finish(one, head, @intCast(token));
    }

    /// The norm and the gate of what a head gives for a token.
    fn finish(going: *const Going, one: *const Run, head: u32, token: u32) void {
        const pass = going.pass;
        const size = going.own.size;
        assert((head + 1) * size <= pass.input.activations.cols and token < one.tokens);
        const out = row(pass.scratch.rows, pass.scratch.input_stride, one.first.? + token) + head * size;
        const z = one.rows + token * going.stride + going.places.z + head * size;
        pass.level.rmsNorm(out, pass.layer.vector(.ssm_norm).?.ptr, pass.model.traits.epsilon, size, out);
        pass.level.gated(.silu, z, out, size, out);
        if (size % level_table.span != 0) return;
        const spans = size / level_table.span;
        pass.quantizeSpans(&pass.input, one.first.? + token, head * spans, (head + 1) * spans);
    }
};
