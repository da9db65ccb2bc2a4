//! What changes logits before or between cuts: bias, the mask of allowed tokens, penalties and DRY. Each touches only the
//! tokens it is about; logits of a caller are copied first and stay as they are.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const simd = @import("../level/simd.zig");
const math = @import("math.zig");
const list_zig = @import("sample_list.zig");

const List = list_zig.List;
const Workspace = list_zig.Workspace;
const inf = list_zig.inf;

/// Copies the list's logits, unless they are a copy already, so that they may be changed.
fn own(list: *List, workspace: Workspace) [*]f32 {
    if (list.logits != @as([*]const f32, workspace.logits)) {
        @memcpy(workspace.logits[0..list.len], list.logits[0..list.len]);
        list.logits = workspace.logits;
    }
    list.grouped = false;
    return workspace.logits;
}

/// Only tokens with a set bit may be chosen. The list is a whole vocabulary.
pub fn mask(list: *List, workspace: Workspace, bits: [*]const u32) void {
    const logits = own(list, workspace);
    var i: usize = 0;
    while (i < list.len) : (i += 16) {
        const half: u16 = @truncate(bits[i / 32] >> @intCast(i % 32));
        // The workspace has room for 16 lanes behind the end.
        simd.store(logits + i, @select(f32, @as(simd.Mask, @bitCast(half)), simd.load(logits + i), simd.splat(-inf)));
    }
}

pub fn bias(list: *List, workspace: Workspace, pairs: []const level_table.Pair) void {
    const logits = own(list, workspace);
    for (pairs) |pair| {
        const amount: f32 = @bitCast(pair.value);
        // A banned token stays banned: -inf + inf would be NaN.
        logits[pair.id] = if (amount == -inf) -inf else logits[pair.id] + amount;
    }
}

/// Repetition as in CTRL (Keskar et al., 2019), frequency and presence as in OpenAI's API. After a temperature they
/// count as much as before it.
pub fn penalties(list: *List, workspace: Workspace, step: *const level_table.Step, counts: []const level_table.Pair) void {
    const logits = own(list, workspace);
    for (counts) |pair| {
        const index = list.find(pair.id) orelse continue;
        const logit = logits[index];
        const repeated = if (logit <= 0) logit * step.a else logit / step.a;
        const off = @as(f32, @floatFromInt(pair.value)) * step.b + step.c;
        logits[index] = repeated - finite(off * list.heat);
    }
}

/// "Don't repeat yourself" (p-e-w, 2024): a token that would continue a repetition of n tokens loses
/// multiplier * base^(n - allowed).
pub fn dry(list: *List, workspace: Workspace, step: *const level_table.Step, matches: []const level_table.Pair) void {
    const logits = own(list, workspace);
    for (matches) |pair| {
        if (pair.value < step.count) continue;
        const index = list.find(pair.id) orelse continue;
        const longer: f64 = @floatFromInt(pair.value - step.count);
        const off: f32 = @floatCast(@min(step.a * math.pow(step.b, longer), most));
        logits[index] -= finite(off * list.heat);
    }
}

const most = std.math.floatMax(f32);

/// Guards against inf - inf, which is NaN.
fn finite(x: f32) f32 {
    return std.math.clamp(x, -most, most);
}
