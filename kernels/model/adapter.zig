//! An adapter (LoRA): for some matrices W of a model a pair of narrow ones, so that a product is W x + scale * B (A x). W stays as
//! it is packed; A and B are F32, whatever the file has. TypeScript reads the file and gives pair after pair; which sequences
//! use an adapter, and with which scale, a batch says (`run/adapting.zig`).

const std = @import("std");
const assert = std.debug.assert;
const dispatch = @import("../host/dispatch.zig");
const handle = @import("../host/handle.zig");
const layouts = @import("../wire.zig").layouts;
const level_table = @import("../level/level_table.zig");
const memory = @import("../host/memory.zig");
const os = @import("../host/os.zig");
const tensors = @import("tensors.zig");
const Model = @import("model.zig").Model;

/// A and B as packed groups of F32 rows; of a stack of matrices, those of each.
pub const Pair = struct {
    rank: u32,
    /// What its products are multiplied by, whatever a sequence asks for.
    factor: f32,
    /// Of each matrix [rank rows][columns of the matrix], then [rows of the matrix][rank], in one piece of memory.
    bytes: []align(64) u8,
    /// Of one matrix.
    slab_bytes: usize,
    a_group_bytes: usize,
    b_group_bytes: usize,
    a_groups: u32,

    pub fn a(pair: *const Pair, slab: u32) [*]const u8 {
        assert((slab + 1) * pair.slab_bytes <= pair.bytes.len);
        return pair.bytes.ptr + slab * pair.slab_bytes;
    }

    pub fn b(pair: *const Pair, slab: u32) [*]const u8 {
        return pair.a(slab) + pair.a_groups * pair.a_group_bytes;
    }

    /// Floats of A x for one token: the rank rounded up to whole groups.
    pub fn innerFloats(pair: *const Pair) u32 {
        return pair.a_groups * level_table.lanes;
    }
};

/// An adapter that applies to a sequence.
pub const Applied = struct { adapter: *Adapter, scale: f32 };

pub const Adapter = struct {
    object: handle.Object,
    model: *Model,
    /// By the number of the model's tensor.
    pairs: []?Pair,
    /// The most floats of A x for one token.
    inner_floats: u32 = 0,
    /// Written once by the first batch that uses it; no pair is added after that.
    in_use: std.atomic.Value(bool) = .init(false),

    pub const Error = error{ Refused, OutOfMemory, NonFinite, Busy };

    /// Takes a reference to the model.
    pub fn open(model: *Model) error{OutOfMemory}!*Adapter {
        assert(model.ready());
        const adapter = try os.allocator.create(Adapter);
        errdefer os.allocator.destroy(adapter);
        const pairs = try os.allocator.alloc(?Pair, model.entries.len);
        @memset(pairs, null);
        model.object.retain();
        adapter.* = .{ .object = .{ .kind = .adapter, .destroy = destroy }, .model = model, .pairs = pairs };
        return adapter;
    }

    /// Packs a pair; returns the bytes that it takes.
    pub fn add(adapter: *Adapter, options: layouts.AdapterPair, a: []const f32, b: []const f32) Error!usize {
        if (adapter.in_use.load(.acquire)) return error.Busy;
        if (options.tensor >= adapter.pairs.len or adapter.pairs[options.tensor] != null) return error.Refused;
        const entry = adapter.model.entries[options.tensor];
        if (!tensors.isMatrix(entry.role) or tensors.isOfHeads(entry.role) or tensors.isF32(entry.role) or entry.role == .token_embd) return error.Refused;
        const rank: usize = options.rank;
        if (a.len != rank * entry.cols * entry.slabs or b.len != rank * entry.rows * entry.slabs) return error.Refused;
        assert(entry.slabs > 0 and entry.cols > 0 and entry.rows > 0);
        const format = dispatch.format(0).?;
        var pair: Pair = .{
            .rank = options.rank,
            .factor = options.factor,
            .bytes = undefined,
            .slab_bytes = undefined,
            .a_group_bytes = format.groupBytes(entry.cols),
            .b_group_bytes = format.groupBytes(options.rank),
            .a_groups = std.math.divCeil(u32, options.rank, level_table.lanes) catch unreachable,
        };
        const b_groups = std.math.divCeil(u32, entry.rows, level_table.lanes) catch unreachable;
        pair.slab_bytes = pair.a_groups * pair.a_group_bytes + b_groups * pair.b_group_bytes;
        pair.bytes = memory.allocate(.weights, entry.slabs * pair.slab_bytes) orelse return error.OutOfMemory;
        errdefer memory.release(.weights, pair.bytes);
        for (0..entry.slabs) |slab| {
            const bytes = pair.bytes[slab * pair.slab_bytes ..][0..pair.slab_bytes];
            try packRows(format, a[slab * rank * entry.cols ..][0 .. rank * entry.cols], entry.cols, bytes);
            try packRows(format, b[slab * rank * entry.rows ..][0 .. rank * entry.rows], options.rank, bytes[pair.a_groups * pair.a_group_bytes ..]);
        }
        assert(pair.innerFloats() >= pair.rank and pair.bytes.len % 64 == 0);
        adapter.pairs[options.tensor] = pair;
        adapter.inner_floats = @max(adapter.inner_floats, pair.innerFloats());
        return pair.bytes.len;
    }

    fn packRows(format: *const level_table.Format, values: []const f32, cols: u32, out: []u8) error{NonFinite}!void {
        assert(values.len % cols == 0);
        const rows = values.len / cols;
        var row: usize = 0;
        while (row < rows) : (row += level_table.lanes) {
            const count: u32 = @intCast(@min(level_table.lanes, rows - row));
            const source: [*]const u8 = @ptrCast(values.ptr + row * cols);
            if (format.pack(source, count, cols, out[row / level_table.lanes * format.groupBytes(cols) ..].ptr) != 0) return error.NonFinite;
        }
    }

    fn destroy(object: *handle.Object) void {
        const adapter: *Adapter = @fieldParentPtr("object", object);
        for (adapter.pairs) |pair| {
            if (pair) |own| memory.release(.weights, own.bytes);
        }
        os.allocator.free(adapter.pairs);
        adapter.model.object.release();
        os.allocator.destroy(adapter);
    }
};
