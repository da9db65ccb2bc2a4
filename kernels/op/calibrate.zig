//! Error-compensated rounding, which weighs errors by sums of activations.
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
const float16 = @import("../level/float16.zig");
const format = @import("../formats/format.zig");
const isa = @import("../level/isa.zig");
const simd = @import("../level/simd.zig");

const F = simd.F;
/// Rows that are rounded together, one in each lane. No lane looks at another.
const lanes = level_table.lanes;
/// Columns of a panel: `factor` and `sums` lie panel after panel, each as rows of so many floats.
const panel = level_table.calibrate_panel;
/// Columns that are summed together: their sums leave some registers for the factors.
const together = if (isa.register_lanes == 16) 16 else 4;
/// Errors that stay in the first cache (8 KB), with the rows of a panel that belong to them (16 KB), while a panel's columns are summed.
const stretch = 128;
const elements_max = 256;
/// Columns of a strip: what errors elsewhere come to is summed for all of them at once, so that an error that is read counts in many.
const strip = level_table.calibrate_strip;
const groups_max = level_table.calibrate_rows / lanes;
/// Sweeps over a row after it is rounded, and turns of levels and scales in a block at each.
const sweeps = 4;
const turns = 3;
/// Half floats that are tried in either direction from a scale, and after how many failures in a row the search ends.
const scale_steps = 12;
const scale_misses = 4;

/// A number for each column of a block and each row.
const Values = [elements_max]F;
const Floats = [elements_max]f32;

/// The same, a float at a time.
inline fn each(values: *Values) *[elements_max][lanes]f32 {
    return @ptrCast(values);
}

/// What the code below needs of a format; the code is compiled once for all formats.
const Codec = struct {
    elements: u32,
    block_bytes: u32,
    /// The value of the lowest code in scales, and the greatest code.
    low: f32,
    top: f32,
    /// Half floats that may be moved, from the block's first byte on: none, a scale, a scale and a minimum.
    halves: u32,
    decode: *const fn (block: [*]const u8, out: *Floats) void,
    recode: *const fn (block: [*]u8, codes: *const [elements_max]u8) void,
};

/// The calibrated encoder of a format, or null.
pub fn of(comptime T: type) @FieldType(level_table.Encoder, "calibrate") {
    const features = format.features(T);
    if (features.rounding == .none or !features.even) return null;
    const linear = features.rounding == .linear;
    const Of = struct {
        fn decode(block: [*]const u8, out: *Floats) void {
            T.decode(@ptrCast(block), out[0..T.block_elements]);
        }

        fn recode(block: [*]u8, codes: *const [elements_max]u8) void {
            T.recode(@ptrCast(block), codes[0..T.block_elements]);
        }

        const codec: Codec = .{
            .elements = T.block_elements,
            .block_bytes = @sizeOf(T.Block),
            .low = if (linear) T.linear.low else 0,
            .top = if (linear) T.linear.high - T.linear.low else T.sub_blocks.high - T.sub_blocks.low,
            .halves = if (!linear) 0 else if (T.linear.kind == .range) 2 else 1,
            .decode = decode,
            .recode = recode,
        };

        fn run(args: *const level_table.Calibrate, begin: u32, end: u32, room: [*]align(64) f32) callconv(.c) u32 {
            return Groups.run(&codec, args, .{ .begin = begin, .end = end }, room);
        }
    };
    return Of.run;
}

/// Groups of rows, which share what is read of a matrix. No group looks at another.
const Groups = struct {
    rows: [groups_max]Rows = undefined,
    count: u32 = 0,

    const Span = struct { begin: u32, end: u32 };

    /// Returns the end of the span, or the first row that the format cannot hold. The values become the errors.
    fn run(codec: *const Codec, args: *const level_table.Calibrate, span: Span, room: [*]align(64) f32) u32 {
        const columns = args.columns;
        var groups: Groups = .{};
        var own: [*]F = @ptrCast(room);
        var first = span.begin;
        while (first < span.end) : (first += lanes) {
            const rows: Rows = .{ .codec = codec, .args = args, .errors = own, .slopes = own + columns, .first = first, .count = @min(lanes, span.end - first) };
            rows.read();
            groups.rows[groups.count] = rows;
            groups.count += 1;
            own += columns + strip;
        }
        const good = groups.round(span.end);
        for (0..sweeps) |_| if (!groups.sweep()) break;
        for (groups.rows[0..groups.count]) |*rows| rows.leave();
        return good;
    }

    /// Rounds all blocks. A group with a row that the format cannot hold ends there, and so do those after it.
    fn round(groups: *Groups, end: u32) u32 {
        const args = groups.rows[0].args;
        const elements = groups.rows[0].codec.elements;
        var good = end;
        var begin: usize = 0;
        while (begin < args.columns) : (begin += strip) {
            const limit = @min(begin + strip, args.columns);
            groups.clear(begin, limit);
            groups.weigh(args.factor, begin, limit, .{ 0, begin });
            for (groups.rows[0..groups.count], 0..) |*rows, group| {
                var first = begin;
                while (first < limit) : (first += elements) {
                    const targets = rows.slopes + (first - begin);
                    rows.weigh(args.factor, .{ first, first + elements }, .{ begin, first }, targets);
                    for (targets[0..elements], rows.errors + first) |*target, weight| target.* += weight;
                    const held = rows.encode(first / elements, targets);
                    if (held == rows.count) continue;
                    good = @intCast(rows.first + held);
                    groups.count = @intCast(group);
                    break;
                }
                if (group == groups.count) break;
            }
        }
        return good;
    }

    /// Moves what is better elsewhere, in all blocks; whether anything was.
    fn sweep(groups: *Groups) bool {
        if (groups.count == 0) return false;
        const args = groups.rows[0].args;
        const elements = groups.rows[0].codec.elements;
        var better = false;
        var begin: usize = 0;
        while (begin < args.columns) : (begin += strip) {
            const limit = @min(begin + strip, args.columns);
            groups.clear(begin, limit);
            groups.weigh(args.sums, begin, limit, .{ 0, begin });
            groups.weigh(args.sums, begin, limit, .{ limit, args.columns });
            for (groups.rows[0..groups.count]) |*rows| {
                var first = begin;
                while (first < limit) : (first += elements) {
                    const slopes = rows.slopes + (first - begin);
                    rows.weigh(args.sums, .{ first, first + elements }, .{ begin, limit }, slopes);
                    better = rows.descend(first / elements, slopes) or better;
                }
            }
        }
        return better;
    }

    fn clear(groups: *Groups, first: usize, limit: usize) void {
        for (groups.rows[0..groups.count]) |*rows| @memset(rows.slopes[0 .. limit - first], @splat(0));
    }

    /// Adds the errors of some columns times their rows of a matrix to the slopes of a strip.
    fn weigh(groups: *Groups, matrix: [*]const f32, first: usize, limit: usize, from: [2]usize) void {
        var k = from[0];
        while (k < from[1]) : (k += stretch) {
            var column = first;
            while (column < limit) : (column += panel) for (groups.rows[0..groups.count]) |*rows| {
                rows.weigh(matrix, .{ column, @min(column + panel, limit) }, .{ k, @min(k + stretch, from[1]) }, rows.slopes + (column - first));
            };
        }
    }
};

const Rows = struct {
    codec: *const Codec,
    args: *const level_table.Calibrate,
    /// The weights of each column; rounding replaces them by their errors.
    errors: [*]F,
    /// For each column of a strip, the sum of errors times a matrix.
    slopes: [*]F,
    first: usize,
    /// At most `lanes`. The other lanes hold finite numbers that nothing reads.
    count: u32,

    fn read(rows: *const Rows) void {
        const columns = rows.args.columns;
        for (rows.errors[0..columns], 0..) |*column, k| column.* = rows.gather(rows.args.values + rows.first * columns + k, columns);
    }

    fn leave(rows: *const Rows) void {
        const columns = rows.args.columns;
        for (rows.errors[0..columns], 0..) |column, k| {
            const floats: [lanes]f32 = column;
            for (0..rows.count) |r| rows.args.values[(rows.first + r) * columns + k] = floats[r];
        }
    }

    /// A float of each row, `stride` apart.
    fn gather(rows: *const Rows, from: [*]const f32, stride: usize) F {
        var floats: [lanes]f32 = @splat(0);
        for (0..rows.count) |r| floats[r] = from[r * stride];
        return floats;
    }

    fn blockOf(rows: *const Rows, r: usize, b: usize) [*]u8 {
        return rows.args.blocks + ((rows.first + r) * (rows.args.columns / rows.codec.elements) + b) * rows.codec.block_bytes;
    }

    /// Row `i` of a matrix from a column on, as far as its panel goes.
    inline fn at(rows: *const Rows, matrix: [*]const f32, i: usize, column: usize) [*]const f32 {
        return matrix + column / panel * panel * rows.args.columns + i * panel + column % panel;
    }

    /// Adds the errors of the columns `from` times their rows of a matrix, in the columns `to`.
    fn weigh(rows: *const Rows, matrix: [*]const f32, to: [2]usize, from: [2]usize, out: [*]F) void {
        const errors = rows.errors[from[0]..from[1]];
        var column = to[0];
        while (column < to[1]) : (column += together) {
            const own = out[column - to[0] ..][0..together];
            var sums: [together]F = own.*;
            var row = rows.at(matrix, from[0], column);
            for (errors) |e| {
                // What the next panel's columns need, which lies elsewhere.
                @prefetch(row + panel * rows.args.columns, .{ .locality = 2 });
                inline for (&sums, 0..) |*sum, j| sum.* = simd.fma(e, simd.splat(row[j]), sum.*);
                row += panel;
            }
            own.* = sums;
        }
    }

    /// Row `k` of a matrix, within the block that begins at `first`.
    const Line = struct { matrix: [*]const f32, first: usize, k: usize };

    /// Adds `amount` times a line to the block's values from `from` on, or a little before.
    fn spread(rows: *const Rows, line: Line, amount: F, values: [*]F, from: usize) void {
        var j = from & ~@as(usize, 7);
        while (j < rows.codec.elements) : (j += 8) {
            const row = rows.at(line.matrix, line.first + line.k, line.first + j);
            inline for (0..8) |c| values[j + c] = simd.fma(amount, simd.splat(row[c]), values[j + c]);
        }
    }

    /// The levels of a block: the value of the lowest code, and the step from a code to the next.
    const Ladder = struct {
        low: Values,
        step: Values,

        fn read(ladder: *Ladder, rows: *const Rows, b: usize) void {
            const elements = rows.codec.elements;
            @memset(ladder.low[0..elements], @splat(0));
            @memset(ladder.step[0..elements], @splat(1));
            for (0..rows.count) |r| {
                var copy: [256]u8 = undefined; // no block has more bytes
                @memcpy(copy[0..rows.codec.block_bytes], rows.blockOf(r, b));
                var codes: [elements_max]u8 = @splat(0);
                var low: Floats = undefined;
                var next: Floats = undefined;
                rows.codec.recode(&copy, &codes);
                rows.codec.decode(&copy, &low);
                codes = @splat(1);
                rows.codec.recode(&copy, &codes);
                rows.codec.decode(&copy, &next);
                for (0..elements) |k| {
                    each(&ladder.low)[k][r] = low[k];
                    each(&ladder.step)[k][r] = next[k] - low[k];
                }
            }
        }

        /// One scale for the whole block.
        fn set(ladder: *Ladder, codec: *const Codec, scale: F, minimum: F) void {
            @memset(ladder.low[0..codec.elements], if (codec.halves == 2) minimum else scale * simd.splat(codec.low));
            @memset(ladder.step[0..codec.elements], scale);
        }
    };

    /// The nearest code; NaN, where there is no step, becomes 0.
    inline fn nearest(rows: *const Rows, place: F) F {
        const inside = @select(f32, place > simd.splat(0), @min(place, simd.splat(rows.codec.top)), simd.splat(0));
        return (inside + simd.splat(0x1.8p23)) - simd.splat(0x1.8p23); // to nearest even
    }

    /// Levels of a block, the differences of the weights from them, and the error that they cost.
    const Choice = struct { levels: Values, left: Values, cost: F };

    /// A block of all rows: the scales, then the levels, each making up for those before it. Returns how many rows come before one
    /// that the format cannot hold.
    fn encode(rows: *const Rows, b: usize, targets: [*]const F) u32 {
        const codec = rows.codec;
        const elements = codec.elements;
        const good = rows.search(b, targets);
        if (good < rows.count) return good;
        var ladder: Ladder = undefined;
        ladder.read(rows, b);
        var best: Choice = undefined;
        rows.settle(b, targets, &ladder, &best);
        if (codec.halves > 0) {
            const middle = rows.halves(b, 0);
            const minimum = if (codec.halves == 2) float16.fromF16(lanes, rows.halves(b, 1)) else simd.splat(0);
            var half = middle;
            for ([_]i32{ -1, 1 }) |direction| {
                var misses: simd.I = @splat(0);
                var step: i32 = 1;
                while (step <= scale_steps) : (step += 1) {
                    // Some 64ths of an exponent's range away.
                    const magnitude = @as(simd.I, @intCast(middle & @as(simd.H, @splat(0x7fff)))) + @as(simd.I, @splat(8 * direction * step));
                    const tried = both(both(magnitude > @as(simd.I, @splat(0)), magnitude < @as(simd.I, @splat(0x7c00))), misses < @as(simd.I, @splat(scale_misses)));
                    if (!@reduce(.Or, tried)) break;
                    const inside: simd.H = @intCast(@select(i32, tried, magnitude, @as(simd.I, @splat(0))));
                    const moved = middle & @as(simd.H, @splat(0x8000)) | inside;
                    ladder.set(codec, float16.fromF16(lanes, moved), minimum);
                    var trial: Choice = undefined;
                    rows.settle(b, targets, &ladder, &trial);
                    const better = both(tried, trial.cost < best.cost);
                    misses = @select(i32, better, @as(simd.I, @splat(0)), misses + @as(simd.I, @splat(1)));
                    if (!@reduce(.Or, better)) continue;
                    half = @select(u16, better, moved, half);
                    best.cost = @select(f32, better, trial.cost, best.cost);
                    for (0..elements) |k| {
                        best.levels[k] = @select(f32, better, trial.levels[k], best.levels[k]);
                        best.left[k] = @select(f32, better, trial.left[k], best.left[k]);
                    }
                }
            }
            rows.setHalves(b, 0, half);
        }
        rows.write(b, &best.levels);
        @memcpy(rows.errors + b * elements, best.left[0..elements]);
        return rows.count;
    }

    inline fn both(a: simd.Mask, b: simd.Mask) simd.Mask {
        return @select(bool, a, b, @as(simd.Mask, @splat(false)));
    }

    /// Scales by the format's own search.
    fn search(rows: *const Rows, b: usize, targets: [*]const F) u32 {
        const elements = rows.codec.elements;
        var plain: [lanes * elements_max]f32 = undefined;
        var made: [lanes * 256]u8 = undefined;
        for (targets[0..elements], 0..) |target, k| {
            const floats: [lanes]f32 = target;
            for (0..rows.count) |r| plain[r * elements + k] = floats[r];
        }
        const good = rows.args.quantize(&.{
            .values = @ptrCast(&plain),
            .source = .f32,
            .rounding = .search,
            .outliers = .keep,
            .threshold = 0,
            .importance = rows.args.importance + b * elements,
            .columns = elements,
            .mask = null,
            .blocks = &made,
        }, 0, rows.count);
        const bytes = rows.codec.block_bytes;
        for (0..good) |r| @memcpy(rows.blockOf(r, b)[0..bytes], made[r * bytes ..][0..bytes]);
        return @intCast(good);
    }

    fn halfAt(rows: *const Rows, r: usize, b: usize, index: usize) *align(1) u16 {
        return @ptrCast(rows.blockOf(r, b) + 2 * index);
    }

    fn halves(rows: *const Rows, b: usize, index: usize) simd.H {
        var found: [lanes]u16 = @splat(0x3c00); // 1
        for (0..rows.count) |r| found[r] = rows.halfAt(r, b, index).*;
        return found;
    }

    fn setHalves(rows: *const Rows, b: usize, index: usize, to: simd.H) void {
        const found: [lanes]u16 = to;
        for (0..rows.count) |r| rows.halfAt(r, b, index).* = found[r];
    }

    fn write(rows: *const Rows, b: usize, levels: *Values) void {
        for (0..rows.count) |r| {
            var codes: [elements_max]u8 = undefined;
            for (0..rows.codec.elements) |k| codes[k] = @intFromFloat(each(levels)[k][r]);
            rows.codec.recode(rows.blockOf(r, b), &codes);
        }
    }

    /// Sets the levels of a block whose scales are there.
    fn settle(rows: *const Rows, b: usize, targets: [*]const F, ladder: *const Ladder, choice: *Choice) void {
        const elements = rows.codec.elements;
        const first = b * elements;
        var wanted: Values = undefined;
        @memcpy(wanted[0..elements], targets[0..elements]);
        var cost: F = @splat(0);
        for (0..elements) |k| {
            const level = rows.nearest((wanted[k] - ladder.low[k]) / ladder.step[k]);
            const value = ladder.low[k] + level * ladder.step[k];
            const gap = wanted[k] - value;
            cost += simd.splat(rows.args.importance[first + k]) * gap * gap;
            choice.levels[k] = level;
            choice.left[k] = rows.errors[first + k] - value;
            rows.spread(.{ .matrix = rows.args.factor, .first = first, .k = k }, choice.left[k], &wanted, k + 1);
        }
        choice.cost = cost;
    }

    /// Moves levels and half floats of a block to where each is best; `slopes` are the errors times the sums, which halve
    /// the derivatives. Returns whether anything moved.
    fn descend(rows: *const Rows, b: usize, slopes: [*]F) bool {
        const codec = rows.codec;
        const elements = codec.elements;
        const left = rows.errors + b * elements;
        var ladder: Ladder = undefined;
        ladder.read(rows, b);
        var levels: Values = undefined;
        rows.readLevels(b, &ladder, &levels);
        var ever = false;
        for (0..turns) |_| {
            var now = false;
            for (0..elements) |k| {
                const curvature = simd.splat(rows.at(rows.args.sums, b * elements + k, b * elements + k)[0]);
                const wanted = levels[k] + slopes[k] / (curvature * ladder.step[k]);
                const code = rows.nearest(wanted);
                // A NaN counts as near: the comparison is false.
                const moved = both(@abs(wanted - levels[k]) > simd.splat(0.5), code != levels[k]);
                if (!@reduce(.Or, moved)) continue;
                const more = @select(f32, moved, (code - levels[k]) * ladder.step[k], simd.splat(0));
                levels[k] = @select(f32, moved, code, levels[k]);
                left[k] -= more;
                rows.spread(.{ .matrix = rows.args.sums, .first = b * elements, .k = k }, -more, slopes, 0);
                now = true;
            }
            for (0..codec.halves) |index| now = rows.descendHalf(b, index, &levels, &ladder, slopes) or now;
            if (!now) break;
            ever = true;
        }
        if (ever) rows.write(b, &levels);
        return ever;
    }

    fn readLevels(rows: *const Rows, b: usize, ladder: *const Ladder, levels: *Values) void {
        const elements = rows.codec.elements;
        @memset(levels[0..elements], @splat(0));
        for (0..rows.count) |r| {
            var values: Floats = undefined;
            rows.codec.decode(rows.blockOf(r, b), &values);
            for (0..elements) |k| each(levels)[k][r] = values[k];
        }
        for (levels[0..elements], ladder.low[0..elements], ladder.step[0..elements]) |*level, low, step| level.* = rows.nearest((level.* - low) / step);
    }

    /// Moves a scale (index 0) or a minimum of each row to where it is best; returns whether one moved.
    fn descendHalf(rows: *const Rows, b: usize, index: usize, levels: *const Values, ladder: *Ladder, slopes: [*]F) bool {
        const codec = rows.codec;
        const elements = codec.elements;
        const left = rows.errors + b * elements;
        const low = simd.splat(if (codec.halves == 2) 0 else codec.low);
        // By how much each value grows with the half float.
        var growth: Values = undefined;
        for (0..elements) |k| growth[k] = if (index == 0) levels[k] + low else simd.splat(1);
        var bent: Values = undefined;
        @memset(bent[0..elements], @splat(0));
        for (0..elements) |k| rows.spread(.{ .matrix = rows.args.sums, .first = b * elements, .k = k }, growth[k], &bent, 0);
        var pull: F = @splat(0);
        var stiffness: F = @splat(0);
        for (0..elements) |k| {
            pull += growth[k] * slopes[k];
            stiffness += growth[k] * bent[k];
        }
        const before = rows.halves(b, index);
        const d = float16.fromF16(lanes, before);
        const stored = float16.toF16(lanes, d + pull / stiffness);
        const more = float16.fromF16(lanes, stored) - d;
        const magnitude = stored & @as(simd.H, @splat(0x7fff));
        const finite = both(magnitude != @as(simd.H, @splat(0)), magnitude < @as(simd.H, @splat(0x7c00)));
        const moved = both(finite, simd.splat(2) * more * pull > more * more * stiffness);
        if (!@reduce(.Or, moved)) return false;
        const step = @select(f32, moved, more, simd.splat(0));
        rows.setHalves(b, index, @select(u16, moved, stored, before));
        for (0..elements) |k| {
            left[k] -= step * growth[k];
            slopes[k] -= step * bent[k];
        }
        const minimum = if (codec.halves == 2) float16.fromF16(lanes, rows.halves(b, 1)) else simd.splat(0);
        ladder.set(codec, float16.fromF16(lanes, rows.halves(b, 0)), minimum);
        return true;
    }
};
