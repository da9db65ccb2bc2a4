//! Which experts a token goes to, and with what weight (docs/design/contract.md, "Experts"): scores of all experts from the
//! router's logits, the largest of them, ties to the lower expert, then the weights of the chosen. Where experts lie in
//! groups, a group counts as much as its two best together, and only the best groups are chosen from.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const math = @import("math.zig");
const simd = @import("../level/simd.zig");

const splat = simd.splat;
const lowest = -std.math.inf(f32);
/// The sum of weights by which they are divided is taken for no less: the smallest normal half float.
const sum_min = 0x1p-14;

pub fn sigmoid(x: f32) callconv(.c) f32 {
    return sigmoids(splat(x))[0];
}

fn sigmoids(x: simd.F) simd.F {
    return splat(1.0) / (splat(1.0) + math.exp(-x));
}

pub fn route(routing: *const level_table.Routing, logits: [*]f32, room: [*]f32, chosen: [*]u32, weights: [*]f32) callconv(.c) u32 {
    const scores = logits[0..routing.experts];
    if (!prepare(routing, scores)) {
        for (0..routing.used) |n| chosen[n] = @intCast(n);
        @memset(weights[0..routing.used], 0);
        return 1;
    }
    const left = room[0..routing.experts];
    for (left, scores, 0..) |*value, score, expert| value.* = if (routing.choice_bias) |bias| score + bias[expert] else score;
    if (routing.groups > 1) dropGroups(routing, left);
    for (0..routing.used) |n| {
        const expert = largest(left);
        chosen[n] = @intCast(expert);
        weights[n] = scores[expert];
        left[expert] = lowest;
    }
    weigh(routing, weights[0..routing.used]);
    return 0;
}

/// Turns logits into scores; false where one is not finite.
fn prepare(routing: *const level_table.Routing, logits: []f32) bool {
    var off: f32 = 0;
    for (logits, 0..) |*logit, expert| {
        if (routing.bias) |bias| logit.* += bias[expert];
        off += logit.* - logit.*;
    }
    if (off != 0) return false;
    switch (routing.score) {
        .softmax => softmax(logits),
        .sigmoid => sigmoidOfEach(logits),
        .softmax_of_chosen => {},
    }
    return true;
}

fn weigh(routing: *const level_table.Routing, weights: []f32) void {
    if (routing.score == .softmax_of_chosen) softmax(weights);
    if (routing.normalises) {
        const sum = @max(sumOf(weights), sum_min);
        for (weights) |*weight| weight.* /= sum;
    }
    if (routing.scale != 1) for (weights) |*weight| {
        weight.* *= routing.scale;
    };
}

/// Leaves the experts of the best groups; those of the others are never chosen.
fn dropGroups(routing: *const level_table.Routing, left: []f32) void {
    const in_group = routing.experts / routing.groups;
    var best: [level_table.router_groups_max]f32 = undefined;
    for (0..routing.groups) |group| {
        const own = left[group * in_group ..][0..in_group];
        const first = largest(own);
        const kept = own[first];
        own[first] = lowest;
        best[group] = kept + own[largest(own)];
        own[first] = kept;
    }
    var kept: [level_table.router_groups_max]bool = @splat(false);
    for (0..routing.groups_used) |_| {
        const group = largest(best[0..routing.groups]);
        best[group] = lowest;
        kept[group] = true;
    }
    for (0..routing.groups) |group| {
        if (!kept[group]) @memset(left[group * in_group ..][0..in_group], lowest);
    }
}

/// Where the largest value lies; the first of several.
fn largest(values: []const f32) usize {
    var most = splat(lowest);
    var i: usize = 0;
    while (i + 16 <= values.len) : (i += 16) most = @max(most, simd.load(values.ptr + i));
    if (i < values.len) most = @max(most, simd.loadPart(values.ptr + i, values.len - i, lowest));
    const value = simd.treeMax(most);
    return for (values, 0..) |candidate, index| {
        if (candidate == value) break index;
    } else unreachable;
}

fn softmax(values: []f32) void {
    const most = values[largest(values)];
    var sum = splat(0);
    var i: usize = 0;
    while (i + 16 <= values.len) : (i += 16) {
        const p = math.exp(simd.load(values.ptr + i) - splat(most));
        simd.store(values.ptr + i, p);
        sum += p;
    }
    if (i < values.len) {
        // e^(-inf - most) is 0.
        const p = math.exp(simd.loadPart(values.ptr + i, values.len - i, lowest) - splat(most));
        simd.storePart(values.ptr + i, values.len - i, p);
        sum += p;
    }
    const total = simd.tree(sum);
    for (values) |*value| value.* /= total;
}

fn sigmoidOfEach(values: []f32) void {
    var i: usize = 0;
    while (i + 16 <= values.len) : (i += 16) simd.store(values.ptr + i, sigmoids(simd.load(values.ptr + i)));
    if (i < values.len) simd.storePart(values.ptr + i, values.len - i, sigmoids(simd.loadPart(values.ptr + i, values.len - i, 0)));
}

fn sumOf(values: []const f32) f32 {
    var sum = splat(0);
    var i: usize = 0;
    while (i + 16 <= values.len) : (i += 16) sum += simd.load(values.ptr + i);
    if (i < values.len) sum += simd.loadPart(values.ptr + i, values.len - i, 0);
    return simd.tree(sum);
}
