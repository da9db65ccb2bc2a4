//! Encoders of the formats whose weights are points of a lattice (IQ1, IQ2, IQ3): 256 values, an odd integer scale for each 16 or
//! 32 of them, and a half float over all. One function serves all of these formats; a `Plan` says how they differ.
//!
//! First the scale of each sub-block that leaves it the least error is looked for. Then half floats are tried under which the
//! greatest of these becomes one of the largest integers; a sub-block takes the integer near its own scale that leaves it the
//! least error, the half float is fitted to what came out, by least squares, and tried again. The nearest point is found by
//! what each half of it would cost: halves that cost more than the best point are passed over with all their points.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const lattice = @import("../formats/lattice.zig");
const float16 = @import("../level/float16.zig");

/// How much is tried: scales of a sub-block, half floats, and whether integers beside the nearest are.
const Effort = struct { scales: u32, tops: u32, fits: u32, beside: bool };
const quick: Effort = .{ .scales = 4, .tops = 1, .fits = 0, .beside = false };
const thorough: Effort = .{ .scales = 7, .tops = 2, .fits = 1, .beside = true };

/// Points that share the high byte of their entry.
const Group = struct { high: u8, end: u16 };

/// The most groups: entries have four ternary codes, or two of eight, in a byte.
const groups_max = 81;

/// A format as its encoder sees it.
const Plan = struct {
    points: []const u16,
    /// The points' numbers, those of a group together.
    order: []const u16,
    groups: []const Group,
    /// Values of a point, 4 or 8.
    run: u32,
    /// Values that share an integer scale, 16 or 32.
    sub: u32,
    /// The greatest c of a scale 2 c + 1.
    step_max: u32,
    /// What a code stands for; of points that are moved, less what they are moved by.
    levels: [8]f32,
    /// Whether the signs of eight values are even in number.
    even: bool,
    /// Points that are moved together, by 1 up or down; 0: none are.
    moved: u32,
    factor: f32,

    /// The greatest level.
    fn top(plan: *const Plan) f32 {
        var most: f32 = 0;
        for (plan.levels) |level| most = @max(most, level);
        return if (plan.moved > 0) most + 1 else most;
    }
};

fn planOf(comptime shape: lattice.Shape) Plan {
    @setEvalBranchQuota(200_000);
    const count = shape.points.len;
    var ends: [256]u16 = @splat(0);
    for (shape.points) |point| ends[point >> 8] += 1;
    var places: [256]u16 = undefined;
    var groups: []const Group = &.{};
    var at: u16 = 0;
    for (ends, 0..) |own, high| {
        places[high] = at;
        at += own;
        if (own > 0) groups = groups ++ .{Group{ .high = @intCast(high), .end = at }};
    }
    var order: [count]u16 = undefined;
    for (shape.points, 0..) |point, number| {
        order[places[point >> 8]] = @intCast(number);
        places[point >> 8] += 1;
    }
    var levels: [8]f32 = @splat(0);
    const moved = shape.levels.len == 0;
    for (&levels, 0..) |*level, code| level.* = if (moved) 8 * (@as(f32, @floatFromInt(@min(code, 2))) - 1) else @floatFromInt(shape.levels[@min(code, shape.levels.len - 1)]);
    const kept = order;
    return .{
        .points = shape.points,
        .order = &kept,
        .groups = groups,
        .run = shape.run,
        .sub = 32 / shape.parts,
        .step_max = shape.step_max,
        .levels = levels,
        .even = shape.even,
        .moved = if (!moved) 0 else if (shape.parts == 1) 4 else 1,
        .factor = shape.factor,
    };
}

/// Encodes `count` blocks of finite values; returns how many come before the first whose scale is not finite.
pub fn encode(comptime F: type, rounding: level_table.Rounding, values: [*]align(4) const f32, importance: ?[*]const f32, blocks: [*]align(1) F.Block, count: u32) u32 {
    const plan = comptime planOf(F.shape);
    for (0..count) |b| {
        const weights = if (importance) |all| all + b * 256 else null;
        var search: Search = undefined;
        if (!search.begin(&plan, values + b * 256, weights)) return @intCast(b);
        search.attempt(quick);
        // After the quick one, so that a search never finds less than it.
        if (rounding == .search) search.attempt(thorough);
        F.store(&blocks[b], &search.best);
    }
    return count;
}

/// What a sub-block takes under a scale: points, whether they are moved down, and the error that is left.
const Taken = struct { cost: f32, points: [8]u16, down: [8]bool };

const Search = struct {
    plan: *const Plan,
    /// Magnitudes, of those whose sign is the other one negative; values themselves where points are moved.
    x: [256]f32,
    w: [256]f32,
    signs: [32]u8,
    best: lattice.Found,
    left: f32,

    /// False where the values are too large for any scale.
    fn begin(search: *Search, plan: *const Plan, values: [*]align(4) const f32, importance: ?[*]const f32) bool {
        search.plan = plan;
        var most: f32 = 0;
        var weight_most: f32 = 0;
        for (0..256) |i| {
            most = @max(most, @abs(values[i]));
            if (importance) |all| weight_most = @max(weight_most, all[i]);
        }
        const reach = 65504 * plan.factor * plan.top() * @as(f32, @floatFromInt(2 * plan.step_max + 1));
        if (!(most <= reach)) return false;
        // Where no column counts, all count the same; weights are brought near 1 so that squares stay in range.
        for (&search.w, 0..) |*w, i| w.* = if (weight_most > 0) importance.?[i] * (1 / weight_most) else 1;
        for (&search.signs, 0..) |*signs, eight| signs.* = search.signsOf(values + eight * 8, eight * 8);
        search.best = .{ .d = 0, .steps = @splat(0), .points = @splat(0), .signs = search.signs };
        search.left = std.math.inf(f32);
        return true;
    }

    /// Splits eight values into magnitudes and signs; where the number of signs must be even, the value that counts least has the
    /// other one.
    fn signsOf(search: *Search, values: [*]align(4) const f32, at: usize) u8 {
        if (search.plan.moved > 0) {
            for (0..8) |i| search.x[at + i] = values[i];
            return 0;
        }
        var signs: u8 = 0;
        var least: usize = 0;
        for (0..8) |i| {
            if (values[i] < 0) signs |= @as(u8, 1) << @intCast(i);
            search.x[at + i] = @abs(values[i]);
            if (search.w[at + i] * search.x[at + i] < search.w[at + least] * search.x[at + least]) least = i;
        }
        if (search.plan.even and @popCount(signs) % 2 == 1) {
            signs ^= @as(u8, 1) << @intCast(least);
            search.x[at + least] = -search.x[at + least];
        }
        return signs;
    }

    fn attempt(search: *Search, effort: Effort) void {
        const plan = search.plan;
        const subs = 256 / plan.sub;
        var own: [16]f32 = @splat(0);
        var greatest: f32 = 0;
        for (own[0..subs], 0..) |*scale, sub| {
            scale.* = search.ownScale(sub, effort.scales);
            greatest = @max(greatest, scale.*);
        }
        for (0..effort.tops) |turn| {
            const integer: f32 = @floatFromInt(2 * (plan.step_max - turn) + 1);
            var d = greatest / (plan.factor * integer);
            for (0..effort.fits + 1) |_| d = search.settle(d, &own, effort.beside) orelse break;
        }
    }

    /// The scale of a sub-block that leaves it the least error.
    fn ownScale(search: *const Search, sub: usize, scales: u32) f32 {
        const plan = search.plan;
        const first = sub * plan.sub;
        var most: f32 = 0;
        for (search.x[first..][0..plan.sub]) |x| most = @max(most, @abs(x));
        if (most == 0) return 0;
        // The fewer levels there are, the further the greatest value may lie beyond them.
        const far: f32 = if (plan.moved > 0) 2.7 else if (plan.run == 8) 1.7 else 1.3;
        var best: f32 = 0;
        var least = std.math.inf(f32);
        for (0..scales + 2) |turn| {
            const share = @as(f32, @floatFromInt(turn)) / @as(f32, @floatFromInt(scales - 1));
            const at = 0.75 + (far - 0.75) * share;
            // Turns beyond the scales fit the best of them to what it led to.
            const scale = if (turn < scales) most / (plan.top() * at) else search.fitted(sub, best);
            const taken = search.take(sub, scale);
            if (taken.cost < least) {
                least = taken.cost;
                best = scale;
            }
        }
        return best;
    }

    /// The scale that suits what a sub-block takes under another.
    fn fitted(search: *const Search, sub: usize, scale: f32) f32 {
        const sums = search.sumsOf(sub, &search.take(sub, scale));
        return if (sums.b > 0 and sums.a > 0) sums.a / sums.b else scale;
    }

    const Sums = struct { a: f32, b: f32 };

    /// Sums of w x q and w q^2 of what a sub-block takes.
    fn sumsOf(search: *const Search, sub: usize, taken: *const Taken) Sums {
        var sums: Sums = .{ .a = 0, .b = 0 };
        const first = sub * search.plan.sub;
        for (0..search.plan.sub) |i| {
            const run = i / search.plan.run;
            const q = search.levelOf(taken.points[run], i % search.plan.run, taken.down[run]);
            const t = search.w[first + i] * q;
            sums.a += t * search.x[first + i];
            sums.b += t * q;
        }
        return sums;
    }

    fn levelOf(search: *const Search, number: u16, k: usize, down: bool) f32 {
        const plan = search.plan;
        const point = plan.points[number];
        const code = if (plan.run == 8) point >> @intCast(4 * (k % 4) + k / 4 * 2) & 3 else point >> @intCast(4 * k) & 7;
        const level = plan.levels[code];
        return if (plan.moved == 0) level else if (down) level - 1 else level + 1;
    }

    /// Gives sub-blocks the integers near their own scales under the half float next to `d`; keeps what leaves less error than all
    /// before, and returns the scale that fits it. Null where there is none.
    fn settle(search: *Search, d: f32, own: *const [16]f32, beside: bool) ?f32 {
        const plan = search.plan;
        const bits = float16.toF16(1, .{d})[0];
        if (bits & 0x7c00 == 0x7c00) return null;
        const unit = float16.fromF16(1, .{bits})[0] * plan.factor;
        const last: i32 = @intCast(plan.step_max);
        var found: lattice.Found = .{ .d = bits, .steps = @splat(0), .points = @splat(0), .signs = search.signs };
        var total: f32 = 0;
        var sums: Sums = .{ .a = 0, .b = 0 };
        for (0..256 / plan.sub) |sub| {
            const near: i32 = if (unit > 0) @intFromFloat(@min(@max((own[sub] / unit - 1) * 0.5 + 0.5, 0), 64)) else 0;
            var best: Taken = undefined;
            best.cost = std.math.inf(f32);
            var step: i32 = 0;
            var c = near - @as(i32, if (beside) 1 else 0);
            while (c <= near + @as(i32, if (beside) 1 else 0)) : (c += 1) {
                if (beside and (c < 0 or c > last)) continue;
                const clamped = @min(@max(c, 0), last);
                const taken = search.take(sub, unit * @as(f32, @floatFromInt(2 * clamped + 1)));
                if (!(taken.cost < best.cost)) continue;
                best = taken;
                step = clamped;
            }
            // Costs that are beyond all floats.
            if (!(best.cost < std.math.inf(f32))) return null;
            total += best.cost;
            const integer: f32 = @floatFromInt(2 * step + 1);
            const own_sums = search.sumsOf(sub, &best);
            sums.a += own_sums.a * integer;
            sums.b += own_sums.b * integer * integer;
            search.put(&found, sub, @intCast(step), &best);
        }
        if (total < search.left) {
            search.left = total;
            search.best = found;
        }
        return if (sums.a > 0 and sums.b > 0) sums.a / (sums.b * plan.factor) else null;
    }

    fn put(search: *const Search, found: *lattice.Found, sub: usize, step: u8, taken: *const Taken) void {
        const plan = search.plan;
        for (found.steps[sub * plan.sub / 16 ..][0 .. plan.sub / 16]) |*own| own.* = step;
        const first = sub * plan.sub / plan.run;
        for (0..plan.sub / plan.run) |run| {
            found.points[first + run] = taken.points[run];
            if (plan.moved > 0) found.signs[first + run] = if (taken.down[run]) 0xff else 0;
        }
    }

    /// The points that leave a sub-block the least error under a scale.
    fn take(search: *const Search, sub: usize, scale: f32) Taken {
        const plan = search.plan;
        const first = sub * plan.sub;
        var taken: Taken = .{ .cost = 0, .points = @splat(0), .down = @splat(false) };
        const runs = plan.sub / plan.run;
        if (plan.moved == 0) {
            for (0..runs) |run| taken.cost += search.nearest(first + run * plan.run, scale, 0, &taken.points[run]);
            return taken;
        }
        var run: usize = 0;
        while (run < runs) : (run += plan.moved) {
            var costs: [2]f32 = @splat(0);
            var points: [2][4]u16 = undefined;
            for (&costs, &points, [2]f32{ 1, -1 }) |*cost, *list, by| for (list[0..plan.moved], run..) |*point, own| {
                cost.* += search.nearest(first + own * plan.run, scale, by, point);
            };
            const down = costs[1] < costs[0];
            taken.cost += costs[@intFromBool(down)];
            for (points[@intFromBool(down)][0..plan.moved], run..) |point, own| {
                taken.points[own] = point;
                taken.down[own] = down;
            }
        }
        return taken;
    }

    /// The nearest point of the values from `at` on, of which every level is moved by `by`; returns the error that it leaves.
    fn nearest(search: *const Search, at: usize, scale: f32, by: f32, number: *u16) f32 {
        const plan = search.plan;
        // What each nibble of an entry costs.
        var costs: [4][16]f32 = undefined;
        for (&costs, 0..) |*nibbles, k| search.fill(nibbles, at + k, scale, by);
        const codes: usize = if (plan.run == 8) 16 else 8;
        const low_least = leastOf(costs[0][0..codes]) + leastOf(costs[1][0..codes]);
        var bases: [groups_max]f32 = undefined;
        var first: usize = 0;
        for (plan.groups, 0..) |group, g| {
            bases[g] = costs[2][group.high & 15] + costs[3][group.high >> 4];
            if (bases[g] < bases[first]) first = g;
        }
        var best: f32 = std.math.inf(f32);
        number.* = 0;
        search.among(first, bases[first], &costs, &best, number);
        for (bases[0..plan.groups.len], 0..) |base, g| {
            if (g != first and base + low_least < best) search.among(g, base, &costs, &best, number);
        }
        return best;
    }

    /// Takes the best point of a group, where it is better.
    fn among(search: *const Search, g: usize, base: f32, costs: *const [4][16]f32, best: *f32, number: *u16) void {
        const plan = search.plan;
        const from = if (g == 0) 0 else plan.groups[g - 1].end;
        for (plan.order[from..plan.groups[g].end]) |candidate| {
            const point = plan.points[candidate];
            const cost = base + (costs[0][point & 15] + costs[1][point >> 4 & 15]);
            if (cost < best.*) {
                best.* = cost;
                number.* = candidate;
            }
        }
    }

    /// What the codes of a nibble cost: of one value, or of two that lie four apart.
    fn fill(search: *const Search, nibbles: *[16]f32, at: usize, scale: f32, by: f32) void {
        const plan = search.plan;
        if (plan.run == 4) {
            for (nibbles[0..8], plan.levels) |*cost, level| cost.* = search.costOf(at, scale * level);
            return;
        }
        for (0..4) |high| {
            const above = search.costOf(at + 4, scale * (plan.levels[high] + by));
            for (0..4) |low| nibbles[low + 4 * high] = above;
        }
        for (0..4) |low| {
            const own = search.costOf(at, scale * (plan.levels[low] + by));
            for (0..4) |high| nibbles[low + 4 * high] += own;
        }
    }

    fn costOf(search: *const Search, i: usize, value: f32) f32 {
        const rest = search.x[i] - value;
        return search.w[i] * (rest * rest);
    }
};

fn leastOf(costs: []const f32) f32 {
    var found = costs[0];
    for (costs[1..]) |cost| found = @min(found, cost);
    return found;
}
