//! Products with a narrow F32 matrix that are added to rows that are there already, times a number: the second half of an
//! adapter. A product is that of plain floats (docs/design/contract.md, "Matrix products"), then one fused multiply-add.

const level_table = @import("../../level/level_table.zig");
const simd = @import("../../level/simd.zig");

pub fn addRows(args: *const level_table.AddedRows, begin: u32, end: u32) callconv(.c) void {
    for (begin..end) |number| {
        const weights: [*]const f32 = @ptrCast(@alignCast(args.weights + number * args.group_bytes));
        for (0..args.tokens) |token| {
            const x = args.x + token * args.x_stride;
            const out = args.out + token * args.out_stride + number * level_table.lanes;
            simd.store(out, simd.fma(simd.splat(args.scale), product(weights, x, args.cols), simd.load(out)));
        }
    }
}

/// Sixteen rows times one vector: four sums a row, by k mod 4.
inline fn product(weights: [*]const f32, x: [*]const f32, cols: u32) simd.F {
    var sums: [4]simd.F = @splat(simd.splat(0));
    var k: u32 = 0;
    while (k + 4 <= cols) : (k += 4) {
        inline for (0..4) |i| sums[i] = simd.fma(simd.load(weights + (k + i) * level_table.lanes), simd.splat(x[k + i]), sums[i]);
    }
    inline for (0..3) |i| {
        if (k + i < cols) sums[i] = simd.fma(simd.load(weights + (k + i) * level_table.lanes), simd.splat(x[k + i]), sums[i]);
    }
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}
