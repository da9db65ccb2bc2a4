//! Sums of activations that calibrated rounding goes by (`calibrate.zig`), the triangular factor of such sums, and rows solved
//! with it. Every sum has one order of additions, at every level and for any number of threads.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const isa = @import("../level/isa.zig");
const simd = @import("../level/simd.zig");

const simd_lanes = level_table.lanes;
const D = @Vector(8, f64);

/// Rows of a tile of sums: eight registers of AVX2, four of AVX-512. The rest hold the factors.
const tile_rows = 4;
/// Tokens and rows of x that stay in the first cache (16 KB) while tiles are made of them.
const gram_tokens = 64;
const gram_rows = 64;
/// Chunks of so many tokens whose sums are made before they are added to what there is: the rows of x stay in the second cache (64 KB).
const gram_chunks = 4;

/// Adds the products of some tokens' rows: out[i * cols + j] += sum of x[t][i] * y[t][j], for i in [begin, end). Each sum is made in
/// the order of tokens, of at most `gram_chunks * gram_tokens` of them, and then added to what there is. Of x with itself only the
/// half right of the diagonal is filled for certain: the other half equals it.
pub fn gram(args: *const level_table.Gram, begin: u32, end: u32) callconv(.c) void {
    const whole = args.cols - args.cols % simd_lanes;
    var first: u32 = 0;
    while (first < args.tokens) : (first += gram_chunks * gram_tokens) {
        const tokens = @min(gram_chunks * gram_tokens, args.tokens - first);
        var row = begin;
        while (row < end) : (row += gram_rows) {
            var strip: GramStrip = .{ .args = args, .first = first, .tokens = tokens, .row = row, .rows = @min(gram_rows, end - row) };
            strip.copy();
            var column: u32 = if (args.x == args.y) row - row % simd_lanes else 0;
            while (column < whole) : (column += simd_lanes) strip.add(column);
        }
        // Columns that fill no vector; no format has such a number of columns.
        for (begin..end) |i| for (whole..args.cols) |j| {
            var sum: f32 = 0;
            for (first..first + tokens) |t| sum = simd.fma(args.x[t * args.x_cols + i], args.y[t * args.cols + j], sum);
            args.out[i * args.cols + j] += sum;
        };
    }
}

/// Some rows of the sums. What is read of x and y is copied side by side: rows lie a multiple of the page's length apart, so they
/// would share lines of the cache.
const GramStrip = struct {
    args: *const level_table.Gram,
    first: usize,
    tokens: usize,
    row: usize,
    rows: usize,
    /// Rows of x; those that there are not are 0.
    x: [gram_chunks * gram_tokens][gram_rows]f32 align(64) = undefined,

    fn copy(strip: *GramStrip) void {
        const args = strip.args;
        for (strip.x[0..strip.tokens], strip.first..) |*own, t| {
            @memcpy(own[0..strip.rows], args.x[t * args.x_cols + strip.row ..][0..strip.rows]);
            @memset(own[strip.rows..], 0);
        }
    }

    /// The sums of a vector of columns.
    fn add(strip: *const GramStrip, column: usize) void {
        const cols = strip.args.cols;
        var sums: [gram_rows]simd.F = @splat(@splat(0));
        var panel: [gram_tokens]simd.F = undefined;
        var chunk: usize = 0;
        while (chunk < strip.tokens) : (chunk += gram_tokens) {
            const count = @min(gram_tokens, strip.tokens - chunk);
            const y = strip.args.y + (strip.first + chunk) * cols + column;
            for (panel[0..count], 0..) |*vector, t| vector.* = simd.load(@alignCast(y + t * cols));
            var i: usize = 0;
            while (i < strip.rows) : (i += tile_rows) tile(strip.x[chunk..][0..count], i, &panel, sums[i..][0..tile_rows]);
        }
        for (sums[0..strip.rows], strip.row..) |sum, i| {
            const to: [*]align(4) f32 = @alignCast(strip.args.out + i * cols + column);
            simd.store(to, simd.load(to) + sum);
        }
    }

    inline fn tile(x: []const [gram_rows]f32, row: usize, panel: *const [gram_tokens]simd.F, sums: *[tile_rows]simd.F) void {
        var own = sums.*;
        for (x, panel[0..x.len]) |*factors, vector| {
            const at = factors[row..][0..tile_rows];
            inline for (&own, at) |*sum, factor| sum.* = simd.fma(simd.splat(factor), vector, sum.*);
        }
        sums.* = own;
    }
};

/// Rows and columns of a tile of the factor.
const factor_tile = if (isa.register_lanes == 16) 4 else 2;
/// Numbers of a row that are multiplied at a time: those of the columns that are made (64 KB) stay in the second cache.
const factor_stretch = 256;

/// Subtracts from rows [begin, end) of a matrix, in columns [first, last), the products with the columns from `last` on, which are done:
/// r[i][k] -= the sum over j >= last of r[i][j] * r[k][j], a stretch of j after the other. The numbers left of the diagonal are not used
/// after that.
pub fn factorUpdate(r: [*]f64, n: u32, columns: level_table.FactorColumns, begin: u32, end: u32) callconv(.c) void {
    var from = columns.last;
    while (from < n) : (from += factor_stretch) {
        const stretch = [2]usize{ from, @min(from + factor_stretch, n) };
        var i = begin;
        while (i < end) : (i += factor_tile) {
            const whole = i + factor_tile <= end;
            var k = columns.first;
            while (k < columns.last) : (k += factor_tile) {
                if (whole and k + factor_tile <= columns.last) {
                    updateTile(factor_tile, r, n, stretch, i, k);
                } else for (i..@min(i + factor_tile, end)) |row| for (k..@min(k + factor_tile, columns.last)) |column| {
                    updateTile(1, r, n, stretch, row, column);
                };
            }
        }
    }
}

fn updateTile(comptime size: usize, r: [*]f64, n: u32, stretch: [2]usize, i: usize, k: usize) void {
    var sums: [size][size]D = @splat(@splat(@splat(0)));
    var j = stretch[0];
    while (j + 8 <= stretch[1]) : (j += 8) {
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
        for (j..stretch[1]) |rest| sum += r[(i + l) * n + rest] * r[(k + c) * n + rest];
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

const solved_lanes = level_table.solved_lanes;
const Solved = @Vector(solved_lanes, f64);

/// A part of the matrix that stays in the first cache (16 KB) while rows are solved with it. It is copied side by side: its rows lie a
/// multiple of the page's length apart, so they would share lines of the cache.
const Corner = struct {
    const depth = 64;
    const width = 32;

    floats: [depth][width]f64,

    /// Rows [from, to) of a matrix, in the columns from `column` on.
    fn copy(corner: *Corner, matrix: [*]const f64, n: u32, rows: [2]usize, column: usize, columns: usize) void {
        for (corner.floats[0 .. rows[1] - rows[0]], rows[0]..) |*own, row| @memcpy(own[0..columns], matrix[row * n + column ..][0..columns]);
    }

    /// The same of the transposed matrix.
    fn transpose(corner: *Corner, matrix: [*]const f64, n: u32, rows: [2]usize, column: usize, columns: usize) void {
        for (0..columns) |k| {
            const from = matrix + (column + k) * n + rows[0];
            for (corner.floats[0 .. rows[1] - rows[0]], 0..) |*own, j| own[k] = from[j];
        }
    }

    /// Subtracts what is solved, times the corner, from what is not.
    fn subtract(corner: *const Corner, solved: []align(64) const Solved, left: []align(64) Solved) void {
        var k: usize = 0;
        while (k < left.len) : (k += 2) {
            // Beside the last of an odd number of columns a number is made that nothing reads.
            const other = @min(k + 1, left.len - 1);
            var sums = [2]Solved{ left[k], left[other] };
            for (solved, corner.floats[0..solved.len]) |y, *own| inline for (&sums, 0..) |*sum, c| {
                sum.* -= y * @as(Solved, @splat(own[k + c]));
            };
            left[other] = sums[1];
            left[k] = sums[0];
        }
    }
};

/// Solves z R R' = row for `count` rows of f32, at most `solved_rows`, which z replaces. R lies in the upper half of the
/// n x n matrix, with 1 / r_kk on the diagonal; `room` holds n vectors for each group of rows, one in each lane. Every row is
/// solved by the same additions in the same order, whatever others are beside it.
pub fn solve(matrix: [*]const f64, n: u32, rows: [*]f32, count: u32, room: [*]align(64) f64) callconv(.c) void {
    const all: [*]align(64) Solved = @ptrCast(room);
    const groups = std.math.divCeil(u32, count, solved_lanes) catch unreachable;
    for (0..groups) |group| for (0..n) |k| {
        var lanes: [solved_lanes]f64 = @splat(0);
        for (0..@min(solved_lanes, count - group * solved_lanes)) |lane| lanes[lane] = rows[(group * solved_lanes + lane) * n + k];
        all[group * n + k] = lanes;
    };
    var corner: Corner = undefined;
    // y R' = row: from the last columns on, for R is upper triangular.
    var last: usize = n;
    while (last > 0) {
        const first = last -| Corner.width;
        var j = last;
        while (j < n) : (j += Corner.depth) {
            const end = @min(j + Corner.depth, n);
            corner.transpose(matrix, n, .{ j, end }, first, last - first);
            for (0..groups) |group| corner.subtract(all[group * n + j .. group * n + end], all[group * n + first .. group * n + last]);
        }
        for (0..groups) |group| {
            const y = all + group * n;
            var k = last;
            while (k > first) {
                k -= 1;
                for (k + 1..last) |right| y[k] -= @as(Solved, @splat(matrix[k * n + right])) * y[right];
                y[k] *= @splat(matrix[k * n + k]);
            }
        }
        last = first;
    }
    // z R = y: from the first columns on.
    var first: usize = 0;
    while (first < n) : (first += Corner.width) {
        const end = @min(first + Corner.width, n);
        var i: usize = 0;
        while (i < first) : (i += Corner.depth) {
            const limit = @min(i + Corner.depth, first);
            corner.copy(matrix, n, .{ i, limit }, first, end - first);
            for (0..groups) |group| corner.subtract(all[group * n + i .. group * n + limit], all[group * n + first .. group * n + end]);
        }
        for (0..groups) |group| {
            const z = all + group * n;
            for (first..end) |k| {
                z[k] *= @splat(matrix[k * n + k]);
                for (k + 1..end) |right| z[right] -= z[k] * @as(Solved, @splat(matrix[k * n + right]));
            }
        }
    }
    for (0..count) |row| for (0..n) |k| {
        const lanes: [solved_lanes]f64 = all[row / solved_lanes * n + k];
        rows[row * n + k] = @floatCast(lanes[row % solved_lanes]);
    };
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
