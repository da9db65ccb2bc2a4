//! Error-compensated rounding, and the sums of activations that it goes by.
//!
//! What rounding a row w to v costs the product with inputs x is (w - v) H (w - v)', H the sum of x x'. With
//! H = R R', R upper triangular, that is a sum over columns of r_kk^2 (t_k - v_k)^2, where t_k = w_k + (the errors of the
//! columns before k, weighed by r_ik / r_kk): so columns are rounded in order, each to what is nearest to t_k, which makes
//! up for the errors before it (LDLQ of Chee et al., "QuIP", 2023; the same as GPTQ, Frantar et al., 2022). A block's scale
//! is chosen when its turn comes: by the search, with r_kk^2 for importance, and then among its neighbours by what the
//! compensated rounding of the whole block comes to.
//!
//! Then, with errors e of the whole row, sweeps over its blocks take each level, scale and minimum in turn to where it
//! leaves e H e' least while all others stay (coordinate descent, as Behdin et al., "QuantEase", 2023, for the levels).

const level_table = @import("../level/level_table.zig");
const format = @import("../formats/format.zig");
const float16 = @import("../level/float16.zig");
const simd = @import("../level/simd.zig");

const D = @Vector(8, f64);

/// Rows of a tile of sums, sixteen columns each: eight registers of AVX2, which leaves some for what is multiplied.
const tile_rows = 4;
const tile_columns = 16;
/// Tokens and rows of x that stay in the first cache (16 KB) while tiles are made of them.
const gram_tokens = 64;
const gram_rows = 64;

/// Adds the products of some tokens' rows: out[i * cols + j] += sum of x[t][i] * y[t][j], for i in [begin, end). Of x with itself
/// only what lies right of the diagonal is sure to be there: the other half is the same.
pub fn gram(args: *const level_table.Gram, begin: u32, end: u32) callconv(.c) void {
    const x, const y, const tokens, const cols, const out = .{ args.x, args.y, args.tokens, args.cols, args.out };
    const whole = cols - cols % tile_columns;
    const tiled = end - (end - begin) % tile_rows;
    var row = begin;
    while (row < tiled) : (row += gram_rows) {
        const rows = @min(gram_rows, tiled - row);
        var column: u32 = if (x == y) row - row % tile_columns else 0;
        while (column < whole) : (column += tile_columns) gramPanel(args, row, rows, column);
    }
    // What fills no tile: columns of no format have these.
    for (begin..end) |i| for (if (i < tiled) whole else 0..cols) |j| {
        var sum: f32 = 0;
        for (0..tokens) |t| sum += x[t * cols + i] * y[t * cols + j];
        out[i * cols + j] += sum;
    };
}

/// The sums of some rows and `tile_columns` columns. Each is made in the order of tokens, and then added to what there is.
fn gramPanel(args: *const level_table.Gram, row: u32, rows: u32, column: u32) void {
    const tokens, const cols = .{ args.tokens, args.cols };
    const x, const y = .{ args.x + row, args.y + column };
    const out = args.out + @as(usize, row) * cols + column;
    var sums: [gram_rows]simd.F = undefined;
    @memset(sums[0..rows], @splat(0));
    var panel: [gram_tokens]simd.F = undefined;
    var first: usize = 0;
    while (first < tokens) : (first += gram_tokens) {
        const count = @min(gram_tokens, tokens - first);
        // In one place: rows of y lie a multiple of the page's length apart, and would fall into the same lines of the cache.
        for (panel[0..count], first..) |*vector, t| vector.* = simd.load(@alignCast(y + t * cols));
        var i: usize = 0;
        while (i < rows) : (i += tile_rows) gramTile(x + first * cols + i, cols, panel[0..count], sums[i..][0..tile_rows]);
    }
    for (sums[0..rows], 0..) |sum, i| {
        const to: [*]align(4) f32 = @alignCast(out + i * cols);
        simd.store(to, simd.load(to) + sum);
    }
}

inline fn gramTile(x: [*]const f32, cols: u32, panel: []const simd.F, sums: *[tile_rows]simd.F) void {
    var tile = sums.*;
    for (panel, 0..) |vector, t| inline for (&tile, 0..) |*sum, i| {
        sum.* += simd.splat(x[t * cols + i]) * vector;
    };
    sums.* = tile;
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

/// Rows that share a reading of the factor.
const rows_together = 8;
/// Columns of a part of a block: two vectors.
const part = 32;
const elements_max = 256;
/// Sweeps over a row after it is rounded, and turns of levels and scales in a block at each.
const sweeps = 4;
const turns = 3;

const Values = [elements_max]f32;

/// What a format is to the code below, which is there once for all of them.
const Codec = struct {
    elements: u32,
    block_bytes: u32,
    /// The greatest code.
    top: f32,
    /// Half floats that may be moved, from the block's first byte on: none, a scale, a scale and a minimum.
    halves: u32,
    decode: *const fn (block: [*]const u8, out: *Values) void,
    recode: *const fn (block: [*]u8, codes: *const [elements_max]u8) void,
};

/// The calibrated encoder of a format, or null.
pub fn of(comptime F: type) @FieldType(level_table.Encoder, "calibrate") {
    const features = format.features(F);
    if (features.rounding == .none or !features.even) return null;
    const linear = features.rounding == .linear;
    const Of = struct {
        fn decode(block: [*]const u8, out: *Values) void {
            F.decode(@ptrCast(block), out[0..F.block_elements]);
        }

        fn recode(block: [*]u8, codes: *const [elements_max]u8) void {
            F.recode(@ptrCast(block), codes[0..F.block_elements]);
        }

        const codec: Codec = .{
            .elements = F.block_elements,
            .block_bytes = @sizeOf(F.Block),
            .top = if (linear) F.linear.high - F.linear.low else F.sub_blocks.high - F.sub_blocks.low,
            .halves = if (!linear) 0 else if (F.linear.kind == .range) 2 else 1,
            .decode = decode,
            .recode = recode,
        };

        fn run(args: *const level_table.Calibrate, begin: u32, end: u32) callconv(.c) u32 {
            return (Rows{ .codec = &codec, .args = args, .columns = args.columns }).run(begin, end);
        }
    };
    return Of.run;
}

const Rows = struct {
    codec: *const Codec,
    args: *const level_table.Calibrate,
    columns: usize,

    /// Values of a block in each of the rows at hand.
    const Several = [rows_together]Values;

    /// Blocks of the rows [begin, end): returns `end`, or the first row that the format cannot hold.
    fn run(rows: Rows, begin: u32, end: u32) u32 {
        const elements = rows.codec.elements;
        var row = begin;
        while (row < end) : (row += rows_together) {
            const count = @min(rows_together, end - row);
            var several: Several align(64) = undefined;
            for (0..rows.columns / elements) |b| {
                rows.weighed(rows.args.factor, .{ row, row + count }, b * elements, b * elements, &several);
                for (0..count) |r| {
                    const weights = rows.errors(row + r, b);
                    for (several[r][0..elements], weights) |*target, w| target.* += w;
                    if (!rows.encode(row + r, b, &several[r])) return @intCast(row + r);
                }
            }
            for (0..sweeps) |_| {
                var better = false;
                for (0..rows.columns / elements) |b| {
                    rows.weighed(rows.args.sums, .{ row, row + count }, b * elements, rows.columns, &several);
                    for (0..count) |r| better = rows.descend(row + r, b, &several[r]) or better;
                }
                if (!better) break;
            }
        }
        return end;
    }

    /// Where the weights of a block were, and then their errors are.
    fn errors(rows: Rows, row: usize, b: usize) []f32 {
        return rows.args.values[row * rows.columns + b * rows.codec.elements ..][0..rows.codec.elements];
    }

    fn blockAt(rows: Rows, row: usize, b: usize) [*]u8 {
        return rows.args.blocks + (row * (rows.columns / rows.codec.elements) + b) * rows.codec.block_bytes;
    }

    /// Errors of the first `limit` columns of some rows times a matrix: the columns of a block from `first` on.
    fn weighed(rows: Rows, matrix: [*]const f32, range: [2]u32, first: usize, limit: usize, out: *Several) void {
        const row = range[0];
        const count = range[1] - row;
        var at: usize = 0;
        while (at < rows.codec.elements) : (at += part) {
            var sums: [rows_together][2]simd.F = @splat(@splat(@splat(0)));
            for (0..limit) |i| {
                const factors = matrix + i * rows.columns + first + at;
                const low = simd.load(@alignCast(factors));
                const high = simd.load(@alignCast(factors + 16));
                inline for (0..rows_together) |r| {
                    const e = simd.splat(if (r < count) rows.args.values[(row + r) * rows.columns + i] else 0);
                    sums[r][0] += e * low;
                    sums[r][1] += e * high;
                }
            }
            for (0..count) |r| inline for (0..2) |h| simd.store(out[r][at + 16 * h ..].ptr, sums[r][h]);
        }
    }

    /// A block of one row: the scale, then the levels, each making up for those before it.
    fn encode(rows: Rows, row: usize, b: usize, targets: *const Values) bool {
        const codec = rows.codec;
        const first = b * codec.elements;
        const best = rows.blockAt(row, b);
        const start: level_table.Quantize = .{
            .values = @ptrCast(targets),
            .source = .f32,
            .rounding = .search,
            .outliers = .keep,
            .threshold = 0,
            .importance = rows.args.importance + first,
            .columns = codec.elements,
            .mask = null,
            .blocks = best,
        };
        if (rows.args.quantize(&start, 0, 1) != 1) return false;
        const weights = rows.errors(row, b);
        var left: Values align(64) = undefined;
        var least = rows.settle(first, weights, targets, best, &left);
        if (codec.halves > 0) {
            const middle = halfAt(best, 0).*;
            for ([_]i32{ -1, 1 }) |direction| {
                var misses: u32 = 0;
                var step: i32 = 1;
                while (step <= scale_steps and misses < scale_misses) : (step += 1) {
                    // Scales alone are changed; the levels come with `settle`. No such format has more bytes.
                    var trial: [64]u8 = undefined;
                    @memcpy(trial[0..codec.block_bytes], best);
                    halfAt(&trial, 0).* = moved(middle, direction * step) orelse break;
                    var trial_left: Values align(64) = undefined;
                    const e = rows.settle(first, weights, targets, &trial, &trial_left);
                    if (e < least) {
                        least = e;
                        @memcpy(best, trial[0..codec.block_bytes]);
                        left = trial_left;
                        misses = 0;
                    } else misses += 1;
                }
            }
        }
        @memcpy(weights, left[0..codec.elements]);
        return true;
    }

    const scale_steps = 12;
    const scale_misses = 4;

    fn halfAt(block: [*]u8, index: usize) *align(1) u16 {
        return @ptrCast(block + 2 * index);
    }

    /// A half float some 64ths of its exponent's range away.
    fn moved(half: u16, steps: i32) ?u16 {
        const magnitude = @as(i32, half & 0x7fff) + steps * 8;
        if (magnitude <= 0 or magnitude >= 0x7c00) return null;
        return half & 0x8000 | @as(u16, @intCast(magnitude));
    }

    /// The values of a block's lowest codes, and what a code adds.
    fn ladder(codec: *const Codec, block: [*]u8, low: *Values, step: *Values) void {
        var codes: [elements_max]u8 = @splat(0);
        codec.recode(block, &codes);
        codec.decode(block, low);
        codes = @splat(1);
        codec.recode(block, &codes);
        codec.decode(block, step);
        for (step[0..codec.elements], low[0..codec.elements]) |*s, l| s.* -= l;
    }

    /// The nearest code; NaN, where there is no step, becomes 0.
    fn nearest(codec: *const Codec, place: f32) f32 {
        const inside = if (!(place > 0)) 0 else if (place > codec.top) codec.top else place;
        return (inside + 0x1.8p23) - 0x1.8p23; // to nearest even
    }

    /// A column of a block that begins at `first`.
    const Column = struct { first: usize, k: usize };

    /// Takes the row of `matrix` that belongs to a column, times `factor`, off the block's values from `from` on.
    fn take(rows: Rows, matrix: [*]const f32, column: Column, factor: f32, values: *Values, from: usize) void {
        const row = matrix + (column.first + column.k) * rows.columns + column.first;
        var j = from & ~@as(usize, 15);
        while (j < rows.codec.elements) : (j += 16) {
            simd.store(@alignCast(values[j..].ptr), simd.load(@alignCast(values[j..].ptr)) - simd.splat(factor) * simd.load(@alignCast(row + j)));
        }
    }

    /// Sets the levels of a block whose scales are there; returns what they cost, and leaves the weights' errors.
    fn settle(rows: Rows, first: usize, weights: []const f32, targets: *const Values, block: [*]u8, left: *Values) f32 {
        const codec = rows.codec;
        var low: Values = undefined;
        var step: Values = undefined;
        ladder(codec, block, &low, &step);
        var codes: [elements_max]u8 = undefined;
        var wanted: Values align(64) = targets.*;
        var cost: f32 = 0;
        for (0..codec.elements) |k| {
            const level = nearest(codec, (wanted[k] - low[k]) / step[k]);
            codes[k] = @intFromFloat(level);
            const value = low[k] + level * step[k];
            cost += rows.args.importance[first + k] * (wanted[k] - value) * (wanted[k] - value);
            left[k] = weights[k] - value;
            rows.take(rows.args.factor, .{ .first = first, .k = k }, -left[k], &wanted, k);
        }
        codec.recode(block, &codes);
        return cost;
    }

    /// Moves levels and half floats of a block to where each is best; `slopes` are the errors times the sums, which halve
    /// the derivatives. Returns whether anything moved.
    fn descend(rows: Rows, row: usize, b: usize, slopes: *Values) bool {
        const codec = rows.codec;
        const first = b * codec.elements;
        const block = rows.blockAt(row, b);
        const left = rows.errors(row, b);
        var value: Values = undefined;
        codec.decode(block, &value);
        var low: Values = undefined;
        var step: Values = undefined;
        ladder(codec, block, &low, &step);
        var codes: [elements_max]u8 = undefined;
        for (0..codec.elements) |k| codes[k] = @intFromFloat(nearest(codec, (value[k] - low[k]) / step[k]));
        var ever = false;
        for (0..turns) |_| {
            var now = false;
            for (0..codec.elements) |k| {
                const level: f32 = @floatFromInt(codes[k]);
                const wanted = level + slopes[k] / (rows.args.sums[(first + k) * rows.columns + first + k] * step[k]);
                if (!(@abs(wanted - level) > 0.5)) continue;
                const code = nearest(codec, wanted);
                if (code == level) continue;
                const more = (code - level) * step[k];
                codes[k] = @intFromFloat(code);
                left[k] -= more;
                rows.take(rows.args.sums, .{ .first = first, .k = k }, more, slopes, 0);
                now = true;
            }
            for (0..codec.halves) |index| {
                const half = halfAt(block, index);
                const d = float16.fromF16(1, .{half.*})[0];
                // By how much each value grows with the half float.
                var growth: Values align(64) = @splat(1);
                if (index == 0) for (0..codec.elements) |k| {
                    const base = if (codec.halves == 2) float16.fromF16(1, .{halfAt(block, 1).*})[0] else 0;
                    growth[k] = (low[k] + @as(f32, @floatFromInt(codes[k])) * step[k] - base) / d;
                };
                var pull: f32 = 0;
                var stiffness: f32 = 0;
                var bent: Values align(64) = @splat(0);
                for (0..codec.elements) |k| rows.take(rows.args.sums, .{ .first = first, .k = k }, -growth[k], &bent, 0);
                for (0..codec.elements) |k| {
                    pull += growth[k] * slopes[k];
                    stiffness += growth[k] * bent[k];
                }
                const stored = float16.toF16(1, .{d + pull / stiffness})[0];
                const more = float16.fromF16(1, .{stored})[0] - d;
                // Not so where it is not finite, or no better than it was.
                if (stored & 0x7fff == 0 or stored & 0x7c00 == 0x7c00 or !(2 * more * pull > more * more * stiffness)) continue;
                half.* = stored;
                ladder(codec, block, &low, &step);
                for (0..codec.elements) |k| {
                    left[k] -= more * growth[k];
                    slopes[k] -= more * bent[k];
                }
                now = true;
            }
            if (!now) break;
            ever = true;
        }
        codec.recode(block, &codes);
        return ever;
    }
};
