//! What a layer keeps of the positions behind it, and how many bytes that takes: the one place that says so. An engine lays
//! its pages out by it (`run/kv_pages.zig`).

const std = @import("std");
const level_table = @import("../level/level_table.zig");

pub const KvSpec = union(enum) {
    /// Keys and values of every position, in pages.
    paged: Paged,

    /// Bytes in one page of so many positions; each layer begins at a multiple of 64.
    pub fn pageBytes(spec: KvSpec, kind: level_table.KvType, page_size: u32) usize {
        std.debug.assert(std.math.isPowerOfTwo(page_size));
        const bytes = switch (spec) {
            .paged => |paged| level_table.KvLayer.layerBytes(kind, page_size, paged.heads, paged.k_dim, paged.v_dim),
        };
        return std.mem.alignForward(usize, bytes, 64);
    }
};

pub const Paged = struct {
    heads: u32,
    k_dim: u32,
    v_dim: u32,
};

test "a page has whole lines of each layer" {
    const spec: KvSpec = .{ .paged = .{ .heads = 3, .k_dim = 96, .v_dim = 32 } };
    try std.testing.expectEqual(3 * 16 * 128 * 2, spec.pageBytes(.f16, 16));
    try std.testing.expectEqual(3 * 16 * 128 * 4, spec.pageBytes(.f32, 16));
    try std.testing.expectEqual(3 * 64 * (128 + 8), spec.pageBytes(.q8_0, 64));
    const odd: KvSpec = .{ .paged = .{ .heads = 1, .k_dim = 1, .v_dim = 2 } };
    try std.testing.expectEqual(128, odd.pageBytes(.f16, 16));
}
