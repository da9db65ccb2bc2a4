//! The KV pages of an engine: one piece of memory, in which each page has every layer's share, as the layers say what they keep
//! (`model/kv_spec.zig`). Which page belongs to which sequence TypeScript decides.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const memory = @import("../host/memory.zig");
const os = @import("../host/os.zig");
const KvSpec = @import("../model/kv_spec.zig").KvSpec;
const Layer = @import("../model/layer.zig").Layer;
const Options = @import("options.zig").Options;

pub const KvPages = struct {
    bytes: []align(64) u8,
    count: u32,
    page_bytes: usize,
    page_size: u32,
    kind: level_table.KvType,
    /// Offset of each layer inside a page.
    layer_offsets: []usize,

    pub const OpenError = error{ OutOfMemory, NoPages };

    /// `wanted` is how many bytes the pages take; with `NoPages` the system has not so many.
    pub fn open(layers: []const Layer, options: Options, wanted: *usize) OpenError!KvPages {
        const offsets = try os.allocator.alloc(usize, layers.len);
        errdefer os.allocator.free(offsets);
        var page_bytes: usize = 0;
        for (layers, offsets) |layer, *offset| {
            offset.* = page_bytes;
            page_bytes += layer.mixer.keeps().pageBytes(options.kv_type, options.page_size);
        }
        std.debug.assert(page_bytes > 0 and page_bytes % 64 == 0);
        wanted.* = std.math.mul(usize, page_bytes, options.pages) catch std.math.maxInt(usize);
        return .{
            .bytes = memory.allocate(.kv, wanted.*) orelse return error.NoPages,
            .count = options.pages,
            .page_bytes = page_bytes,
            .page_size = options.page_size,
            .kind = options.kv_type,
            .layer_offsets = offsets,
        };
    }

    pub fn close(pages: *KvPages) void {
        memory.release(.kv, pages.bytes);
        os.allocator.free(pages.layer_offsets);
        pages.* = undefined;
    }

    pub const Error = error{ NoPage, Short, Damaged };
    /// Behind the bytes of a page outside the engine.
    const checksum_bytes = @sizeOf(u64);

    pub fn copy(pages: *KvPages, from: u32, to: u32) Error!void {
        const source = try pages.at(from);
        const target = try pages.at(to);
        if (from != to) @memcpy(target, source);
    }

    /// Writes a page and its checksum; returns how many bytes that is.
    pub fn write(pages: *const KvPages, page: u32, out: []u8) Error!usize {
        const source = try pages.at(page);
        if (out.len < source.len + checksum_bytes) return error.Short;
        @memcpy(out[0..source.len], source);
        std.mem.writeInt(u64, out[source.len..][0..checksum_bytes], std.hash.XxHash3.hash(0, source), .little);
        return source.len + checksum_bytes;
    }

    /// Takes over what `write` gave; the page is left alone where the bytes are not those.
    pub fn read(pages: *KvPages, page: u32, bytes: []const u8) Error!void {
        const target = try pages.at(page);
        if (bytes.len != target.len + checksum_bytes) return error.Short;
        const sum = std.mem.readInt(u64, bytes[target.len..][0..checksum_bytes], .little);
        if (sum != std.hash.XxHash3.hash(0, bytes[0..target.len])) return error.Damaged;
        @memcpy(target, bytes[0..target.len]);
    }

    /// Gives the memory of the pages [first, first + count) back to the system until they are written again; returns how many
    /// bytes that is.
    pub fn discard(pages: *KvPages, first: u32, count: u32) Error!usize {
        if (@as(u64, first) + count > pages.count) return error.NoPage;
        return os.discard(pages.bytes[first * pages.page_bytes ..][0 .. count * pages.page_bytes]);
    }

    pub fn at(pages: *const KvPages, page: u32) error{NoPage}![]u8 {
        if (page >= pages.count) return error.NoPage;
        return pages.bytes[page * pages.page_bytes ..][0..pages.page_bytes];
    }

    /// The keys and values of a layer, for the sequence that has the page numbers `numbers`.
    pub fn ofLayer(pages: *const KvPages, layer: u32, spec: KvSpec, numbers: []const u32) level_table.KvLayer {
        std.debug.assert(layer < pages.layer_offsets.len);
        const paged = switch (spec) {
            .paged => |paged| paged,
        };
        return .{
            .base = pages.bytes.ptr,
            .page_bytes = pages.page_bytes,
            .layer_offset = pages.layer_offsets[layer],
            .pages = numbers.ptr,
            .page_size = pages.page_size,
            .type = pages.kind,
            .heads = paged.heads,
            .k_dim = paged.k_dim,
            .v_dim = paged.v_dim,
        };
    }
};
