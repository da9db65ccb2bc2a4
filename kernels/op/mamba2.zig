//! Mamba-2 of one head: each channel keeps a row of states. A token's time step sets by how much they decay; then the channel's
//! input is added, weighed by the row b, and the row c reads them (docs/design/contract.md, "States").
//!
//!   m = fma(b, step * x, decay * m);  y = c m + through * x
//!
//! Lanes are channels (state_lanes.zig). States are added in four sums, by their number mod 4.

const level_table = @import("../level/level_table.zig");
const math = @import("math.zig");
const simd = @import("../level/simd.zig");
const state_lanes = @import("state_lanes.zig");

const F = simd.F;
const splat = simd.splat;

/// The steps and decays of all tokens, in their place; then the states over the tokens. 1 where one is not finite, else 0.
pub fn mamba2(args: *const level_table.Mamba2) callconv(.c) u32 {
    var bad: u32 = 0;
    for (0..args.tokens) |token| {
        const at = token * args.stride;
        const step = math.softplus(splat(args.step[at] + args.step_bias));
        const decay = math.exp(splat(args.rate) * step);
        // x - x is 0 for finite x alone: one comparison finds infinity and NaN.
        const rest = (step - step) + (decay - decay);
        if (rest[0] != 0) bad = 1;
        args.step[at] = step[0];
        args.decay[at] = decay[0];
    }
    state_lanes.walk(args, args.width, take);
    return bad;
}

/// What a token brings to each state.
const Token = struct { decay: F, taken: F, b: [*]const f32, c: [*]const f32 };

inline fn take(args: *const level_table.Mamba2, m: [*]f32, channel: u32, token: usize) void {
    const at = token * args.stride;
    const left = args.width - channel;
    const x = simd.loadUpTo(args.x + at + channel, left, 0);
    const one: Token = .{ .decay = splat(args.decay[at]), .taken = splat(args.step[at]) * x, .b = args.b + at, .c = args.c + at };
    var sums: [4]F = @splat(splat(0));
    var state: u32 = 0;
    while (state + 4 <= args.size) : (state += 4) inline for (0..4) |i| takeState(m, one, state + i, &sums[i]);
    inline for (0..3) |i| if (state + i < args.size) takeState(m, one, state + i, &sums[i]);
    const out = args.out orelse return;
    const y = simd.fma(splat(args.through), x, (sums[0] + sums[1]) + (sums[2] + sums[3]));
    simd.storeUpTo(out + token * args.out_stride + channel, left, y);
}

inline fn takeState(m: [*]f32, one: Token, state: usize, sum: *F) void {
    const new = simd.fma(splat(one.b[state]), one.taken, simd.load(m + state * 16) * one.decay);
    simd.store(m + state * 16, new);
    sum.* = simd.fma(splat(one.c[state]), new, sum.*);
}
