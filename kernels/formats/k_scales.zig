//! What Q4_K and Q5_K have in common: half floats d and dmin, and for each of eight spans a scale and a minimum of six
//! bits; q * (d * scale) - dmin * minimum.
//!
//! Packed, these are the first 5 cache lines of a chunk: d and dmin of all rows, then a line for each two spans.

const packed_zig = @import("packed.zig");
const scalar = @import("scalar.zig");
const Place = packed_zig.Place;

pub const bytes = 64 + 8 * 32;

const Pair = struct { scale: u8, minimum: u8 };

/// Those of span `j`: six bits each, of the last four spans two bits lie apart.
pub fn pair(s: *const [12]u8, j: usize) Pair {
    if (j < 4) return .{ .scale = s[j] & 63, .minimum = s[j + 4] & 63 };
    return .{ .scale = s[j + 4] & 15 | s[j - 4] >> 6 << 4, .minimum = s[j + 4] >> 4 | s[j] >> 6 << 4 };
}

/// The twelve bytes of eight scales and minima.
pub fn join(scales: *const [8]i32, minima: *const [8]i32) [12]u8 {
    var joined: [12]u8 = undefined;
    for (0..4) |j| {
        const s: u8 = @intCast(scales[j + 4]);
        const m: u8 = @intCast(minima[j + 4]);
        joined[j] = @as(u8, @intCast(scales[j])) | s >> 4 << 6;
        joined[j + 4] = @as(u8, @intCast(minima[j])) | m >> 4 << 6;
        joined[j + 8] = s & 15 | (m & 15) << 4;
    }
    return joined;
}

/// `block` as floats, its weights being `weight(block, i)`.
pub fn decode(block: anytype, comptime weight: anytype, out: *[256]f32) void {
    const d = scalar.half(block.d);
    for (0..8) |span| {
        const p = pair(&block.scales, span);
        const scale = d * @as(f32, @floatFromInt(p.scale));
        const minimum = scalar.half(block.dmin) * @as(f32, @floatFromInt(p.minimum));
        for (span * 32..span * 32 + 32) |i| out[i] = @as(f32, @floatFromInt(weight(block, i))) * scale - minimum;
    }
}

pub fn spanSum(block: anytype, comptime weight: anytype, span: usize, x: *const [32]i8) i32 {
    var sum: i32 = 0;
    for (x, 0..) |value, i| sum += @as(i32, weight(block, span * 32 + i)) * value;
    return sum * pair(&block.scales, span).scale;
}

pub fn minimumSum(block: anytype, span: usize, x: *const [32]i8) i32 {
    return scalar.sum(x) * pair(&block.scales, span).minimum;
}

pub fn put(block: anytype, chunk: [*]u8, lane: u32) void {
    packed_zig.putHalf(chunk, lane, block.d);
    packed_zig.putHalf(chunk + 32, lane, block.dmin);
    for (0..8) |span| {
        const p = pair(&block.scales, span);
        chunk[64 + span * 32 + lane] = p.scale;
        chunk[64 + span * 32 + 16 + lane] = p.minimum;
    }
}

pub inline fn scaleAt(comptime lanes: u32, at: Place) @Vector(lanes, f32) {
    return at.halves(lanes, 0);
}

pub inline fn minimumAt(comptime lanes: u32, at: Place) @Vector(lanes, f32) {
    return -at.halves(lanes, 32);
}

pub inline fn integerAt(comptime lanes: u32, at: Place, comptime _: u1) @Vector(lanes, f32) {
    return @floatFromInt(at.integers(lanes, u8, 64 + at.span * 32));
}

pub inline fn minimumIntegerAt(comptime lanes: u32, at: Place, comptime _: u1) @Vector(lanes, i32) {
    return at.integers(lanes, u8, 64 + at.span * 32 + 16);
}
