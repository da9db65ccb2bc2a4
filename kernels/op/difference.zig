//! How far floats are from others: sums of squares and of products, and the greatest difference. Sixteen sums in f64, the
//! i-th of every value whose index is i modulo 16, then added one after the other: the same at every level.

const level_table = @import("../level/level_table.zig");
const simd = @import("../level/simd.zig");

const lanes = 16;
const D = @Vector(lanes, f64);

/// The sums over `count` values.
pub fn measure(values: [*]const f32, made: [*]const f32, count: usize, out: *level_table.Difference) callconv(.c) void {
    var sums: Sums = .{};
    var i: usize = 0;
    while (i + lanes <= count) : (i += lanes) sums.add(simd.load(values + i), simd.load(made + i));
    if (i < count) sums.add(simd.loadPart(@constCast(values + i), count - i, 0), simd.loadPart(@constCast(made + i), count - i, 0));
    out.* = .{
        .squares = total(sums.squares),
        .greatest = greatest(sums.greatest),
        .products = total(sums.products),
        .values = total(sums.values),
        .made = total(sums.made),
    };
}

/// Adds the square of each value to its sum.
pub fn addSquares(values: [*]const f32, count: usize, sums: [*]f64) callconv(.c) void {
    var i: usize = 0;
    while (i + lanes <= count) : (i += lanes) {
        const x: D = simd.load(@alignCast(values + i));
        const to: *align(8) D = @ptrCast(sums + i);
        to.* += x * x;
    }
    while (i < count) : (i += 1) {
        const x: f64 = values[i];
        sums[i] += x * x;
    }
}

const Sums = struct {
    squares: D = @splat(0),
    greatest: D = @splat(0),
    products: D = @splat(0),
    values: D = @splat(0),
    made: D = @splat(0),

    inline fn add(sums: *Sums, value: simd.F, made: simd.F) void {
        const x: D = value;
        const y: D = made;
        const rest = @abs(x - y);
        sums.squares += rest * rest;
        sums.greatest = @select(f64, isMore(rest, sums.greatest), rest, sums.greatest);
        sums.products += x * y;
        sums.values += x * x;
        sums.made += y * y;
    }
};

/// NaN is greater than every number, and stays.
inline fn isMore(a: D, b: D) @Vector(lanes, bool) {
    const both = @Vector(lanes, bool);
    return @select(bool, a > b, @as(both, @splat(true)), a != a);
}

fn total(v: D) f64 {
    var sum: f64 = 0;
    for (@as([lanes]f64, v)) |lane| sum += lane;
    return sum;
}

fn greatest(v: D) f64 {
    var most: f64 = 0;
    for (@as([lanes]f64, v)) |lane| if (lane > most or lane != lane) {
        most = lane;
    };
    return most;
}
