//! The functions between matrix products: the gated activation of the feed-forward layer, and the soft cap of logits.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const simd = @import("../level/simd.zig");
const math = @import("math.zig");

const F = simd.F;
const splat = simd.splat;

/// cap * tanh(x / cap): about x while it is small, never beyond the cap. Attention caps its scores with it too.
pub inline fn capped(x: F, cap: f32) F {
    return splat(cap) * math.tanh(x / splat(cap));
}

pub fn softcap(x: [*]const f32, cap: f32, n: u32, out: [*]f32) callconv(.c) void {
    var i: usize = 0;
    while (i + 16 <= n) : (i += 16) simd.store(out + i, capped(simd.load(x + i), cap));
    if (i < n) simd.storePart(out + i, n - i, capped(simd.loadPart(x + i, n - i, 0), cap));
}

pub fn gated(kind: level_table.ActivationKind, gate: [*]const f32, up: [*]const f32, n: u32, out: [*]f32) callconv(.c) void {
    switch (kind) {
        .silu => gatedBy(siluGate, gate, up, n, out),
        .gelu => gatedBy(geluGate, gate, up, n, out),
        .clamped => gatedBy(clampedGate, gate, up, n, out),
        .relu => gatedBy(reluGate, gate, up, n, out),
        .gelu_erf => gatedBy(geluErfGate, gate, up, n, out),
        .plain_gelu_erf => gatedBy(plainGeluErf, gate, up, n, out),
    }
}

fn gatedBy(comptime act: fn (F, F) F, gate: [*]const f32, up: [*]const f32, n: u32, out: [*]f32) void {
    var i: usize = 0;
    while (i + 16 <= n) : (i += 16) simd.store(out + i, act(simd.load(gate + i), simd.load(up + i)));
    if (i < n) {
        const v = act(simd.loadPart(gate + i, n - i, 0), simd.loadPart(up + i, n - i, 0));
        simd.storePart(out + i, n - i, v);
    }
}

fn siluGate(gate: F, up: F) F {
    return silu(gate) * up;
}

fn geluGate(gate: F, up: F) F {
    return geluTanh(gate) * up;
}

fn geluErfGate(gate: F, up: F) F {
    return geluErf(gate) * up;
}

fn plainGeluErf(x: F, _: F) F {
    return geluErf(x);
}

/// Where gate and input are the same, as in relu^2, NaN stays NaN: 0 * NaN.
fn reluGate(gate: F, up: F) F {
    return @select(f32, gate > splat(0), gate, splat(0)) * up;
}

/// NaN stays NaN: comparisons with it are false.
fn clampedGate(gate: F, up: F) F {
    const g = @select(f32, gate > splat(clamp), splat(clamp), gate);
    const below = @select(f32, up > splat(clamp), splat(clamp), up);
    const u = @select(f32, below < splat(-clamp), splat(-clamp), below);
    return g / (splat(1.0) + math.exp(-(g * splat(clamped_slope)))) * (u + splat(1.0));
}

/// gpt-oss' numbers.
const clamp = 7.0;
const clamped_slope = 1.702;

/// x = x * 1 / (1 + e^-gate)
pub fn gateBySigmoid(x: [*]f32, gate: [*]const f32, n: u32) callconv(.c) void {
    var i: usize = 0;
    while (i + 16 <= n) : (i += 16) simd.store(x + i, simd.load(x + i) * sigmoid(simd.load(gate + i)));
    if (i < n) simd.storePart(x + i, n - i, simd.loadPart(x + i, n - i, 0) * sigmoid(simd.loadPart(gate + i, n - i, 0)));
}

fn sigmoid(x: F) F {
    return splat(1.0) / (splat(1.0) + math.exp(-x));
}

/// x / (1 + e^-x)
pub fn silu(x: F) F {
    return x / (splat(1.0) + math.exp(-x));
}

/// x/2 (1 + erf(x / sqrt(2)))
fn geluErf(x: F) F {
    return x * splat(0.5) * (splat(1.0) + math.erf(x * splat(std.math.sqrt1_2)));
}

/// x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
fn geluTanh(x: F) F {
    const cubic = simd.fma(x * x * x, splat(0.044715), x);
    return x * splat(0.5) * (splat(1.0) + math.tanh(cubic * splat(0.7978845608028654)));
}
