//! The KV pages of an engine: one piece of memory, in which each page has every layer's share, as the layers say what they keep
//! (`model/kv_spec.zig`), or some pieces of a sequence's state. Which page belongs to which sequence TypeScript decides.

const std = @import("std");
const level_table = @import("../level/level_table.zig");
const memory = @import("../host/memory.zig");
const os = @import("../host/os.zig");
const kv_spec = @import("../model/kv_spec.zig");
const KvSpec = kv_spec.KvSpec;
const Layer = @import("../model/layer.zig").Layer;
const Options = @import("options.zig").Options;

pub const KvPages = struct {
    bytes: []align(64) u8,
    count: u32,
    page_bytes: usize,
    /// Bytes of a page that stay when windowed layers have left it behind.
    behind_bytes: usize,
    page_size: u32,
    kind: level_table.KvType,
    /// Offset of each layer's keys and values inside a page.
    layer_offsets: []usize,
    /// Pages that hold the state of one sequence.
    state_pages: u32,
    /// Where the pieces of a state lie in them, layer after layer, and the first of each layer.
    pieces: []kv_spec.Place,
    first_pieces: []u32,

    pub const OpenError = error{ OutOfMemory, NoPages };

    /// `wanted` is how many bytes the pages take; with `NoPages` the system has not so many.
    pub fn open(layers: []const Layer, options: Options, wanted: *usize) OpenError!KvPages {
        const offsets = try os.allocator.alloc(usize, layers.len);
        errdefer os.allocator.free(offsets);
        const specs = try os.allocator.alloc(KvSpec, layers.len);
        defer os.allocator.free(specs);
        var page_offset: usize = 0;
        var piece_count: u32 = 0;
        for (layers, specs) |layer, *spec| {
            spec.* = layer.keeps();
            piece_count += spec.state.pieceCount();
        }
        const shares = !options.keeps and piece_count == 0 and !readsOther(layers);
        if (shares) @memset(offsets, 0) else for ([_]bool{ false, true }) |windowed| for (specs, offsets) |spec, *offset| {
            if (spec.positions.isWindowed() != windowed) continue;
            offset.* = page_offset;
            page_offset += kv_spec.positionBytes(spec.positions, options.kv_type, options.page_size);
        };
        const sizes = if (shares) kv_spec.Sizes.shared(specs, options.kv_type, options.page_size) else kv_spec.Sizes.of(specs, options.kv_type, options.page_size);
        std.debug.assert(sizes.page_bytes >= page_offset and sizes.page_bytes > 0 and sizes.page_bytes % 64 == 0);
        const pieces = try os.allocator.alloc(kv_spec.Place, piece_count);
        errdefer os.allocator.free(pieces);
        const first_pieces = try os.allocator.alloc(u32, layers.len);
        errdefer os.allocator.free(first_pieces);
        placePieces(specs, sizes, pieces, first_pieces);
        wanted.* = std.math.mul(usize, sizes.page_bytes, options.pages) catch std.math.maxInt(usize);
        return .{
            .bytes = memory.allocate(.kv, wanted.*) orelse return error.NoPages,
            .count = options.pages,
            .page_bytes = sizes.page_bytes,
            .behind_bytes = sizes.behind_bytes,
            .page_size = options.page_size,
            .kind = options.kv_type,
            .layer_offsets = offsets,
            .state_pages = sizes.state_pages,
            .pieces = pieces,
            .first_pieces = first_pieces,
        };
    }

    /// Whether a layer reads what an earlier one keeps: then that must outlast the layers between.
    fn readsOther(layers: []const Layer) bool {
        return for (layers) |layer| {
            const own = layer.mixer.attentionOf() orelse continue;
            if (own.keys == .of_layer) break true;
        } else false;
    }

    fn placePieces(specs: []const KvSpec, sizes: kv_spec.Sizes, pieces: []kv_spec.Place, first_pieces: []u32) void {
        var packing: kv_spec.Packing = .{ .page_bytes = sizes.page_bytes };
        var count: u32 = 0;
        for (specs, first_pieces) |spec, *first| {
            first.* = count;
            for (0..spec.state.pieceCount()) |number| {
                pieces[count] = packing.put(spec.state.floatsOf(@intCast(number)));
                count += 1;
            }
        }
        std.debug.assert(count == pieces.len and packing.pages() == sizes.state_pages);
    }

    pub fn close(pages: *KvPages) void {
        memory.release(.kv, pages.bytes);
        os.allocator.free(pages.layer_offsets);
        os.allocator.free(pages.pieces);
        os.allocator.free(pages.first_pieces);
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

    /// Writes a page and its checksum, without what windowed layers keep unless it is `whole`; returns how many bytes that is.
    pub fn write(pages: *const KvPages, page: u32, whole: bool, out: []u8) Error!usize {
        const all = try pages.at(page);
        const source = if (whole) all else all[0..pages.behind_bytes];
        if (out.len < source.len + checksum_bytes) return error.Short;
        @memcpy(out[0..source.len], source);
        std.mem.writeInt(u64, out[source.len..][0..checksum_bytes], std.hash.XxHash3.hash(0, source), .little);
        return source.len + checksum_bytes;
    }

    /// Takes over what `write` gave; the page is left alone where the bytes are not those.
    pub fn read(pages: *KvPages, page: u32, bytes: []const u8) Error!void {
        const all = try pages.at(page);
        const target = if (bytes.len == all.len + checksum_bytes) all else all[0..pages.behind_bytes];
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

    /// The same of what windowed layers keep in a page.
    pub fn leave(pages: *KvPages, page: u32) Error!void {
        std.debug.assert(pages.behind_bytes <= pages.page_bytes);
        _ = os.discard((try pages.at(page))[pages.behind_bytes..]);
    }

    pub fn at(pages: *const KvPages, page: u32) error{NoPage}![]u8 {
        if (page >= pages.count) return error.NoPage;
        return pages.bytes[page * pages.page_bytes ..][0..pages.page_bytes];
    }

    /// The keys and values of a layer, for the sequence that has the page numbers `numbers`.
    pub fn ofLayer(pages: *const KvPages, layer: u32, kept: kv_spec.Paged, numbers: []const u32) level_table.KvLayer {
        std.debug.assert(layer < pages.layer_offsets.len);
        return .{
            .base = pages.bytes.ptr,
            .page_bytes = pages.page_bytes,
            .layer_offset = pages.layer_offsets[layer],
            .pages = numbers.ptr,
            .page_size = pages.page_size,
            .type = pages.kind,
            .heads = kept.heads,
            .k_dim = kept.k_dim,
            .v_dim = kept.v_dim,
            .values_in_keys = kept.values_in_keys,
        };
    }

    /// A piece of a layer's state, for the sequence whose state lies in the pages `numbers`.
    pub fn piece(pages: *const KvPages, layer: u32, number: u32, numbers: []const u32) [*]align(64) f32 {
        std.debug.assert(numbers.len == pages.state_pages and pages.first_pieces[layer] + number < pages.pieces.len);
        const place = pages.pieces[pages.first_pieces[layer] + number];
        return @ptrCast(@alignCast(pages.bytes[numbers[place.page] * pages.page_bytes + place.offset ..].ptr));
    }
};
