//! What the machine can do at most, per CPU level: reading memory, and the bare product instruction on registers.
//! Compiled once for each level, like the kernels, and linked into `main.zig`.

const options = @import("level_options");
const kernels = @import("kernels");
const dot = kernels.dot;
const isa = kernels.isa;
const simd = kernels.simd;
const Limits = @import("table.zig").Limits;

const Line = @Vector(8, u64);
const lanes = isa.register_lanes;
/// Independent sums, enough to hide the instruction's latency.
const chains = if (lanes == 16) 12 else 6;

fn read(memory: [*]const u8, len: usize, ahead: usize) callconv(.c) u64 {
    var sums: [4]Line = @splat(@splat(0));
    var at: usize = 0;
    while (at + 256 <= len) : (at += 256) {
        inline for (0..4) |i| {
            if (ahead > 0) @prefetch(memory + at + ahead + 64 * i, .{ .locality = 2 });
            sums[i] +%= @as(*align(64) const Line, @ptrCast(@alignCast(memory + at + 64 * i))).*;
        }
    }
    return @reduce(.Add, (sums[0] +% sums[1]) +% (sums[2] +% sums[3]));
}

fn products(rounds: usize) callconv(.c) i32 {
    @setEvalBranchQuota(10_000);
    const Dot = dot.Dot(lanes, .{ .unsigned = 15 }, false, 8);
    var sums: [chains]Dot = @splat(.init(@splat(0)));
    var x: [chains][8][4]i8 = @splat(@splat(.{ 1, -2, 3, -4 }));
    var w: [8]simd.Bytes(lanes) = @splat(@splat(7));
    for (0..rounds) |_| {
        // Opaque, so that the compiler can neither fold nor hoist the products.
        asm volatile (""
            :
            : [x] "r" (&x),
              [w] "r" (&w),
            : .{ .memory = true });
        inline for (0..8) |step| {
            const columns = w[step];
            inline for (&sums, x) |*sum, values| sum.add(step, columns, values[step]);
        }
    }
    var total: i32 = 0;
    for (sums) |sum| total +%= @reduce(.Add, sum.sum);
    return total;
}

const limits: Limits = .{ .read = read, .dot = products, .dot_macs = 8 * chains * lanes * 4 };

comptime {
    @export(&limits, .{ .name = "order_limits_" ++ options.name, .visibility = .hidden });
}
