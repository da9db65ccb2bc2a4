//! Chooses a token from logits: runs a chain of methods over the list of candidates (`sample_list.zig`), then draws one by
//! its weight, in rising order of ids. No method sorts the vocabulary and nothing is allocated.
//!
//! Equal logits go by id, the lower first. Random numbers are counter-based (Philox4x32-10), from the seed, the choice,
//! the position and the number of the draw.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const simd = @import("../level/simd.zig");
const math = @import("math.zig");
const cuts = @import("sample_cuts.zig");
const edits = @import("sample_edits.zig");
const list_zig = @import("sample_list.zig");

const List = list_zig.List;
const Workspace = list_zig.Workspace;
const inf = list_zig.inf;

/// What each random number is for.
const Draw = enum(u32) { token, exclude };

pub fn sample(sampling: *const level_table.Sampling, logits: [*]const f32, vocabulary: u32, words: [*]u32, sampled: *level_table.Sampled) callconv(.c) level_table.SampleStatus {
    const workspace: Workspace = .init(words, vocabulary);
    sampled.* = .{ .mu = sampling.mu };
    var list: List = .{ .logits = logits, .len = vocabulary };
    if (!list.survey(workspace)) {
        sampled.token = firstNan(logits[0..vocabulary]);
        return .nan;
    }
    const raw: Normalizer = if (sampling.logprobs > 0) .init(&list) else undefined;
    if (sampling.logprobs > 1) raw.likeliest(list, workspace, sampling.logprobs - 1, sampled);
    // The search for the likeliest used the workspace, but the maxima of columns are still there.
    if (sampling.mask != null or sampling.bias_len > 0) {
        if (sampling.bias_len > 0) edits.bias(&list, workspace, sampling.bias[0..sampling.bias_len]);
        if (sampling.mask) |bits| edits.mask(&list, workspace, bits);
        _ = list.survey(workspace);
    }
    const steps = sampling.steps[0..sampling.steps_len];
    for (steps, 0..) |*step, index| {
        if (list.max == -inf) return .none;
        if (list.max == inf) break;
        if (isGreedy(steps[index..], list.ids == null)) break;
        run(sampling, step, &list, workspace);
        sampled.kept[index] = @intCast(list.len);
    } else if (list.max == -inf) return .none;
    // Certain: one logit is infinite, or the greatest is asked for.
    const steps_left = sampled.kept[0..steps.len];
    if (list.max == inf or (steps_left.len > 0 and steps_left[steps_left.len - 1] == level_table.Sampled.not_run)) {
        list.only(list.first(list.max, workspace), workspace);
        if (steps_left.len > 0) sampled.kept[steps_left.len - 1] = 1;
    }
    sampled.candidates = @intCast(list.len);
    sampled.listed = @intFromBool(list.ids != null);
    if (sampling.distribution == 1) {
        leaveProbabilities(&list, workspace);
        return .ok;
    }
    const drawn = draw(&list, random(sampling, .token));
    sampled.token = list.id(drawn.index);
    if (steps.len > 0 and steps[steps.len - 1].method == .mirostat) {
        const step = &steps[steps.len - 1];
        const surprise = (math.log64(@floatFromInt(drawn.total)) - math.log64(@floatFromInt(drawn.weight))) / std.math.ln2;
        sampled.mu = sampling.mu - @as(f64, step.b) * (surprise - @as(f64, step.a));
    }
    if (sampling.logprobs > 0) sampled.logprob = raw.logProbability(logits[sampled.token]);
    return .ok;
}

/// Whether the remaining steps can only choose the greatest logit: cuts that always keep it, and temperature 0. Then no cut is
/// run. False while penalties of the whole vocabulary are to come, and where a step may take the greatest out.
fn isGreedy(steps: []const level_table.Step, whole: bool) bool {
    if (!whole) return false;
    var cold = false;
    for (steps) |step| switch (step.method) {
        .top_k, .top_p, .min_p, .top_n_sigma => {},
        .temperature => cold = step.a == 0,
        .penalties, .dry, .typical_p, .xtc, .mirostat => return false,
    };
    return cold;
}

fn run(sampling: *const level_table.Sampling, step: *const level_table.Step, list: *List, workspace: Workspace) void {
    const min_keep = sampling.min_keep;
    switch (step.method) {
        .penalties, .dry => {
            const pairs = if (step.method == .dry) sampling.matches[0..sampling.matches_len] else sampling.counts[0..sampling.counts_len];
            if (pairs.len == 0) return;
            if (step.method == .dry) edits.dry(list, workspace, step, pairs) else edits.penalties(list, workspace, step, pairs);
            _ = list.survey(workspace);
        },
        .top_k => cuts.topK(list, workspace, @max(step.count, min_keep)),
        .top_p => cuts.topP(list, workspace, step.a, min_keep),
        .min_p => cuts.minP(list, workspace, step.a, min_keep),
        .top_n_sigma => cuts.topNSigma(list, workspace, step.a, min_keep),
        .typical_p => cuts.typical(list, workspace, step.a, min_keep),
        .xtc => {
            const number: f64 = @floatFromInt(random(sampling, .exclude) >> 11);
            if (number * 0x1p-53 < step.a) cuts.excludeTop(list, workspace, step.b, min_keep);
        },
        .temperature => temperature(list, workspace, step),
        .mirostat => {
            const share = @as(f64, @floatFromInt(list.total())) * math.exp64(-sampling.mu * std.math.ln2);
            const goal: u64 = @intFromFloat(@ceil(@min(share, 0x1p33)));
            cuts.keepHeavy(list, workspace, @max(goal, 1), min_keep);
        },
    }
}

/// Degree a; with a range b, from a - b for a certain choice to a + b for an open one, by entropy to the power c.
fn temperature(list: *List, workspace: Workspace, step: *const level_table.Step) void {
    if (step.b == 0) {
        if (step.a == 0) list.only(list.first(list.max, workspace), workspace) else list.heat = step.a;
        return;
    }
    const least = @max(@as(f64, step.a) - @as(f64, step.b), 0);
    const most = @as(f64, step.a) + @as(f64, step.b);
    const openness = cuts.relativeEntropy(list);
    const bent = if (openness == 0) 0 else math.pow(openness, step.c);
    list.heat = @floatCast(@max(least + (most - least) * bent, std.math.floatMin(f32)));
}

/// Log probabilities of a model's own distribution.
const Normalizer = struct {
    max: f64,
    /// Of the sum of e^(l - max).
    log_total: f64,

    fn init(list: *const List) Normalizer {
        return .{ .max = list.max, .log_total = if (@abs(list.max) == inf) 0 else math.log64(@as(f64, @floatFromInt(list.total())) * 0x1p-32) };
    }

    fn logProbability(raw: Normalizer, logit: f32) f64 {
        if (raw.max == inf) return if (logit == inf) 0 else -inf;
        return @as(f64, logit) - raw.max - raw.log_total;
    }

    fn likeliest(raw: Normalizer, whole: List, workspace: Workspace, n: usize, sampled: *level_table.Sampled) void {
        var list = whole;
        if (@abs(list.max) == inf) return;
        cuts.topK(&list, workspace, n);
        var order: [level_table.top_max]u32 = undefined;
        var count: usize = 0;
        for (0..@min(n, list.len)) |index| {
            if (list.logits[index] == -inf) continue;
            var to = count;
            while (to > 0 and list.logits[order[to - 1]] < list.logits[index]) : (to -= 1) order[to] = order[to - 1];
            order[to] = @intCast(index);
            count += 1;
        }
        for (order[0..count], 0..) |index, place| {
            sampled.top_ids[place] = list.id(index);
            sampled.top_logprobs[place] = raw.logProbability(list.logits[index]);
        }
        sampled.top = @intCast(count);
    }
};

const Drawn = struct { index: usize, weight: u64, total: u64 };

/// Vectors whose weights are added into one sum: the draw looks twice at one such block only.
const block_vectors = 64;
const blocks_max = @import("../limits.zig").vocabulary_max / (16 * block_vectors);

/// From 0 to total - 1; the token at which the running sum, by id, passes it.
fn draw(list: *const List, number: u64) Drawn {
    return if (list.isWarm()) drawOf(list, number, true) else drawOf(list, number, false);
}

fn drawOf(list: *const List, number: u64, comptime warm: bool) Drawn {
    var sums: [blocks_max]u64 = undefined;
    var blocks: usize = 0;
    var total: u64 = 0;
    var i: usize = 0;
    while (i < list.len) : (blocks += 1) {
        const end = @min(i + 16 * block_vectors, list.len);
        var sum: list_zig.Sum = .{};
        while (i < end) : (i += 16) sum.add(list.exponential(list_zig.at(list.logits, i, list.len), warm));
        sums[blocks] = sum.total();
        total += sums[blocks];
    }
    var left: u64 = @truncate(@as(u128, number) * total >> 64);
    var block: usize = 0;
    while (left >= sums[block]) : (block += 1) left -= sums[block];
    i = block * 16 * block_vectors;
    while (true) : (i += 16) {
        const e = list.exponential(list_zig.at(list.logits, i, list.len), warm);
        var sum: list_zig.Sum = .{};
        sum.add(e);
        const own = sum.total();
        if (left >= own) {
            left -= own;
            continue;
        }
        const lanes: [16]f32 = e;
        for (lanes, 0..) |lane, index| {
            const weight = list_zig.weight(lane);
            if (left < weight) return .{ .index = i + index, .weight = weight, .total = total };
            left -= weight;
        }
        unreachable;
    }
}

/// Each candidate's weight over the sum of all, as f64.
fn leaveProbabilities(list: *const List, workspace: Workspace) void {
    const total: f64 = @floatFromInt(list.total());
    const out = workspace.probabilities();
    var i: usize = 0;
    while (i < list.len) : (i += 16) {
        const v = list_zig.at(list.logits, i, list.len);
        const lanes: [16]f32 = if (list.isWarm()) list.exponential(v, true) else list.exponential(v, false);
        for (lanes[0..@min(16, list.len - i)], i..) |lane, index| out[index] = @as(f64, @floatFromInt(list_zig.weight(lane))) / total;
    }
}

fn firstNan(logits: []const f32) u32 {
    for (logits, 0..) |logit, index| if (std.math.isNan(logit)) return @intCast(index);
    unreachable;
}

fn random(sampling: *const level_table.Sampling, what: Draw) u64 {
    const words = philox(.{ sampling.choice, sampling.position, @intFromEnum(what), 0 }, sampling.seed);
    return @as(u64, words[1]) << 32 | words[0];
}

/// Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011).
fn philox(counter: [4]u32, seed: u64) [4]u32 {
    var c = counter;
    var key = [2]u32{ @truncate(seed), @truncate(seed >> 32) };
    for (0..10) |_| {
        const a = @as(u64, c[0]) * 0xd2511f53;
        const b = @as(u64, c[2]) * 0xcd9e8d57;
        c = .{
            @as(u32, @truncate(b >> 32)) ^ c[1] ^ key[0],
            @truncate(b),
            @as(u32, @truncate(a >> 32)) ^ c[3] ^ key[1],
            @truncate(a),
        };
        key = .{ key[0] +% 0x9e3779b9, key[1] +% 0xbb67ae85 };
    }
    return c;
}

test "Philox4x32-10 gives the published numbers" {
    const ones = ~@as(u32, 0);
    try std.testing.expectEqual([4]u32{ 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 }, philox(@splat(0), 0));
    try std.testing.expectEqual([4]u32{ 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd }, philox(@splat(ones), ~@as(u64, 0)));
    const digits = philox(.{ 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 }, 0x299f31d0_a4093822);
    try std.testing.expectEqual([4]u32{ 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 }, digits);
}
