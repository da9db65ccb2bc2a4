//! What a layer keeps of a sequence, and how many bytes that takes: the one place that says so. An engine lays its pages out by it
//! (`run/kv_pages.zig`).
//!
//! Keys and values are kept for each position, in pages. A state has a fixed size for the whole sequence: it lies in pages of the
//! same memory, as pieces of floats that no border of a page cuts, so that a page is as large as the largest piece at least.

const std = @import("std");
const level_table = @import("../level/level_table.zig");

pub const KvSpec = struct {
    positions: Positions = .none,
    state: State = .{},
};

/// What is kept of each position.
pub const Positions = union(enum) {
    none,
    /// Keys and values, in pages.
    paged: Paged,

    pub fn isWindowed(positions: Positions) bool {
        return switch (positions) {
            .none => false,
            .paged => |paged| paged.windowed,
        };
    }
};

pub const Paged = struct {
    heads: u32,
    k_dim: u32,
    v_dim: u32,
    /// Latent attention: a value is the first elements of its key, and is not kept besides.
    values_in_keys: bool = false,
    /// Queries see a window of positions: what is kept of those before it is not read again.
    windowed: bool = false,
};

/// Pieces of one size.
pub const Pieces = struct { count: u32 = 0, floats: u32 = 0 };

/// What is kept of the sequence as a whole, in f32.
pub const State = struct {
    /// The last inputs of a short convolution, the oldest first, a piece each.
    past: Pieces = .{},
    /// What each head has come to, a piece each.
    heads: Pieces = .{},

    pub fn isEmpty(state: State) bool {
        return state.past.count == 0 and state.heads.count == 0;
    }

    pub fn pieceCount(state: State) u32 {
        return state.past.count + state.heads.count;
    }

    /// Floats of a piece; those of the past come first.
    pub fn floatsOf(state: State, piece: u32) u32 {
        std.debug.assert(piece < state.pieceCount());
        return if (piece < state.past.count) state.past.floats else state.heads.floats;
    }
};

/// Where a piece lies: in which of the pages that hold a state, and at which byte of it.
pub const Place = struct { page: u32, offset: usize };

/// Puts pieces one after the other into pages.
pub const Packing = struct {
    page_bytes: usize,
    page: u32 = 0,
    offset: usize = 0,

    pub fn put(packing: *Packing, floats: u32) Place {
        const bytes = bytesOf(floats);
        std.debug.assert(bytes <= packing.page_bytes);
        if (packing.offset + bytes > packing.page_bytes) {
            packing.page += 1;
            packing.offset = 0;
        }
        const place: Place = .{ .page = packing.page, .offset = packing.offset };
        packing.offset += bytes;
        return place;
    }

    pub fn pages(packing: Packing) u32 {
        return packing.page + @intFromBool(packing.offset > 0);
    }
};

/// What a model takes.
pub const Sizes = struct {
    /// Bytes of a page.
    page_bytes: usize,
    /// Pages that hold the state of one sequence; 0 where no layer has one.
    state_pages: u32,
    /// Bytes of a page that stay when windowed layers have left it behind: they come first in it. Of pages with a state none is
    /// left behind.
    behind_bytes: usize,

    pub fn of(specs: []const KvSpec, kind: level_table.KvType, page_size: u32) Sizes {
        var page_bytes: usize = 0;
        var behind_bytes: usize = 0;
        var largest: usize = 0;
        for (specs) |spec| {
            const own = positionBytes(spec.positions, kind, page_size);
            page_bytes += own;
            if (!spec.positions.isWindowed()) behind_bytes += own;
            largest = @max(largest, bytesOf(spec.state.past.floats), bytesOf(spec.state.heads.floats));
        }
        // Layers without a mixer keep nothing; a page of such has a line all the same.
        var packing: Packing = .{ .page_bytes = @max(page_bytes, largest, 64) };
        for (specs) |spec| {
            for (0..spec.state.pieceCount()) |piece| _ = packing.put(spec.state.floatsOf(@intCast(piece)));
        }
        // Where no layer has a window, all of a page stays.
        const stays = if (behind_bytes == page_bytes) packing.page_bytes else behind_bytes;
        return .{ .page_bytes = packing.page_bytes, .state_pages = packing.pages(), .behind_bytes = stays };
    }

    /// Where each layer takes the place of the one before it, for nothing outlasts its layer.
    pub fn shared(specs: []const KvSpec, kind: level_table.KvType, page_size: u32) Sizes {
        var page_bytes: usize = 64;
        for (specs) |spec| page_bytes = @max(page_bytes, positionBytes(spec.positions, kind, page_size));
        return .{ .page_bytes = page_bytes, .state_pages = 0, .behind_bytes = page_bytes };
    }
};

/// Bytes of a layer in a page of so many positions; each layer begins at a multiple of 64.
pub fn positionBytes(positions: Positions, kind: level_table.KvType, page_size: u32) usize {
    std.debug.assert(std.math.isPowerOfTwo(page_size));
    return std.mem.alignForward(usize, switch (positions) {
        .none => 0,
        .paged => |paged| level_table.KvLayer.layerBytes(kind, page_size, paged.heads, paged.k_dim, if (paged.values_in_keys) 0 else paged.v_dim),
    }, 64);
}

fn bytesOf(floats: u32) usize {
    return std.mem.alignForward(usize, @as(usize, floats) * @sizeOf(f32), 64);
}

test "a page has whole lines of each layer" {
    const positions: Positions = .{ .paged = .{ .heads = 3, .k_dim = 96, .v_dim = 32 } };
    try std.testing.expectEqual(3 * 16 * 128 * 2, positionBytes(positions, .f16, 16));
    try std.testing.expectEqual(3 * 16 * 128 * 4, positionBytes(positions, .f32, 16));
    try std.testing.expectEqual(3 * 64 * (128 + 8), positionBytes(positions, .q8_0, 64));
    try std.testing.expectEqual(128, positionBytes(.{ .paged = .{ .heads = 1, .k_dim = 1, .v_dim = 2 } }, .f16, 16));
    try std.testing.expectEqual(0, positionBytes(.none, .f16, 16));
    try std.testing.expectEqual(32 * 576 * 2, positionBytes(.{ .paged = .{ .heads = 1, .k_dim = 576, .v_dim = 512, .values_in_keys = true } }, .f16, 32));
}

test "what windowed layers keep comes last in a page, and can be left behind" {
    const whole: KvSpec = .{ .positions = .{ .paged = .{ .heads = 1, .k_dim = 16, .v_dim = 16 } } };
    const windowed: KvSpec = .{ .positions = .{ .paged = .{ .heads = 1, .k_dim = 16, .v_dim = 16, .windowed = true } } };
    const recurrent: KvSpec = .{ .state = .{ .past = .{ .count = 1, .floats = 16 } } };
    try std.testing.expectEqual(Sizes{ .page_bytes = 3072, .state_pages = 0, .behind_bytes = 1024 }, Sizes.of(&.{ windowed, whole, windowed }, .f16, 16));
    try std.testing.expectEqual(Sizes{ .page_bytes = 1024, .state_pages = 0, .behind_bytes = 0 }, Sizes.of(&.{windowed}, .f16, 16));
    try std.testing.expectEqual(Sizes{ .page_bytes = 1024, .state_pages = 1, .behind_bytes = 0 }, Sizes.of(&.{ windowed, recurrent }, .f16, 16));
    const large: KvSpec = .{ .state = .{ .heads = .{ .count = 1, .floats = 512 } } };
    try std.testing.expectEqual(Sizes{ .page_bytes = 2048, .state_pages = 1, .behind_bytes = 0 }, Sizes.of(&.{ windowed, large }, .f16, 16));
    try std.testing.expectEqual(Sizes{ .page_bytes = 2048, .state_pages = 1, .behind_bytes = 2048 }, Sizes.of(&.{ whole, large }, .f16, 16));
}

test "the pieces of a state lie whole in pages, the largest of which a page holds" {
    const attention: KvSpec = .{ .positions = .{ .paged = .{ .heads = 1, .k_dim = 16, .v_dim = 16 } } };
    const recurrent: KvSpec = .{ .state = .{ .past = .{ .count = 3, .floats = 40 }, .heads = .{ .count = 2, .floats = 256 } } };
    // A page of 1024 bytes holds the past (3 x 192) and no head beside it.
    try std.testing.expectEqual(Sizes{ .page_bytes = 1024, .state_pages = 6, .behind_bytes = 1024 }, Sizes.of(&.{ recurrent, attention, recurrent }, .f16, 16));
    try std.testing.expectEqual(Sizes{ .page_bytes = 1024, .state_pages = 0, .behind_bytes = 1024 }, Sizes.of(&.{attention}, .f16, 16));
    try std.testing.expectEqual(Sizes{ .page_bytes = 1024, .state_pages = 3, .behind_bytes = 1024 }, Sizes.of(&.{recurrent}, .f16, 16));
    var packing: Packing = .{ .page_bytes = 1024 };
    try std.testing.expectEqual(Place{ .page = 0, .offset = 0 }, packing.put(40));
    try std.testing.expectEqual(Place{ .page = 0, .offset = 192 }, packing.put(1));
    try std.testing.expectEqual(Place{ .page = 1, .offset = 0 }, packing.put(256));
    try std.testing.expectEqual(2, packing.pages());
}
