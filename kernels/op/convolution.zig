//! The causal short convolution: each channel of a token is a sum over the channel's last few inputs. Sixteen channels are the
//! lanes of a vector, which walk the tokens in order with the inputs before them in registers, so a chunk of a prompt is the
//! same loop as single tokens (docs/design/contract.md, "States").

const level_table = @import("../level/level_table.zig");
const limits = @import("../limits.zig");
const simd = @import("../level/simd.zig");
const silu = @import("activation.zig").silu;

const F = simd.F;

pub fn convolve(args: *const level_table.Convolution, begin: u32, end: u32) callconv(.c) void {
    var channel = begin;
    while (channel < end) : (channel += 16) {
        // What most models have, with its inputs in registers.
        if (args.taps == 4) walk(4, args, channel) else walk(null, args, channel);
    }
}

/// Sixteen channels from `channel` on.
fn walk(comptime known_taps: ?u32, args: *const level_table.Convolution, channel: u32) void {
    const taps = known_taps orelse args.taps;
    const before = taps - 1;
    const most = if (known_taps) |known| known - 1 else limits.conv_kernel_max - 1;
    const kernel = args.kernel + channel / 16 * args.group_floats;
    var past: [most]F = @splat(simd.splat(0));
    if (!args.is_fresh) for (past[0..before], args.past[0..before]) |*lanes, input| {
        lanes.* = simd.load(input + channel);
    };
    for (0..args.tokens + 1) |token| {
        if (token == args.kept) for (past[0..before], args.past[0..before]) |lanes, input| simd.store(input + channel, lanes);
        if (token == args.tokens) break;
        const at = token * args.stride + channel;
        var x = simd.load(args.x + at);
        if (args.before) |factor| x *= simd.load(factor + at);
        var sum = simd.splat(0);
        for (past[0..before], 0..) |input, tap| sum = simd.fma(input, simd.load(kernel + tap * 16), sum);
        sum = simd.fma(x, simd.load(kernel + before * 16), sum);
        for (1..before) |tap| past[tap - 1] = past[tap];
        past[before - 1] = x;
        const out = args.out orelse continue;
        if (args.bias) |bias| sum += simd.load(bias + channel);
        if (args.is_activated) sum = silu(sum);
        if (args.after) |factor| sum *= simd.load(factor + at);
        simd.store(out + token * args.out_stride + channel, sum);
    }
}
