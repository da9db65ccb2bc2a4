//! The gated delta rule of one head. A square matrix M decays with each token; then it learns the part of the token's value that it
//! does not yet return for the token's key (docs/design/contract.md, "States").
//!
//!   m = decay * M;  d = beta * (v - k m);  M = m + k d;  o = (q M) / sqrt(size)
//!
//! Lanes are columns of M (state_lanes.zig). Rows are added in four sums, by row mod 4.

const level_table = @import("../level/level_table.zig");
const math = @import("math.zig");
const simd = @import("../level/simd.zig");
const state_lanes = @import("state_lanes.zig");

const F = simd.F;
const splat = simd.splat;

/// x / sqrt(sum of squares + eps), in its place.
pub fn unitNorm(x: [*]f32, eps: f32, n: u32) callconv(.c) void {
    var squares = splat(0);
    var i: u32 = 0;
    while (i < n) : (i += 16) {
        const v = simd.loadUpTo(x + i, n - i, 0);
        squares = simd.fma(v, v, squares);
    }
    const inverse = splat(1.0 / @sqrt(simd.tree(squares) + eps));
    i = 0;
    while (i < n) : (i += 16) simd.storeUpTo(x + i, n - i, simd.loadUpTo(x + i, n - i, 0) * inverse);
}

/// The gates of all tokens, in their place; then M over the tokens. 1 where a gate is not finite, else 0.
pub fn deltaRule(args: *const level_table.DeltaRule) callconv(.c) u32 {
    var bad: u32 = 0;
    for (0..args.tokens) |token| {
        const at = token * args.stride;
        const step = math.softplus(splat(args.alpha[at] + args.step_bias));
        const decay = math.exp(splat(args.rate) * step);
        const beta = splat(1.0) / (splat(1.0) + math.exp(splat(-args.beta[at])));
        // x - x is 0 for finite x alone: one comparison finds infinity and NaN.
        const rest = (step - step) + (decay - decay) + (beta - beta);
        if (rest[0] != 0) bad = 1;
        args.alpha[at] = decay[0];
        args.beta[at] = beta[0];
    }
    state_lanes.walk(args, args.size, take);
    return bad;
}

/// One token.
inline fn take(args: *const level_table.DeltaRule, m: [*]f32, column: u32, token: usize) void {
    const at = token * args.stride;
    const decay = splat(args.alpha[at]);
    const k = args.k + at;
    const known = weigh(args.size, m, decay, k);
    const left = args.size - column;
    const d = splat(args.beta[at]) * (simd.loadUpTo(args.v + at + column, left, 0) - known);
    const o = learn(args.size, m, decay, .{ .k = k, .q = args.q + at, .d = d });
    const out = args.out orelse return;
    simd.storeUpTo(out + token * args.out_stride + column, left, o * splat(args.scale));
}

/// k times the decayed columns.
inline fn weigh(size: u32, m: [*]const f32, decay: F, k: [*]const f32) F {
    var sums: [4]F = @splat(splat(0));
    var row: u32 = 0;
    while (row + 4 <= size) : (row += 4) inline for (0..4) |i| {
        sums[i] = simd.fma(splat(k[row + i]), simd.load(m + (row + i) * 16) * decay, sums[i]);
    };
    inline for (0..3) |i| if (row + i < size) {
        sums[i] = simd.fma(splat(k[row + i]), simd.load(m + (row + i) * 16) * decay, sums[i]);
    };
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

const Lesson = struct { k: [*]const f32, q: [*]const f32, d: F };

/// Decays the columns and adds k d to them; then q times them.
inline fn learn(size: u32, m: [*]f32, decay: F, lesson: Lesson) F {
    var sums: [4]F = @splat(splat(0));
    var row: u32 = 0;
    while (row + 4 <= size) : (row += 4) inline for (0..4) |i| learnRow(m, decay, lesson, row + i, &sums[i]);
    inline for (0..3) |i| if (row + i < size) learnRow(m, decay, lesson, row + i, &sums[i]);
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

inline fn learnRow(m: [*]f32, decay: F, lesson: Lesson, row: usize, sum: *F) void {
    const new = simd.fma(splat(lesson.k[row]), lesson.d, simd.load(m + row * 16) * decay);
    simd.store(m + row * 16, new);
    sum.* = simd.fma(splat(lesson.q[row]), new, sum.*);
}
