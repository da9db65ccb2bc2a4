//! Writing keys and values into their page, and reading one back. A page's layout is in `level_table.zig`: K with 16 positions
//! side by side for each d, so that a query meets 16 keys at once; V row by row, so that positions add up along d.
//!
//! Numbers are rounded to nearest even. q8_0 takes blocks of 32 along d: scale = max|x| / 127, value = x / scale by the
//! reciprocal of the scale before it became f16. What is read back is f32(value) * f32(scale), which is exact.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const float16 = @import("../level/float16.zig");
const simd = @import("../level/simd.zig");

const F = simd.F;
const KvLayer = level_table.KvLayer;

/// Elements of a q8_0 block.
pub const block = 32;

/// What a page stores for one key or value.
pub fn Element(comptime kind: level_table.KvType) type {
    return switch (kind) {
        .f16 => u16,
        .f32 => f32,
        .q8_0 => i8,
    };
}

/// 16 positions of one head in a page: the stored numbers, and the scales that q8_0 has beside them.
pub const Part = struct {
    bytes: [*]u8,
    scales: [*]u16,

    pub inline fn values(p: Part, comptime kind: level_table.KvType) [*]Element(kind) {
        return @ptrCast(@alignCast(p.bytes));
    }
};

/// Keys of the 16 positions that begin with `position` (a multiple of 16): values [d][16], scales [d / 32][16].
pub fn keys(kv: *const KvLayer, head: usize, position: usize) Part {
    const group = head * (kv.page_size / 16) + position % kv.page_size / 16;
    return part(kv, position, group * kv.k_dim * 16);
}

/// Values of the 16 positions that begin with `position` (a multiple of 16): values [16][d], scales [16][d / 32]. Not of a layer
/// whose values are in its keys.
pub fn rows(kv: *const KvLayer, head: usize, position: usize) Part {
    const keys_before = @as(usize, kv.heads) * kv.page_size * kv.k_dim;
    const row = head * kv.page_size + position % kv.page_size;
    return part(kv, position, keys_before + row * kv.v_dim);
}

fn part(kv: *const KvLayer, position: usize, element: usize) Part {
    const page: usize = kv.pages[position / kv.page_size];
    const bytes = kv.base + page * kv.page_bytes + kv.layer_offset;
    // The scales of a layer follow all its values, one for 32 of them, in the same order.
    const stored: usize = if (kv.values_in_keys) kv.k_dim else @as(usize, kv.k_dim) + kv.v_dim;
    const end: usize = @as(usize, kv.heads) * kv.page_size * stored;
    return switch (kv.type) {
        .f16 => .{ .bytes = bytes + element * 2, .scales = undefined },
        .f32 => .{ .bytes = bytes + element * 4, .scales = undefined },
        .q8_0 => .{ .bytes = bytes + element, .scales = @ptrCast(@alignCast(bytes + end + element / block * 2)) },
    };
}

/// 16 stored numbers from `p` as floats; q8_0 without its scale.
pub inline fn load(comptime kind: level_table.KvType, p: [*]const Element(kind)) F {
    return switch (kind) {
        .f16 => float16.loadF16(p),
        .f32 => simd.load(p),
        .q8_0 => @floatFromInt(@as(simd.I, @as(@Vector(16, i8), p[0..16].*))),
    };
}

/// The first `n` (less than 16) of them, then zeros; memory behind them is not read.
pub inline fn loadPart(comptime kind: level_table.KvType, p: [*]const Element(kind), n: usize) F {
    var lanes: [16]Element(kind) = @splat(0);
    for (0..n) |i| lanes[i] = p[i];
    return load(kind, &lanes);
}

/// `v` is not read where values are in keys.
pub fn kvWrite(kv: *const KvLayer, position: u32, k: [*]const f32, v: [*]const f32) callconv(.c) void {
    switch (kv.type) {
        inline else => |kind| write(kind, kv, position, k, v),
    }
}

fn write(comptime kind: level_table.KvType, kv: *const KvLayer, position: usize, k: [*]const f32, v: [*]const f32) void {
    const first = position & ~@as(usize, 15);
    const lane = position & 15;
    for (0..kv.heads) |head| {
        const key = keys(kv, head, first);
        const key_lane = key.values(kind) + lane;
        const k_head = k + head * kv.k_dim;
        if (kind == .q8_0) {
            for (0..kv.k_dim / block) |b| {
                key.scales[b * 16 + lane] = quantize(k_head + b * block, key_lane + b * block * 16, 16);
            }
        } else scatter(kind, k_head, kv.k_dim, key_lane, 16);
        if (kv.values_in_keys) continue;
        const row = rows(kv, head, first);
        const row_start = row.values(kind) + lane * kv.v_dim;
        const v_head = v + head * kv.v_dim;
        if (kind == .q8_0) {
            for (0..kv.v_dim / block) |b| {
                row.scales[lane * kv.v_dim / block + b] = quantize(v_head + b * block, row_start + b * block, 1);
            }
        } else scatter(kind, v_head, kv.v_dim, row_start, 1);
    }
}

/// `n` floats to every `stride`-th element.
fn scatter(comptime kind: level_table.KvType, x: [*]const f32, n: usize, out: [*]Element(kind), comptime stride: usize) void {
    var i: usize = 0;
    while (i < n) : (i += 16) {
        const count = @min(16, n - i);
        const v = if (count == 16) simd.load(x + i) else simd.loadPart(x + i, count, 0);
        const stored: [16]Element(kind) = if (kind == .f16) float16.toF16(16, v) else v;
        if (stride == 1 and count == 16) {
            out[i..][0..16].* = stored;
        } else {
            for (0..count) |j| out[(i + j) * stride] = stored[j];
        }
    }
}

/// One block of 32 to every `stride`-th element; returns its scale. A block below 2^-100 is all zero. One that is not
/// finite gets the scale NaN, so that each product with it is NaN.
fn quantize(x: [*]const f32, out: [*]i8, comptime stride: usize) u16 {
    const low = simd.load(x);
    const high = simd.load(x + 16);
    const magnitude: simd.U = @splat(0x7fff_ffff);
    const low_bits = @as(simd.U, @bitCast(low)) & magnitude;
    const high_bits = @as(simd.U, @bitCast(high)) & magnitude;
    // As integers NaN is above infinity, which is above every number.
    const most: f32 = @bitCast(@reduce(.Max, @max(low_bits, high_bits)));
    const finite = most < std.math.inf(f32);
    const usable = finite and most >= 0x1p-100;
    const scale = if (usable) most / 127.0 else if (finite) 0 else std.math.nan(f32);
    const inverse = simd.splat(if (usable) 1.0 / scale else 0);
    inline for (.{ low, high }, 0..) |v, part_index| {
        // Adding 1.5 * 2^23 rounds to nearest even.
        const rounded = if (usable) v * inverse + simd.splat(12_582_912.0) else simd.splat(12_582_912.0);
        const bits: simd.I = @as(simd.I, @bitCast(rounded)) -% @as(simd.I, @splat(0x4b40_0000));
        const bytes: [16]i8 = @as(@Vector(16, i8), @truncate(bits));
        for (bytes, 0..) |byte, i| out[(part_index * 16 + i) * stride] = byte;
    }
    return float16.toF16(1, .{scale})[0];
}
