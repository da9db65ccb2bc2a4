//! The walk over groups of rows and tiles of tokens, the same for every kind of product. A run of groups is met by all
//! tiles of the batch while it lies in the second cache; meanwhile the next run is fetched.

const level_table = @import("../../level/level_table.zig");

/// A kernel's part of a tile. The tile has `stride` tokens from token `first` of the batch on; the kernel takes its width of them
/// from `offset` on. `ahead` is how many bytes behind its weights the ones lie that it prefetches (0: none).
pub const Tile = struct {
    first: u32,
    stride: u32,
    offset: u32,
    ahead: usize,

    pub inline fn token(tile: Tile) u32 {
        return tile.first + tile.offset;
    }
};

/// Groups that a call multiplies, and the weights that come after them.
pub const Claim = struct {
    end: u32,
    next: ?[*]const u8,

    /// The weights that come `distance` groups after `group`, as far as is known.
    pub fn weightsAfter(claim: Claim, args: *const level_table.Matmul, group: u32, distance: u32) ?[*]const u8 {
        if (group + distance < claim.end) return args.weights + (group + distance) * args.group_bytes;
        return claim.next;
    }

    /// How many bytes behind the weights of `group` those of the group lie that comes `distance` groups later.
    inline fn ahead(claim: Claim, args: *const level_table.Matmul, group: u32, distance: u32) usize {
        if (group + distance < claim.end) return distance * args.group_bytes;
        const next = claim.next orelse return 0;
        return @intFromPtr(next) +% (group + distance - claim.end) * args.group_bytes -% @intFromPtr(args.weights + group * args.group_bytes);
    }
};

/// Widths that there are kernels for. `widest` is what the registers allow: wider tiles, whose memory layout is fixed
/// (`level_table.zig`), are taken in parts of it. `few`: one token and the widest alone, so tiles between are taken token by
/// token.
pub const Widths = struct { widest: u32, few: bool };

/// Bytes of weights that a processor's second cache keeps while one tile of tokens after the other passes over them.
const run_bytes = 192 << 10;
/// Tokens of a batch whose tiles do not stay in the second cache too; below, a group at a time is enough.
const run_tokens_min = 5 * level_table.tile_max;
/// Groups that are prefetched where one group at a time is computed: with one, the kernel waited for slow memory.
const groups_ahead = 2;

/// Calls `kernel(width, args, group, tile)` for every group from `begin` on and every tile of the batch.
pub inline fn eachRun(args: *const level_table.Matmul, begin: u32, claim: Claim, comptime widths: Widths, comptime kernel: anytype) void {
    const several = args.activations.tokens == 1 or args.activations.tokens >= run_tokens_min;
    const most: u32 = if (several) @intCast(@max(1, run_bytes / args.group_bytes)) else 1;
    var group = begin;
    while (group < claim.end) {
        const run_end = @min(claim.end, group + most);
        eachTile(args, 0, .{ group, run_end }, claim, widths, kernel);
        group = run_end;
    }
}

/// The tiles from token `from` on, with which one begins.
pub inline fn eachTile(args: *const level_table.Matmul, from: u32, run: [2]u32, claim: Claim, comptime widths: Widths, comptime kernel: anytype) void {
    const widest = widths.widest;
    const begin, const end = run;
    const tokens = args.activations.tokens;
    const distance = @max(groups_ahead, end - begin);
    var first: u32 = from;
    while (first < tokens) {
        const stride = level_table.tileWidth(tokens - first);
        var offset: u32 = 0;
        while (offset < stride) {
            var tile: Tile = .{ .first = first, .stride = stride, .offset = offset, .ahead = 0 };
            offset += switch (@as(u32, if (widths.few and stride < widest) 1 else @min(stride, widest))) {
                inline 1, 2, 4, 8 => |width| step: {
                    if (width == widest or width == 1 or (width < widest and !widths.few)) for (begin..end) |group| {
                        tile.ahead = claim.ahead(args, @intCast(group), distance);
                        kernel(width, args, @intCast(group), tile);
                    };
                    break :step width;
                },
                else => unreachable,
            };
        }
        first += stride;
    }
}
