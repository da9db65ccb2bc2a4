//! The mixer `mamba2`: products for the gate z, for what goes through a short convolution (x, b, c) and for time steps; then each
//! head's states go on over the tokens; what they give is gated by z and normed by group; the product of that. Its state is the
//! convolution's last inputs and the states of the heads.

const std = @import("std");
const assert = std.debug.assert;
const level_table = @import("../../level/level_table.zig");
const limits = @import("../../limits.zig");
const pool = @import("../../threads/pool.zig");
const recurrent = @import("recurrent.zig");
const Half = @import("../pass.zig").Half;
const Mamba2 = @import("../../model/layer.zig").Mamba2;
const Part = @import("../part.zig").Part;
const Pass = @import("../pass.zig").Pass;
const Run = recurrent.Run;
const Scratch = recurrent.Scratch;
const row = @import("../pass.zig").row;

pub const half: Half = .{ .norm = .attn_norm, .inputs = &.{ .ssm_in, .ssm_gate, .ssm_dt }, .bias = .attn_output_bias, .post_norm = .post_attention_norm };
/// Products that a layer makes.
pub const products = 2;

/// Less work than this (states times tokens) is done before another thread has heard of it.
const shared_states_min = 32 << 10;

/// Where the projections of a token lie in its row: x, b and c come first.
const Places = struct {
    z: u32,
    step: u32,
    decay: u32,
    end: u32,

    fn of(own: Mamba2) Places {
        const z = level_table.wholeLanes(own.channels());
        const step = z + level_table.wholeLanes(own.inner());
        const decay = step + level_table.wholeLanes(own.heads);
        return .{ .z = z, .step = step, .decay = decay, .end = decay + level_table.wholeLanes(own.heads) };
    }
};

/// Floats of a token's projections.
pub fn projectedFloats(own: Mamba2) u32 {
    return Places.of(own).end;
}

/// From the input of the projections to what is added to the stream, for all tokens.
pub fn run(pass: *Pass, scratch: *const Scratch, own: Mamba2) void {
    pass.multiply(&projections(pass, scratch, own));
    goOnOverStep(pass, scratch, own);
    pass.multiply(&.{.{ .matrix = pass.layer.matrix(.ssm_out), .out = pass.scratch.y, .stride = pass.scratch.embedding_stride }});
}

/// The matrices that read the normed stream.
pub fn projections(pass: *const Pass, scratch: *const Scratch, own: Mamba2) [3]Part {
    const layer = pass.layer;
    const places: Places = .of(own);
    assert(places.end + level_table.lanes <= scratch.stride and layer.matrix(.ssm_in).rows == own.channels());
    return .{
        .{ .matrix = layer.matrix(.ssm_gate), .out = scratch.rows[places.z..], .stride = scratch.stride },
        .{ .matrix = layer.matrix(.ssm_in), .out = scratch.rows, .stride = scratch.stride },
        .{ .matrix = layer.matrix(.ssm_dt), .out = scratch.rows[places.step..], .stride = scratch.stride },
    };
}

/// From the projections to the input of the last matrix.
pub fn goOnOverStep(pass: *Pass, scratch: *const Scratch, own: Mamba2) void {
    pass.setInput(pass.tokens, pass.layer.matrix(.ssm_out));
    const going = goOn(pass, scratch, own, scratch.runsOfStep(pass));
    pass.forTokens(Finishing{ .going = &going, .scratch = scratch }, Finishing.token);
}

/// Lets states go on over the drafts that were chosen.
pub fn takeDrafts(pass: *Pass, scratch: *const Scratch, own: Mamba2) void {
    _ = goOn(pass, scratch, own, scratch.runsOfDrafts(pass));
}

fn goOn(pass: *const Pass, scratch: *const Scratch, own: Mamba2, runs: []const Run) Going {
    assert(own.heads % own.groups == 0 and own.size <= limits.state_size_max);
    var going: Going = .{ .pass = pass, .stride = scratch.stride, .own = own, .places = .of(own), .runs = runs };
    const threads = if (pass.tokens * own.inner() * own.size < shared_states_min) 1 else pass.threads;
    recurrent.convolveAll(pass, scratch, runs, .{ .channels = own.channels(), .bias = pass.layer.vector(.ssm_conv1d_bias), .threads = threads });
    pool.parallel(threads, @as(u32, @intCast(runs.len)) * own.heads, &going, Going.head);
    return going;
}

const Going = struct {
    pass: *const Pass,
    stride: u32,
    own: Mamba2,
    places: Places,
    runs: []const Run,

    /// An item is one head of a run.
    fn head(context: *anyopaque, number: u32, _: u32) void {
        const going: *const Going = @ptrCast(@alignCast(context));
        const own = going.own;
        const pass = going.pass;
        const one = &going.runs[number / own.heads];
        const index = number % own.heads;
        const group = index / (own.heads / own.groups);
        assert(one.kept > 0 and one.kept <= one.tokens and group < own.groups);
        const b = own.inner() + group * own.size;
        var args: level_table.Mamba2 = .{
            .stride = going.stride,
            .tokens = one.tokens,
            .kept = one.kept,
            .size = own.size,
            .width = own.width,
            .is_fresh = one.is_fresh,
            .x = one.rows + index * own.width,
            .b = one.rows + b,
            .c = one.rows + b + own.groups * own.size,
            .step = one.rows + going.places.step + index,
            .decay = one.rows + going.places.decay + index,
            .rate = pass.layer.vector(.ssm_a).?[index],
            .step_bias = pass.layer.vector(.ssm_dt_bias).?[index],
            .through = pass.layer.vector(.ssm_d).?[index],
            .state = pass.work.kv.piece(pass.index, own.taps - 1 + index, one.state),
            .out = null,
            .out_stride = pass.scratch.input_stride,
        };
        const first = one.first orelse {
            _ = pass.level.mamba2(&args);
            return;
        };
        args.out = row(pass.scratch.rows, pass.scratch.input_stride, first) + index * own.width;
        if (pass.level.mamba2(&args) != 0) pass.fail(first);
    }
};

/// What comes after the states.
const Finishing = struct {
    going: *const Going,
    scratch: *const Scratch,

    /// The gate, then the norm of each group, of what the heads give for a token.
    fn token(finishing: Finishing, number: u32) void {
        const pass = finishing.going.pass;
        const own = finishing.going.own;
        const out = row(pass.scratch.rows, pass.scratch.input_stride, number);
        const z = row(finishing.scratch.rows, finishing.scratch.stride, number) + finishing.going.places.z;
        pass.level.gated(.silu, z, out, own.inner(), out);
        if (pass.layer.vector(.ssm_norm)) |weight| {
            const length = own.inner() / own.groups;
            assert(weight.len == own.groups * length);
            for (0..own.groups) |group| {
                const part = out + group * length;
                pass.level.rmsNorm(part, weight[group * length ..].ptr, pass.model.traits.epsilon, length, part);
            }
        }
        pass.quantizeInput(number);
    }
};
