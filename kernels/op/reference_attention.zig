//! Attention as plain loops over single numbers, in the order that docs/design/contract.md fixes. Tests compare every level with it, bit for
//! bit; no product code uses it. It has its own reading of a page's layout (the head of `level_table.zig`) and shares only
//! exp and tanh, which have tests of their own.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const limits = @import("../limits.zig");
const math = @import("math.zig");
const simd = @import("../level/simd.zig");

/// One head of one token; `out` gets `v_dim` values.
pub fn attend(args: *const level_table.Attention, token: usize, head: usize, out: []f32) void {
    const kv_head = head / (args.heads / args.kv.heads);
    const own = args.position + token;
    const first = if (args.window != 0 and own + 1 > args.window) own + 1 - args.window else 0;
    const last = @min(own + args.ahead, args.position + args.tokens - 1);
    var max: f32 = undefined;
    var sum: f32 = 0;
    for (0..last / 64 + 1) |block| {
        const begin = @max(first, block * 64);
        const end = @min(last + 1, block * 64 + 64);
        if (begin >= end) continue;
        var vector: [limits.head_dim_max]f32 = @splat(0);
        var p: [64]f32 = undefined;
        var block_max = -std.math.inf(f32);
        for (begin..end) |position| {
            p[position % 64] = score(args, token, head, kv_head, position);
            if (p[position % 64] > block_max) block_max = p[position % 64];
        }
        var lanes: [16]f32 = @splat(0);
        for (begin..end) |position| {
            const weight = exp(p[position % 64] - block_max);
            lanes[position % 16] += weight;
            for (out, 0..) |_, d| vector[d] = @mulAdd(f32, weight, value(&args.kv, kv_head, position, d), vector[d]);
        }
        const block_sum = tree(lanes);
        if (sum == 0) {
            max = block_max;
            sum = block_sum;
            @memcpy(out, vector[0..out.len]);
            continue;
        }
        const greater = if (block_max > max) block_max else max;
        const a = exp(max - greater);
        const b = exp(block_max - greater);
        max = greater;
        sum = @mulAdd(f32, sum, a, block_sum * b);
        for (out, vector[0..out.len]) |*o, v| o.* = @mulAdd(f32, o.*, a, v * b);
    }
    var kept: f32 = 1;
    if (args.sinks) |sinks| {
        const greater = if (sinks[head] > max) sinks[head] else max;
        kept = exp(max - greater);
        sum = @mulAdd(f32, sum, kept, exp(sinks[head] - greater));
    }
    const inverse = kept / sum;
    for (out) |*o| o.* *= inverse;
}

fn score(args: *const level_table.Attention, token: usize, head: usize, kv_head: usize, position: usize) f32 {
    const q = args.q + token * args.q_stride + head * args.kv.k_dim;
    var acc: [4]f32 = @splat(0);
    for (0..args.kv.k_dim) |d| acc[d % 4] = @mulAdd(f32, q[d], key(&args.kv, kv_head, position, d), acc[d % 4]);
    const own = args.position + token;
    const distance: f32 = @floatFromInt(if (position > own) position - own else own - position);
    const plain = ((acc[0] + acc[1]) + (acc[2] + acc[3])) * args.scale;
    const s = if (args.slopes) |slopes| @mulAdd(f32, -slopes[head], distance, plain) else plain;
    return if (args.softcap == 0) s else args.softcap * math.tanh(simd.splat(s / args.softcap))[0];
}

fn exp(x: f32) f32 {
    return math.exp(simd.splat(x))[0];
}

/// Lanes i += i + 8, + 4, + 2, + 1.
pub fn tree(lanes: [16]f32) f32 {
    var sums = lanes;
    var step: usize = 8;
    while (step > 0) : (step /= 2) for (0..step) |i| {
        sums[i] += sums[i + step];
    };
    return sums[0];
}

/// K as [head][position / 16][d][16].
pub fn key(kv: *const level_table.KvLayer, head: usize, position: usize, d: usize) f32 {
    const slot = position % kv.page_size;
    const group = head * (kv.page_size / 16) + slot / 16;
    const scale = (group * (kv.k_dim / 32) + d / 32) * 16 + slot % 16;
    return number(kv, position, (group * kv.k_dim + d) * 16 + slot % 16, scale);
}

/// V as [head][position][d], after K, or in it.
pub fn value(kv: *const level_table.KvLayer, head: usize, position: usize, d: usize) f32 {
    if (kv.values_in_keys) return key(kv, head, position, d);
    const row = head * kv.page_size + position % kv.page_size;
    const before: usize = kv.heads * kv.page_size;
    const scale = before * (kv.k_dim / 32) + row * (kv.v_dim / 32) + d / 32;
    return number(kv, position, before * kv.k_dim + row * kv.v_dim + d, scale);
}

fn number(kv: *const level_table.KvLayer, position: usize, element: usize, scale: usize) f32 {
    const page = kv.base + kv.pages[position / kv.page_size] * kv.page_bytes + kv.layer_offset;
    switch (kv.type) {
        .f32 => return @as([*]const f32, @ptrCast(@alignCast(page)))[element],
        .f16 => return @as([*]const f16, @ptrCast(@alignCast(page)))[element],
        .q8_0 => {
            const values: usize = kv.heads * kv.page_size * (kv.k_dim + if (kv.values_in_keys) 0 else kv.v_dim);
            const scales: [*]const f16 = @ptrCast(@alignCast(page + values));
            return @as(f32, @floatFromInt(@as(i8, @bitCast(page[element])))) * @as(f32, scales[scale]);
        },
    }
}
