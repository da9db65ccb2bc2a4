//! The choice of experts as plain loops over single numbers, in the order that docs/design/contract.md fixes. Tests compare
//! every level with it, bit for bit; no product code uses it. It shares only exp, which has tests of its own.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const math = @import("math.zig");
const tree = @import("reference_attention.zig").tree;

/// Fills `chosen` and `weights`; false where a logit is not finite.
pub fn route(routing: level_table.Routing, logits: []const f32, chosen: []u32, weights: []f32) bool {
    var scores: [level_table.experts_max]f32 = undefined;
    for (logits, 0..) |logit, i| scores[i] = if (routing.bias) |bias| logit + bias[i] else logit;
    const own = scores[0..logits.len];
    for (own) |logit| if (!std.math.isFinite(logit)) return false;
    switch (routing.score) {
        .softmax => softmax(own),
        .sigmoid => for (own) |*score| {
            score.* = 1 / (1 + exp(-score.*));
        },
        .softmax_of_chosen => {},
    }
    var taken: [level_table.experts_max]bool = @splat(false);
    if (routing.groups > 1) takeGroups(routing, own, &taken);
    for (chosen, weights) |*number, *weight| {
        const best = bestOf(routing, own, &taken);
        taken[best] = true;
        number.* = @intCast(best);
        weight.* = own[best];
    }
    if (routing.score == .softmax_of_chosen) softmax(weights);
    if (routing.normalises) {
        const sum = @max(sumOf(weights), 6.103515625e-5);
        for (weights) |*weight| weight.* /= sum;
    }
    if (routing.scale != 1) for (weights) |*weight| {
        weight.* *= routing.scale;
    };
    return true;
}

fn wanted(routing: level_table.Routing, scores: []const f32, expert: usize) f32 {
    return if (routing.choice_bias) |bias| scores[expert] + bias[expert] else scores[expert];
}

/// The first of the best that is not taken.
fn bestOf(routing: level_table.Routing, scores: []const f32, taken: []const bool) usize {
    var best: ?usize = null;
    for (0..scores.len) |expert| {
        if (taken[expert]) continue;
        if (best == null or wanted(routing, scores, expert) > wanted(routing, scores, best.?)) best = expert;
    }
    return best.?;
}

/// Marks the experts of groups that may not be chosen from.
fn takeGroups(routing: level_table.Routing, scores: []const f32, taken: []bool) void {
    const size = scores.len / routing.groups;
    var used: [level_table.experts_max]bool = @splat(false);
    for (0..routing.groups_used) |_| {
        var best: ?usize = null;
        for (0..routing.groups) |group| {
            if (used[group]) continue;
            if (best == null or worth(routing, scores, group, size) > worth(routing, scores, best.?, size)) best = group;
        }
        used[best.?] = true;
    }
    for (0..scores.len) |expert| taken[expert] = !used[expert / size];
}

fn worth(routing: level_table.Routing, scores: []const f32, group: usize, size: usize) f32 {
    var first = -std.math.inf(f32);
    var second = first;
    for (group * size..(group + 1) * size) |expert| {
        const value = wanted(routing, scores, expert);
        if (value > first) {
            second = first;
            first = value;
        } else if (value > second) second = value;
    }
    return first + second;
}

fn softmax(values: []f32) void {
    var most = values[0];
    for (values) |value| most = @max(most, value);
    for (values) |*value| value.* = exp(value.* - most);
    const sum = sumOf(values);
    for (values) |*value| value.* /= sum;
}

fn sumOf(values: []const f32) f32 {
    var lanes: [16]f32 = @splat(0);
    for (values, 0..) |value, i| lanes[i % 16] += value;
    return tree(lanes);
}

fn exp(x: f32) f32 {
    return math.exp(@splat(x))[0];
}
