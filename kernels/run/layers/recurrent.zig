//! What the mixers that have a state share: the projections of each token, from which the state goes on, and how drafts are heard.
//!
//! A step lets a state go on over the tokens that are certain, and past them only for the sake of what drafts give. Whether a draft
//! is right is known when the step has chosen; the projections of drafts are kept until then, and the state takes those that were
//! right. So a draft that was wrong leaves nothing behind.

const std = @import("std");
const assert = std.debug.assert;
const level_table = @import("../../level/level_table.zig");
const limits = @import("../../limits.zig");
const Layout = @import("../../host/memory.zig").Layout;
const Model = @import("../../model/model.zig").Model;
const Options = @import("../options.zig").Options;
const Pass = @import("../pass.zig").Pass;
const Sequence = @import("../batch.zig").Sequence;
const weights = @import("../../model/weights.zig");
const pool = @import("../../threads/pool.zig");
const row = @import("../pass.zig").row;

/// Channels of an item of a convolution.
const item_channels = 64;

/// The tokens of one sequence, over which its state goes on.
pub const Run = struct {
    /// The pages of the state.
    state: []const u32,
    /// The projections of the tokens.
    rows: [*]f32,
    tokens: u32,
    /// The state stays as it is after so many tokens.
    kept: u32,
    is_fresh: bool,
    /// The first token's number in the batch, or null where only the state is wanted.
    first: ?u32,
};

pub const Scratch = struct {
    /// Floats between the projections of two tokens, a multiple of 16; a vector that begins in a row ends in it.
    stride: u32,
    rows: []f32,
    /// The number of each layer among those with a state.
    numbers: []u32,
    /// The projections of drafts: [layer with a state][draft].
    drafts: []f32,
    draft_rows: u32,
    runs: []Run,

    /// `projected_floats`: the most that any layer's projections of a token take.
    pub fn init(layout: *Layout, model: *const Model, options: Options, projected_floats: u32) Layout.Error!Scratch {
        var count: u32 = 0;
        const numbers = try layout.array(u32, model.layers.len);
        for (model.layers, 0..) |*layer, index| {
            // Empty while only sizes are added up.
            if (numbers.len > 0) numbers[index] = count;
            count += @intFromBool(!layer.keeps().state.isEmpty());
        }
        const draft_rows = if (count == 0) 0 else @min(limits.state_drafts_max, options.logit_rows);
        const stride = level_table.wholeLanes(projected_floats) + level_table.lanes;
        return .{
            .stride = stride,
            .rows = try layout.array(f32, @as(usize, options.batch_tokens) * stride),
            .numbers = numbers,
            .drafts = try layout.array(f32, @as(usize, count) * draft_rows * stride),
            .draft_rows = draft_rows,
            .runs = try layout.array(Run, options.sequences),
        };
    }

    /// The runs of a step in the layer at work, whose projections are in `rows`; those of drafts are kept.
    pub fn runsOfStep(scratch: *const Scratch, pass: *const Pass) []const Run {
        var count: usize = 0;
        var drafts: u32 = 0;
        for (pass.sequences()) |*sequence| {
            if (sequence.tokens.len == 0) continue;
            const kept = sequence.certain();
            assert(kept > 0 and kept <= sequence.tokens.len and count < scratch.runs.len);
            for (kept..sequence.tokens.len) |token| {
                const from = row(scratch.rows, scratch.stride, sequence.first + @as(u32, @intCast(token)));
                @memcpy(scratch.draftRow(pass, drafts)[0..scratch.stride], from[0..scratch.stride]);
                drafts += 1;
            }
            scratch.runs[count] = .{
                .state = sequence.state,
                .rows = row(scratch.rows, scratch.stride, sequence.first),
                .tokens = @intCast(sequence.tokens.len),
                .kept = kept,
                .is_fresh = sequence.position == 0,
                .first = sequence.first,
            };
            count += 1;
        }
        return scratch.runs[0..count];
    }

    /// The runs over the drafts that were chosen, in the layer at work.
    pub fn runsOfDrafts(scratch: *const Scratch, pass: *const Pass) []const Run {
        var count: usize = 0;
        var drafts: u32 = 0;
        for (pass.sequences()) |*sequence| {
            const right = chosenDrafts(pass, sequence);
            assert(right <= sequence.choice_count -| 1);
            if (right > 0) {
                scratch.runs[count] = .{
                    .state = sequence.state,
                    .rows = scratch.draftRow(pass, drafts),
                    .tokens = right,
                    .kept = right,
                    .is_fresh = false,
                    .first = null,
                };
                count += 1;
            }
            drafts += sequence.choice_count -| 1;
        }
        return scratch.runs[0..count];
    }

    fn draftRow(scratch: *const Scratch, pass: *const Pass, draft: u32) [*]f32 {
        assert(draft < scratch.draft_rows);
        return row(scratch.drafts, scratch.stride, scratch.numbers[pass.index] * scratch.draft_rows + draft);
    }
};

/// Drafts of a sequence that were chosen.
pub fn chosenDrafts(pass: *const Pass, sequence: *const Sequence) u32 {
    if (sequence.status != .ok) return 0;
    var chosen: u32 = 0;
    for (pass.work.batch.choicesOf(sequence)) |choice| chosen += @intFromBool(choice.token != null);
    return chosen -| 1;
}

/// A short convolution in the place of its inputs, which come first in the projections, with silu.
pub const InPlace = struct { channels: u32, bias: ?[]const f32 = null, threads: u32 };

/// Convolves all runs; channels are shared out.
pub fn convolveAll(pass: *const Pass, scratch: *const Scratch, runs: []const Run, own: InPlace) void {
    const spans = std.math.divCeil(u32, own.channels, item_channels) catch unreachable;
    var convolving: Convolving = .{ .pass = pass, .stride = scratch.stride, .runs = runs, .own = own, .spans = spans };
    pool.parallel(own.threads, @as(u32, @intCast(runs.len)) * spans, &convolving, Convolving.item);
}

const Convolving = struct {
    pass: *const Pass,
    stride: u32,
    runs: []const Run,
    own: InPlace,
    spans: u32,

    /// An item is a span of channels of one run.
    fn item(context: *anyopaque, number: u32, _: u32) void {
        const convolving: *const Convolving = @ptrCast(@alignCast(context));
        const pass = convolving.pass;
        const one = &convolving.runs[number / convolving.spans];
        const begin = number % convolving.spans * item_channels;
        var args = convolution(pass, one, convolving.stride, pass.layer.matrix(.ssm_conv1d));
        args.bias = if (convolving.own.bias) |bias| bias.ptr else null;
        args.is_activated = true;
        args.out = one.rows;
        pass.level.convolve(&args, begin, @min(begin + item_channels, convolving.own.channels));
    }
};

/// The short convolution of a run; the caller says where its inputs lie and where what comes out goes.
pub fn convolution(pass: *const Pass, run: *const Run, stride: u32, kernel: weights.Matrix) level_table.Convolution {
    assert(kernel.format.id == 0 and kernel.cols <= limits.conv_kernel_max);
    var args: level_table.Convolution = .{
        .x = run.rows,
        .stride = stride,
        .tokens = run.tokens,
        .kept = run.kept,
        .taps = kernel.cols,
        .is_fresh = run.is_fresh,
        .is_activated = false,
        .before = null,
        .after = null,
        .kernel = @ptrCast(kernel.packed_bytes),
        .group_floats = kernel.group_bytes / @sizeOf(f32),
        .bias = null,
        .past = undefined,
        .out = null,
        .out_stride = stride,
    };
    for (0..kernel.cols - 1) |tap| args.past[tap] = pass.work.kv.piece(pass.index, @intCast(tap), run.state);
    return args;
}
