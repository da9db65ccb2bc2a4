//! Up to four matrices over one input as a row of groups (16 rows each) that threads claim a few at a time. A claim
//! knows which one its thread will most likely have next, so that a kernel fetches its weights meanwhile: without, every
//! claim began with a wait for memory, and 16 tokens took an eighth longer.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const Adapting = @import("adapting.zig").Adapting;
const Part = @import("part.zig").Part;
const parts_max = @import("part.zig").parts_max;

/// A claim takes this part of what is left for each thread: the first are large, because each begins with a wait for memory (24
/// equal ones a thread made decoding a tenth slower than 12), the last small, so that no thread waits long for a late one.
const share_of_rest = 2;
/// Claims of a row at most.
const claims_max = 256;
/// Groups of a claim at most where many tokens share them: what a claim writes stays in the cache for the phase after it.
const claim_groups_max = 8;
/// Less work than this (bytes of weights, for each token) is done before another thread has heard of it.
const shared_bytes_min = 64 << 10;
/// The same for a claim: with less, threads wait longer for memory and for the counter of claims.
const claim_bytes_min = 48 << 10;

/// Groups from `begin` until before `end`.
pub const Groups = struct { begin: u32, end: u32 };

pub const Product = struct {
    parts: [parts_max]level_table.Matmul = undefined,
    formats: [parts_max]*const level_table.Format = undefined,
    /// Where each part's groups begin in the row; the last is their number.
    starts: [parts_max + 1]u32 = @splat(0),
    count: u32,
    /// Those that the product pays for.
    threads: u32,
    /// Where each claim begins; the last is the end.
    bounds: [claims_max + 1]u32 = undefined,
    claims: u32 = 0,
    /// What adapters add; null where they add nothing.
    adapting: ?*const Adapting = null,
    /// Zeros are made instead: nothing that comes of this product is asked for.
    skipped: bool = false,
    /// A bit for each row that is asked for; groups without one are left as they are. Null: all rows are.
    wanted: ?[*]const u32 = null,

    pub fn init(parts: []const Part, activations: *const level_table.Activations, threads: u32) Product {
        std.debug.assert(parts.len > 0 and parts.len <= parts_max and threads > 0);
        var product: Product = .{ .count = @intCast(parts.len), .threads = threads };
        var groups: u32 = 0;
        for (parts, 0..) |part, index| {
            product.starts[index] = groups;
            product.formats[index] = part.matrix.format;
            product.parts[index] = part.matrix.product(activations, part.out.ptr, part.stride);
            groups += part.matrix.groups();
        }
        product.starts[parts.len] = groups;
        return product;
    }

    /// Shares the row out; returns the number of claims.
    pub fn shareRow(product: *Product) u32 {
        return product.share(product.starts[product.count], 1);
    }

    /// Shares one or two matrices of one shape out, whose same groups belong to one claim, `unit` or a multiple of it of each.
    pub fn shareAlike(product: *Product, unit: u32) u32 {
        std.debug.assert(product.count <= 2 and product.starts[product.count] == product.count * product.starts[1]);
        return product.share(product.starts[1], unit);
    }

    fn share(product: *Product, groups: u32, unit: u32) u32 {
        const tokens = product.parts[0].activations.tokens;
        const bytes = product.bytesOfAll() * tokens;
        if (bytes < shared_bytes_min) product.threads = 1;
        const most: u32 = if (tokens < level_table.tile_max) groups else claim_groups_max;
        const least: u32 = @intCast(@min(claim_bytes_min * @as(usize, groups) / @max(1, bytes), groups / product.threads));
        var begin: u32 = 0;
        var claims: u32 = 0;
        while (begin < groups) : (claims += 1) {
            const rest = groups - begin;
            const guided = std.math.clamp(rest / (share_of_rest * product.threads), @min(least, most), most);
            const size = @max(guided, rest / (claims_max - claims), 1);
            product.bounds[claims] = begin;
            begin = @min(groups, begin + std.mem.alignForward(u32, size, unit));
        }
        std.debug.assert(claims <= claims_max);
        product.bounds[claims] = groups;
        product.claims = claims;
        return claims;
    }

    fn bytesOfAll(product: *const Product) usize {
        var bytes: usize = 0;
        for (product.parts[0..product.count], 0..) |part, index| bytes += part.group_bytes * (product.starts[index + 1] - product.starts[index]);
        return bytes;
    }

    /// Claim `item` of the row.
    pub fn multiply(product: *const Product, item: u32) void {
        std.debug.assert(item < product.claims);
        const begin = product.bounds[item];
        const end = product.bounds[item + 1];
        const next = product.nextOf(item);
        for (0..product.count) |index| {
            const from = @max(begin, product.starts[index]);
            const to = @min(end, product.starts[index + 1]);
            if (from < to) product.multiplyPart(index, from, to, product.weightsAt(if (to < end) to else next));
        }
    }

    /// Claim `item` of matrices of one shape: the same groups of each.
    pub fn multiplyAlike(product: *const Product, item: u32) Groups {
        const half = product.starts[1];
        const begin = product.bounds[item];
        const end = product.bounds[item + 1];
        const next = product.nextOf(item);
        const after = if (next < half) product.weightsAt(next) else null;
        product.multiplyPart(0, begin, end, if (product.count > 1) product.weightsAt(half + begin) else after);
        if (product.count > 1) product.multiplyPart(1, half + begin, half + end, after);
        return .{ .begin = begin, .end = end };
    }

    fn multiplyPart(product: *const Product, index: usize, from: u32, to: u32, next: ?[*]const u8) void {
        const first = product.starts[index];
        std.debug.assert(first <= from and from < to and to <= product.starts[index + 1]);
        if (product.skipped) return product.clearPart(index, from - first, to - first);
        const wanted = product.wanted orelse return product.multiplyGroups(index, from - first, to - first, next);
        std.debug.assert(product.count == 1);
        var group = from;
        while (group < to) {
            const begin = group;
            while (group < to and hasRow(wanted, group)) group += 1;
            if (begin < group) product.multiplyGroups(index, begin, group, next);
            while (group < to and !hasRow(wanted, group)) group += 1;
        }
    }

    noinline fn multiplyGroups(product: *const Product, index: usize, begin: u32, end: u32, next: ?[*]const u8) void {
        const part = &product.parts[index];
        product.formats[index].matmul(part, begin, end, next);
        if (product.adapting) |adapting| adapting.add(index, part.out, part.out_stride, begin, end);
    }

    fn clearPart(product: *const Product, index: usize, begin: u32, end: u32) void {
        const part = &product.parts[index];
        for (0..part.activations.tokens) |token| @memset((part.out + token * part.out_stride)[begin * level_table.lanes .. end * level_table.lanes], 0);
    }

    /// The group that a thread with this claim will most likely begin with after it: others take those between.
    fn nextOf(product: *const Product, item: u32) u32 {
        return product.bounds[@min(item + product.threads, product.claims)];
    }

    /// Where a group of the row lies; null beyond its end.
    fn weightsAt(product: *const Product, group: u32) ?[*]const u8 {
        for (product.parts[0..product.count], 0..) |of, index| {
            if (group < product.starts[index + 1]) return of.weights + (group - product.starts[index]) * of.group_bytes;
        }
        return null;
    }
};

/// Whether a bit of a group's rows is set.
pub fn hasRow(bits: [*]const u32, group: u32) bool {
    comptime std.debug.assert(level_table.lanes == 16);
    return @as(u16, @truncate(bits[group / 2] >> @intCast(group % 2 * 16))) != 0;
}

test "claims are a row's groups, each once, whatever the sizes" {
    for ([_]u32{ 1, 2, 3, 7, 128, 352, 2000, 16_384 }) |groups| for ([_]u32{ 1, 2, 3, 64 }) |threads| for ([_]u32{ 1, 16, 512 }) |tokens| for ([_]u32{ 1, 2 }) |unit| {
        const activations: level_table.Activations = .{ .tokens = tokens, .cols = 256, .bits = .int8, .row_stride = 256, .rows = undefined, .q = undefined, .q_low = undefined, .scales = undefined, .sums = undefined, .sums_low = undefined };
        var product: Product = .{ .count = 1, .threads = threads };
        product.parts[0] = .{ .weights = undefined, .group_bytes = 2304, .activations = &activations, .out = undefined, .out_stride = 0 };
        product.starts[1] = groups;
        const claims = product.share(groups, unit);
        try std.testing.expect(claims >= 1 and claims <= claims_max and product.bounds[0] == 0);
        for (product.bounds[0..claims], product.bounds[1 .. claims + 1]) |begin, end| {
            try std.testing.expect(begin < end and begin % unit == 0);
            if (tokens >= level_table.tile_max and groups <= claims_max) try std.testing.expect(end - begin <= claim_groups_max);
        }
        try std.testing.expectEqual(groups, product.bounds[claims]);
        for (0..claims) |item| try std.testing.expect(product.nextOf(@intCast(item)) > product.bounds[item]);
    };
}

test "groups without a row that is asked for are left out, and the others multiplied once" {
    const Recorder = struct {
        var times: [40]u8 = undefined;

        fn matmul(_: *const level_table.Matmul, begin: u32, end: u32, _: ?[*]const u8) callconv(.c) void {
            for (times[begin..end]) |*group| group.* += 1;
        }
    };
    const activations: level_table.Activations = .{ .tokens = 1, .cols = 256, .bits = .int8, .row_stride = 256, .rows = undefined, .q = undefined, .q_low = undefined, .scales = undefined, .sums = undefined, .sums_low = undefined };
    var format: level_table.Format = undefined;
    format.matmul = Recorder.matmul;
    var product: Product = .{ .count = 1, .threads = 2 };
    product.formats[0] = &format;
    product.parts[0] = .{ .weights = undefined, .group_bytes = 64 << 10, .activations = &activations, .out = undefined, .out_stride = 0 };
    product.starts[1] = 40;
    var bits: [20]u32 = @splat(0);
    for ([_]u32{ 0, 1, 7, 8, 9, 22, 39 }) |group| bits[group / 2] |= @as(u32, 0x0100) << @intCast(group % 2 * 16);
    product.wanted = &bits;
    Recorder.times = @splat(0);
    for (0..product.shareRow()) |item| product.multiply(@intCast(item));
    for (Recorder.times, 0..) |count, group| try std.testing.expectEqual(@intFromBool(hasRow(&bits, @intCast(group))), count);
    product.wanted = null;
    for (0..product.shareRow()) |item| product.multiply(@intCast(item));
    for (Recorder.times, 0..) |count, group| try std.testing.expectEqual(@as(u8, 1) + @intFromBool(hasRow(&bits, @intCast(group))), count);
}
