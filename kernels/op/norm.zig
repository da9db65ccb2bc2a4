//! What happens to whole vectors: root mean square norm, sum of two, product with a number, sum with such a product.
//!
//! The norm adds in a fixed order (docs/design/contract.md, "Reductions"): lane k mod 16 takes element k, a short end is filled with zeros, then the
//! tree. Everything else works on each element alone.

const simd = @import("../level/simd.zig");

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
    const inverse = simd.splat(1.0 / @sqrt(mean + eps));
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
