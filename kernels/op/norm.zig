//! Operations on whole vectors: norms by root mean square or by deviation, the sum of two vectors, the product with a number, and
//! the sum with such a product.
//!
//! Norms add in a fixed order (docs/design/contract.md, "Reductions"): lane k mod 16 takes element k, a short end is filled with zeros, then the
//! tree. Everything else works on each element alone.

const simd = @import("../level/simd.zig");

/// Of squares whose sum is beyond all floats it is not a number: as 0 it would hide that the values are too large.
inline fn inverseRoot(mean: f32) f32 {
    return 1.0 / @sqrt(mean) + (mean - mean);
}

/// Without a weight it is 1 everywhere.
pub fn rmsNorm(x: [*]const f32, weight: ?[*]const f32, eps: f32, n: u32, out: [*]f32) callconv(.c) void {
    var squares = simd.splat(0);
    var i: usize = 0;
    while (i + 16 <= n) : (i += 16) {
        const v = simd.load(x + i);
        squares = simd.fma(v, v, squares);
    }
    if (i < n) {
        const v = simd.loadPart(x + i, n - i, 0);
        squares = simd.fma(v, v, squares);
    }
    const mean = simd.tree(squares) / @as(f32, @floatFromInt(n));
    const inverse = simd.splat(inverseRoot(mean + eps));
    if (weight) |w| {
        i = 0;
        while (i + 16 <= n) : (i += 16) simd.store(out + i, simd.load(x + i) * inverse * simd.load(w + i));
        if (i < n) simd.storePart(out + i, n - i, simd.loadPart(x + i, n - i, 0) * inverse * simd.loadPart(w + i, n - i, 0));
    } else {
        i = 0;
        while (i + 16 <= n) : (i += 16) simd.store(out + i, simd.load(x + i) * inverse);
        if (i < n) simd.storePart(out + i, n - i, simd.loadPart(x + i, n - i, 0) * inverse);
    }
}

/// The mean and the variance are sums in the same fixed order; the variance is that of the differences from the mean.
/// Without a weight it is 1 everywhere.
pub fn layerNorm(x: [*]const f32, weight: ?[*]const f32, bias: ?[*]const f32, eps: f32, n: u32, out: [*]f32) callconv(.c) void {
    const count: f32 = @floatFromInt(n);
    var sums = simd.splat(0);
    var i: usize = 0;
    while (i + 16 <= n) : (i += 16) sums += simd.load(x + i);
    if (i < n) sums += simd.loadPart(x + i, n - i, 0);
    const mean = simd.tree(sums) / count;
    var squares = simd.splat(0);
    i = 0;
    while (i + 16 <= n) : (i += 16) {
        const v = simd.load(x + i) - simd.splat(mean);
        squares = simd.fma(v, v, squares);
    }
    if (i < n) {
        const v = simd.loadPart(x + i, n - i, mean) - simd.splat(mean);
        squares = simd.fma(v, v, squares);
    }
    const inverse = simd.splat(inverseRoot(simd.tree(squares) / count + eps));
    i = 0;
    while (i < n) : (i += 16) {
        const left = @min(16, n - i);
        const plain = (simd.loadPart(x + i, left, 0) - simd.splat(mean)) * inverse;
        const normed = if (weight) |w| plain * simd.loadPart(w + i, left, 0) else plain;
        simd.storePart(out + i, left, if (bias) |b| normed + simd.loadPart(b + i, left, 0) else normed);
    }
}

pub fn add(x: [*]const f32, y: [*]const f32, n: u32, out: [*]f32) callconv(.c) void {
    var i: usize = 0;
    while (i + 16 <= n) : (i += 16) simd.store(out + i, simd.load(x + i) + simd.load(y + i));
    while (i < n) : (i += 1) out[i] = x[i] + y[i];
}

pub fn addScaled(x: [*]const f32, factor: f32, n: u32, y: [*]f32) callconv(.c) void {
    var i: usize = 0;
    while (i + 16 <= n) : (i += 16) simd.store(y + i, simd.fma(simd.load(x + i), simd.splat(factor), simd.load(y + i)));
    if (i < n) simd.storePart(y + i, n - i, simd.fma(simd.loadPart(x + i, n - i, 0), simd.splat(factor), simd.loadPart(y + i, n - i, 0)));
}

pub fn scale(x: [*]const f32, factor: f32, n: u32, out: [*]f32) callconv(.c) void {
    var i: usize = 0;
    while (i + 16 <= n) : (i += 16) simd.store(out + i, simd.load(x + i) * simd.splat(factor));
    while (i < n) : (i += 1) out[i] = x[i] * factor;
}
