//! Error-compensated rounding, and the sums of activations that it goes by.
//!
//! What rounding a row w to v costs the product with inputs x is (w - v) H (w - v)', H the sum of x x'. With
//! H = R R', R upper triangular, that is a sum over columns of r_kk^2 (t_k - v_k)^2, where t_k = w_k + (the errors of the
//! columns before k, weighed by r_ik / r_kk): so columns are rounded in order, each to what is nearest to t_k, which makes
//! up for the errors before it (LDLQ of Chee et al., "QuIP", 2023; the same as GPTQ, Frantar et al., 2022). A block's scale
//! is chosen when its turn comes: by the search, with r_kk^2 for importance, and then among its neighbours by what the
//! compensated rounding of the whole block comes to.

const std = @import("std");
const abi = @import("../abi.zig");
const simd = @import("../simd.zig");

const D = @Vector(8, f64);

/// Adds the products of `tokens` rows: out[i * cols + j] += sum of x[t][i] * y[t][j], for i in [begin, end).
pub fn gram(x: [*]const f32, y: [*]const f32, tokens: u32, cols: u32, begin: u32, end: u32, out: [*]f32) callconv(.c) void {
    for (begin..end) |i| {
        const row = out + i * @as(usize, cols);
        var j: usize = 0;
        while (j + 16 <= cols) : (j += 16) {
            var sum: simd.F = @splat(0);
            for (0..tokens) |t| sum += simd.splat(x[t * cols + i]) * simd.load(@alignCast(y + t * cols + j));
            simd.store(@alignCast(row + j), simd.load(@alignCast(row + j)) + sum);
        }
        while (j < cols) : (j += 1) {
            var sum: f32 = 0;
            for (0..tokens) |t| sum += x[t * cols + i] * y[t * cols + j];
            row[j] += sum;
        }
    }
}

/// One column of R, from the last to the first: r[i][k] for i in [begin, end), where the columns after k are done and
/// r[k][k] holds 1 / r_kk while this goes on.
pub fn factorColumn(r: [*]f64, n: u32, k: u32, begin: u32, end: u32) callconv(.c) void {
    const pivot = r + @as(usize, k) * n;
    for (begin..end) |i| {
        const row = r + i * n;
        row[k] = (row[k] - dot(row + k + 1, pivot + k + 1, n - k - 1)) * pivot[k];
    }
}

/// The square of r_kk; not above 0 where the matrix is not positive definite.
pub fn factorPivot(r: [*]const f64, n: u32, k: u32) callconv(.c) f64 {
    const row = r + @as(usize, k) * n;
    return row[k] - dot(row + k + 1, row + k + 1, n - k - 1);
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

/// Rows that share a reading of the factor.
const rows_together = 8;
/// Columns of a part of a block: two vectors.
const part = 32;

/// The calibrated encoder of a format, or null.
pub fn of(comptime F: type) @FieldType(abi.Encoder, "calibrate") {
    if (F.kind == .float or !(@hasDecl(F, "levels") or @hasDecl(F, "sub_blocks"))) return null;
    return Rows(F).run;
}

fn Rows(comptime F: type) type {
    const elements = F.block_elements;
    return struct {
        /// Blocks of the rows [begin, end): returns `end`, or the first row that the format cannot hold.
        fn run(args: *const abi.Calibrate, begin: u32, end: u32) callconv(.c) u32 {
            var row = begin;
            while (row < end) : (row += rows_together) {
                const count = @min(rows_together, end - row);
                for (0..args.columns / elements) |b| {
                    var targets: [rows_together][elements]f32 align(64) = undefined;
                    compensate(args, row, count, b * elements, &targets);
                    for (0..count) |r| {
                        if (!encode(args, row + @as(u32, @intCast(r)), b, &targets[r])) return row + @as(u32, @intCast(r));
                    }
                }
            }
            return end;
        }

        /// Weights of a block plus the weighed errors of all columns before it. The errors lie where the weights were.
        fn compensate(args: *const abi.Calibrate, row: u32, count: usize, first: usize, targets: *[rows_together][elements]f32) void {
            const columns: usize = args.columns;
            var at: usize = 0;
            while (at < elements) : (at += part) {
                var sums: [rows_together][2]simd.F = @splat(@splat(@splat(0)));
                for (0..first) |i| {
                    const factors = args.factor + i * columns + first + at;
                    const low = simd.load(@alignCast(factors));
                    const high = simd.load(@alignCast(factors + 16));
                    inline for (0..rows_together) |r| {
                        const e = simd.splat(if (r < count) args.values[(row + r) * columns + i] else 0);
                        sums[r][0] += e * low;
                        sums[r][1] += e * high;
                    }
                }
                for (0..count) |r| inline for (0..2) |h| {
                    const w = simd.load(@alignCast(args.values + (row + r) * columns + first + at + 16 * h));
                    simd.store(@alignCast(targets[r][at + 16 * h ..].ptr), w + sums[r][h]);
                };
            }
        }

        /// A block of one row: the scale, then the levels, each making up for those before it.
        fn encode(args: *const abi.Calibrate, row: u32, b: usize, targets: *const [elements]f32) bool {
            const columns: usize = args.columns;
            const first = b * elements;
            const blocks: [*]align(1) F.Block = @ptrCast(args.blocks);
            const place = &blocks[row * (columns / elements) + b];
            var best: F.Block = undefined;
            const start: abi.Quantize = .{
                .values = @ptrCast(targets),
                .source = .f32,
                .rounding = .search,
                .outliers = .keep,
                .threshold = 0,
                .importance = args.importance + first,
                .columns = elements,
                .mask = null,
                .blocks = std.mem.asBytes(&best),
            };
            if (args.quantize(&start, 0, 1) != 1) return false;
            var errors: [elements]f32 align(64) = undefined;
            const weights = args.values + row * columns + first;
            var least = settle(args, first, weights, targets, &best, &errors);
            if (@hasDecl(F, "levels")) {
                const middle = best;
                for ([_]i32{ -1, 1 }) |direction| {
                    var misses: u32 = 0;
                    var step: i32 = 1;
                    while (step <= scale_steps and misses < scale_misses) : (step += 1) {
                        var trial = middle;
                        trial.d = moved(middle.d, direction * step) orelse break;
                        var left: [elements]f32 align(64) = undefined;
                        const e = settle(args, first, weights, targets, &trial, &left);
                        if (e < least) {
                            least = e;
                            best = trial;
                            errors = left;
                            misses = 0;
                        } else misses += 1;
                    }
                }
            }
            place.* = best;
            @memcpy(weights[0..elements], &errors);
            return true;
        }

        const scale_steps = 12;
        const scale_misses = 4;

        /// A half float some 64ths of its exponent's range away.
        fn moved(half: u16, steps: i32) ?u16 {
            const magnitude = @as(i32, half & 0x7fff) + steps * 8;
            if (magnitude <= 0 or magnitude >= 0x7c00) return null;
            return half & 0x8000 | @as(u16, @intCast(magnitude));
        }

        /// Sets the levels of a block whose scales are there; returns what they cost, and leaves the weights' errors.
        fn settle(args: *const abi.Calibrate, first: usize, weights: [*]const f32, targets: *const [elements]f32, block: *F.Block, errors: *[elements]f32) f32 {
            var codes: [elements]u8 = @splat(0);
            F.recode(block, &codes);
            var low: [elements]f32 = undefined;
            F.decode(block, &low);
            codes = @splat(1);
            F.recode(block, &codes);
            var step: [elements]f32 = undefined;
            F.decode(block, &step);
            for (&step, low) |*s, l| s.* -= l;

            const top: f32 = if (@hasDecl(F, "levels")) F.levels.high - F.levels.low else F.sub_blocks.high - F.sub_blocks.low;
            var wanted: [elements]f32 align(64) = targets.*;
            var cost: f32 = 0;
            for (0..elements) |k| {
                const place = (wanted[k] - low[k]) / step[k]; // NaN where there is no step
                const inside = if (!(place > 0)) 0 else if (place > top) top else place;
                const level = (inside + 0x1.8p23) - 0x1.8p23; // to nearest even
                codes[k] = @intFromFloat(level);
                const value = low[k] + level * step[k];
                cost += args.importance[first + k] * (wanted[k] - value) * (wanted[k] - value);
                errors[k] = weights[k] - value;
                const factors = args.factor + (first + k) * args.columns + first;
                var j = k & ~@as(usize, 15);
                while (j < elements) : (j += 16) {
                    const next = simd.load(wanted[j..].ptr) + simd.splat(errors[k]) * simd.load(@alignCast(factors + j));
                    simd.store(wanted[j..].ptr, next);
                }
            }
            F.recode(block, &codes);
            return cost;
        }
    };
}
