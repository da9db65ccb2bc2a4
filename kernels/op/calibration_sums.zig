//! Sums of activations that calibrated rounding goes by (`calibrate.zig`), the triangular factor of such sums, and rows solved
//! with it. Every sum has one order of additions, at every level and for any number of threads.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const isa = @import("../level/isa.zig");
const simd = @import("../level/simd.zig");

const simd_lanes = level_table.lanes;
const D = @Vector(8, f64);

/// A tile of sums, rows by vectors of columns: sixteen registers of AVX-512, eight of other levels. The rest hold the factors.
const tile_rows = if (isa.register_lanes == 16) 8 else 4;
const tile_vectors = if (isa.register_lanes == 16) 2 else 1;
/// Tokens and rows of x that stay in the first cache (16 KB) while tiles are made of them.
const gram_tokens = 64;
const gram_rows = 64;

/// Adds the products of some tokens' rows: out[i * cols + j] += sum of x[t][i] * y[t][j], for i in [begin, end). Of x with itself
/// only the half right of the diagonal is filled for certain: the other half equals it.
pub fn gram(args: *const level_table.Gram, begin: u32, end: u32) callconv(.c) void {
    const x, const y, const tokens, const cols, const out = .{ args.x, args.y, args.tokens, args.cols, args.out };
    const whole = cols - cols % simd_lanes;
    const tiled = end - (end - begin) % tile_rows;
    var row = begin;
    while (row < tiled) : (row += gram_rows) {
        const rows = @min(gram_rows, tiled - row);
        var column: u32 = if (x == y) row - row % simd_lanes else 0;
        const wide = tile_vectors * simd_lanes;
        while (column + wide <= whole) : (column += wide) gramPanel(tile_vectors, args, row, rows, column);
        while (column < whole) : (column += simd_lanes) gramPanel(1, args, row, rows, column);
    }
    // Columns that fill no tile; no format has such a number of columns.
    for (begin..end) |i| for (if (i < tiled) whole else 0..cols) |j| {
        var sum: f32 = 0;
        for (0..tokens) |t| sum = simd.fma(x[t * args.x_cols + i], y[t * cols + j], sum);
        out[i * cols + j] += sum;
    };
}

/// The sums of some rows and `vectors` vectors of columns. Each is made in the order of tokens, and then added to what there is.
fn gramPanel(comptime vectors: u32, args: *const level_table.Gram, row: u32, rows: u32, column: u32) void {
    const tokens, const cols = .{ args.tokens, args.cols };
    const x, const y = .{ args.x + row, args.y + column };
    const out = args.out + @as(usize, row) * cols + column;
    var sums: [gram_rows][vectors]simd.F = undefined;
    @memset(sums[0..rows], @splat(@splat(0)));
    var panel: [gram_tokens][vectors]simd.F = undefined;
    var first: usize = 0;
    while (first < tokens) : (first += gram_tokens) {
        const count = @min(gram_tokens, tokens - first);
        // Copied side by side: rows of y lie a multiple of the page's length apart, so they would share lines of the cache.
        for (panel[0..count], first..) |*row_of, t| inline for (row_of, 0..) |*vector, v| {
            vector.* = simd.load(@alignCast(y + t * cols + v * simd_lanes));
        };
        var i: usize = 0;
        while (i < rows) : (i += tile_rows) gramTile(vectors, x + first * args.x_cols + i, args.x_cols, panel[0..count], sums[i..][0..tile_rows]);
    }
    for (sums[0..rows], 0..) |row_of, i| inline for (row_of, 0..) |sum, v| {
        const to: [*]align(4) f32 = @alignCast(out + i * cols + v * simd_lanes);
        simd.store(to, simd.load(to) + sum);
    };
}

inline fn gramTile(comptime vectors: u32, x: [*]const f32, cols: u32, panel: []const [vectors]simd.F, sums: *[tile_rows][vectors]simd.F) void {
    var tile = sums.*;
    var at = x;
    for (panel) |row_of| {
        inline for (&tile, 0..) |*sum, i| {
            const factor = simd.splat(at[i]);
            inline for (sum, row_of) |*each, vector| each.* = simd.fma(factor, vector, each.*);
        }
        at += cols;
    }
    sums.* = tile;
}

/// Rows and columns of a tile of the factor.
const factor_tile = if (isa.register_lanes == 16) 4 else 2;

/// Subtracts from rows [begin, end) of a matrix, in columns [first, last), the products with the columns from `last` on, which are done:
/// r[i][k] -= the sum over j >= last of r[i][j] * r[k][j]. The numbers left of the diagonal are not used after that.
pub fn factorUpdate(r: [*]f64, n: u32, columns: level_table.FactorColumns, begin: u32, end: u32) callconv(.c) void {
    var i = begin;
    while (i < end) : (i += factor_tile) {
        const whole = i + factor_tile <= end;
        var k = columns.first;
        while (k < columns.last) : (k += factor_tile) {
            if (whole and k + factor_tile <= columns.last) {
                updateTile(factor_tile, r, n, columns.last, i, k);
            } else for (i..@min(i + factor_tile, end)) |row| for (k..@min(k + factor_tile, columns.last)) |column| {
                updateTile(1, r, n, columns.last, row, column);
            };
        }
    }
}

fn updateTile(comptime size: usize, r: [*]f64, n: u32, last: u32, i: usize, k: usize) void {
    var sums: [size][size]D = @splat(@splat(@splat(0)));
    var j: usize = last;
    while (j + 8 <= n) : (j += 8) {
        var right: [size]D = undefined;
        inline for (&right, 0..) |*vector, c| vector.* = vectorAt(r, n, k + c, j).*;
        inline for (&sums, 0..) |*row, l| {
            const left = vectorAt(r, n, i + l, j).*;
            inline for (row, right) |*sum, vector| sum.* += left * vector;
        }
    }
    for (0..size) |l| for (0..size) |c| {
        const lanes: [8]f64 = sums[l][c];
        var sum: f64 = 0;
        for (lanes) |lane| sum += lane;
        for (j..n) |rest| sum += r[(i + l) * n + rest] * r[(k + c) * n + rest];
        r[(i + l) * n + k + c] -= sum;
    };
}

inline fn vectorAt(r: [*]f64, n: u32, row: usize, column: usize) *align(8) const D {
    return @ptrCast(r + row * n + column);
}

/// Columns [first, last) of R in rows [begin, end) above them, after the columns right of them were subtracted, and the rows
/// [first, last) are done; r[k][k] holds 1 / r_kk.
pub fn factorRows(r: [*]f64, n: u32, columns: level_table.FactorColumns, begin: u32, end: u32) callconv(.c) void {
    for (begin..end) |i| {
        const row = r + i * n;
        var k: usize = columns.last;
        while (k > columns.first) {
            k -= 1;
            const pivot = r + k * n;
            row[k] = (row[k] - dot(row + k + 1, pivot + k + 1, columns.last - k - 1)) * pivot[k];
        }
    }
}

/// Rows and columns [first, last) of R; returns the first column, from the last on, whose r_kk squared is not above 0 or not finite,
/// or `last`.
pub fn factorCorner(r: [*]f64, n: u32, columns: level_table.FactorColumns) callconv(.c) u32 {
    var k = columns.last;
    while (k > columns.first) {
        k -= 1;
        const pivot = r + @as(usize, k) * n;
        const length = columns.last - k - 1;
        const square = pivot[k] - dot(pivot + k + 1, pivot + k + 1, length);
        if (!(square > 0) or !std.math.isFinite(square)) return k;
        pivot[k] = 1 / @sqrt(square);
        for (columns.first..k) |i| {
            const row = r + i * n;
            row[k] = (row[k] - dot(row + k + 1, pivot + k + 1, length)) * pivot[k];
        }
    }
    return columns.last;
}

const solved_together = level_table.solved_together;
const Solved = @Vector(solved_together, f64);

/// Solves z R R' = row for `count` rows of f32, at most `solved_together`, which z replaces. R lies in the upper half of the
/// n x n matrix, with 1 / r_kk on the diagonal; `room` holds n vectors. Every row is solved by the same additions in the same
/// order, whatever others are beside it.
pub fn solve(matrix: [*]const f64, n: u32, rows: [*]f32, count: u32, room: [*]align(64) f64) callconv(.c) void {
    const y: [*]align(64) Solved = @ptrCast(room);
    for (0..n) |k| {
        var lanes: [solved_together]f64 = @splat(0);
        for (0..count) |row| lanes[row] = rows[row * n + k];
        y[k] = lanes;
    }
    // y R' = row: from the last column on, for R is upper triangular.
    var k: usize = n;
    while (k > 0) {
        k -= 1;
        const pivot = matrix + k * n;
        var sum: Solved = @splat(0);
        for (k + 1..n) |j| sum += @as(Solved, @splat(pivot[j])) * y[j];
        y[k] = (y[k] - sum) * @as(Solved, @splat(pivot[k]));
    }
    // z R = y: from the first column on.
    for (0..n) |first| {
        const pivot = matrix + first * n;
        const z = y[first] * @as(Solved, @splat(pivot[first]));
        y[first] = z;
        for (first + 1..n) |j| y[j] -= z * @as(Solved, @splat(pivot[j]));
    }
    for (0..n) |column| {
        const lanes: [solved_together]f64 = y[column];
        for (0..count) |row| rows[row * n + column] = @floatCast(lanes[row]);
    }
}

fn dot(a: [*]const f64, b: [*]const f64, n: usize) f64 {
    var sums: [4]D = @splat(@splat(0));
    var i: usize = 0;
    while (i + 32 <= n) : (i += 32) inline for (0..4) |quarter| {
        sums[quarter] += @as(*align(8) const D, @ptrCast(a + i + 8 * quarter)).* * @as(*align(8) const D, @ptrCast(b + i + 8 * quarter)).*;
    };
    const lanes: [8]f64 = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    var sum: f64 = 0;
    for (lanes) |lane| sum += lane;
    while (i < n) : (i += 1) sum += a[i] * b[i];
    return sum;
}
