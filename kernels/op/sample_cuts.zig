//! The methods that take tokens out of a list. Each finds a bound (a logit, a distance, a weight) and packs what is
//! within it; `level_table.Step` says what their numbers are, `docs/sampling.md` what they do.

const std = @import("std");
const simd = @import("../level/simd.zig");
const math = @import("math.zig");
const list_zig = @import("sample_list.zig");
const select = @import("sample_select.zig");

const F = simd.F;
const List = list_zig.List;
const Workspace = list_zig.Workspace;
const Bound = select.Bound;
const at = list_zig.at;
const inf = list_zig.inf;

/// In lists up to this length, setting aside tokens that cannot be kept costs more than it saves.
const short = 256;

/// The k greatest logits.
pub noinline fn topK(list: *List, workspace: Workspace, k: usize) void {
    if (k >= list.len) return;
    if (k == 1) return list.only(list.first(list.max, workspace), workspace);
    const columns = (list.len + short - 1) / short * 16;
    if (list.grouped and 4 * k <= columns) {
        // Each column's greatest is one token, so the k greatest tokens are not below the k-th of these.
        var columns_list: List = .{ .logits = workspace.maxima, .len = columns };
        const scores = copyLogits(&columns_list, workspace, list.max);
        const floor = if (k < scores.len) scores.find(false, k).score else -inf;
        list.packFrom(workspace, floor);
        if (k >= list.len) return;
    }
    const scores = copyLogits(list, workspace, list.max);
    if (k >= scores.len) return;
    var taking: TakeLogits = .{ .bound = scores.find(false, k) };
    list.pack(workspace, &taking);
}

/// The likeliest tokens whose weights reach p of the whole.
pub fn topP(list: *List, workspace: Workspace, p: f32, min_keep: usize) void {
    if (list.isWarm()) topPOf(list, workspace, p, min_keep, true) else topPOf(list, workspace, p, min_keep, false);
}

noinline fn topPOf(list: *List, workspace: Workspace, p: f32, min_keep: usize, comptime warm: bool) void {
    if (list.len <= min_keep) return;
    const total = list.total();
    const goal = share(p, total);
    // A token is set aside where even a whole vocabulary of such tokens would weigh no more than what is cut off.
    const least = (total - goal) / list.len + 1;
    const heavy: Heavy(warm) = .{ .list = list, .floor = if (list.len <= short) -inf else list_zig.leastExponent(@min(least, 1 << 32)) };
    var scores = copy(list, workspace, &heavy);
    var low = simd.splat(inf);
    var i: usize = 0;
    while (i < scores.len) : (i += 16) {
        const v = simd.load(workspace.parts[0].scores + i);
        const inside = std.simd.iota(u32, 16) < @as(simd.U, @splat(@intCast(scores.len - i)));
        low = @select(f32, inside & (v < low), v, low);
        simd.store(workspace.parts[0].exponentials + i, list.exponential(v, warm));
    }
    scores.low = select.floatBelow(-simd.treeMax(-low));
    scores.high = list.max;
    var bound = scores.find(true, goal);
    if (min_keep > 1) bound = atLeast(list, workspace, bound, min_keep) orelse return;
    var taking: TakeLogits = .{ .bound = bound };
    list.pack(workspace, &taking);
}

/// Tokens at least p times as likely as the likeliest.
pub fn minP(list: *List, workspace: Workspace, p: f32, min_keep: usize) void {
    keepHeavy(list, workspace, ceiling(@as(f64, p) * 0x1p32), min_keep);
}

/// Tokens that weigh at least `goal`, or the likeliest one.
pub noinline fn keepHeavy(list: *List, workspace: Workspace, goal: u64, min_keep: usize) void {
    if (goal > 1 << 32) return topK(list, workspace, @max(min_keep, 1));
    const floor = list_zig.leastExponent(@max(goal, 1));
    keepFrom(list, workspace, Heavy(true){ .list = list, .floor = floor }, min_keep);
}

/// Tokens whose logit is less than n standard deviations below the greatest.
pub fn topNSigma(list: *List, workspace: Workspace, n: f32, min_keep: usize) void {
    const limit = @as(f64, n) * deviation(list);
    var most: f32 = @floatCast(@min(limit, std.math.floatMax(f32)));
    if (most > limit) most = select.floatBelow(most);
    keepFrom(list, workspace, Near{ .max = list.max, .most = most }, min_keep);
}

/// Of all logits that are not -infinity. Their distances from the greatest are added in f64, in 16 lanes by id, then
/// i += i + 8, + 4, + 2, + 1.
fn deviation(list: *const List) f64 {
    var sum: [2]D = @splat(@splat(0));
    var squares: [2]D = @splat(@splat(0));
    var count: u64 = 0;
    if (list.ids) |ids| {
        var lanes: [2][16]f64 = @splat(@splat(0));
        for (list.logits[0..list.len], ids[0..list.len]) |logit, id| {
            if (logit == -inf) continue;
            const d: f64 = list.max - logit;
            lanes[0][id % 16] += d;
            lanes[1][id % 16] += d * d;
            count += 1;
        }
        for (0..2) |half| {
            sum[half] = lanes[0][8 * half ..][0..8].*;
            squares[half] = lanes[1][8 * half ..][0..8].*;
        }
        return spread(sum, squares, count);
    }
    var i: usize = 0;
    while (i < list.len) : (i += 16) {
        const v = at(list.logits, i, list.len);
        const finite = v > simd.splat(-inf);
        count += @popCount(@as(u16, @bitCast(finite)));
        const d = @select(f32, finite, simd.splat(list.max) - v, simd.splat(0));
        const halves = [2]D{ @floatCast(simd.lowHalf(d)), @floatCast(simd.highHalf(d)) };
        inline for (&sum, &squares, halves) |*s, *q, half| {
            s.* += half;
            q.* += half * half;
        }
    }
    return spread(sum, squares, count);
}

fn spread(sum: [2]D, squares: [2]D, count: u64) f64 {
    const n: f64 = @floatFromInt(count);
    const mean = fold(sum[0] + sum[1]) / n;
    return @sqrt(@max(fold(squares[0] + squares[1]) / n - mean * mean, 0));
}

const D = @Vector(8, f64);

fn fold(v: D) f64 {
    const lanes: [8]f64 = v;
    const a = .{ lanes[0] + lanes[4], lanes[1] + lanes[5], lanes[2] + lanes[6], lanes[3] + lanes[7] };
    return (a[0] + a[2]) + (a[1] + a[3]);
}

/// The tokens whose surprise is nearest to what is expected (Meister et al., "Locally typical sampling", 2022), until
/// their weights reach p of the whole. With x the distance from the greatest logit, surprise less entropy is the mean of
/// x less x, so no logarithm is needed.
pub noinline fn typical(list: *List, workspace: Workspace, p: f32, min_keep: usize) void {
    if (list.len <= min_keep) return;
    const sums = surprises(list);
    const mean: f32 = @floatCast(-@as(f64, @floatFromInt(sums.surprise)) / @as(f64, @floatFromInt(sums.total)));
    var any: Finite = .{};
    var scores = copy(list, workspace, &any);
    var low = simd.splat(inf);
    var high = simd.splat(-inf);
    var i: usize = 0;
    while (i < scores.len) : (i += 16) {
        const v = simd.load(workspace.parts[0].scores + i);
        const inside = std.simd.iota(u32, 16) < @as(simd.U, @splat(@intCast(scores.len - i)));
        const score = typicality(list, v, mean);
        low = @select(f32, inside & (score < low), score, low);
        high = @select(f32, inside & (score > high), score, high);
        simd.store(workspace.parts[0].scores + i, score);
        simd.store(workspace.parts[0].exponentials + i, list.exponential(v, true));
    }
    scores.low = select.floatBelow(-simd.treeMax(-low));
    scores.high = simd.treeMax(high);
    const plenty = scores;
    var bound = scores.find(true, share(p, sums.total));
    if (min_keep > 1) {
        // The selection has reordered the scores; they are computed again.
        if (min_keep >= plenty.len) return;
        _ = copy(list, workspace, &any);
        i = 0;
        while (i < plenty.len) : (i += 16) {
            const v = simd.load(workspace.parts[0].scores + i);
            simd.store(workspace.parts[0].scores + i, typicality(list, v, mean));
        }
        bound = bound.wider(plenty.find(false, min_keep));
    }
    var taking: TakeTypical = .{ .list = list, .mean = mean, .bound = bound };
    list.pack(workspace, &taking);
    list.max = greatest(list);
}

/// Minus the distance from the mean; finite, so that it can be halved.
inline fn typicality(list: *const List, v: F, mean: f32) F {
    const off = list.distance(v, true) - simd.splat(mean);
    const score = -@as(F, @bitCast(@as(simd.U, @bitCast(off)) & @as(simd.U, @splat(0x7fff_ffff))));
    const least = simd.splat(-std.math.floatMax(f32));
    return @select(f32, (score < least) & (v > simd.splat(-inf)), least, score);
}

const Surprises = struct { total: u64, surprise: u64, count: u64 };

/// All weights, all round(e^x * -x * 2^32), and how many logits are not -infinity.
noinline fn surprises(list: *const List) Surprises {
    var weights: list_zig.Sum = .{};
    var products: list_zig.Sum = .{};
    var count: u64 = 0;
    var i: usize = 0;
    while (i < list.len) : (i += 16) {
        const v = at(list.logits, i, list.len);
        count += @popCount(@as(u16, @bitCast(v > simd.splat(-inf))));
        const x = list.distance(v, true);
        const near = @select(f32, x < simd.splat(-60), simd.splat(-60), x);
        const e = math.expBelow(near);
        weights.add(e);
        products.add(e * -near);
    }
    return .{ .total = weights.total(), .surprise = products.total(), .count = count };
}

/// Entropy in nats over its greatest value for so many tokens, from 0 to 1.
pub fn relativeEntropy(list: *const List) f64 {
    const sums = surprises(list);
    if (sums.count < 2) return 0;
    const total: f64 = @floatFromInt(sums.total);
    const entropy = math.log64(total * 0x1p-32) + @as(f64, @floatFromInt(sums.surprise)) / total;
    return std.math.clamp(entropy / math.log64(@floatFromInt(sums.count)), 0, 1);
}

/// Of the tokens that have at least `threshold` of the whole, only the least likely.
pub noinline fn excludeTop(list: *List, workspace: Workspace, threshold: f32, min_keep: usize) void {
    const goal = share(threshold, list.total());
    if (goal > 1 << 32) return;
    const heavy: Heavy(true) = .{ .list = list, .floor = list_zig.leastExponent(goal) };
    // The last of them in the order: least logit, then greatest id.
    var least: f32 = inf;
    var last: usize = 0;
    var count: usize = 0;
    var i: usize = 0;
    while (i < list.len) : (i += 16) {
        const v = at(list.logits, i, list.len);
        var bits: u16 = @bitCast(heavy.keeps(i, v));
        const lanes: [16]f32 = v;
        while (bits != 0) : (bits &= bits - 1) {
            const lane = @ctz(bits);
            count += 1;
            if (lanes[lane] > least) continue;
            least = lanes[lane];
            last = i + lane;
        }
    }
    if (count < 2 or list.len - (count - 1) < @max(min_keep, 1)) return;
    const light: Light = .{ .heavy = heavy, .kept = last };
    list.pack(workspace, &light);
    list.max = greatest(list);
}

/// The greatest logit of a list.
pub noinline fn greatest(list: *const List) f32 {
    var most = simd.splat(-inf);
    var i: usize = 0;
    while (i < list.len) : (i += 16) most = list_zig.greater(at(list.logits, i, list.len), most);
    return simd.treeMax(most);
}

/// p of a sum of weights: the product as f64, upwards to an integer from 1 to the sum.
pub fn share(p: f32, total: u64) u64 {
    return std.math.clamp(ceiling(@as(f64, p) * @as(f64, @floatFromInt(total))), 1, total);
}

fn ceiling(x: f64) u64 {
    return @intFromFloat(@ceil(x));
}

/// Packs what `test_` keeps, or the `min_keep` likeliest where that is less.
fn keepFrom(list: *List, workspace: Workspace, test_: anytype, min_keep: usize) void {
    var count: usize = 0;
    if (min_keep > 1) {
        var i: usize = 0;
        while (i < list.len) : (i += 16) count += @popCount(@as(u16, @bitCast(test_.keeps(i, at(list.logits, i, list.len)))));
        if (count < min_keep) return topK(list, workspace, min_keep);
    }
    list.pack(workspace, test_);
}

/// The bound, or a wider one that lets `min_keep` tokens in; null: all.
fn atLeast(list: *List, workspace: Workspace, bound: Bound, min_keep: usize) ?Bound {
    const scores = copyLogits(list, workspace, list.max);
    if (min_keep >= scores.len) return null;
    return bound.wider(scores.find(false, min_keep));
}

/// Scores of the logits that are not -infinity.
noinline fn copyLogits(list: *List, workspace: Workspace, max: f32) select.Scores {
    var any: Finite = .{};
    var scores = copy(list, workspace, &any);
    scores.low = select.floatBelow(any.low());
    scores.high = max;
    return scores;
}

/// Copies the logits that `test_` keeps to where scores belong.
inline fn copy(list: *const List, workspace: Workspace, test_: anytype) select.Scores {
    var count: usize = 0;
    var i: usize = 0;
    while (i < list.len) : (i += 16) {
        const v = at(list.logits, i, list.len);
        const packer: simd.Packer = .init(test_.keeps(i, v));
        packer.store(workspace.parts[0].scores + count, v);
        count += packer.count();
    }
    return .{ .parts = workspace.parts, .len = count, .low = 0, .high = 0 };
}

const Finite = struct {
    least: F = @splat(inf),

    pub inline fn keeps(test_: *Finite, _: usize, v: F) simd.Mask {
        const finite = v > simd.splat(-inf);
        test_.least = @select(f32, finite & (v < test_.least), v, test_.least);
        return finite;
    }

    fn low(test_: Finite) f32 {
        return -simd.treeMax(-test_.least);
    }
};

fn Heavy(comptime warm: bool) type {
    return struct {
        list: *const List,
        floor: f32,

        pub inline fn keeps(test_: @This(), _: usize, v: F) simd.Mask {
            return (test_.list.distance(v, warm) >= simd.splat(test_.floor)) & (v > simd.splat(-inf));
        }
    };
}

const Light = struct {
    heavy: Heavy(true),
    kept: usize,

    pub inline fn keeps(test_: Light, i: usize, v: F) simd.Mask {
        var mask = (v > simd.splat(-inf)) & ~test_.heavy.keeps(i, v);
        if (test_.kept -% i < 16) mask |= @bitCast(@as(u16, 1) << @intCast(test_.kept - i));
        return mask;
    }
};

const Near = struct {
    max: f32,
    most: f32,

    pub inline fn keeps(test_: Near, _: usize, v: F) simd.Mask {
        return (simd.splat(test_.max) - v <= simd.splat(test_.most)) & (v > simd.splat(-inf));
    }
};

const TakeLogits = struct {
    bound: Bound,

    pub inline fn keeps(test_: *TakeLogits, _: usize, v: F) simd.Mask {
        return test_.bound.take(v);
    }
};

const TakeTypical = struct {
    list: *const List,
    mean: f32,
    bound: Bound,

    pub inline fn keeps(test_: *TakeTypical, _: usize, v: F) simd.Mask {
        return test_.bound.take(typicality(test_.list, v, test_.mean));
    }
};
